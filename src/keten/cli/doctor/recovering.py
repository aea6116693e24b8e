"""Getting back in without a passkey: whether it can be done at all, and whether its times are what they should be."""

from __future__ import annotations

from collections.abc import Iterator

from keten.cli.doctor.findings import Case, Finding, note, weak
from keten.core.db import translated
from keten.core.recovering import CLASSES, Recovery
from keten.core.settings import duration


def recovery(case: Case) -> Iterator[Finding]:
    """Times that help callers; no server for letters where people have passkeys to lose."""
    from keten.identity import passkeys

    found = short(case.settings.recovery)
    if found:
        what = f"[recovery] gives callers a better chance than it should: {', '.join(found)}."
        yield weak("recovery-times", what, "Leave these out of keten.toml, unless this instance is for an exercise.")
    with translated(), case.engine.connect() as connection:
        people = passkeys.is_kept(connection) and passkeys.any_there(connection)
    if people and not case.settings.mail.url:
        what = "[mail] is not set: who loses the last passkey can't get back in, and nobody is told of anything."
        yield note("no-mail", what, "Set [mail] to a server for letters to people, and give each a second_email.")


def short(found: Recovery) -> list[str]:
    """The times that are weaker than the usual ones, as keten.toml has them."""
    from keten.keeper.recoveries import limits_of

    usual = Recovery()
    weaker = [
        f"{key} {getattr(found, key)}"
        for key in ("seasoned", "reduced")
        if duration(getattr(found, key)) < duration(getattr(usual, key))
    ]
    least, cool = dict(limits_of(usual).cool_us), dict(limits_of(found).cool_us)
    weaker += [f"cool_down {name} {found.cool_down[name]}" for name in CLASSES if cool[name] < least[name]]
    return [*weaker, f"code {found.code}"] if duration(found.code) > duration(usual.code) else weaker
