"""Somebody at a face over real HTTP: keeps cookies as a browser does, and has a passkey in software."""

from __future__ import annotations

import html
import http.client
import re
from contextlib import closing
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec

from keten.drills.passkey import Authenticator

TOKEN = re.compile(r'name="token" value="([A-Za-z0-9_-]{43})"')
CEREMONY = re.compile(r'name="ceremony" value="([^"]*)"')
OPTIONS = re.compile(r'data-options="([^"]*)"')


class Answer(msgspec.Struct, frozen=True):
    """One answer. place: where it leads, "" when nowhere."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def place(self) -> str:
        """Where it leads."""
        return self.headers.get("location", "")

    @property
    def token(self) -> str:
        """What the forms of this page carry."""
        (found,) = set(TOKEN.findall(self.text))
        return str(found)

    @property
    def ceremony(self) -> tuple[str, str]:
        """The ceremony that this page begins: its name, and the browser's options."""
        (name,), (options,) = CEREMONY.findall(self.text), OPTIONS.findall(self.text)
        return name, html.unescape(options)


class Visitor:
    """One browser with one passkey. site: the face's address, as its ready line says."""

    def __init__(self, site: str, key: Authenticator | None = None, agent: str = "visitor") -> None:
        self._parts = urlsplit(site)
        self.origin = f"{self._parts.scheme}://{self._parts.netloc}"
        self.key = key or Authenticator(self.origin)
        self.cookies: dict[str, str] = {}
        self._agent = agent

    def get(self, path: str, **headers: str) -> Answer:
        """A page, as it is: where it leads is not followed."""
        return self._ask("GET", path, None, headers)

    def send(self, path: str, **fields: str) -> Answer:
        """A form, from a page of the site."""
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": self.origin}
        return self._ask("POST", path, urlencode(fields).encode(), headers)

    def upload(self, path: str, content: bytes, **fields: str) -> Answer:
        """A form with a file in it (RFC 7578), as browsers send it."""
        boundary = "----visitor"
        parts = [f'name="{name}"\r\n\r\n{value}\r\n'.encode() for name, value in fields.items()]
        parts.append(b'name="file"; filename="estate.yaml"\r\nContent-Type: text/yaml\r\n\r\n%s\r\n' % content)
        head = f"--{boundary}\r\nContent-Disposition: form-data; ".encode()
        body = b"".join(head + part for part in parts) + f"--{boundary}--\r\n".encode()
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}", "Origin": self.origin}
        return self._ask("POST", path, body, headers)

    def _ask(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        port = self._parts.port
        with closing(http.client.HTTPConnection(self._parts.hostname or "", port, timeout=60)) as connection:
            kept = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
            sent = {"User-Agent": self._agent} | ({"Cookie": kept} if kept else {})
            said = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, sent | said)
            answer = connection.getresponse()
            text = answer.read().decode()
            for value in answer.headers.get_all("set-cookie", []):
                for one in SimpleCookie(value).values():
                    self.cookies[one.key] = one.value
                    if one["max-age"] == "0":
                        del self.cookies[one.key]
            return Answer(answer.status, {name.lower(): one for name, one in answer.getheaders()}, text)

    # ---- what a person does ------------------------------------------------------------------------------------

    def open_link(self, link: str) -> Answer:
        """Open a one-time link; the page on which the passkey is made."""
        page = self.get("/en/enrol")
        return self.send("/en/enrol", token=page.token, secret=urlsplit(link).fragment)

    def enrol(self, link: str) -> Answer:
        """Open a one-time link and make the passkey: signed in, when it went well."""
        page = self.open_link(link)
        name, options = page.ceremony
        return self.send("/en/enrol/key", token=page.token, ceremony=name, response=self.key.create(options))

    def sign_in(self, then: str = "", page: Answer | None = None, **lies: Any) -> Answer:
        """Sign in. lies: what the passkey says that is not so."""
        page = page or self.get("/en/sign-in")
        name, options = page.ceremony
        response = self.key.get(options, **lies)
        return self.send("/en/sign-in", token=page.token, ceremony=name, response=response, next=then)
