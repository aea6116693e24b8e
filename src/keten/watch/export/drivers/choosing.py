"""Which driver a destination has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from keten.core.destinations import Destination
from keten.watch.export.drivers.driver import Driver
from keten.watch.export.drivers.file import FileDriver
from keten.watch.export.drivers.mail import MailDriver
from keten.watch.export.drivers.otlp import OtlpDriver
from keten.watch.export.drivers.splunk import SplunkDriver
from keten.watch.export.drivers.syslog import SyslogDriver
from keten.watch.export.drivers.webhook import WebhookDriver

_DRIVERS: dict[str, Callable[[Destination, Path], Driver]] = {
    "syslog": SyslogDriver,
    "splunk": SplunkDriver,
    "otlp": OtlpDriver,
    "file": FileDriver,
    "webhook": WebhookDriver,
    "mail": MailDriver,
}


def driver_of(destination: Destination, home: Path) -> Driver:
    """A new driver. Raises `Invalid`, `Unavailable` when its files (ca, token_file) cannot be used."""
    return _DRIVERS[destination.kind](destination, home)
