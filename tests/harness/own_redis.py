"""A Redis server that one test may stop and start at will."""

from pathlib import Path

from stack.servers.ports import free_port
from stack.servers.redis import EmbeddedRedis, find_server
from tests.harness.servers import PASSWORD


class OwnRedis:
    """Keeps its port and its data over a stop and a start."""

    def __init__(self, folder: Path) -> None:
        binary = find_server()
        if binary is None:
            message = "The test needs a redis-server: none on PATH and none in the virtual environment."
            raise RuntimeError(message)
        self.folder = folder
        self._server = EmbeddedRedis(folder, server=binary, password=PASSWORD)
        self._port = free_port()
        self.url = self._server.url(self._port)

    def start(self) -> None:
        """Return once the server answers."""
        self._server.start(self._port)

    def kill(self) -> None:
        """End the server as a crash does; return once it has ended."""
        process = self._server._process
        assert process is not None
        process.kill()
        process.wait()

    def stop(self) -> None:
        """Return once the server is gone."""
        self._server.stop()
