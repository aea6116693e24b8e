"""Settings of one instance: `keten.toml` in its folder, then `KETEN_…` variables. Read once, in `app.py`."""

from __future__ import annotations

import ipaddress
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from keten.core.destinations import Destination, check_destinations
from keten.core.errors import Invalid, Unavailable
from keten.core.listening import split_bind
from keten.core.places import Place, has_password, place_of
from keten.core.provider import Provider, check_provider
from keten.core.recovering import Mail, Recovery, check_mail, check_recovery
from keten.core.sources import SystemPlace, check_systems

_WEB = ("https", "http")
LOOPBACK = ("127.0.0.1", "::1", "localhost")
_DURATION = re.compile(r"([1-9][0-9]{0,6})([smhd])\Z")
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
# Beside what TOML itself refuses: what is not UTF-8, numbers of thousands of digits, brackets in thousands of brackets.
_NOT_TOML = (ValueError, RecursionError)


class Geo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where addresses are: a MaxMind-format database of the user's own, and networks whose country is known."""

    database: str = ""
    networks: dict[str, str] = {}


class Listener(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One listener: where it binds, what the outside calls it, and which proxies may speak for a client.

    `proxy`: "" (direct), "v2" (PROXY protocol v2) or the name of a header such as "X-Forwarded-For".
    """

    bind: str = ""
    public_url: str = ""
    trusted_proxies: tuple[str, ...] = ()
    proxy: str = ""
    certificate: str = ""
    certificate_key: str = ""


class Keeper(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The keeper's sockets and key. Empty user lists mean: only the keeper's own user and root."""

    gateway_users: tuple[str, ...] = ()
    operator_users: tuple[str, ...] = ()
    connector_users: tuple[str, ...] = ()
    console_users: tuple[str, ...] = ()
    passphrase_file: str = ""
    reserve_bytes: int = 64 * 1024 * 1024


class Database(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the state is: in a file of the instance (everything empty), or in PostgreSQL.

    url: "postgresql://USER@HOST/NAME"; url_file: a file that holds it, since it may hold a password. console_url,
    console_url_file: the same for the console, whose role reads only; left out: as the keeper. risky: also on a server
    that may lose what it has committed (fsync or full_page_writes off).
    """

    url: str = ""
    url_file: str = ""
    console_url: str = ""
    console_url_file: str = ""
    risky: bool = False


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits that keep one caller from harming others; the defaults never hinder normal use."""

    parallel_per_client: int = 100
    connections: int = 1000
    idle_seconds: int = 60
    slow_reader_seconds: int = 120
    token_seconds: int = 300
    sftp_session_hours: int = 12


class Witnesses(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who cosigns the ledger's checkpoints. Files are named from the instance's folder; durations are as "10s", "1h".

    policy: a tlog-policy file ("": nobody). every: how often a new head is brought to the witnesses. limit: how old the
    last outside signature may be while there is something new to sign. ca: PEM for witnesses' certificates, "" for the
    machine's authorities.
    """

    policy: str = ""
    every: str = "10s"
    limit: str = "1h"
    ca: str = ""


class Timestamps(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A time-stamping authority (RFC 3161) for checkpoints. ca: PEM with the roots that its stamps must lead to."""

    url: str = ""
    every: str = "1h"
    ca: str = ""


class Backup(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Backups: the public keys that can open them (age: X25519 or ssh-ed25519)."""

    recipients: tuple[str, ...] = ()


class Erasure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many people it takes to erase, and to destroy a key once there are two: 2, or 1 where there is one."""

    approvers: int = 2


class Export(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the organisation's own monitoring gets. alarm_after: how long one may fail without an alarm."""

    alarm_after: str = "5m"
    destinations: tuple[Destination, ...] = ()


class Metrics(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Prometheus metrics. bind: HOST:PORT of this machine; "": none."""

    bind: str = ""


Severity = Literal["low", "medium", "high"]
Response = Literal["note", "alert", "slow", "step-up", "suspend", "freeze"]
Rungs = dict[Severity, Response]


class Watch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the watch does about what it sees. Durations are as "10m", "4h", "7d".

    window: signals of one detector, principal and dataset within it are one alert. ladder: detector (or "default") →
    severity → response, where it differs from the built-in; datasets: the same, by the name of a dataset.
    suspend_for, freeze_for, slow_for: how long a response lasts. slow_per_minute: requests. fine_for: how long what
    was said to be fine is not signalled again. most_per_hour, most_per_day: principals that the watch itself may
    suspend; most_percent: and how many of all active ones; at least one may always be. bad_networks: files with one
    network a line; rules: files, or folders of files, with Sigma rules; flows: flow and proxy logs that are followed:
    files, folders, or patterns with `*`. All named from the instance's folder.
    """

    enabled: bool = True
    window: str = "1h"
    ladder: dict[str, Rungs] = {}
    datasets: dict[str, dict[str, Rungs]] = {}
    suspend_for: str = "4h"
    freeze_for: str = "1h"
    slow_for: str = "1h"
    slow_per_minute: int = 30
    fine_for: str = "7d"
    most_per_hour: int = 5
    most_per_day: int = 20
    most_percent: int = 10
    bad_networks: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    flows: tuple[str, ...] = ()


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that can be set. `home` is the instance's folder.

    told: "section.key" → where that was said: the file's name, a variable's or an option's; else it is as built in.
    """

    home: str = ""
    told: dict[str, str] = {}
    geo: Geo = Geo()
    gateway: Listener = Listener()
    sftp: Listener = Listener()
    console: Listener = Listener()
    portal: Listener = Listener()
    keeper: Keeper = Keeper()
    database: Database = Database()
    limits: Limits = Limits()
    witnesses: Witnesses = Witnesses()
    timestamps: Timestamps = Timestamps()
    backup: Backup = Backup()
    erasure: Erasure = Erasure()
    export: Export = Export()
    metrics: Metrics = Metrics()
    watch: Watch = Watch()
    systems: dict[str, SystemPlace] = {}
    oidc: Provider = Provider()
    mail: Mail = Mail()
    recovery: Recovery = Recovery()

    @property
    def paths(self) -> Paths:
        """The instance's files."""
        return Paths(Path(self.home))

    @property
    def has_work(self) -> bool:
        """Whether there is anything for the worker to do."""
        return self.has_outside or self.watch.enabled or self._sends

    @property
    def _sends(self) -> bool:
        return bool(self.export.destinations or self.metrics.bind or self.mail.url or self.oidc.issuer)

    @property
    def has_outside(self) -> bool:
        """Whether anybody outside is to sign the ledger."""
        return bool(self.witnesses.policy or self.timestamps.url)

    @property
    def kept_files(self) -> tuple[str, ...]:
        """The files that are named here and hold no secret, as named; a backup takes those in the home along."""
        outside = (self.witnesses.policy, self.witnesses.ca, self.timestamps.ca, self.mail.ca)
        named = (*outside, self.oidc.ca, self.oidc.keys_file)
        return tuple(name for name in (*named, *self.watch.bad_networks, *self.watch.rules) if name)

    @property
    def named_files(self) -> tuple[str, ...]:
        """All files that are named here, and that an instance needs."""
        gateway, keeper = self.gateway, self.keeper
        portal = self.portal
        others = (
            self.geo.database,
            gateway.certificate,
            gateway.certificate_key,
            portal.certificate,
            portal.certificate_key,
            keeper.passphrase_file,
            self.mail.token_file,
            self.oidc.secret_file,
        )
        return (*self.kept_files, *(name for name in others if name))

    @property
    def outside_limit_seconds(self) -> int:
        """How long what was recorded may wait for an outside signature; an authority alone signs only so often."""
        limit = duration(self.witnesses.limit)
        return limit if self.witnesses.policy else max(limit, 2 * duration(self.timestamps.every))

    @property
    def state(self) -> Place:
        """Where the database is, as the keeper and operators use it. Raises `Unavailable` ("url-file"), `Invalid`."""
        found = self.database
        return self._place(found.url, found.url_file)

    @property
    def console_state(self) -> Place:
        """The same database, as the console uses it."""
        found = self.database
        if not found.console_url and not found.console_url_file:
            return self.state
        return self._place(found.console_url, found.console_url_file)

    def _place(self, url: str, file: str) -> Place:
        """Read only by a process that needs it: the gateway can't, and has no database."""
        if file:
            try:
                url = Path(self.home, file).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise Unavailable("url-file", f"The file {file} of [database] cannot be read.", str(error)) from error
        return place_of(url, risky=self.database.risky) if url or file else self.paths.database


class Paths:
    """Where things are inside an instance. Each folder has one owner when processes run under users of their own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.settings = home / "keten.toml"
        self.keeper = home / "keeper"  # keeper only: root key
        self.root_key = self.keeper / "root.key"
        self.database_folder = home / "db"  # keeper writes, console reads
        self.database = self.database_folder / "keten.db"
        self.store = home / "store"  # ciphertext: keeper and operator write, gateway reads
        self.ledger = home / "ledger"  # public
        self.gateway = home / "gateway"  # gateway only: TLS key, SSH host key
        self.tls_certificate = self.gateway / "tls.pem"
        self.tls_key = self.gateway / "tls.key"
        self.ssh_host_key = self.gateway / "ssh_host_ed25519_key"
        self.watch = home / "worker" / "watch"  # worker only: what its detectors remember
        self.flows = self.watch / "flows.state"  # how far flow logs were read, and what was not reported yet
        self.standing = self.watch / "standing.json"  # what the watch is at work with, for `doctor` and `status`
        self.flow_standing = self.watch / "flows.json"  # and how it stands with flow logs
        self.ca = home / "ca.pem"  # public
        self.outbox = home / "worker" / "outbox"  # worker only: how far each destination is
        self.run = home / "run"
        self.operator_socket = self.run / "operator" / "keeper.sock"
        self.gateway_socket = self.run / "gateway" / "keeper.sock"
        self.connector_socket = self.run / "connector" / "connector.sock"
        self.mail_socket = self.run / "mail" / "worker.sock"  # the worker's: the keeper hands it letters
        self.provider_socket = self.run / "provider" / "worker.sock"  # the worker's: the keeper has it ask the provider
        self.console_socket = self.run / "console.sock"
        self.keeper_lock = self.run / "keeper.lock"
        self.standby = self.run / "standby"  # there while the keeper stands by
        self.up_lock = self.run / "up.lock"


def load_settings(home: Path, environment: Mapping[str, str]) -> Settings:
    """Settings of the instance at `home`; `KETEN_SECTION__KEY` variables win over the file. Raises `Invalid`."""
    tree: dict[str, object] = {}
    path = home / "keten.toml"
    if path.exists():
        try:
            tree = tomllib.loads(path.read_text(encoding="utf-8"))
        except _NOT_TOML as error:
            raise Invalid("settings", f"{path} is not valid TOML: {error}") from error
    branches = {section: branch for section, branch in tree.items() if isinstance(branch, dict)}
    told = {f"{section}.{key}": path.name for section, branch in branches.items() for key in branch}
    variables = [name for name in environment if name.startswith("KETEN_") and "__" in name]
    for name in variables:
        section, _, key = name.removeprefix("KETEN_").lower().partition("__")
        branch = tree.setdefault(section, {})
        if isinstance(branch, dict):
            branch[key] = _parsed(environment[name])
            told[f"{section}.{key}"] = name
    where = f"{path} with {', '.join(variables)}" if variables else str(path)
    tree["home"] = str(home)
    tree["told"] = told
    try:
        settings = msgspec.convert(tree, Settings, strict=False)
    except (msgspec.ValidationError, UnicodeError) as error:
        raise Invalid("settings", f"{where}: {error}") from error
    _check(settings, where)
    return settings


def duration(text: str) -> int:
    """Seconds of a duration such as "90s", "30m", "1h" or "7d". Raises `ValueError`."""
    match = _DURATION.match(text)
    if match is None:
        raise ValueError(f"{text!r} is not a duration such as 90s, 30m, 1h or 7d")
    return int(match[1]) * _UNIT_SECONDS[match[2]]


def _parsed(value: str) -> object:
    """A variable's value: TOML syntax (lists, numbers, true) where it is that, else the text itself."""
    try:
        return tomllib.loads(f"value = {value}")["value"]
    except _NOT_TOML:
        return value


def _check(settings: Settings, path: str) -> None:
    for section, listener in (
        ("gateway", settings.gateway),
        ("sftp", settings.sftp),
        ("console", settings.console),
        ("portal", settings.portal),
    ):
        if bool(listener.proxy) != bool(listener.trusted_proxies):
            raise Invalid("settings", f"{path}: [{section}] 'proxy' and 'trusted_proxies' must be set together.")
        if listener.proxy and section != "sftp" and not listener.public_url:
            raise Invalid("settings", f"{path}: [{section}] behind a proxy, 'public_url' must be set.")
        if section == "console" and listener.proxy == "v2":
            raise Invalid("settings", f"{path}: [console] proxy names a header such as X-Forwarded-For, not 'v2'.")
        if section == "sftp" and (listener.public_url or listener.certificate or listener.certificate_key):
            raise Invalid("settings", f"{path}: [sftp] has no 'public_url', 'certificate' or 'certificate_key'.")
        if bool(listener.certificate) != bool(listener.certificate_key):
            raise Invalid("settings", f"{path}: [{section}] 'certificate' and 'certificate_key' must be set together.")
        if listener.public_url and not _is_url(listener.public_url, ("https",) if section == "gateway" else _WEB):
            raise Invalid(
                "settings",
                f"{path}: [{section}] public_url: {listener.public_url!r} is not an address such as "
                "https://files.example.org:8443.",
            )
        for network in listener.trusted_proxies:
            _network(network, f"{path}: [{section}] trusted_proxies")
    require_portal(settings.portal, path)
    _check_outside(settings, path)
    _check_export(settings, path)
    _check_watch(settings.watch, path)
    check_mail(settings.mail, path)
    check_recovery(settings.recovery, path, duration)
    check_systems(settings.systems, path)
    check_provider(settings.oidc, path, duration)
    if settings.erasure.approvers not in (1, 2):
        raise Invalid("settings", f"{path}: [erasure] approvers is 1 or 2, not {settings.erasure.approvers}.")
    require_database(settings.database, path)
    for network, country in settings.geo.networks.items():
        _network(network, f"{path}: [geo] networks")
        if len(country) != 2 or not country.isalpha() or country != country.upper():
            raise Invalid("settings", f"{path}: [geo] networks: {country!r} is not an ISO 3166 two-letter code.")


def require_portal(portal: Listener, path: str) -> None:
    """People of suppliers come to the portal by HTTPS: its own, or a proxy's; by HTTP on this machine alone.

    Raises `Invalid`, which names `path`.
    """
    if portal.certificate or portal.proxy or portal.bind in ("", "off"):
        return
    if split_bind(portal.bind)[0] not in LOOPBACK:
        public = f"{path}: [portal] {portal.bind} is reached from outside: set 'certificate', or 'proxy' behind one."
        raise Invalid("settings", public)


def _check_outside(settings: Settings, path: str) -> None:
    for section, key, value in (
        ("witnesses", "every", settings.witnesses.every),
        ("witnesses", "limit", settings.witnesses.limit),
        ("timestamps", "every", settings.timestamps.every),
    ):
        try:
            duration(value)
        except ValueError as error:
            raise Invalid("settings", f"{path}: [{section}] {key}: {error}.") from error
    stamping = settings.timestamps
    if bool(stamping.url) != bool(stamping.ca):
        raise Invalid("settings", f"{path}: [timestamps] 'url' and 'ca' must be set together.")
    if stamping.url and not _is_url(stamping.url, _WEB):
        raise Invalid("settings", f"{path}: [timestamps] url: {stamping.url!r} is not an address.")


def _check_export(settings: Settings, path: str) -> None:
    try:
        duration(settings.export.alarm_after)
        metrics = split_bind(settings.metrics.bind)[0] if settings.metrics.bind else ""
    except ValueError as error:
        raise Invalid("settings", f"{path}: [export] alarm_after: {error}.") from error
    except Invalid as error:
        raise Invalid("settings", f"{path}: [metrics] bind: {error.public}") from error
    check_destinations(settings.export.destinations, path)
    if metrics and metrics not in LOOPBACK:
        raise Invalid("settings", f"{path}: [metrics] bind is 127.0.0.1:PORT, [::1]:PORT or localhost:PORT.")


def _check_watch(watch: Watch, path: str) -> None:
    for key in ("window", "suspend_for", "freeze_for", "slow_for", "fine_for"):
        try:
            duration(getattr(watch, key))
        except ValueError as error:
            raise Invalid("settings", f"{path}: [watch] {key}: {error}.") from error
    most_of = {"slow_per_minute": 60_000, "most_per_hour": 10**9, "most_per_day": 10**9, "most_percent": 100}
    for key, most in most_of.items():
        if not 1 <= getattr(watch, key) <= most:
            raise Invalid("settings", f"{path}: [watch] {key} is a number of 1 to {most}.")


def require_database(found: Database, path: str) -> None:
    """What is said of the database is one thing, and possible. Raises `Invalid`, which names `path`."""
    for name, url, file in (
        ("url", found.url, found.url_file),
        ("console_url", found.console_url, found.console_url_file),
    ):
        if url and file:
            raise Invalid("settings", f"{path}: [database] '{name}' and '{name}_file' say the same: give one of them.")
        if url and has_password(url):
            public = f"{path}: [database] '{name}' holds a password, and everyone may read it: give '{name}_file'."
            raise Invalid("settings", public)
        if url:
            place_of(url)
    if (found.console_url or found.console_url_file) and not (found.url or found.url_file):
        raise Invalid("settings", f"{path}: [database] 'console_url' goes with 'url'.")


def _is_url(text: str, schemes: tuple[str, ...]) -> bool:
    """Whether it names a server by one of these schemes, without a user, question or fragment."""
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        return False
    plain = text.isascii() and text.isprintable() and " " not in text and not (url.query or url.fragment)
    return plain and url.scheme in schemes and bool(url.hostname) and "@" not in url.netloc and port != 0


def _network(text: str, where: str) -> None:
    try:
        ipaddress.ip_network(text)
    except ValueError as error:
        raise Invalid("settings", f"{where}: {error}") from error
