"""Records a run and tries every state after it. Started by the campaign with the seam before it; a case a line out."""

from __future__ import annotations

import random
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

import keten.keeper.main  # noqa: F401  # imported once, for all that is forked
from keten.core.settings import Paths
from tests.fault.campaigns.keeping import Asked, Case
from tests.fault.keeper_inside import prepared
from tests.fault.seam.forked import keten as started
from tests.fault.seam.loaded import Seam
from tests.fault.seam.script import Acknowledged, Script, copy_of, missing
from tests.fault.torn.recorded import read
from tests.fault.torn.states import History, State
from tests.town import Town

MADE = Acknowledged("made")


class Player:
    """Records runs of one town's instance, and tries states of it."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder = folder
        self._seed = seed
        self._seam = Seam()
        self._town: Town = prepared(folder / "town")

    def record_keeper(self) -> History:
        """A keeper from its start to its end, with accesses, an apply, two puts and a revocation."""
        paths = copy_of(self._town, self._folder / "i")
        base, log = self._folder / "base", self._folder / "keeper.log"
        shutil.copytree(paths.home, base)
        keeper = started(
            ["_keeper", "--home", str(paths.home)],
            self._folder,
            "keeper",
            lambda: self._seam.arm(paths.home, log=log),
        )
        if keeper.ready() is None:
            raise AssertionError(f"the keeper does not start: {keeper.said}")
        self._seam.arm(paths.home, log=log)
        script = Script(paths, self._town, lambda told: self._seam.mark(msgspec.json.encode(told).decode()))
        script.run()
        self._seam.arm(Path("/nowhere"))
        assert not script.refused, script.refused
        assert keeper.wait(stop=True) == 0, keeper.said
        return History(base, list(read(log, paths.home)))

    def record_init(self) -> History:
        """The first moments of an instance."""
        home, log = self._folder / "new", self._folder / "init.log"
        made = started(
            ["init", "--home", str(home), "--json"], self._folder, "init", lambda: self._seam.arm(home, log=log)
        )
        assert made.wait() == 0, made.said
        self._seam.arm(home, log=log)
        self._seam.mark(msgspec.json.encode(MADE).decode())
        self._seam.arm(Path("/nowhere"))
        return History(None, list(read(log, home)))

    def cases(self, asked: Asked) -> Iterator[Case]:
        """States of both runs: all of them, or `asked.count` in all, drawn by the seed."""
        histories = {"init": self.record_init(), "keeper": self.record_keeper()}
        every = [(name, state) for name, history in histories.items() for state in history.states(self._seed)]
        enumerated = len(every)
        if asked.count < enumerated:
            every = random.Random(self._seed).sample(every, asked.count)
        for number, (name, state) in enumerate(every):
            key = f"{number}"
            if key in asked.done:
                continue
            history = histories[name]
            home = self._folder / "state"
            shutil.rmtree(home, ignore_errors=True)
            history.write(state, home)
            told = [msgspec.json.decode(one, type=Acknowledged) for one in history.marks[: state.marks]]
            faults = self._tried(Paths(home), told)
            said = [f"{fault} ({_where(history, state)})" for fault in faults]
            yield Case(key, name, tuple(said), {"of": enumerated if number == 0 else 0, "acknowledged": len(told)})

    def _tried(self, paths: Paths, told: list[Acknowledged]) -> list[str]:
        """What does not hold on this disk: as it is, and after a keeper has run on it."""
        if not (paths.ledger / "key.pub").exists():
            return ["an instance that was acknowledged is not whole"] if told else []
        faults = missing(paths, told)
        for folder in (paths.run, paths.operator_socket.parent, paths.gateway_socket.parent):
            if not folder.exists():
                faults.append(f"{folder.name} is missing")
        keeper = started(["_keeper", "--home", str(paths.home)], self._folder, "tried")
        if keeper.ready() is None:
            keeper.wait()
            return [*faults, f"it does not start: {keeper.said[-1500:]}"]
        if keeper.wait(stop=True) != 0:
            faults.append(f"it ended with {keeper.code}: {keeper.said[-1500:]}")
        if "Traceback" in keeper.said:
            faults.append(keeper.said[-1500:])
        return faults + [f"after a start: {one}" for one in missing(paths, told)]


def _where(history: History, state: State) -> str:
    pending, _marks = history.pending_at[state.moment]
    lost = [history.operations[one] for one in pending if one not in state.applied]
    named = [f"{one.number}:{one.name or one.node}" for one in lost[:6]]
    return f"moment {state.moment}, without {named}, torn {state.torn}"


def main() -> int:
    """`play.py FOLDER ASKED`."""
    asked = msgspec.json.decode(Path(sys.argv[2]).read_bytes(), type=Asked)
    for case in Player(Path(sys.argv[1]), asked.seed).cases(asked):
        sys.stdout.buffer.write(msgspec.json.encode(case) + b"\n")
        sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
