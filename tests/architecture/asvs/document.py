"""`docs/asvs.md`: the requirements of the standard with what Keten does about each, made from the data beside this.

`python -m tests.architecture.asvs.document` writes it.
"""

from __future__ import annotations

from collections.abc import Iterable

from tests.architecture.asvs.authentication import AUTHENTICATION
from tests.architecture.asvs.authorization import AUTHORIZATION
from tests.architecture.asvs.model import Requirement, Verdict
from tests.architecture.asvs.sessions import SESSIONS
from tests.architecture.checkout import ROOT

PATH = ROOT / "docs" / "asvs.md"
CHAPTERS: tuple[tuple[str, tuple[Requirement, ...]], ...] = (
    ("V6 Authentication", AUTHENTICATION),
    ("V7 Session management", SESSIONS),
    ("V8 Authorization", AUTHORIZATION),
)
REQUIREMENTS: tuple[Requirement, ...] = tuple(one for _name, chapter in CHAPTERS for one in chapter)
VERDICTS: tuple[Verdict, ...] = ("met", "not met", "does not apply")
_HEAD = """# OWASP ASVS 5.0.0: chapters V6, V7 and V8

What the Application Security Verification Standard asks about authentication, session management and authorization,
and what Keten does. Ids and levels are those of [ASVS 5.0.0](https://github.com/OWASP/ASVS) (OWASP, CC BY-SA 4.0); what
is asked is said here in a few words of our own: look there for what it means exactly. Nobody from outside has verified
this. *Met* says that code does it, and that the tests named fail without it; of what is to be written down, that the
tests compare it with the code.

Made by `python -m tests.architecture.asvs.document` from `tests/architecture/asvs/`; a test compares, and looks whether
each test that is named is there. The controls and their numbers are in [controls](formats/controls.md).
"""


def figures() -> str:
    """How many of how many, by level."""
    lines = ["| Level | Requirements | Met | Not met | Do not apply |", "| --- | --: | --: | --: | --: |"]
    lines += [_counted(str(level), (one for one in REQUIREMENTS if one.level == level)) for level in (1, 2, 3)]
    lines.append(_counted("all", REQUIREMENTS))
    return "\n".join(lines) + "\n"


def _counted(name: str, some: Iterable[Requirement]) -> str:
    found = tuple(some)
    counts = " | ".join(str(sum(one.verdict == verdict for one in found)) for verdict in VERDICTS)
    return f"| {name} | {len(found)} | {counts} |"


def short() -> str:
    """What is not met, and what more is asked at level 3 and is not met, with the reasons."""
    lines = [
        f"- **{one.id}** (level {one.level}), {one.asks}: {one.reason}"
        for one in REQUIREMENTS
        if one.verdict == "not met"
    ]
    lines += [f"- **{one.id}**, what it asks more at level 3: {one.level_3}" for one in REQUIREMENTS if one.level_3]
    return "\n".join(lines) + "\n"


def table(chapter: tuple[Requirement, ...]) -> str:
    """A line for each requirement."""
    lines = [
        "| Id | Level | Asks | Verdict | What Keten does, or why not | Tests |",
        "| --- | :-: | --- | --- | --- | --- |",
    ]
    for one in chapter:
        more = f"At level 3 not met: {one.level_3}" if one.level_3 else ""
        said = ". ".join(text.removesuffix(".") for text in (_capital(one.how), one.reason, more) if text) + "."
        tests = "<br>".join(f"`{node.removeprefix('tests/')}`" for node in one.tests)
        lines.append(f"| {one.id} | {one.level} | {one.asks} | {one.verdict} | {said} | {tests} |")
    return "\n".join(lines) + "\n"


def _capital(text: str) -> str:
    return text if text.startswith("docs/") else text[:1].upper() + text[1:]


def render() -> str:
    """The document."""
    parts = [_HEAD, "## Figures\n", figures(), "## What is not met\n", short()]
    for name, chapter in CHAPTERS:
        parts += [f"## {name}\n", table(chapter)]
    return "\n".join(parts)


if __name__ == "__main__":
    PATH.write_text(render(), encoding="utf-8")
