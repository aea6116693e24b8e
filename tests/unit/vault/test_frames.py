"""Frames: whatever is done to a blob, content comes out as it went in or not at all."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from keten.core.errors import Corrupt, Invalid, Unavailable
from keten.core.ids import decode_id, encode_id, new_id
from keten.vault import frames
from keten.vault.frames import FrameReader, encrypt, fixed_header, frame_count, new_header, stored_size
from tests.unit.vault.house import Framing

EXPONENT = 6
FRAME = 1 << EXPONENT
KEY = bytes(range(32))
OBJECT = encode_id(bytes(range(16)))
OTHER = encode_id(bytes(range(1, 17)))


class MemoryBlob:
    """A blob in memory; `failing`: reads from this offset on raise what a broken disk raises."""

    def __init__(self, content: bytes, *, failing: int | None = None, short: int = 0) -> None:
        self._content = content
        self._failing = failing
        self._short = short
        self.size = len(content)

    def read_at(self, offset: int, length: int) -> bytes:
        if self._failing is not None and offset >= self._failing:
            raise OSError(5, "Input/output error")
        return self._content[offset : max(offset, offset + length - self._short)]

    def close(self) -> None:
        """Nothing to give back."""


def sealed(content: bytes, object_id: str = OBJECT, key: bytes = KEY, chunk: int = 0) -> bytes:
    chunks = [content[at : at + chunk] for at in range(0, len(content), chunk)] if chunk else [content]
    return b"".join(encrypt(chunks, key, new_header(object_id, EXPONENT)))


def framing(size: int, object_id: str = OBJECT) -> Framing:
    return Framing(size, FRAME, fixed_header(object_id, EXPONENT))


def reader(blob: bytes, size: int, object_id: str = OBJECT, key: bytes = KEY) -> FrameReader:
    return FrameReader(MemoryBlob(blob), key, framing(size, object_id))


def content_of(size: int) -> bytes:
    return bytes(at * 7 % 251 for at in range(size))


SIZES = [0, 1, FRAME - 1, FRAME, FRAME + 1, 2 * FRAME, 3 * FRAME + 5]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("chunk", [0, 1, 7, FRAME - 1, FRAME, FRAME + 1, 3 * FRAME])
def test_what_went_in_comes_out_whatever_the_chunks(size: int, chunk: int) -> None:
    content = content_of(size)
    blob = sealed(content, chunk=chunk)
    assert len(blob) == stored_size(size, FRAME)
    assert b"".join(reader(blob, size).read()) == content


def test_parts_are_the_header_and_whole_frames() -> None:
    parts = list(encrypt([content_of(2 * FRAME + 5)], KEY, new_header(OBJECT, EXPONENT)))
    assert [len(part) for part in parts] == [frames.HEADER_BYTES, FRAME + 16, FRAME + 16, 5 + 16]


def test_empty_content_is_one_empty_last_frame() -> None:
    for chunks in ([], [b""], [b"", b""]):
        blob = b"".join(encrypt(chunks, KEY, new_header(OBJECT, EXPONENT)))
        assert len(blob) == frames.HEADER_BYTES + 16
        assert reader(blob, 0).frame(0) == b""


def test_the_format_is_what_its_document_says() -> None:
    """Decrypted by hand, from docs/formats/vault.md: what is at rest today must open in ten years."""
    content = content_of(FRAME + 9)
    blob = sealed(content)
    magic, version, exponent, object_id, prefix = struct.unpack_from(">4sBB16s7s", blob)
    assert (magic, version, exponent, object_id) == (b"KTN1", 1, EXPONENT, decode_id(OBJECT))
    header, first, second = blob[:29], blob[29 : 29 + FRAME + 16], blob[29 + FRAME + 16 :]
    opened = AESGCM(KEY).decrypt(prefix + b"\x00\x00\x00\x00" + b"\x00", first, header)
    opened += AESGCM(KEY).decrypt(prefix + b"\x00\x00\x00\x01" + b"\x01", second, header)
    assert opened == content
    with pytest.raises(InvalidTag):
        AESGCM(KEY).decrypt(prefix + b"\x00\x00\x00\x01" + b"\x00", second, header)


def test_a_stored_blob_of_version_1_still_opens() -> None:
    blob = bytes.fromhex(
        "4b544e310106000102030405060708090a0b0c0d0e0f616263646566679bd45434529b00bf7afb9504337a1e5f31122d4b2c"
    )
    assert blob[:22] == fixed_header(OBJECT, EXPONENT)
    assert reader(blob, 5).frame(0) == b"keten"


def test_every_blob_has_a_nonce_prefix_of_its_own() -> None:
    prefixes = {new_header(OBJECT)[frames.FIXED_BYTES :] for _ in range(200)}
    assert len(prefixes) == 200


# ---- damage --------------------------------------------------------------------------------------------------------


def damaged(blob: bytes, size: int, object_id: str = OBJECT, key: bytes = KEY) -> Corrupt:
    """The error that reading the whole of a damaged blob must end in; what comes before the damage is sound."""
    sound = content_of(size)
    got: list[bytes] = []
    with pytest.raises(Corrupt) as caught:
        got.extend(map(bytes, reader(blob, size, object_id, key).read()))
    assert sound.startswith(b"".join(got))
    assert caught.value.code == "content-damaged"
    assert object_id in caught.value.reason
    return caught.value


SIZE = 3 * FRAME + 20
FRAME_STARTS = [frames.HEADER_BYTES + number * (FRAME + 16) for number in range(4)]


def test_any_bit_of_any_byte_of_a_blob_changed_is_noticed() -> None:
    blob = sealed(content_of(SIZE))
    for at in range(len(blob)):
        changed = bytearray(blob)
        changed[at] ^= 1 << (at % 8)
        error = damaged(bytes(changed), SIZE)
        if at >= frames.HEADER_BYTES:
            assert error.reason.endswith(f"frame {(at - frames.HEADER_BYTES) // (FRAME + 16)} does not open")


def test_a_damaged_frame_takes_no_other_with_it() -> None:
    blob = bytearray(sealed(content_of(SIZE)))
    blob[FRAME_STARTS[1]] ^= 0xFF
    opened = reader(bytes(blob), SIZE)
    assert (
        opened.frame(0) + opened.frame(2) + opened.frame(3) == content_of(SIZE)[:FRAME] + content_of(SIZE)[2 * FRAME :]
    )
    with pytest.raises(Corrupt, match="frame 1 does not open"):
        opened.frame(1)


def test_a_blob_cut_off_anywhere_is_noticed() -> None:
    blob = sealed(content_of(SIZE))
    for length in range(len(blob)):
        damaged(blob[:length], SIZE)


def test_a_blob_cut_off_at_a_frame_is_noticed_also_by_who_is_told_the_smaller_size() -> None:
    blob = sealed(content_of(3 * FRAME))
    with pytest.raises(Corrupt, match="frame 1 does not open"):  # it was not the last
        reader(blob[: FRAME_STARTS[2]], 2 * FRAME).frame(1)


@pytest.mark.parametrize("extra", [b"\0", bytes(16), bytes(FRAME + 16)])
def test_an_extended_blob_is_noticed(extra: bytes) -> None:
    damaged(sealed(content_of(SIZE)) + extra, SIZE)


def pieces(blob: bytes) -> tuple[bytes, list[bytes]]:
    body = blob[frames.HEADER_BYTES :]
    return blob[: frames.HEADER_BYTES], [body[at : at + FRAME + 16] for at in range(0, len(body), FRAME + 16)]


@pytest.mark.parametrize(
    "rearranged",
    [
        lambda parts: [parts[1], parts[0], *parts[2:]],
        lambda parts: [parts[0], parts[0], *parts[2:]],
        lambda parts: [parts[1], parts[2], parts[0], parts[3]],
        lambda parts: [parts[3], *parts[1:3], parts[0]],
    ],
    ids=["swapped", "repeated", "rotated", "last-first"],
)
def test_frames_out_of_place_are_noticed(rearranged: Callable[[list[bytes]], list[bytes]]) -> None:
    size = 4 * FRAME
    header, parts = pieces(sealed(content_of(size)))
    damaged(header + b"".join(rearranged(parts)), size)


def test_a_frame_left_out_or_put_in_is_noticed() -> None:
    size = 4 * FRAME
    header, parts = pieces(sealed(content_of(size)))
    damaged(header + b"".join(parts[:1] + parts[2:]), size)
    damaged(header + b"".join(parts[:1] + parts), size)
    with pytest.raises(Corrupt):
        list(reader(header + b"".join(parts[:1] + parts[2:]), 3 * FRAME).read())


def test_a_frame_of_another_object_is_noticed_under_the_same_key() -> None:
    size = 4 * FRAME
    header, parts = pieces(sealed(content_of(size)))
    _header, others = pieces(sealed(content_of(size), OTHER))
    damaged(header + b"".join([parts[0], others[1], *parts[2:]]), size)


def test_a_frame_of_another_writing_of_the_same_object_is_noticed() -> None:
    size = 4 * FRAME
    header, parts = pieces(sealed(content_of(size)))
    _header, others = pieces(sealed(content_of(size)))
    damaged(header + b"".join([parts[0], others[1], *parts[2:]]), size)


def test_the_blob_of_another_object_is_noticed() -> None:
    damaged(sealed(content_of(SIZE), OTHER), SIZE)
    damaged(sealed(content_of(SIZE)), SIZE, key=b"\xff" * 32)


def test_a_header_of_another_version_or_frame_size_is_noticed() -> None:
    for at, value in ((4, 2), (5, EXPONENT + 1), (0, 0)):
        blob = bytearray(sealed(content_of(SIZE)))
        blob[at] = value
        damaged(bytes(blob), SIZE)


@given(st.binary(max_size=400), st.integers(0, 300))
def test_no_bytes_at_all_open(blob: bytes, size: int) -> None:
    with pytest.raises(Corrupt):
        list(reader(blob, size).read())


@pytest.mark.parametrize(
    "layout",
    [
        Framing(-1, FRAME, fixed_header(OBJECT, EXPONENT)),
        Framing(5, 0, fixed_header(OBJECT, EXPONENT)),
        Framing(5, -FRAME, fixed_header(OBJECT, EXPONENT)),
        Framing(5, 2 * FRAME, fixed_header(OBJECT, EXPONENT)),
        Framing(5, FRAME, b""),
        Framing(5, FRAME, fixed_header(OBJECT, EXPONENT)[:-1]),
        Framing(5, FRAME, fixed_header(OBJECT, EXPONENT) + bytes(8)),
        Framing(5, 1 << 40, fixed_header(OBJECT, 40)),
        Framing(5, 1, fixed_header(OBJECT, 0)),
        Framing(2**32 * FRAME + 1, FRAME, fixed_header(OBJECT, EXPONENT)),
    ],
)
def test_a_layout_that_makes_no_sense_is_refused(layout: Framing) -> None:
    with pytest.raises(Corrupt) as caught:
        FrameReader(MemoryBlob(sealed(b"keten")), KEY, layout)
    assert caught.value.code == "content-damaged"


@pytest.mark.parametrize("key", [b"", b"short", bytes(16), bytes(33)])
def test_a_key_of_another_length_is_refused(key: bytes) -> None:
    with pytest.raises(Corrupt) as caught:
        reader(sealed(b"keten"), 5, key=key)
    assert caught.value.code == "key-damaged"


@pytest.mark.parametrize("failing", [0, frames.HEADER_BYTES, FRAME_STARTS[2]])
def test_a_disk_that_fails_is_said_to_fail(failing: int) -> None:
    blob = MemoryBlob(sealed(content_of(SIZE)), failing=failing)
    with pytest.raises(Unavailable) as caught:
        list(FrameReader(blob, KEY, framing(SIZE)).read())
    assert caught.value.code == "content-unreadable"


def test_a_disk_that_gives_less_than_it_has_is_noticed() -> None:
    blob = MemoryBlob(sealed(content_of(SIZE)), short=1)
    with pytest.raises(Corrupt, match="cut off"):
        list(FrameReader(blob, KEY, framing(SIZE)).read())


# ---- reading into a buffer, ranges, threads --------------------------------------------------------------------------


def test_a_buffer_is_used_again_and_wiped_when_a_frame_is_damaged() -> None:
    blob = bytearray(sealed(content_of(SIZE)))
    blob[FRAME_STARTS[2] + 10] ^= 1
    opened = reader(bytes(blob), SIZE)
    buffer = bytearray(FRAME)
    assert opened.frame_into(0, buffer) == FRAME
    assert buffer == content_of(SIZE)[:FRAME]
    with pytest.raises(Corrupt):
        opened.frame_into(2, buffer)
    assert buffer == bytes(FRAME)
    assert opened.frame_into(3, memoryview(buffer)) == 20
    assert buffer[:20] == content_of(SIZE)[3 * FRAME :]


def test_a_buffer_that_is_too_small_takes_nothing() -> None:
    buffer = bytearray(FRAME - 1)
    with pytest.raises(ValueError, match="buffer"):
        reader(sealed(content_of(SIZE)), SIZE).frame_into(0, buffer)
    assert buffer == bytes(FRAME - 1)


def test_there_are_no_frames_past_the_last() -> None:
    opened = reader(sealed(content_of(SIZE)), SIZE)
    assert [opened.frame_length(number) for number in range(4)] == [FRAME, FRAME, FRAME, 20]
    for number in (-1, 4, 2**32):
        with pytest.raises(IndexError):
            opened.frame(number)


@given(st.integers(0, 3 * FRAME + 5), st.data())
def test_a_range_is_that_part_of_the_content(size: int, data: st.DataObject) -> None:
    content = content_of(size)
    start = data.draw(st.integers(0, size + FRAME))
    length = data.draw(st.integers(-1, size + FRAME))
    opened = reader(sealed(content), size)
    expected = content[start:] if length < 0 else content[start : start + length]
    assert b"".join(opened.read(start, length)) == expected


def test_a_range_reads_only_the_frames_it_touches() -> None:
    opened = reader(sealed(content_of(SIZE)), SIZE)
    assert list(opened.span(FRAME - 1, 2)) == [(0, FRAME - 1, FRAME), (1, 0, 1)]
    assert list(opened.span(FRAME, FRAME)) == [(1, 0, FRAME)]
    assert list(opened.span(3 * FRAME)) == [(3, 0, 20)]
    assert list(opened.span(SIZE)) == list(opened.span(0, 0)) == list(opened.span(10**15, 10**15)) == []


@pytest.mark.parametrize(("start", "length"), [(-1, 5), (0, -2), (-5, -1)])
def test_what_is_no_range_is_refused(start: int, length: int) -> None:
    with pytest.raises(Invalid) as caught:
        list(reader(sealed(b"keten"), 5).span(start, length))
    assert caught.value.code == "range"


def test_several_threads_read_one_reader() -> None:
    size = 64 * FRAME
    content = content_of(size)
    opened = reader(sealed(content), size)
    with ThreadPoolExecutor(4) as pool:
        for _ in range(20):
            assert b"".join(pool.map(opened.frame, range(64))) == content


# ---- sealing ---------------------------------------------------------------------------------------------------------


def test_a_source_that_fails_seals_nothing_as_the_end() -> None:
    """What was written before a failure must not pass for the whole content."""

    written: list[bytes] = []

    def chunks() -> Iterator[bytes]:
        yield content_of(2 * FRAME)
        raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input"):
        written.extend(encrypt(chunks(), KEY, new_header(OBJECT, EXPONENT)))
    blob = b"".join(written)
    assert len(blob) == stored_size(FRAME, FRAME)
    with pytest.raises(Corrupt):
        reader(blob, FRAME).frame(0)


def test_content_of_more_frames_than_can_be_numbered_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "MAX_FRAMES", 3)
    header = new_header(OBJECT, EXPONENT)
    assert len(list(encrypt([content_of(3 * FRAME)], KEY, header))) == 4
    with pytest.raises(Invalid) as caught:
        list(encrypt([content_of(3 * FRAME + 1)], KEY, header))
    assert caught.value.code == "content-too-large"


@pytest.mark.parametrize("header", [b"", b"KTN1", fixed_header(OBJECT), new_header(OBJECT) + b"\0", b"x" * 29])
def test_only_a_header_is_sealed_under(header: bytes) -> None:
    with pytest.raises(ValueError, match="header"):
        list(encrypt([b"keten"], KEY, header))


def test_views_and_arrays_are_content_too() -> None:
    content = content_of(FRAME + 3)
    chunks: list[bytes | bytearray | memoryview] = [
        memoryview(content)[:10],
        bytearray(content[10:FRAME]),
        content[FRAME:],
    ]
    assert (
        b"".join(reader(b"".join(encrypt(chunks, KEY, new_header(OBJECT, EXPONENT))), len(content)).read()) == content
    )


def test_sizes_agree_with_the_default_frames() -> None:
    assert [frame_count(size) for size in (0, 1, 2**20, 2**20 + 1)] == [1, 1, 1, 2]
    assert stored_size(0) == 29 + 16
    assert stored_size(2**20 + 1) == 29 + 2**20 + 1 + 32
    for bad in ("", "x", new_id()[:-1], OBJECT.upper()):
        with pytest.raises(ValueError, match="id"):
            fixed_header(bad)
