"""The witness's HTTP server: one address to post to, with bounds on everything that comes."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route, Router

from keten import serving
from keten.core.errors import FsyncFailed, KetenError
from keten.core.files import stop_process
from keten.core.listening import listen
from keten.witness.folder import WitnessFolder
from keten.witness.service import Answer, Service

log = logging.getLogger(__name__)
DEFAULT_LISTEN = "127.0.0.1:8090"
MAX_BODY = 512 * 1024
BODY_SECONDS = 15.0
LIMITS = serving.Limits(connections=200, keep_alive_seconds=60, stop_seconds=5)
BACKLOG = 128


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
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    url = f"{'https' if certificate else 'http'}://{shown}:{port}"
    await serving.serve(build(service), listening, LIMITS, lambda: ready(url), certificate, key)


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
