"""A gateway and a keeper of different versions: between two real processes, what only the newest know is taken out."""

from __future__ import annotations

import json
import shutil
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from keten.core.settings import Paths
from keten.drills.supplier import SupplierSystem
from tests.fault.keeper_inside import prepared
from tests.town import CARRIER

_LENGTH = struct.Struct(">I")
# Fields that came later than the protocol did, by verb: what an older process neither says nor knows.
ASKED = {"keeper.certificate": {"present"}, "exchange.shares": {"limit"}}
ANSWERED = {"keeper.hello": {"hosts"}, "exchange.shares": {"next"}, "exchange.open": {"valid_until_us"}}
LATER = {"of_a_later_version": {"some": ["thing"]}}


class Between:
    """Passes frames on between a gateway and a keeper, without the newest fields, and with later ones."""

    def __init__(self, listening: Path, keeper: Path) -> None:
        self._keeper = keeper
        self._verbs: dict[int, str] = {}
        self.passed = 0
        self.taken: set[str] = set()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(listening))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                gateway, _ = self._listener.accept()
                keeper = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                keeper.connect(str(self._keeper))
                for one, other, change in ((gateway, keeper, self._asked), (keeper, gateway, self._answered)):
                    threading.Thread(target=self._pass, args=(one, other, change), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket, change: Any) -> None:
        with suppress(OSError), one.makefile("rb") as frames:
            while head := frames.read(4):
                said = msgspec.msgpack.decode(frames.read(_LENGTH.unpack(head)[0]))
                frame = msgspec.msgpack.encode(change(said))
                other.sendall(_LENGTH.pack(len(frame)) + frame)
                self.passed += 1
        for each in (one, other):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _without(self, body: dict[str, Any], names: set[str]) -> dict[str, Any]:
        self.taken |= names & set(body)
        return {name: value for name, value in body.items() if name not in names} | LATER

    def _asked(self, said: list[Any]) -> list[Any]:
        number, verb, body = said
        self._verbs[number] = verb
        return [number, verb, self._without(body, ASKED.get(verb, set()))]

    def _answered(self, said: list[Any]) -> list[Any]:
        number, ok, body = said
        return [number, ok, self._without(body, ANSWERED.get(self._verbs.get(number, ""), set()))]

    def close(self) -> None:
        self._listener.close()


@contextmanager
def process(*words: str) -> Iterator[dict[str, Any]]:
    """A process of Keten; its ready line."""
    line = [sys.executable, "-m", "keten", *words]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as started:
        assert started.stdout is not None
        try:
            yield json.loads(started.stdout.readline())
        finally:
            started.terminate()
            assert started.wait(30) == 0


def test_without_the_newest_fields_everything_is_served(tmp_path: Path) -> None:
    town = prepared(tmp_path)
    here, there = town.keten.paths, Paths(tmp_path / "g")
    shutil.copytree(here.home, there.home)
    there.gateway_socket.unlink(missing_ok=True)
    there.tls_certificate.unlink()  # so that one is asked for
    shutil.rmtree(there.store)
    there.store.symlink_to(here.store)
    with ExitStack() as stack:
        bind = ("--gateway", "127.0.0.1:0")
        stack.enter_context(process("_keeper", "--home", str(here.home), *bind))
        between = Between(there.gateway_socket, here.gateway_socket)
        stack.callback(between.close)
        ready = stack.enter_context(process("_gateway", "--home", str(there.home), *bind, "--sftp", "off"))
        client = town.keten.ids["client"][CARRIER]
        carrier = SupplierSystem(ready["gateway"], here.ca, client, town.carrier_key.private)
        assert carrier.sign_in().status == 200
        (share,) = carrier.shares()
        answer = carrier.get(f"/v1/objects/{share['objects'][0]['id']}")
        assert (answer.status, answer.body) == (200, town.care.read_bytes())
        part = carrier.get(f"/v1/objects/{share['objects'][0]['id']}", {"Range": "bytes=10-19"})
        assert (part.status, part.body) == (206, town.care.read_bytes()[10:20])
        town.keten.run("revoke", "client", client, "--reason", "a test")
        assert carrier.get("/v1/shares").status == 401
        assert between.passed > 10
        assert {"hosts", "next", "valid_until_us"} <= between.taken
    assert town.keten.command("ledger", "verify").returncode == 0
