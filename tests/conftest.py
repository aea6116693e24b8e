"""What holds for all tests: markers by folder, programs that a test needs, and a clean surrounding."""

import gc
import inspect
import os
import shutil
import tempfile
from pathlib import Path

import hypothesis
import pytest

from tests.cluster import CHOSEN, chosen

HERE = Path(__file__).parent
LONGEST_NAME = 24
# Unit tests that start processes, build large ledgers or play long histories: too slow for `make check`.
LONG_FILES = (
    "unit/backup/test_restoring.py",
    "unit/cli/test_get.py",
    "unit/cli/test_init.py",
    "unit/cli/test_stopped.py",
    "unit/core/test_upgrade.py",
    "unit/gateway/test_connections.py",
    "unit/gateway/test_cutting.py",
    "unit/gateway/test_http.py",
    "unit/gateway/test_main.py",
    "unit/gateway/test_sftp.py",
    "unit/gateway/test_ssh.py",
    "unit/ledger/test_followers.py",
    "unit/ledger/test_postings.py",
    "unit/ledger/test_publish_faults.py",
    "unit/ledger/test_verify.py",
    "unit/policy/test_differential.py",
    "unit/suppliers/test_round_trips.py",
    "unit/vault/test_machine.py",
    "unit/watch/export/test_drivers.py",
    "unit/watch/export/test_ocsf.py",
    "unit/worker/test_exporting.py",
    "unit/watch/test_oracle.py",
)
# Tests about the database's own file, which say nothing of a server; tests/fault/test_server.py has what corresponds.
FILE_ONLY = (
    "browser/",
    "fault/test_accepting.py",
    "fault/test_damages.py",
    "fault/test_disk.py",
    "fault/test_erasing.py::test_on_a_full_disk",  # the disk of a server is its administrator's to watch
    "fault/test_errors.py",
    "fault/test_fsync.py",
    "fault/test_keeping.py::test_the_command",
    "fault/test_lookups.py::test_full",
    "fault/test_power.py",
    "fault/test_reading_fails.py",
    "fault/test_torn.py",
    "functional/test_at_rest.py",
    "functional/test_erasure.py",  # its last step; fault/test_erasing.py has the others
    "functional/test_fork.py",  # a copy of the database's folder is what the log is set back to
    "functional/test_searcher.py",
    "functional/test_users.py",
    "unit/budgets/test_service.py::test_a_full_disk",
    "unit/keeper/test_writer.py::test_only_what_is_essential",
    "unit/suppliers/test_register.py::test_a_database_that_is_gone",
    "unit/ledger/test_bound.py::test_a_touched_row_is_not_used",  # values of other types than their column's
    "unit/ledger/test_verify.py::test_a_rolled_back_database_is_named",
)
MARKED_FOLDERS = ("interop", "browser", "fault")
LONGEST_FIRST = (("browser", "fault", "functional", "interop", "world"), ("unit/cli", "unit/backup", "unit/ledger"))
"""Folders in this order, for whichever file comes last, the workers that have nothing left to do wait for it. Those
that stand together take turns: several browsers at once hold up each other."""

# No deadline: shared machines are slow at times, and no test is timed.
hypothesis.settings.register_profile("keten", deadline=None)
hypothesis.settings.register_profile("quick", deadline=None, max_examples=10)
hypothesis.settings.load_profile("keten")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Tests see no settings, logins or proxies of whoever runs them, and find servers in sbin."""
    for name in [name for name in os.environ if name.startswith("KETEN_") and name != CHOSEN]:
        del os.environ[name]
    os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,::1,localhost"
    if not config.option.basetemp:
        # Instances lie in there, and the path of a Unix socket in them has room for 107 characters.
        short = tempfile.mkdtemp(prefix="kt-")
        config.option.basetemp = short
        config.add_cleanup(lambda: shutil.rmtree(short, ignore_errors=True))
    if chosen():  # of SQLite's it is not said that a test left one open
        config.addinivalue_line("filterwarnings", "ignore:.*was deleted while still open:ResourceWarning")
    own = tempfile.TemporaryDirectory(prefix="keten-tests-")
    os.environ["XDG_CONFIG_HOME"] = own.name
    config.add_cleanup(own.cleanup)
    gc.set_threshold(50_000, 20, 20)  # a worker holds thousands of tests, which the collector need not walk so often


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A folder's name is the marker of the tests in it."""
    for item in items:
        if item.path.is_relative_to(HERE):
            path = item.path.relative_to(HERE)
            if path.as_posix() in LONG_FILES:
                item.add_marker("long")
            node = f"{path.as_posix()}::{item.name}"
            if chosen() and (node.startswith(FILE_ONLY) or _opens_file(item)):
                item.add_marker(pytest.mark.skip(reason="about the database's own file"))
            folder = path.parts[0]
            if folder in MARKED_FOLDERS:
                item.add_marker(folder)
    turns = _turns({item.path for item in items})
    items.sort(key=lambda item: turns[item.path])


def _turns(files: set[Path]) -> dict[Path, tuple[int, float, str]]:
    """When each file begins, in a run of several workers."""
    folders: dict[tuple[int, str], list[Path]] = {}
    for path in sorted(files):
        name = path.relative_to(HERE).as_posix() if path.is_relative_to(HERE) else ""
        known = ((turn, folder) for turn, those in enumerate(LONGEST_FIRST) for folder in those)
        where = next((one for one in known if name.startswith(f"{one[1]}/")), (len(LONGEST_FIRST), ""))
        folders.setdefault(where, []).append(path)
    return {
        path: (turn, at / len(those), folder)
        for (turn, folder), those in folders.items()
        for at, path in enumerate(those)
    }


def pytest_collection_finish() -> None:
    """What was collected stays until the end."""
    gc.collect()
    gc.freeze()


def _opens_file(item: pytest.Item) -> bool:
    """Whether a test itself looks into the database's file."""
    source = inspect.getsource(item.function) if isinstance(item, pytest.Function) else ""
    return "sqlite3." in source or ".database." in source


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Long values do not name a test: many hold fresh keys and ids, and parallel workers must agree on the names."""
    return argname if isinstance(val, str | bytes) and len(val) >= LONGEST_NAME else None


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, with the reason, what needs a program that is not installed."""
    for marker in item.iter_markers("needs"):
        missing = [program for program in marker.args if shutil.which(program) is None]
        if missing:
            pytest.skip(f"not installed: {', '.join(missing)}")
