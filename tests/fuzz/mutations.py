"""Bytes near good examples: some edits of one of them, or none of them at all."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

# What parsers stumble over: ends of lines, brackets, escapes, ends of number ranges, text that is not what it seems.
WORDS = (
    *(b"\0", b"\n", b"\r\n", b"\n\n", b" ", b"\t", b",", b";", b":", b"/", b"..", b"/../", b"%2e", b"%00", b"\\", b"'"),
    *(b'"', b"{", b"}", b"[", b"]", b"{}", b"[]", b"=", b"+", b"-", b"_", b".", b"*", b"&a", b"*a", b"!!", b"#", b"|"),
    *(b"0", b"1", b"-1", b"255", b"256", b"65536", b"4294967296", b"9223372036854775807", b"9223372036854775808"),
    *(b"1e999", b"NaN", b"null", b"true", b"\xff", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80", b"\xc0\x80"),
    *("é".encode(), "e\u0301".encode(), "\u202e".encode(), "\u2014 ".encode(), "\ufeff".encode(), b"\xed\xa0\x80"),
)


@st.composite
def near(draw: st.DrawFn, seeds: Sequence[bytes], words: Sequence[bytes], longest: int) -> bytes:
    """A good example or a word after up to six edits, or a few bytes of any kind."""
    begin_with = draw(st.integers(0, 9))
    if begin_with == 0:
        return draw(st.binary(max_size=min(longest, 200)))
    data = draw(st.sampled_from(seeds if begin_with > 2 or not words else words))
    for _ in range(draw(st.integers(0, 6))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.sampled_from((0, 1, 1, 2, 4, 16, 64))))
        match draw(st.integers(0, 6)):
            case 0:  # left out
                put = b""
            case 1:  # said twice
                put = data[start:end] * 2
            case 2:  # one bit
                put = (
                    bytes([data[start] ^ 1 << draw(st.integers(0, 7))]) + data[start + 1 : end] if end > start else b""
                )
            case 3:
                put = draw(st.binary(min_size=1, max_size=4))
            case 4:
                put = draw(st.sampled_from((*WORDS, *words)))
            case 5:  # a part of another example
                other = draw(st.sampled_from(seeds))
                begin = draw(st.integers(0, len(other)))
                put = other[begin : begin + draw(st.integers(0, 64))]
            case _:  # cut off
                put, end = b"", len(data)
        data = (data[:start] + put + data[end:])[:longest]
    return data


def large(seeds: Sequence[bytes], words: Sequence[bytes], size: int) -> list[bytes]:
    """Inputs of about `size` bytes for what grows faster than its input: examples and words, over and over."""
    found = []
    for seed in seeds:
        if seed:
            found.append((seed * (size // len(seed) + 1))[:size])
            middle = len(seed) // 2
            found.extend(
                seed[:middle] + (word * (size // len(word) + 1))[:size] + seed[middle:]
                for word in (seed[middle : middle + 1], *words[:8])
                if word
            )
    found.extend((word * (size // len(word) + 1))[:size] for word in (*WORDS, *words) if word)
    return found
