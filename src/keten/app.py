"""The composition root: the only place that reads the environment, and the entry of every process of Keten.

`keten …` is the command line. `keten _keeper`, `_gateway`, `_console`, `_worker` and `_connector` are processes that
`keten up` supervises (and that a service manager can start by themselves, each under its own user); they import nothing
of the command line.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from keten.core.settings import Settings

_USUAL = gc.get_threshold()
_SELDOM = (50_000, 20, 20)
"""How often the garbage collector looks while modules are loaded, of which nothing becomes garbage: at Python's own
numbers that was a sixth of a command's whole time. Keeper and gateway set numbers of their own when they are built."""
_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)


def main() -> NoReturn:
    """The `keten` command."""
    gc.set_threshold(*_SELDOM)
    try:
        code = _main(sys.argv[1:])
    except Exception:  # noqa: BLE001  # whatever is broken here, Python's own exit code 1 would mean "the answer is no"
        import traceback

        traceback.print_exc()
        code = 3
    sys.exit(code)


def _main(arguments: list[str]) -> int:
    if arguments and arguments[0] in PROCESSES:
        return _process(arguments[0], arguments[1:])
    from keten.cli.main import run
    from keten.cli.surroundings import Surroundings

    surroundings = Surroundings(
        home=os.environ.get("KETEN_HOME", ""),
        config=_config_folder() / "keten",
        language=_language(),
        proxies=_proxies(),
        settings=settings,
    )
    return run(arguments, surroundings)


def settings(home: Path) -> Settings:
    """The settings of the instance at `home`: its `keten.toml`, then `KETEN_…` variables. Raises `Invalid`."""
    from keten.core.settings import load_settings

    return load_settings(home.absolute(), os.environ)


def _config_folder() -> Path:
    """Where a user's own settings are (XDG Base Directory Specification: a relative path counts as not set)."""
    folder = Path(os.environ.get("XDG_CONFIG_HOME", ""))
    return folder if folder.is_absolute() else Path.home() / ".config"


def _language() -> str:
    """The user's language, "nl" or "en", by the variables of POSIX (§8.2), the strongest first."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(name, "")
        if value:
            return "nl" if value.lower().startswith("nl") else "en"
    return "en"


def _proxies() -> dict[str, str]:
    """The proxy for https, and hosts to reach without it: HTTPS_PROXY and NO_PROXY, in either case of letters."""
    found = {"https": ("https_proxy", "HTTPS_PROXY"), "no": ("no_proxy", "NO_PROXY")}
    values = {
        name: next((os.environ[one] for one in variables if os.environ.get(one)), "")
        for name, variables in found.items()
    }
    return {name: value for name, value in values.items() if value}


# ---- the processes -------------------------------------------------------------------------------------------


def _keeper(found: Settings) -> int:
    from keten.keeper.main import run

    folder = os.environ.get("CREDENTIALS_DIRECTORY")  # systemd.exec(5), LoadCredential=
    return run(found, Path(folder) if folder else None)


def _gateway(found: Settings) -> int:
    from keten.gateway.main import run

    return run(found)


def _console(found: Settings) -> int:
    from importlib import import_module

    api = import_module("keten.api.web")
    run = import_module("keten.console.main").run  # an instance runs without it, too
    _loaded()
    code: int = run(found, lambda keeper, address: {api.PREFIX: api.Api(keeper, address)})
    return code


def _worker(found: Settings) -> int:
    from keten.worker.main import run

    _loaded()
    return run(found)


def _connector(found: Settings) -> int:
    from keten.connector.main import run

    _loaded()
    return run(found)


def _loaded() -> None:
    """What is loaded stays; from now on the collector looks as often as it usually does."""
    gc.freeze()
    gc.set_threshold(*_USUAL)


PROCESSES: dict[str, Callable[[Settings], int]] = {
    "_keeper": _keeper,
    "_gateway": _gateway,
    "_console": _console,
    "_worker": _worker,
    "_connector": _connector,
}


def _process(name: str, arguments: list[str]) -> int:
    """Run one process until it is told to stop; returns its exit code.

    One that can't start says why on stdout, as one JSON line with "ready" false, and on stderr.
    """
    import json

    from keten.cli.exits import exit_code
    from keten.core.errors import KetenError

    try:
        return PROCESSES[name](_prepare(name, arguments))
    except KetenError as error:
        failure = {"ready": False, "code": error.code, "category": error.category, "error": str(error)}
        sys.stdout.write(json.dumps(failure) + "\n")
        sys.stdout.flush()
        sys.stderr.write(f"{name.removeprefix('_')}: {error}\n")
        return exit_code(error)


def _prepare(name: str, arguments: list[str]) -> Settings:
    import argparse
    import logging

    parser = argparse.ArgumentParser(prog=f"keten {name}", allow_abbrev=False)
    parser.add_argument("--home", default=os.environ.get("KETEN_HOME"), required="KETEN_HOME" not in os.environ)
    parser.add_argument("--gateway", metavar="HOST:PORT", default="")
    parser.add_argument("--sftp", metavar="HOST:PORT", default="")
    parser.add_argument("--console", metavar="HOST:PORT", default="")
    parser.add_argument("--portal", metavar="HOST:PORT", default="")
    parser.add_argument("--parent", type=int, help="process id of the supervisor: end when it does")
    given = parser.parse_args(arguments)
    if given.parent is not None:
        _end_with(given.parent)
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format=f"%(asctime)s {name.removeprefix('_')}: %(levelname)s %(message)s"
    )
    logging.getLogger("alembic").setLevel(logging.WARNING)
    found = settings(Path(given.home))
    return with_binds(found, gateway=given.gateway, sftp=given.sftp, console=given.console, portal=given.portal)


def with_binds(
    found: Settings, *, gateway: str = "", sftp: str = "", console: str = "", portal: str = ""
) -> Settings:
    """Settings whose listeners bind where the option, the settings or else the default says; "" is one that is off."""
    from msgspec.structs import replace

    from keten.cli.up.binds import OFF, binds

    where = binds(found, gateway, sftp, console, portal)
    given = {"gateway": gateway, "sftp": sftp, "console": console, "portal": portal}
    return replace(
        found,
        told=found.told | {f"{section}.bind": f"--{section}" for section, said in given.items() if said},
        gateway=replace(found.gateway, bind="" if where.gateway == OFF else where.gateway),
        sftp=replace(found.sftp, bind="" if where.sftp == OFF else where.sftp),
        console=replace(found.console, bind="" if where.console == OFF else where.console),
        portal=replace(found.portal, bind="" if where.portal == OFF else where.portal),
    )


def _end_with(parent: int) -> None:
    """Have the kernel send SIGTERM when the supervisor dies, however it dies: nothing is left running unseen."""
    import ctypes
    import signal

    ctypes.CDLL(None, use_errno=True).prctl(_DEATH_SIGNAL, signal.SIGTERM)
    if os.getppid() != parent:  # it died before the line above
        sys.exit(0)
