"""The gateway as one asyncio program: public and admin listener, leases, model servers, and the writer of the log."""

import asyncio
import contextlib
import hashlib
import logging
import os
import re
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType

import aiohttp
import uvicorn
from filelock import FileLock, Timeout

from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.control.base import Control
from ftassets.backends.serving.gateway_address import Address, admin_token, write_address
from ftassets.config import profiles
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.config.version_engine import serving_of
from ftassets.domain import languages
from ftassets.domain.keys import is_part
from ftassets.errors import FtassetsError
from ftassets.gateway.admin import admin_app
from ftassets.gateway.app import public_app
from ftassets.gateway.chat import Chat
from ftassets.gateway.clients import Clients
from ftassets.gateway.connections import Limits, configured, raise_file_limit, tell_dead_peers
from ftassets.gateway.context import Context
from ftassets.gateway.engines import Engines
from ftassets.gateway.entrance import Entrance, hosts_from_env
from ftassets.gateway.fleet import Fleet
from ftassets.gateway.model_hosts.base import ModelHost
from ftassets.gateway.model_hosts.hosts import Hosts
from ftassets.gateway.model_hosts.programs import Programs
from ftassets.gateway.model_hosts.vllm_adapters import Servers, VllmAdapters
from ftassets.gateway.peers import Peers
from ftassets.gateway.prometheus import Metrics
from ftassets.gateway.recorder import PATIENCE, Recorder
from ftassets.gateway.router import Router
from ftassets.gateway.shadow_copies import Copies
from ftassets.wording import amount

log = logging.getLogger(__name__)

REPLICA = "FTASSETS_REPLICA"
_LIMITS = Limits()
_ADMIN_LIMITS = Limits(connections=200)


class CannotServe(FtassetsError):
    """The gateway cannot run on this machine; the message says what to change."""


