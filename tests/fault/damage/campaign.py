"""Damages a real ledger again and again, in ways drawn from a seed, and sees whether each of them is named."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import msgspec

from keten.budgets.checking import ChargesCheck
from keten.ledger.faults import Fault
from keten.ledger.verify import Report, verify
from keten.vault.checking import ContentCheck
from tests.fault.campaigns.keeping import Asked, Case
from tests.fault.damage import entries, files, register, rooms
from tests.fault.damage.expectation import Named
from tests.fault.damage.raw import RAW, Raw, everything, grown, unnoticed
from tests.fault.damage.victim import Exhausted, Victim, make_victims_original
from tests.made_ledger import MadeLedger

Damage = Callable[[Victim], list[Named]]
DAMAGES: tuple[Damage, ...] = (*entries.DAMAGES, *register.DAMAGES, *files.DAMAGES, *rooms.DAMAGES)
_SEVERAL = 0.25  # how often more than one thing is damaged at once
_ATTEMPTS = 30


class Outcome(msgspec.Struct, frozen=True):
    """One ledger, what was done to it, and what was said of it. `unnamed`: what should have been named and was not."""

    number: int
    done: tuple[str, ...]
    unnamed: tuple[Named, ...]
    faults: tuple[Fault, ...]

    @property
    def unnoticed(self) -> bool:
        """Whether nothing at all was found."""
        return not self.faults


def damage(victim: Victim, random: Random, first: Damage) -> tuple[list[str], list[Named]]:
    """Damage a victim, by `first` and sometimes by others too; what was done, and what must be named."""
    chosen = [first]
    if random.random() < _SEVERAL:
        chosen += random.sample(DAMAGES, random.randint(1, 2))
    done, expected = [], []
    for each in chosen:
        for _ in range(_ATTEMPTS):
            try:
                wanted = each(victim)
            except Exhausted:
                break
            if wanted:
                done.append(each.__name__)
                expected += wanted
                break
    return done, expected


def verified(made: MadeLedger) -> Report:
    """What `keten ledger verify` says of it."""
    checks = ChargesCheck(), ContentCheck(made.home / "store")
    return verify(made.place, made.folder, key=made.key, checks=checks, processes=1)


def attempt(original: MadeLedger, folder: Path, seed: int, number: int) -> Outcome:
    """Damage a copy of `original` and verify it. Damages take turns, so that each gets its share."""
    random = Random(f"{seed}/{number}")
    home = folder / f"{number}"
    victim = Victim(original.copy_to(home), random)
    victim.made.close()
    try:
        done, expected = damage(victim, random, DAMAGES[(number + seed) % len(DAMAGES)])
        report = verified(victim.made)
    finally:
        shutil.rmtree(home, ignore_errors=True)
        for path in folder.glob("elsewhere-*"):
            path.unlink()
    unnamed = tuple(each for each in expected if not any(each.by(fault) for fault in report.faults))
    return Outcome(number, tuple(done), unnamed, report.faults)


def campaign(count: int, seed: int) -> Iterator[Outcome]:
    """`count` damaged ledgers."""
    with tempfile.TemporaryDirectory(prefix="keten-damage-") as folder:
        original = make_victims_original(Path(folder) / "original")
        whole = verified(original)
        if not whole.ok:
            raise AssertionError(f"the undamaged ledger has faults: {whole.faults}")
        for number in range(count):
            yield attempt(original, Path(folder), seed, number)


def cases(asked: Asked) -> Iterator[Case]:
    """`asked.count` damages: by turns one that must be named exactly, and one to bytes that must be noticed."""
    with tempfile.TemporaryDirectory(prefix="keten-damage-") as name:
        folder = Path(name)
        original = make_victims_original(folder / "original")
        victim = grown(original, folder / "grown")
        assert verified(victim).ok
        before = everything(victim)
        victim.close()
        for number in asked.numbers():
            if number % 2 == 0:
                yield _named(attempt(original, folder, asked.seed, number // 2))
                continue
            random = Random(f"{asked.seed}/{number}")
            kind = list(RAW)[number // 2 % len(RAW)]
            made = MadeLedger(folder / f"{number}")
            shutil.copytree(folder / "grown", made.home)
            done = RAW[kind](Raw(made, random))
            try:
                faults = [f"{done}: {one}" for one in unnoticed(made, before)]
            finally:
                made.close()
                shutil.rmtree(made.home, ignore_errors=True)
            yield Case(str(number), f"bytes: {kind}", tuple(faults))


def _named(outcome: Outcome) -> Case:
    faults = [f"{', '.join(outcome.done)}: not named: {one}" for one in outcome.unnamed]
    if outcome.unnoticed:
        faults.append(f"{', '.join(outcome.done)}: not noticed")
    return Case(str(2 * outcome.number), f"named: {outcome.done[0]}", tuple(faults))


def summary(outcomes: list[Outcome]) -> str:
    """How often each damage was done."""
    counts = Counter(name for outcome in outcomes for name in outcome.done)
    return "\n".join(f"{name:28} {count}" for name, count in sorted(counts.items()))
