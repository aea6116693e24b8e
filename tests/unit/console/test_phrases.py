"""Whatever has a code has words: kinds of entry, acts, roles, attributes of a decision, ends of an access."""

from __future__ import annotations

from typing import get_args

import msgspec

import keten.app  # noqa: F401 - imports every room, which registers its kinds
from keten.budgets.model import Per, Shown
from keten.console import acts, phrases, wording
from keten.console.accesses import _ENDS
from keten.console.screens import alerts, datasets, decision, ledger
from keten.datasets.model import CATEGORIES
from keten.identity.roles import ACTS, Role
from keten.ledger.kinds import kinds
from keten.pages.words import Words
from keten.policy.model import Attributes
from keten.watch.model import RESPONSES, SEVERITIES, State, Verdict
from tests.architecture.entries_document import load_every_kind


def test_every_kind_of_entry_has_a_phrase() -> None:
    load_every_kind()
    assert set(phrases.PHRASES) == set(kinds())
    assert phrases.phrase(Words("nl", room="console"), "some.new.kind") == "some.new.kind"
    assert {kind.partition(".")[0] for kind in kinds()} == set(ledger.ROOMS)


def test_every_act_and_role_has_a_phrase() -> None:
    assert set(acts.PHRASES) == set(ACTS)
    assert set(wording.ROLES) == set(get_args(Role))
    assert {role for side in acts.SIDES for role in side} == set(get_args(Role))


def test_every_attribute_of_a_decision_has_a_phrase() -> None:
    assert set(decision.ATTRIBUTES) == {field.name for field in msgspec.structs.fields(Attributes)}


def test_every_end_of_an_access_has_a_phrase() -> None:
    assert set(ledger.ENDS) == {*_ENDS, "unknown"}


def test_every_category_of_a_column_has_a_phrase() -> None:
    assert set(datasets.CATEGORIES) == set(CATEGORIES)


def test_whatever_an_alert_or_request_can_be_has_a_phrase() -> None:
    assert set(alerts.SEVERITIES) == set(SEVERITIES)
    assert set(alerts.STATES) == set(get_args(State))
    assert {*alerts.VERDICTS, ""} == set(get_args(Verdict))
    assert set(alerts.RESPONSES) == set(RESPONSES)
    assert set(alerts.ASKED) == set(get_args(Shown))
    assert set(alerts.PER) == set(get_args(Per))
