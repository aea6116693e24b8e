"""A gateway and a keeper that is not one: it speaks the real protocol through the real sockets' code, and says yes."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import uvloop
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct

from keten.core.crypto import new_key
from keten.core.errors import NotFound, Unavailable
from keten.core.ids import new_id
from keten.core.settings import Settings
from keten.core.storage import LocalStore
from keten.drills.supplier import SupplierSystem
from keten.gateway.main import RunningGateway
from keten.keeper import protocol as said
from keten.keeper.server import Connection, Endpoint, waiting_verb
from keten.vault.frames import FRAME_SIZE, encrypt, fixed_header, new_header

T = TypeVar("T")
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "uvloop": uvloop.new_event_loop,
    "asyncio": asyncio.new_event_loop,
}
SHARE = "s" * 25 + "a"
Answering = Callable[[Any], Awaitable[Struct]]


class Content(Struct, frozen=True):
    """An object as the fake keeper knows it."""

    info: said.ObjectInfo
    layout: said.Layout
    key: bytes
    plain: bytes


class FakeKeeper:
    """Answers every verb; what it was told is in `told`. Replace an entry of `verbs` to have it answer otherwise."""

    def __init__(self, home: Path) -> None:
        self.path = home / "run" / "gateway" / "keeper.sock"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.store_root = home / "store"
        self.told: list[tuple[str, Struct]] = []
        self.objects: dict[str, Content] = {}
        self.valid_for_us = 3_600_000_000
        self.valid_until_us = 0
        self.page = 1000
        self.verbs: dict[str, Answering] = {
            "keeper.hello": self._hello,
            "keeper.health": self._nothing,
            "keeper.certificate": self._certificate,
            "keeper.acknowledge": self._nothing,
            "identity.token": self._token,
            "identity.ssh_sign_in": self._ssh_sign_in,
            "identity.ssh_end": self._nothing,
            "exchange.shares": self._shares,
            "exchange.open": self._open,
            "exchange.progress": self._nothing,
            "exchange.delivered": self._recorded,
        }
        self._endpoint: Endpoint | None = None
        self._pushes = 0
        self._heard = asyncio.Event()

    async def start(self) -> None:
        """Listen."""
        self._endpoint = Endpoint(
            self.path,
            frozenset({os.getuid()}),
            {name: waiting_verb(body, self._handler(name)) for name, (body, _answer) in said.GATEWAY_VERBS.items()},
            max_frame=said.MAX_GATEWAY_FRAME,
            max_answer=said.MAX_ANSWER_FRAME,
            tells_reasons=False,
            mode=0o600,
        )
        await self._endpoint.start()

    async def stop(self) -> None:
        """Go away, and let every connection break."""
        if self._endpoint is not None:
            endpoint, self._endpoint = self._endpoint, None
            await endpoint.stop()
            while endpoint.connections:  # noqa: ASYNC110 - they end within a turn or two of the loop
                await asyncio.sleep(0)
            await asyncio.sleep(0)

    def _handler(self, name: str) -> Callable[[Connection, Any], Awaitable[Struct]]:
        async def handle(_connection: Connection, body: Any) -> Struct:
            self.told.append((name, body))
            self._heard.set()
            return await self.verbs[name](body)

        return handle

    # ---- what tests do with it -----------------------------------------------------------------------------------

    def put(self, plain: bytes, name: str = "file.bin", media_type: str = "text/csv") -> Content:
        """Content in the store, which the gateway may open."""
        object_id, storage, key = new_id(), new_id(), new_key()
        LocalStore(self.store_root).put(storage, encrypt([plain], key, new_header(object_id)))
        digest = f"sha-256=:{base64.b64encode(hashlib.sha256(plain).digest()).decode()}:"
        info = said.ObjectInfo(object_id, name, len(plain), digest, media_type, 1_700_000_000_000_000)
        layout = said.Layout(storage, len(plain), FRAME_SIZE, fixed_header(object_id))
        content = Content(info, layout, key, plain)
        self.objects[object_id] = content
        return content

    def blob(self, content: Content) -> Path:
        """The ciphertext's file."""
        return self.store_root / content.layout.storage[:2] / content.layout.storage

    def bodies(self, verb: str) -> list[Any]:
        """What was said with a verb."""
        return [body for name, body in self.told if name == verb]

    async def heard(self, verb: str, count: int = 1) -> list[Any]:
        """Wait until a verb was said so many times."""
        async with asyncio.timeout(20):
            while len(self.bodies(verb)) < count:
                self._heard.clear()
                await self._heard.wait()
        return self.bodies(verb)

    def push(self, *openings: str, sessions: tuple[str, ...] = (), everything: bool = False) -> int:
        """Have the gateway cut."""
        self._pushes += 1
        cut = said.Cut(self._pushes, openings, sessions, "test", everything)
        assert self._endpoint is not None
        for connection in self._endpoint.connections.values():
            connection.push("cut", cut)
        return self._pushes

    # ---- what it answers -----------------------------------------------------------------------------------------

    async def _nothing(self, _body: Struct) -> Struct:
        return said.Nothing()

    async def _hello(self, _body: said.Hello) -> Struct:
        return said.Welcome("test", 0)

    async def _certificate(self, _body: said.CertificateRequest) -> Struct:
        raise Unavailable("none", "No certificates here.")

    async def _token(self, body: said.TokenRequest) -> Struct:
        return said.TokenGranted(f"token-{body.client_id}", 300, "nonce-1", new_id())

    async def _ssh_sign_in(self, _body: said.SshSignIn) -> Struct:
        return said.SessionOpened(new_id(), self.valid_for_us, new_id())

    async def _shares(self, body: said.ShareQuery) -> Struct:
        if body.share not in ("", SHARE):
            raise NotFound("absent", "There is nothing here.")
        asked = [one.info for one in self.objects.values() if body.name in ("", one.info.name)]
        if body.name and not asked:
            raise NotFound("absent", "There is nothing here.")
        begin = int(body.cursor or 0)
        end = len(asked) if body.bare else begin + (body.limit or self.page)
        found = () if body.bare else tuple(asked[begin:end])
        following = str(end) if end < len(asked) else ""
        share = said.Share(SHARE, "file", "share", "p", 0, found)
        return said.Shares(new_id(), 7, (share,), self.valid_for_us, following)

    async def _open(self, body: said.OpenObject) -> Struct:
        found = self.objects.get(body.object)
        if found is None:
            raise NotFound("absent", "There is nothing here.")
        size = found.info.size
        start = max(0, size + body.start) if body.start < 0 else body.start
        length = min(size - start, size if body.length < 0 else body.length)
        key = b"" if body.describe else found.key
        ends = (self.valid_for_us, start, length, self.valid_until_us)
        return said.Opened(new_id(), 8, found.info, found.layout, key, *ends)

    async def _recorded(self, _body: said.Delivered) -> Struct:
        return said.Recorded(new_id(), 9)


class Scene:
    """A running gateway with its fake keeper, inside a test's event loop."""

    def __init__(self, home: Path, settings: Settings) -> None:
        self.home = home
        self.settings = settings
        self.keeper = FakeKeeper(home)
        self.gateway: RunningGateway
        self.url = ""
        self.sftp = ("", 0)

    def supplier(self) -> SupplierSystem:
        """A signed-in client, as far as the fake keeper cares."""
        found = SupplierSystem(self.url, self.home / "ca.pem", "c" * 26, Ed25519PrivateKey.generate())
        found.token = "token"
        return found

    async def serve(self, testing: Callable[[Scene], Awaitable[T]]) -> T:
        """Run everything around a test."""
        await self.keeper.start()
        self.gateway = RunningGateway(self.settings)
        self.gateway.link.start()
        try:
            async with asyncio.timeout(60):
                await self.gateway.link.wait_ready()
                await self.gateway.certify()
                ready = self.gateway.listen()
                self.url = self.gateway.bound["gateway"]
                host, _, port = (ready["sftp"] or ":0").rpartition(":")
                self.sftp = (host, int(port))
                return await testing(self)
        finally:
            await self.gateway.stop(0.0)
            await self.keeper.stop()
