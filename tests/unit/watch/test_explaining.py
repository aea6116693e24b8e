"""Every alert in plain words, in both languages, whatever is known of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keten.core.ids import new_id
from keten.watch.explaining import DETECTORS, LANGUAGES, code_of, explain
from keten.watch.model import RESPONSES, Fact
from keten.watch.words import OTHER
from tests.architecture.checkout import ROOT
from tests.unit.watch.house import House

CLIENT, DATASET = new_id(), new_id()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("detector", sorted(DETECTORS))
def test_each_detector_says_what_was_seen_usual_done_and_how_to_undo(detector: str, language: str) -> None:
    facts: dict[str, Fact] = {"principal": CLIENT, "dataset": DATASET, "asked": 30, "response": "suspend"}
    names = {CLIENT: "drukwerk-batch", DATASET: "voters"}
    said = explain(detector, facts, names, language)
    for text in (said.title, said.seen, said.usual, said.done, said.undo):
        assert text
        assert not re.search(r"[{}]", text)
        assert text[-1] in ".)" or text == said.title
    assert CLIENT not in said.seen + said.done
    assert ("drukwerk-batch" in said.seen) == (detector not in {"detector-fault", "supplier-volume", "bypass"})
    assert "30" in said.seen
    assert "keten alerts fine" in said.undo


def test_the_two_languages_differ() -> None:
    for detector in (*DETECTORS, OTHER):
        english, dutch = (explain(detector, {}, {}, language) for language in LANGUAGES)
        assert english.title != dutch.title
        assert english.seen != dutch.seen
        assert english.usual != dutch.usual


@pytest.mark.parametrize("response", RESPONSES)
def test_what_was_done_is_said_for_each_response(response: str) -> None:
    facts: dict[str, Fact] = {"response": response, "until": "2026-01-01"}
    said = {language: explain("misses", facts, {}, language) for language in LANGUAGES}
    assert said["en"].done != said["nl"].done
    lasting = response in {"slow", "suspend", "freeze"}
    assert ("2026-01-01" in said["en"].done) is lasting


def test_nothing_is_promised_back_that_was_not_taken() -> None:
    for response, back in (("note", False), ("alert", False), ("step-up", False), ("slow", True), ("suspend", True)):
        for language, words in (("en", "access back"), ("nl", "toegang meteen terug")):
            said = explain("volume", {"response": response}, {}, language).undo
            assert "keten alerts fine" in said
            assert (words in said) is back
    assert "access back" in explain("misses", {"response": "alert"}, {}, "en").undo, "the budget's own stop ends"


def test_past_the_limit_it_says_so_aloud() -> None:
    assert "decide yourself" in explain("misses", {"response": "alert", "held": "limit"}, {}, "en").done
    assert "beslis zelf" in explain("misses", {"response": "alert", "held": "limit"}, {}, "nl").done


def test_who_is_not_named_is_nobody_in_particular() -> None:
    said = explain("misses", {"principal": CLIENT}, {}, "en")
    assert said.seen.startswith("A system account ")
    assert "the data" in said.seen


@pytest.mark.parametrize(
    ("amount", "en", "nl"),
    [
        (0, "An amount that the log does not say", "Een hoeveelheid die het log niet noemt"),
        (999, "999 B", "999 B"),
        (25_300_000_000, "25.3 GB", "25,3 GB"),
        (10**400, "0 B", "0 B"),
    ],
)
def test_what_went_past_keten_is_said_as_people_say_it(amount: int, en: str, nl: str) -> None:
    facts: dict[str, Fact] = {"recipient": CLIENT, "bytes": amount, "usual_bytes": 1_500_000, "link": "host {usual}"}
    said = {language: explain("bypass", facts, {CLIENT: "drukwerk"}, language) for language in LANGUAGES}
    assert said["en"].seen == f"{en} went to systems of drukwerk outside of Keten. (link: host {{usual}})"
    assert said["nl"].seen.startswith(f"{nl} ging buiten Keten om naar systemen van drukwerk.")
    assert (said["en"].usual[:14], said["nl"].usual[:19]) == ("Usual: 1.5 MB ", "Gewoonlijk: 1,5 MB ")


def test_an_unknown_detector_still_gives_a_sentence() -> None:
    said = explain("my-own-sigma-rule", {"rule": "many of them"}, {}, "nl")
    assert "my-own-sigma-rule" in said.title
    assert "regel: many of them" in said.seen
    assert code_of("my-own-sigma-rule") == OTHER


@given(
    st.text(max_size=80),
    st.dictionaries(st.text(max_size=20), st.one_of(st.integers(), st.floats(), st.text(max_size=300)), max_size=40),
    st.dictionaries(st.text(max_size=30), st.text(max_size=30), max_size=4),
    st.text(max_size=5),
)
def test_anything_gives_a_sentence_of_some_length(
    detector: str, facts: dict[str, Fact], names: dict[str, str], language: str
) -> None:
    said = explain(detector, facts, names, language)
    assert 0 < len(said.seen) < 8000
    assert said.done
    assert said.undo


def test_what_the_ledger_has_of_an_alert_explains_it(house: House) -> None:
    (alert,) = house.raise_(house.signal()).new
    (entry,) = house.entries("watch.alert.raised")
    facts = entry["details"]["facts"]
    said = explain(entry["details"]["detector"], facts, {facts["principal"]: "drukwerk-batch"}, "en")
    assert "drukwerk-batch" in said.seen
    assert "suspended until" in said.done
    assert alert in said.undo


def test_every_response_and_state_is_in_the_manual() -> None:
    for page in (Path("en/alerts.md"), Path("nl/meldingen.md")):
        text = (ROOT / "docs" / "manual" / page).read_text(encoding="utf-8")
        for word in RESPONSES:
            assert f"`{word}`" in text, (page, word)
