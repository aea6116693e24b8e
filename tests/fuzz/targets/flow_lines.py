"""Flow and proxy logs: whatever a line holds, it is a flow to a supplier that there is, or counted; never an error."""

from __future__ import annotations

from keten.watch.flows.lines import Form, Lines
from keten.watch.flows.model import LARGEST, UNSIZED, PlacesOf
from keten.watch.flows.places import Places
from tests.fuzz.target import Target

NOW_US = 1_780_272_000_000_000
_PLACES = [PlacesOf("s", "s", ("203.0.113.0/24", "2001:db8::/32"), ("*.s.example",))]


def check(data: bytes) -> bool:
    lines = data.decode("utf-8", "replace").split("\n")
    whole = Lines(Places(_PLACES), Form(), NOW_US)
    found = list(whole.read(lines))
    for flow in found:
        assert flow.supplier == "s"
        assert flow.sent == UNSIZED or 0 < flow.sent <= LARGEST
        assert abs(flow.time_us - NOW_US) < 10**13
        assert len(flow.uid) == 8
    assert whole.counts.lines == len(lines)
    form = Form()
    parts = [flow for line in lines for flow in Lines(Places(_PLACES), form, NOW_US).read([line])]
    if b"Summary" not in data:  # two lines behind it are passed over, as long as nobody stops in between
        assert parts == found, "however it comes"
    return bool(found)


TARGET = Target(
    "flow-lines",
    check,
    lambda: [
        b"#fields\tts\tuid\tid.orig_h\tid.resp_h\torig_bytes\torig_ip_bytes\n1780271000.5\tC1\t10.1.2.3\t203.0.113.7\t5\t9\n",
        b'{"ts":1780271000.5,"uid":"C1","id.orig_h":"10.1.2.3","id.resp_h":"2001:db8::1","orig_bytes":7}\n',
        b"ts,sa,da,sp,dp,pr,ibyt\n2026-05-31 23:59:00,10.1.2.3,203.0.113.7,4000,443,TCP,500\nSummary\nflows\n1\n",
        b"1780271000.123    345 10.1.2.3 TCP_TUNNEL/200 9876 CONNECT a.s.example:443 - HIER_DIRECT/198.51.100.9 - 55\n",
    ],
    words=(b"\t", b",", b";", b'"', b"{", b"}", b"#path\tconn", b"#fields\t", b"-", b"NaN", b"1e309", b"::ffff:", b"%"),
    longest=1200,
    calls=(400, 40_000),
    memory=(400, 8 << 20),
)
