"""What the pages of every face have in common: no secret that somebody knows is asked for, and a way out on each."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.architecture.checkout import ROOT

FOLDERS = [ROOT / "src" / "keten" / room / "templates" for room in ("pages", "console", "portal")]
TEMPLATES = sorted(path for folder in FOLDERS for path in folder.glob("*.html"))
PARTS = frozenset(
    {
        *("pages-page", "pages-parts", "pages-passkey"),
        *("console-difference", "console-pieces", "console-shares", "portal-looking"),
    }
)
"""The frame itself, and what is included in pages."""
OPEN = {
    "sign-in": {"token", "ceremony", "response", "zone", "next"},
    "link": {"token", "secret"},
    "enrol": {"token", "ceremony", "response", "zone"},
    "recover": {"token", "first", "second"},
    "stop": {"token"},
    "lost": set(),
    "onward": set(),
    "arrived": set(),
    "message": set(),
}
"""Pages for whoever it is → what their forms ask for: one-time secrets, and what a passkey answers."""
_ADDED = {"ceremony_fields": {"token", "ceremony", "response", "zone"}, "token()": {"token"}}


def named(path: Path) -> str:
    """The room of a template, and its name."""
    return f"{path.parent.parent.name}-{path.stem}"


def fields(text: str) -> set[str]:
    """What the forms of a template hold, also by what they call."""
    found = set(re.findall(r'<(?:input|select|textarea)\b[^>]*\bname="([a-z_]+)"', text))
    return found.union(*(more for call, more in _ADDED.items() if f"{{{{ {call}" in text))


def test_the_templates_are_found() -> None:
    assert {folder.parent.name for folder in FOLDERS if list(folder.glob("*.html"))} == {"pages", "console", "portal"}
    assert {named(path) for path in TEMPLATES} > PARTS


@pytest.mark.parametrize("path", TEMPLATES, ids=named)
def test_no_page_asks_for_a_password(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r'type="?password|autocomplete="?(current|new)-password|one-time-code', text)
    assert not re.search(r"secret question|security question", text, re.IGNORECASE)


@pytest.mark.parametrize("name", OPEN)
def test_who_is_not_signed_in_is_asked_for_nothing_that_is_known_by_heart(name: str) -> None:
    assert fields((FOLDERS[0] / f"{name}.html").read_text(encoding="utf-8")) == OPEN[name]


@pytest.mark.parametrize("path", TEMPLATES, ids=named)
def test_every_page_has_the_frame(path: Path) -> None:
    assert (path.read_text(encoding="utf-8").startswith('{% extends "page.html" %}')) == (named(path) not in PARTS)


def test_the_frame_has_a_way_out_that_no_page_takes_away() -> None:
    frame = (FOLDERS[0] / "page.html").read_text(encoding="utf-8")
    before, _, after = frame.partition('action="/{{ language }}/sign-out"')
    assert after
    opened = before.count("{% block") - before.count("{% endblock %}")
    assert opened == 0, "it stands in no block, which a page could replace"
    assert before.rpartition("{% if ")[2].startswith("frame.person %}"), "whoever is signed in has it"
