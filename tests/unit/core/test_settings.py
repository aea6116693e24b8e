"""Settings: the file, then variables; every mistake is refused by name, none is guessed at."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keten.core.errors import Invalid
from keten.core.settings import Paths, Settings, duration, load_settings


def load(folder: Path, text: str = "", **variables: str) -> Settings:
    (folder / "keten.toml").write_text(text, encoding="utf-8")
    return load_settings(folder, variables)


def test_without_a_file_everything_has_a_default(tmp_path: Path) -> None:
    found = load_settings(tmp_path, {"PATH": "/bin", "KETEN_HOME": "/elsewhere"})
    assert found == Settings(home=str(tmp_path))
    assert found.paths.root_key == tmp_path / "keeper" / "root.key"


def test_a_whole_file(tmp_path: Path) -> None:
    found = load(
        tmp_path,
        """
        [geo]
        networks = {"10.0.0.0/8" = "NL", "2001:db8::/32" = "BE"}
        [gateway]
        bind = "0.0.0.0:8443"
        public_url = "https://keten.example"
        proxy = "v2"
        trusted_proxies = ["192.0.2.1", "2001:db8::1/128"]
        [keeper]
        gateway_users = ["keten-gateway"]
        reserve_bytes = 1048576
        [limits]
        parallel_per_client = 7
        """,
    )
    assert found.geo.networks == {"10.0.0.0/8": "NL", "2001:db8::/32": "BE"}
    assert found.gateway.trusted_proxies == ("192.0.2.1", "2001:db8::1/128")
    assert found.keeper.gateway_users == ("keten-gateway",)
    assert found.keeper.reserve_bytes == 1 << 20
    assert (found.limits.parallel_per_client, found.limits.connections) == (7, 1000)


@pytest.mark.parametrize(
    ("text", "seconds"), [("1s", 1), ("90s", 90), ("30m", 1800), ("1h", 3600), ("7d", 604_800), ("9999999d", None)]
)
def test_durations(text: str, seconds: int | None) -> None:
    assert duration(text) == (seconds or 9_999_999 * 86_400)


@pytest.mark.parametrize(
    "text", ["", "1", "s", "0s", "01s", "-1s", "1.5h", "1 h", "1H", "1w", "1h ", "99999999s", "\uff11s"]
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        duration(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('[witnesses]\nevery = "soon"\n', "[witnesses] every"),
        ('[witnesses]\nlimit = "1"\n', "[witnesses] limit"),
        ('[timestamps]\nurl = "https://tsa.example"\n', "must be set together"),
        ('[timestamps]\nca = "ca.pem"\n', "must be set together"),
        ('[timestamps]\nurl = "tsa.example"\nca = "ca.pem"\n', "not an address"),
        ('[timestamps]\nurl = "https://tsa.example"\nca = "ca.pem"\nevery = "x"\n', "[timestamps] every"),
    ],
)
def test_mistakes_about_outsiders(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(Invalid) as raised:
        load(tmp_path, text)
    assert reason in raised.value.public


def test_who_signs_outside(tmp_path: Path) -> None:
    assert not load(tmp_path).has_outside
    found = load(tmp_path, '[witnesses]\npolicy = "p"\n[timestamps]\nurl = "http://t"\nca = "c"\nevery = "7d"\n')
    assert (found.has_outside, found.outside_limit_seconds) == (True, 3600)
    found = load(tmp_path, '[timestamps]\nurl = "http://t"\nca = "c"\nevery = "7d"\n')
    assert (found.has_outside, found.outside_limit_seconds) == (True, 14 * 86_400)


def test_a_variable_wins(tmp_path: Path) -> None:
    found = load(
        tmp_path,
        '[gateway]\nbind = "a:1"\npublic_url = "https://a"\n',
        KETEN_GATEWAY__BIND="b:2",
        KETEN_KEEPER__GATEWAY_USERS='["one", "two"]',
        KETEN_LIMITS__IDLE_SECONDS="5",
        KETEN_GEO__NETWORKS='{"10.0.0.0/8" = "NL"}',
        KETEN_KEEPER__PASSPHRASE_FILE="/run/a file",
        OTHER__KEY="x",
    )
    assert (found.gateway.bind, found.gateway.public_url) == ("b:2", "https://a")
    assert found.keeper.gateway_users == ("one", "two")
    assert found.limits.idle_seconds == 5
    assert found.geo.networks == {"10.0.0.0/8": "NL"}
    assert found.keeper.passphrase_file == "/run/a file"


def test_home_is_where_the_file_lies(tmp_path: Path) -> None:
    assert load(tmp_path, 'home = "/elsewhere"\n').home == str(tmp_path)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[keeper", "TOML"),
        ("[keper]\n", "keper"),
        ("[keeper]\ngateway_user = []\n", "gateway_user"),
        ("[keeper]\nreserve_bytes = 'much'\n", "reserve_bytes"),
        ("[keeper]\ngateway_users = 'one'\n", "gateway_users"),
        ("keeper = 5\n", "keeper"),
        ("[gateway]\nproxy = 'v2'\npublic_url = 'https://a'\n", "trusted_proxies"),
        ("[gateway]\ntrusted_proxies = ['10.0.0.1']\n", "proxy"),
        ("[gateway]\nproxy = 'v2'\ntrusted_proxies = ['10.0.0.1']\n", "public_url"),
        ("[gateway]\ncertificate = '/a.pem'\n", "certificate_key"),
        ("[console]\nproxy = 'v2'\ntrusted_proxies = ['10.0.0.1']\npublic_url = 'https://a'\n", "names a header"),
        ("[console]\nproxy = 'X-Forwarded-For'\ntrusted_proxies = ['10.0.0.1']\n", "public_url"),
        ("[sftp]\nproxy = 'v2'\ntrusted_proxies = ['proxy.example']\n", "trusted_proxies"),
        ("[gateway]\npublic_url = 'files.example'\n", "public_url"),
        ("[gateway]\npublic_url = 'http://files.example'\n", "public_url"),
        ("[gateway]\npublic_url = 'https://files.example:x'\n", "public_url"),
        ("[gateway]\npublic_url = 'https://me@files.example'\n", "public_url"),
        ("[console]\npublic_url = 'https://files.example/?a'\n", "public_url"),
        ("[sftp]\npublic_url = 'https://a'\n", "sftp"),
        ("[geo]\nnetworks = {'10.0.0.0/8' = 'nl'}\n", "3166"),
        ("[geo]\nnetworks = {'10.0.0.0/8' = 'NLD'}\n", "3166"),
        ("[geo]\nnetworks = {'10.0.0.1/8' = 'NL'}\n", "networks"),
        ("[geo]\nnetworks = {'everywhere' = 'NL'}\n", "networks"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(Invalid) as caught:
        load(tmp_path, text)
    assert named in caught.value.public
    assert "keten.toml" in caught.value.public


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "keten.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Invalid):
        load_settings(tmp_path, {})


@pytest.mark.parametrize("name", ["KETEN_KEEPER__TYPO", "KETEN_TYPO__X", "KETEN___", "KETEN_KEEPER__A__B"])
def test_a_variable_that_nobody_knows_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(Invalid, match=name):
        load(tmp_path, **{name: "1"})


@given(st.text(max_size=200))
def test_any_text_is_settings_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.getbasetemp() / "any"
    folder.mkdir(exist_ok=True)
    (folder / "keten.toml").write_bytes(text.encode("utf-8", "surrogatepass"))
    with suppress(Invalid):  # anything else is a fault
        assert load_settings(folder, {"KETEN_GATEWAY__BIND": text}).home == str(folder)


def test_every_path_is_inside_the_instance(tmp_path: Path) -> None:
    paths = vars(Paths(tmp_path))
    assert all(path.is_relative_to(tmp_path) for path in paths.values())
    assert len(set(paths.values())) == len(paths)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('[watch]\nwindow = "soon"', "window"),
        ("[watch]\nmost_per_hour = 0", "most_per_hour"),
        ("[watch]\nmost_percent = 101", "most_percent"),
        ("[watch]\nslow_per_minute = -1", "slow_per_minute"),
        ('[watch.ladder]\nmisses = {high = "shoot"}', "shoot"),
        ('[watch.ladder]\nmisses = {huge = "alert"}', "huge"),
        ('[watch.datasets.voters]\nmisses = "suspend"', "misses"),
        ("[watch]\nladders = 1", "ladders"),
    ],
)
def test_a_ladder_that_means_nothing_is_refused(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(Invalid) as caught:
        load(tmp_path, text)
    assert named in caught.value.public or "watch" in caught.value.public


def test_the_watch_gives_the_worker_something_to_do(tmp_path: Path) -> None:
    assert load(tmp_path).has_work
    assert not load(tmp_path, "[watch]\nenabled = false").has_work


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('url = "mysql://db/x"', "begins with postgresql"),
        ('url = "postgresql://x:secret@db/x"', "holds a password"),
        ('url = "postgresql://db/x?password=secret"', "holds a password"),
        ('url = "postgresql://[db/x"', "is no URL"),
        ('url = "sqlite://host/x.db"', "sqlite:///FOLDER/FILE"),
        ('url = "sqlite:"', "sqlite:///FOLDER/FILE"),
        ('url = "sqlite:///x.db?mode=rw"', "sqlite:///FOLDER/FILE"),
        ('url = "sqlite:///x.db"\npassword_file = "x"', "has no password"),
        ('url = "sqlite:///x.db"\ntimeout = "1m"', "timeout is of 1s to 30s"),
        ('url = "sqlite:///x.db"\ntimeout = "31s"', "timeout is of 1s to 30s"),
        ('url = "sqlite:///x.db"\nconnections = 0', "connections is 1 to"),
        ('url = "sqlite:///x.db"\nhost = "x"', "unknown field"),
        ("timeout = '3s'", "missing required field"),
    ],
)
def test_mistakes_about_systems(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(Invalid) as refused:
        load(tmp_path, f"[systems.burgerzaken]\n{text}\n")
    assert reason in refused.value.public
    assert "secret" not in refused.value.public


def test_where_a_system_is(tmp_path: Path) -> None:
    found = load(tmp_path, '[systems.a]\nurl = "sqlite:a%20b.db"\n[systems.b]\nurl = "sqlite:///srv/b.db"\n').systems
    assert found["a"].file(tmp_path) == tmp_path / "a b.db"
    assert found["b"].file(tmp_path) == Path("/srv/b.db")
    assert {one.kind for one in found.values()} == {"sqlite"}
