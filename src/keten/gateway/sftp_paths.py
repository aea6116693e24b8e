"""Paths over SFTP: normalised once, here; what comes out is what is looked up, authorised and opened (law 10). Pure."""

from __future__ import annotations

import unicodedata

from keten.core.errors import Invalid
from keten.vault.rules import normal_name

MAX_PATH_BYTES = 4096
MAX_COMPONENTS = 64

Path = tuple[str, ...]


class NoSuchPath(ValueError):
    """The bytes are no path of ours; nothing can be there."""


def resolve(path: bytes) -> Path:
    """The components of a path below "/", which is also where a relative path begins.

    1. At most `MAX_PATH_BYTES` of valid UTF-8 (no overlong forms, no surrogates), without NUL.
    2. "." and empty components are left out; ".." takes the one before away, and stays at "/" there.
    3. Each component is brought to NFC, and must be a name that content could have: no control, invisible or
       bidirectional characters (`keten.vault.rules.normal_name`).

    Raises `NoSuchPath`.
    """
    if len(path) > MAX_PATH_BYTES or b"\0" in path:  # 1
        raise NoSuchPath
    try:
        text = path.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NoSuchPath from error
    kept: list[str] = []
    for component in text.split("/"):
        if component in ("", "."):  # 2
            continue
        if component == "..":
            del kept[-1:]
            continue
        try:
            kept.append(normal_name(component))  # 3
        except Invalid as error:
            raise NoSuchPath from error
        if len(kept) > MAX_COMPONENTS:
            raise NoSuchPath
    return tuple(kept)


def written(path: Path) -> bytes:
    """A path as it is told to clients."""
    return b"/" + "/".join(path).encode("utf-8")


def folder_name(label: str, identity: str) -> str:
    """A share's label as the name of a folder. What cannot be part of a name becomes "_"; else its id."""
    plain = unicodedata.normalize("NFC", "".join("_" if character in "/\\" else character for character in label))
    for candidate in (plain, "".join(one if one.isprintable() else "_" for one in plain).strip(" .")):
        try:
            return normal_name(candidate)
        except Invalid:
            continue
    return identity
