"""Ceremonies: each has a challenge of its own, of its purpose and act, and is good once, soon, in one browser."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from keten.core.errors import Busy
from keten.identity.ceremonies import LASTS_US, MAX_OF_NETWORK, Ceremonies, Ceremony, Of, act_of, challenge_of
from keten.identity.errors import Refused
from keten.identity.passkeys import Relying
from keten.identity.roles import Face

RELYING = Relying("localhost", "http://localhost:8080", "Rijnstad")
BROWSER, OTHER, NETWORK, NOW = "a" * 64, "b" * 64, "192.0.2.0/24", 1_800_000_000_000_000


def begun(ceremonies: Ceremonies, of: Of | None = None, now_us: int = NOW) -> Ceremony:
    return ceremonies.begin("sign-in", "console", RELYING, BROWSER, NETWORK, now_us, of or Of())


def test_challenges_are_of_256_bits_and_never_the_same() -> None:
    ceremonies = Ceremonies()
    made = [begun(ceremonies) for _each in range(400)]
    assert {len(one.challenge) for one in made} == {len(one.nonce) for one in made} == {32}
    assert len({one.challenge for one in made}) == len({one.id for one in made}) == 400
    ones = sum(int.from_bytes(one.nonce).bit_count() for one in made)
    assert abs(ones - 400 * 128) < 6 * (400 * 256 / 4) ** 0.5  # six standard deviations of fair bits


def test_a_challenge_is_of_its_purpose_and_act() -> None:
    nonce = bytes(32)
    acts = (b"", act_of("a", b"b"), act_of("ab", b""), act_of("a", b"c"))
    purposes = ("sign-in", "enrol", "recover", "add-key", "step-up", "provider")
    made = {challenge_of(nonce, what, act) for what in purposes for act in acts}  # type: ignore[arg-type]
    assert len(made) == len(purposes) * len(acts)
    bound = begun(Ceremonies(), Of(act=acts[1]))
    assert bound.challenge == challenge_of(bound.nonce, "sign-in", acts[1])


def test_it_is_good_once() -> None:
    ceremonies = Ceremonies()
    one = begun(ceremonies)
    assert ceremonies.take(one.id, ("sign-in",), "console", BROWSER, NOW + LASTS_US - 1) == one
    with pytest.raises(Refused, match="ceremony-over"):
        ceremonies.take(one.id, ("sign-in",), "console", BROWSER, NOW)


@pytest.mark.parametrize(
    "take",
    [
        lambda all_of_them, name: all_of_them.take(name, ("step-up",), "console", BROWSER, NOW),
        lambda all_of_them, name: all_of_them.take(name, ("sign-in",), "console", OTHER, NOW),
        lambda all_of_them, name: all_of_them.take(name, ("sign-in",), "console", BROWSER, NOW + LASTS_US),
    ],
    ids=["purpose", "browser", "time"],
)
def test_for_something_else_it_is_used_up_and_no_good(take: Callable[[Ceremonies, str], Ceremony]) -> None:
    ceremonies = Ceremonies()
    one = begun(ceremonies)
    with pytest.raises(Refused, match="ceremony-over"):
        take(ceremonies, one.id)
    assert len(ceremonies) == 0


@pytest.mark.parametrize("face", ["portal"])
def test_another_face_neither_uses_nor_ends_it(face: Face) -> None:
    ceremonies = Ceremonies()
    one = begun(ceremonies)
    with pytest.raises(Refused, match="ceremony-over"):
        ceremonies.take(one.id, ("sign-in",), face, BROWSER, NOW)
    assert ceremonies.take(one.id, ("sign-in",), "console", BROWSER, NOW) == one


def test_one_network_does_not_take_the_others_room() -> None:
    ceremonies = Ceremonies()
    for _each in range(MAX_OF_NETWORK):
        begun(ceremonies)
    with pytest.raises(Busy):
        begun(ceremonies)
    ceremonies.begin("sign-in", "console", RELYING, BROWSER, "198.51.100.0/24", NOW)
    begun(ceremonies, now_us=NOW + LASTS_US)  # those of before are over
