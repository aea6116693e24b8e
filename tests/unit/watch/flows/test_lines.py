"""Lines of flow and proxy logs: who sent how much to which supplier, whatever form they have, and however hostile."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keten.watch.flows.lines import Counts, Form, Lines
from keten.watch.flows.model import UNSIZED, Flow, PlacesOf
from keten.watch.flows.places import Places

NOW_US = 1_780_272_000_000_000
NOW = NOW_US // 1_000_000
INSIDE, THERE, ELSEWHERE = "10.1.2.3", "203.0.113.7", "198.51.100.9"
PLACES = Places(
    [
        PlacesOf("printer", "drukwerk", ("203.0.113.0/24", "2001:db8:7::/48"), ("*.drukwerk.example",)),
        PlacesOf("branch", "filiaal", ("203.0.113.128/25",), ("files.drukwerk.example",)),
    ]
)
ZEEK = [
    "#separator \\x09",
    "#path\tconn",
    "#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\torig_bytes\tresp_bytes\torig_ip_bytes\tresp_ip_bytes",
    "#types\ttime\tstring\taddr\tport\taddr\tport\tenum\tcount\tcount\tcount\tcount",
]
NOBODY = '{"src":"10.0.0.1","dst":"10.0.0.2"}'
CSV = "ts,te,td,sa,da,sp,dp,pr,flg,ipkt,ibyt,opkt,obyt"


def zeek(source: str, target: str, sent: object, back: object = 1, wire: object = "-", uid: str = "C1") -> str:
    values = (f"{NOW - 60}.250000", uid, source, 40000, target, 443, "tcp", sent, back, wire, wire)
    return "\t".join(str(each) for each in values)


def read(lines: Sequence[str], form: Form | None = None) -> tuple[list[Flow], Counts]:
    made = Lines(PLACES, form or Form(), NOW_US)
    return list(made.read(lines)), made.counts


def one(*lines: str) -> Flow:
    (found,), counts = read(lines)
    assert not counts.wrong
    return found


def test_zeek_says_what_was_sent_in_either_direction() -> None:
    called = one(*ZEEK, zeek(INSIDE, THERE, 5000))
    assert called[:6] == ("printer", "203.0.113.0/24 port 443", THERE, INSIDE, 5000, (NOW - 60) * 10**6 + 250_000)
    calls = one(*ZEEK, zeek(THERE, INSIDE, 3, back=7000))
    assert calls[:5] == ("printer", "203.0.113.0/24 port 443", THERE, INSIDE, 7000)


def test_no_more_was_sent_than_was_seen() -> None:
    assert one(*ZEEK, zeek(INSIDE, THERE, 4_000_000_000, wire=900)).sent == 900  # numbers of a sequence that never was
    assert one(*ZEEK, zeek(INSIDE, THERE, "-", wire=900)).sent == 900
    assert one(*ZEEK, zeek(INSIDE, THERE, "-")).sent == UNSIZED
    assert read([*ZEEK, zeek(INSIDE, THERE, 0)])[0] == []


def test_whose_a_place_is() -> None:
    found, counts = read(
        [
            *ZEEK,
            zeek(INSIDE, "203.0.113.200", 10, uid="narrower"),
            zeek(INSIDE, "::ffff:203.0.113.7", 10, uid="mapped"),
            zeek("2001:db8:1::1", "2001:db8:7::9%eth0", 10, uid="six"),
            zeek(INSIDE, ELSEWHERE, 10, uid="nobody's"),
            zeek(THERE, "203.0.113.200", 10, uid="between suppliers"),
        ]
    )
    assert [each.supplier for each in found] == ["branch", "printer", "printer"]
    assert (counts.lines, counts.about, counts.passed, counts.wrong) == (9, 3, 4, {})


def test_json_of_zeek_and_of_others() -> None:
    line = {
        "ts": NOW - 60, "uid": "C1", "id.orig_h": INSIDE, "id.orig_p": 40000, "id.resp_h": THERE, "id.resp_p": 443,
        "orig_bytes": 5000, "resp_bytes": 1,
    }  # fmt: skip
    flow = one(json.dumps(line))
    assert (flow.sent, flow.target) == (5000, "203.0.113.0/24 port 443")
    assert flow.uid == one(*ZEEK, zeek(INSIDE, THERE, 1)).uid
    ipfix = {
        "flowStartMilliseconds": (NOW - 60) * 1000, "sourceIPv4Address": INSIDE, "destinationIPv4Address": THERE,
        "sourceTransportPort": 51000, "destinationTransportPort": 22, "octetDeltaCount": 77,
    }  # fmt: skip
    flow = one(json.dumps(ipfix))
    assert (flow.sent, flow.target, flow.time_us) == (77, "203.0.113.0/24 port 22", (NOW - 60) * 10**6)
    nfdump = [
        {"first": "2026-05-31T23:59:00.000", "src4_addr": INSIDE, "dst4_addr": THERE, "in_bytes": 1, "dst_port": 443},
        {"first": "2026-05-31T23:59:00.000", "src6_addr": "fd00::1", "dst6_addr": "2001:db8:7::1", "in_bytes": 2},
    ]
    found, _ = read([json.dumps(each) for each in nfdump])
    assert [each.sent for each in found] == [1, 2]
    assert read([json.dumps(line | {"_path": "dns"})])[1].passed == 1


def test_columns_as_nfdump_writes_them() -> None:
    row = f"2026-05-31 23:59:00.000,2026-05-31 23:59:01.000,1.0,{INSIDE},{THERE},51000,443,TCP,.AP.,3,5000,0,0"
    back = row.replace(f"{INSIDE},{THERE},51000,443", f"{THERE},{INSIDE},443,51000")
    found, counts = read([CSV, row, back, CSV, "Summary", "flows,bytes,packets", "2,10000,6"])
    assert [(each.sent, each.target, each.inside) for each in found] == [(5000, "203.0.113.0/24 port 443", INSIDE)]
    assert counts.wrong == {}
    assert one('#"Time";"Src";"Dst";"Bytes"', f'"2026-06-01T00:00:00+02:00";"{INSIDE}";"{THERE}";"12"').sent == 12
    by_name = one("time,src_ip,dst_ip,bytes,server_name", f"{NOW},{INSIDE},{ELSEWHERE},9,a.b.Drukwerk.example.")
    assert (by_name.supplier, by_name.target) == ("printer", "*.drukwerk.example")


def test_squid_says_who_and_only_with_another_field_how_much() -> None:
    def line(url: str, method: str = "CONNECT", peer: str = "HIER_DIRECT/198.51.100.9", more: str = "") -> str:
        return f"{NOW - 60}.123    345 {INSIDE} TCP_TUNNEL/200 9876 {method} {url} - {peer} -{more}"

    flow = one(line("files.drukwerk.example:443"))
    assert flow[:5] == ("branch", "files.drukwerk.example port 443", "", INSIDE, UNSIZED)
    assert one(line("x.drukwerk.example:443", more=" 123456")).sent == 123_456
    assert one(line("http://api.drukwerk.example/upload?x=1", "POST")).target == "*.drukwerk.example port 80"
    assert one(line("https://cdn.example/", "PUT", f"HIER_DIRECT/{THERE}")).target == "203.0.113.0/24 port 443"
    nobody, counts = read([line("drukwerk.example.org:443"), line("[::1"), line("http://[bad", "GET")])
    assert (nobody, counts.wrong) == ([], {})


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["rubbish"], "no form of log that is known"),
        ([*ZEEK, "a\tb"], "not as many columns as the header has"),
        ([*ZEEK, zeek("nowhere", THERE, 1)], "an address is none"),
        ([*ZEEK, zeek(INSIDE, THERE, "-1")], "a size is no number"),
        ([*ZEEK, zeek(INSIDE, THERE, "9" * 39)], "a size is no number"),
        ([*ZEEK, zeek(INSIDE, THERE, "٣")], "a size is no number"),
        ([*ZEEK, zeek(INSIDE, THERE, 1).replace(str(NOW - 60), "nan")], "a time is none"),
        ([*ZEEK, zeek(INSIDE, THERE, 1).replace(str(NOW - 60), str(NOW + 10**6))], "of a time that is yet to come"),
        ([*ZEEK, zeek(INSIDE, THERE, 1).replace(str(NOW - 60), "1000")], "of too long ago"),
        (["#path\tconn", zeek(INSIDE, THERE, 1)], "no header before it"),
        ([NOBODY, "{" * 5000], "no JSON"),
        ([NOBODY, "[1]"], "no object of JSON"),
        (['{"a":1}'], "it names no addresses"),
        ([CSV, '"' + "," * 12], "not as many columns as the header has"),
    ],
)
def test_what_is_not_understood_is_counted_by_its_reason_and_the_rest_is_read(lines: list[str], reason: str) -> None:
    found, counts = read(lines)
    assert found == []
    assert counts.wrong[reason] == counts.all_wrong == 1


def test_a_log_of_another_kind_is_passed_over() -> None:
    found, counts = read([ZEEK[0], "#path\tdns", "#fields\tts\tquery", "1\tx", *ZEEK[1:], zeek(INSIDE, THERE, 5)])
    assert [each.sent for each in found] == [5]
    assert counts.wrong == {}


def test_a_form_that_was_kept_goes_on_in_mid_file() -> None:
    form = Form()
    read([*ZEEK, zeek(INSIDE, THERE, 5)], form)
    found, counts = read([zeek(INSIDE, THERE, 6, uid="C2")], form)
    assert ([each.sent for each in found], counts.wrong) == ([6], {})


def test_the_same_flow_has_the_same_id() -> None:
    row = f"2026-05-31 23:59:00,x,1,{INSIDE},{THERE},51000,443,TCP,.,3,5000,0,0"
    assert one(CSV, row).uid == one(CSV, row).uid != one(CSV, row.replace("51000", "51001")).uid
    assert one(*ZEEK, zeek(INSIDE, THERE, 1)).uid != one(*ZEEK, zeek(INSIDE, THERE, 1, uid="C2")).uid


PIECES = st.sampled_from(
    ["\t", ",", " ", '"', "#fields\t", "#path\tconn", "{", '{"id.orig_h":', "[", THERE, INSIDE, "203.0.113", str(NOW),
     "-", "NaN", "1e309", "9" * 30, "ts", "sa", "da", "ibyt", "CONNECT", "TCP_MISS/200", "HIER_DIRECT/x", "\0"]
)  # fmt: skip


@given(st.lists(st.one_of(st.text(max_size=80), st.lists(PIECES, max_size=20).map("".join)), max_size=12))
@example(["ts,sa,da,ibyt,sa", f"1,{INSIDE},{THERE},1,x"])
@example([*ZEEK, zeek(INSIDE, THERE, 1).replace(str(NOW - 60), "1e308")])
def test_no_line_does_harm(lines: list[str]) -> None:
    found, counts = read(lines)
    assert counts.lines == len(lines)
    assert counts.about == len(found)
    assert counts.about + counts.passed + counts.all_wrong <= len(lines)
    for flow in found:
        assert flow.supplier in {"printer", "branch"}
        assert flow.sent == UNSIZED or 0 < flow.sent <= 2**53
