"""The witness's HTTP server: one address to post to, with bounds on everything that comes."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route, Router

from keten.core.errors import FsyncFailed, KetenError
from keten.core.files import stop_process
from keten.core.listening import listen
from keten.witness.folder import WitnessFolder
from keten.witness.service import Answer, Service

log = logging.getLogger(__name__)
DEFAULT_LISTEN = "127.0.0.1:8090"
MAX_BODY = 512 * 1024
BODY_SECONDS = 15.0
CONNECTIONS = 200
KEEP_ALIVE_SECONDS = 60
STOP_SECONDS = 5
BACKLOG = 128


class _Server(uvicorn.Server):
    """Stops when this process's own loop is told to; uvicorn would pass the signal on and end by it."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        self.listening.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


def serve(
    folder: WitnessFolder, bind: str, ready: Callable[[str], None], certificate: str = "", key: str = ""
) -> None:
    """Serve until SIGTERM or SIGINT. `ready` is told the address once it listens.

    With `certificate` and `key` (PEM files) it speaks HTTPS.

    Raises `Busy` ("witness-runs"), `Invalid` ("bind"), `Unavailable` ("cannot-listen", "not-a-witness").
    """
    with folder.held():
        service = Service(folder)
        _host, listening = listen(bind, BACKLOG)
        with listening:
            asyncio.run(_serve(service, listening, ready, certificate, key))


async def _serve(
    service: Service, listening: socket.socket, ready: Callable[[str], None], certificate: str, key: str
) -> None:
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # a malformed request is no news
    server = _Server(
        uvicorn.Config(
            build(service),
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=CONNECTIONS,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=STOP_SECONDS,
            ssl_certfile=certificate or None,
            ssl_keyfile=key or None,
        )
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, setattr, server, "should_exit", True)
    serving = asyncio.ensure_future(server.serve(sockets=[listening]))
    await server.listening.wait()
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    ready(f"{'https' if certificate else 'http'}://{shown}:{port}")
    await serving


def build(service: Service) -> Router:
    """The application: `POST /add-checkpoint`, and nothing else."""

    async def add_checkpoint(request: Request) -> Response:
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await _body(request)
        except (TimeoutError, ClientDisconnect):
            return _text(408, "The request took too long.")
        if body is None:
            return _text(413, "The request is too large.")
        return await run_in_threadpool(_answered, service, body)

    return Router([Route("/add-checkpoint", add_checkpoint, methods=["POST"])], redirect_slashes=False)


def _answered(service: Service, body: bytes) -> Response:
    """In a thread: it waits for the disk."""
    try:
        answer = service.add_checkpoint(body)
    except FsyncFailed as error:
        stop_process(str(error))
    except KetenError as error:
        log.critical("nothing was cosigned: %s", error)
        return _text(503, "Nothing was cosigned.")
    return _response(answer)


async def _body(request: Request) -> bytes | None:
    """The body; None when it is larger than any that could be meant."""
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > MAX_BODY:
            return None
    return bytes(content)


def _response(answer: Answer) -> Response:
    # Given as a header, so that no charset is added: the type of a size is compared byte for byte.
    return Response(answer.body.encode(), answer.status, {"content-type": answer.kind})


def _text(status: int, text: str) -> Response:
    return _response(Answer(status, f"{text}\n"))
