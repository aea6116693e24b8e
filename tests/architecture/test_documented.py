"""The manual is complete in both languages, and no link of any document is dead."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin
from urllib.parse import unquote

import click
import msgspec
import pytest
import typer

from keten.cli import exits
from keten.cli.main import build
from keten.core.errors import BY_CATEGORY
from keten.core.settings import Settings
from keten.gateway.problems import KINDS
from keten.policy.reasons import REASONS
from tests.architecture.checkout import ROOT, relative, tracked_files

LANGUAGES = ("en", "nl")
_LINK = re.compile(r"(?<!\\)\]\(\s*(<[^>\n]*>|[^()\s]*(?:\([^()\s]*\)[^()\s]*)*)(?:\s+\"[^\"\n]*\")?\s*\)")
_REFERENCE = re.compile(r"^ {0,3}\[[^\]\n]+\]:\s*(\S+)", re.MULTILINE)
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})[^\n]*\n.*?^ {0,3}\1[`~]*\s*$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)", re.DOTALL)
_HEADING = re.compile(r"^ {0,3}#{1,6}\s+(.*?)\s*#*\s*$", re.MULTILINE)
_TABLE_CODE = re.compile(r"^\| `([^`]+)` \|", re.MULTILINE)


def manual(language: str) -> str:
    """All pages of the manual in one language."""
    pages = sorted((ROOT / "docs" / "manual" / language).glob("*.md"))
    assert pages, f"no manual in {language}"
    return "\n".join(page.read_text(encoding="utf-8") for page in pages)


def settings_of(kind: type[msgspec.Struct], section: str = "") -> Iterator[str]:
    """Every `section.key`; a setting outside any section is how the instance itself is named."""
    for field in msgspec.structs.fields(kind):
        inner = field.type
        if get_origin(inner) is tuple:  # tables of which there may be several: each key, and the list itself
            inner = get_args(inner)[0]
        if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            yield from settings_of(inner, f"{section}{field.name}.")
        if section and not (isinstance(field.type, type) and issubclass(field.type, msgspec.Struct)):
            yield f"{section}{field.name}"


def commands_of(command: click.Command, name: str) -> Iterator[str]:
    """Every command that does something, as it is typed."""
    children: dict[str, click.Command] = getattr(command, "commands", {})
    for child, one in children.items():
        yield from commands_of(one, f"{name} {child}")
    if not children:
        yield name


def reason_codes() -> set[str]:
    """The codes of the policies, and those that every room has added to docs/formats/reasons.md."""
    written = _TABLE_CODE.findall((ROOT / "docs" / "formats" / "reasons.md").read_text(encoding="utf-8"))
    return set(REASONS) | set(written)


def lacking(wanted: Iterator[str] | set[str], text: str) -> list[str]:
    """What is nowhere in the text as a word of code: `word`, alone or first in a line of code."""
    return sorted(one for one in wanted if not re.search(rf"`{re.escape(one)}[` ]", text))


def prose(text: str) -> str:
    """A document without its code, in which brackets are no links."""
    return _CODE.sub("", _FENCE.sub("", text))


def links(text: str) -> set[str]:
    """What a document links to, in any of Markdown's ways."""
    bare = prose(text)
    found = [link.strip("<>") for link in _LINK.findall(bare)] + _REFERENCE.findall(bare)
    return {link for link in found if link}


def anchors(text: str) -> set[str]:
    """The anchors that GitHub and its like make of the headings."""
    found: set[str] = set()
    for heading in _HEADING.findall(_FENCE.sub("", text)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        anchor = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        number = 0
        while (name := f"{anchor}-{number}" if number else anchor) in found:
            number += 1
        found.add(name)
    return found


def _leads_somewhere(document: Path, link: str) -> bool:
    path, _, fragment = link.partition("#")
    target = (document.parent / unquote(path)).resolve() if path else document
    if path.startswith("/") or not target.is_relative_to(ROOT) or not target.exists():
        return False
    return not fragment or target.suffix != ".md" or fragment in anchors(target.read_text(encoding="utf-8"))


def dead_links(document: Path) -> list[str]:
    """Links of a document to files or headings that are not there."""
    dead = []
    for link in links(document.read_text(encoding="utf-8")):
        if re.match(r"[a-z][a-z0-9+.-]*:", link, re.IGNORECASE) or link.startswith("//"):
            continue
        if not _leads_somewhere(document, link):
            dead.append(link)
    return sorted(dead)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_setting_is_in_the_manual(language: str) -> None:
    assert lacking(settings_of(Settings), manual(language)) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_reason_is_in_the_manual(language: str) -> None:
    assert lacking(reason_codes(), manual(language)) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_command_is_in_the_manual(language: str) -> None:
    group: Any = typer.main.get_command(build())
    assert lacking(commands_of(group, "keten"), manual(language)) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_category_of_error_is_in_the_manual_with_its_exit_code(language: str) -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| ([0-9]+) \|", manual(language), re.MULTILINE)
    wanted = {(name, str(exits.BY_CATEGORY[name])) for name in {*BY_CATEGORY, *exits.BY_CATEGORY}}
    assert wanted - set(rows) == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_exit_code_is_in_the_manual(language: str) -> None:
    wanted = {str(value) for name, value in vars(exits).items() if name.isupper() and isinstance(value, int)}
    rows = re.findall(r"^\| ([0-9]+) \|", manual(language), re.MULTILINE)
    assert wanted - set(rows) == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_problem_over_https_is_in_the_manual_with_its_status(language: str) -> None:
    rows = re.findall(r"^\| ([0-9]{3}) \| `([a-z-]+)` \|", manual(language), re.MULTILINE)
    assert {(str(text.status), name) for name, text in KINDS.items()} - set(rows) == set()


def test_no_link_is_dead() -> None:
    documents = [path for path in tracked_files() if path.suffix == ".md"]
    assert documents
    dead = {relative(document): found for document in documents if (found := dead_links(document))}
    assert dead == {}


def test_what_is_missing_is_noticed() -> None:
    text = "Set `gateway.bind`, and give `keten revoke grant ID`; gateway.proxy is not code.\n"
    assert lacking({"gateway.bind", "gateway.proxy", "keten revoke", "gateway.bin"}, text) == [
        "gateway.bin",
        "gateway.proxy",
    ]


def test_a_dead_link_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.architecture.test_documented.ROOT", tmp_path)
    (tmp_path / "there (1).md").write_text("# A *first* `head`\n\n# Same\n\n# Same\n")
    page = tmp_path / "page.md"
    page.write_text(
        "[a](there%20(1).md) [b](<there (1).md#a-first-head>) [c](<there (1).md#same-1>) [d](https://example.org/x)\n"
        '[e](gone.md) ![f](gone.png "title") [g](<there (1).md#gone>) [h](../outside.md) [i](#here) [j]\n\n'
        "[j]: also-gone.md\n\n# Here\n\n`[k](code.md)`\n\n```\n[l](code.md)\n```\n"
    )
    assert dead_links(page) == ["../outside.md", "also-gone.md", "gone.md", "gone.png", "there (1).md#gone"]
