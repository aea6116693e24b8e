"""The database, where it is a server's: does it keep what it commits, and who may do what there."""

from __future__ import annotations

from collections.abc import Iterator

from keten.cli.doctor.findings import Case, Finding, weak, wrong


def server(case: Case) -> Iterator[Finding]:
    """What its engine finds, and whether the console has a role of its own."""
    import keten.vault.service  # noqa: F401  # declares which tables hold keys
    from keten.core.db import own_folder, weaknesses

    for found in weaknesses(case.engine):
        yield (wrong if found.grave else weak)(found.code, found.what, found.todo)
    settings = case.settings
    if own_folder(settings.state) is None and settings.console_state == settings.state:
        yield weak(
            "console-role",
            "The console reads the database as the keeper's role, which may read and write everything.",
            "Set [database] console_url with the role keten_console.",
        )
