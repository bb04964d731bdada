"""A protoc plugin for ``buf generate``: the gRPC stubs of ``grpcio-tools``, whose generator lives inside a protoc only.

Speaks the plugin protocol: a ``CodeGeneratorRequest`` on standard input, a ``CodeGeneratorResponse`` on the output.
"""

import sys
import tempfile
from pathlib import Path

from google.protobuf.compiler import plugin_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc


def generate(request: plugin_pb2.CodeGeneratorRequest) -> plugin_pb2.CodeGeneratorResponse:
    """Return the stubs of the files asked for that hold a service."""
    response = plugin_pb2.CodeGeneratorResponse(
        supported_features=plugin_pb2.CodeGeneratorResponse.FEATURE_PROTO3_OPTIONAL
    )
    wanted = set(request.file_to_generate)
    targets = [file.name for file in request.proto_file if file.name in wanted and file.service]
    if not targets:
        return response
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "image.binpb"
        image.write_bytes(FileDescriptorSet(file=request.proto_file).SerializeToString())
        arguments = ["protoc", f"--descriptor_set_in={image}", f"--grpc_python_out={folder}", *targets]
        if protoc.main(arguments) != 0:
            response.error = "grpcio-tools could not generate the stubs"
            return response
        for path in sorted(Path(folder).rglob("*_pb2_grpc.py")):
            response.file.add(name=str(path.relative_to(folder)), content=path.read_text())
    return response


if __name__ == "__main__":
    incoming = plugin_pb2.CodeGeneratorRequest.FromString(sys.stdin.buffer.read())
    sys.stdout.buffer.write(generate(incoming).SerializeToString())
