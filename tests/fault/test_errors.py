"""Some failing system calls in the suite; `python -m tests.fault.campaigns errors` makes each of them fail in turn."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fault.campaigns.keeping import NotHereError
from tests.fault.errors.campaign import Playing, playing
from tests.fault.errors.play import Failure


@pytest.fixture(scope="module")
def player() -> Iterator[Playing]:
    try:
        with playing() as made:
            yield made
    except NotHereError as reason:
        pytest.skip(str(reason))


SHORT = [
    Failure("keeper", "create", 3, "ENOSPC"),  # a keeper that cannot open its database said so by a traceback
    Failure("keeper", "ftruncate", 1, "ENOSPC"),  # one that cannot say its process id in its lock did not start
    Failure("keeper", "pwrite", 60, "EIO"),
    Failure("keeper", "fsync", 9, "EIO"),
    Failure("keeper", "any", 100, "EIO"),  # from there on the disk is dead
    Failure("put", "write", 1, "ENOSPC"),
    Failure("init", "fsync", 12, "EIO"),
    Failure("upgrade", "pwrite", 9, "EIO"),
    Failure("gateway", "rename", 2, "ENOSPC"),
]
LONG = [
    Failure("keeper"),
    Failure("keeper", "pwrite", 10, "ENOSPC"),
    Failure("keeper", "write", 1, "ENOSPC"),
    Failure("keeper", "any", 375, "EIO"),  # as it stops: it could not remove its sockets, and said so by a traceback
    Failure("keeper", "fdatasync", 4, "EDQUOT"),
    Failure("keeper", "rename", 3, "EIO"),
    Failure("put", "rename", 1, "EIO"),
    Failure("upgrade", "rename", 1, "ENOSPC"),
    Failure("gateway", "fsync", 1, "EIO"),
]


def named(one: Failure) -> str:
    return f"{one.subject}-{one.call}-{one.number}-{one.error}"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("failure", [*SHORT, *(pytest.param(one, marks=pytest.mark.slow) for one in LONG)], ids=named)
def test_it_serves_on_or_stops_with_a_word_and_nothing_is_lost(player: Playing, failure: Failure) -> None:
    played = player.play(failure)
    assert played.faults == ()
    assert played.fired == bool(failure.call), f"only {played.counts}"
