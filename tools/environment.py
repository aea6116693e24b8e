"""Makes or repairs `.venv` of this checkout from a lock: `environment.py runtime|dev`.

Standard library only, for it runs on the machine's own Python before anything is installed. Safe to start
twice at once (the second waits), and safe to kill (`.venv/unfinished` remains, and the next run starts
afresh). Everything it says goes to stderr. Exit code 0 when the environment is there, 3 when it could not be
made.

Files it keeps in `.venv`:

- `checkout`: the folder that the environment was made for (a moved checkout has dead paths in its scripts);
- `keten.sha256`: hashes of `pyproject.toml` and the runtime lock, in the form `sha256sum -c` reads;
- `unfinished`: while it is being made; names the lock;
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
RUNTIME_STAMP = VENV / "keten.sha256"
DEV_STAMP = VENV / "dev.sha256"
RUNTIME_LOCK = "requirements/keten.lock"
DEV_LOCK = "requirements/dev.lock"
RUNTIME_FILES = ("pyproject.toml", RUNTIME_LOCK)
DEV_FILES = (*RUNTIME_FILES, DEV_LOCK)


class Failed(Exception):
    """The environment could not be made; the text says why."""


def say(text: str) -> None:
    """One line of progress, on stderr."""
    print("keten: " + text, file=sys.stderr, flush=True)


def sums(names: tuple[str, ...]) -> str:
    """Hashes of files of the checkout, in the form that `sha256sum -c` reads."""
    return "".join(f"{hashlib.sha256((ROOT / name).read_bytes()).hexdigest()}  {name}\n" for name in names)


def content(path: Path) -> str | None:
    """A small file's text, None when it is not there."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def usable() -> bool:
    """Whether `.venv` was finished for this folder and its interpreter still runs."""
    if UNFINISHED.exists() or content(CHECKOUT) != f"{ROOT}\n" or not (VENV / "bin" / "keten").exists():
        return False
    try:
        probe = subprocess.run([PYTHON, "-I", "-c", "import pip"], capture_output=True, check=False)
    except OSError:
        return False
    return probe.returncode == 0


def run(*command: str) -> bool:
    """Run a command in the checkout with its output on stderr; whether it succeeded.

    It inherits the lock, which so stays held when only this process is killed and the command works on.
    """
    return subprocess.run(command, cwd=ROOT, stdout=sys.stderr, close_fds=False, check=False).returncode == 0


def must(*command: str) -> None:
    """Run a command; `Failed` when it does not succeed."""
    if not run(*command):
        raise Failed(f"this did not succeed: {' '.join(command)}")


def create(lock: str) -> None:
    """Make an empty environment, of a Python named with its version so that no newer one slips below it."""
    say("making the environment; this happens once …")
    if VENV.is_symlink():
        VENV.unlink()
    if VENV.exists():
        shutil.rmtree(VENV)
    VENV.mkdir()
    UNFINISHED.write_text(lock, encoding="utf-8")
    base = getattr(sys, "_base_executable", None) or sys.executable
    must(os.path.realpath(base), "-I", "-m", "venv", str(VENV))


def install(lock: str) -> None:
    """Make the environment hold exactly what the lock names, and this checkout itself."""
    UNFINISHED.write_text(lock, encoding="utf-8")
    RUNTIME_STAMP.unlink(missing_ok=True)
    DEV_STAMP.unlink(missing_ok=True)
    pip = (str(PYTHON), "-I", "-m", "pip", "--disable-pip-version-check")
    uv = shutil.which("uv") or str(VENV / "bin" / "uv")
    if not Path(uv).exists():
        must(*pip, "install", "-q", "--require-hashes", "-r", "requirements/installer.lock")
    say(f"installing what {lock} names …")
    # uv does not read pip's configuration: where only pip knows the index, pip installs the same lock.
    if not run(uv, "pip", "sync", "-q", "--compile-bytecode", "--python", str(PYTHON), "--require-hashes", lock):
        say("uv could not; trying pip …")
        must(*pip, "install", "-q", "--require-hashes", "-r", lock)
    must(*pip, "install", "-q", "--no-deps", "--no-build-isolation", "--no-index", "-e", ".")
    # Now, once: where Python may not write next to its sources, each process would compile everything again (× 3).
    must(str(PYTHON), "-I", "-m", "compileall", "-q", "src")


def make(*, dev: bool) -> None:
    """Steps: 1 wait for another run, 2 look, 3 create or repair, 4 install, 5 stamp."""
    with (ROOT / ".venv.lock").open("a") as lock:
        try:  # 1
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another process is making the environment; waiting for it …")
            fcntl.flock(lock, fcntl.LOCK_EX)
        os.set_inheritable(lock.fileno(), True)  # see run()
        runtime_sums, dev_sums = sums(RUNTIME_FILES), sums(DEV_FILES)  # 2; taken first, so a later edit shows
        whole = usable()
        current = content(DEV_STAMP) == dev_sums if dev else content(RUNTIME_STAMP) == runtime_sums
        if whole and current:
            return
        with_tools = dev or DEV_STAMP.exists() or content(UNFINISHED) == DEV_LOCK
        lock_file = DEV_LOCK if with_tools else RUNTIME_LOCK
        if not whole:
            create(lock_file)  # 3
        install(lock_file)  # 4
        CHECKOUT.write_text(f"{ROOT}\n", encoding="utf-8")  # 5
        if with_tools:
            DEV_STAMP.write_text(dev_sums, encoding="utf-8")
        RUNTIME_STAMP.write_text(runtime_sums, encoding="utf-8")
        UNFINISHED.unlink()
        say("the environment is ready.")


def main(arguments: list[str]) -> int:
    """Exit code: 0 the environment is there, 2 wrong use, 3 it could not be made."""
    if arguments not in (["runtime"], ["dev"]):
        say("use: environment.py runtime|dev")
        return 2
    try:
        make(dev=arguments == ["dev"])
    except (Failed, OSError) as error:
        say(f"{error}")
        say("the environment could not be made; the next run starts afresh.")
        return 3
    except KeyboardInterrupt:
        say("stopped; the next run starts afresh.")
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