async def serve(
    home: Home,
    loops: Mapping[str, LoopConfig],
    host: ModelHost,
    stop: asyncio.Event,
    *,
    held: Mapping[str, str] = MappingProxyType({}),
    bind: str = "127.0.0.1",
    port: int = 0,
    admin_port: int = 0,
    certificate: Path | None = None,
    key: Path | None = None,
    limits: Limits = _LIMITS,
    vllm_servers: Servers | None = None,
    started: Callable[[Address], None] = lambda _: None,
    clock: Callable[[], float] = time.time,
) -> None:
    """Serve until `stop` is set; port 0 takes a free one. The admin API is on loopback whatever `bind` is.

    `held` has the loops whose file cannot be used now, with the reason: they are served as they were, and nothing new gets traffic.
    `vllm_servers` runs the vLLM servers that versions share: those of this home's supervisord by default.
    With a `certificate` and its `key`, PEM files, the public listener speaks HTTPS. It has the `limits`, and fewer connections where the
    system allows fewer files. Raises CannotServe, ConfigurationError.
    """
    _check_certificate(certificate, key)
    limits = replace(limits, connections=min(limits.connections, raise_file_limit() // 2))
    traffic = profiles.traffic_log(home, patience=PATIENCE)
    artifacts, control = profiles.artifacts(home), profiles.control(home)
    only_one = contextlib.ExitStack()
    home.gateway.mkdir(parents=True, exist_ok=True)
    try:
        only_one.enter_context(FileLock(home.gateway / "gateway.lock", timeout=0))
    except Timeout as error:
        several = "several need FTASSETS_HOME of its own for each and one database, FTASSETS_CONTROL_URL"
        raise CannotServe(f"another gateway serves {home.root} already: stop it first; {several}") from error
    recorder = Recorder(traffic)
    tasks: list[asyncio.Task[None]] = []
    try:
        with contextlib.closing(_listen(bind, port)) as public, contextlib.closing(_listen("127.0.0.1", admin_port)) as admin:
            # an engine closes idle connections after 5 s; ours go first, or a request would meet a closing one
            connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=2)
            async with (
                aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session,
                _hosts_of(host, vllm_servers or Programs(home.processes, "vllm"), artifacts, session, loops) as hosts,
            ):
                fleet = Fleet(hosts, artifacts, session)
                peers = _peers(home, control, public, lambda: router.revision, fleet, clock) if control.shared else None
                router = Router(artifacts, control, loops, fleet, profiles.verifier(home), clock, held, peers)
                if peers and (why := await peers.open()):
                    raise CannotServe(why)
                await router.open()
                if any(loop.task.form.prose for loop in loops.values()):
                    await asyncio.to_thread(languages.load)
                metrics = Metrics(control, loops)
                context = only_one.enter_context(contextlib.closing(Context(artifacts)))
                clients = Clients(control, clock, lambda: peers.live if peers else 1)
                await clients.read()
                engines = Engines(router, session, context, host.context)
                copies = Copies(router, engines, recorder, metrics, loops)
                chat = Chat(router, recorder, metrics, engines, copies, home.user_secret(), clients)
                front = Entrance(public_app(router, recorder, metrics, chat, clients, clock), _hosts(public))
                for sock in (public, admin):
                    tell_dead_peers(sock, limits)
                servers = [
                    _Server(configured(front, limits, certificate, key)),
                    _Server(configured(admin_app(router, recorder, admin_token(home)), _ADMIN_LIMITS)),
                ]
                background = [asyncio.create_task(each) for each in (fleet.run(router.wanted), router.run(), clients.run(), copies.run())]
                if peers:
                    background.append(asyncio.create_task(peers.run(router.follow)))
                listeners = [asyncio.create_task(server.serve([sock])) for server, sock in zip(servers, (public, admin), strict=True)]
                tasks = [*background, *listeners]
                while not all(server.started for server in servers):
                    await asyncio.sleep(0.01)
                address = Address(_url(public, certificate is not None), _url(admin), os.getpid())
                write_address(home, address)
                started(address)
                stopping = asyncio.create_task(stop.wait())
                await asyncio.wait({stopping, *tasks}, return_when=asyncio.FIRST_COMPLETED)
                for server in servers:
                    server.should_exit = True
                patience = asyncio.get_running_loop().call_later(limits.drain, _cut, chat, limits.drain)
                await asyncio.gather(*listeners)
                patience.cancel()
                if peers:
                    await peers.close()
                await copies.close()
                for task in background:
                    if task.done():
                        task.result()  # a background task only ends by an error nobody foresaw: say it and let supervisord start again
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(recorder.close)
        only_one.close()


@contextlib.asynccontextmanager
async def _hosts_of(
    host: ModelHost, servers: Servers, artifacts: Artifacts, session: aiohttp.ClientSession, loops: Mapping[str, LoopConfig]
) -> AsyncIterator[Hosts]:
    adapters = VllmAdapters(servers, artifacts, session, lambda manifest: serving_of(manifest, loops))
    async with contextlib.aclosing(adapters), contextlib.aclosing(Hosts(host, adapters, session, loops)) as hosts:
        yield hosts


def _peers(
    home: Home, control: Control, sock: socket.socket, revision: Callable[[], int], fleet: Fleet, clock: Callable[[], float]
) -> Peers:
    name = os.environ.get(REPLICA) or re.sub(r"[^\w.-]", "-", f"{socket.gethostname()}-{sock.getsockname()[1]}")
    if not is_part(name):
        raise CannotServe(f"{REPLICA} is {name!r}: write letters, digits, dots, dashes and underscores")
    users = hashlib.sha256(f"users\x00{home.user_secret()}".encode()).hexdigest()[:16]
    return Peers(control, name, users=users, own_log=profiles.has_own_log(), revision=revision, ready=fleet.ready.keys, clock=clock)


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # two servers share this process, so it handles signals itself


def _cut(chat: Chat, seconds: float) -> None:
    if number := chat.stop():
        cut = amount(number, "answer was", "answers were")
        log.warning("stopping: %s not whole after %g s and cut; the traffic log has their rows", cut, seconds)


def _hosts(sock: socket.socket) -> frozenset[str] | None:
    """Names the gateway may be asked under: on loopback those of FTASSETS_HOSTS, else any."""
    return hosts_from_env() if ip_address(sock.getsockname()[0]).is_loopback else None


def _listen(bind: str, port: int) -> socket.socket:
    # with the protocol named: asyncio turns Nagle's delay (40 ms an answer) off only where it sees TCP
    sock = socket.socket(socket.AF_INET6 if ":" in bind else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((bind, port))
    except (OSError, OverflowError) as error:
        sock.close()
        reason = error.strerror if isinstance(error, OSError) else error
        raise CannotServe(f"port {port} on {bind} cannot be used ({reason}): stop what uses it or choose another") from error
    sock.listen(2048)
    sock.setblocking(False)
    return sock


def _check_certificate(certificate: Path | None, key: Path | None) -> None:
    """Raises CannotServe where uvicorn would fail once it listens."""
    if certificate is None and key is None:
        return
    if certificate is None or key is None:
        raise CannotServe("HTTPS needs both files: --tls-cert with the certificate chain and --tls-key with its private key")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=_no_password)
    except (OSError, ValueError) as error:
        raise CannotServe(f"{certificate} and {key} are no certificate with its unencrypted key, as PEM files ({error})") from error


def _no_password() -> bytes:
    raise ValueError("the key has a password")


def _url(sock: socket.socket, secure: bool = False) -> str:
    host, port = sock.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    scheme = "https" if secure else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
