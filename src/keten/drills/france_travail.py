"""The drill `france-travail`: a register of people, advisers at work, and stolen logins that know every key.

In February and March 2024 thieves with logins of advisers took 36,820,828 people in about four weeks, 15 records a
second (CNIL, deliberation SAN-2026-003). Here the thief is better still: he knows who is in the register, so that he
never misses, and he comes from the victim's own network with the victim's own key.

1. Every system of the partner looks somebody up; then the watch learns four weeks of such work, made up, for the watch
   of a fresh instance knows nobody. From here on advisers are at work, and events go to a syslog server over TLS.
2. One stolen login at the pace of 2024, and another as fast as it can.
3. Ten stolen logins of the same partner together, while keeper and gateway are killed.
4. A patient thief: real lookups beside the others, and what he gets in four weeks at the pace that is best for him.
5. Alerts at the syslog server, honest advisers, and the ledger: every record that came out is in it, and it verifies.
6. Peers' published thresholds on the same traffic.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec

from keten.core.clock import SECOND, wall_us
from keten.drills.comparing import Compared, Patient, Theft, patient, told_by_peers
from keten.drills.history import DAYS, Known, ordinary
from keten.drills.noticing import Noticed, noticed, slowest, wait_for_alert
from keten.drills.office import Office
from keten.drills.register import BUDGET, SUPPLIER_BUDGET, Register, Taken, key_of
from keten.drills.scoreboard import Scoreboard
from keten.drills.siem import Siem
from keten.drills.supplier import SupplierSystem
from keten.drills.words import STEPS, percent, shown

ADVISERS, STOLEN = 40, 10
PEOPLE_THERE, RATE_THERE = 36_820_828, 15.2
AS_THERE_SECONDS = 30.0
_TRIES = 4 * BUDGET
_KILLS = ("keeper", "gateway", "keeper")
_PATIENT_LOOKUPS = 6


class FranceTravail:
    """One run of the drill. `say` tells what happens, for a terminal.

    people: in the register. advisers: honest systems. stolen: logins of step 3. language: "en" or "nl".
    """

    def __init__(
        self,
        say: Callable[[str], None],
        people: int = 1_000_000,
        folder: Path | None = None,
        *,
        advisers: int = ADVISERS,
        stolen: int = STOLEN,
        language: str = "en",
    ) -> None:
        self._say = say
        self._advisers = advisers
        self._stolen = stolen
        self._language = language
        self._register = Register(people, advisers + stolen + 3, say, folder)
        self._siem = Siem(self._register.keten.folder / "siem")
        self.board = Scoreboard("france-travail", language=language)
        self._out: set[str] = set()
        self._thefts: dict[str, Theft] = {}
        self._mine: list[Compared] = []
        self._known: dict[str, Known] = {}
        self._learned_us = 0
        self._after = 0

    def run(self) -> Scoreboard:
        """All six steps; the instance is gone afterwards."""
        with ExitStack() as stack:
            stack.enter_context(self._siem)
            stack.enter_context(self._register.keten)
            self._begin()  # 1
            systems = [self._register.system(number) for number in range(self._advisers)]
            one, fast, quiet, *ten = (self._register.system(self._advisers + n) for n in range(self._stolen + 3))
            with Office(self._register, systems) as office:
                self._single("one", one, 0, RATE_THERE)  # 2
                self._single("fast", fast, 1)
                self._together(ten)  # 3
                done = self._look_up_quietly(quiet)  # 4
            self._out |= office.served
            self._patient(quiet, done)
            self._siem_line()  # 5
            self._honest(office, systems)
            self._ledger()
            self._compare()  # 6
        return self.board

    def _step(self, code: str, **values: int) -> None:
        said = {name: shown(value, self._language) for name, value in values.items()}
        self._say(STEPS[code][self._language].format_map(said))

    def _begin(self) -> None:
        count = self._advisers + self._stolen + 3
        self._step("start", people=self._register.people, clients=count)
        self._register.send_events_to(self._siem)
        self._register.start()
        for number in range(count):
            key = key_of(self._register.people - 1 - number)
            status, code = self._register.look_up_patiently(self._register.system(number), key)
            if status != 200:
                raise RuntimeError(f"an honest lookup was refused: {code}")
            self._out.add(key)
        self._step("acquaint")
        self._learned_us = wall_us()
        self._known = self._register.acquaint(self._learned_us)
        self._after = self._register.followed()[-1].index + 1

    # ---- thieves ---------------------------------------------------------------------------------------------

    def _single(self, code: str, system: SupplierSystem, place: int, per_second: float = 0.0) -> None:
        self._step(code)
        began = time.time()
        keys = map(key_of, range(place * _TRIES, (place + 1) * _TRIES))
        if per_second:
            taken = self._register.take(system, keys, 4, per_second=per_second, seconds=AS_THERE_SECONDS)
        else:
            taken = self._register.take(system, keys, seconds=AS_THERE_SECONDS)
        seen = self._noticed(code, [system], [taken], began)
        self.board.tell(
            code,
            held=len(taken.records) <= BUDGET and seen.siem_at > 0,
            per_second=per_second,
            budget=BUDGET,
            people=self._register.people,
            share=percent(len(taken.records) / self._register.people, self._language),
            share_of_28=percent(len(taken.records) / (DAYS * BUDGET), self._language),
            **_figures(taken, seen, began),
        )

    def _together(self, systems: Sequence[SupplierSystem]) -> None:
        self._step("ten", stolen=len(systems))
        began = time.time()
        results: list[Taken] = []
        threads = [threading.Thread(target=self._kill, daemon=True)]
        for number, system in enumerate(systems):
            keys = [key_of((2 + number) * _TRIES + each) for each in range(_TRIES)]
            threads.append(
                threading.Thread(
                    target=lambda s=system, k=keys: results.append(
                        self._register.take(s, k, 4, seconds=AS_THERE_SECONDS)
                    )
                )
            )
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seen = self._noticed("ten", systems, results, began)
        every = Taken(set().union(*(one.records for one in results)), {}, max(one.seconds for one in results), 0)
        for one in results:
            every.requests += one.requests
            for code, count in one.refused.items():
                every.refused[code] = every.refused.get(code, 0) + count
        most = max(len(one.records) for one in results)
        events = self._register.events()
        partner = sum(event.records for event in events)
        self.board.tell(
            "ten",
            held=most <= BUDGET and partner <= SUPPLIER_BUDGET and len(results) == len(systems) and seen.siem_at > 0,
            stolen=len(systems),
            kills=len(_KILLS),
            budget=BUDGET,
            supplier_budget=SUPPLIER_BUDGET,
            most=most,
            partner=partner,
            suspended=seen.suspended,
            limited=seen.limited,
            **_figures(every, seen, began),
        )

    def _kill(self) -> None:
        for name in _KILLS:
            time.sleep(0.4)
            self._register.kill(name)
            time.sleep(1.0)

    def _noticed(self, code: str, systems: Sequence[SupplierSystem], taken: Sequence[Taken], began: float) -> Noticed:
        """Wait for the first alert, and keep what the comparison needs."""
        logins = [one.client_id for one in systems]
        for one in taken:
            self._out |= one.records
        wait_for_alert(lambda: self._register.followed(self._after), self._siem, logins)
        seen = noticed(self._register.followed(self._after), self._siem, logins)
        self._thefts[code] = Theft(tuple(logins), int(began * SECOND))
        out = sum(len(one.records) for one in taken)
        seconds = round(seen.alert_us / SECOND - began, 2) if seen.alert_us else None
        self._mine.append(Compared(code, "keten", seen.before_alert, out, seconds, None))
        return seen

    def _look_up_quietly(self, system: SupplierSystem) -> int:
        """A few real lookups of the patient thief, at an adviser's pace; how many were served."""
        done = 0
        for number in range(_PATIENT_LOOKUPS):
            key = key_of((2 + self._stolen) * _TRIES + number)
            status, _code = self._register.look_up_patiently(system, key)
            if status == 200:
                self._out.add(key)
                done += 1
            time.sleep(0.5)
        return done

    def _patient(self, system: SupplierSystem, done: int) -> None:
        self._step("patient")
        runs = patient(self._known, system.client_id, self._learned_us, BUDGET)
        mine = runs[0]
        told = noticed(self._register.followed(self._after), self._siem, [system.client_id]).told
        for one in runs:
            self._mine.append(_compared(one))
        self.board.tell(
            "patient",
            held=done == _PATIENT_LOOKUPS and max(one.out for one in runs) <= DAYS * BUDGET,
            days=DAYS,
            most=DAYS * BUDGET,
            done=done,
            told=told,
            out=mine.out,
            a_day=mine.a_day,
            share_there=percent(mine.out / PEOPLE_THERE, self._language),
            there=PEOPLE_THERE,
            before_best=mine.before_alert,
            alert_day=mine.day,
            stopped=mine.stopped,
        )

    # ---- afterwards ------------------------------------------------------------------------------------------

    def _siem_line(self) -> None:
        every, came, longest = slowest(lambda: self._register.followed(self._after), self._siem)
        self.board.tell(
            "siem",
            held=every == came > 0 and not self._siem.malformed,
            alerts=every,
            arrived=came,
            slowest_seconds=round(longest, 2),
            events=len(self._siem),
        )

    def _honest(self, office: Office, systems: Sequence[SupplierSystem]) -> None:
        seen = noticed(self._register.followed(self._after), self._siem, [one.client_id for one in systems])
        served = len(office.times)
        self.board.tell(
            "honest",
            held=not seen.told and not seen.suspended and served == office.asked > 0 and not office.failure,
            advisers=len(systems),
            asked=office.asked,
            served=served,
            median_ms=round(statistics.median(office.times) * 1000, 1) if served else None,
            slowest_ms=round(max(office.times) * 1000) if served else None,
            told=seen.told,
            suspended=seen.suspended,
            refused=office.refused,
        )
        self._mine = [
            msgspec.structs.replace(one, honest=seen.told) if one.thief in self._thefts else one for one in self._mine
        ]

    def _ledger(self) -> None:
        self._step("ledger")
        answered = self._register.entries("exchange.lookup.answered")
        recorded = {subject for entry in answered for subject in entry.get("subjects", [])[1:]}
        charged = sum(int(entry["details"]["charged"]) for entry in answered)
        self.board.tell(
            "ledger",
            # a record that was charged and then lost with a killed process counts as given: never the other way
            held=len(self._out) <= len(recorded) <= SUPPLIER_BUDGET,
            out=len(self._out),
            recorded=len(recorded),
            charged=charged,
        )
        verified = self._register.keten.command("ledger", "verify")
        said = (verified.stdout + verified.stderr).strip().splitlines()[-1]
        if verified.returncode == 0:
            self.board.tell("verified", held=True, said=said)
        else:
            self.board.tell("verify", held=False, said=said)

    def _compare(self) -> None:
        before = list(ordinary(self._known, self._learned_us, range(-DAYS, 0)))
        peers = told_by_peers(before, self._register.events(self._after), self._thefts)
        there = Compared("there-2024", "–", None, PEOPLE_THERE, None, None)
        every = [*self._mine, *peers, there]
        order = [*self._thefts, "patient", "there-2024"]
        self.board.compared = sorted(every, key=lambda one: order.index(one.thief))


def _figures(taken: Taken, seen: Noticed, began: float) -> dict[str, object]:
    return {
        "records": len(taken.records),
        "requests": taken.requests,
        "refused": taken.refused,
        "seconds": round(taken.seconds, 2),
        "before_alert": seen.before_alert,
        "alert_seconds": round(seen.alert_us / SECOND - began, 2) if seen.alert_us else None,
        "siem_seconds": round(seen.siem_at - began, 2) if seen.siem_at else None,
        "detector": seen.detector,
        "response": seen.response,
    }


def _compared(one: Patient) -> Compared:
    seconds = one.day * 86_400.0 if one.day is not None else None
    return Compared("patient", one.watcher, one.before_alert, one.out, seconds, None)
