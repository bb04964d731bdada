"""What the catalogue holds of the parts of a file, where a row leaves something open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from partstream.content.v1 import part_pb2, part_service_pb2

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cli.catalogue_import.row import CataloguePart
    from partstream.content.v1.part_service_pb2_grpc import ContentServiceAsyncStub
    from stack.service_calls.retrying_calls import RetryingCalls

# A description has at most 100,000 characters, of up to four bytes; a message has at most 16 MiB.
PARTS_AT_ONCE = 40


class ExistingParts:
    """Reads parts by their SKUs."""

    def __init__(self, content: ContentServiceAsyncStub, calls: RetryingCalls) -> None:
        self._content = content
        self._calls = calls

    async def of(self, skus: Sequence[str]) -> dict[str, part_pb2.Part]:
        """Return those of the parts that exist."""
        found: dict[str, part_pb2.Part] = {}
        for start in range(0, len(skus), PARTS_AT_ONCE):
            request = part_service_pb2.BatchGetPartsRequest(part_ids=skus[start : start + PARTS_AT_ONCE])
            answer = await self._calls(self._content.BatchGetParts, request)
            found |= {part.part_id: part for part in answer.parts}
        return found

    async def left_open_by(self, parts: Sequence[CataloguePart]) -> Mapping[str, part_pb2.Part]:
        """Return the parts that exist among those whose row has no category, or a picture without a title."""
        open_ones = [
            part.sku
            for part in parts
            if "category" not in part.given or ("image" in part.given and "title" not in part.given)
        ]
        return await self.of(open_ones)
