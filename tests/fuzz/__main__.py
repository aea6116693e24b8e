"""`python -m tests.fuzz TARGET --seconds 120 --seed 7`: hostile bytes for one parser, led by what they reach in it.

`all` fuzzes every target in turn, each in a process of its own, and goes on after a finding. What reaches something
new is kept in `.cache/fuzz/TARGET` and begun with next time; bytes for which the property does not hold are written to
`tests/fuzz/findings/TARGET`, where a test replays them from then on. Exit code 1 when there are some.
"""

from __future__ import annotations

import argparse
import logging
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

HERE = Path(__file__).resolve().parent
CORPUS = HERE.parents[1] / ".cache" / "fuzz"
FINDINGS = HERE / "findings"
LONGEST_SECONDS = 20  # for one input
MOST_MEGABYTES = 2048
LIST = "list"


def main() -> int:
    """Fuzz; never returns after fuzzing one target, whose engine ends the process itself (77: a finding)."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", metavar="TARGET", help="a target, 'list' for their names, or 'all'")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    if asked.target in ("all", LIST):
        from tests.fuzz.targets.listed import TARGETS

        if asked.target == LIST:
            print("\n".join(TARGETS))
            return 0
        found = [name for name in TARGETS if _in_a_process(name, asked.seconds, asked.seed) != 0]
        print(
            f"{len(TARGETS)} targets, {asked.seconds} s each, seed {asked.seed}; findings: {', '.join(found) or 'none'}"
        )
        return 1 if found else 0
    return _fuzz(asked.target, asked.seconds, asked.seed)


def _in_a_process(name: str, seconds: int, seed: int) -> int:
    """Fuzz one target, and print its last words."""
    command = [sys.executable, "-m", "tests.fuzz", name, "--seconds", str(seconds), "--seed", str(seed)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, errors="replace")
    last = [line for line in done.stderr.splitlines() if line.startswith(("Done ", "stat::"))] or ["a finding"]
    print(f"{name}: {last[0] if done.returncode == 0 else f'exit code {done.returncode}'}", flush=True)
    if done.returncode != 0:
        print("\n".join((done.stdout + done.stderr).splitlines()[-40:]), flush=True)
    return done.returncode


def _fuzz(name: str, seconds: int, seed: int) -> int:
    import atheris

    logging.disable(logging.CRITICAL)  # what a parser refuses is not news here
    with atheris.instrument_imports(include=["keten", "keten-verify"], enable_loader_override=False):
        from tests.fuzz.targets.listed import TARGETS
        from tests.fuzz.targets.log_keys import tool

        tool()
    if name not in TARGETS:
        print(f"There is no target {name!r}; 'list' names them.", file=sys.stderr)
        return 2
    target = TARGETS[name]
    corpus, findings = CORPUS / name, FINDINGS / name
    for folder in (corpus, findings):
        folder.mkdir(parents=True, exist_ok=True)
    for beginning in (*target.seeds(), *target.words):
        (corpus / sha256(beginning).hexdigest()[:16]).write_bytes(beginning)
    words = corpus.with_suffix(".words")
    words.write_text("".join(f'"{_quoted(word)}"\n' for word in target.words if word))
    longest = max(target.longest, *map(len, (*target.seeds(), *target.words)))

    def test_one_input(data: bytes) -> None:
        target.check(data)

    options = [
        f"-max_total_time={seconds}",
        f"-seed={seed}",
        f"-max_len={longest}",
        f"-timeout={LONGEST_SECONDS}",
        f"-rss_limit_mb={MOST_MEGABYTES}",
        f"-artifact_prefix={findings}/",
        f"-dict={words}",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], test_one_input)
    atheris.Fuzz()
    return 0


def _quoted(word: bytes) -> str:
    """A word as the engine's dictionaries have it."""
    return "".join(f"\\x{byte:02x}" for byte in word[:64])


if __name__ == "__main__":
    sys.exit(main())
