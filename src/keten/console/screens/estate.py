"""The estate: look at what a file would change, and apply exactly that; take the register along as a file.

The keeper does both by the very verb of `keten apply`. What is confirmed is bound to what the file says and to the
register as it was when its difference was shown: whoever comes second with a change is shown what changed meanwhile.
"""

from __future__ import annotations

import re
import threading
from datetime import datetime

import msgspec
from starlette.responses import Response

from keten.console import wording
from keten.console.difference import Difference, difference
from keten.console.example import example
from keten.console.mistaken import Told, told
from keten.console.phrases import phrase
from keten.console.readings import estate as readings
from keten.console.screens.turn import Turn
from keten.core.clock import rfc3339, wall_us
from keten.core.errors import Denied, Invalid, KetenError
from keten.keeper.protocol import Applied, Apply
from keten.pages.problems import said
from keten.pages.stepping import Act
from keten.pages.uploads import ESCAPED
from keten.pages.visits import marked
from keten.pages.words import Words
from keten.suppliers.changes import ENDED
from keten.suppliers.estate import encode
from keten.suppliers.reading import parse

VERB = "suppliers.apply"
MOST_BYTES = 4 * 1024 * 1024
"""Of a file at the console: some ten thousand suppliers. `keten apply` takes larger ones."""
MOST_FORM = 4 * MOST_BYTES
"""As a form carries it on, with its signs encoded."""
MOST_ECHOED = 256 * 1024
"""A file with mistakes is shown again in the form up to so many characters."""
MOST_NAMED = 20
MOST_LINE = 100
"""Characters of a line with a mistake that are shown."""
FILE = "estate"
_MISTAKE = re.compile(rf"{FILE}(?::([0-9]+))?: (.*)\Z")
_one_at_a_time = threading.Lock()  # a file takes some hundred times its size while it is read


class Mistake(msgspec.Struct, frozen=True):
    """A mistake of a file. line: 0 where it is of no line. source: what that line says, "" where it is not shown."""

    line: int
    told: Told
    source: str = ""


async def show(turn: Turn) -> Response:
    """The form. Asked for the example, with that in it, below what the register says already."""
    if not turn.asked("example") or not await turn.read(readings.is_bare):
        return await _form(turn)
    return await _form(turn, f"{await _present(turn)}{_example(turn)}")


async def present(turn: Turn) -> Response:
    """The register as a file."""
    made = await _present(turn)
    name = f"estate-{rfc3339(wall_us())[:10]}.yaml"
    headers = {"content-disposition": f'attachment; filename="{name}"', "content-type": "application/yaml"}
    return marked(turn.site, turn.visit, Response(made.encode(), headers=headers))


async def _present(turn: Turn) -> str:
    """The register as the text of a file."""
    heading = turn.words.gettext(
        "The register as it was at %(moment)s. E-mail addresses are not in it: 'unchanged' stands for each of them. "
        "Comments of the file that was applied are not kept."
    ) % {"moment": rfc3339(wall_us())}
    return await turn.read(lambda reading: readings.present(reading, heading))


def _example(turn: Turn) -> str:
    """The example, whose dataset is the reader's own."""
    return example(turn.words, turn.found.person.name, datetime.now(turn.words.zone).date())


async def plan(turn: Turn) -> Response:
    """What the file would change; or the form again with its text, to change that."""
    text = turn.form.get("file", "") or turn.form.get("text", "")
    if turn.form.get("edit"):
        return await _form(turn, text)
    if not text.strip():
        return await _form(turn, wrong=turn.words.gettext("Choose a file, or put its text into the field."), status=400)
    return await _planned(turn, text)


async def confirm(turn: Turn) -> Response:
    """It is to be applied: the passkey signs for what was shown, if the register is still as it was then."""
    text, base = turn.form.get("text", ""), _base(turn)
    try:
        body = await _body(turn, text, base)
        planned = await turn.do(VERB, msgspec.structs.replace(body, plan_only=True, base=0), Applied)
    except (Denied, Invalid) as error:
        if error.code == "estate-inside":  # it was not, when it was looked at: then the register has changed
            return await _planned(turn, text, seen=base)
        return await _refused(turn, text, error)
    if planned.base != base:
        return await _planned(turn, text, seen=base)
    shown = difference(turn.words, planned.changes)
    if shown.nothing:
        return await _planned(turn, text)
    effects = _effects(turn.words, shown)
    if _ends_reader(turn, planned):
        effects.insert(0, _yourself(turn.words))
    act = Act(
        heading=turn.words.gettext("Change the register"),
        effects=tuple(effects),
        button=turn.words.gettext("Apply it now"),
        action="/estate/done",
        back="/estate",
        fields={"text": text, "base": str(base)},
    )
    return await turn.confirm(VERB, body, act)


async def done(turn: Turn) -> Response:
    """It is confirmed."""
    text, base = turn.form.get("text", ""), _base(turn)
    try:
        applied = await turn.do(VERB, await _body(turn, text, base), Applied, turn.finished)
    except Invalid as error:
        return await _refused(turn, text, error)
    except KetenError as error:
        if error.code in ("register-changed", "estate-inside"):
            return await _planned(turn, text, seen=base)
        if error.code != "cut-unconfirmed":
            raise
        return turn.page("applied.html", told=None, cut=0)
    return turn.page("applied.html", told=difference(turn.words, applied.changes), cut=applied.cut)


