"""Damages to the public tree."""

from __future__ import annotations

import shutil

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keten.ledger.notes import Signer, checkpoint_text
from tests.fault.damage.expectation import Named, named
from tests.fault.damage.victim import Victim


def file_bit(victim: Victim) -> list[Named]:
    """One bit of a tile or bundle."""
    path = victim.file()
    path.write_bytes(victim.flip(path.read_bytes()))
    return [named("tile", "bundle", file=victim.name(path))]


def file_cut(victim: Victim) -> list[Named]:
    """The end of a tile or bundle is gone, or all of it: a torn write."""
    path = victim.file()
    content = path.read_bytes()
    path.write_bytes(content[: victim.random.choice((0, 1, len(content) // 2, len(content) - 1))])
    return [named("tile", "bundle", file=victim.name(path))]


def file_torn(victim: Victim) -> list[Named]:
    """A block of zeros where the disk lost a write."""
    path = victim.file()
    content = path.read_bytes()
    at = victim.random.randrange(len(content))
    path.write_bytes(content[:at] + bytes(len(content) - at))
    return [named("tile", "bundle", file=victim.name(path))]


def file_longer(victim: Victim) -> list[Named]:
    """Something at the end of a tile or bundle."""
    path = victim.file()
    path.write_bytes(path.read_bytes() + victim.random.choice((b"\0", b"\0\0", bytes(32), bytes(20000))))
    return [named("tile", "bundle", file=victim.name(path))]


def file_gone(victim: Victim) -> list[Named]:
    """A tile or bundle that the checkpoint needs is gone."""
    path = victim.file()
    if not victim.current(path):
        return []
    path.unlink()
    return [named("tile", "bundle", file=victim.name(path))]


def files_swapped(victim: Victim) -> list[Named]:
    """Two files have changed places."""
    one, other = victim.file(), victim.file()
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    return [named("tile", "bundle", file=victim.name(path)) for path in (one, other)]


def file_a_link(victim: Victim) -> list[Named]:
    """A link stands where a tile was, also one to the same content."""
    path = victim.file()
    elsewhere = victim.folder.parent / f"elsewhere-{path.name}-{victim.random.randrange(10**9)}"
    shutil.move(path, elsewhere)
    path.symlink_to(elsewhere)
    return [named("tile", "bundle", file=victim.name(path))]


def file_a_folder(victim: Victim) -> list[Named]:
    """A folder stands where a tile was."""
    path = victim.file()
    if not victim.current(path):
        return []
    path.unlink()
    path.mkdir()
    return [named("tile", "bundle", file=victim.name(path))]


def file_strange(victim: Victim) -> list[Named]:
    """A file that does not belong there."""
    name = victim.random.choice(
        ("tile/0/1", "tile/0/000.p/0", "tile/entries/000.p/300", "index.html", "tile/0/x000/001", "tile/64/000")
    )
    path = victim.folder / name
    if not victim.take(path) or path.exists():
        return []
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(32))
    return [named("file", file=name)]


def file_beyond(victim: Victim) -> list[Named]:
    """A tile over more entries than there are."""
    name = victim.random.choice(("tile/0/003", "tile/entries/x001/000", "tile/1/001", "tile/5/000.p/1"))
    path = victim.folder / name
    if not victim.take(path) or path.exists():
        return []
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(32 * 256))
    return [named("file", file=name)]


def checkpoint_bit(victim: Victim) -> list[Named]:
    """One bit of the checkpoint."""
    path = victim.folder / "checkpoint"
    if not victim.take(path):
        return []
    path.write_bytes(victim.flip(path.read_bytes()))
    return [named("checkpoint", file="checkpoint")]


def checkpoint_cut(victim: Victim) -> list[Named]:
    """The checkpoint's end is gone, or all of it, or the file."""
    path = victim.folder / "checkpoint"
    if not victim.take(path):
        return []
    content = path.read_bytes()
    length = victim.random.choice((-1, 0, len(content) // 2, len(content) - 1))
    if length < 0:
        path.unlink()
    else:
        path.write_bytes(content[:length])
    return [named("checkpoint", file="checkpoint")]


def checkpoint_of_another_key(victim: Victim) -> list[Named]:
    """A checkpoint over another root, signed by a key of one's own under the same name."""
    path = victim.folder / "checkpoint"
    if not victim.take(path):
        return []
    name = victim.made.signer.name
    signer = Signer(name, Ed25519PrivateKey.from_private_bytes(victim.random.randbytes(32)))
    note = signer.sign(checkpoint_text(name, victim.size, victim.random.randbytes(32)))
    path.write_text(note, encoding="utf-8")
    return [named("checkpoint", file="checkpoint")]


def checkpoint_forked(victim: Victim) -> list[Named]:
    """A checkpoint that the log's key signed, over entries that are not those in the database."""
    path = victim.folder / "checkpoint"
    if not victim.take(path):
        return []
    size = victim.random.choice((victim.size, victim.size - 5, 256, 1, victim.size + 7))
    note = victim.made.signer.sign(checkpoint_text(victim.made.signer.name, size, victim.random.randbytes(32)))
    path.write_text(note, encoding="utf-8")
    return [named("checkpoint", file="checkpoint")]


def key_changed(victim: Victim) -> list[Named]:
    """The published key is another, damaged, or gone."""
    path = victim.folder / "key.pub"
    if not victim.take(path):
        return []
    how = victim.random.randrange(3)
    if how == 0:
        path.unlink()
    elif how == 1:
        path.write_bytes(victim.flip(path.read_bytes()))
    else:
        key = Ed25519PrivateKey.from_private_bytes(victim.random.randbytes(32))
        path.write_text(Signer(victim.made.signer.name, key).verifier_key() + "\n", encoding="utf-8")
    return [named("key", file="key.pub")]


DAMAGES = (
    file_bit,
    file_cut,
    file_torn,
    file_longer,
    file_gone,
    files_swapped,
    file_a_link,
    file_a_folder,
    file_strange,
    file_beyond,
    checkpoint_bit,
    checkpoint_cut,
    checkpoint_of_another_key,
    checkpoint_forked,
    key_changed,
)
