"""How the blob of an object must look: frames of 1 MiB, and small ones of a table, read one at a time."""

from __future__ import annotations

from keten.vault.frames import FRAME_EXPONENT, fixed_header, stored_size

TABLE_TYPE = "application/vnd.keten.table"
TABLE_EXPONENT = 16


def frame_exponent(media_type: str) -> int:
    """The size of its frames, as a power of two."""
    return TABLE_EXPONENT if media_type == TABLE_TYPE else FRAME_EXPONENT


def frame_size(media_type: str) -> int:
    """Content bytes of every frame but the last."""
    return 1 << frame_exponent(media_type)


def blob_size(size: int, media_type: str) -> int:
    """Bytes of the blob that holds so many bytes of content."""
    return stored_size(size, frame_size(media_type))


def header_of(object_id: str, media_type: str) -> bytes:
    """What an object's blob must begin with. `ValueError`: not an id."""
    return fixed_header(object_id, frame_exponent(media_type))
