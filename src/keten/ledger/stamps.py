"""Time stamps of checkpoints by an authority (RFC 3161): what is asked, and whether the answer holds."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec
from cryptography import x509
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    TimeStampResponse,
    VerifierBuilder,
    decode_timestamp_response,
)

from keten.core.clock import to_us
from keten.core.errors import Corrupt, Invalid, Unavailable

MAX_STAMP_BYTES = 64 * 1024
_CERTIFICATES = 0xA0  # [0] IMPLICIT in SignedData
_GRANTED = (0, 1)  # PKIStatus of RFC 3161 §2.4.2: granted, granted with modifications


class Question(msgspec.Struct, frozen=True):
    """A request in DER, and the nonce that the answer must repeat."""

    request: bytes
    nonce: int


def question(note: str) -> Question:
    """What to ask an authority about a checkpoint: the stamp is of SHA-256 over the signed note's bytes."""
    made = TimestampRequestBuilder(note.encode(), HashAlgorithm.SHA256, nonce=True, cert_req=True).build()
    return Question(made.as_bytes(), made.nonce or 0)


def load_roots(path: Path) -> tuple[x509.Certificate, ...]:
    """The certificates of a PEM file that stamps must lead to. Raises `Invalid` ("timestamps-ca")."""
    try:
        return tuple(x509.load_pem_x509_certificates(path.read_bytes()))
    except (OSError, ValueError) as error:
        raise Invalid("timestamps-ca", f"[timestamps] ca: {path} cannot be read as PEM.", str(error)) from error


def verify_stamp(stamp: bytes, note: str, roots: tuple[x509.Certificate, ...], nonce: int | None = None) -> int:
    """The time of a stamp in microseconds, once all of this holds.

    1. It is a response of RFC 3161 in which the authority granted a stamp.
    2. It is over this very note; it repeats `nonce` (left out: a stamp that was kept).
    3. Its signature is by an authority whose certificate leads to one of `roots`.

    Raises `Unavailable` ("stamp-refused"), `Corrupt` ("stamp-wrong").
    """
    response = _decode(stamp)
    if response.status not in _GRANTED:  # 1
        said = "; ".join(response.status_string)[:200]
        raise Unavailable("stamp-refused", "The time-stamping authority refused.", f"{response.status} {said}")
    try:
        holds = VerifierBuilder(roots=list(roots), nonce=nonce).build().verify_message(response, note.encode())  # 2, 3
        moment = response.tst_info.gen_time
    except Exception as error:  # what a changed certificate makes the libraries raise is not one family of errors
        raise Corrupt("stamp-wrong", "A time stamp does not hold.", str(error)[:300]) from error
    if not holds:
        raise Corrupt("stamp-wrong", "A time stamp does not hold.")
    return to_us(moment if moment.tzinfo is not None else _in_utc(moment))


def _decode(stamp: bytes) -> TimeStampResponse:
    if len(stamp) > MAX_STAMP_BYTES:
        raise Corrupt("stamp-wrong", "This is not a time stamp.", f"{len(stamp)} bytes")
    try:
        return decode_timestamp_response(_with_sorted_certificates(stamp))
    except Exception as error:  # as above
        raise Corrupt("stamp-wrong", "This is not a time stamp.", str(error)[:300]) from error


class _Element(msgspec.Struct, frozen=True):
    """One element of DER: its tag, where it begins, where its content does, and where it ends."""

    tag: int
    start: int
    content: int
    end: int


def _elements(data: bytes, start: int, end: int) -> list[_Element]:
    """The elements between two places. Raises `ValueError` for what is no DER with tags and lengths of usual size."""
    found = []
    while start < end:
        header = data[start : start + 2]
        if len(header) < 2 or header[1] == 0x80 or header[1] > 0x84:
            raise ValueError("it is no DER")
        size = header[1] - 0x80 if header[1] > 0x80 else 0  # bytes of a long length
        content = start + 2 + size
        length = int.from_bytes(data[start + 2 : content], "big") if size else header[1]
        if content + length > end:
            raise ValueError("it is cut off")
        found.append(_Element(header[0], start, content, content + length))
        start = content + length
    return found


def _with_sorted_certificates(stamp: bytes) -> bytes:
    """The same stamp with its certificates in the order of DER (X.690 §11.6).

    OpenSSL, and so most authorities, leave them in any order, which no signature covers, and the library that reads
    stamps takes that as malformed. What has no certificates at the usual place comes back as it is.
    """
    inside = _Element(0, 0, 0, len(stamp))
    # TimeStampResp, its token (a ContentInfo), [0] content, SignedData (RFC 3161 §2.4.2, RFC 5652 §3, §5.1).
    for place in (0, 1, 1, 0):
        elements = _elements(stamp, inside.content, inside.end)
        if len(elements) <= place:
            return stamp
        inside = elements[place]
    for one in _elements(stamp, inside.content, inside.end):
        if one.tag == _CERTIFICATES:
            each = [stamp[part.start : part.end] for part in _elements(stamp, one.content, one.end)]
            return stamp[: one.content] + b"".join(sorted(each)) + stamp[one.end :]
    return stamp


def _in_utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC)
