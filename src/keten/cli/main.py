"""The `keten` command: all its commands, and what happens to their errors."""

from __future__ import annotations

import os
import traceback
from importlib import import_module
from inspect import cleandoc
from typing import Annotated, Any

import typer

from keten import __version__
from keten.cli import exits
from keten.cli.output import ReaderGone, say, tell
from keten.cli.surroundings import Surroundings
from keten.core.errors import KetenError

# Each of these modules has `register(app)`, and imports what its commands need only when one of them runs.
COMMANDS = (
    "keten.cli.operator.instance",
    "keten.cli.up.command",
    "keten.cli.operator.estate",
    "keten.cli.operator.content",
    "keten.cli.operator.decisions",
    "keten.cli.operator.revoking",
    "keten.cli.operator.destroying",
    "keten.cli.operator.subjects",
    "keten.cli.operator.holds",
    "keten.cli.operator.alerting",
    "keten.cli.operator.flowing",
    "keten.cli.operator.budgeting",
    "keten.cli.operator.confirming",
    "keten.cli.operator.people",
    "keten.cli.operator.ledger",
    "keten.cli.operator.backing_up",
    "keten.cli.operator.restoring",
    "keten.cli.operator.moving",
    "keten.cli.operator.drilling",
    "keten.cli.operator.witnessing",
    "keten.cli.operator.exporting",
    "keten.cli.operator.systems",
    "keten.cli.operator.provider",
    "keten.cli.doctor.command",
    "keten.cli.supplier.commands",
    "keten.cli.supplier.looking_up",
    "keten.cli.supplier.asking",
    "keten.cli.demo.command",
)


def build() -> typer.Typer:
    """The command with all its subcommands."""
    app = typer.Typer(
        name="keten",
        no_args_is_help=True,
        add_completion=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        pretty_exceptions_enable=False,
        help="Share sensitive data with third parties and stay in control of it.",
    )

    @app.callback()
    def keten(
        version: Annotated[
            bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
        ] = False,
    ) -> None:
        del version

    for name in COMMANDS:
        import_module(name).register(app)
    return app


def _readable(one: Any, parent: typer.Context | None = None) -> None:
    """Show no value behind a switch, which takes none, and leave it to the screen where a paragraph is broken."""
    context = typer.Context(one, parent=parent, info_name=one.name, **one.context_settings)
    for parameter in (*one.params, one.get_help_option(context)):
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""
    one.help = "\n\n".join(" ".join(part.split("\n")) for part in cleandoc(one.help or "").split("\n\n"))
    for inner in getattr(one, "commands", {}).values():
        _readable(inner, context)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"keten {__version__}")
        raise typer.Exit


def run(arguments: list[str], surroundings: Surroundings) -> int:
    """Run one command line; returns its exit code. Errors of Keten's own are told without a traceback."""
    try:
        command = typer.main.get_command(build())
        _readable(command)
        command.main(args=arguments, prog_name="keten", obj=surroundings)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else exits.DONE
    except KeyboardInterrupt:
        say("keten: interrupted")
        return exits.INTERRUPTED
    except ReaderGone:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # nothing to say when Python flushes stdout at its end
        return exits.DONE
    except KetenError as error:
        tell(error, exits.next_step(error))
        return exits.exit_code(error)
    except OSError as error:
        say(f"keten: {error.filename}: {error.strerror}" if error.filename else f"keten: {error}")
        return exits.UNAVAILABLE
    except Exception:  # noqa: BLE001  # a mistake of ours: shown whole, and never taken for "the answer is no"
        traceback.print_exc()
        say("keten: this is a mistake in Keten; please report it with the lines above.")
        return exits.UNAVAILABLE
    return exits.DONE
