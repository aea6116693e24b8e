"""Plays runs in which one call fails. Started by the campaign with the seam before it; asked and answers in lines."""

from __future__ import annotations

import errno
import json
import shutil
import sqlite3
import ssl
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec

import keten.cli.main
import keten.cli.operator.content
import keten.cli.operator.instance
import keten.core.migrating
import keten.gateway.main
import keten.keeper.instance
import keten.keeper.main  # noqa: F401  # as those above: imported once, for all that is forked
from keten.core.errors import KetenError
from keten.core.settings import Paths
from keten.core.upgrade import MIGRATIONS, REVISION, upgrade
from tests.fault.keeper_inside import prepared
from tests.fault.power.work import NEXT
from tests.fault.seam.forked import Forked
from tests.fault.seam.forked import keten as started
from tests.fault.seam.loaded import Seam
from tests.fault.seam.script import Acknowledged, Script, copy_of, missing
from tests.town import Town

STOPPED = 74
REFUSED = (1, 2, 3, 4)


class Failure(msgspec.Struct, frozen=True):
    """Which call fails: the `number`-th `call` of the process that is the `subject`, with `error`. "" fails none.

    "any": the `number`-th of all its calls, and every one after it.
    """

    subject: str
    call: str = ""
    number: int = 0
    error: str = "EIO"


class Played(msgspec.Struct, frozen=True):
    """What came of it: `fired` is whether the call came at all; `ended` how the process ended."""

    faults: tuple[str, ...]
    fired: bool
    ended: str
    counts: dict[str, int]


