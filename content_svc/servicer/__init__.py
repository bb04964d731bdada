"""The gRPC methods of the service, by noun: convert in, call, convert out."""

from __future__ import annotations

from content_svc.servicer.categories import Categories
from content_svc.servicer.parts import Parts
from content_svc.servicer.streams import Streams
from partstream.content.v1.part_service_pb2_grpc import ContentServiceServicer


class ContentServicer(  # type: ignore[misc] # WatchParts returns bytes that are serialised once for all watchers
    Parts, Categories, Streams, ContentServiceServicer
):
    """Every method of the contract."""


# Texts of several lines. Those of a batch are validated part by part, by the rules of the domain.
MULTI_LINE = frozenset(
    f"partstream.content.v1.{name}"
    for name in (
        *("Part.summary", "Part.description", "Part.specifications"),
        *("CreatePartRequest.comment", "UpdatePartRequest.comment", "BatchUpsertPartsRequest.comment"),
    )
)
