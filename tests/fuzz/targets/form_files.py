"""Forms with a file in them: fields and files as they were sent, or a refusal; nothing is named a path."""

from __future__ import annotations

from keten.pages.uploads import ESCAPED, fields
from tests.fuzz.target import Target

TYPE = "multipart/form-data; boundary=----b"
MOST = 20
FORM = (
    b'------b\r\nContent-Disposition: form-data; name="token"\r\n\r\nabc\r\n'
    b'------b\r\nContent-Disposition: form-data; name="file"; filename="estate.yaml"\r\nContent-Type: text/yaml\r\n\r\n'
    b"a: 1\r\nb: \xe9\r\n\r\n------b--\r\n"
)


def check(data: bytes) -> bool:
    try:
        found = fields(TYPE, data, MOST)
    except ValueError:
        return False
    assert len(found) <= MOST
    for name, text in found:
        assert name.isprintable() or name, "each has a name"
        assert text.encode("utf-8", ESCAPED) in data, "each is what was sent"
    return True


TARGET = Target(
    "form-files",
    check,
    lambda: [FORM, b"------b--\r\n"],
    words=(
        *(b"------b\r\n", b"------b--", b"Content-Disposition: form-data; ", b'name="'),
        *(b"filename*=utf-8''", b"\r\n\r\n"),
    ),
)
