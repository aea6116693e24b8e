from __future__ import annotations

import pytest

from keten.cli.progress import Counted, Transfer, in_bytes


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (1 << 30, "1.0 GiB"), (1 << 50, "1024.0 TiB")],
)
def test_bytes_for_people(count: int, text: str) -> None:
    assert in_bytes(count) == text


def test_silent_where_there_is_no_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    with Transfer("x", 10) as shown:
        shown.advance(10)
    assert capfd.readouterr() == ("", "")


def test_on_a_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    with Transfer("a\x1b[2Jb", 200, done=50, show=True) as shown:
        shown.advance(50)
        assert shown.speed > 0
    out, err = capfd.readouterr()
    assert out == ""
    assert "50 %" in err
    assert "\x1b" not in err
    with Transfer("unknown size", None, show=True) as shown:
        shown.advance(10)
    assert "10 B" in capfd.readouterr().err


def test_how_many_by_now(capfd: pytest.CaptureFixture[str]) -> None:
    with Counted("files") as silent:
        silent.move_to(1000)
    assert capfd.readouterr() == ("", "")
    with Counted("files", show=True) as shown:
        shown.move_to(1000)
        shown.move_to(12_000)
    assert capfd.readouterr() == ("", "\r1,000 files …\r12,000 files …\n")
    with Counted("files", show=True):
        pass
    assert capfd.readouterr() == ("", "")
