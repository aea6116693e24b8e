"""The table of the OWASP ASVS: each requirement once, each test that is named is there, the document is made of it."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.architecture.asvs.document import CHAPTERS, PATH, REQUIREMENTS, render, short
from tests.architecture.asvs.model import Requirement
from tests.architecture.node_ids import exists, is_left_out

# ASVS 5.0.0, OWASP_Application_Security_Verification_Standard_5.0.0_en.csv: of each section the levels, in order.
LEVELS = {
    "V6.1": "122",
    "V6.2": "111111112222",
    "V6.3": "11223333",
    "V6.4": "112233",
    "V6.5": "22222333",
    "V6.6": "2223",
    "V6.7": "33",
    "V6.8": "2222",
    "V7.1": "222",
    "V7.2": "1111",
    "V7.3": "22",
    "V7.4": "11222",
    "V7.5": "223",
    "V7.6": "22",
    "V8.1": "1233",
    "V8.2": "1123",
    "V8.3": "133",
    "V8.4": "23",
}


def test_each_requirement_of_the_three_chapters_is_there_once_with_its_level() -> None:
    asked = [
        (f"{section}.{number}", int(level))
        for section, levels in LEVELS.items()
        for number, level in enumerate(levels, 1)
    ]
    assert [(one.id, one.level) for one in REQUIREMENTS] == asked
    assert len(asked) == 79
    assert Counter(level for _id, level in asked) == {1: 23, 2: 37, 3: 19}


@pytest.mark.parametrize("one", REQUIREMENTS, ids=lambda one: one.id)
def test_what_is_met_has_a_test_and_what_is_not_a_reason(one: Requirement) -> None:
    assert one.asks
    assert (one.verdict == "met") == (not one.reason)
    if one.verdict == "met":
        assert one.how
        assert [node for node in one.tests if not is_left_out(node)], "one at least that `make test` runs"
    assert len(set(one.tests)) == len(one.tests)
    assert [node for node in one.tests if not exists(node)] == []


def test_a_test_that_is_not_there_is_noticed() -> None:
    assert exists("tests/architecture/test_asvs.py::test_a_test_that_is_not_there_is_noticed")
    for node in (
        "tests/architecture/test_asvs.py::test_nothing",
        "tests/architecture/test_nothing.py::test_nothing",
        "tests/architecture/node_ids.py::exists",
        "tests/../src/keten/app.py::test_nothing",
        "tests/architecture/test_asvs.py",
        "",
    ):
        assert not exists(node), node


def test_a_test_that_is_left_out_is_noticed() -> None:
    assert is_left_out("tests/functional/test_openid.py::test_required_methods_must_have_been_used")
    assert not is_left_out("tests/functional/test_openid.py::test_out_and_back_and_in")


def test_what_is_not_met_is_listed() -> None:
    listed = short()
    for one in REQUIREMENTS:
        assert (f"**{one.id}**" in listed) == (one.verdict == "not met" or bool(one.level_3))
    assert all(name.startswith(chapter[0].id[:2]) for name, chapter in CHAPTERS)


def test_the_document_is_what_the_data_say() -> None:
    assert PATH.read_text(encoding="utf-8") == render(), "python -m tests.architecture.asvs.document writes it"
