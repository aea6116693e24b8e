"""Makes or repairs `.venv` of this checkout from a lock: `environment.py runtime|dev`.

Standard library only, for it runs on the machine's own Python before anything is installed. Safe to start twice at
once (the second waits), and safe to kill (`.venv/unfinished` remains, and the next run starts afresh). Everything it
says goes to stderr. Exit code 0 when the environment is there, 3 when it could not be made.

Files it keeps in `.venv`:

- `checkout`: the folder that the environment was made for (a moved checkout has dead paths in its scripts);
- `keten.sha256`: hashes of `pyproject.toml` and the runtime lock, in the form `sha256sum -c` reads;
- `dev.sha256`: the same with the development lock; present only in a development environment, which a later
  `runtime` run renews as a development environment: it never loses its tools.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
UNFINISHED = VENV / "unfinished"
CHECKOUT = VENV / "checkout"
RUNTIME = ("pyproject.toml", "requirements/keten.lock")
DEV = ("pyproject.toml", "requirements/keten.lock", "requirements/dev.lock")


def say(text: str) -> None:
    """One line of progress, on stderr."""
    print("keten: " + text, file=sys.stderr, flush=True)


def sums(names: tuple[str, ...]) -> str:
    """Hashes of files of the checkout, in the form that `sha256sum -c` reads."""
    return "".join(f"{hashlib.sha256((ROOT / name).read_bytes()).hexdigest()}  {name}\n" for name in names)


def content(path: Path) -> "str | None":
    """A small file's text, None when it is not there."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def usable() -> bool:
    """Whether `.venv` was finished for this folder and its interpreter still runs."""
    if UNFINISHED.exists() or content(CHECKOUT) != f"{ROOT}\n":
        return False
    probe = [str(PYTHON), "-I", "-c", "import pip"]
    try:
        return subprocess.run(probe, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0
    except OSError:
        return False


def run(*command: str) -> bool:
    """Run a command in the checkout with its output on stderr; whether it succeeded."""
    return subprocess.run(command, cwd=ROOT, stdout=sys.stderr, check=False).returncode == 0


def must(*command: str) -> None:
    """Run a command or end with exit code 3."""
    if not run(*command):
        say("could not make the environment; the message above says why. The next run starts afresh.")
        raise SystemExit(3)


def create() -> None:
    """An empty environment whose interpreter is named with its version, so that a newer one never slips below it."""
    say("making the environment (first use of this checkout) …")
    shutil.rmtree(VENV, ignore_errors=True)
    VENV.mkdir()
    UNFINISHED.touch()
    base = getattr(sys, "_base_executable", None) or sys.executable
    must(os.path.realpath(base), "-I", "-m", "venv", str(VENV))


def install(lock: str) -> None:
    """Make the environment hold exactly what the lock names, and this checkout itself."""
    UNFINISHED.touch()
    for stamp in ("keten.sha256", "dev.sha256"):
        (VENV / stamp).unlink(missing_ok=True)
    pip = (str(PYTHON), "-m", "pip", "--disable-pip-version-check")
    uv = shutil.which("uv") or str(VENV / "bin" / "uv")
    if not Path(uv).exists():
        must(*pip, "install", "-q", "--require-hashes", "-r", "requirements/uv.lock")
    say(f"installing what {lock} names …")
    # uv does not read pip's configuration: where an index is known to pip only, pip installs the same lock, slower.
    synced = run(uv, "pip", "sync", "-q", "--python", str(PYTHON), "--require-hashes", lock)
    if not synced:
        say("uv could not; trying pip …")
        must(*pip, "install", "-q", "--require-hashes", "-r", lock)
    must(*pip, "install", "-q", "--no-deps", "--no-build-isolation", "--no-index", "-e", ".")


def make(kind: str) -> None:
    """Steps: 1 wait for another run, 2 look, 3 create or repair, 4 install, 5 stamp."""
    with (ROOT / ".venv.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another process is making the environment; waiting for it …")
            fcntl.flock(lock, fcntl.LOCK_EX)
        dev = kind == "dev" or (VENV / "dev.sha256").exists()
        whole = usable()
        if whole and content(VENV / "keten.sha256") == sums(RUNTIME):
            if kind == "runtime" or content(VENV / "dev.sha256") == sums(DEV):
                return
        if not whole:
            create()
        before = (sums(RUNTIME), sums(DEV))
        install("requirements/dev.lock" if dev else "requirements/keten.lock")
        CHECKOUT.write_text(f"{ROOT}\n", encoding="utf-8")
        if dev:
            (VENV / "dev.sha256").write_text(before[1], encoding="utf-8")
        (VENV / "keten.sha256").write_text(before[0], encoding="utf-8")
        UNFINISHED.unlink()
        say("the environment is ready.")


if __name__ == "__main__":
    if sys.argv[1:] not in (["runtime"], ["dev"]):
        say("use: environment.py runtime|dev")
        raise SystemExit(2)
    make(sys.argv[1])
