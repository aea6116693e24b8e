"""Forms with a file: whole or refused, and nothing of them is a path."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keten.pages.uploads import fields

TYPE = "multipart/form-data; boundary=----b"


def form(*parts: tuple[str, bytes], end: bytes = b"------b--\r\n") -> bytes:
    made = b"".join(
        b'------b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (name.encode(), value)
        if "=" not in name
        else b"------b\r\nContent-Disposition: form-data; %s\r\nContent-Type: text/x-yaml\r\n\r\n%s\r\n"
        % (name.encode(), value)
        for name, value in parts
    )
    return made + end


def test_fields_and_files_in_their_order() -> None:
    body = form(("token", b"t"), ('name="file"; filename="../../etc/x.yaml"', "é\r\nb: 1\n".encode()), ("text", b""))
    assert fields(TYPE, body, 10) == [("token", "t"), ("file", "é\r\nb: 1\n"), ("text", "")]


def test_what_is_no_utf8_comes_back_as_it_was_in_a_file_alone() -> None:
    raw = b"name: caf\xe9\n\x00\xff"
    ((_name, text),) = fields(TYPE, form(('name="file"; filename="x"', raw)), 10)
    assert text.encode("utf-8", "surrogateescape") == raw
    with pytest.raises(ValueError, match="utf-8"):
        fields(TYPE, form(("text", raw)), 10)


@pytest.mark.parametrize(
    ("said", "body"),
    [
        ("multipart/form-data", form(("a", b"1"))),
        (TYPE, b""),
        (TYPE, form(("a", b"1"), end=b"")),
        (TYPE, form(("a", b"1"))[:-20]),
        (TYPE, b"------b\r\nContent-Disposition: attachment; name=a\r\n\r\n1\r\n------b--\r\n"),
        (TYPE, b"------b\r\n\r\n1\r\n------b--\r\n"),
        (TYPE, form(*[("a", b"1")] * 11)),
        (TYPE, b"------b\r\n" + b"X: y\r\n" * 100 + b"\r\n1\r\n------b--\r\n"),
        (TYPE, b"------b\r\nX: " + b"y" * 100_000 + b"\r\n\r\n1\r\n------b--\r\n"),
        (TYPE, b"a=b&c=d"),
    ],
)
def test_what_is_no_whole_form_is_refused(said: str, body: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        fields(said, body, 10)


@given(st.binary(max_size=300))
def test_whatever_comes_is_refused_or_read(body: bytes) -> None:
    for one in (body, form(("a", body)), form(('name="f"; filename="g"', body))):
        try:
            fields(TYPE, one, 10)
        except ValueError:
            continue


@given(st.binary(max_size=300).filter(lambda body: b"------b" not in body))
def test_any_file_comes_back_as_it_was(body: bytes) -> None:
    ((name, text),) = fields(TYPE, form(('name="f"; filename="g"', body)), 10)
    assert (name, text.encode("utf-8", "surrogateescape")) == ("f", body)
