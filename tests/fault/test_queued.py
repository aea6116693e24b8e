"""What waits for the writer while access ends gets nothing: no key, no token, no session, no list, and no entry."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest

from keten.core.clock import SECOND, rfc3339
from keten.core.errors import Denied, KetenError, NotFound
from keten.drills.throwaway import Key
from keten.keeper import protocol as said
from keten.vault import frames
from keten.vault.rules import digest_text
from tests.fault.keeper_inside import Inside, Peer, Supplier, run
from tests.town import CARRIER, Town

Ending = Callable[[Inside], Awaitable[Any]]
GIVEN = (
    "exchange.object.opened",
    "exchange.object.described",
    "exchange.shares.listed",
    "identity.client.signed_in",
)


def _key_taken_out(inside: Inside) -> Awaitable[Any]:
    return inside.apply(carrier=Key(inside.paths.home.parent / "new-key").line)


ENDINGS: dict[str, Ending] = {
    "client": lambda inside: inside.revoke("client", CARRIER),
    "supplier": lambda inside: inside.revoke("supplier", "zorgvervoer"),
    "contract": lambda inside: inside.revoke("contract", "vwo-2"),
    "grant": lambda inside: inside.revoke("grant", "care-for-zorgvervoer"),
    "key": _key_taken_out,
}
WITHOUT_GRANT = [name for name in ENDINGS if name != "grant"]


def _given_after(inside: Inside, size: int) -> list[str]:
    return [entry.kind for entry in inside.entries(*GIVEN) if entry.index >= size]


async def _refused(asked: Awaitable[Any]) -> KetenError:
    with pytest.raises((Denied, NotFound)) as caught:
        await asked
    assert isinstance(caught.value, KetenError)
    return caught.value


@pytest.mark.parametrize("describe", [False, True], ids=["open", "describe"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_an_open_behind_an_end(stopped: Town, tmp_path: Path, ending: str, describe: bool) -> None:
    async def testing(inside: Inside) -> None:
        gateway, carrier = await inside.gateway(), inside.carrier()
        await carrier.token(gateway)
        care = await inside.care(carrier, gateway)
        size = inside.trusted.writer.head.size
        async with inside.held():
            ended = asyncio.ensure_future(ENDINGS[ending](inside))
            await inside.queued(1)
            opened = gateway.ask("exchange.open", msgspec.structs.replace(carrier.open(care), describe=describe))
            await inside.queued(2)
        await ended
        await _refused(opened)
        assert _given_after(inside, size) == []
        assert len(inside.trusted.accesses) == 0

    run(stopped, tmp_path, testing)


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_open_before_an_end_is_cut_before_the_end_is_said(stopped: Town, tmp_path: Path, ending: str) -> None:
    async def testing(inside: Inside) -> None:
        gateway, carrier = await inside.gateway(), inside.carrier()
        await carrier.token(gateway)
        care = await inside.care(carrier, gateway)
        async with inside.held():
            opened = gateway.ask("exchange.open", carrier.open(care))
            await inside.queued(1)
            ended = asyncio.ensure_future(ENDINGS[ending](inside))
            await inside.queued(2)
        opening: said.Opened = await opened
        await ended
        assert opening.opening in gateway.pushes.get_nowait().openings

    run(stopped, tmp_path, testing)


async def _token(carrier: Supplier, gateway: Peer) -> Any:
    return await carrier.token(gateway)


async def _session(carrier: Supplier, gateway: Peer) -> Any:
    return await gateway.ask("identity.ssh_sign_in", carrier.ssh())


@pytest.mark.parametrize("sign_in", [_token, _session])
@pytest.mark.parametrize("ending", WITHOUT_GRANT)
def test_a_sign_in_behind_an_end(
    stopped: Town, tmp_path: Path, ending: str, sign_in: Callable[[Supplier, Peer], Awaitable[Any]]
) -> None:
    async def testing(inside: Inside) -> None:
        gateway, carrier = await inside.gateway(), inside.carrier()
        await carrier.token(gateway)  # so that it has a nonce
        size = inside.trusted.writer.head.size
        async with inside.held():
            ended = asyncio.ensure_future(ENDINGS[ending](inside))
            await inside.queued(1)
            signed_in = asyncio.ensure_future(sign_in(carrier, gateway))
            await inside.queued(2)
        await ended
        refused = await _refused(signed_in)
        assert refused.code in {"client-ended", "supplier-ended", "revoked", "key-unknown"}
        assert _given_after(inside, size) == []
        assert len(inside.trusted.sign_in.sessions) == 0
        await inside.trusted.writer.run(lambda _writing: None)  # the refusal was not waited for
        reasons = [one.payload.details["reasons"] for one in inside.entries("identity.client.refused") if one.payload]
        assert reasons == [[refused.code]]

    run(stopped, tmp_path, testing)


@pytest.mark.parametrize("sign_in", [_token, _session])
@pytest.mark.parametrize("ending", WITHOUT_GRANT)
def test_a_sign_in_whose_answer_comes_after_an_end(
    stopped: Town, tmp_path: Path, ending: str, sign_in: Callable[[Supplier, Peer], Awaitable[Any]]
) -> None:
    """It was recorded right before the end: what was given for it ends with it, and does not outlive the cut."""

    async def testing(inside: Inside) -> None:
        gateway, carrier = await inside.gateway(), inside.carrier()
        await carrier.token(gateway)
        care = await inside.care(carrier, gateway)
        async with inside.held():
            signed_in = asyncio.ensure_future(sign_in(carrier, gateway))
            await inside.queued(1)
            ended = asyncio.ensure_future(ENDINGS[ending](inside))
            await inside.queued(2)
        given = await signed_in
        await ended
        assert len(inside.trusted.sign_in.sessions) == 0
        if isinstance(given, said.SessionOpened):
            assert given.session in gateway.pushes.get_nowait().sessions
        size = inside.trusted.writer.head.size
        await _refused(gateway.ask("exchange.open", carrier.open(care)))
        assert _given_after(inside, size) == []

    run(stopped, tmp_path, testing)


def test_a_sign_in_behind_a_change_of_another_goes_through(stopped: Town, tmp_path: Path) -> None:
    async def testing(inside: Inside) -> None:
        gateway, printer = await inside.gateway(), inside.printer()
        await printer.token(gateway)
        async with inside.held():
            ended = inside.revoke("client", CARRIER)
            await inside.queued(1)
            signed_in = asyncio.ensure_future(printer.token(gateway))
            await inside.queued(2)
        await ended
        assert (await signed_in).access_token

    run(stopped, tmp_path, testing)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_list_behind_an_end(stopped: Town, tmp_path: Path, ending: str) -> None:
    async def testing(inside: Inside) -> None:
        gateway, carrier = await inside.gateway(), inside.carrier()
        await carrier.token(gateway)
        async with inside.held():
            ended = asyncio.ensure_future(ENDINGS[ending](inside))
            await inside.queued(1)
            asked = gateway.ask("exchange.shares", said.ShareQuery(carrier.caller("/v1/shares")))
            await inside.queued(2)
        await ended
        if ending == "grant":  # its client may still ask, and sees nothing
            assert (await asked).shares == ()
        else:
            await _refused(asked)

    run(stopped, tmp_path, testing)


async def _ends_soon(inside: Inside) -> int:
    """The printer's contract ends in 20 s; when that is, in microseconds."""
    end = (inside.trusted.clock.now() // SECOND + 20) * SECOND
    await inside.apply(ends=rfc3339(end).replace(".000000", ""))
    return end


async def _listed(printer: Supplier, gateway: Peer) -> Any:
    return await gateway.ask("exchange.shares", said.ShareQuery(printer.caller("/v1/shares")))


@pytest.mark.parametrize("asking", [_token, _session, _listed])
def test_what_waits_until_the_contract_is_over(
    stopped: Town, tmp_path: Path, asking: Callable[[Supplier, Peer], Awaitable[Any]]
) -> None:
    """Nothing changes but the time."""

    async def testing(inside: Inside) -> None:
        gateway, printer = await inside.gateway(), inside.printer()
        await printer.token(gateway)
        end = await _ends_soon(inside)
        async with inside.held():
            asked = asyncio.ensure_future(asking(printer, gateway))
            await inside.queued(1)
            inside.move(25 * SECOND)
        assert (await _refused(asked)).code == "contract-ended"
        assert inside.trusted.clock.jumped == ""
        assert len(inside.trusted.sign_in.sessions) == 0
        assert [one for one in inside.entries("exchange.shares.listed") if one.time_us >= end] == []

    run(stopped, tmp_path, testing)


def test_a_sign_in_is_decided_upon_anew_at_each_attempt(stopped: Town, tmp_path: Path) -> None:
    """The register changes and the contract ends: it is as of now that it may not come in."""

    async def testing(inside: Inside) -> None:
        gateway, printer = await inside.gateway(), inside.printer()
        await printer.token(gateway)
        end = await _ends_soon(inside)
        async with inside.held():
            ended = inside.revoke("client", CARRIER)
            await inside.queued(1)
            asked = asyncio.ensure_future(printer.token(gateway))
            await inside.queued(2)
            inside.move(25 * SECOND)
        await ended
        assert (await _refused(asked)).code == "contract-ended"
        assert [one for one in inside.entries("identity.client.signed_in") if one.time_us >= end] == []

    run(stopped, tmp_path, testing)


def test_a_list_says_how_long_it_holds_from_its_answer_on(stopped: Town, tmp_path: Path) -> None:
    async def testing(inside: Inside) -> None:
        gateway, printer = await inside.gateway(), inside.printer()
        await printer.token(gateway)
        end = await _ends_soon(inside)
        async with inside.held():
            asked = asyncio.ensure_future(_listed(printer, gateway))
            await inside.queued(1)
            inside.move(10 * SECOND)
        listed: said.Shares = await asked
        (entry,) = inside.entries("exchange.shares.listed")
        assert (entry.id, listed.shares[0].valid_until_us) == (listed.entry, end)
        assert 0 < listed.valid_for_us <= end - entry.time_us <= 10 * SECOND

    run(stopped, tmp_path, testing)


def test_a_put_behind_the_end_of_its_dataset(stopped: Town, tmp_path: Path) -> None:
    """Neither is it begun, nor is what was begun before put into it afterwards."""

    async def testing(inside: Inside) -> None:
        content = b"never seen"
        digest = digest_text(sha256(content).digest())
        asked = said.PutBegin("clients-in-care", "new.bin", "application/octet-stream", digest, len(content))
        ready: said.PutReady = await inside.operator.ask("exchange.put_begin", asked)
        blob = frames.encrypt([content], ready.key, frames.new_header(ready.object))
        stored = inside.trusted.store.put(ready.storage, blob)
        size = inside.trusted.writer.head.size
        async with inside.held():
            ended = inside.apply(without="clients-in-care")
            await inside.queued(1)
            other = await inside.second_operator()
            begun = other.ask("exchange.put_begin", msgspec.structs.replace(asked, name="newer.bin"))
            await inside.queued(2)
            commit = said.PutCommit(ready.object, len(content), stored, digest, 1)
            committed = other.ask("exchange.put_commit", commit)
            await inside.queued(3)
        await ended
        assert (await _refused(begun)).code == "dataset-ended"
        assert (await _refused(committed)).code == "dataset-ended"
        assert [one for one in inside.entries("vault.object.stored") if one.index >= size] == []

    run(stopped, tmp_path, testing)


def test_metadata_comes_without_a_key(stopped: Town, tmp_path: Path) -> None:
    """And opens nothing: nothing is under way, and no end is waited for."""

    async def testing(inside: Inside) -> None:
        gateway, carrier = await inside.gateway(), inside.carrier()
        await carrier.token(gateway)
        care = await inside.care(carrier, gateway)
        asked = msgspec.structs.replace(carrier.open(care), describe=True)
        described: said.Opened = await gateway.ask("exchange.open", asked)
        assert (described.info.id, described.key) == (care, b"")
        assert len(inside.trusted.accesses) == 0
        assert len(inside.entries("exchange.object.described")) == 1
        empty = await gateway.ask("exchange.open", msgspec.structs.replace(carrier.open(care), length=0))
        assert len(inside.entries("exchange.object.opened")) == 1
        assert empty.length == 0

    run(stopped, tmp_path, testing)
