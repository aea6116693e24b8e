"""How long it takes to be refused at sign-in with a passkey that is known, and with one that is not."""

from __future__ import annotations

import math
import random
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from bench.figure import Figure
from keten.core.errors import KetenError
from keten.drills.throwaway import Throwaway
from keten.keeper import people_protocol as said
from keten.keeper.client import KeeperClient
from tests.authenticator import Authenticator

if TYPE_CHECKING:
    from bench.__main__ import Asked

PAIRS, AT_ONCE = 10_000, 8
PER_NETWORK = 8  # ten failures in a row block one
ORIGIN, BROWSER = "http://localhost:8085", "a" * 64
ESTATE = """
organisation: {name: Rijnstad, country: NL, timezone: Europe/Amsterdam}
people: [{id: reader, email: reader@example.org, roles: [auditor]}]
"""
REACH = "no difference at p < 0.01 (sign test over pairs)"


def figures(asked: Asked) -> Iterator[Figure]:
    """Pairs in random order: a wrong signature by a known passkey, and a passkey that is nobody's."""
    pairs = asked.size or (64 if asked.quick else PAIRS)
    with tempfile.TemporaryDirectory() as folder, Throwaway(Path(folder)) as instance:
        instance.up("--gateway", "off", "--sftp", "off", "--console", "off")
        instance.apply(ESTATE)
        asking = Asking(instance)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            found = list(pool.map(asking.pair, range(pairs)))
    known, unknown = (sorted(times) for times in zip(*found, strict=True))
    slower = sum(one > other for one, other in found)
    z = (slower - pairs / 2) / math.sqrt(pairs / 4)
    p = math.erfc(abs(z) / math.sqrt(2))
    middle = pairs // 2
    yield Figure(
        name="alike",
        size=f"{pairs:,} pairs, {AT_ONCE} at once, at the keeper's console socket",
        measured={"known_ms": round(known[middle] * 1e3, 3), "p99_ms": round(known[pairs * 99 // 100] * 1e3, 3)},
        peer="the same with an unknown passkey",
        peer_measured={
            "unknown_ms": round(unknown[middle] * 1e3, 3),
            "p99_ms": round(unknown[pairs * 99 // 100] * 1e3, 3),
        },
        ratio=round(known[middle] / unknown[middle], 4),
        better="lower",
        reach=REACH,
        met=p >= 0.01,
        note=f"z {z:.2f}, p {p:.3f}; every code was sign-in-failed",
    )


class Asking:
    """A person with a passkey, and connections of a console, one for each thread."""

    def __init__(self, instance: Throwaway) -> None:
        self._path = instance.paths.console_socket
        self._local = threading.local()
        key = Authenticator(ORIGIN)
        token = instance.run("person", "invite", "reader")["token"]
        begun = self._client().call("people.enrol_begin", said.EnrolBegin(token, "192.0.2.1", BROWSER), said.Enrolment)
        made = said.Finished(begun.ceremony.id, key.create(begun.ceremony.options), "192.0.2.1", BROWSER)
        self._client().call("people.enrol", made, said.SessionOpened)
        self._forged, self._unknown = Authenticator(ORIGIN), Authenticator(ORIGIN)
        self._forged.credential, self._forged.user, self._unknown.user = key.credential, key.user, key.user

    def _client(self) -> KeeperClient:
        if not hasattr(self._local, "client"):
            self._local.client = KeeperClient(self._path, timeout=60)
            self._local.client.call("people.origin", said.Origin(ORIGIN), said.Done)
        client: KeeperClient = self._local.client
        return client

    def pair(self, number: int) -> tuple[float, float]:
        """Seconds until the answer, for the known and the unknown passkey, asked in random order."""
        network = number * 2 // PER_NETWORK
        address = f"10.{network // 250 % 250}.{network % 250}.1"
        keys = [(0, self._forged), (1, self._unknown)]
        random.shuffle(keys)
        took = [0.0, 0.0]
        for at, key in keys:
            begun = self._client().call("people.sign_in_begin", said.SignInBegin(address, BROWSER), said.Ceremony)
            shown = said.Finished(begun.id, key.get(begun.options, counter=1_000_000 + number), address, BROWSER)
            started = time.perf_counter()
            try:
                self._client().call("people.sign_in", shown, said.SessionOpened)
                code = "signed-in"
            except KetenError as error:
                code = error.code
            took[at] = time.perf_counter() - started
            if code != "sign-in-failed":
                raise AssertionError(code)
        return took[0], took[1]