class Player:
    """Plays failures on copies of one town, in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seam = Seam()
        self._town: Town = prepared(folder / "town")
        self._later = folder / "later"
        shutil.copytree(MIGRATIONS, self._later, ignore=shutil.ignore_patterns("__pycache__"))
        (self._later / "versions" / "r9999_later.py").write_text(NEXT.format(present=REVISION), encoding="utf-8")
        self._subjects: dict[str, Callable[[Failure], tuple[list[str], Forked]]] = {
            "keeper": self._keeper,
            "put": self._put,
            "init": self._init,
            "upgrade": self._upgrade,
            "gateway": self._gateway,
        }

    def play(self, failure: Failure) -> Played:
        """One run with one failure, and what is there afterwards."""
        faults, subject = self._subjects[failure.subject](failure)
        counts = self._counts
        if "Traceback" in subject.said:
            faults.append(f"a traceback: {subject.said[-1500:]}")
        if subject.code is None:
            faults.append(f"the {failure.subject} hangs: {subject.said[-500:]}")
        if subject.code not in (None, 0) and not subject.said.strip():
            faults.append(f"it ended with {subject.code} and said nothing")
        if subject.code is not None and subject.code not in (0, STOPPED, *REFUSED):
            faults.append(f"it ended with {subject.code}: {subject.said[-1500:]}")
        fired = bool(failure.call) and counts[failure.call] >= failure.number
        return Played(tuple(faults), fired, str(subject.code), counts)

    def _armed(self, failure: Failure, root: Path) -> Callable[[], None]:
        error = getattr(errno, failure.error)
        return lambda: self._seam.arm(root, call=failure.call, number=failure.number, error=error)

    def _end(self, subject: Forked, *, stop: bool = False) -> int | None:
        code = subject.wait(stop=stop)
        self._counts = self._seam.counts()
        return code

    # ---- subjects --------------------------------------------------------------------------------------------

    def _keeper(self, failure: Failure) -> tuple[list[str], Forked]:
        paths = copy_of(self._town, self._folder / "i")
        subject = started(
            ["_keeper", "--home", str(paths.home)], self._folder, "keeper", self._armed(failure, paths.home)
        )
        told: list[Acknowledged] = []
        if subject.ready() is not None:
            Script(paths, self._town, told.append).run()
            self._end(subject, stop=True)
        else:
            self._end(subject)
        faults = [f"after the failure: {one}" for one in missing(paths, told)]
        return faults + self._again(paths, told), subject

    def _again(self, paths: Paths, told: list[Acknowledged]) -> list[str]:
        """Started once more on what is there, a keeper does all of it."""
        keeper = started(["_keeper", "--home", str(paths.home)], self._folder, "again")
        if keeper.ready() is None:
            keeper.wait()
            return [f"it does not start again: {keeper.said[-1500:]}"]
        again: list[Acknowledged] = []
        script = Script(paths, self._town, again.append)
        script.run()
        faults = []
        if keeper.wait(stop=True) != 0:
            faults.append(f"the second keeper ended with {keeper.code}: {keeper.said[-1500:]}")
        faults += [f"after the second start: {one}" for one in missing(paths, [*told, *again])]
        if not {"days", "object", "revoked"} <= {one.what for one in again}:
            faults.append(f"the second keeper refused: {script.refused}")
        return faults

    def _put(self, failure: Failure) -> tuple[list[str], Forked]:
        paths = copy_of(self._town, self._folder / "i")
        keeper = started(["_keeper", "--home", str(paths.home)], self._folder, "keeper")
        if keeper.ready() is None:
            raise AssertionError(f"the keeper does not start: {keeper.said}")
        words = ["put", "voters", str(self._town.voters), "--home", str(paths.home), "--json"]
        subject = started(words, self._folder, "put", self._armed(failure, paths.home))
        self._end(subject)
        faults = []
        if subject.code == 0:
            one = json.loads(subject.heard)["objects"][0]
            faults += missing(paths, [Acknowledged("object", one["object"])])
        second = started(words, self._folder, "second")
        if second.wait() != 0:
            faults.append(f"putting it again: {second.code}: {second.said[-1000:]}")
        else:
            faults += missing(paths, [Acknowledged("object", json.loads(second.heard)["objects"][0]["object"])])
        if keeper.wait(stop=True) != 0:
            faults.append(f"the keeper ended with {keeper.code}: {keeper.said[-1000:]}")
        return faults, subject

    def _init(self, failure: Failure) -> tuple[list[str], Forked]:
        home = self._folder / "new"
        shutil.rmtree(home, ignore_errors=True)
        subject = started(["init", "--home", str(home), "--json"], self._folder, "init", self._armed(failure, home))
        self._end(subject)
        whole = (home / "ledger" / "key.pub").exists()
        if not whole:
            return (["it was made, and is not whole"] if subject.code == 0 else []), subject
        faults = missing(Paths(home), [])
        keeper = started(["_keeper", "--home", str(home)], self._folder, "keeper")
        if keeper.ready() is None or keeper.wait(stop=True) != 0:
            faults.append(f"its keeper: {keeper.said[-1000:]}")
        return faults, subject

    def _upgrade(self, failure: Failure) -> tuple[list[str], Forked]:
        folder = self._folder / "old"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        database = folder / "keten.db"
        source = self._town.keten.paths.database
        with closing(sqlite3.connect(source)) as original, closing(sqlite3.connect(database)) as copy:
            original.backup(copy)
        before = _counted(database)

        def upgraded() -> int:
            try:
                upgrade(database, migrations=self._later)
            except KetenError as error:
                sys.stderr.write(f"{error}\n")
                return 3
            return 0

        subject = Forked(upgraded, self._folder, "upgrade", self._armed(failure, folder))
        self._end(subject)
        faults = []
        found = _counted(database)
        if found[1:] != before[1:] or found[0] not in (REVISION, "9999") or (subject.code == 0 and found[0] != "9999"):
            faults.append(f"{found} after the upgrade of {before} that ended with {subject.code}")
        copied = folder / f"keten.db.before-{REVISION}"
        if copied.exists() and _counted(copied) != before:
            faults.append(f"the copy holds {_counted(copied)} instead of {before}")
        if found[0] == "9999" and not copied.exists():
            faults.append("it was upgraded, and there is no copy of before")
        again = Forked(upgraded, self._folder, "again", lambda: None)
        if again.wait() != 0 or _counted(database) != ("9999", *before[1:]):
            faults.append(f"it cannot go on: {again.said[-1000:]}")
        left = [path.name for path in folder.iterdir() if path.name.endswith(".tmp")]
        if left and failure.call not in ("unlink", "any"):  # what can't be removed now is, once it is old
            faults.append(f"left behind: {left}")
        return faults, subject

    def _gateway(self, failure: Failure) -> tuple[list[str], Forked]:
        """A gateway that has to renew its certificate as it starts."""
        paths = copy_of(self._town, self._folder / "i")
        paths.tls_certificate.unlink()
        binds = ["--gateway", "127.0.0.1:0"]
        keeper = started(["_keeper", "--home", str(paths.home), *binds], self._folder, "keeper")
        if keeper.ready() is None:
            raise AssertionError(f"the keeper does not start: {keeper.said}")
        words = ["_gateway", "--home", str(paths.home), *binds, "--sftp", "off"]
        subject = started(words, self._folder, "gateway", self._armed(failure, paths.home))
        self._end(subject, stop=subject.ready() is not None)
        faults = []
        second = started(words, self._folder, "second")
        if second.ready() is None:
            faults.append(f"it does not start again: {second.said[-1000:]}")
        else:
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(paths.tls_certificate, paths.tls_key)
            second.wait(stop=True)
        keeper.wait(stop=True)
        return faults, subject


def _counted(database: Path) -> tuple[str, int, int]:
    with closing(sqlite3.connect(database)) as connection:
        (whole,) = connection.execute("PRAGMA integrity_check").fetchone()
        assert whole == "ok", whole
        (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        (entries,) = connection.execute("SELECT count(*) FROM entries").fetchone()
        (objects,) = connection.execute("SELECT count(*) FROM objects").fetchone()
        return str(revision), int(entries), int(objects)


def main() -> int:
    """`play.py FOLDER`: a failure a line in, what came of it a line out."""
    player = Player(Path(sys.argv[1]))
    for line in sys.stdin.buffer:
        played = player.play(msgspec.json.decode(line, type=Failure))
        sys.stdout.buffer.write(msgspec.json.encode(played) + b"\n")
        sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
