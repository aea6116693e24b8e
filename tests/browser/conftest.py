"""A running demo, and Debian's Chromium to look at it with."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, StorageState, sync_playwright

from tests.browser.passkeys import Authenticators, enrol

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class Demo:
    """`keten demo`, running. `told`: what it printed with --json."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Whoever runs the tests may ignore signals, which would be passed on.
        line = ["env", "--default-signal", sys.executable, "-m", "keten", "demo", "--home", str(folder), "--json"]
        self.log = (folder.parent / "demo.log").open("w+", encoding="utf-8")
        self.process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=self.log, text=True)
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        self.told: dict[str, Any] = json.loads(said) if said else {}
        self._signed_in: StorageState | None = None

    def signed_in(self, browser: Browser) -> StorageState:
        """The cookies of a browser in which the privacy officer is signed in, who enrols with its link at first."""
        if self._signed_in is None:
            context = browser.new_context(locale="en-GB")
            page = context.new_page()
            Authenticators(page).add()
            enrol(page, self.told["links"]["fg"])
            self._signed_in = context.storage_state()
            context.close()
        return self._signed_in

    def errors(self) -> str:
        """What it said on stderr."""
        self.log.seek(0)
        return self.log.read()

    def keten(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command on the demo's instance."""
        line = [sys.executable, "-m", "keten", *words, "--home", self.told["home"]]
        return subprocess.run(line, capture_output=True, text=True, check=False)

    def stop(self) -> int:
        """Stop it as a terminal does; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(60)
        finally:
            self.process.kill()
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.log.close()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """The demo; tests may end things in it, each its own."""
    made = Demo(tmp_path_factory.mktemp("demo") / "demo")
    assert made.told.get("ready"), made.errors()
    yield made
    assert made.stop() == 0, "it did not stop in order"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser that is installed on the machine."""
    if not CHROMIUM.exists():
        pytest.skip(f"not installed: {CHROMIUM}")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield started
        started.close()
