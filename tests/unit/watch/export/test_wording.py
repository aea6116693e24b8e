"""Findings in words, in both languages: as the watch explains them where it does, and correct where it does not."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import msgspec
import pytest

from keten.watch.export import wording
from keten.watch.export.drivers.driver import Record
from keten.watch.export.ocsf import NOTICED, notice
from keten.watch.export.wording import is_note, told, with_explanation
from tests.ocsf import faults
from tests.unit.watch.export.conftest import record

ALERT = "watch.alert.raised"
LANGUAGES = ("en", "nl")


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A watch that explains nothing."""
    monkeypatch.setattr(wording, "_EXPLAINING", "keten.watch.nowhere")


@pytest.fixture
def explaining(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """A watch that explains; what it was asked."""
    asked: list[tuple[Any, ...]] = []

    def explain(detector: str, facts: Any, names: Any, language: str) -> SimpleNamespace:
        asked.append((detector, facts, names, language))
        return SimpleNamespace(title=f"{language} title\nX: y", seen="seen", usual="usual", done="done", undo="undo")

    module = ModuleType("keten.watch.spoken")
    module.explain = explain  # type: ignore[attr-defined]
    module.__spec__ = SimpleNamespace(name="keten.watch.spoken")  # type: ignore[assignment]
    monkeypatch.setitem(sys.modules, "keten.watch.spoken", module)
    monkeypatch.setattr(wording, "_EXPLAINING", "keten.watch.spoken")
    return asked


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", sorted(wording._TITLES["en"]))
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
def test_the_watch_explains_its_alerts(language: str, explaining: list[tuple[Any, ...]]) -> None:
    made = record(5, ALERT)
    said = told(made, language)
    assert said.title == f"{language} title X: y"  # one line, whatever it says
    assert said.text.startswith("seen\n\nusual\n\ndone\n\nundo\n\n")
    event = with_explanation(made, language).event
    assert event["finding_info"]["desc"] == "seen\nusual\ndone\nundo"
    assert faults(msgspec.json.decode(msgspec.json.encode(event))) == []
    assert explaining[0] == ("miss-heavy", {}, {"d" * 26: "voters"}, language)


def test_an_explanation_that_fails_is_none(explaining: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_words: object) -> None:
        raise KeyError("detector")

    monkeypatch.setattr(sys.modules["keten.watch.spoken"], "explain", broken)
    assert told(record(5, ALERT), "en").title == "An alert was raised"
    assert explaining == []


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
