"""What a driver must do: hand events over, and say which of them are safe at the other side."""

from __future__ import annotations

import ssl
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from keten.core.destinations import Destination, Sort
from keten.core.errors import Invalid, Unavailable
from keten.watch.export.cef import cef_of

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 20.0
MAX_SECRET = 64 * 1024


class Record(msgspec.Struct, frozen=True):
    """An event on its way. `uid`: the same however often it is sent."""

    uid: str
    index: int
    time_us: int
    kind: str
    sort: Sort
    event: dict[str, Any]

    @property
    def severity(self) -> int:
        """Of OCSF: 1 (informational) to 5 (critical)."""
        return int(self.event["severity_id"])


class Driver(Protocol):
    """One connection's worth of sending. After any error it is closed, and what is not settled is sent again."""

    most: int
    """So many events at once."""

    def send(self, records: Sequence[Record], upto: int) -> None:
        """Hand events over, in order. `upto`: how far the destination is once they have arrived; never falls.

        Raises `Unavailable` when it cannot be done now, `Invalid` ("rejected") when the receiver takes other events,
        but perhaps not these.
        """

    def settled(self) -> int:
        """The largest `upto` of which everything has safely arrived; -1 before the first. Raises `Unavailable`."""

    @property
    def proven(self) -> bool:
        """Whether the receiver has shown, since this driver was made, that it takes events."""

    def close(self) -> None:
        """Let go of the connection; twice is fine."""


def context(ca: Path | None) -> ssl.SSLContext:
    """Certificates and names are always verified, against a PEM file or the machine's authorities. Raises `Invalid`."""
    try:
        made = ssl.create_default_context(cafile=str(ca) if ca else None)
    except OSError as error:
        raise Invalid("export-ca", f"ca: {ca} cannot be read as PEM.", str(error)) from error
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    return made


def read_secret(path: Path) -> str:
    """The secret in a file, one line. Raises `Invalid` ("export-secret"): others may read it, or it is empty."""
    try:
        mode = path.stat().st_mode
        text = path.read_bytes()[:MAX_SECRET].decode("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Unavailable("export-secret", f"The secret in {path} cannot be read.", str(error)) from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise Invalid("export-secret", f"Others may read the secret in {path}: chmod 600 {path}.")
    if not text or not text.isascii() or not text.isprintable():
        raise Invalid("export-secret", f"The secret in {path} is empty, or is not one line of ASCII.")
    return text


def written(record: Record, destination: Destination) -> bytes:
    """An event as this destination writes it: a line of JSON, or CEF; without a line's end."""
    if destination.form == "cef":
        return cef_of(record.event).encode()
    return msgspec.json.encode(record.event)


class Settling:
    """For receivers that answer: what was answered is settled."""

    def __init__(self) -> None:
        self._upto = -1

    def settled(self) -> int:
        """The `upto` of what was answered last."""
        return self._upto

    @property
    def proven(self) -> bool:
        """Whether anything was answered."""
        return self._upto >= 0
