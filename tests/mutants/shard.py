"""One module's mutants: a working copy in which mutmut changes it, and what became of each change.

The copy is made of links to the checkout and a `setup.cfg` of its own, so that the checkout stays as it is. What was
found is kept in the copy: a run that was stopped goes on where it stopped, and a function that changed is tried anew.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from mutmut.stats import status_by_exit_code

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / ".cache" / "mutants"
LINKED = ("src", "tests", "docs", "tools", "keten-verify.py", "pyproject.toml", "requirements")
NOTICED = ("killed", "timeout", "segfault")


class Outcome(NamedTuple):
    """What became of a module's mutants, by name."""

    module: str
    by_name: dict[str, str]

    def named(self, *statuses: str) -> list[str]:
        """The mutants of these statuses."""
        return sorted(name for name, status in self.by_name.items() if status in statuses)

    @property
    def tried(self) -> int:
        """How many were tried: all but those that the run has not come to yet."""
        return len(self.by_name) - len(self.named("not checked"))


class Shard:
    """One module of a room, and the tests that are asked."""

    def __init__(self, room: str, module: str, tests: tuple[str, ...]) -> None:
        self.module = f"{room}.{module}"
        self._source = Path("src") / "keten" / room / f"{module}.py"
        self._tests = list(tests)
        self._folder = WORK / self.module

    def run(self, *, again: bool) -> int:
        """Try what was not tried yet; `again`: also what was not noticed before. The exit code of mutmut."""
        self._prepare()
        names = self.outcome().named("survived", "no tests") if again else []
        if again and not names:
            return 0
        command = ["nice", "-n", "15", sys.executable, "-m", "mutmut", "run", "--max-children", "1", *names]
        return subprocess.run(command, cwd=self._folder, check=False).returncode

    def show(self, name: str) -> str:
        """A mutant as a difference."""
        command = [sys.executable, "-m", "mutmut", "show", name]
        return subprocess.run(command, cwd=self._folder, check=True, capture_output=True, text=True).stdout

    def outcome(self) -> Outcome:
        """What is known up to now."""
        meta = self._folder / "mutants" / f"{self._source}.meta"
        found = json.loads(meta.read_text(encoding="utf-8"))["exit_code_by_key"] if meta.exists() else {}
        return Outcome(self.module, {name: status_by_exit_code[code] for name, code in found.items()})

    def _prepare(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        for name in LINKED:
            link = self._folder / name
            if not link.is_symlink():
                link.symlink_to(ROOT / name)
        (self._folder / "setup.cfg").write_text(self._settings(), encoding="utf-8")

    def _settings(self) -> str:
        """What mutmut reads in the copy: the checkout's own pyproject.toml has nothing for it."""
        values = {
            "source_paths": ["src"],
            "only_mutate": [str(self._source)],
            "also_copy": ["docs", "tools", "keten-verify.py", "requirements"],
            "pytest_add_cli_args": ["--hypothesis-profile=quick", "-p", "no:cacheprovider"],
            "pytest_add_cli_args_test_selection": self._tests,
            "track_dependencies": ["false"],
            "use_git_change_detection": ["false"],
            "timeout_constant": ["1"],
            "timeout_multiplier": ["8"],
        }
        lines = ["[mutmut]"]
        for name, items in values.items():
            lines += [f"{name} ="] + [f"    {item}" for item in items] if len(items) > 1 else [f"{name} = {items[0]}"]
        return "\n".join(lines) + "\n"
