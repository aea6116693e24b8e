"""A passkey in a real browser: Chromium's own virtual authenticator, over the DevTools protocol (domain WebAuthn)."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import CDPSession, Page

OPTIONS = {
    "protocol": "ctap2",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


class Authenticators:
    """The authenticators of one page. A device has one of its own ("internal"); a key is plugged in ("usb")."""

    def __init__(self, page: Page) -> None:
        self._session: CDPSession = page.context.new_cdp_session(page)
        self._session.send("WebAuthn.enable")

    def add(self, transport: str = "internal", **options: bool) -> str:
        """One more authenticator; its name."""
        asked = {"options": OPTIONS | {"transport": transport} | options}
        return str(self._session.send("WebAuthn.addVirtualAuthenticator", asked)["authenticatorId"])

    def remove(self, name: str) -> None:
        """It is unplugged, or lost."""
        self._session.send("WebAuthn.removeVirtualAuthenticator", {"authenticatorId": name})

    def credentials(self, name: str) -> list[dict[str, Any]]:
        """The passkeys in it, with their private keys."""
        found = self._session.send("WebAuthn.getCredentials", {"authenticatorId": name})["credentials"]
        return list(found)

    def put(self, name: str, credential: dict[str, Any]) -> None:
        """Put a passkey into it, as one that is synchronised, or copied."""
        self._session.send("WebAuthn.addCredential", {"authenticatorId": name, "credential": credential})

    def verifies(self, name: str, *, verified: bool) -> None:
        """Whether whoever touches it is recognised: the right finger, face or PIN."""
        self._session.send("WebAuthn.setUserVerified", {"authenticatorId": name, "isUserVerified": verified})


def enrol(page: Page, link: str, button: str = "Make my passkey") -> None:
    """Open a one-time link and make the passkey. The page has an authenticator."""
    page.goto(link)
    page.get_by_role("button", name=button).click()
    page.wait_for_url("**/en")
