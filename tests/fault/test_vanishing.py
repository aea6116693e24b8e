"""A gateway goes away at the worst moments: nobody waits for it, what it may have given is recorded, with bounds."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from keten.core.errors import Denied, Unavailable
from keten.keeper import gateway_verbs, operator_verbs
from keten.keeper import protocol as said
from keten.keeper.portal_protocol import AskColleagues, AskOwnLog, AskStanding
from tests.fault.keeper_inside import Inside, run, until
from tests.town import CARRIER, Town

DELIVERED = "exchange.object.delivered"
OPENED = "exchange.object.opened"


@pytest.fixture(autouse=True)
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway that is gone need not be waited for as long as in real life."""
    monkeypatch.setattr(gateway_verbs, "GONE_GRACE_SECONDS", 0.2)


def _done(revoked: said.Revoked) -> None:
    assert [step["outcome"] for step in revoked.steps] == ["done"] * 3, revoked.steps


def test_in_the_middle_of_its_hello(stopped: Town, tmp_path: Path) -> None:
    async def testing(inside: Inside) -> None:
        gateway = await inside.stranger()
        async with inside.held():
            gateway.ask("keeper.hello", said.Hello("gone", "1"))
            await inside.queued(1)
            await gateway.vanish()
        await until(lambda: inside.entries("keeper.gateway.connected"))
        _done(await inside.revoke("client", CARRIER))
        status: said.Status = await inside.operator.ask("keeper.status", said.Nothing())
        assert status.gateways == []

    run(stopped, tmp_path, testing)


def test_before_the_answer_to_an_open(stopped: Town, tmp_path: Path) -> None:
    """No key leaves, and the ledger says so."""

    async def testing(inside: Inside) -> None:
        gateway, carrier = await inside.gateway(), inside.carrier()
        await carrier.token(gateway)
        care = await inside.care(carrier, gateway)
        async with inside.held():
            gateway.ask("exchange.open", carrier.open(care))
            await inside.queued(1)
            await gateway.vanish()
            await until(lambda: not inside.gateways.gateways)
        await until(lambda: inside.entries(DELIVERED))
        (opened,), (end,) = inside.entries(OPENED), inside.entries(DELIVERED)
        assert end.payload is not None
        assert end.payload.details == {"opening": opened.id, "opened_at": opened.index, "bytes": 0, "end": "failed"}
        assert len(inside.trusted.accesses) == 0

    run(stopped, tmp_path, testing)


def test_with_the_key_in_its_hands(stopped: Town, tmp_path: Path) -> None:
    """It comes back to nobody: how much left is known within bounds only."""

    async def testing(inside: Inside) -> None:
        gateway, carrier = await inside.gateway(), inside.carrier()
        await carrier.token(gateway)
        opened: said.Opened = await gateway.ask("exchange.open", carrier.open(await inside.care(carrier, gateway)))
        await gateway.ask("exchange.progress", said.Progress(opened.opening, 4096))
        await gateway.vanish()
        await until(lambda: inside.entries(DELIVERED))
        (end,) = inside.entries(DELIVERED)
        assert end.payload is not None
        details = end.payload.details
        assert (details["end"], details["at_least"], details["at_most"]) == ("unknown", 4096, opened.length)

    run(stopped, tmp_path, testing)


def test_another_gateway_may_not_report_what_it_did_not_open(stopped: Town, tmp_path: Path) -> None:
    async def testing(inside: Inside) -> None:
        gateway, other, carrier = await inside.gateway(), await inside.gateway("other"), inside.carrier()
        await carrier.token(gateway)
        opened: said.Opened = await gateway.ask("exchange.open", carrier.open(await inside.care(carrier, gateway)))
        with pytest.raises(Exception, match="not-open"):
            await other.ask("exchange.delivered", said.Delivered(opened.opening, 0, "complete"))
        await gateway.ask("exchange.delivered", said.Delivered(opened.opening, 9, "client-closed"))
        (end,) = inside.entries(DELIVERED)
        assert end.payload is not None
        assert end.payload.details["bytes"] == 9

    run(stopped, tmp_path, testing)


def test_while_it_is_to_cut(stopped: Town, tmp_path: Path) -> None:
    """Its sockets went with it. The revocation ends then, and waits for the other gateway only."""

    async def testing(inside: Inside) -> None:
        gateway, other, carrier = await inside.gateway(), await inside.gateway("other"), inside.carrier()
        await carrier.token(gateway)
        opened: said.Opened = await gateway.ask("exchange.open", carrier.open(await inside.care(carrier, gateway)))
        gateway.acknowledges = other.acknowledges = False
        revoked = inside.revoke("client", CARRIER)
        assert (await gateway.pushes.get()).openings == (opened.opening,)
        await gateway.vanish()
        pushes = [await other.pushes.get(), await other.pushes.get()]  # what hangs on it at once, then all
        assert not revoked.done()
        for push in pushes:
            await other.ask("keeper.acknowledge", said.Acknowledge(push.push))
        _done(await revoked)
        await until(lambda: inside.entries(DELIVERED))
        (end,) = inside.entries(DELIVERED)
        assert end.payload is not None
        assert (end.payload.details["end"], end.payload.details["reason"]) == ("unknown", "revoked")

    run(stopped, tmp_path, testing)


