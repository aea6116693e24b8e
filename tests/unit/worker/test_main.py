"""The worker's duties: each at its own pace; what one can't do now it does later; what nobody foresaw ends all."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from keten.core.errors import Unavailable
from keten.core.settings import Settings
from keten.keeper.client import KeeperClient
from keten.worker import main
from keten.worker.main import Work


class Counting:
    """A duty that does as it is told, and counts."""

    def __init__(self, name: str, act: Callable[[int], float]) -> None:
        self.name = name
        self.times = 0
        self._act = act

    def run(self, _client: KeeperClient) -> float:
        self.times += 1
        return self._act(self.times)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """An instance whose keeper listens, and says nothing."""
    found = Settings(home=str(tmp_path))
    found.paths.operator_socket.parent.mkdir(parents=True)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(found.paths.operator_socket))
    listening.listen(64)
    monkeypatch.setattr(main, "FAILED_SECONDS", 0.01)
    yield found
    listening.close()


def test_each_at_its_own_pace_and_again_after_a_failure(settings: Settings) -> None:
    stopping = threading.Event()

    def failing(times: int) -> float:
        if times < 5:
            raise Unavailable("not-now", "Not now.")
        stopping.set()
        return 0.0

    first, second = Counting("first", failing), Counting("second", lambda _times: 60.0)
    assert Work(settings, [first, second], stopping).run() == 0
    assert (first.times, second.times) == (5, 1)


def test_what_nobody_foresaw_ends_all_of_them(settings: Settings) -> None:
    def broken(_times: int) -> float:
        raise RuntimeError("nobody foresaw this")

    assert Work(settings, [Counting("b", broken), Counting("a", lambda _times: 0.01)], threading.Event()).run() == 3


def test_without_a_keeper_it_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main, "FAILED_SECONDS", 0.01)
    stopping = threading.Event()
    duty = Counting("never", lambda _times: 0.0)
    threading.Timer(0.2, stopping.set).start()
    assert Work(Settings(home=str(tmp_path)), [duty], stopping).run() == 0
    assert duty.times == 0
