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

from keten.drills.history import DAYS, Known, known_from, ordinary, teach
from keten.drills.siem import Siem
from keten.drills.supplier import Answer, SupplierSystem
from keten.drills.throwaway import Key, Throwaway
from keten.keeper.follow_protocol import Follow, Followed, Following
from keten.watch.model import Event
from keten.watch.reading import event_of

BUDGET = 300
SUPPLIER_BUDGET = 2000
BREAKER = 20_000
_STEP = 97  # between two keys that there are: most numbers are nobody's
_AT_ONCE = 32
_GIVES_UP_AFTER = 40  # refusals in a row
_ROWS_AT_ONCE = 100_000
_ROWS_SHOWN = 5_000_000
_SHOWN_SECONDS = 20.0

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

    say: told how far a large register is. limits: records a day of a client, of the partner, and of everybody.
    settings: more of keten.toml.
    """

    def __init__(
        self,
        people: int,
        clients: int,
        say: Callable[[str], None] = lambda _far: None,
        folder: Path | None = None,
        *,
        limits: tuple[int, int, int] = (BUDGET, SUPPLIER_BUDGET, BREAKER),
        settings: str = "",
    ) -> None:
        self._limits = limits
        self.people = people
        self._say = say
        self._settings = '[geo]\nnetworks = {"127.0.0.0/8" = "NL"}\n' + settings
        self.keten = Throwaway(folder, settings=self._settings)
        self._keys = [Key(self.keten.folder / f"adviser-{number}") for number in range(clients)]
        self.sealing_seconds = 0.0
        self._share = ""

    def send_events_to(self, siem: Siem) -> None:
        """Before the start: events go to that receiver."""
        self.keten.configure(self._settings + siem.settings)

    def client(self, number: int) -> str:
        """The id of a system."""
        return self.keten.ids["client"][f"adviser-{number}"]

    def start(self) -> None:
        """Run, declare, put."""
        self.keten.up()
        clients = ", ".join(f'{{id: adviser-{n}, keys: ["{key.line}"]}}' for n, key in enumerate(self._keys))
        budget, supplier, breaker = self._limits
        self.keten.apply(_ESTATE.format(clients=clients, budget=budget, supplier=supplier, breaker=breaker))
        source = self.keten.folder / "register.csv"
        self._write(source)
        began = time.monotonic()
        over = threading.Event()
        showing = threading.Thread(target=self._show_sealing, args=(began, over), daemon=True)
        showing.start()
        try:
            self.keten.run("put", "jobseekers", str(source))
        finally:
            over.set()
            showing.join()
        self.sealing_seconds = time.monotonic() - began
        source.unlink()

    def _write(self, path: Path) -> None:
        with path.open("w", encoding="utf-8") as stream:
            stream.write("nir,name,phone\n")
            for first in range(0, self.people, _ROWS_AT_ONCE):
                last = min(self.people, first + _ROWS_AT_ONCE)
                stream.write("".join(f"{key_of(n)},Persoon {n},06{n:08d}\n" for n in range(first, last)))
                if last % _ROWS_SHOWN == 0:
                    self._say(f"csv {last // 1_000_000} / {self.people // 1_000_000} M")

    def _show_sealing(self, began: float, over: threading.Event) -> None:
        while not over.wait(_SHOWN_SECONDS):
            self._say(f"keten put: {time.monotonic() - began:.0f} s")

    def system(self, number: int) -> SupplierSystem:
        """An adviser's system, signed in."""
        client, key = self.client(number), self._keys[number].private
        system = SupplierSystem(self.keten.ready["gateway"], self.keten.paths.ca, client, key)
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

    def take(
        self,
        system: SupplierSystem,
        keys: Iterable[str],
        at_once: int = _AT_ONCE,
        *,
        per_second: float = 0.0,
        seconds: float = 600.0,
    ) -> Taken:
        """Ask for key after key, many at once, until nothing more is given; what is not answered is tried again.

        per_second: no more requests than that; 0: as fast as it goes. seconds: then he gives up.
        """
        taken = Taken(set(), {}, 0.0, 0)
        began = due = time.monotonic()
        wanted, lock = iter(keys), threading.Lock()
        in_a_row = 0

        def work() -> None:
            nonlocal in_a_row, due
            while True:
                with lock:
                    key = next(wanted, None)
                    if key is None or in_a_row >= _GIVES_UP_AFTER or time.monotonic() - began > seconds:
                        return
                    if per_second:
                        due = max(due + 1 / per_second, time.monotonic())
                        time.sleep(due - time.monotonic() if due > time.monotonic() else 0)
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

        with ThreadPoolExecutor(at_once) as pool:
            for done in [pool.submit(work) for _ in range(at_once)]:
                done.result()
        taken.seconds = time.monotonic() - began
        return taken

    def look_up_patiently(self, system: SupplierSystem, key: str) -> tuple[int, str]:
        """The status of a lookup and the code of a refusal, "" for none; goes on when a process is killed."""
        answer = self._patiently(system, key)
        return answer.status, "" if answer.status == HTTPStatus.OK else str(_code(answer))

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

    def acquaint(self, now_us: int) -> dict[str, Known]:
        """Let the watch know every system as one that worked for four weeks until now; what their events look like.

        Each has signed in and looked somebody up before. The instance is stopped and started: systems sign in again.
        """
        known = known_from(self.events())
        after = self.followed()[-1].index + 1
        self.keten.down()
        teach(self.keten.paths.watch, ordinary(known, now_us, range(-DAYS, 0)), after)
        self.keten.up()
        return known

    def followed(self, after: int = 0) -> list[Followed]:
        """The ledger's entries from an index on, as its followers read them."""
        found: list[Followed] = []
        with self.keten.keeper() as client:
            while True:
                some = client.call("ledger.follow", Follow(after + len(found)), Following).entries
                if not some:
                    return found
                found += some

    def events(self, after: int = 0) -> list[Event]:
        """The same as the watch reads them."""
        read = (event_of(one.index, one.id, one.time_us, one.kind, one.read()) for one in self.followed(after))
        return [event for event in read if event is not None]

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
