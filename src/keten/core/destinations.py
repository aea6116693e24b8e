"""Where events are sent to: `[[export.destinations]]` of keten.toml."""

from __future__ import annotations

import ipaddress
import re
from pathlib import PurePosixPath
from typing import Literal
from urllib.parse import SplitResult, urlsplit

import msgspec

from keten.core.errors import Invalid

Sort = Literal["findings", "changes", "sign-ins", "access", "system"]
Version = Literal["1.8.0", "1.7.0"]
LARGEST_FILE = 1 << 40
MOST_FILES = 10_000
LONGEST_SETTLE = 86_400

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}\Z")
_SCHEMES = {
    "syslog": ("tls",),
    "splunk": ("https", "http"),
    "otlp": ("https", "http"),
    "webhook": ("https", "http"),
    "mail": ("smtps", "smtp"),
}
_OWN = frozenset(
    ("keeper", "db", "store", "ledger", "gateway", "run", "worker", "keten.toml", "ca.pem")  # see settings.Paths
)
_SECRET = ("splunk", "webhook")


class Destination(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One receiver of events. Files are named from the instance's folder.

    name: lower-case letters, digits and hyphens. url: `tls://HOST:PORT` (syslog), an https address (splunk, otlp,
    webhook; http on this machine only), `smtps://HOST` or `smtp://HOST` with STARTTLS (mail), or the file itself. ca:
    PEM that certificates are checked against, "" for the machine's authorities. token_file: a file with the token
    (splunk), the secret (webhook) or the password (mail); nobody else may read it. classes: which events, all when
    left out. names: what the organisation calls its suppliers, datasets and clients goes with their ids.
    operators: so do user names of operators. version: of OCSF. form: how an event is written (syslog and file).
    since: "start" of the ledger or "now", when this destination is new; mail begins "now" always. settle_seconds: for
    how long a receiver without acknowledgement (syslog) may hold what it was sent in memory. ack: the receiver (splunk)
    acknowledges. backlog: with more events waiting than this, other classes than findings are left out, and the gap is
    announced; 0: never. rotate_bytes, keep: a file is renamed at this size, and so many are kept (0: all). user,
    sender, to, language: of mail.
    """

    name: str
    kind: Literal["syslog", "splunk", "otlp", "file", "webhook", "mail"]
    url: str
    ca: str = ""
    token_file: str = ""
    classes: tuple[Sort, ...] = ()
    names: bool = True
    operators: bool = False
    version: Version = "1.8.0"
    form: Literal["ocsf", "cef"] = "ocsf"
    since: Literal["start", "now"] = "start"
    settle_seconds: int = 30
    ack: bool = True
    backlog: int = 0
    rotate_bytes: int = 100 * 1024 * 1024
    keep: int = 0
    user: str = ""
    sender: str = ""
    to: tuple[str, ...] = ()
    language: Literal["en", "nl"] = "en"


def check_destinations(found: tuple[Destination, ...], where: str) -> None:
    """Raises `Invalid` ("settings") for what cannot be meant; `where` begins the sentence."""
    seen: set[str] = set()
    for one in found:
        at = f"{where}: [[export.destinations]] {one.name!r}"
        if not _NAME.match(one.name):
            raise Invalid("settings", f"{at}: a name is lower-case letters, digits and hyphens.")
        if one.name in seen:
            raise Invalid("settings", f"{at} is there twice.")
        seen.add(one.name)
        wrong = _address(one) or _rest(one)
        if wrong:
            raise Invalid("settings", f"{at}: {wrong}.")


def _address(one: Destination) -> str:
    """What is wrong with where it leads; "" for nothing."""
    if one.kind == "file":
        return _file(one.url)
    parts = _split(one.url)
    schemes = _SCHEMES[one.kind]
    wanted = " or ".join(f"{scheme}://HOST" for scheme in schemes if scheme != "http")
    if parts is None or parts.scheme not in schemes:
        return f"url is not an address such as {wanted}"
    if parts.scheme == "http" and not _is_here(parts.hostname or ""):
        return "url: http is for receivers on this machine (127.0.0.1, ::1, localhost); elsewhere it is https"
    if one.kind == "syslog" and (parts.port is None or parts.path not in {"", "/"}):
        return "url is tls://HOST:PORT"
    return ""


def _file(url: str) -> str:
    parts = PurePosixPath(url).parts
    if not parts or "\0" in url or "://" in url or url.endswith("/") or ".." in parts:
        return "url is the path of a file"
    if parts[0] in _OWN:
        return f"url: {parts[0]} of the instance is Keten's own; name another place, such as export/events.jsonl"
    return ""


def _rest(one: Destination) -> str:
    if one.kind in _SECRET and not one.token_file:
        return "token_file is missing"
    if one.kind == "mail" and not (one.sender and one.to):
        return "sender and to are missing"
    if one.kind == "mail" and any(not is_mail(each) for each in (one.sender, *one.to)):
        return "sender and to are addresses such as soc@example.org"
    if bool(one.user) != bool(one.token_file) and one.kind == "mail":
        return "user and token_file (its password) go together"
    if one.form == "cef" and one.kind not in {"syslog", "file"}:
        return "form cef is for syslog and file"
    for key, least, most in (
        ("settle_seconds", 1, LONGEST_SETTLE),
        ("backlog", 0, 10**12),
        ("rotate_bytes", 4096, LARGEST_FILE),
        ("keep", 0, MOST_FILES),
    ):
        if not least <= getattr(one, key) <= most:
            return f"{key} is a number of {least} to {most}"
    return ""


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    plain = url.isascii() and url.isprintable() and " " not in url and not parts.fragment and not parts.query
    return parts if plain and parts.hostname and "@" not in parts.netloc and port != 0 else None


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_mail(text: str) -> bool:
    """Whether this is an address that mail can go to."""
    local, at, host = text.rpartition("@")
    return bool(at and local and host) and text.isascii() and text.isprintable() and not set(text) & set(' <>,;:"\\')


def mail_place(url: str, sender: str, user: str, token_file: str) -> str:
    """What is wrong with a server that mail goes to, of `[mail]`; "" for nothing."""
    parts = _split(url)
    if parts is None or parts.scheme not in _SCHEMES["mail"]:
        return "url is not an address such as smtps://HOST or smtp://HOST"
    if not is_mail(sender):
        return "sender is an address such as keten@example.org"
    return "user and token_file (its password) go together" if bool(user) != bool(token_file) else ""
