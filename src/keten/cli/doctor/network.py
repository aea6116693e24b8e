"""Listeners, certificates, and whether the country of callers can be known."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from msgspec.structs import replace

from keten.cli.doctor.findings import Case, Finding, note, weak, wrong
from keten.cli.up.binds import OFF, binds
from keten.core.certificates import RENEWED_BEFORE, missing, read
from keten.core.db import translated
from keten.core.listening import split_bind
from keten.keeper.certificates import gateway_hosts
from keten.suppliers.rows import contracts

SOON = timedelta(days=14)


def listeners(case: Case) -> Iterator[Finding]:
    """Whether suppliers can reach the gateway at all, and whether outsiders can reach the console."""
    where = binds(case.settings, "", "", "")
    for name, bind in (("gateway", where.gateway), ("sftp", where.sftp)):
        if bind != OFF and _is_loopback(split_bind(bind)[0]):
            yield note(
                f"{name}-loopback",
                f"By its settings {name} listens on {bind}: only this machine reaches it.",
                f"Set [{name}] bind in keten.toml, or start with --{name} HOST:PORT.",
            )
    if where.console != OFF and not _is_loopback(split_bind(where.console)[0]):
        yield weak(
            "console-open",
            f"The console listens on {where.console}, beyond this machine.",
            "Keep it inside the organisation's network: a firewall, or a proxy that asks who is there.",
        )


def certificate(case: Case) -> Iterator[Finding]:
    """The gateway's certificate: long enough, and for the names it is reached by."""
    settings = case.settings
    where = binds(settings, "", "", "")
    if where.gateway == OFF:
        return
    own = settings.gateway.certificate
    path = Path(own) if own else settings.paths.tls_certificate
    todo = "Replace it with a newer one of yours." if own else "The gateway renews it while it runs: start it."
    try:
        known = read(path)
    except PermissionError:
        yield note("certificate-not-seen", f"The gateway's certificate {path} can't be seen by this user.")
        return
    left = known.ends - datetime.now(UTC)
    if left <= timedelta(0):
        yield wrong("certificate-expired", f"The gateway's certificate ended on {known.ends:%Y-%m-%d}.", todo)
    elif left < SOON:
        yield wrong("certificate-ends", f"The gateway's certificate ends on {known.ends:%Y-%m-%d}.", todo)
    elif left < RENEWED_BEFORE:
        yield weak("certificate-ends", f"The gateway's certificate ends on {known.ends:%Y-%m-%d}.", todo)
    lacking = missing(known, gateway_hosts(replace(settings.gateway, bind=where.gateway)))
    if lacking and own:
        yield wrong("certificate-hosts", f"The gateway's certificate is not for {', '.join(lacking)}.", todo)


def countries(case: Case) -> Iterator[Finding]:
    """Contracts that name countries refuse whoever's country is not known."""
    geo = case.settings.geo
    if geo.database and not Path(geo.database).is_file():
        yield wrong("geo-missing", f"The database of countries {geo.database} is not there.", "Correct [geo] database.")
    if geo.database or (geo.networks and not case.settings.gateway.proxy):
        return
    with translated(), case.engine.connect() as connection:
        naming = [one.name for one in contracts.each(connection) if one.countries and one.ended is None]
    if naming:
        some = ", ".join(naming[:3]) + (f" and {len(naming) - 3} more" if len(naming) > 3 else "")
        yield wrong(
            "country-unknown",
            f"The country of callers is not known here, so everyone is refused under {some}, which name countries.",
            "Set [geo] database or networks in keten.toml (networks count for direct connections only).",
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
