"""Settings of getting back in without a passkey: the server for letters, and how long the steps take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from keten.core.destinations import mail_place
from keten.core.errors import Invalid

CLASSES = ("public", "internal", "confidential", "secret")


class Mail(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The server over which people are written to about their own accounts; url "": none.

    url: `smtps://HOST`, or `smtp://HOST` with STARTTLS. sender: an address. ca: PEM that the server's certificate is
    checked against, "" for the machine's authorities. user, token_file: its password is in that file. Files are named
    from the instance's folder. language: of the letters.
    """

    url: str = ""
    sender: str = ""
    ca: str = ""
    user: str = ""
    token_file: str = ""
    language: Literal["en", "nl"] = "en"


class Recovery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long the steps of a recovery take; durations such as "30d". Shorter than these is weaker: `doctor` says so.

    seasoned: so long before a case its channels, and its approvers' roles and keys, must have been there. cool_down:
    by the highest class of what the person may reach; what is left out: 24 h for public and internal, 48 h for
    confidential, 72 h for secret. code: how long the code can be used. lapse: how long a case may
    take. reduced: how long somebody who came back may do less.
    """

    seasoned: str = "30d"
    cool_down: dict[str, str] = {}
    code: str = "24h"
    lapse: str = "14d"
    reduced: str = "72h"


def check_mail(mail: Mail, path: str) -> None:
    """Raises `Invalid` ("settings") for a server that can't be meant; `path` begins the sentence."""
    if not mail.url:
        return
    wrong = mail_place(mail.url, mail.sender, mail.user, mail.token_file)
    if wrong:
        raise Invalid("settings", f"{path}: [mail] {wrong}.")


def check_recovery(recovery: Recovery, path: str, duration: Callable[[str], int]) -> None:
    """Raises `Invalid` ("settings"). duration: reads one; raises `ValueError`."""
    unknown = set(recovery.cool_down) - set(CLASSES)
    if unknown:
        raise Invalid("settings", f"{path}: [recovery] cool_down: there is no class {min(unknown)!r}.")
    named = {key: getattr(recovery, key) for key in ("seasoned", "code", "lapse", "reduced")}
    for key, text in (named | {f"cool_down {name}": text for name, text in recovery.cool_down.items()}).items():
        try:
            duration(text)
        except ValueError as error:
            raise Invalid("settings", f"{path}: [recovery] {key}: {error}.") from error
