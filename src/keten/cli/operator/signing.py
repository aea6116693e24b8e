"""What a command says that asked for something which takes two people."""

from __future__ import annotations

from keten.core.settings import Settings


def waits(settings: Settings, request: str, people: int, otherwise: str) -> list[str]:
    """Lines for a person. people: how many have to sign at the console; 0: `otherwise` is said."""
    if not people:
        return [f"{otherwise} until another operator says: keten subject approve {request}"]
    who = "two people have signed it, each with a passkey," if people > 1 else "another person has signed it"
    console = settings.console.public_url.rstrip("/")
    where = f"at {console}/en/proposals/{request}" if console else f"at the console: /en/proposals/{request}"
    return [f"{otherwise} until {who} {where}"]
