"""What the documents say about detectors is what the code does."""

from __future__ import annotations

import re

import pytest

from keten.watch.detectors import default
from keten.watch.detectors.baseline import GROWTH_A_DAY
from keten.watch.detectors.several import WHAT, WHO
from keten.watch.engine import FAULT
from keten.watch.ladder import BUILT_IN, DEFAULT, NAMED_ONLY
from tests.architecture.checkout import ROOT

CODES = {each.code for each in default()} | {FAULT}
FORMATS = (ROOT / "docs" / "formats" / "detectors.md").read_text(encoding="utf-8")


def test_every_detector_is_in_the_list_with_its_facts() -> None:
    rows = dict(re.findall(r"^\| `([a-z-]+)` \|.*\| ([^|]*) \|$", FORMATS, re.MULTILINE))
    assert set(rows) == CODES
    for each in default():
        said = set(re.findall(r"[a-z_]+", re.sub(r"\(.*?\)", "", (type(each).__doc__ or "").partition("Facts:")[2])))
        listed = set(re.findall(r"`([a-z_]+)`", rows[each.code]))
        assert listed <= said, each.code
        assert listed, each.code


@pytest.mark.parametrize("page", ["en/detection.md", "nl/detectie.md"])
def test_every_detector_is_in_the_manual(page: str) -> None:
    text = (ROOT / "docs" / "manual" / page).read_text(encoding="utf-8")
    assert {code for code in CODES if f"`{code}`" not in text} == set()


@pytest.mark.parametrize("page", ["en/alerts.md", "nl/meldingen.md"])
def test_the_built_in_ladder_is_in_the_manual(page: str) -> None:
    text = (ROOT / "docs" / "manual" / page).read_text(encoding="utf-8")
    told: dict[str, tuple[str, ...]] = {}
    row = r"^\| ([^|]*) \|" + r" `([a-z-]+)` \|" * 3 + "$"
    for first, *rungs in re.findall(row, text, re.MULTILINE):
        told |= dict.fromkeys(re.findall(r"`([a-z-]+)`", first) or [DEFAULT], tuple(rungs))
    assert told == {code: (rungs["low"], rungs["medium"], rungs["high"]) for code, rungs in BUILT_IN.items()}
    assert {code for code, rungs in told.items() if not set(rungs) & {"slow", "step-up", "suspend"}} == NAMED_ONLY


def test_several_weighs_detectors_that_there_are() -> None:
    assert set(WHO) | set(WHAT) <= CODES
    assert not set(WHO) & set(WHAT)


def test_how_fast_the_usual_grows() -> None:
    assert f"{(1 + GROWTH_A_DAY) ** 60:.2f} times" in FORMATS
