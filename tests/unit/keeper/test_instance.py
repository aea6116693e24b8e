"""A new instance: in a new folder only, each part readable by whom it is for, and complete or recognisably not."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from keten.core.db import reading_engine
from keten.core.errors import Conflict
from keten.core.files import umask
from keten.core.settings import Settings, load_settings
from keten.keeper.instance import create_instance
from keten.keeper.rootkey import load_root_key
from keten.keeper.trusted import ledger_signer, read_origin
from keten.ledger.notes import Verifier, parse_checkpoint
from keten.ledger.writing import load_head


@pytest.fixture(scope="module", params=[0, 0o077], ids=["umask 0", "umask 077"])
def made(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Settings:
    settings = Settings(home=str(tmp_path_factory.mktemp("instance") / "new"))
    with umask(request.param):  # nothing may rest on what the maker's shell forbids or allows
        create_instance(settings, ("localhost",), None)
    return settings


def test_modes(made: Settings) -> None:
    paths = made.paths
    found = {path.relative_to(paths.home): stat.S_IMODE(path.stat().st_mode) for path in paths.home.rglob("*")}
    closed = {path for path, mode in found.items() if not mode & 0o077}
    assert {Path("keeper"), Path("gateway"), Path("keeper/root.key"), Path("keeper/authority.sealed")} <= closed
    assert {Path("gateway/tls.key"), Path("gateway/ssh_host_ed25519_key")} <= closed
    assert found[Path("db")] == found[Path("store")] == found[Path("run/operator")] == 0o750
    database = {mode for path, mode in found.items() if path.parts[0] == "db" and len(path.parts) > 1}
    assert all(not mode & 0o022 for mode in database), "made under umask 0, and still nobody else may write it"
    assert not [path for path, mode in found.items() if mode & 0o022]
    public = {path for path, mode in found.items() if mode & 0o004}
    assert {Path("keten.toml"), Path("ca.pem"), Path("ledger/checkpoint"), Path("ledger/key.pub")} <= public


def test_it_is_whole(made: Settings) -> None:
    paths = made.paths
    origin = read_origin(paths.ledger / "key.pub")
    root = load_root_key(made, None)
    key = ledger_signer(root, origin).verifier_key()
    assert (paths.ledger / "key.pub").read_text() == f"{key}\n"
    checkpoint = parse_checkpoint((paths.ledger / "checkpoint").read_text(), Verifier.parse(key))
    engine = reading_engine(paths.database)
    with engine.connect() as connection:
        head = load_head(connection, Verifier.parse(key))
    engine.dispose()
    assert head is not None
    assert (checkpoint.size, checkpoint.root) == (head.size, head.root) == (1, head.root)
    assert load_settings(paths.home, {}).home == made.home


def test_only_in_a_new_folder(made: Settings, tmp_path: Path) -> None:
    before = made.paths.root_key.read_bytes()
    with pytest.raises(Conflict):
        create_instance(made, ("localhost",), None)
    assert made.paths.root_key.read_bytes() == before
    (tmp_path / ".hidden").touch()
    with pytest.raises(Conflict):
        create_instance(Settings(home=str(tmp_path)), ("localhost",), None)
    assert [path.name for path in tmp_path.iterdir()] == [".hidden"]
