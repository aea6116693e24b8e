"""Everything that the keeper can answer to a screen is said in both languages."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import keten
from keten.core.errors import BY_CATEGORY, rebuild
from keten.pages.problems import said
from keten.pages.sayings import SAYINGS
from keten.pages.words import LANGUAGES, Words

ROOT = Path(keten.__file__).parent
BEHIND = (
    *("console/link.py", "keeper/server.py", "keeper/writer.py", "core/clock.py"),
    *("keeper/people.py", "keeper/people_verbs.py", "keeper/person_verbs.py", "keeper/acting.py", "keeper/owned.py"),
    *("identity/links.py", "identity/passkeys.py", "identity/ceremonies.py", "identity/person_sessions.py"),
    *("identity/failures.py", "revocation/service.py", "watch/handling.py", "budgets/asking.py", "policy/sets.py"),
    *("keeper/portal_verbs.py", "keeper/own_log.py", "keeper/own_people.py", "keeper/own_standing.py"),
    *("keeper/gateway_verbs.py", "keeper/listings.py", "keeper/limits.py", "exchange/cursors.py"),
    *("gateway/link.py", "gateway/accesses.py", "console/proving.py", "keeper/budget_verbs.py"),
    "keeper/unsatisfiable.py",
    *(f"{room}/{path.name}" for room in ("pages", "portal", "console/screens") for path in (ROOT / room).glob("*.py")),
)
"""The modules behind what faces say about people, behind the acts of people, and behind the portal."""
RAISING = {*(kind.__name__ for kind in BY_CATEGORY.values()), "Refused", "KetenError", "too_many", "__init__"}
NOT_TOLD = {
    "settings": "when a process starts",
    "for": "at the command line: the screens offer a list",
    "session-ended": "it leads to where one signs in",
    "no-budget": "to suppliers' systems",
    "request-open": "to suppliers' systems",
    "more-case": "to suppliers' systems",
    "range-unsatisfiable": "to who fetches, as HTTP has it",
    "no-hello": "to a gateway",
    "gateway-gone": "to a gateway that is not there",
}
"""Codes in those modules that no screen of people shows, and why."""


def codes() -> dict[str, str]:
    """Every code that is raised by its name, and where."""
    found: dict[str, str] = {}
    for name in BEHIND:
        for node in ast.walk(ast.parse((ROOT / name).read_text())):
            if not isinstance(node, ast.Call) or not node.args or not isinstance(node.args[0], ast.Constant):
                continue
            called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            if called in RAISING and isinstance(node.args[0].value, str):
                found[node.args[0].value] = name
    # Chosen where it is raised (`People.answering_alike`).
    return found | {"sign-in-failed": "keeper/people.py", "link-invalid": "keeper/people.py"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_code_is_said(language: str) -> None:
    words = Words(language)
    found = codes()
    assert len(found) > 40
    assert set(NOT_TOLD) <= set(found), "left over"
    for code, where in found.items():
        if code not in NOT_TOLD:
            text = said(words, rebuild("denied", code, "PUBLIC"))
            assert text not in ("PUBLIC", code), f"{code} of {where}"


def test_dutch_is_not_english() -> None:
    dutch, english = Words("nl"), Words("en")
    for code in SAYINGS:
        error = rebuild("denied", code, "PUBLIC")
        assert said(dutch, error) != said(english, error), code


def test_what_is_not_known_is_said_as_the_keeper_says_it() -> None:
    assert said(Words("nl"), rebuild("denied", "some-new-code", "It is so.")) == "It is so."
