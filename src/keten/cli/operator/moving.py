"""`keten move`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from keten.cli.options import Home, Json
from keten.cli.output import Output
from keten.cli.surroundings import Surroundings
from keten.core.errors import Conflict, Invalid


def register(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command()(move)


def move(
    ctx: typer.Context,
    home: Home = "",
    database: Annotated[
        str, typer.Option(metavar="URL", help="To PostgreSQL: postgresql://USER@HOST/NAME, an empty database.")
    ] = "",
    database_file: Annotated[
        str, typer.Option(metavar="FILE", help="A file that holds that URL, when it holds a password.")
    ] = "",
    to_file: Annotated[bool, typer.Option("--to-file", help="Back into a file of the instance.")] = False,
    json: Json = False,
) -> None:
    """Move the state of a stopped instance to another database, where the same ledger goes on.

    Everything is copied, then verified there; only then keten.toml is switched, and the old database sealed. Killed
    before that, nothing has changed: start it again.

    Example: keten move --home keten --database postgresql://keten_keeper@db.example.org/keten
    """
    from msgspec.structs import replace

    from keten.cli.locks import command_lock, up_lock
    from keten.cli.operator.ledger import Counted, know_every_table
    from keten.cli.processes import refuse_other_user, user_name
    from keten.core.settings import Database
    from keten.keeper.main import instance_lock
    from keten.keeper.moving import move as move_all
    from keten.keeper.rootkey import load_root_key

    surroundings: Surroundings = ctx.obj
    output = Output(json=json)
    settings = surroundings.instance(home)
    if sum(map(bool, (database, database_file, to_file))) != 1:
        raise Invalid("where-to", "Say where to: --database URL, --database-file FILE or --to-file.")
    refuse_other_user(settings.paths.home)
    know_every_table()
    file = str(Path(database_file).absolute()) if database_file else ""
    new = Database(risky=settings.database.risky)
    new = Database() if to_file else replace(new, url=database, url_file=file)
    up, commands = up_lock(settings.paths), command_lock(settings.paths)
    try:
        if not up.take(seconds=1.0) or not commands.take(seconds=1.0):
            raise Conflict("running", "The instance is used; stop 'keten up', and commands that run a keeper, first.")
        with instance_lock(settings), Counted("rows") as counted:
            root = load_root_key(settings, None)
            actor = f"operator:{user_name(os.geteuid())}"
            done = move_all(settings, root, new, actor, counted.told)
    finally:
        commands.give_back()
        up.give_back()
    output.result(done)
    output.line(f"Moved {done.rows} rows, {done.size} entries among them, to {done.target}; all of it verifies there.")
    output.line(f"Entry {done.entry} says so. keten.toml names the new database.")
    output.line(f"The old one is sealed: {done.source}" + (f", now {done.aside}." if done.aside else "."))
    output.line("It still holds what it held, keys too: remove it once the new one is in your backups.")
