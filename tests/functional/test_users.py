"""Keeper and gateway under users of their own: suppliers are served, and the gateway's user reaches nothing more.

The intruder has everything that the gateway's user has: its files, its sockets, its place beside the keeper.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import paramiko
import pytest

from keten.keeper.protocol import SshSignIn
from tests.functional.separate import GATEWAY, KEEPER, Separate
from tests.town import CARRIER, PRINTER
from tests.unit.identity.signing import string, userauth

INTRUDER = Path(__file__).with_name("intruder.py")


@pytest.fixture(scope="module")
def town() -> Iterator[Separate]:
    with Separate() as made:
        made.set_up()
        made.start()
        yield made


@pytest.fixture(scope="module")
def intrusion(town: Separate) -> dict[str, Any]:
    """What an intruder got out of it, and the entries made meanwhile."""
    printer = town.system(PRINTER)
    (own,) = printer.shares()[0]["objects"]
    (others,) = town.system(CARRIER).shares()[0]["objects"]
    url = f"{printer.url}/v1/objects/{own['id']}"
    before = len(town.entries())
    every = [path for path in (town.home, *town.home.rglob("*")) if not path.is_symlink()]
    task = {
        "keeper": town.keeper_pid,
        "paths": [str(path) for path in every if not path.is_socket()],
        "sockets": [str(path) for path in every if path.is_socket()],
        "store": str(town.paths.store),
        "known": [*town.voters.decode().splitlines()[:2], "Zorgdossier", "Kiezer 19999"],
        "url": printer.url,
        "ca": str(town.paths.ca),
        "client": printer.client_id,
        "key": town.printer_key.path.read_text(),
        "token": printer.token,
        "proof": printer.proof("GET", url, printer.token),
        "proof_url": url,
        "ssh": base64.b64encode(msgspec.msgpack.encode(_signature(town, printer.client_id))).decode(),
        "own": own["id"],
        "others": others["id"],
        "socket": str(town.paths.gateway_socket),
    }
    done = town.python.run(GATEWAY, str(INTRUDER), said=json.dumps(task))
    assert done.returncode == 0, done.stderr
    return {**json.loads(done.stdout), "task": task, "entries": town.entries()[before:]}


def _signature(town: Separate, client: str) -> SshSignIn:
    """A good signature over a session that the client has with the gateway, as the gateway sees it."""
    from keten.identity.keys import parse_line

    blob, session = parse_line(town.printer_key.line).blob, os.urandom(32)
    signed = userauth(client.encode(), blob)
    made = town.printer_key.private.sign(string(session) + signed)
    return SshSignIn(client, blob, session, signed, string(b"ssh-ed25519") + string(made), "127.0.0.1")


def _inside(town: Separate, paths: list[str]) -> set[str]:
    """The first parts of paths inside the instance."""
    return {Path(path).relative_to(town.home).parts[0] if Path(path) != town.home else "." for path in paths}


def test_suppliers_are_served_over_both_doors(town: Separate) -> None:
    printer = town.system(PRINTER)
    (listed,) = printer.shares()[0]["objects"]
    assert printer.get(f"/v1/objects/{listed['id']}").body == town.voters
    host, _, port = town.ready["sftp"].rpartition(":")
    with socket.create_connection((host, int(port))) as wire, paramiko.Transport(wire) as transport:
        key = paramiko.Ed25519Key.from_private_key_file(str(town.carrier_key.path))
        transport.connect(username=town.ids["client"][CARRIER], pkey=key)
        sftp = paramiko.SFTPClient.from_transport(transport)
        assert sftp is not None
        (share,) = sftp.listdir("/")
        with sftp.open(f"/{share}/c.txt") as remote:
            assert remote.read() == town.care
    kinds = {entry["kind"] for entry in town.entries()}
    assert {"exchange.object.opened", "exchange.object.delivered"} <= kinds
    (connected,) = town.entries("--kind", "keeper.gateway.connected")[:1]
    assert connected["details"]["user"] == str(GATEWAY)
    verified = town.python.run(KEEPER, "-m", "keten", "ledger", "verify", "--home", str(town.home))
    assert verified.returncode == 0, verified.stdout


def test_the_gateways_user_reads_only_what_the_manual_says(town: Separate, intrusion: dict[str, Any]) -> None:
    assert intrusion["user"] == GATEWAY
    readable = intrusion["files"]["readable"]
    assert _inside(town, readable) == {".", "keten.toml", "ca.pem", "ledger", "store", "gateway", "run"}
    allowed = {town.paths.run, *town.paths.run.glob("*.lock"), town.paths.gateway_socket.parent}
    assert {Path(path) for path in readable if Path(path).is_relative_to(town.paths.run)} <= allowed
    assert str(town.paths.tls_key) in readable, "it looked as the gateway's user"
    for secret in (town.paths.root_key, town.paths.database, town.paths.keeper / "authority.sealed"):
        assert str(secret) in intrusion["task"]["paths"]
        assert str(secret) not in readable


def test_it_writes_nothing_but_its_own_folder(town: Separate, intrusion: dict[str, Any]) -> None:
    assert _inside(town, intrusion["files"]["writable"]) == {"gateway"}


def test_it_speaks_on_its_own_socket_only(town: Separate, intrusion: dict[str, Any]) -> None:
    others = (town.paths.operator_socket, town.paths.console_socket)
    assert intrusion["sockets"] == {str(town.paths.gateway_socket): "done"} | {str(one): "EACCES" for one in others}


def test_it_reaches_nothing_in_the_keepers_memory(intrusion: dict[str, Any]) -> None:
    assert set(intrusion["memory"].values()) <= {"EACCES", "EPERM"}, intrusion["memory"]
    assert len(intrusion["memory"]) == 8


def test_not_even_the_keepers_user_reads_the_keepers_memory(town: Separate) -> None:
    task = json.dumps({"pid": town.keeper_pid})
    done = town.python.run(KEEPER, str(INTRUDER), said=task)
    found = json.loads(done.stdout)["memory"]
    assert found.pop("signal") == "done"
    assert set(found.values()) <= {"EACCES", "EPERM"}, found


def test_the_store_holds_nothing_in_the_clear(town: Separate, intrusion: dict[str, Any]) -> None:
    readable = {Path(path) for path in intrusion["files"]["readable"]}
    blobs = [path for path in town.paths.store.rglob("*") if path.is_file()]
    assert len(blobs) == 2
    assert set(blobs) <= readable, "the ciphertext is the gateway's to read"
    assert intrusion["in the clear"] == []


def test_without_a_callers_proof_nothing_opens(intrusion: dict[str, Any]) -> None:
    assert len(intrusion["tries"]) == 16
    assert "opened" not in intrusion["tries"].values()
    assert "not-opened" not in intrusion["tries"].values()
    assert intrusion["signature of another session"] == "proof-invalid"


def test_what_a_caller_showed_counts_once(intrusion: dict[str, Any]) -> None:
    """The stated limit: a proof that the gateway has, and did not hand in, is a proof; a second time it is none.

    An SSH signature opens a session, in which the client's own objects can be opened, each with its entry.
    """
    assert intrusion["witnessed proof"] == ["done", "proof-replayed"]
    assert intrusion["witnessed signature"] == ["done", "proof-replayed"]
    assert intrusion["its session"] == ["done", "absent"]
    assert intrusion["its session, ended"] == "session-ended"


def test_no_entry_names_a_caller_whose_proof_it_has_not_got(intrusion: dict[str, Any]) -> None:
    client = intrusion["task"]["client"]
    about = [entry for entry in intrusion["entries"] if entry["actor"] == client]
    kinds = sorted(entry["kind"] for entry in about if entry.get("outcome") != "deny")
    # The one proof and the one signature that it had: an object opened by each (and their ends), and one session.
    assert [kind for kind in kinds if kind != "exchange.object.delivered"] == [
        "exchange.object.opened",
        "exchange.object.opened",
        "identity.client.signed_in",
    ]
    allowed = {entry["kind"] for entry in intrusion["entries"] if entry["actor"] != client}
    assert allowed <= {"keeper.gateway.connected", "identity.client.refused", "identity.strangers.refused"}, allowed


def test_modes_are_what_the_manual_says(town: Separate) -> None:
    paths = town.paths
    expected = {
        paths.home: (0o755, KEEPER, KEEPER),
        paths.keeper: (0o700, KEEPER, KEEPER),
        paths.root_key: (0o600, KEEPER, KEEPER),
        paths.keeper / "authority.sealed": (0o600, KEEPER, KEEPER),
        paths.database_folder: (0o750, KEEPER, KEEPER),
        paths.store: (0o2750, KEEPER, GATEWAY),
        paths.ledger: (0o755, KEEPER, KEEPER),
        paths.gateway: (0o700, GATEWAY, GATEWAY),
        paths.tls_key: (0o600, GATEWAY, GATEWAY),
        paths.ssh_host_key: (0o600, GATEWAY, GATEWAY),
        paths.operator_socket.parent: (0o750, KEEPER, KEEPER),
        paths.gateway_socket.parent: (0o755, KEEPER, KEEPER),
        paths.console_socket: (0o600, KEEPER, KEEPER),
    }
    found = {}
    for path in expected:
        status = path.stat()
        found[path] = (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)
    assert found == expected
    for blob in paths.store.rglob("*"):
        assert blob.stat().st_gid == GATEWAY
        assert not blob.stat().st_mode & 0o022


def test_the_gateway_gets_its_certificate_with_a_key_of_its_own(town: Separate) -> None:
    """Nobody has to renew it: the gateway's user makes the key, the keeper signs, and neither reads the other's."""
    before = town.paths.tls_key.read_bytes()
    town.paths.tls_key.unlink()
    town.paths.tls_certificate.unlink()
    town.start_gateway()
    assert town.paths.tls_key.read_bytes() != before
    assert town.system(PRINTER).get("/v1/shares").status == 200, "it is valid for the address, by the same authority"
    status = town.paths.tls_key.stat()
    assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (GATEWAY, 0o600)
    issued = [entry for entry in town.entries() if entry["kind"] == "keeper.certificate.issued"]
    assert "127.0.0.1" in issued[-1]["details"]["hosts"]


def test_the_doctor_finds_no_fault_in_it(town: Separate) -> None:
    done = town.python.run(KEEPER, "-m", "keten", "doctor", "--home", str(town.home), "--json")
    findings = json.loads(done.stdout)["findings"]
    assert not [one for one in findings if one["severity"] == "wrong"], findings
    assert not {"one-user", "root"} & {one["code"] for one in findings}
