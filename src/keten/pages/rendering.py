"""Templates, with what every page has around them: languages, a menu of what the reader may do, who is signed in."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from keten import __version__
from keten.pages.languages import NAMES
from keten.pages.words import SHARED, Words


class Link(msgspec.Struct, frozen=True):
    """One line of a menu. path: below the language, as "/suppliers"."""

    path: str
    text: str


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """What is around a page.

    path: where the page is, below its language ("" for the start), and query: what follows it, for the other languages.
    person: who is signed in, "" for nobody. token: of this page's forms. enter: whether one can sign in here.
    """

    language: str
    path: str = ""
    query: str = ""
    menu: tuple[Link, ...] = ()
    person: str = ""
    organisation: str = ""
    token: str = ""
    enter: bool = False


def render(template: str, words: Words, frame: Frame, room: str = SHARED, **values: Any) -> bytes:
    """A page. Every value is escaped where it is put in; one that is missing is an error, never an empty place."""
    found = _environment(room, words.language).get_template(template)
    around = {"frame": frame, "language": words.language, "languages": NAMES, "w": words, "version": __version__}
    return found.render(around | values).encode()


@cache
def _environment(room: str, language: str) -> Environment:
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(f"keten.{one}") for one in dict.fromkeys((room, SHARED))]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    words = Words(language, room=room)
    # Where Jinja's extension puts what templates call as _() and ngettext(); what they are given is escaped.
    environment.install_gettext_callables(  # type: ignore[attr-defined]  # added by the extension
        words.gettext, words.ngettext, newstyle=True
    )
    return environment


def message(words: Words, frame: Frame, heading: str, text: str, details: str = "") -> bytes:
    """A page that says one thing."""
    return render("message.html", words, frame, heading=heading, text=text, details=details)
