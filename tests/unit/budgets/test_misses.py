"""Who guesses at keys is stopped soon, whoever mistypes now and then never; simulated with seeds."""

from __future__ import annotations

import random
from contextlib import suppress

import pytest

from keten.budgets import misses
from keten.budgets.misses import Score
from keten.core.ids import new_id
from tests.unit.vault.house import House


def lost(seed: int, share: float) -> int:
    """How many records whoever misses so often receives before being stopped."""
    chance = random.Random(seed)
    score, records = Score(), 0
    while True:
        missed = chance.random() < share
        score = misses.scored(score, int(not missed), int(missed))
        if score.guesses:
            return records
        records += not missed


def honest(seed: int, lookups: int, share: float = misses.USUAL) -> int:
    """How often somebody at work would be stopped."""
    chance = random.Random(seed).random
    quick = patient = stops = 0
    stop = misses.STOP
    (a, b), (c, d) = ((one.miss, one.hit) for one in (misses.QUICK, misses.PATIENT))
    for _ in range(lookups):
        if chance() < share:
            quick, patient = quick + a, patient + c
        else:
            quick, patient = max(0, quick + b), max(0, patient + d)
        if quick >= stop or patient >= stop:
            stops, quick, patient = stops + 1, 0, 0
    return stops


@pytest.mark.parametrize(("share", "median", "most"), [(2 / 3, 3, 10), (1 / 3, 16, 45), (0.2, 40, 110)])
def test_who_guesses_is_stopped(share: float, median: int, most: int) -> None:
    """Half of them before `median` records, 99 of 100 before `most`; the seeds are fixed, so this is one answer."""
    found = sorted(lost(seed, share) for seed in range(2000))
    assert found[1000] <= median
    assert found[1980] <= most


def test_who_works_is_not() -> None:
    assert honest(20261129, 400_000) == 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", [4, 5, 6])
def test_who_works_is_not_in_four_million(seed: int) -> None:
    assert honest(seed, 4_000_000) == 0


def test_several_keys_at_once_score_no_less_than_one_by_one() -> None:
    chance = random.Random(7)
    for _ in range(500):
        keys = [chance.random() < 0.3 for _ in range(chance.randint(1, 50))]
        score = one_by_one = Score(chance.randrange(misses.STOP), chance.randrange(misses.STOP))
        for missed in keys:
            one_by_one = misses.scored(one_by_one, int(not missed), int(missed))
        together = misses.scored(score, keys.count(False), keys.count(True))
        assert together.quick >= one_by_one.quick
        assert together.patient >= one_by_one.patient


def test_scores_are_kept_for_each_grant_and_client(house: House) -> None:
    grant, client, other = new_id(), new_id(), new_id()
    scores = misses.Scores()

    def kept(whose: str) -> Score:
        with house.reader.connect() as connection:
            return misses.Scores().read(connection, grant, whose)

    with house.writing() as writing:
        assert scores.read(writing.connection, grant, client) == Score()
        scores.write(writing.connection, grant, client, Score(5, 6))
        scores.write(writing.connection, grant, client, Score(7, 8, 9))
        scores.write(writing.connection, grant, other, Score(1))
        assert scores.read(writing.connection, grant, client) == Score(7, 8, 9)
    scores.commit()
    assert (kept(client), kept(other)) == (Score(7, 8, 9), Score(1))


def test_what_was_rolled_back_was_not_scored(house: House) -> None:
    grant, client = new_id(), new_id()
    scores = misses.Scores()
    with house.writing() as writing:
        scores.write(writing.connection, grant, client, Score(5, 6))
    scores.commit()
    with suppress(InterruptedError), house.writing() as writing:
        scores.write(writing.connection, grant, client, Score(7, 8))
        raise InterruptedError  # as when the disk fails before the commit
    scores.rollback()
    with house.writing() as writing:
        assert scores.read(writing.connection, grant, client) == Score(5, 6)
