"""The portal's listener: people of suppliers, in a browser. What it shows is the room `portal`; content goes out here.

An object that a person downloads goes through the same delivery as a system's: opened by the keeper, recorded before
its first byte, cut and ended like any other (laws 1 to 3).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

import msgspec
from starlette.types import Receive, Scope, Send

from keten.core.addresses import networks
from keten.core.errors import KetenError
from keten.core.settings import Settings, require_portal
from keten.gateway.accesses import Accesses
from keten.gateway.call import Call, ClientGone
from keten.gateway.certificate import LOOK_SECONDS, ShownCertificate
from keten.gateway.connection import Connection
from keten.gateway.listening import Acceptor
from keten.gateway.objects import serve_object
from keten.gateway.problems import Problem, problem_of
from keten.gateway.server import HttpsServer
from keten.keeper.people_protocol import PersonProof
from keten.keeper.protocol import Caller

T = TypeVar("T")


class PortalListener:
    """Listens for browsers. Raises `Invalid` where they could not come safely, or its certificate can't be used."""

    def __init__(self, settings: Settings, accesses: Accesses) -> None:
        require_portal(settings.portal, "keten.toml")
        self._settings = settings
        self._accesses = accesses
        self._shown = ShownCertificate(settings, settings.portal) if settings.portal.certificate else None
        self._keeping: asyncio.Task[None] | None = None
        self.server: HttpsServer | None = None

    def listen(self) -> tuple[str, Acceptor]:
        """Listen; what browsers call it, and what accepts them. Raises `Invalid`, `Unavailable` ("cannot-listen").

        The screens are loaded only here: a gateway without a portal has no templates, texts or words of policies.
        """
        from keten.portal.web import build, origin_of  # noqa: PLC0415  # as the docstring says

        settings, listener = self._settings, self._settings.portal
        limits = settings.limits
        acceptor = Acceptor(listener, connections=limits.connections, slow_reader_seconds=limits.slow_reader_seconds)
        host, port = acceptor.bind()
        origin = origin_of(listener, port)
        door = Door(self._accesses)
        self.server = HttpsServer(
            build(settings, host, origin, door),
            self._shown.context if self._shown is not None else None,
            idle_seconds=limits.idle_seconds,
            header=listener.proxy if listener.proxy != "v2" else "",
            proxies=networks(listener.trusted_proxies),
        )
        self.server.start()
        if self._shown is not None:
            self._keeping = asyncio.ensure_future(self._keep(self._shown, self.server))
        acceptor.start(self.server.serve)
        return origin, acceptor

    async def _keep(self, shown: ShownCertificate, server: HttpsServer) -> None:
        """Take up a certificate that was put in place of the one that is shown."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if await shown.look(self._accesses.link) and shown.context is not None:
                server.show(shown.context)


class Door:
    """What the portal's screens have of the gateway: the keeper's verbs, where a request is from, and content."""

    def __init__(self, accesses: Accesses) -> None:
        self._accesses = accesses

    async def call(self, verb: str, body: msgspec.Struct, answer: type[T]) -> T:
        """Say one verb to the keeper; raises as it did, `Unavailable` without it."""
        found = await self._accesses.link.call(verb, body)
        decoded: T = msgspec.msgpack.decode(found, type=answer) if isinstance(found, msgspec.Raw) else found
        return decoded

    def from_(self, scope: Scope) -> tuple[str, bool]:
        """The address that a request is from, "" where a proxy did not say it; and whether it came directly."""
        connection: Connection = scope["keten.connection"]
        return connection.address, connection.direct

    def when_changed(self, callback: Callable[[], None]) -> None:
        """Call whenever the keeper says that something changed, or is gone."""
        self._accesses.when_changed(callback)

    async def give(self, person: PersonProof, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for an object with its content, or a part. Raises `KetenError` while nothing is sent."""
        call = Call(scope, receive, send)
        address, direct = self.from_(scope)
        try:
            await serve_object(call, self._accesses, Caller(address, direct=direct, person=person))
        except ClientGone:
            return
        except Problem as problem:  # of the protocol: a range that there is not, a condition that does not hold
            await call.problem(problem)
        except KetenError as error:
            if error.code == "range-unsatisfiable" and not call.started:
                await call.problem(problem_of(error))
                return
            if not call.started:
                raise
            call.connection.cut("failed")  # content is on its way: only a reset says that something is wrong
