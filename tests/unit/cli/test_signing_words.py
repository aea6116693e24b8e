"""What a command says that asked for something which takes two people."""

from pathlib import Path

import pytest

from keten.cli.operator.signing import waits
from keten.core.settings import Settings, load_settings

NAMED = {"KETEN_CONSOLE__PUBLIC_URL": "https://keten.example/"}


def settings(folder: Path, **variables: str) -> Settings:
    return load_settings(folder, variables)


@pytest.mark.parametrize(
    ("people", "said"),
    [
        (0, "Nothing is done until another operator says: keten subject approve abc"),
        (1, "Nothing is done until another person has signed it at the console: /en/proposals/abc"),
        (2, "Nothing is done until two people have signed it, each with a passkey, at the console: /en/proposals/abc"),
    ],
)
def test_who_has_to_and_where(tmp_path: Path, people: int, said: str) -> None:
    assert waits(settings(tmp_path), "abc", people, "Nothing is done") == [said]


def test_the_consoles_own_name_is_said(tmp_path: Path) -> None:
    (said,) = waits(settings(tmp_path, **NAMED), "abc", 1, "Nothing is done")
    assert said.endswith("has signed it at https://keten.example/en/proposals/abc")
