"""What columns and fields of flow logs are called by those who write them (docs/formats/flows.md lists them)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

Role = Literal[
    "source",
    "target",
    "source_port",
    "target_port",
    "protocol",
    "sent",
    "sent_on_wire",
    "returned",
    "returned_on_wire",
    "time",
    "uid",
    "host",
    "log",
]
NAMES: dict[Role, tuple[str, ...]] = {
    "source": (
        "id.orig_h", "sa", "srcaddr", "src_addr", "src_ip", "src", "source", "source_ip", "src4_addr", "src6_addr",
        "sourceipv4address", "sourceipv6address",
    ),
    "target": (
        "id.resp_h", "da", "dstaddr", "dst_addr", "dst_ip", "dst", "destination", "destination_ip", "dst4_addr",
        "dst6_addr", "destinationipv4address", "destinationipv6address",
    ),
    "source_port": ("id.orig_p", "sp", "srcport", "src_port", "source_port", "sourcetransportport"),
    "target_port": (
        "id.resp_p", "dp", "dstport", "dst_port", "destination_port", "destinationtransportport",
    ),
    "protocol": ("proto", "pr", "protocol", "protocolidentifier"),
    "sent": (
        "orig_bytes", "ibyt", "in_bytes", "bytes", "octets", "bytes_sent", "octetdeltacount", "octettotalcount",
    ),
    "sent_on_wire": ("orig_ip_bytes",),
    "returned": ("resp_bytes", "obyt", "out_bytes", "bytes_received", "reverseoctetdeltacount",
                 "reverseoctettotalcount"),
    "returned_on_wire": ("resp_ip_bytes",),
    "time": (
        "ts", "first", "t_first", "firstseen", "time", "timestamp", "start", "start_time", "flowstartmilliseconds",
        "flowstartseconds", "time_flow_start_ns",
    ),
    "uid": ("uid", "flow_id", "flowid"),
    "host": ("host", "server_name", "hostname", "domain"),
    "log": ("_path",),
}  # fmt: skip
ROLES: dict[str, Role] = {name: role for role in get_args(Role) for name in NAMES[role]}
NEEDED: tuple[Role, ...] = ("source", "target", "sent", "time")


def roles_of(columns: Sequence[str]) -> dict[Role, int]:
    """Where each role is in a line of columns: the first column that has it, in the order of `NAMES`."""
    at = {name: place for place, name in reversed(list(enumerate(columns)))}
    found = {role: next((at[name] for name in names if name in at), -1) for role, names in NAMES.items()}
    return {role: place for role, place in found.items() if place >= 0}


def is_enough(roles: dict[Role, int]) -> bool:
    """Whether flows can be read by these."""
    return all(role in roles for role in NEEDED)