# ---- what they share -------------------------------------------------------------------------------------------------


async def _body(turn: Turn, text: str, base: int) -> Apply:
    """What the keeper is told. Raises `Invalid` ("estate") with every mistake."""
    return Apply(msgspec.Raw(await turn.aside(lambda: _encoded(text))), base=base)


def _encoded(text: str) -> bytes:
    content = text.encode("utf-8", ESCAPED)
    if len(content) > MOST_BYTES:
        raise Invalid("form-size", "This file is too large for the console.")
    with _one_at_a_time:
        return encode(parse(content, FILE))


async def _planned(turn: Turn, text: str, seen: int = 0) -> Response:
    """The difference. seen: as of when the register was that somebody looked at before it changed; 0: nobody did."""
    words, shown, inside, base, yourself = turn.words, None, "", 0, ""
    try:
        body = await _body(turn, text, 0)
        planned = await turn.do(VERB, msgspec.structs.replace(body, plan_only=True), Applied)
        shown, base = difference(words, planned.changes), planned.base
        yourself = _yourself(words) if _ends_reader(turn, planned) else ""
    except (Denied, Invalid) as error:
        if not seen or error.code != "estate-inside":
            return await _refused(turn, text, error)
        inside = said(words, error)  # what changed meanwhile may be what this person may not take back
    meanwhile = await turn.read(lambda reading: readings.meanwhile(reading, seen)) if seen else None
    return turn.page(
        "plan.html",
        status=409 if seen else 200,
        text=text,
        base=base,
        told=shown,
        yourself=yourself,
        inside=inside,
        meanwhile=[(one, phrase(words, one.kind), wording.actor(words, one.who)) for one in meanwhile.lines]
        if meanwhile
        else None,
        at_us=wall_us(),
    )


def _base(turn: Turn) -> int:
    base = turn.form.get("base", "")
    if not (base.isascii() and base.isdigit() and len(base) < 16 and int(base) > 0):
        raise Invalid("form", "The form could not be read.")
    return int(base)


async def _refused(turn: Turn, text: str, error: KetenError) -> Response:
    """The form again, with what is wrong with the file, or not for this person to change."""
    if error.code == "form-size":
        return await _form(turn, wrong=too_large(turn.words), status=413)
    if error.code == "estate-inside":
        inside = tuple(error.public.splitlines())
        return await _form(turn, text, wrong=said(turn.words, error), inside=inside, status=403)
    if error.code != "estate":
        raise error
    found = [_MISTAKE.match(line) for line in error.public.splitlines()]
    lines = text.split("\n") if _is_legible(text) else []

    def mistake(line: int, reason: str) -> Mistake:
        source = lines[line - 1].strip()[:MOST_LINE] if 0 < line <= len(lines) else ""
        return Mistake(line, told(turn.words, reason), source)

    mistakes = tuple(mistake(int(one[1] or 0), one[2]) for one in found if one)
    return await _form(turn, text, mistakes=mistakes, status=400)


def too_large(words: Words) -> str:
    """What is said of a file that the console does not take."""
    text = words.gettext("The file is larger than %(size)s. Apply it at the command line: keten apply FILE --plan")
    return text % {"size": words.size(MOST_BYTES)}


async def _form(
    turn: Turn,
    text: str = "",
    *,
    wrong: str = "",
    mistakes: tuple[Mistake, ...] = (),
    inside: tuple[str, ...] = (),
    status: int = 200,
) -> Response:
    legible = text if _is_legible(text) else ""
    bare = await turn.read(readings.is_bare)
    return turn.page(
        "estate.html",
        status=status,
        bare=bare,
        example=_example(turn),
        text=legible,
        wrong=wrong,
        mistakes=mistakes,
        inside=inside,
    )


def _is_legible(text: str) -> bool:
    """Whether it can be shown again."""
    return len(text) <= MOST_ECHOED and _is_text(text)


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def _ends_reader(turn: Turn, planned: Applied) -> bool:
    """Whether whoever looks at it would end by it."""
    me = turn.found.person
    ended = [one["name"] for one in planned.changes if one["kind"] == "person" and one["change"] == ENDED]
    return not me.supplier and me.name in ended


def _yourself(words: Words) -> str:
    return words.gettext(
        "This ends you: you are signed out at once, and cannot sign in here any more. Keep yourself in the file, under "
        "'people', unless you mean that."
    )


def _effects(words: Words, told: Difference) -> list[str]:
    """What will happen, what ends by name and first."""
    effects = [line.text for line in told.ends.lines[:MOST_NAMED]]
    rest = told.ends.count - len(effects)
    if rest > 0:
        effects.append(
            words.ngettext("%(count)s thing more ends.", "%(count)s things more end.", rest)
            % {"count": words.number(rest)}
        )
    if told.ends.count:
        effects.append(words.gettext("What ends, ends for good, and what is under way by it is cut at once."))
    if told.changes.count:
        effects.append(
            words.ngettext(
                "%(count)s thing changes, as was shown.",
                "%(count)s things change, as was shown.",
                told.changes.count,
            )
            % {"count": words.number(told.changes.count)}
        )
    if told.comes.count:
        effects.append(
            words.ngettext(
                "%(count)s thing comes in, as was shown.", "%(count)s things come in, as was shown.", told.comes.count
            )
            % {"count": words.number(told.comes.count)}
        )
    return effects
