"""HOST:PORT of settings and the command line: a host and a port that can be written back, or one error."""

from __future__ import annotations

from keten.core.errors import Invalid
from keten.core.listening import join_host, split_bind
from tests.fuzz.target import Target, refused, text_of


def check(data: bytes) -> bool:
    text = text_of(data)
    try:
        host, port = split_bind(text)
    except Invalid as error:
        return refused(error, "bind")
    assert 0 <= port <= 65_535
    assert split_bind(join_host(host, port)) == (host, port)
    return True


TARGET = Target(
    "bind",
    check,
    lambda: [b"127.0.0.1:8443", b"[::1]:0", b":22", b"localhost:65535"],
    words=(b":", b"[", b"]", b"65536", "²".encode(), "\u0663".encode(), b"-1", b"+1", b"1_0", b"%eth0"),
    longest=300,
)
