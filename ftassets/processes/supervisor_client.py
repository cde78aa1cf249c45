"""Asking the supervisord of a home over its Unix socket."""

from pathlib import Path
from xmlrpc.client import ServerProxy

from ftassets.processes.supervisord_conf import supervisor_socket


def call(processes: Path, method: str, *arguments: object) -> object:
    """What a method of supervisord's XML-RPC interface returns. Raises Fault when it refuses, OSError when it cannot be reached."""
    from supervisor.xmlrpc import SupervisorTransport

    transport = SupervisorTransport(None, None, f"unix://{supervisor_socket(processes)}")
    try:
        return getattr(ServerProxy("http://localhost", transport).supervisor, method)(*arguments)
    finally:
        transport.close()
