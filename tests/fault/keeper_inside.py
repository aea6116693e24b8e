"""A real keeper inside the test's own loop: its sockets, verbs, writer and database; nothing of it is a stand-in.

What a process of its own can't show one can hold here: the writer waits while something is queued, and a gateway
goes away between two frames.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import struct
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from keten.core.clock import wall_us
from keten.core.errors import Conflict, rebuild
from keten.core.settings import Settings, load_settings
from keten.drills.supplier import SupplierSystem
from keten.drills.throwaway import Key
from keten.identity.keys import from_raw
from keten.keeper import protocol as said
from keten.keeper.gateway_verbs import GatewayVerbs
from keten.keeper.operator_verbs import OperatorVerbs
from keten.keeper.people import People
from keten.keeper.people_protocol import FACE_VERBS, PERSON_VERBS
from keten.keeper.people_verbs import PeopleVerbs
from keten.keeper.person_callers import PortalCallers
from keten.keeper.person_verbs import PersonVerbs
from keten.keeper.rootkey import load_root_key
from keten.keeper.server import Endpoint, user_ids
from keten.keeper.trusted import Trusted
from keten.ledger.model import Entry
from keten.ledger.reading import read_range
from keten.ledger.writing import Writing
from keten.suppliers.estate import encode
from keten.suppliers.reading import read_file
from tests.cluster import shared
from tests.town import CARRIER, PRINTER, Town, estate
from tests.unit.identity.signing import string, userauth

WAIT_SECONDS = 60.0
_LENGTH = struct.Struct(">I")


class Peer:
    """One connection to a socket of the keeper: answers by number, pushes kept in the order in which they came."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, verbs: dict[str, Any]) -> None:
        self._reader = reader
        self._writer = writer
        self._verbs = verbs
        self._number = 0
        self._waiting: dict[int, tuple[str, asyncio.Future[Any]]] = {}
        self.pushes: asyncio.Queue[said.Cut] = asyncio.Queue()
        self.acknowledges = True
        self._reading = asyncio.ensure_future(self._read())

    def ask(self, verb: str, body: msgspec.Struct) -> asyncio.Future[Any]:
        """Say a verb; its answer, or the keeper's error, comes with the future."""
        self._number += 1
        frame = msgspec.msgpack.encode((self._number, verb, body))
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[self._number] = (verb, future)
        self._writer.write(_LENGTH.pack(len(frame)) + frame)
        return future

    async def _read(self) -> None:
        try:
            while True:
                (length,) = _LENGTH.unpack(await self._reader.readexactly(4))
                number, what, raw = msgspec.msgpack.decode(
                    await self._reader.readexactly(length), type=tuple[int, bool | str, msgspec.Raw]
                )
                self._heard(number, what, raw)
        except (OSError, asyncio.IncompleteReadError):
            for _verb, future in self._waiting.values():
                future.cancel()

    def _heard(self, number: int, what: bool | str, raw: msgspec.Raw) -> None:
        if isinstance(what, str):
            cut = msgspec.msgpack.decode(raw, type=said.Cut)
            self.pushes.put_nowait(cut)
            if self.acknowledges:
                self.ask("keeper.acknowledge", said.Acknowledge(cut.push))
            return
        verb, future = self._waiting.pop(number)
        if future.cancelled():
            return
        if what:
            future.set_result(msgspec.msgpack.decode(raw, type=self._verbs[verb][1]))
        else:
            failure = msgspec.msgpack.decode(raw, type=said.Failure)
            error = rebuild(failure.category, failure.code, failure.public, failure.reason)
            vars(error)["data"] = dict(failure.data)
            future.set_exception(error)

    async def vanish(self) -> None:
        """As a process that is killed: the kernel closes its socket."""
        self._reading.cancel()
        self._writer.transport.abort()
        await asyncio.gather(self._reading, return_exceptions=True)


