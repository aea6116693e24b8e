"""Paths over SFTP: whatever the bytes, what comes out is a plain path below "/" or nothing."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keten.gateway.sftp_paths import MAX_COMPONENTS, NoSuchPath, folder_name, resolve, written

names = st.text(min_size=1, max_size=8)
components = st.sampled_from([b"..", b".", b"", b"share", b"naam.csv", b"%2e%2e", b"..\\..", b"\xc3\xa9", b"e\xcc\x81"])
paths = st.lists(components | names.map(lambda name: name.encode("utf-8", "surrogatepass")), max_size=8).map(b"/".join)


@given(paths | st.binary(max_size=40))
@example(b"/share/../../../etc/passwd")
@example(b"\xc0\xae\xc0\xae/")  # an overlong ".."
@example(b"\xed\xa0\x80")  # half of a surrogate pair
@example(b"a\x00b")
@example(b"\xe2\x80\xae")  # a right-to-left override
def test_nothing_leads_outside_or_is_ambiguous(path: bytes) -> None:
    try:
        found = resolve(path)
    except NoSuchPath:
        return
    assert len(found) <= MAX_COMPONENTS
    for component in found:
        assert component
        assert component not in (".", "..")
        assert not set(component) & set("/\\\0")
        assert component == unicodedata.normalize("NFC", component)
        assert not any(unicodedata.category(character) in ("Cc", "Cs") for character in component)
    assert resolve(written(found)) == found, "normalised once is normalised for good"


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (b"", ()),
        (b"/", ()),
        (b".", ()),
        (b"/..", ()),
        (b"share/../..//./share/file", ("share", "file")),
        (b"/share/./file/", ("share", "file")),
        (b"share/e\xcc\x81t\xc3\xa9.csv", ("share", "\xe9t\xe9.csv")),
    ],
)
def test_paths(path: bytes, found: tuple[str, ...]) -> None:
    assert resolve(path) == found


@pytest.mark.parametrize(
    "path",
    [b"a\0", b"\xff", b"a/" * 3000, b"x" * 300, b"a\nb", b"\xe2\x80\x8b", b" a", b"a ", b"a.", b"/".join([b"a"] * 70)],
)
def test_what_is_no_path_of_ours(path: bytes) -> None:
    with pytest.raises(NoSuchPath):
        resolve(path)


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("voters", "voters"),
        ("a/b", "a_b"),
        ("..", "ididid"),
        ("", "ididid"),
        (" x ", "x"),
        ("a\nb", "a_b"),
        ("e\u0301", "\xe9"),
        ("x" * 300, "ididid"),
    ],
)
def test_a_label_is_a_folder_that_can_be_opened(label: str, name: str) -> None:
    assert folder_name(label, "ididid") == name
    assert resolve(f"/{folder_name(label, 'ididid')}".encode()) == (name,)
