"""Mistakes of an estate file in the reader's language.

They come as sentences in English from `suppliers/reading.py`, `document.py`, `rules.py` and `plan.py`, as the command
line shows them. Here each is recognised by its form, and said again. What is not recognised stays in English; a test
takes every mistake that the tests of those files make, and finds that none is left.
"""

from __future__ import annotations

import re
from functools import cache

import msgspec

from keten.console.wording import ROWS
from keten.pages.words import N_, SOURCE, Words

_WORDS = {
    **{word: text for word, text in ROWS.items() if word != "object"},
    "role": N_("role"),
    "tier": N_("importance"),
    "kind": N_("kind"),
    "classification": N_("class"),
    "category": N_("category"),
    "column": N_("column"),
    "form": N_("form"),
    "period": N_("window"),
    "word": N_("word"),
    "purpose": N_("purpose"),
    "an id": N_("an id"),
    "a purpose": N_("a purpose"),
}
"""What a file calls things, in the words of the screens."""
_TRANSLATED = ("word", "an")
_TAILS = (
    N_("%(said)s; did you mean %(other)s?"),
    N_("%(said)s; it is one of %(others)s"),
    N_("%(said)s; Europe/Amsterdam is one"),
    N_("%(said)s; %(other)s would do"),
    N_("%(said)s, first at line %(line)s"),
)
"""What may follow a mistake: a hint, or where the same stands already."""
_ABOUT = re.compile(r"(?P<word>[a-z]+) (?P<name>'[^']*'): (?P<said>.*)\Z")
"""What the register says against a row: which one, and why not."""
_FORMS = (
    N_("the file is empty"),
    N_("the file is larger than %(size)s MiB"),
    N_("the file is not UTF-8; save it in that encoding"),
    N_("the character %(what)s may not be in the file"),
    N_("a second document begins here; an estate is one"),
    N_("this is not YAML: %(what)s"),
    N_("the file holds more than %(count)s values"),
    N_("the file is nested deeper than %(count)s levels"),
    N_("a key must be a word, not a list or a mapping"),
    N_("the key %(value)s is here twice, first at line %(line)s"),
    N_("aliases (*) are not allowed; write the value out"),
    N_("anchors (&) are not allowed; write values out where they are needed"),
    N_("tags (!) are not allowed"),
    N_("and %(count)s more mistakes; correct these first"),
    N_("this must be a mapping with %(keys)s"),
    N_("an estate must be a mapping with %(keys)s"),
    N_("%(value)s must be a mapping with %(keys)s"),
    N_("unknown key %(value)s"),
    N_("the key %(value)s is missing"),
    N_("%(value)s is too large"),
    N_("%(value)s must be a whole number such as 24"),
    N_("%(value)s must be a whole number such as 24, without quotes"),
    N_("%(value)s has nothing; leave it out, or write []"),
    N_("%(value)s must be a list"),
    N_("an item of %(value)s has no value"),
    N_("an item of %(value)s must be one value"),
    N_("%(value)s has no value"),
    N_("%(value)s must be one value"),
    N_("unknown time zone %(value)s"),
    N_("this is not an e-mail address"),
    N_("this is the first address again; it must be another mailbox"),
    N_("%(value)s is not a host such as files.example.org or *.example.org"),
    N_("%(value)s is named already"),
    N_("a client has one key, or two while one takes over from the other"),
    N_("this key is in use already"),
    N_("the contract ends before it starts: it ends %(ends)s, and starts %(starts)s"),
    N_("a contract needs at least one purpose"),
    N_("the owner must be one of the organisation's own people"),
    N_("a 'source' keeps its own content: leave this out"),
    N_("give a 'table' that is put, or a 'source', not both"),
    N_("a table of PostgreSQL is named with its schema: public.persons"),
    N_("a table has at least one column"),
    N_("contract %(contract)s lacks the purpose %(value)s"),
    N_("a label has letters, digits, spaces, '.', '_' and '-', at most 100; it becomes the name of a folder"),
    N_("%(value)s is a client and a person; rename one of them"),
    N_("unknown client or person %(value)s"),
    N_("unknown client or person %(value)s; it is a person of the organisation, not of a supplier"),
    N_("%(word)s %(value)s is of %(owner)s, the contract with %(supplier)s"),
    N_("give one 'budget', or several 'budgets', not both"),
    N_("a grant of form %(value)s needs a budget"),
    N_("'then: %(what)s' needs 'most', the ceiling past which it stops"),
    N_("'most' goes with 'then: delay' or 'then: step-up'"),
    N_("'every' goes with 'then: delay'"),
    N_("%(value)s is not a duration such as 90s, 30m, 1h or 7d"),
    N_("only a grant's budget has %(value)s; this one stops"),
    N_("dataset %(value)s is no table: give it a 'table', or a 'source'"),
    N_("only a grant of form 'lookup' has %(value)s"),
    N_("dataset %(value)s is a table: its records are looked up, not given as a file"),
    N_("dataset %(value)s is no table"),
    N_("'outside' is %(what)s, or for how many records one outside counts: 1 to %(most)s"),
    N_("the %(word)s id %(value)s is used already"),
    N_(
        "%(an)s has lowercase letters, digits, '.', '_' and '-', beginning with a letter or digit, at "
        "most 100; not %(value)s"
    ),
    N_("%(value)s looks like one of Keten's random ids; choose another name"),
    N_("unknown %(word)s %(value)s"),
    N_("%(value)s is not a country's two-letter code of ISO 3166-1"),
    N_("a name has 1 to 200 printable characters, none of them a space at its ends"),
    N_("%(value)s must be at least %(least)s and at most %(most)s, not %(number)s"),
    N_("an empty list is not clear; leave %(value)s out when they are not known"),
    N_("an empty list is not clear; leave %(value)s out when the contract names no countries"),
    N_("an empty list is not clear; leave %(value)s out when everyone of the supplier is meant"),
    N_("an empty list is not clear; leave %(value)s out when all columns are meant"),
    N_("%(value)s is in the list twice"),
    N_("%(value)s: write a date such as 2026-12-31, or a time with offset such as 2026-12-31T17:00:00+01:00"),
    N_(
        "%(value)s: there is no such day or time; write a date such as 2026-12-31, or a time with "
        "offset such as 2026-12-31T17:00:00+01:00"
    ),
    N_("%(value)s: starts and ends hold to the second: leave out the fraction"),
    N_("%(value)s: a time needs an offset, such as Z or +01:00"),
    N_("%(value)s: the year must be one of %(first)s to %(last)s"),
    N_("%(count)s characters are no network"),
    N_("%(value)s is not a network such as 192.0.2.0/24"),
    N_("%(value)s is too wide: at least /%(bits)s"),
    N_("This is a private key. Keep it secret; give the line of the .pub file."),
    N_("Only a line that begins with 'ssh-ed25519' is a key here; 'ssh-keygen -t ed25519' makes one."),
    N_("This is no key that only its owner can sign for; make another with 'ssh-keygen -t ed25519'."),
    N_("This is not an OpenSSH public key: not one line of printable text."),
    N_("This is not an OpenSSH public key: its base64 is damaged."),
    N_("This is not an OpenSSH public key: its base64 is not canonical."),
    N_("This is not an OpenSSH public key: it does not hold one Ed25519 key."),
    N_("what was known of this person was erased; take them out, or give a new id"),
    N_("its %(field)s can't change (from %(old)s to %(new)s); give it a new id"),
    N_("an e-mail address that is 'unchanged' needs one in the register; write it"),
    N_("its second e-mail address would be the first again; write both"),
)
"""The first that fits is meant."""
_PLACE = re.compile(r"%\\\((\w+)\\\)s")
MOST = 2000
"""Characters of a mistake that is looked at."""


