"""Findings in words, in both languages: as the watch explains them where it does, and correct where it does not."""

from __future__ import annotations

import msgspec
import pytest

from keten.watch.explaining import explain
from keten.watch.export import wording
from keten.watch.export.drivers.driver import Record
from keten.watch.export.ocsf import NOTICED, notice
from keten.watch.export.wording import is_note, told, with_explanation
from tests.ocsf import faults
from tests.unit.watch.export.conftest import record

ALERT = "watch.alert.raised"
LANGUAGES = ("en", "nl")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", sorted(set(wording._TITLES["en"]) - set(wording._ALERTS)))
def test_there_is_a_text_for_every_finding(kind: str, language: str) -> None:
    made = record(5, kind)
    said = told(made, language)
    assert said.title == wording._TITLES[language][kind]
    assert made.uid in said.text
    assert "voters" in said.text
    assert with_explanation(made, language) is made


def test_both_languages_say_the_same_things() -> None:
    assert set(wording._TITLES["en"]) == set(wording._TITLES["nl"])
    assert set(wording._WORDS["en"]) == set(wording._WORDS["nl"])


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_watch_explains_its_alerts(language: str) -> None:
    made = record(5, ALERT)
    explained = explain("miss-heavy", {}, {"d" * 26: "voters"}, language)
    said = told(made, language)
    assert said.title == explained.title
    assert "\n" not in said.title
    assert said.text.startswith(f"{explained.seen}\n\n{explained.usual}\n\n")
    assert explained.undo in said.text
    event = with_explanation(made, language).event
    assert event["finding_info"]["desc"].startswith(explained.seen)
    assert faults(msgspec.json.decode(msgspec.json.encode(event))) == []


def test_an_alert_of_no_detector_has_a_title_all_the_same() -> None:
    made = record(5, ALERT)
    event = {**made.event, "unmapped": {"details": {}}}
    assert told(msgspec.structs.replace(made, event=event), "en").title == "An alert was raised"


def test_what_the_export_says_of_itself_is_a_sentence() -> None:
    event = notice("gap-soc-1-2", "title", "3 events were left out.", 2, 1_790_000_000_000_000, {}, "1.8.0")
    said = told(Record("gap-soc-1-2", 2, 1_790_000_000_000_000, NOTICED, "findings", event), "nl")
    assert said.text.startswith("3 events were left out.")


def test_what_is_only_noted_is_written_to_nobody() -> None:
    made = record(5, ALERT)
    details = made.event["unmapped"]["details"]
    for wanted, expected in (("note", True), ("alert", False), ("suspend", False)):
        event = {**made.event, "unmapped": {"details": {**details, "wanted": wanted}}}
        assert is_note(msgspec.structs.replace(made, event=event)) is expected
