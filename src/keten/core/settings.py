"""Settings of one instance: `keten.toml` in its folder, then `KETEN_…` variables. Read once, in `app.py`."""

from __future__ import annotations

import ipaddress
import tomllib
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from keten.core.errors import Invalid

_WEB = ("https", "http")
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
    passphrase_file: str = ""
    reserve_bytes: int = 64 * 1024 * 1024


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits that keep one caller from harming others; the defaults never hinder normal use."""

    parallel_per_client: int = 100
    connections: int = 1000
    idle_seconds: int = 60
    slow_reader_seconds: int = 120
    token_seconds: int = 300
    sftp_session_hours: int = 12


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that can be set. `home` is the instance's folder."""

    home: str = ""
    geo: Geo = Geo()
    gateway: Listener = Listener()
    sftp: Listener = Listener()
    console: Listener = Listener()
    keeper: Keeper = Keeper()
    limits: Limits = Limits()

    @property
    def paths(self) -> Paths:
        """The instance's files."""
        return Paths(Path(self.home))


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
        self.ca = home / "ca.pem"  # public
        self.run = home / "run"
        self.operator_socket = self.run / "operator" / "keeper.sock"
        self.gateway_socket = self.run / "gateway" / "keeper.sock"
        self.keeper_lock = self.run / "keeper.lock"
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
    variables = [name for name in environment if name.startswith("KETEN_") and "__" in name]
    for name in variables:
        section, _, key = name.removeprefix("KETEN_").lower().partition("__")
        branch = tree.setdefault(section, {})
        if isinstance(branch, dict):
            branch[key] = _parsed(environment[name])
    where = f"{path} with {', '.join(variables)}" if variables else str(path)
    tree["home"] = str(home)
    try:
        settings = msgspec.convert(tree, Settings, strict=False)
    except (msgspec.ValidationError, UnicodeError) as error:
        raise Invalid("settings", f"{where}: {error}") from error
    _check(settings, where)
    return settings


def _parsed(value: str) -> object:
    """A variable's value: TOML syntax (lists, numbers, true) where it is that, else the text itself."""
    try:
        return tomllib.loads(f"value = {value}")["value"]
    except _NOT_TOML:
        return value


def _check(settings: Settings, path: str) -> None:
    for section, listener in (("gateway", settings.gateway), ("sftp", settings.sftp), ("console", settings.console)):
        if bool(listener.proxy) != bool(listener.trusted_proxies):
            raise Invalid("settings", f"{path}: [{section}] 'proxy' and 'trusted_proxies' must be set together.")
        if listener.proxy and section == "gateway" and not listener.public_url:
            raise Invalid("settings", f"{path}: [{section}] behind a proxy, 'public_url' must be set.")
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
    for network, country in settings.geo.networks.items():
        _network(network, f"{path}: [geo] networks")
        if len(country) != 2 or not country.isalpha() or country != country.upper():
            raise Invalid("settings", f"{path}: [geo] networks: {country!r} is not an ISO 3166 two-letter code.")


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
