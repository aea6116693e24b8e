"""What an instance keeps and publishes, looked through byte by byte after suppliers were served (laws 7, 9 and 14)."""

from __future__ import annotations

import json
import os
import pwd
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import paramiko
import pytest

from tests.town import CARRIER, Town


class Served:
    """What passed over the wire while a supplier was served, and who it was."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.carrier = town.system(CARRIER, town.carrier_key)
        self.assertion = self.carrier.assertion()
        answer = self.carrier.sign_in(self.assertion)
        if answer.status != 200:  # after a start, a nonce is asked for
            answer = self.carrier.sign_in(self.assertion)
        assert answer.status == 200
        self.object = self.carrier.shares()[0]["objects"][0]["id"]
        proof = self.carrier.proof("GET", f"{self.carrier.url}/v1/objects/{self.object}", self.carrier.token)
        self.proof = proof
        headers = {"Authorization": f"DPoP {self.carrier.token}", "DPoP": proof}
        got = self.carrier.ask("GET", f"/v1/objects/{self.object}", headers)
        assert got.status == 200
        self.entry = got.headers["keten-entry"]
        host, _, port = town.keten.ready["sftp"].rpartition(":")
        with paramiko.Transport((host, int(port))) as transport:
            key = paramiko.Ed25519Key.from_private_key_file(str(town.carrier_key.path))
            transport.connect(username=self.carrier.client_id, pkey=key)
            sftp = paramiko.SFTPClient.from_transport(transport)
            assert sftp is not None
            assert sftp.listdir("/")

    def entries(self) -> list[dict[str, Any]]:
        done = self.town.keten.command("ledger", "show", "--json")
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def served(town: Town) -> Served:
    return Served(town)


def _files(folder: Path) -> Iterator[tuple[Path, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield path, path.read_bytes()


def _published(served: Served) -> dict[Path, bytes]:
    """The public tree, once everything is in it."""
    size = served.town.keten.run("status")["keeper"]["size"]
    deadline = time.monotonic() + 60
    while served.town.keten.run("status")["keeper"]["published"] < size:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return dict(_files(served.town.keten.paths.ledger))


def test_what_is_published_says_nothing_of_anyone(served: Served) -> None:
    ids = [row for rows in served.town.keten.ids.values() for row in rows.values()]
    names = [name for rows in served.town.keten.ids.values() for name in rows]
    # Words that are too short may stand in a hash by chance.
    words = [*ids, *(name for name in names if len(name) > 8), served.object, "dpo@gemeente.example", "127.0.0.1"]
    for path, content in _published(served).items():
        for word in words:
            assert word.encode() not in content, f"{word} in {path}"


def test_a_leaf_is_an_id_and_a_commitment(served: Served) -> None:
    leaves = []
    for path, content in _published(served).items():
        if "entries" in path.parts and ".p" not in path.parent.name:
            leaves += _leaves(content)
    partial = [path for path in _published(served) if "entries" in path.parts and ".p" in path.parent.name]
    leaves += _leaves(max(partial, key=lambda path: int(path.name)).read_bytes()) if partial else []
    assert served.entry in {leaf["id"] for leaf in leaves}
    for leaf in leaves:
        assert set(leaf) == {"id", "v", "commitment"}
    assert len({leaf["commitment"] for leaf in leaves}) == len(leaves), "each is salted"


def _leaves(bundle: bytes) -> list[dict[str, Any]]:
    """c2sp.org/tlog-tiles: each leaf behind its length in two bytes."""
    found, at = [], 0
    while at < len(bundle):
        length = int.from_bytes(bundle[at : at + 2], "big")
        found.append(msgspec.json.decode(bundle[at + 2 : at + 2 + length]))
        at += 2 + length
    return found


def test_where_a_supplier_came_from_is_kept_under_its_key_only(served: Served) -> None:
    for entry in served.entries():
        if entry["kind"].startswith(("exchange.", "identity.client.")):
            assert "127.0.0.1" not in json.dumps(entry), entry["kind"]


def test_no_secret_of_a_caller_is_kept(served: Served) -> None:
    """Nor what would let somebody who reads the disk, or a copy of it, sign in as a supplier."""
    secrets = {
        "token": served.carrier.token,
        "assertion": served.assertion.rpartition(".")[2],
        "proof": served.proof.rpartition(".")[2],
        "nonce": served.carrier.nonce,
    }
    assert all(len(secret) > 20 for secret in secrets.values())
    seen = 0
    for path, content in _files(served.town.keten.home):
        seen += served.carrier.client_id.encode() in content
        for name, secret in secrets.items():
            assert secret.encode() not in content, f"{name} in {path}"
    assert seen, "the database was looked at"


def test_content_lies_there_in_no_clear(served: Served) -> None:
    line = served.town.voters.read_bytes().splitlines()[1000]
    for path, content in _files(served.town.keten.home):
        assert line not in content, path


def test_whoever_did_it_at_the_command_line_is_named(served: Served) -> None:
    """By the operating system's word, not by their own."""
    operator = f"operator:{pwd.getpwuid(os.getuid()).pw_name}"
    made = {
        "suppliers.grant.declared",
        "vault.object.stored",
        "identity.client.declared",
    }
    actors = {entry["kind"]: entry["actor"] for entry in served.entries() if entry["kind"] in made}
    assert actors == dict.fromkeys(made, operator)
