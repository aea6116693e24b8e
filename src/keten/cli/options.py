"""Options that many commands have."""

from __future__ import annotations

from typing import Annotated

import typer

Home = Annotated[str, typer.Option("--home", metavar="DIR", help="The instance's folder; else KETEN_HOME says it.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