class Supplier:
    """A supplier's system that speaks to the keeper through a gateway's connection."""

    def __init__(self, inside: Inside, name: str, key: Key) -> None:
        self.client = inside.ids["client"][name]
        self.key = key
        self._system = SupplierSystem("https://delen.example", inside.ca, self.client, key.private)

    async def token(self, gateway: Peer) -> said.TokenGranted:
        """Sign in; the nonce that is asked for is given."""
        url = f"{self._system.url}/oauth/token"

        def asked() -> said.TokenRequest:
            return said.TokenRequest(
                self.client,
                self._system.assertion(),
                self._system.proof("POST", url),
                self._system.url,
                url,
                "127.0.0.1",
            )

        for _attempt in range(2):
            try:
                granted: said.TokenGranted = await gateway.ask("identity.token", asked())
            except Exception as error:
                if getattr(error, "code", "") != "use_dpop_nonce":
                    raise
                self._system.nonce = vars(error)["data"]["nonce"]
            else:
                self._system.token = granted.access_token
                return granted
        raise AssertionError("a nonce was asked for twice")

    def caller(self, path: str) -> said.Caller:
        """A signed-in request."""
        url = f"{self._system.url}{path}"
        proof = self._system.proof("GET", url, self._system.token)
        return said.Caller("127.0.0.1", said.HttpProof(self._system.token, proof, "GET", url))

    def open(self, object_id: str) -> said.OpenObject:
        """A request for one object."""
        return said.OpenObject(self.caller(f"/v1/objects/{object_id}"), object_id)

    def ssh(self) -> said.SshSignIn:
        """An SSH sign-in."""
        blob = from_raw(self.key.private.public_key().public_bytes_raw()).blob
        session = os.urandom(32)
        signed = userauth(self.client.encode(), blob)
        signature = string(b"ssh-ed25519") + string(self.key.private.sign(string(session) + signed))
        return said.SshSignIn(self.client, blob, session, signed, signature, "127.0.0.1")


