"""`keten get` against an instance, and a network, of every bad kind."""

from __future__ import annotations

import fcntl
import json
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from keten.cli.progress import Transfer
from keten.cli.supplier import commands, download, patience, witness
from tests.unit.cli.conftest import Done, Keten
from tests.unit.cli.other_side import CONTENT, OBJECT, OtherSide

PATH = "/cards/voters.csv"
CONTENT_PATH = f"/v1/objects/{OBJECT}"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Short pauses, so that what is tried again is tried again soon."""
    for module in (download, patience):
        monkeypatch.setattr(module, "FIRST_PAUSE", 0.01)
        monkeypatch.setattr(module, "LONGEST_PAUSE", 0.02)
    monkeypatch.setattr(commands, "PATIENCE", 0.5)
    monkeypatch.setattr(witness, "COVER_SECONDS", 0.5)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@pytest.fixture
def get(keten: Keten) -> Callable[..., Done]:
    return lambda *words: keten("get", PATH, "-o", "got.csv", "--json", *words)


def part(content: bytes) -> Path:
    path = Path(f".keten-{OBJECT}.part")
    path.write_bytes(content)
    return path


def whole() -> bool:
    return Path("got.csv").read_bytes() == CONTENT and not Path(f".keten-{OBJECT}.part").exists()


@pytest.mark.parametrize(
    ("remote", "asked"),
    [
        (PATH, "path=%2Fcards%2Fvoters.csv"),
        (PATH[1:], "path=%2Fcards%2Fvoters.csv"),
        (OBJECT, f"object={OBJECT}"),
    ],
)
def test_one_file_is_looked_up_and_nothing_is_listed(
    remote: str, asked: str, signed_in: OtherSide, keten: Keten
) -> None:
    signed_in.before = [["a.csv"]] * 3
    assert keten("get", remote, "-o", "got.csv").code == 0
    assert signed_in.paths("/v1/shares") == [f"/v1/shares?{asked}"]
    assert whole()


@pytest.mark.parametrize("remote", [PATH, PATH[1:], OBJECT])
def test_by_path_or_id(remote: str, signed_in: OtherSide, keten: Keten) -> None:
    done = keten("get", remote, "-o", "got.csv", "--json")
    assert done.code == 0, done.err
    assert whole()
    said = done.json()
    assert (said["size"], said["resumed_from"]) == (len(CONTENT), 0)
    assert said["entry"] == signed_in.log.ids[said["index"]]
    assert said["ledger"]["size"] > said["index"]


def test_the_name_is_kept_where_none_is_given(signed_in: OtherSide, keten: Keten, tmp_path: Path) -> None:
    assert keten("get", PATH).code == 0
    assert Path("voters.csv").read_bytes() == CONTENT
    folder = tmp_path / "there"
    folder.mkdir()
    assert keten("get", PATH, "-o", str(folder)).code == 0
    assert (folder / "voters.csv").read_bytes() == CONTENT
    assert signed_in.paths(CONTENT_PATH) == [CONTENT_PATH] * 2


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", ".profile", "..", "a\x1b[2J", "a\nb"])
def test_a_name_that_reaches_elsewhere_is_not_used(name: str, signed_in: OtherSide, keten: Keten) -> None:
    signed_in.name = name
    done = keten("get", OBJECT)
    assert done.code == 2
    assert "\x1b" not in done.err
    assert list(Path().iterdir()) == []
    assert signed_in.paths(CONTENT_PATH) == []


def test_an_interrupted_download_says_that_it_can_go_on(
    get: Callable[..., Done], signed_in: OtherSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    try:
        with monkeypatch.context() as patched:
            patched.setattr(download, "PIECE", 1000)
            patched.setattr(Transfer, "advance", lambda *_words: signal.raise_signal(signal.SIGINT))
            stopped = get()
    finally:
        signal.signal(signal.SIGINT, before)
    assert stopped.code == 130
    assert f".keten-{OBJECT}.part, and the same command goes on with them" in stopped.err
    done = get()
    assert done.code == 0, done.err
    assert done.json()["resumed_from"] == 1000
    assert whole()
    assert len(signed_in.paths(CONTENT_PATH)) == 2


def test_what_is_there_already_is_not_fetched_again(get: Callable[..., Done], signed_in: OtherSide) -> None:
    Path("got.csv").write_bytes(CONTENT)
    done = get()
    assert done.code == 0
    assert done.json()["entry"] is None
    assert signed_in.paths(CONTENT_PATH) == []


def test_another_file_is_replaced_only_when_it_was_named(signed_in: OtherSide, keten: Keten) -> None:
    Path("voters.csv").write_text("mine")
    done = keten("get", PATH)
    assert done.code == 2
    assert Path("voters.csv").read_text() == "mine"
    assert signed_in.paths(CONTENT_PATH) == []
    assert keten("get", PATH, "--force").code == 0
    Path("voters.csv").write_text("mine")
    assert keten("get", PATH, "-o", "voters.csv").code == 0
    assert Path("voters.csv").read_bytes() == CONTENT


def test_an_empty_file(get: Callable[..., Done], signed_in: OtherSide) -> None:
    signed_in.content = b""
    done = get()
    assert done.code == 0, done.err
    assert Path("got.csv").read_bytes() == b""
    assert done.json()["entry"]


def test_going_on_with_a_part(get: Callable[..., Done], signed_in: OtherSide) -> None:
    part(CONTENT[:1_500_001])
    done = get()
    assert done.code == 0, done.err
    assert whole()
    assert done.json()["resumed_from"] == 1_500_001
    (asked,) = [headers for path, headers in signed_in.asked if path == CONTENT_PATH]
    assert (asked["range"], asked["if-range"]) == ("bytes=1500001-", f'"{OBJECT}"')


def test_a_part_that_is_all_there_already(get: Callable[..., Done], signed_in: OtherSide) -> None:
    part(CONTENT)
    assert get().code == 0
    assert whole()
    assert signed_in.paths(CONTENT_PATH) == []


@pytest.mark.parametrize("content", [b"x" * 1000, CONTENT + b"more", b"x" * len(CONTENT), CONTENT[:-1] + b"x"])
def test_a_part_that_is_not_of_this_file(content: bytes, get: Callable[..., Done], signed_in: OtherSide) -> None:
    part(content)
    done = get()
    assert done.code == 0, done.err
    assert whole()
    assert signed_in.paths(CONTENT_PATH)


def test_a_server_that_does_not_know_ranges(get: Callable[..., Done], signed_in: OtherSide) -> None:
    signed_in.honours_ranges = False
    part(CONTENT[:1000])
    assert get().code == 0
    assert whole()


def test_another_range_than_asked(get: Callable[..., Done], signed_in: OtherSide) -> None:
    signed_in.wrong_range = True
    part(CONTENT[:1000])
    assert get().code == 0  # it is fetched anew, whole
    assert whole()


@pytest.mark.parametrize("cuts", [[0], [1], [1 << 20], [100_000] * 10, [16_384, 0, 0, 5, 1_000_000]])
def test_through_broken_connections(cuts: list[int], get: Callable[..., Done], signed_in: OtherSide) -> None:
    signed_in.cut_after = list(cuts)
    done = get()
    assert done.code == 0, done.err
    assert whole()
    assert len(signed_in.paths(CONTENT_PATH)) == len(cuts) + 1


def test_not_for_ever(get: Callable[..., Done], signed_in: OtherSide) -> None:
    signed_in.cut_after = [700_000] + [0] * 50
    done = get()
    assert done.code == 3
    assert len(signed_in.paths(CONTENT_PATH)) <= 12
    signed_in.cut_after = []
    again = get()
    assert (again.code, again.json()["resumed_from"]) == (0, 700_000)
    assert whole()


@pytest.mark.parametrize("status", [429, 500, 503])
def test_through_busy_and_restarting_instances(status: int, get: Callable[..., Done], signed_in: OtherSide) -> None:
    signed_in.statuses = [status] * 3
    signed_in.list_statuses = [status] * 2
    assert get().code == 0
    assert whole()


def test_through_an_instance_that_goes_away_and_comes_back(get: Callable[..., Done], signed_in: OtherSide) -> None:
    port = int(signed_in.url.rpartition(":")[2])
    signed_in.stop()
    gone = get()
    assert gone.code == 3
    assert "listens" in gone.err
    signed_in.start(port)
    assert get().code == 0


def test_a_token_that_is_over_is_renewed(get: Callable[..., Done], signed_in: OtherSide) -> None:
    signed_in.cut_after = [100_000]
    signed_in.token_seconds = 0
    done = get()
    assert done.code == 1  # one that is over as soon as it is given: no endless loop
    assert len(signed_in.paths("/oauth")) < 12
    signed_in.token_seconds = 1
    assert get().code == 0
    assert whole()


def test_access_that_ends_meanwhile(get: Callable[..., Done], signed_in: OtherSide) -> None:
    signed_in.cut_after = [1_000_000]
    signed_in.statuses = []
    original = signed_in.record

    def record() -> tuple[str, int]:
        signed_in.refusal = "contract-ended"
        signed_in.statuses = [404]
        return original()

    signed_in.record = record  # type: ignore[method-assign]  # access ends while the first part is on its way
    done = get()
    assert done.code == 1
    assert "Access has ended." in done.err
    assert ".part" in done.err
    assert not Path("got.csv").exists()


def test_absent(keten: Keten, signed_in: OtherSide) -> None:
    for remote in ("/cards/other.csv", "a" * 25 + "e", "", "/", "../.."):
        done = keten("get", remote)
        assert done.code == 1, remote
        assert "keten ls" in done.err
    assert signed_in.paths("/v1/objects") == []


def test_gone_between_list_and_get(get: Callable[..., Done], signed_in: OtherSide) -> None:
    signed_in.statuses = [404]
    done = get()
    assert done.code == 1
    assert "not there for you any more" in done.err


@pytest.mark.parametrize("where", ["digest", "listed_digest"])
def test_a_digest_that_differs(where: str, get: Callable[..., Done], signed_in: OtherSide) -> None:
    setattr(signed_in, where, "sha-256=:" + "A" * 43 + "=:")
    done = get()
    assert done.code == 4
    assert not Path("got.csv").exists()


def test_content_that_differs(get: Callable[..., Done], signed_in: OtherSide) -> None:
    signed_in.digest = signed_in.listed_digest = signed_in.own_digest()
    signed_in.content = CONTENT[:-1] + b"!"
    done = get()
    assert done.code == 4
    assert "thrown away" in done.err
    assert list(Path().iterdir()) == []
    assert len(signed_in.paths(CONTENT_PATH)) == 2


def test_content_without_an_entry_is_not_taken(get: Callable[..., Done], signed_in: OtherSide) -> None:
    signed_in.entry_header = False
    done = get()
    assert done.code == 4
    assert "entry" in done.err
    assert not Path("got.csv").exists()


def test_two_at_once(get: Callable[..., Done], signed_in: OtherSide) -> None:
    with part(b"").open("r+b") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = get()
    assert done.code == 2
    assert "Another" in done.err
    assert signed_in.paths(CONTENT_PATH) == []


def test_a_part_is_no_link_to_elsewhere(get: Callable[..., Done], signed_in: OtherSide, tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("mine")
    Path(f".keten-{OBJECT}.part").symlink_to(tmp_path / "victim")
    assert get().code == 3
    assert (tmp_path / "victim").read_text() == "mine"
    assert signed_in.paths(CONTENT_PATH) == []


def test_killed_midway_and_gone_on_with(signed_in: OtherSide, surroundings: object, get: Callable[..., Done]) -> None:
    signed_in.cut_after = [2_000_000] + [0] * 100
    script = (
        "import sys\nfrom pathlib import Path\nfrom keten.app import settings\nfrom keten.cli.main import run\n"
        "from keten.cli.surroundings import Surroundings\n"
        "run(sys.argv[2:], Surroundings('', Path(sys.argv[1]), 'en', {}, settings))"
    )
    config = str(surroundings.config)  # type: ignore[attr-defined]  # the fixture's type is in the conftest
    running = subprocess.Popen([sys.executable, "-c", script, config, "get", PATH, "-o", "got.csv"])
    while len(signed_in.paths(CONTENT_PATH)) < 2:
        assert running.poll() is None
    running.kill()
    running.wait()
    signed_in.cut_after = []
    done = get()
    assert (done.code, done.json()["resumed_from"]) == (0, 2_000_000)
    assert whole()
    # The entry of the download that was killed is verified by this one, too.
    ledger = json.loads(next(Path(config, "ledgers").glob("*.json")).read_text())
    assert ledger["pending"] == []


def test_a_full_disk(get: Callable[..., Done], signed_in: OtherSide) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_200_000, hard))  # SIGXFSZ is ignored by Python: writing fails
    try:
        done = get()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert done.code == 3
    assert not Path("got.csv").exists()
    assert len(signed_in.paths(CONTENT_PATH)) == 1  # no use in trying again
    again = get()
    assert (again.code, again.json()["resumed_from"]) == (0, 1_200_000)
    assert whole()


def test_where_nothing_may_be_written(get: Callable[..., Done], signed_in: OtherSide, keten: Keten) -> None:
    done = keten("get", PATH, "-o", "no/such/folder/x")
    assert done.code == 2
    assert "no/such/folder" in done.err
    assert signed_in.paths(CONTENT_PATH) == []
    assert list(Path().iterdir()) == []
    assert get().code == 0
