"""Two addresses, one a line: the same only when every reader of addresses would go to the same place."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from keten.identity.htu import normal_url, same_resource
from tests.fuzz.target import Target, text_of
from tests.fuzz.targets.sign_in import URL


def _host(url: str) -> str | None:
    """The host as the standard library finds it; None when it takes the address for none."""
    try:
        return unquote(urlsplit(url).hostname or "").lower()
    except ValueError:
        return None


def check(data: bytes) -> bool:
    left, _, right = text_of(data).partition("\n")
    normal = normal_url(left)
    if normal is not None:
        assert normal_url(normal) == normal, "what is normal stays as it is"
        assert not {"@", "?", "#"} & set(normal.partition("//")[2].partition("/")[0]), "neither user nor query"
        assert not {".", ".."} & set(normal.split("/")[3:]), "no dots are left"
    same = same_resource(left, right)
    assert same == same_resource(right, left)
    assert same_resource(left, left) == (normal is not None)
    if same:
        assert normal is not None
        assert normal == normal_url(right)
        assert _host(left) == _host(right)
    return same


TARGET = Target(
    "htu",
    check,
    lambda: [
        f"{URL}\n{URL}".encode(),
        b"HTTPS://A.example:443/%7ea/./b/../c\nhttps://a.example/~a/c",
        b"http://[2001:db8::1]:8080?x\nhttp://[2001:DB8::1]:8080/#y",
    ],
    words=(b"https://", b"%2f", b"%2E", b":443", b":80", b"@", b"//", b"/..", b"#", b"?", b"[::1]", b"%5B"),
)
