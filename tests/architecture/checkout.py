"""The checkout as the architecture tests look at it."""

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "keten"


def tracked_files() -> list[Path]:
    """Files that git has or would take (not ignored); all of an unpacked archive, where there is no git."""
    if (ROOT / ".git").exists():
        # The folder may belong to someone else, as in a container; nothing here uses its settings.
        git = ["git", "-c", "safe.directory=*", "-C", str(ROOT)]
        command = [*git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(command, capture_output=True, check=True, text=True).stdout.split("\0")
        paths = [ROOT / name for name in names if name]
    else:
        paths = [path for path in ROOT.rglob("*") if not {".venv", ".cache"} & set(path.parts)]
    return sorted(path for path in paths if path.is_file() and not path.is_symlink())


def python_files(folder: Path) -> list[Path]:
    """Python files below a folder, sorted."""
    return sorted(folder.rglob("*.py"))


def relative(path: Path) -> str:
    """A path as it is written in the repository."""
    return path.relative_to(ROOT).as_posix()


def nodes(source: str) -> Iterator[ast.AST]:
    """All nodes of a module's syntax tree."""
    return ast.walk(ast.parse(source))
