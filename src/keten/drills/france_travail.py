"""The drill `france-travail`: a register of people, advisers at work, and stolen logins that know every key.

In February and March 2024 thieves with logins of advisers took 36,820,828 people in about four weeks, 15 records a
second (CNIL, deliberation SAN-2026-003). Here the thief is better still: he knows who is in the register, so that he
never misses.

1. Advisers look up the people they work for.
2. One stolen login asks for person after person, many at once, while keeper and gateway are killed.
3. Ten stolen logins of the same partner, together.
4. What a patient thief takes, who never asks for more than he may.
5. The ledger: every record that came out is in it, charged, and it verifies.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

from keten.drills.register import BUDGET, SUPPLIER_BUDGET, Register, Taken, key_of
from keten.drills.scoreboard import Scoreboard

ADVISERS, STOLEN = 6, 10
WORK = 12
DAYS = 28
TAKEN_THERE, PEOPLE_THERE, RATE_THERE = 36_820_828, 36_820_828, 15.2
_TRIES = 4 * BUDGET


class FranceTravail:
    """One run of the drill. `people`: in the register. `say` tells what happens, for a terminal."""

    def __init__(self, say: Callable[[str], None], people: int = 1_000_000, folder: Path | None = None) -> None:
        self._say = say
        self._register = Register(people, ADVISERS + 1 + STOLEN, say, folder)
        self.board = Scoreboard("france-travail")
        self._out: set[str] = set()

    def run(self) -> Scoreboard:
        """All five steps; the instance is gone afterwards."""
        with self._register.keten:
            self._register.start()
            self._honest()  # 1
            one = self._one_login()  # 2
            self._ten_logins()  # 3
            self._patient(one)  # 4
            self._ledger()  # 5
        return self.board

    def _honest(self) -> None:
        self._say("Advisers at work …")
        chance = random.Random(1)  # noqa: S311  # whom advisers look up in a drill is no secret
        slowest, refused = 0.0, 0
        for number in range(ADVISERS):
            system = self._register.system(number)
            for _case in range(WORK):
                key = key_of(chance.randrange(self._register.people))
                began = time.monotonic()
                answer = self._register.look_up(system, key)
                slowest = max(slowest, time.monotonic() - began)
                refused += answer.status != 200
                self._out.add(key)
        self.board.add(
            f"{ADVISERS} advisers, {WORK} people each",
            "served",
            f"{ADVISERS * WORK - refused} of {ADVISERS * WORK} served, the slowest in {slowest * 1000:.0f} ms",
            held=refused == 0,
            refused=refused,
            slowest_ms=round(slowest * 1000, 1),
        )

    def _one_login(self) -> Taken:
        self._say("One stolen login, which knows every key; keeper and gateway are killed meanwhile …")
        system = self._register.system(ADVISERS)
        killing = threading.Thread(target=self._kill, daemon=True)
        killing.start()
        taken = self._register.take(system, map(key_of, range(_TRIES)))
        killing.join()
        self._out |= taken.records
        people = self._register.people
        self.board.add(
            "one stolen login, as fast as it can",
            f"at most the budget: {BUDGET} people a day",
            f"{len(taken.records)} people of {people:,} ({len(taken.records) / people:.4%}) in {taken.seconds:.1f} s, "
            f"then nothing; in {DAYS} days at most {DAYS * BUDGET:,}",
            held=len(taken.records) <= BUDGET,
            records=len(taken.records),
            seconds=round(taken.seconds, 2),
            requests=taken.requests,
            refused=taken.refused,
        )
        return taken

    def _kill(self) -> None:
        for name in ("keeper", "gateway", "keeper"):
            time.sleep(0.4)
            self._register.kill(name)
            time.sleep(1.0)

    def _ten_logins(self) -> None:
        self._say("Ten stolen logins of the same partner …")
        before = len(self._out)
        results: list[Taken] = []
        threads = []
        for number in range(STOLEN):
            system = self._register.system(ADVISERS + 1 + number)
            keys = [key_of(_TRIES + number * _TRIES + each) for each in range(_TRIES)]
            threads.append(
                threading.Thread(target=lambda s=system, k=keys: results.append(self._register.take(s, k, 4)))
            )
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for taken in results:
            self._out |= taken.records
        most = max(len(taken.records) for taken in results)
        got = len(self._out) - before
        self.board.add(
            f"{STOLEN} stolen logins together",
            f"at most {BUDGET} each, and {SUPPLIER_BUDGET:,} for all of their partner, advisers included",
            f"{got:,} people, the most by one {most}; the partner has {len(self._out):,} of {SUPPLIER_BUDGET:,}",
            held=most <= BUDGET and len(self._out) <= SUPPLIER_BUDGET,
            records=got,
            most=most,
        )

    def _patient(self, one: Taken) -> None:
        """He does as honest advisers do, every day: nothing but the budget stops that, and this is said."""
        most = DAYS * BUDGET
        factor = TAKEN_THERE / most
        self.board.add(
            "a patient thief, who knows every threshold",
            "what the owner chose: the budget, every day",
            f"{most:,} people in {DAYS} days, {most / PEOPLE_THERE:.4%} of {PEOPLE_THERE:,}; there it was all of them, "
            f"{factor:,.0f} times as many. Nothing in this drill notices him sooner",
            held=len(one.records) <= BUDGET,
            records=most,
        )

    def _ledger(self) -> None:
        self._say("What the ledger says …")
        answered = self._register.entries("exchange.lookup.answered")
        recorded = {subject for entry in answered for subject in entry.get("subjects", [])[1:]}
        charged = sum(int(entry["details"]["charged"]) for entry in answered)
        self.board.add(
            "the ledger on what came out",
            "each record in it, none that is not",
            f"{len(self._out):,} people came out; {len(recorded):,} stand in the ledger, {charged:,} were charged",
            # a record that was charged and then lost with a killed process counts as given: never the other way
            held=len(self._out) <= len(recorded) <= SUPPLIER_BUDGET,
            recorded=len(recorded),
            charged=charged,
        )
        verified = self._register.keten.command("ledger", "verify")
        self.board.add(
            "verifying afterwards",
            "tree, payloads, register and charges hold",
            (verified.stdout + verified.stderr).strip().splitlines()[-1],
            held=verified.returncode == 0,
        )
