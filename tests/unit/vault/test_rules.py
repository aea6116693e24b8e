"""File names, digests, media types, reasons and retention."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keten.core.errors import Invalid
from keten.vault import rules
from keten.vault.rules import DAY_US


@pytest.mark.parametrize(
    "name",
    [
        "kiezers.csv",
        "Stemregister 2026 (definitief).parquet",
        "…verslag.docx",
        ".verborgen",
        "a",
        "-rf",
        "përsønen.csv",
        "名前.txt",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645.txt",
        "👩\u200d🚀.png",
        "x" * 200,
    ],
)
def test_ordinary_names_stay_as_they_are(name: str) -> None:
    assert rules.normal_name(name) == unicodedata.normalize("NFC", name)


def test_a_name_is_the_same_whatever_keyboard_it_came_from() -> None:
    assert rules.normal_name("re\u0301sume\u0301.csv") == "r\u00e9sum\u00e9.csv"


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "a/b",
        "/etc/passwd",
        "../a",
        "a\\b",
        "C:\\a",
        "a\0b",
        "a\nb",
        "a\rb",
        "a\tb",
        "a\x7fb",
        "a\x9bb",
        " a",
        "a ",
        "a.",
        "...",
        "\u00a0a",
        "invoice\u202efdp.exe",
        "a\u2066b",
        "a\u200eb",
        "a\u061cb",
        "a\u200bb",
        "a\ufeffb",
        "a\u00adb",
        "a\u2028b",
        "a\u2029b",
        "\ud800",
        "a\uffffb",
        "a\ue000b",
        "a\U000e0041b",
        "x" * 201,
        "é" * 128,
        "x" * 1_000_000,
        "e\u0301" * 1_000_000,
    ],
)
def test_names_that_could_mislead_or_be_paths_are_refused(name: str) -> None:
    with pytest.raises(Invalid) as caught:
        rules.normal_name(name)
    assert caught.value.code == "file-name"
    caught.value.public.encode("utf-8")  # can be shown, whatever was in the name


@given(st.text(max_size=60))
def test_what_is_accepted_is_one_safe_component_and_stable(name: str) -> None:
    try:
        normal = rules.normal_name(name)
    except Invalid:
        return
    assert rules.normal_name(normal) == normal
    assert normal not in ("", ".", "..")
    assert not set(normal) & set("/\\\0\r\n\u202e")
    assert len(normal.encode()) <= 255
    assert rules.name_key(normal) == rules.name_key(name)


@pytest.mark.parametrize(
    ("one", "other"),
    [("Voters.csv", "VOTERS.CSV"), ("straße.txt", "STRASSE.TXT"), ("ﬁle", "file"), ("①.txt", "1.txt"), ("Å", "Å")],
)
def test_names_that_meet_on_some_file_system_share_a_key(one: str, other: str) -> None:
    assert rules.name_key(one) == rules.name_key(other)


def test_other_names_have_other_keys() -> None:
    assert len({rules.name_key(name) for name in ("a.csv", "b.csv", "a_csv", "a.csv.gz", "á.csv")}) == 5


def test_digests_are_whole_sha_256_and_nothing_else() -> None:
    good = rules.digest_text(bytes(range(32)))
    assert good == "sha-256=:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=:"
    assert rules.check_digest(good) == good
    bad = [
        "",
        good[:-1],
        good + "\n",
        good.replace("sha-256", "sha-512"),
        good.replace("sha-256", "SHA-256"),
        good.replace("=:A", "=: A"),
        "sha-256=::",
        good.replace("Hh8=", "Hh9="),  # the last character carries bits that no byte has
        good.replace("A", "-", 1),
        "sha-256=:" + "A" * 10_000 + ":",
    ]
    for digest in bad:
        with pytest.raises(Invalid) as caught:
            rules.check_digest(digest)
        assert caught.value.code == "digest"


def test_media_types() -> None:
    assert rules.check_media_type("Text/CSV") == "text/csv"
    assert rules.check_media_type("application/vnd.apache.parquet") == "application/vnd.apache.parquet"
    for bad in ("", "text", "text/", "/csv", "text/csv; charset=utf-8", "text/csv\r\nX: y", "a b/c", "x" * 64 + "/y"):
        with pytest.raises(Invalid):
            rules.check_media_type(bad)


def test_sizes_and_counts() -> None:
    assert rules.check_size(0) == 0
    assert rules.check_size(rules.MAX_CONTENT) == rules.MAX_CONTENT
    for size in (-1, rules.MAX_CONTENT + 1, 2**80):
        with pytest.raises(Invalid):
            rules.check_size(size)
    assert rules.check_records(0) == 0
    for records in (-1, 2**60):
        with pytest.raises(Invalid):
            rules.check_records(records)


def test_reasons_are_said_and_short() -> None:
    assert rules.check_reason("  no longer needed ") == "no longer needed"
    for bad in ("", "  ", "a\nb", "a\x1b[2Jb", "x" * 501):
        with pytest.raises(Invalid):
            rules.check_reason(bad)


def test_retention() -> None:
    assert rules.expires_us(1000, 0) == 0
    assert rules.expires_us(1000, -5) == 0
    assert rules.expires_us(1000, 90) == 1000 + 90 * DAY_US
    assert rules.expires_us(1_795_334_400_000_000, 10**12) < 2**63  # a column holds it
