"""Hostile YAML: refused early, within bounds, with the line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keten.core.errors import Invalid
from keten.suppliers import document
from keten.suppliers.document import List, Map, Text, read_document
from keten.suppliers.mistakes import Mistakes
from keten.suppliers.reading import parse
from tests.unit.suppliers.instances import ESTATE, line_of

HEAD = "organisation: {name: A, country: NL, timezone: UTC}\n"
BOMB = "a: &a [x, x]\n" + "".join(
    f"{one}: &{one} [*{last}, *{last}]\n" for last, one in zip("abcdefgh", "bcdefghi", strict=True)
)


def refusal(content: str | bytes) -> list[str]:
    with pytest.raises(Invalid) as caught:
        parse(content.encode() if isinstance(content, str) else content, "hostile.yaml")
    assert caught.value.code == "estate"
    return [line.removeprefix("hostile.yaml:") for line in caught.value.public.split("\n")]


def test_aliases_are_refused_not_followed() -> None:
    told = refusal(BOMB)
    assert "1: anchors (&) are not allowed; write values out where they are needed" in told
    assert "2: aliases (*) are not allowed; write the value out" in told


def test_an_alias_is_told_once_where_a_value_is_needed() -> None:
    told = refusal(ESTATE.replace("owner: dpo", "owner: *dpo"))
    assert told == [f"{line_of('owner: dpo')}: aliases (*) are not allowed; write the value out"]


@pytest.mark.parametrize(
    "tag",
    ["!!python/object/apply:os.system [ls]", "!!binary aGk=", "!!timestamp 2026-01-01", "!include /etc/passwd", "! x"],
)
def test_tags_are_refused(tag: str) -> None:
    assert "2: tags (!) are not allowed" in refusal(HEAD + f"people: {tag}\n")


@pytest.mark.parametrize("opening", ["[", "{", "- ", "? ", "[{"])
def test_deep_nesting_stops_early(opening: str) -> None:
    told = refusal(opening * 1_000_000)
    assert len(told) == 1
    assert "nested deeper" in told[0] or "a key must be a word" in told[0] or "not YAML" in told[0]


def test_deep_indentation_stops_early() -> None:
    told = refusal("".join(f"{' ' * depth}a:\n" for depth in range(2000)))
    assert told == ["17: the file is nested deeper than 16 levels"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\xff\xfe" + "a: b".encode("utf-16-le"), "1: the file is not UTF-8; save it in that encoding"),
        (b"a: b\nc: \xc3\x28\n", "2: the file is not UTF-8; save it in that encoding"),
        (b"a: b\nc: caf\xe9\n", "2: the file is not UTF-8; save it in that encoding"),
        (b"a: \xed\xa0\x80\n", "1: the file is not UTF-8; save it in that encoding"),
        (b"a: b\nc: \x00\n", "2: the character U+0000 may not be in the file"),
        (b"a: b\n\n\x1b[2J\n", "3: the character U+001B may not be in the file"),
        ("a: b\nc: \u2028d\n".encode(), "2: the character U+2028 may not be in the file"),
        ("a: b\nc: \x85d\n".encode(), "2: the character U+0085 may not be in the file"),
        (b"a: b\rc: d\n", "1: the character U+000D may not be in the file"),
        ("a: b\nc: \ufffe\n".encode(), "2: the character U+FFFE may not be in the file"),
        ("a: b\nc: d\ufeff\n".encode(), "2: the character U+FEFF may not be in the file"),
    ],
)
def test_what_may_not_be_in_a_file(content: bytes, told: str) -> None:
    assert refusal(content) == [told]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("a: b\n c: d\n", 2),
        ("a: [b\nc: d\n", 2),
        ('a: "b\n', 2),
        ("a: b\n\tc: d\n", 2),
        ("a: b: c\n", 1),
        ("@a: b\n", 1),
        ("%YAML 9.9\n---\na: b\n", 1),
        ("a: b\n}\n", 2),
    ],
)
def test_what_is_not_yaml(content: str, line: int) -> None:
    (told,) = refusal(content)
    assert told.startswith(f"{line}: this is not YAML: ")


def test_mistakes_before_the_end_of_what_can_be_read_are_told_too() -> None:
    told = refusal("a: 1\na: 2\nb: [\n")
    assert told[0] == "2: the key 'a' is here twice, first at line 1"
    assert "this is not YAML" in told[1]


def test_a_second_document_is_refused() -> None:
    assert refusal(HEAD + "---\n" + HEAD) == ["2: a second document begins here; an estate is one"]


@pytest.mark.parametrize("key", ["? [a, b]\n: c\n", "? {a: b}\n: c\n", "{[a]: b}\n"])
def test_a_key_that_is_no_word_is_refused(key: str) -> None:
    assert refusal(key) == ["1: a key must be a word, not a list or a mapping"]


def test_a_file_that_is_too_large_is_refused_unread() -> None:
    assert refusal(b"#" * (document.MAX_BYTES + 1)) == ["1: the file is larger than 64 MiB"]


def test_too_many_values_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "MAX_NODES", 100)
    assert refusal(HEAD + "people: [" + "a,\n" * 200 + "]\n")[0].endswith("the file holds more than 100 values")


def test_the_tree_has_lines() -> None:
    mistakes = Mistakes()
    found = read_document(b"a: 1\nb:\n  - 'x'\n  - c:\n      d\n", "x.yaml", mistakes)
    assert not mistakes
    root = found.root
    assert isinstance(root, Map)
    a = root.pairs["a"][1]
    assert isinstance(a, Text)
    assert (a.value, a.bare, a.line) == ("1", True, 1)
    items = root.pairs["b"][1]
    assert isinstance(items, List)
    assert [item.line for item in items.items] == [3, 4]
    assert found.line_of(("b",)) == 2
    assert found.line_of(("b", 0)) == 3
    assert found.line_of(("b", 1, "c")) == 4
    assert found.line_of(("b", 1, "absent")) == 4
    assert found.line_of(("b", 7)) == 2
    assert found.line_of(("nowhere", "at", "all")) == 1


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_in_order(content: bytes) -> None:
    """There is no organisation in them, so they are refused; and with our own error, whatever they are."""
    for line in refusal(content):
        assert line.split(":")[0].isdigit()


@given(st.text(alphabet="abcdefg:-?[]{}&*!|>'\"%@`,# \n\t0", max_size=120))
def test_any_text_of_yaml_signs_is_refused_in_order(content: str) -> None:
    for line in refusal(content):
        assert line.split(":")[0].isdigit()
