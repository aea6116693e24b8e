"""The drill `webex`: ids and keys are guessed, with many misses, some, and nearly none.

In 2024 meeting numbers of thousands of government meetings could be counted through (Cisco, cisco-sa-webex-june-2024).
Here ids are 128 random bits, so that counting finds nothing; and keys that are numbers of a register are guessed at.

1. Ids of shares and objects are tried: absent and forbidden look the same.
2. Keys are guessed with two thirds, one third, and nearly no misses.
3. The ledger knows who was stopped.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from keten.core.ids import encode_id
from keten.drills.register import BUDGET, Register, guesses
from keten.drills.scoreboard import Scoreboard

IDS = 60
SHARES = ((2 / 3, "two thirds", 17), (1 / 3, "one third", 59), (0.02, "two in a hundred", BUDGET))
_KNOWN = 2 * BUDGET


class Webex:
    """One run of the drill. `people`: in the register. `say` tells what happens, for a terminal."""

    def __init__(self, say: Callable[[str], None], people: int = 100_000, folder: Path | None = None) -> None:
        self._say = say
        self._register = Register(people, len(SHARES) + 1, say, folder)
        self.board = Scoreboard("webex")

    def run(self) -> Scoreboard:
        """All steps; the instance is gone afterwards."""
        with self._register.keten:
            self._register.start()
            self._ids()  # 1
            for number, (misses, words, most) in enumerate(SHARES):  # 2
                self._guess(number, misses, words, most)
            self._ledger()  # 3
        return self.board

    def _ids(self) -> None:
        self._say("Ids are guessed …")
        system = self._register.system(len(SHARES))
        stored = self._register.entries("vault.object.stored")[0]["object"]
        tried = [encode_id(os.urandom(16)) for _ in range(IDS)] + [stored]
        answers = [
            system.get(path.format(one))
            for one in tried
            for path in ("/v1/objects/{}", "/v1/shares/{}", "/v1/lookups/{}?key=1&case=x")
        ]
        said = {(answer.status, answer.json()["type"], answer.json()["detail"]) for answer in answers}
        self.board.add(
            f"{3 * len(tried)} ids of objects, shares and lookups, one of them right and forbidden",
            "one and the same 404",
            f"{len(said)} kind of answer: {', '.join(str(status) for status, _type, _detail in said)}",
            held=len(said) == 1 and {status for status, _type, _detail in said} == {404},
        )

    def _guess(self, number: int, misses: float, words: str, most: int) -> None:
        self._say(f"Keys are guessed, {words} of them wrong …")
        system = self._register.system(number)
        keys = guesses(number, self._register.people, misses, range(number * _KNOWN, (number + 1) * _KNOWN))
        taken = self._register.take(system, keys, at_once=1)
        self.board.add(
            f"keys guessed, {words} of them nobody's",
            f"at most {most} people" + (", the budget" if most == BUDGET else ", then stopped"),
            f"{len(taken.records)} people in {taken.requests} tries, {taken.seconds:.1f} s; refused: {taken.refused}",
            held=len(taken.records) <= most,
            records=len(taken.records),
            requests=taken.requests,
            refused=taken.refused,
        )

    def _ledger(self) -> None:
        refused = self._register.entries("exchange.lookup.refused")
        stopped = {entry["actor"] for entry in refused if "guessing" in entry.get("reasons", [])}
        self.board.add(
            "the ledger on who guessed",
            "named, with the reason",
            f"{len(stopped)} clients stopped for guessing, {len(refused)} entries of refusals",
            held=len(stopped) >= 2,
        )
        verified = self._register.keten.command("ledger", "verify")
        self.board.add(
            "verifying afterwards",
            "tree, payloads, register and charges hold",
            (verified.stdout + verified.stderr).strip().splitlines()[-1],
            held=verified.returncode == 0,
        )
