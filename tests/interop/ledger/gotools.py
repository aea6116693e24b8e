"""Building the Go programs of the tests, from Debian's own Go packages."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

GOPATH = Path("/usr/share/gocode")  # where Debian's golang-golang-x-mod-dev puts its source
PROGRAMS = Path(__file__).with_name("go")


def build(name: str, folder: Path) -> Path:
    """The compiled program `go/NAME.go`; skips the test where Go or its packages are not installed."""
    if shutil.which("go") is None or not (GOPATH / "src/golang.org/x/mod/sumdb/tlog").is_dir():
        pytest.skip("not installed: golang-go, golang-golang-x-mod-dev")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "GOPATH": str(GOPATH),
        "GOCACHE": str(folder / "cache"),
        "GO111MODULE": "off",
        "GOFLAGS": "",
        "CGO_ENABLED": "0",
    }
    target = folder / name
    command = ["go", "build", "-o", str(target), str(PROGRAMS / f"{name}.go")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=110)
    assert done.returncode == 0, done.stderr
    return target
