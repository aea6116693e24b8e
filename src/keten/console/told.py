"""The settings as they may be shown: no secret, no address of a person, and of a URL no more than where it leads.

Only what is named here is shown (deny by default); a test compares it with all there is, so that whoever adds a setting
decides how it is shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from keten.core.destinations import Destination
from keten.core.settings import Settings

PLAIN: dict[str, tuple[str, ...]] = {
    "Geo": ("database", "networks"),
    "Listener": ("bind", "public_url", "trusted_proxies", "proxy", "certificate", "certificate_key"),
    "Keeper": (
        *("gateway_users", "operator_users", "connector_users", "console_users"),
        *("passphrase_file", "reserve_bytes"),
    ),
    "Database": ("url_file", "console_url_file", "risky"),
    "Limits": (
        *("parallel_per_client", "connections", "idle_seconds", "slow_reader_seconds"),
        *("token_seconds", "sftp_session_hours"),
    ),
    "Witnesses": ("policy", "every", "limit", "ca"),
    "Timestamps": ("every", "ca"),
    "Backup": ("recipients",),
    "Erasure": ("approvers",),
    "Export": ("alarm_after",),
    "Metrics": ("bind",),
    "Watch": (
        *("enabled", "window", "ladder", "datasets", "suspend_for", "freeze_for", "slow_for", "slow_per_minute"),
        *("fine_for", "most_per_hour", "most_per_day", "most_percent", "bad_networks", "rules", "flows"),
    ),
    "Destination": (
        *("name", "kind", "ca", "token_file", "classes", "names", "operators", "version", "form", "since"),
        *("settle_seconds", "ack", "backlog", "rotate_bytes", "keep", "language"),
    ),
    "SystemPlace": ("password_file", "timeout", "connections"),
    "Mail": ("ca", "token_file", "language"),
    "Provider": (
        *("issuer", "client_id", "name", "secret_file", "audience", "claim", "match", "trust_email", "acr", "amr"),
        *("max_age", "algorithms", "keys_file", "ca", "only"),
    ),
    "Recovery": ("seasoned", "cool_down", "code", "lapse", "reduced"),
}
"""Type → its settings that are shown as they are. A file that holds a secret is shown by its name."""
PLACES: dict[str, tuple[str, ...]] = {
    "Database": ("url", "console_url"),
    "Timestamps": ("url",),
    "Destination": ("url",),
    "SystemPlace": ("url",),
    "Mail": ("url",),
}
"""URLs, which may hold a secret: shown by scheme and host."""
HIDDEN: dict[str, tuple[str, ...]] = {"Destination": ("user", "sender", "to"), "Mail": ("user", "sender")}
"""Whether they are set is shown, and not what they are: they are addresses of people."""
_NO_SETTINGS = ("home", "told")


class Setting(msgspec.Struct, frozen=True):
    """A setting. value: as text, "" where it is not set. hidden: it is set, not shown. source: of `Settings.told`."""

    name: str
    value: str
    source: str
    hidden: bool = False


class Section(msgspec.Struct, frozen=True):
    """A section of keten.toml."""

    name: str
    settings: tuple[Setting, ...]

    @property
    def said(self) -> tuple[Setting, ...]:
        """Those that somebody set."""
        return tuple(one for one in self.settings if one.source)

    @property
    def built_in(self) -> tuple[Setting, ...]:
        """Those that nobody set."""
        return tuple(one for one in self.settings if not one.source)


def sections(settings: Settings) -> tuple[Section, ...]:
    """Every setting, by section."""
    return tuple(Section(name, tuple(found)) for name, found in _sections(settings))


def _sections(settings: Settings) -> Iterator[tuple[str, list[Setting]]]:
    for name in Settings.__struct_fields__:
        value = getattr(settings, name)
        if name in _NO_SETTINGS:
            continue
        if isinstance(value, Mapping):
            for key, one in value.items():
                yield f"{name}.{key}", list(_settings(one, _given(one, settings.told.get(f"{name}.{key}", ""))))
            continue
        yield name, list(_settings(value, {key: settings.told.get(f"{name}.{key}", "") for key in _keys(value)}))
        if name == "export":
            for one in settings.export.destinations:
                given = _given(one, settings.told.get(f"{name}.destinations", ""))
                yield f"export.destinations: {one.name}", list(_settings(one, given))


def _keys(found: msgspec.Struct) -> tuple[str, ...]:
    return found.__struct_fields__


def _given(found: msgspec.Struct, source: str) -> dict[str, str]:
    """Where the parts of something that is given as a whole were said: those that are not as usual."""
    return {one.name: source for one in msgspec.structs.fields(found) if getattr(found, one.name) != one.default}


def _settings(found: msgspec.Struct, sources: Mapping[str, str]) -> Iterator[Setting]:
    """The settings of one section or part, but for those that are parts of their own."""
    kind = type(found).__name__
    for name in _keys(found):
        value, source = getattr(found, name), sources.get(name, "")
        if name in PLAIN.get(kind, ()):
            yield Setting(name, _text(value), source)
        elif name in PLACES.get(kind, ()):
            yield Setting(name, _place(str(value)), source)
        elif not (isinstance(value, tuple) and value and isinstance(value[0], Destination)):
            yield Setting(name, "", source, hidden=bool(value))


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        told = ((key, f"{{{_text(one)}}}" if isinstance(one, Mapping) else str(one)) for key, one in value.items())
        return ", ".join(f"{key} = {one}" for key, one in told)
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _place(url: str) -> str:
    """Where a URL leads: without user and password, and without path and parameters, which may be a secret as well."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "…"
    if not parts.scheme or parts.scheme == "sqlite":
        return url.partition("?")[0]  # a file
    rest = "/…" if parts.path.strip("/") or parts.query else ""
    return f"{parts.scheme}://{parts.hostname or ''}{port}{rest}"
