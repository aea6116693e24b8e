"""The drill `webex`: ids and keys are guessed, with many misses, some, and nearly none.

In 2024 meeting numbers of thousands of government meetings could be counted through (Cisco, cisco-sa-webex-june-2024).
Here ids are 128 random bits, so that counting finds nothing; and keys that are numbers of a register are guessed at.

1. Ids of shares and objects are tried: absent and forbidden look the same.
2. Keys are guessed with two thirds, one third, and nearly no misses. Nobody taught the watch anything: it sees these
   systems for the first time.
3. Alerts at a syslog server; the ledger knows who was stopped.
4. Peers' published thresholds on the same traffic.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from keten.core.clock import SECOND
from keten.core.ids import encode_id
from keten.drills.comparing import Compared, Theft, told_by_peers
from keten.drills.neighbours import until
from keten.drills.noticing import WAIT_SECONDS, Noticed, noticed, refusal_at, slowest
from keten.drills.register import BUDGET, Register, Taken, guesses
from keten.drills.scoreboard import Scoreboard
from keten.drills.siem import Siem
from keten.drills.words import STEPS, shown

IDS = 60
ALERT_SECONDS = 3.0
"""How long alerts are waited for once refusals are at the SIEM: who was stopped early need not be told of."""
SHARES = ((2 / 3, 17), (1 / 3, 59), (0.02, BUDGET))
"""Misses, and how many people come out at most."""
_KNOWN = 2 * BUDGET


class Webex:
    """One run of the drill. `people`: in the register. `say` tells what happens. language: "en" or "nl"."""

    def __init__(
        self, say: Callable[[str], None], people: int = 100_000, folder: Path | None = None, *, language: str = "en"
    ) -> None:
        self._say = say
        self._language = language
        self._register = Register(people, len(SHARES) + 1, say, folder)
        self._siem = Siem(self._register.keten.folder / "siem")
        self._thefts: dict[str, Theft] = {}
        self.board = Scoreboard("webex", language=language)

    def run(self) -> Scoreboard:
        """All steps; the instance is gone afterwards."""
        with self._siem, self._register.keten:
            self._step("start", people=self._register.people, clients=len(SHARES) + 1)
            self._register.send_events_to(self._siem)
            self._register.start()
            self._ids()  # 1
            taken = [self._guess(number, misses) for number, (misses, _most) in enumerate(SHARES)]  # 2
            self._tell(taken)
            self._ledger()  # 3
            self.board.compared += told_by_peers((), self._register.events(), self._thefts)  # 4
            self.board.compared.sort(key=lambda one: one.thief)
        return self.board

    def _step(self, code: str, **values: float) -> None:
        said = {name: shown(value, self._language) for name, value in values.items()}
        self._say(STEPS[code][self._language].format_map(said))

    def _ids(self) -> None:
        self._step("ids")
        system = self._register.system(len(SHARES))
        stored = self._register.entries("vault.object.stored")[0]["object"]
        tried = [encode_id(os.urandom(16)) for _ in range(IDS)] + [stored]
        answers = [
            system.get(path.format(one))
            for one in tried
            for path in ("/v1/objects/{}", "/v1/shares/{}", "/v1/lookups/{}?key=1&case=x")
        ]
        said = {(answer.status, answer.json()["type"], answer.json()["detail"]) for answer in answers}
        self.board.tell(
            "ids",
            held=len(said) == 1 and {status for status, _type, _detail in said} == {404},
            tried=3 * len(tried),
            kinds=len(said),
            statuses=", ".join(str(status) for status, _type, _detail in said),
        )

    def _guess(self, number: int, misses: float) -> Taken:
        self._step("guess", misses=round(100 * misses))
        system = self._register.system(number)
        began = time.time()
        keys = guesses(number, self._register.people, misses, range(number * _KNOWN, (number + 1) * _KNOWN))
        self._thefts[f"guess-{number}"] = Theft((system.client_id,), int(began * SECOND))
        return self._register.take(system, keys, at_once=1)

    def _tell(self, every: Sequence[Taken]) -> None:
        """What became of the three, once their refusals are at the SIEM, and alerts had the time to come."""
        logins = [theft.logins[0] for theft in self._thefts.values()]
        until(lambda: all(self._reached(login) for login in logins), WAIT_SECONDS)
        until(lambda: all(self._seen(login).siem_at > 0 for login in logins), ALERT_SECONDS)
        for (misses, most), (name, theft), taken in zip(SHARES, self._thefts.items(), every, strict=True):
            began, login = theft.began_us / SECOND, theft.logins[0]
            seen = self._seen(login)
            refused_at = refusal_at(self._register.followed(), self._siem, login)
            alert_seconds = round(seen.alert_us / SECOND - began, 2) if seen.alert_us else None
            self.board.compared.append(
                Compared(name, "keten", seen.before_alert, len(taken.records), alert_seconds, None)
            )
            self.board.tell(
                "guess",
                held=len(taken.records) <= most and (refused_at > 0 or seen.siem_at > 0),
                misses=round(100 * misses),
                most=most,
                records=len(taken.records),
                requests=taken.requests,
                refused=taken.refused,
                seconds=round(taken.seconds, 2),
                before_alert=seen.before_alert,
                alert_seconds=alert_seconds,
                siem_seconds=round(seen.siem_at - began, 2) if seen.siem_at else None,
                refusal_seconds=round(refused_at - began, 2) if refused_at else None,
                detector=seen.detector,
                response=seen.response,
            )

    def _seen(self, login: str) -> Noticed:
        return noticed(self._register.followed(), self._siem, [login])

    def _reached(self, login: str) -> bool:
        """Whether the SIEM knows of a refusal, or of an alert: who is suspended first is refused nothing else."""
        return refusal_at(self._register.followed(), self._siem, login) > 0 or self._seen(login).siem_at > 0

    def _ledger(self) -> None:
        every, came, longest = slowest(self._register.followed, self._siem)
        self.board.tell(
            "siem",
            held=every == came and len(self._siem) > 0 and not self._siem.malformed,
            alerts=every,
            arrived=came,
            slowest_seconds=round(longest, 2),
            events=len(self._siem),
        )
        refused = self._register.entries("exchange.lookup.refused")
        stopped = {entry["actor"] for entry in refused if "guessing" in entry.get("reasons", [])}
        self.board.tell("guessers", held=len(stopped) >= 2, stopped=len(stopped), refusals=len(refused))
        verified = self._register.keten.command("ledger", "verify")
        said = (verified.stdout + verified.stderr).strip().splitlines()[-1]
        if verified.returncode == 0:
            self.board.tell("verified", held=True, said=said)
        else:
            self.board.tell("verify", held=False, said=said)
