"""`htu` and the address asked for are the same resource, or not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keten.identity.htu import normal_url, same_resource

HOST = "https://delen.gemeente.example"


@pytest.mark.parametrize(
    ("htu", "url"),
    [
        (f"{HOST}/v1/shares", f"{HOST}/v1/shares"),
        (f"{HOST}/v1/shares", f"{HOST}/v1/shares?after=x&y"),
        (f"{HOST}/v1/shares?a=b#c", f"{HOST}/v1/shares"),
        (f"{HOST}/v1/shares", f"{HOST}/v1/shares#top"),
        ("HTTPS://Delen.Gemeente.EXAMPLE/v1", f"{HOST}/v1"),
        (f"{HOST}:443/v1", f"{HOST}/v1"),
        (f"{HOST}:/v1", f"{HOST}/v1"),
        (f"{HOST}:0443/v1", f"{HOST}/v1"),
        ("http://h:80/v1", "http://h/v1"),
        (HOST, f"{HOST}/"),
        (f"{HOST}?x", f"{HOST}/"),
        (f"{HOST}/v1/%61b%7e", f"{HOST}/v1/ab~"),
        (f"{HOST}/v1/%c3%a9", f"{HOST}/v1/%C3%A9"),
        (f"{HOST}/a/./b/../c", f"{HOST}/a/c"),
        (f"{HOST}/a/%2e%2e/c", f"{HOST}/c"),
        (f"{HOST}/a/..", f"{HOST}/"),
        (f"{HOST}/../../a", f"{HOST}/a"),
        ("https://[2001:DB8::1]:8443/a", "https://[2001:db8::1]:8443/a"),
        ("https://127.0.0.1:40123/token", "https://127.0.0.1:40123/token"),
    ],
)
def test_the_same(htu: str, url: str) -> None:
    assert same_resource(htu, url)
    assert same_resource(url, htu)


@pytest.mark.parametrize(
    "htu",
    [
        "",
        "/v1/shares",
        "v1/shares",
        "//delen.gemeente.example/v1/shares",
        "http://delen.gemeente.example/v1/shares",
        f"{HOST}/v1/Shares",
        f"{HOST}/v1/shares/",
        f"{HOST}/v1//shares",
        f"{HOST}:8443/v1/shares",
        f"{HOST}:443x/v1/shares",
        f"{HOST}:99999/v1/shares",
        f"{HOST}.evil.example/v1/shares",
        f"{HOST}@evil.example/v1/shares",
        "https://user@delen.gemeente.example/v1/shares",
        "https://user:pw@delen.gemeente.example/v1/shares",
        "https://evil.example/v1/shares",
        "https:///v1/shares",
        "https://:443/v1/shares",
        f"{HOST}/v1/%73hare%zz",
        f"{HOST}/v1/shares%00",
        f"{HOST}/v1%2fshares",
        f"{HOST}/v1/share\\s",
        f"{HOST}/v1/shares ",
        f" {HOST}/v1/shares",
        f"{HOST}/v1/shares\n",
        f"{HOST}/v1/shäres",
        f"{HOST}/v1/shares;a",
        f"{HOST}/" + "a/" * 2000,
        "ftp://delen.gemeente.example/v1/shares",
        "https://delen.gemeente.example\\v1/shares",
    ],
)
def test_not_the_same(htu: str) -> None:
    assert not same_resource(htu, f"{HOST}/v1/shares")


@pytest.mark.parametrize("nonsense", ["", "x", "https://", "https://h/\\", "https://h /a"])
def test_nonsense_is_not_even_equal_to_itself(nonsense: str) -> None:
    assert not same_resource(nonsense, nonsense)


@given(st.text(alphabet="hH/.%2eE:?#@[]aZ-\\ 0é", max_size=30))
def test_a_normal_form_is_its_own_normal_form(rest: str) -> None:
    normal = normal_url("https://" + rest)
    assert normal is None or normal_url(normal) == normal


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_text_is_same_or_not(htu: str, url: str) -> None:
    assert same_resource(htu, url) is same_resource(url, htu)
