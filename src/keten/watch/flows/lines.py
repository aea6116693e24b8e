"""Lines of flow and proxy logs, as far as they are about suppliers. Hostile lines are counted, and never an error.

The form is told by the first line: Zeek's conn.log (its header), lines of JSON, a line of column names, or squid's
native access log (docs/formats/flows.md). Most lines are about nobody that matters, so a line is only split, and its
two addresses looked up, before anything else of it is looked at.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from keten.core.clock import SECOND
from keten.watch.flows.columns import NAMES, ROLES, Role, is_enough, roles_of
from keten.watch.flows.model import UNSIZED, Flow
from keten.watch.flows.places import Place, Places
from keten.watch.flows.values import WrongError, service, sized, stamped, uid_of

LONGEST = 64 * 1024
"""Characters of a line."""
AHEAD_US = 86_400 * SECOND
OLD_US = 90 * AHEAD_US
"""What lies further ahead or back is not counted: a clock that is wrong, or a past that nobody asks for."""
MOST_COLUMNS = 200
_SQUID = re.compile(r"\s*[0-9]{9,11}\.[0-9]{1,6}\s+-?[0-9]+ \S+ \S+/[0-9]{3} [0-9]+ \S+ \S+ \S+ \S+/\S+")
_PORTS = {"http": 80, "https": 443, "ftp": 21}
_SUMMARY_LINES = 2  # nfdump's own, behind a line that says "Summary"
_decode = msgspec.json.Decoder().decode


class Form(msgspec.Struct):
    """How a file is read. kind: "" (not known yet), zeek, columns, json, squid, or other (a log of another kind).

    separator and columns: of the first two. It is kept with how far a file was read.
    """

    kind: str = ""
    separator: str = ""
    columns: tuple[str, ...] = ()


class Counts(msgspec.Struct):
    """lines: read. about: of a supplier. passed: said to be no flows. wrong: reason → lines not understood."""

    lines: int = 0
    about: int = 0
    passed: int = 0
    wrong: dict[str, int] = {}

    def add(self, more: Counts) -> None:
        """Count these as well."""
        self.lines += more.lines
        self.about += more.about
        self.passed += more.passed
        for reason, count in more.wrong.items():
            self.wrong[reason] = self.wrong.get(reason, 0) + count

    @property
    def all_wrong(self) -> int:
        """Lines that were not understood."""
        return sum(self.wrong.values())


class Lines:
    """Reads the lines of one file. form: as it was left last time, changed in place. now_us: the time."""

    def __init__(self, places: Places, form: Form, now_us: int) -> None:
        self._places = places
        self._form = form
        self._from_us, self._to_us = now_us - OLD_US, now_us + AHEAD_US
        self.counts = Counts()
        self._roles: dict[Role, int] = roles_of(form.columns)
        self._names: dict[Role, str] = {}
        self._passing = 0
        self._ways: Mapping[str, Callable[[str], Flow | None]] = {
            "": self._begin,
            "zeek": self._zeek,
            "columns": self._columns,
            "json": self._json,
            "squid": self._squid,
            "other": self._other,
        }
        self._way = self._ways.get(form.kind, self._begin)

    def read(self, lines: Iterable[str]) -> Iterator[Flow]:
        """The flows to suppliers in these lines."""
        counts = self.counts
        for line in lines:
            counts.lines += 1
            try:
                flow = self._way(line)
            except WrongError as error:
                counts.wrong[str(error)] = counts.wrong.get(str(error), 0) + 1
                continue
            if flow is not None:
                counts.about += 1
                yield flow

    def _is(self, kind: str) -> None:
        self._form.kind = kind
        self._way = self._ways[kind]

    # ---- which form ------------------------------------------------------------------------------------------

    def _begin(self, line: str) -> Flow | None:
        if not line.strip():
            self._pass()
            return None
        if line.startswith("#"):
            if line.startswith(("#separator", "#set_separator", "#fields", "#path")):
                self._is("zeek")
                return self._zeek(line)
        elif line.startswith("{"):
            self._is("json")
            return self._json(line)
        elif _SQUID.match(line):
            self._is("squid")
            return self._squid(line)
        if self._names_columns(line):
            self._pass()
            return None
        raise WrongError("no form of log that is known")

    def _pass(self) -> None:
        self.counts.passed += 1

    def _other(self, line: str) -> None:
        """A log of another kind: until it says that another one begins."""
        if line.startswith("#path"):
            self._is("zeek")
            self._zeek(line)
        else:
            self.counts.passed += 1

    def _names_columns(self, line: str) -> bool:
        for separator in (",", ";", "\t"):
            columns = tuple(one.strip().strip('"').lower() for one in line.lstrip("#").split(separator)[:MOST_COLUMNS])
            if is_enough(roles := roles_of(columns)):
                self._form.separator, self._form.columns, self._roles = separator, columns, roles
                self._is("columns")
                return True
        return False

    # ---- columns ---------------------------------------------------------------------------------------------

    def _zeek(self, line: str) -> Flow | None:
        """A line of Zeek's: its header says which columns there are, and of which log."""
        if not line.startswith("#"):
            if not self._roles:
                raise WrongError("no header before it")
            return self._columns(line)
        self.counts.passed += 1
        name, _, rest = line.partition("\t")
        if name == "#path" and rest.strip() != "conn":
            self._is("other")
        elif name == "#fields":
            columns = tuple(rest.rstrip("\r").split("\t")[:MOST_COLUMNS])
            self._form.separator, self._form.columns, self._roles = "\t", columns, roles_of(columns)
            if not is_enough(self._roles):
                self._is("other")
        return None

    def _columns(self, line: str) -> Flow | None:
        if self._passing:
            self._passing -= 1
            self._pass()
            return None
        form = self._form
        parts = line.split(form.separator)
        if '"' in line and form.kind == "columns":
            parts = _unquoted(line, form.separator)
        if len(parts) != len(form.columns):
            self._odd(line)
            return None
        roles = self._roles
        source, target = parts[roles["source"]].strip(), parts[roles["target"]].strip()
        host = roles.get("host")
        place, back = self._place(source, target, "" if host is None else parts[host])
        if place is None:
            return None
        return self._made(place, {role: parts[at].strip() for role, at in roles.items()}, back=back)

    def _odd(self, line: str) -> None:
        """Not as many columns as there should be: what nfdump says at the end, nothing, another header, or a fault."""
        if line.startswith("Summary"):
            self._passing = _SUMMARY_LINES
        elif line.strip() and not (self._form.kind == "columns" and self._names_columns(line)):
            raise WrongError("not as many columns as the header has")
        self._pass()

    # ---- JSON ------------------------------------------------------------------------------------------------

    def _json(self, line: str) -> Flow | None:
        if not line.strip():
            self._pass()
            return None
        if len(line) > LONGEST:
            raise WrongError("too long")
        try:
            row = _decode(line)
        except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
            raise WrongError("no JSON") from error
        if not isinstance(row, dict):
            raise WrongError("no object of JSON")
        if row.get("_path", "conn") != "conn":
            self._pass()
            return None
        source, target = self._field(row, "source"), self._field(row, "target")
        if not isinstance(source, str) or not isinstance(target, str):
            raise WrongError("it names no addresses")
        host = self._field(row, "host")
        place, back = self._place(source, target, host if isinstance(host, str) else "")
        if place is None:
            return None
        return self._made(place, {role: self._field(row, role) for role in NAMES}, back=back)

    def _field(self, row: dict[str, Any], role: Role) -> Any:
        """A field by what it was called in the line before, or else by any name that it may have."""
        value = row.get(self._names.get(role, ""))
        if value is not None:
            return value
        for name in NAMES[role]:
            if name in row:
                self._names[role] = name
                return row[name]
        lower = {key.lower(): key for key in row if not key.islower()} if len(row) <= MOST_COLUMNS else {}
        for name in NAMES[role]:
            if name in lower:
                self._names[role] = lower[name]
                return row[lower[name]]
        return None

    # ---- what both have --------------------------------------------------------------------------------------

    def _place(self, source: str, target: str, host: str) -> tuple[Place | None, bool]:
        """Whose systems are at one end, and whether it is the end that began. Between two suppliers: nobody's."""
        try:
            here, there = self._places.of_address(source), self._places.of_address(target)
        except ValueError as error:
            if source.lower() in ROLES:
                return None, False  # the header once more, where files were put together
            raise WrongError("an address is none") from error
        if host and there is None and here is None:
            return self._places.of_host(host), False
        if (here is None) == (there is None):
            return None, False
        return (there, False) if here is None else (here, True)

    def _made(self, place: Place, values: Mapping[Role, Any], *, back: bool) -> Flow | None:
        """The flow, with what was sent to the supplier's end; a flow of one direction away from it sent nothing."""
        time_us = self._in_time(stamped(values["time"]))
        sent, returned = sized(values.get("sent")), sized(values.get("returned"))
        sent = _seen(sent, sized(values.get("sent_on_wire")))
        returned = _seen(returned, sized(values.get("returned_on_wire")))
        source, target = str(values["source"]), str(values["target"])
        source_port, target_port = values.get("source_port"), values.get("target_port")
        amount, outside, inside = (returned, source, target) if back else (sent, target, source)
        if not amount or (back and amount == UNSIZED):
            return None
        zeek = values.get("uid") is not None
        port = service(source_port, target_port, by_target=zeek)
        uid = values.get("uid")
        if uid is None:
            protocol = values.get("protocol")
            uid = uid_of(time_us, source, source_port, target, target_port, protocol, sent, returned)
        else:
            uid = uid_of(uid, source, target)
        name = f"{place.name} port {port}" if port else place.name
        return Flow(place.supplier, name, outside, inside, amount, time_us, uid)

    def _in_time(self, time_us: int) -> int:
        if time_us > self._to_us:
            raise WrongError("of a time that is yet to come")
        if time_us < self._from_us:
            raise WrongError("of too long ago")
        return time_us

    # ---- squid -----------------------------------------------------------------------------------------------

    def _squid(self, line: str) -> Flow | None:
        """A line of: time elapsed client code/status bytes method URL user hierarchy/peer type, maybe what was sent.

        The size in the native form is that of the answer: it says nothing of what was sent.
        """
        parts = line.split()
        if len(parts) < 10:
            if not parts:
                self._pass()
                return None
            raise WrongError("not as many fields as squid's native log has")
        client, method, url, peer = parts[2], parts[5], parts[6], parts[8].rpartition("/")[2]
        host, port = _host_of(method, url)
        place = self._places.of_host(host) if host else None
        for address in (host.strip("[]"), peer):
            try:
                place = place or self._places.of_address(address)
            except ValueError:
                continue
        if place is None:
            return None
        time_us = self._in_time(stamped(parts[0]))
        sent = sized(parts[10]) if len(parts) > 10 else UNSIZED
        name = f"{place.name} port {port}" if port else place.name
        return Flow(place.supplier, name, "", client, sent, time_us, uid_of(*parts[:7]))


def _unquoted(line: str, separator: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=separator), [])
    except csv.Error as error:
        raise WrongError("quotes that do not end") from error


def _seen(payload: int, wire: int) -> int:
    """What was sent by sequence numbers, which may skip what never was; but no more than the packets that were seen."""
    if UNSIZED in (payload, wire):
        return max(payload, wire)
    return min(payload, wire) if wire else payload


def _host_of(method: str, url: str) -> tuple[str, int | None]:
    """Host and port of a request; ("", None) where it has none."""
    if method == "CONNECT":
        name, _, number = url.rpartition(":")
        return (name, int(number)) if number.isascii() and number.isdigit() and len(number) <= 5 else ("", None)
    try:
        found = urlsplit(url)
        return found.hostname or "", found.port or _PORTS.get(found.scheme)
    except ValueError:
        return "", None