class Told(msgspec.Struct, frozen=True):
    """A mistake as it is shown. language: of the text; English where it was not recognised."""

    text: str
    language: str


def told(words: Words, text: str) -> Told:
    """A mistake, as the command line says it, in the reader's language."""
    if words.language == SOURCE or len(text) > MOST:
        return Told(text, SOURCE)
    found = _told(words, text)
    return Told(text, SOURCE) if found is None else Told(found, words.language)


def _told(words: Words, text: str) -> str | None:
    """The sentence, or what it hangs on with a hint after it; None for what is not known."""
    for form in _FORMS:
        found = _pattern(form).match(text)
        if found is not None:
            return words.gettext(form) % {name: _said(words, name, value) for name, value in found.groupdict().items()}
    for tail in _TAILS:
        found = _pattern(tail).match(text)
        before = _told(words, found["said"]) if found is not None else None
        if found is not None and before is not None:
            return words.gettext(tail) % (found.groupdict() | {"said": before})
    about = _ABOUT.match(text)
    said = _told(words, about["said"]) if about is not None else None
    if about is None or said is None:
        return None
    return f"{_said(words, 'word', about['word'])} {about['name']}: {said}"


def _said(words: Words, name: str, value: str) -> str:
    return words.gettext(_WORDS[value]) if name in _TRANSLATED and value in _WORDS else value


@cache
def _pattern(form: str) -> re.Pattern[str]:
    """What a sentence looks like: a value stands in quotes, what is named otherwise is anything."""
    return re.compile(_PLACE.sub(_group, re.escape(form)) + r"\Z", re.DOTALL)


def _group(place: re.Match[str]) -> str:
    name = place[1]
    shape = {"said": ".+", "value": r"(?:'.*?'|\".*?\")", "word": "[a-z]+", "an": "an? [a-z]+", "line": "[0-9]+"}.get(
        name, ".+?"
    )
    return f"(?P<{name}>{shape})"
