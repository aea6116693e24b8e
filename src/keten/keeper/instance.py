"""Making a new instance: keys, folders, database, the first entry and the first checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from keten import __version__
from keten.core.clock import wall_us
from keten.core.db import own_folder, reading_engine, translated, writing_engine
from keten.core.errors import Conflict
from keten.core.files import Files, umask
from keten.core.ids import new_id
from keten.core.places import Place
from keten.core.settings import Database, Paths, Settings
from keten.core.upgrade import upgrade
from keten.keeper import entries
from keten.keeper.authority import save_authority
from keten.keeper.certificates import create_authority, issue
from keten.keeper.rootkey import RootKey, create_root_key
from keten.keeper.trusted import ledger_sealer, ledger_signer
from keten.ledger.model import Draft
from keten.ledger.notes import Verifier
from keten.ledger.publishing import Publishing
from keten.ledger.reading import size
from keten.ledger.writing import Writing


def create_instance(settings: Settings, hosts: tuple[str, ...], passphrase: bytes | None) -> str:
    """Make an instance in the settings' home; returns the origin of its ledger.

    1. The folder must be new or empty.
    2. Folders, each for one owner.
    3. The root key; everything else is derived from it or sealed under it.
    4. The database, with the first entry and signed head.
    5. The public tree and its verifier key.
    6. The gateway's TLS and SSH keys, which it alone will read.

    Raises `Conflict` ("not-empty": the folder, or a database on a server), `Unavailable`. A half-made instance is
    recognised by its missing key.pub.
    """
    paths = settings.paths
    if paths.home.exists() and any(paths.home.iterdir()):  # 1
        raise Conflict("not-empty", f"{paths.home} is not empty; an instance is made in a new folder.")
    place = settings.state
    if own_folder(place) is None:
        upgrade(place)  # before anything is made: it may be unreachable, or of no use
        with translated():
            _require_empty(place)
    with umask(0o022):
        return _create(settings, hosts, passphrase)


def _require_empty(place: Place) -> None:
    engine = reading_engine(place)
    with engine.connect() as connection:
        found = size(connection)
    engine.dispose()
    if found:
        raise Conflict("not-empty", f"{place} holds an instance already; a new one needs an empty database.")


def _create(settings: Settings, hosts: tuple[str, ...], passphrase: bytes | None) -> str:
    paths, files = settings.paths, Files()
    make_folders(paths, files)  # 2
    root = create_root_key(paths.root_key, passphrase)  # 3
    origin = f"keten/{new_id()}"
    upgrade(settings.state)  # 4
    _first_entry(settings, root, origin)
    verifier_key = ledger_signer(root, origin).verifier_key()
    publish(settings, verifier_key)  # 5
    _gateway_keys(settings, root, origin, hosts)  # 6
    files.write(paths.settings, (_SETTINGS + database_section(settings.database)).encode())
    files.write(paths.ledger / "key.pub", f"{verifier_key}\n".encode())
    return origin


def make_folders(paths: Paths, files: Files) -> None:
    """The folders of an instance, each for one owner."""
    for folder, mode in (
        (paths.home, 0o755),
        (paths.keeper, 0o700),
        (paths.database_folder, 0o750),
        (paths.store, 0o750),
        (paths.ledger, 0o755),
        (paths.gateway, 0o700),
        (paths.watch, 0o700),
        (paths.run, 0o755),
        (paths.operator_socket.parent, 0o750),
        (paths.gateway_socket.parent, 0o755),
        (paths.mail_socket.parent, 0o711),
        (paths.provider_socket.parent, 0o711),
        (paths.connector_socket.parent, 0o711),  # nobody lists it; who is let in, its socket says
    ):
        files.make_folder(folder, mode)
        folder.chmod(mode)


def _first_entry(settings: Settings, root: RootKey, origin: str) -> None:
    sealer = ledger_sealer(root, origin)
    engine = writing_engine(settings.state)
    with translated(), engine.begin() as connection:
        writing = Writing(connection, sealer, sealer.empty(), wall_us())
        writing.record(
            Draft(entries.INSTANCE_CREATED, "keeper", details={"version": __version__, "origin": origin})
        )
        writing.seal()
    engine.dispose()


def publish(settings: Settings, verifier_key: str) -> None:
    """Write the public tree from the database."""
    reader = reading_engine(settings.state)
    publishing = Publishing(settings.paths.ledger, Verifier.parse(verifier_key), reader)
    publishing.catch_up()
    reader.dispose()


def _gateway_keys(settings: Settings, root: RootKey, origin: str, hosts: tuple[str, ...]) -> None:
    paths, files = settings.paths, Files()
    authority = create_authority(origin.removeprefix("keten/"))
    save_authority(settings, root, authority)
    issued = issue(authority, hosts)
    write_certificate(paths.gateway, issued.certificate, issued.key)
    host_key = Ed25519PrivateKey.generate()
    pem = host_key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    files.write(paths.ssh_host_key, pem, mode=0o600)


def database_section(found: Database) -> str:
    """The section [database] of keten.toml; "" where everything is as left out."""
    set_values = {
        name: value for name, value in msgspec.structs.asdict(found).items() if value != getattr(Database(), name)
    }
    # A JSON string, or truth value, is one of TOML.
    lines = "".join(f"{name} = {json.dumps(value)}\n" for name, value in set_values.items())
    return f"\n[database]\n{lines}" if lines else ""


def write_certificate(folder: Path, certificate: bytes, key: bytes) -> None:
    """Put a TLS certificate and its key where the gateway reads them."""
    files = Files()
    files.write(folder / "tls.key", key, mode=0o600)
    files.write(folder / "tls.pem", certificate)


_SETTINGS = """\
# Settings of this Keten instance. Everything has a default; the manual explains each.

# [geo]
# database = "/path/to/countries.mmdb"       # a MaxMind-format database of your own
# networks = {"127.0.0.0/8" = "NL"}          # networks whose country you know; direct connections only

# [gateway]
# bind = "0.0.0.0:8443"
# public_url = "https://keten.example:8443"  # what suppliers call it
"""
