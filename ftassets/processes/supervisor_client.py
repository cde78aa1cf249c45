"""Asking the supervisord of a home over its Unix socket, with the standard library alone: no module of a working directory is imported."""

import http.client
import socket
from pathlib import Path
from xmlrpc.client import ServerProxy, Transport

from ftassets.processes.supervisord_conf import supervisor_socket


class _OverSocket(Transport):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: object) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.connect(str(self._path))
        self._connection = host, connection  # type: ignore[assignment]
        return connection


def call(processes: Path, method: str, *arguments: object) -> object:
    """What a method of supervisord's XML-RPC interface returns. Raises Fault when it refuses, OSError when it cannot be reached."""
    transport = _OverSocket(supervisor_socket(processes))
    try:
        return getattr(ServerProxy("http://localhost", transport).supervisor, method)(*arguments)
    finally:
        transport.close()
