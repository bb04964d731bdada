"""Reflection under both of its names: tools ask for ``v1`` first, gRPC's Python package knows ``v1alpha`` only.

The two differ in the name of their package and in nothing that is on the wire.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, text_format
from grpc_reflection.v1alpha import reflection, reflection_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

V1_NAME = "grpc.reflection.v1.ServerReflection"


def enable_reflection(server: grpc.aio.Server, services: Sequence[str]) -> None:
    """Let the server describe these services, and itself as it does so."""
    _know_v1()
    names = (*services, reflection.SERVICE_NAME, V1_NAME)
    reflection.enable_server_reflection(names, server)
    method = grpc.stream_stream_rpc_method_handler(
        reflection.aio.ReflectionServicer(names).ServerReflectionInfo,
        reflection_pb2.ServerReflectionRequest.FromString,
        reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    handler = grpc.method_handlers_generic_handler(V1_NAME, {"ServerReflectionInfo": method})
    server.add_generic_rpc_handlers((handler,))


def _know_v1() -> None:
    """Whoever asks what ``v1`` itself looks like finds it described."""
    described = descriptor_pb2.FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(described)
    text = text_format.MessageToString(described).replace("v1alpha", "v1")
    renamed = text_format.Parse(text, descriptor_pb2.FileDescriptorProto())
    descriptor_pool.Default().AddSerializedFile(renamed.SerializeToString())
