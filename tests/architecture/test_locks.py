"""The locks pin every package with hashes, hold what pyproject.toml asks for, and agree with each other."""

import re
import tomllib

import pytest

from tests.architecture.checkout import ROOT

PIN = re.compile(r"^(?P<name>[A-Za-z0-9][\w.-]*)==(?P<version>\S+)(?: ; (?P<marker>[^\\]+?))? \\$")
HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}(?: \\)?$")
LOCKS = ["keten.lock", "dev.lock", "provider.lock", "installer.lock"]


def pins(lock: str) -> dict[tuple[str, str], str]:
    """Version by name and marker; fails on a line that is neither pin, hash nor comment, or a bare pin."""
    found: dict[tuple[str, str], str] = {}
    hashes = 1
    for line in (ROOT / "requirements" / lock).read_text(encoding="utf-8").splitlines():
        if line.lstrip().startswith("#"):
            continue
        if HASH.match(line):
            hashes += 1
            continue
        pin = PIN.match(line)
        assert pin is not None, line
        assert hashes > 0, f"no hash before {line}"
        hashes = 0
        found[pin["name"], pin["marker"] or ""] = pin["version"]
    assert hashes > 0
    return found


def normal(requirement: str) -> str:
    """A requirement's project name in normal form (PEP 503)."""
    name = re.split(r"[\s\[<>=!~;]", requirement, maxsplit=1)[0]
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("lock", LOCKS)
def test_every_line_is_a_pin_with_hashes(lock: str) -> None:
    assert pins(lock)


def test_the_development_lock_holds_the_runtime_lock() -> None:
    assert pins("keten.lock").items() <= pins("dev.lock").items()
    assert pins("installer.lock").items() <= pins("keten.lock").items()


def test_what_is_asked_for_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups = project["dependency-groups"]
    runtime = {normal(r) for r in [*project["project"]["dependencies"], *groups["build"]]}
    development = {normal(r) for r in groups["dev"]}
    assert runtime <= {name for name, _ in pins("keten.lock")}
    assert development <= {name for name, _ in pins("dev.lock")}
    assert {normal(r) for r in groups["provider"]} <= {name for name, _ in pins("provider.lock")}
