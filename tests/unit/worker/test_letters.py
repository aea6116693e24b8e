"""Letters to people: what each says, and what none may say."""

from __future__ import annotations

import email
import email.policy
from typing import get_args

import msgspec
import pytest

from keten.identity.to_tell import UNUSUAL
from keten.keeper.letter_protocol import Letter, What
from keten.worker.letters import message_of, moment

TOKEN, PART = "a" * 26, "b" * 26
NOON_US = 1_795_345_384_000_000  # 2026-11-22T11:03:04Z
STOP = f"https://files.example.org/stop/{TOKEN}"
LETTERS: dict[What, Letter] = {
    what: Letter(
        uid="u" * 26,
        what=what,
        to="member@press.example",
        organisation="Gemeente {link} Voorbeeld",
        person="{part} m.jansen",
        zone="Europe/Amsterdam",
        link="https://files.example.org/recover" if what == "code" else STOP,
        part=PART if what == "code" else "",
        moment_us=NOON_US,
        why="passkey-copied" if what == "unusual" else "",
    )
    for what in get_args(What)
}


def written(what: What, language: str) -> tuple[str, str, str]:
    """Subject, text, and the whole mail as it goes over the wire, read again by another's eyes."""
    raw = message_of(LETTERS[what], "keten@example.org", language).as_bytes()
    read = email.message_from_bytes(raw, policy=email.policy.default)
    return str(read["Subject"]), str(read.get_content()), raw.decode("utf-8", "replace")


@pytest.mark.parametrize("language", ["en", "nl"])
@pytest.mark.parametrize("what", get_args(What))
def test_each_letter_says_whose_account_it_is_and_that_nobody_asks_for_a_code(what: What, language: str) -> None:
    subject, text, _raw = written(what, language)
    assert subject.startswith("[Keten] ")
    assert "{part} m.jansen" in text  # a name is a name, whatever is in it
    assert "Gemeente {link} Voorbeeld" in text
    assert ("ever ask you" if language == "en" else "vraagt u ooit") in text
    assert TOKEN not in subject
    assert PART not in subject


@pytest.mark.parametrize("language", ["en", "nl"])
@pytest.mark.parametrize(
    ("what", "stops", "part", "dated"),
    [
        ("opened", True, False, True),
        ("code", False, True, True),
        ("done", True, False, True),
        ("changed", False, False, False),
        ("asked", True, False, False),
        ("key-added", True, False, True),
        ("key-ended", True, False, True),
        ("unusual", True, False, True),
    ],
)
def test_only_the_letters_that_should_hold_a_link_or_a_part(
    what: What, language: str, stops: bool, part: bool, dated: bool
) -> None:
    _subject, text, _raw = written(what, language)
    assert (STOP in text) == stops
    assert (f"    {PART}" in text.splitlines()) == part
    assert ("https://files.example.org/recover" in text) == (what == "code")
    assert ("2026-11-22 12:03 CET" in text) == dated


def test_it_is_the_same_mail_when_it_is_sent_again_and_is_not_answered_by_machines() -> None:
    first, again = (message_of(LETTERS["opened"], "keten@example.org", "nl") for _each in range(2))
    assert first["Message-ID"] == again["Message-ID"] == f"<{'u' * 26}@example.org>"
    assert first["Auto-Submitted"] == "auto-generated"
    assert first["To"] == "member@press.example"


@pytest.mark.parametrize("language", ["en", "nl"])
@pytest.mark.parametrize("why", sorted(UNUSUAL))
def test_whatever_is_unusual_is_said_in_words(why: str, language: str) -> None:
    letter = msgspec.structs.replace(LETTERS["unusual"], why=why)
    text = message_of(letter, "keten@example.org", language).get_content()
    assert why not in text
    assert {"en": "sign out everywhere else", "nl": "meld u overal elders af"}[language] in " ".join(text.split())


def test_a_zone_that_is_not_known_is_utc() -> None:
    assert moment(NOON_US, "Nowhere/Else") == "2026-11-22 11:03 UTC"
