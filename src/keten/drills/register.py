"""A register that people are looked up in, and real requests to it: what the drills of lookups share."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from keten.drills.supplier import Answer, SupplierSystem
from keten.drills.throwaway import Key, Throwaway

BUDGET = 300
SUPPLIER_BUDGET = 2000
BREAKER = 20_000
_STEP = 97  # between two keys that there are: most numbers are nobody's
_AT_ONCE = 32
_GIVES_UP_AFTER = 40  # refusals in a row
_ROWS_AT_ONCE = 100_000

_ESTATE = """
organisation: {{name: Agentschap Voorbeeld, country: NL, timezone: Europe/Amsterdam}}
people:
  - {{id: dpo, email: dpo@agentschap.example, roles: [privacy-officer]}}
suppliers:
  - id: partner
    name: Partner voor werk
    country: NL
    tier: critical
    budget: {{records: {supplier}, per: day}}
    clients: [{clients}]
contracts:
  - {{id: vwo-1, supplier: partner, starts: 2026-01-01, ends: 2099-12-31, purposes: [job-placement], countries: [NL]}}
datasets:
  - id: jobseekers
    owner: dpo
    classification: confidential
    retention_days: 365
    table:
      key: nir
      columns:
        - {{name: nir, category: identifier}}
        - {{name: name, category: name}}
        - {{name: phone, category: contact}}
    breaker: {{records: {breaker}, per: day}}
grants:
  - id: lookup-for-partner
    dataset: jobseekers
    contract: vwo-1
    purpose: job-placement
    form: lookup
    columns: [name, phone]
    budget: {{records: {budget}, per: day}}
"""


class Taken(msgspec.Struct):
    """What somebody got: records (their keys), what was refused by code, and how long it took in seconds."""

    records: set[str]
    refused: dict[str, int]
    seconds: float
    requests: int


def key_of(person: int) -> str:
    """The key of a person in the register."""
    return f"{person * _STEP + 1_000_000_000_000:013d}"


class Register:
    """A running instance with a register of `people`, and `clients` systems of one partner.

    limits: records a day of a client, of the partner, and of everybody. settings: more of keten.toml.
    """

    def __init__(
        self,
        people: int,
        clients: int,
        say: Callable[[str], None],
        folder: Path | None = None,
        *,
        limits: tuple[int, int, int] = (BUDGET, SUPPLIER_BUDGET, BREAKER),
        settings: str = "",
    ) -> None:
        self._limits = limits
        self.people = people
        self._say = say
        self.keten = Throwaway(folder, settings='[geo]\nnetworks = {"127.0.0.0/8" = "NL"}\n' + settings)
        self._keys = [Key(self.keten.folder / f"adviser-{number}") for number in range(clients)]
        self.sealing_seconds = 0.0
        self._share = ""

    def start(self) -> None:
        """Run, declare, put."""
        self._say(f"An instance with a register of {self.people:,} people, and {len(self._keys)} advisers' systems …")
        self.keten.up()
        clients = ", ".join(f'{{id: adviser-{n}, keys: ["{key.line}"]}}' for n, key in enumerate(self._keys))
        budget, supplier, breaker = self._limits
        self.keten.apply(_ESTATE.format(clients=clients, budget=budget, supplier=supplier, breaker=breaker))
        source = self.keten.folder / "register.csv"
        self._write(source)
        began = time.monotonic()
        self.keten.run("put", "jobseekers", str(source))
        self.sealing_seconds = time.monotonic() - began
        source.unlink()

    def _write(self, path: Path) -> None:
        with path.open("w", encoding="utf-8") as stream:
            stream.write("nir,name,phone\n")
            for first in range(0, self.people, _ROWS_AT_ONCE):
                last = min(self.people, first + _ROWS_AT_ONCE)
                stream.write("".join(f"{key_of(n)},Persoon {n},06{n:08d}\n" for n in range(first, last)))

    def system(self, number: int) -> SupplierSystem:
        """An adviser's system, signed in."""
        client = self.keten.ids["client"][f"adviser-{number}"]
        system = SupplierSystem(self.keten.ready["gateway"], self.keten.paths.ca, client, self._keys[number].private)
        answer = system.sign_in()
        if answer.status != HTTPStatus.OK:
            raise RuntimeError(f"no token: {answer.status} {answer.body!r}")
        self._share = self._share or system.shares()[0]["id"]
        return system

    def look_up(self, system: SupplierSystem, key: str) -> Answer:
        """One lookup over HTTPS."""
        return system.get(self.path_of(key))

    def path_of(self, key: str) -> str:
        """Where a key is looked up, once somebody has signed in."""
        return f"/v1/lookups/{self._share}?key={quote(key)}&case=DRILL"

    def take(self, system: SupplierSystem, keys: Iterable[str], at_once: int = _AT_ONCE) -> Taken:
        """Ask for key after key, many at once, until nothing more is given; what is not answered is tried again."""
        taken = Taken(set(), {}, 0.0, 0)
        wanted, lock = iter(keys), threading.Lock()
        in_a_row = 0

        def work() -> None:
            nonlocal in_a_row
            while True:
                with lock:
                    key = next(wanted, None)
                    if key is None or in_a_row >= _GIVES_UP_AFTER:
                        return
                answer = self._patiently(system, key)
                with lock:
                    taken.requests += 1
                    if answer.status == HTTPStatus.OK:
                        taken.records.add(key)
                        in_a_row = 0
                    else:
                        code = str(_code(answer))
                        taken.refused[code] = taken.refused.get(code, 0) + 1
                        in_a_row += answer.status != HTTPStatus.NOT_FOUND

        began = time.monotonic()
        with ThreadPoolExecutor(at_once) as pool:
            for done in [pool.submit(work) for _ in range(at_once)]:
                done.result()
        taken.seconds = time.monotonic() - began
        return taken

    def _patiently(self, system: SupplierSystem, key: str) -> Answer:
        """A lookup that goes on when a process was killed meanwhile; signs in again when it must, and may."""
        for _attempt in range(200):
            with suppress(OSError):
                answer = self.look_up(system, key)
                if answer.status == HTTPStatus.UNAUTHORIZED:
                    signed = system.sign_in()
                    if signed.status in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED):
                        return signed  # it may not any more: the watch has stopped it
                elif answer.status != HTTPStatus.SERVICE_UNAVAILABLE:
                    return answer
            time.sleep(0.1)
        raise RuntimeError("the instance does not come back")

    def kill(self, name: str) -> None:
        """Kill -9 one of the processes; it is started again."""
        os.kill(self.keten.pid(name), signal.SIGKILL)

    def entries(self, kind: str) -> list[dict[str, Any]]:
        """The ledger's entries of a kind."""
        done = self.keten.command("ledger", "show", "--json", "--kind", kind)
        return [json.loads(line) for line in done.stdout.splitlines()]


def guesses(seed: int, people: int, misses: float, known: range) -> Iterator[str]:
    """Keys of somebody who knows some of them: the share `misses` of those that he tries is nobody's."""
    chance = random.Random(seed)  # noqa: S311  # which keys a drill tries is no secret
    people_left = iter(known)
    while True:
        if chance.random() < misses:
            yield f"{chance.randrange(people) * _STEP + chance.randrange(1, _STEP) + 1_000_000_000_000:013d}"
        else:
            person = next(people_left, None)
            if person is None:
                return
            yield key_of(person)


def _code(answer: Answer) -> object:
    try:
        return answer.json().get("code") or answer.status
    except ValueError:
        return answer.status
