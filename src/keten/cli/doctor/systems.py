"""The organisation's own databases: whether they can be asked, are what the register says, and may only be read."""

from __future__ import annotations

from collections.abc import Iterator

from keten.cli.doctor.findings import Case, Finding, note, weak, wrong


def tables(case: Case) -> Iterator[Finding]:
    """What the keeper sees of each table that stays in a system, through the connector."""
    from keten.cli.operator.keeping import connect
    from keten.keeper.system_protocol import AskSystems, SystemTables

    for name, place in case.settings.systems.items():
        if place.password_file:
            yield note(
                "system-password",
                f"The password of system {name} is in {place.password_file}: who reads that file, or the connector's "
                "memory, can sign in there.",
                "Where the server allows it, let the connector sign in with a certificate or as a peer of its own.",
            )
    client = connect(case.settings.paths) if case.up is not None else None
    if client is None:
        if case.settings.systems:
            yield note("systems-unseen", "Systems are not looked at: the instance does not run.", "keten up")
        return
    with client:
        seen = client.call("systems.check", AskSystems(), SystemTables)
    for name in seen.unused:
        yield note("system-unused", f"[systems.{name}] is set, and the register has no such system.", "keten apply")
    for one in seen.tables:
        what = f"{one.dataset} ({one.table} in {one.system})"
        if one.code:
            yield wrong(one.code, f"Nothing can be looked up in {what}: {one.problem}", "See the manual on lookups.")
            continue
        if one.writes:
            todo = "Give Keten a role that may only SELECT this table or view."
            yield weak("system-writes", f"Keten could change {what}: {one.writes}.", todo)
        if not one.indexed:
            todo = "Make an index on the key as it is stored."
            yield weak("system-no-index", f"Each lookup in {what} reads all of it: about {one.estimate} rows.", todo)