def test_one_that_never_confirms(stopped: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command says so; the change holds; once the gateway confirms, the next command finds all well."""
    monkeypatch.setattr(operator_verbs, "ACKNOWLEDGE_SECONDS", 0.3)

    async def testing(inside: Inside) -> None:
        gateway, carrier = await inside.gateway(), inside.carrier()
        await carrier.token(gateway)
        await gateway.ask("exchange.open", carrier.open(await inside.care(carrier, gateway)))
        gateway.acknowledges = False
        with pytest.raises(Unavailable) as caught:
            await inside.apply(without="care-for-zorgvervoer")
        assert caught.value.code == "cut-unconfirmed"
        revoked: said.Revoked = await inside.revoke("client", CARRIER)
        assert [step["outcome"] for step in revoked.steps] == ["done", "not-done", "not-done"]
        again: said.Revoked = await inside.revoke("client", CARRIER)
        assert [step["outcome"] for step in again.steps] == ["already", "not-done", "not-done"]
        while not gateway.pushes.empty():
            await gateway.ask("keeper.acknowledge", said.Acknowledge(gateway.pushes.get_nowait().push))
        gateway.acknowledges = True
        once_more: said.Revoked = await inside.revoke("client", CARRIER)
        assert [step["outcome"] for step in once_more.steps] == ["already", "done", "done"]

    run(stopped, tmp_path, testing)


def test_an_acknowledgement_of_another_counts_for_nothing(stopped: Town, tmp_path: Path) -> None:
    async def testing(inside: Inside) -> None:
        gateway, other = await inside.gateway(), await inside.gateway("other")
        gateway.acknowledges = False
        revoked = inside.revoke("client", CARRIER)
        push = await gateway.pushes.get()
        await other.pushes.get()
        await other.ask("keeper.acknowledge", said.Acknowledge(push.push))
        await asyncio.sleep(0)
        assert not revoked.done()
        await gateway.ask("keeper.acknowledge", said.Acknowledge(push.push))
        _done(await revoked)

    run(stopped, tmp_path, testing)


def test_one_that_said_no_hello_is_given_nothing(stopped: Town, tmp_path: Path) -> None:
    """Nobody would tell it to cut: "all have confirmed" would not be true of it."""

    async def testing(inside: Inside) -> None:
        gateway, carrier, stranger = await inside.gateway(), inside.carrier(), await inside.stranger()
        await carrier.token(gateway)
        care = await inside.care(carrier, gateway)
        bodies: dict[str, msgspec.Struct] = {
            "keeper.health": said.Nothing(),
            "keeper.certificate": said.CertificateRequest(b"", b""),
            "keeper.acknowledge": said.Acknowledge(1),
            "identity.token": said.TokenRequest(carrier.client, "", "", "", "", "127.0.0.1"),
            "identity.ssh_sign_in": carrier.ssh(),
            "identity.ssh_end": said.SessionEnd("x"),
            "exchange.shares": said.ShareQuery(carrier.caller("/v1/shares")),
            "exchange.open": carrier.open(care),
            "exchange.lookup": said.LookUp(carrier.caller("/v1/lookups/x"), "x", ("1",), "case"),
            "budgets.more": said.AskMore(carrier.caller("/v1/shares/x/more"), "x", 5, "why"),
            "portal.log": AskOwnLog(carrier.caller("/v1/shares")),
            "portal.standing": AskStanding(carrier.caller("/v1/shares")),
            "portal.people": AskColleagues(carrier.caller("/v1/shares")),
            "exchange.progress": said.Progress("x", 1),
            "exchange.delivered": said.Delivered("x", 1, "complete"),
        }
        assert bodies.keys() | {"keeper.hello"} == inside.gateways.verbs().keys()
        for verb, body in bodies.items():
            with pytest.raises(Denied) as refused:
                await stranger.ask(verb, body)
            assert refused.value.code == "no-hello"
        assert not inside.entries(OPENED)
        await stranger.ask("keeper.hello", said.Hello("late", "1"))
        opened: said.Opened = await stranger.ask("exchange.open", carrier.open(care))
        _done(await inside.revoke("client", CARRIER))
        assert opened.opening in (await stranger.pushes.get()).openings

    run(stopped, tmp_path, testing)
