"""What is asked of a keeper in one run, step by step, and what it acknowledged."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import msgspec
from sqlalchemy import select

import keten.suppliers.register
import keten.vault.service  # noqa: F401  # with the one above: every table of the register is known
from keten.budgets.checking import ChargesCheck
from keten.core.db import reading_engine
from keten.core.errors import KetenError
from keten.core.settings import Paths
from keten.core.storage import LocalStore
from keten.datasets.rows import datasets
from keten.drills.throwaway import Key
from keten.identity.keys import from_raw
from keten.identity.rows import clients
from keten.keeper import protocol as said
from keten.keeper.client import KeeperClient
from keten.ledger.reading import read_range, size
from keten.ledger.verify import verify
from keten.suppliers.estate import encode
from keten.suppliers.reading import read_file
from keten.vault import frames
from keten.vault.checking import ContentCheck
from keten.vault.rules import digest_text
from keten.vault.tables import objects
from tests.town import CARRIER, PRINTER, Town, estate
from tests.unit.identity.signing import string, userauth

GONE = {"keeper-gone", "keeper-unreachable"}
DAYS = 80
NAME = "a.bin"


class Acknowledged(msgspec.Struct, frozen=True):
    """`what`: entry (`id` at `index`), days, object (`id`), revoked (`id`)."""

    what: str
    id: str = ""
    index: int = -1


class Script:
    """Steps against the keeper of a copy of a town's instance. `told` is called with each acknowledgement."""

    def __init__(self, paths: Paths, town: Town, told: Callable[[Acknowledged], None]) -> None:
        self._paths = paths
        self._town = town
        self._told = told
        self._ids = town.keten.ids
        self.refused: list[str] = []

    def run(self) -> None:
        """All of it; what is refused is noted, and ends nothing unless the keeper is gone."""
        steps: tuple[Callable[[], None], ...] = (
            lambda: self._access(CARRIER, self._town.carrier_key),
            self._apply,
            lambda: self._put(b"first" * 3000),
            lambda: self._access(PRINTER, self._town.printer_key),
            lambda: self._put(b"second" * 40_000),
            self._revoke,
            lambda: self._access(PRINTER, self._town.printer_key),
        )
        for step in steps:
            try:
                step()
            except KetenError as error:
                self.refused.append(error.code)
                if error.code in GONE:
                    return

    def _recorded(self, entry: str, index: int) -> None:
        self._told(Acknowledged("entry", entry, index))

    def _access(self, name: str, key: Key) -> None:
        with KeeperClient(self._paths.gateway_socket, 60.0) as gateway:
            gateway.call("keeper.hello", said.Hello("gateway", "1"), said.Welcome)
            signed_in = gateway.call(
                "identity.ssh_sign_in", _signed(self._ids["client"][name], key), said.SessionOpened
            )
            caller = said.Caller("127.0.0.1", session=said.SessionProof(signed_in.session))
            listed = gateway.call("exchange.shares", said.ShareQuery(caller), said.Shares)
            self._recorded(listed.entry, listed.index)
            for one in (one for share in listed.shares for one in share.objects):
                opened = gateway.call("exchange.open", said.OpenObject(caller, one.id), said.Opened)
                self._recorded(opened.opening, opened.index)
                end = said.Delivered(opened.opening, opened.length, "complete")
                delivered = gateway.call("exchange.delivered", end, said.Recorded)
                self._recorded(delivered.entry, delivered.index)
            gateway.call("identity.ssh_end", said.SessionEnd(signed_in.session), said.Nothing)

    def _apply(self) -> None:
        text = estate(self._town.printer_key.line, self._town.carrier_key.line)
        path = self._paths.home.parent / f"{self._paths.home.name}.yaml"
        path.write_text(text.replace("retention_days: 90", f"retention_days: {DAYS}"), encoding="utf-8")
        with KeeperClient(self._paths.operator_socket, 60.0) as operator:
            operator.call("suppliers.apply", said.Apply(msgspec.Raw(encode(read_file(path)))), said.Applied)
        self._told(Acknowledged("days", self._ids["dataset"]["voters"]))

    def _put(self, content: bytes) -> None:
        digest = digest_text(sha256(content).digest())
        begin = said.PutBegin("voters", NAME, "application/octet-stream", digest, len(content), replace=True)
        with KeeperClient(self._paths.operator_socket, 60.0) as operator:
            ready = operator.call("exchange.put_begin", begin, said.PutReady)
            if ready.unchanged:
                self._told(Acknowledged("object", ready.object))
                return
            blob = frames.encrypt([content], ready.key, frames.new_header(ready.object))
            stored = LocalStore(self._paths.store).put(ready.storage, blob)
            commit = said.PutCommit(ready.object, len(content), stored, digest, 1)
            recorded = operator.call("exchange.put_commit", commit, said.Recorded)
        self._recorded(recorded.entry, recorded.index)
        self._told(Acknowledged("object", ready.object))

    def _revoke(self) -> None:
        client = self._ids["client"][CARRIER]
        with KeeperClient(self._paths.operator_socket, 60.0) as operator:
            operator.call("revocation.revoke", said.Revoke("client", client, "a test"), said.Revoked)
        self._told(Acknowledged("revoked", client))


def _signed(client: str, key: Key) -> said.SshSignIn:
    blob = from_raw(key.private.public_key().public_bytes_raw()).blob
    session = os.urandom(32)
    signed = userauth(client.encode(), blob)
    signature = string(b"ssh-ed25519") + string(key.private.sign(string(session) + signed))
    return said.SshSignIn(client, blob, session, signed, signature, "127.0.0.1")


def missing(paths: Paths, told: list[Acknowledged]) -> list[str]:
    """What of all that was acknowledged the disk does not have, and what else `ledger verify` would say."""
    checks = ChargesCheck(), ContentCheck(paths.store)
    try:
        report = verify(paths.database, paths.ledger, checks=checks, processes=1)
    except KetenError as error:
        return [f"it cannot be verified: {error}"]
    faults = [str(fault) for fault in report.faults]
    engine = reading_engine(paths.database)
    try:
        with engine.connect() as connection:
            entries = {one.id: one.index for one in read_range(connection, 0, size(connection))}
            puts = [one.id for one in told if one.what == "object"]
            for one in told:
                if one.what == "entry" and entries.get(one.id) != one.index:
                    faults.append(f"entry {one.id} at {one.index} is lost")
                if one.what == "days":
                    row = datasets.get(connection, one.id)
                    if row is None or row.retention_days != DAYS:
                        faults.append("the estate that was applied is not in the register")
                if one.what == "revoked":
                    client = clients.get(connection, one.id)
                    if client is None or client.ended is None:
                        faults.append("what was revoked is not")
            there = set(connection.execute(select(objects.c.id)).scalars())
            faults += [f"object {put} is lost" for put in puts[-1:] if put not in there]
    finally:
        engine.dispose()
    return faults


def copy_of(town: Town, target: Path) -> Paths:
    """The paths of a fresh copy of a stopped town's instance."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(town.keten.home, target, symlinks=True)
    return Paths(target)