def _taken_over(settings: Settings) -> Trusted:
    """A keeper once the one of before is gone: a server hears a moment later that it has ended."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return Trusted(settings, load_root_key(settings, None))
        except Conflict as error:
            if error.code != "standing-by" or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


class Inside:
    """The running keeper."""

    def __init__(self, home: Path, town: Town) -> None:
        settings = load_settings(home, {})
        self.town = town
        self.ids = town.keten.ids
        self.ca = settings.paths.ca
        self.paths = settings.paths
        self.trusted = _taken_over(settings)
        self.gateways = GatewayVerbs(self.trusted)
        self.operators = OperatorVerbs(self.trusted, self.gateways)
        self.people = People(self.trusted)
        self.trusted.sign_in.people = PortalCallers(self.people)
        self.people.on_over, self.people.in_use = self.gateways.end_sessions, self.trusted.accesses.in_sessions
        persons = PersonVerbs(self.trusted, self.people)
        self._outward = Endpoint(
            settings.paths.gateway_socket,
            user_ids(()),
            self.gateways.verbs(),
            max_frame=said.MAX_GATEWAY_FRAME,
            max_answer=said.MAX_ANSWER_FRAME,
            tells_reasons=True,  # so that a test sees them
            mode=0o600,
            on_lost=self.gateways.lost,
        )
        self._inward = Endpoint(
            settings.paths.operator_socket,
            user_ids(()),
            self.operators.verbs() | persons.verbs(),
            max_frame=said.MAX_OPERATOR_FRAME,
            max_answer=said.MAX_ANSWER_FRAME,
            tells_reasons=True,
            mode=0o600,
        )
        self._inside = Endpoint(
            settings.paths.console_socket,
            user_ids(()),
            PeopleVerbs(self.trusted, "console", self.people, self.operators.verbs() | persons.verbs()).verbs(),
            max_frame=said.MAX_OPERATOR_FRAME,
            max_answer=said.MAX_ANSWER_FRAME,
            tells_reasons=True,
            mode=0o600,
        )
        self._peers: list[Peer] = []
        self.operator: Peer

    async def start(self) -> None:
        await self._outward.start()
        await self._inward.start()
        await self._inside.start()
        self.operator = await self._connect(self.paths.operator_socket, said.OPERATOR_VERBS | PERSON_VERBS)

    async def stop(self) -> None:
        for peer in self._peers:
            await peer.vanish()
        await self._outward.stop()
        await self._inward.stop()
        await self._inside.stop()
        await asyncio.sleep(0)
        await asyncio.to_thread(self.trusted.stop)

    async def _connect(self, path: Path, verbs: dict[str, Any]) -> Peer:
        peer = Peer(*await asyncio.open_unix_connection(str(path)), verbs)
        self._peers.append(peer)
        return peer

    async def second_operator(self) -> Peer:
        """Another operator, at the same time."""
        return await self._connect(self.paths.operator_socket, said.OPERATOR_VERBS)

    async def console(self) -> Peer:
        """The console: one connection of it."""
        return await self._connect(self.paths.console_socket, FACE_VERBS)

    async def stranger(self) -> Peer:
        """A gateway that has connected and said nothing yet."""
        return await self._connect(self.paths.gateway_socket, said.GATEWAY_VERBS)

    async def gateway(self, name: str = "gateway") -> Peer:
        """A gateway that was welcomed."""
        peer = await self.stranger()
        await peer.ask("keeper.hello", said.Hello(name, "1"))
        return peer

    def printer(self) -> Supplier:
        return Supplier(self, PRINTER, self.town.printer_key)

    def carrier(self) -> Supplier:
        return Supplier(self, CARRIER, self.town.carrier_key)

    async def care(self, carrier: Supplier, gateway: Peer) -> str:
        """The id of the one object that the carrier may have."""
        shares: said.Shares = await gateway.ask("exchange.shares", said.ShareQuery(carrier.caller("/v1/shares")))
        return shares.shares[0].objects[0].id

    def move(self, us: int) -> None:
        """The machine's wall clock, as this keeper sees it, is so far from the real one."""
        self.trusted.clock._wall = lambda: wall_us() + us

    def apply(
        self,
        *,
        extra: str = "",
        carrier: str = "",
        without: str = "",
        ends: str = "2099-12-31",
        instead: tuple[str, str] = ("", ""),
    ) -> asyncio.Future[Any]:
        """The estate again, with changes. `carrier`: its one key from now on. `without`: lines that hold this.

        ends: when the printer's contract does. instead: what stands there now, and what from now on.
        """
        path = self.paths.home.parent / "estate.yaml"
        text = estate(self.town.printer_key.line, carrier or self.town.carrier_key.line, ends=ends, extra=extra)
        kept = [line for line in text.splitlines() if not without or without not in line]
        assert instead[0] in text
        path.write_text("\n".join(kept).replace(*instead) + "\n")
        return self.operator.ask("suppliers.apply", said.Apply(msgspec.Raw(encode(read_file(path)))))

    def revoke(self, kind: str, target: str) -> asyncio.Future[Any]:
        return self.operator.ask("revocation.revoke", said.Revoke(kind, target, "a test"))

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Keep the writer busy meanwhile, so that what is asked for is queued, in order."""
        busy, go = threading.Event(), threading.Event()

        def wait(_writing: Writing) -> None:
            busy.set()
            assert go.wait(WAIT_SECONDS)

        waiting = asyncio.ensure_future(self.trusted.writer.run(wait, alone=True, essential=True))
        assert await asyncio.to_thread(busy.wait, WAIT_SECONDS)
        try:
            yield
        finally:
            go.set()
        waiting.add_done_callback(lambda done: done.result())  # not waited for: the loop stays where it is

    async def queued(self, count: int) -> None:
        """Wait until so many jobs wait for the writer."""
        await until(lambda: self.trusted.writer.waiting >= count)

    def entries(self, *kinds: str) -> list[Entry]:
        """The ledger, or what of it is of these kinds."""
        with self.trusted.reader.connect() as connection:
            found = list(read_range(connection, 0, self.trusted.writer.head.size))
        return [one for one in found if not kinds or one.kind in kinds]


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while not holds():  # noqa: ASYNC110 - looks at what has no event
            await asyncio.sleep(0.005)


def prepared(folder: Path) -> Town:
    """A stopped town with its content, to be copied for each test."""
    town = Town(folder)
    town.apply()
    town.keten.run("put", "clients-in-care", str(town.care))
    return town


@contextmanager
def copied(town: Town, folder: Path) -> Iterator[Path]:
    """A copy of the town's instance."""
    home = folder / "i"
    shutil.copytree(town.keten.home, home)
    if town.keten.database:
        name = town.keten.database.partition("@/")[2].partition("?")[0]
        settings, url = home / "keten.toml", shared().url(shared().copy(name))
        settings.write_text(settings.read_text().replace(town.keten.database, url))
    try:
        yield home
    finally:
        shutil.rmtree(home)


def run(town: Town, folder: Path, testing: Callable[[Inside], Awaitable[None]]) -> None:
    """Run a test inside the loop of a keeper on a copy of the town's instance."""

    async def inside(home: Path) -> None:
        async with asyncio.timeout(2 * WAIT_SECONDS):
            keeper = Inside(home, town)
            await keeper.start()
            try:
                await testing(keeper)
            finally:
                await keeper.stop()

    with copied(town, folder) as home:
        asyncio.run(inside(home))
