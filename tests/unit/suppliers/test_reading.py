# ruff: noqa: E501 - the table of mistakes is read line by line
"""Estate files with every kind of mistake: each is told with its file, line and reason, all of them in one go."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from keten.core.errors import Invalid
from keten.suppliers.estate import Estate
from keten.suppliers.mistakes import MAX_TOLD
from keten.suppliers.reading import parse, read_file
from tests.unit.suppliers.instances import ESTATE, digest_line, key_line, line_of

BATCH = key_line("batch")
ECDSA = generate_private_key(SECP256R1()).public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
ID = "lowercase letters, digits, '.', '_' and '-'"


def mistakes(text: str | bytes) -> list[str]:
    """The lines of the refusal, without the file's name."""
    content = text.encode() if isinstance(text, str) else text
    with pytest.raises(Invalid) as caught:
        parse(content, "estate.yaml")
    assert caught.value.code == "estate"
    lines = caught.value.public.split("\n")
    assert all(line.startswith("estate.yaml:") for line in lines)
    return [line.removeprefix("estate.yaml:") for line in lines]


def test_the_file_of_the_contract_is_right() -> None:
    estate = parse(ESTATE.encode(), "estate.yaml")
    assert isinstance(estate, Estate)
    assert estate.file == "estate.yaml"
    assert estate.grants[0].line == line_of("id: voters-for-drukwerk")
    assert estate.suppliers[1].clients[0].line == line_of("id: vervoer-app")
    assert estate.grants[0].budget is not None
    assert (estate.grants[0].budget.records, estate.grants[0].budget.per) == (250000, "day")
    assert estate.contracts[0].countries == ("NL", "BE")
    assert estate.contracts[0].starts == "2026-01-01"


# What is replaced, by what, a part of the line that is named (in the file as it then is), and the reason.
MISTAKES = [
    # keys
    ("tier: high", "teir: high", "teir: high", "unknown key 'teir'; did you mean 'tier'?"),
    ("tier: high", "teir: high", "id: drukwerk\n", "the key 'tier' is missing"),
    ("    ends: 2026-12-31\n", "", "id: vwo-2026-014", "the key 'ends' is missing"),
    ("country: NL, timezone", "land: NL, country: NL, timezone", "land: NL", "unknown key 'land'"),
    ("grants:", "grant:", "grant:", "unknown key 'grant'; did you mean 'grants'?"),
    ("organisation: {name: Gemeente Voorbeeld,", "organisation: {", "organisation", "the key 'name' is missing"),
    ("tier: high", "tier: high\n    tier: low", "tier: low", "the key 'tier' is here twice, first at line 8"),
    ("  - id: drukwerk\n", "  - <<: {id: x}\n    id: drukwerk\n", "<<", "unknown key '<<'"),
    ("email: ops@drukwerk.example", "email: o@x.example, roles: [auditor]", "o@x", "unknown role 'auditor'; it is one of contact, member"),
    # types
    ("tier: high", "tier: [high]", "tier:", "'tier' must be one value"),
    ("tier: high", "tier: {high: 1}", "tier:", "'tier' must be one value"),
    ("tier: high", "tier:", "tier:", "'tier' has no value"),
    ("tier: high", "tier: ~", "tier:", "'tier' has no value"),
    ("tier: high", "tier: null", "tier:", "'tier' has no value"),
    ("purposes: [election-cards]", "purposes: election-cards", "purposes:", "'purposes' must be a list"),
    ("purposes: [election-cards]", "purposes: [[election-cards]]", "purposes:", "an item of 'purposes' must be one"),
    ("purposes: [election-cards]", "purposes: [election-cards, ]\n    countries:", "countries:", "'countries' has nothing"),
    ("notify_within_hours: 24", "notify_within_hours: a day", "notify_", "must be a whole number such as 24"),
    ("notify_within_hours: 24", "notify_within_hours: 1.5", "notify_", "must be a whole number such as 24"),
    ("notify_within_hours: 24", "notify_within_hours: 0x10", "notify_", "must be a whole number such as 24"),
    ("notify_within_hours: 24", "notify_within_hours: 1_000", "notify_", "must be a whole number such as 24"),
    ("notify_within_hours: 24", "notify_within_hours: 1:30", "notify_", "must be a whole number such as 24"),
    ("notify_within_hours: 24", 'notify_within_hours: "24"', "notify_", "such as 24, without quotes"),
    ("notify_within_hours: 24", 'notify_within_hours: ""', "notify_", "such as 24, without quotes"),
    ("notify_within_hours: 24", "notify_within_hours: 9999999999999999", "notify_", "is too large"),
    ("people:\n  - {id: dpo", "people:\n  - dpo\n  - {id: dpo", "- dpo\n", "this must be a mapping with 'id', 'email'"),
    ("budget: {records: 250000, per: day}", "budget: 250000", "budget:", "'budget' must be a mapping with 'records', 'per'"),
    ("datasets:\n  - {id", "datasets: {id: x}\nother:\n  - {id", "datasets:", "'datasets' must be a list"),
    # ids
    ("id: vwo-2026-014", "id: VWO-2026-014", "id: VWO", f"an id has {ID}"),
    ("id: vwo-2026-014", "id: VWO-2026-014", "id: VWO", "not 'VWO-2026-014'; 'vwo-2026-014' would do"),
    ("id: dpo", "id: d/po", "id: d/po", f"an id has {ID}"),
    ("id: dpo", "id: -dpo", "id: -dpo", f"an id has {ID}"),
    ("id: dpo", "id: ..", "id: ..", f"an id has {ID}"),
    ("id: dpo", "id: dpø", "id: dpø", f"an id has {ID}"),
    ("id: dpo", f"id: {'d' * 101}", "id: ddd", f"an id has {ID}"),
    ("id: dpo", 'id: ""', 'id: ""', f"an id has {ID}"),
    ("id: dpo", 'id: "dpo "', 'id: "dpo', f"an id has {ID}"),
    ("id: dpo", f"id: {'a' * 26}", "id: aaa", "looks like one of Keten's random ids"),
    ("id: vervoer\n", "id: drukwerk\n", "id: drukwerk\n    name: Zorg", "the supplier id 'drukwerk' is used already, first at line 5"),
    ("id: vervoer-app", "id: drukwerk-batch", 'id: drukwerk-batch, keys: ["' + key_line("vervoer")[:40],
     "the client id 'drukwerk-batch' is used already, first at line 10"),
    ("id: drukwerk-ops", "id: dpo", "id: dpo, email: ops", "the person id 'dpo' is used already, first at line 3"),
    # organisation
    ("timezone: Europe/Amsterdam", "timezone: Europe/Amsterdan", "timezone", "did you mean 'Europe/Amsterdam'?"),
    ("timezone: Europe/Amsterdam", "timezone: CEST", "timezone", "unknown time zone 'CEST'"),
    ("timezone: Europe/Amsterdam", "timezone: ../../etc/passwd", "timezone", "unknown time zone"),
    ("Voorbeeld, country: NL", "Voorbeeld, country: nl", "country: nl", "did you mean 'NL'?"),
    ("Voorbeeld, country: NL", "Voorbeeld, country: UK", "country: UK", "did you mean 'GB'?"),
    ("name: Gemeente Voorbeeld", 'name: "a\\u202eb"', "name:", "a name has 1 to 200 printable characters"),
    ("name: Gemeente Voorbeeld", f"name: {'x' * 201}", "name:", "a name has 1 to 200 printable characters"),
    ("name: Drukwerk BV", 'name: "\\e[31mDrukwerk"', "[31m", "a name has 1 to 200 printable characters"),
    # people
    ("dpo@gemeente.example", "dpo", "email: dpo", "this is not an e-mail address"),
    ("dpo@gemeente.example", "dpo@gemeente", "email: dpo", "this is not an e-mail address"),
    ("dpo@gemeente.example", "a b@gemeente.example", "email: a b", "this is not an e-mail address"),
    ("dpo@gemeente.example", f"{'a' * 65}@gemeente.example", "email: aaa", "this is not an e-mail address"),
    ("dpo@gemeente.example", '"Jan <jan@x.example>"', "email:", "this is not an e-mail address"),
    ("[privacy-officer]", "[privacy-oficer]", "roles:", "unknown role 'privacy-oficer'; did you mean 'privacy-officer'?"),
    ("[privacy-officer]", "[root]", "roles:", "unknown role 'root'; "),
    ("[privacy-officer]", "[auditor, auditor]", "roles:", "'auditor' is in the list twice"),
    # suppliers and clients
    ("tier: high", "tier: hihg", "tier: hihg", "unknown tier 'hihg'; did you mean 'high'?"),
    ("tier: high", "tier: 3", "tier: 3", "unknown tier '3'; it is one of low, medium, high, critical"),
    ("country: BE\n", "country: Belgium\n", "country: Belgium", "'Belgium' is not a country's two-letter code"),
    (f'["{BATCH}"]', "[]", "keys: []", "a client has one key, or two"),
    (f'["{BATCH}"]', f'["{key_line("1")}", "{key_line("2")}", "{key_line("3")}"]', "drukwerk-batch", "a client has one key"),
    (BATCH, "ssh-rsa AAAAB3NzaC1yc2E", "ssh-rsa", "ssh-ed25519"),
    (BATCH, ECDSA, "ecdsa", "ssh-ed25519"),
    (BATCH, BATCH[:-6], "drukwerk-batch", "This is not an OpenSSH public key"),
    (BATCH, "ssh-ed25519 !!!!", "!!!!", "This is not an OpenSSH public key"),
    (BATCH, "ssh-ed25519", "drukwerk-batch", "This is not an OpenSSH public key"),
    (BATCH, digest_line(bytes(32)), "drukwerk-batch", "no key that only its owner can sign for"),
    (BATCH, "-----BEGIN OPENSSH PRIVATE KEY-----", "PRIVATE", "This is a private key"),
    (key_line("vervoer"), BATCH + " other comment", "vervoer-app", "this key is in use already, first at line 10"),
    # contracts
    ("supplier: drukwerk", "supplier: drukwrek", "supplier: drukwrek", "unknown supplier 'drukwrek'; did you mean 'drukwerk'?"),
    ("ends: 2026-12-31", "ends: 2025-12-31", "ends:", "the contract ends before it starts: it ends '2025-12-31'"),
    ("ends: 2026-12-31", "ends: 2026-01-01T00:00:00+01:00", "ends:", "the contract ends before it starts"),
    ("ends: 2026-12-31", "ends: 2026-13-31", "ends:", "'2026-13-31': there is no such day or time"),
    ("ends: 2026-12-31", "ends: 2026-02-29", "ends:", "there is no such day or time"),
    ("ends: 2026-12-31", "ends: 31-12-2026", "ends:", "write a date such as 2026-12-31"),
    ("ends: 2026-12-31", "ends: 2026-12-31T17:00:00", "ends:", "a time needs an offset"),
    ("ends: 2026-12-31", "ends: 2026-12-31T17:00:00.5Z", "ends:", "leave out the fraction"),
    ("ends: 2026-12-31", "ends: 9999-12-31", "ends:", "the year must be one of 1970 to 9998"),
    ("starts: 2026-01-01", "starts: soon", "starts:", "'soon': write a date"),
    ("purposes: [election-cards]", "purposes: []", "purposes:", "a contract needs at least one purpose"),
    ("purposes: [election-cards]", "purposes: [election-cards, Post!]", "purposes:", f"a purpose has {ID}"),
    ("countries: [NL, BE]", "countries: [NL, NL]", "countries:", "'NL' is in the list twice"),
    ("countries: [NL, BE]", "countries: []", "countries:", "an empty list is not clear; leave 'countries' out"),
    ("countries: [NL, BE]", "countries: [NL, EU]", "countries:", "'EU' is not a country's two-letter code"),
    ("notify_within_hours: 24", "notify_within_hours: -1", "notify_", "must be at least 0"),
    # datasets
    ("owner: dpo", "owner: dpa", "owner: dpa", "unknown person 'dpa'; did you mean 'dpo'?"),
    ("owner: dpo", "owner: drukwerk-ops", "owner: drukwerk-ops", "the owner must be one of the organisation's own people"),
    ("classification: confidential", "classification: geheim", "geheim", "unknown classification 'geheim'"),
    ("retention_days: 90", "retention_days: -1", "retention_days", "must be at least 0"),
    ("retention_days: 90", "retention_days: 9000000", "retention_days", "must be at least 0 and at most"),
    # grants
    ("dataset: voters", "dataset: voter", "dataset: voter\n", "unknown dataset 'voter'; did you mean 'voters'?"),
    ("contract: vwo-2026-014", "contract: vwo-2026-041", "contract: vwo", "unknown contract 'vwo-2026-041'; did you mean"),
    ("purpose: election-cards", "purpose: marketing", "purpose: marketing", "contract 'vwo-2026-014' lacks the purpose 'marketing'"),
    ("form: file", "form: fiel", "form: fiel", "unknown form 'fiel'; did you mean 'file'?"),
    ("form: file", "form: email", "form: email", "it is one of file, release, lookup, intake"),
    ("to: [drukwerk-batch]", "to: [vervoer-app]", "to:", "client 'vervoer-app' is of 'vervoer', the contract with 'drukwerk'"),
    ("to: [drukwerk-batch]", "to: [drukwerk-bach]", "to:", "unknown client or person 'drukwerk-bach'; did you mean 'drukwerk-batch'?"),
    ("to: [drukwerk-batch]", "to: [dpo]", "to:", "it is a person of the organisation, not of a supplier"),
    ("id: drukwerk-ops", "id: drukwerk-batch", "to:", "'drukwerk-batch' is a client and a person; rename one of them"),
    ("to: [drukwerk-batch]", "to: []", "to:", "an empty list is not clear; leave 'to' out when everyone of the supplier"),
    ("to: [drukwerk-batch]", "to: [drukwerk-batch, drukwerk-batch]", "to:", "'drukwerk-batch' is in the list twice"),
    ("records: 250000", "records: 0", "budget:", "'records' must be at least 1"),
    ("records: 250000", "records: -5", "budget:", "'records' must be at least 1"),
    ("per: day}", "per: year}", "budget:", "unknown period 'year'; it is one of hour, day, week, month"),
    ("records: 250000, per: day", "records: 250000", "budget:", "the key 'per' is missing"),
    ("per: day}", "per: day, then: delay}", "budget:", "'then: delay' needs 'most', the ceiling past which it stops"),
    ("per: day}", "per: day, then: later, most: 9}", "budget:", "unknown word 'later'; it is one of stop, delay, step-up"),
    ("per: day}", "per: day, then: step-up, most: 9}", "budget:", "'most' must be at least 250000"),
    ("per: day}", "per: day, most: 300000}", "budget:", "'most' goes with 'then: delay' or 'then: step-up'"),
    ("per: day}", "per: day, then: step-up, most: 300000, every: 1m}", "budget:", "'every' goes with 'then: delay'"),
    ("per: day}", "per: day, then: delay, most: 300000, every: soon}", "budget:", "'soon' is not a duration"),
    ("per: day}", "per: day, then: delay, most: 300000, every: 2d}", "budget:", "'every' must be at least 1"),
    ("tier: high", "tier: high\n    budget: {records: 9, per: day, then: step-up, most: 10}", "budget:",
     "only a grant's budget has 'then'; this one stops"),
    ("form: file\n    to: [drukwerk-batch]\n    budget: {records: 250000, per: day}", "form: lookup",
     "id: voters-for-drukwerk", "a grant of form 'lookup' needs a budget"),
    ("tier: high", "tier: high\n    networks: [10.0.0.0/7]", "networks:", "is too wide: at least /8"),
    ("tier: high", "tier: high\n    networks: [10.0.0.1/8]", "networks:", "'10.0.0.1/8' is not a network such as"),
    ("tier: high", "tier: high\n    networks: []", "networks:", "an empty list is not clear; leave 'networks' out when they are not known"),
    ("tier: high", "tier: high\n    networks: [192.0.2.0/24, '::ffff:192.0.2.0/120']", "networks:", "'192.0.2.0/24' is named already, first at line"),
    ("tier: high", "tier: high\n    hosts: [192.0.2.1]", "hosts:", "'192.0.2.1' is not a host such as"),
    ("tier: high", "tier: high\n    hosts: ['*']", "hosts:", "'*' is not a host such as"),
    ("tier: high", "tier: high\n    hosts: [a.example, A.example]", "hosts:", "'a.example' is named already, first at line"),
    ("form: file", "form: file\n    label: ../etc", "label:", "a label has letters, digits, spaces"),
    ("form: file", "form: file\n    label: .hidden", "label:", "a label has letters, digits, spaces"),
    ("form: file", 'form: file\n    label: "a\\nb"', "label:", "a label has letters, digits, spaces"),
    ("form: file", "form: file\n    label: ends in a dot.", "label:", "a label has letters, digits, spaces"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "named", "reason"), MISTAKES)
def test_a_mistake_is_told_with_line_and_reason(old: str, new: str, named: str, reason: str) -> None:
    assert old in ESTATE
    wrong = ESTATE.replace(old, new, 1)
    expected = line_of(named, wrong)
    told = mistakes(wrong)
    assert any(line.startswith(f"{expected}: ") and reason in line for line in told), told


@pytest.mark.parametrize(("old", "new", "named", "reason"), MISTAKES)
def test_one_mistake_is_told_once(old: str, new: str, named: str, reason: str) -> None:
    del named
    told = mistakes(ESTATE.replace(old, new, 1))
    assert sum(reason in line for line in told) == 1
    assert len(told) == len(set(told))


def test_where_a_suppliers_systems_are_is_kept_in_one_form() -> None:
    said = 'tier: high\n    networks: ["::ffff:192.0.2.0/120", 2001:DB8::/32, 10.1.2.3]\n    hosts: [Files.Example.org, "*.a.example"]'
    (supplier, _other) = parse(ESTATE.replace("tier: high", said).encode(), "x").suppliers
    assert supplier.hosts == ("Files.Example.org", "*.a.example")
    assert len(supplier.networks or ()) == 3


def test_all_mistakes_are_told_in_one_go_in_the_order_of_the_file() -> None:
    wrong = (
        ESTATE.replace("country: BE\n", "country: XX\n")
        .replace("tier: high", "tier: hihg")
        .replace("ends: 2026-12-31", "ends: 2025-12-31")
        .replace("owner: dpo", "owner: nobody")
        .replace("purpose: election-cards", "purpose: marketing")
        .replace("per: day", "per: eon")
    )
    told = mistakes(wrong)
    assert [int(line.split(":")[0]) for line in told] == [
        line_of(part, wrong) for part in ("hihg", "XX", "2025-12-31", "nobody", "marketing", "eon")
    ]


def test_what_follows_from_a_mistake_is_not_told_as_another() -> None:
    """Only the list of purposes is wrong, not the grant for one of them."""
    told = mistakes(ESTATE.replace("purposes: [election-cards]", "purposes: election-cards"))
    assert len(told) == 1


@pytest.mark.parametrize("nothing", ["", " \n\n", "# only a remark\n", "---\n", "---\n...\n", "~\n", "null", "\ufeff"])
def test_an_empty_file(nothing: str) -> None:
    (told,) = mistakes(nothing)
    assert told.endswith(": the file is empty")


@pytest.mark.parametrize("content", ["- a\n- b\n", "hello", "42", "[]", '"a: b"'])
def test_something_else_than_an_estate(content: str) -> None:
    assert mistakes(content) == ["1: an estate must be a mapping with 'organisation'"]


def test_the_smallest_estate() -> None:
    estate = parse(b"organisation: {name: A, country: NO, timezone: UTC}\n", "small.yaml")
    assert estate.organisation.country == "NO"  # and not False
    assert (estate.people, estate.suppliers, estate.grants) == ((), (), ())
    assert parse(b"organisation: {name: A, country: NL, timezone: UTC}\nsuppliers: []\n", "x").suppliers == ()


@pytest.mark.parametrize(
    "text",
    [
        ESTATE.replace("name: Drukwerk BV", 'name: "Drukwerk BV"'),
        ESTATE.replace("name: Drukwerk BV", "name: >-\n      Drukwerk\n      BV"),
        ESTATE.replace("\n", "\r\n"),
        "\ufeff" + ESTATE,
        "%YAML 1.1\n---\n" + ESTATE + "...\n",
    ],
)
def test_other_ways_of_writing_the_same(text: str) -> None:
    assert parse(text.encode(), "estate.yaml").suppliers[0].name == "Drukwerk BV"


def test_words_that_yaml_takes_for_something_else_stay_words() -> None:
    text = ESTATE.replace("name: Drukwerk BV", "name: yes").replace("name: Zorgvervoer Zuid", "name: 007")
    estate = parse(text.encode(), "estate.yaml")
    assert [supplier.name for supplier in estate.suppliers] == ["yes", "007"]


def test_lines_are_those_of_the_editor_also_with_carriage_returns() -> None:
    wrong = ESTATE.replace("tier: high", "tier: hihg")
    assert mistakes(wrong.replace("\n", "\r\n")) == mistakes(wrong)


def test_no_message_repeats_what_may_be_personal_or_secret() -> None:
    wrong = ESTATE.replace("dpo@gemeente.example", "jan.de.vries@thuis").replace(BATCH, "ssh-ed25519 AAAASecret")
    assert not [line for line in mistakes(wrong) if "vries" in line or "AAAASecret" in line]


def test_what_is_quoted_cannot_steer_a_terminal() -> None:
    told = mistakes(ESTATE.replace("tier: high", 'tier: "\\e[2J\\u202e"'))
    assert all(line.isprintable() for line in told)
    assert "\\x1b[2J\\u202e" in told[0]


def test_a_flood_of_mistakes_is_counted_beyond_a_thousand() -> None:
    told = mistakes("organisation: {name: A, country: NL, timezone: UTC}\ngrants:\n" + "  - {id: A}\n" * 2000)
    assert len(told) == MAX_TOLD + 1
    assert told[-1].endswith("more mistakes; correct these first")


def test_a_file_is_read_from_disk(tmp_path: Path) -> None:
    path = tmp_path / "estate.yaml"
    path.write_text(ESTATE)
    assert read_file(path).file == str(path)
    path.write_text(ESTATE.replace("tier: high", "tier: hihg"))
    with pytest.raises(Invalid) as caught:
        read_file(path)
    assert caught.value.public.startswith(f"{path}:8: unknown tier")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.yaml", tmp_path):
        with pytest.raises(Invalid) as caught:
            read_file(path)
        assert caught.value.code == "estate"
        assert str(path) in caught.value.public


def test_a_file_that_never_ends_is_refused() -> None:
    endless = Path("/dev/zero")
    if not endless.exists():
        pytest.skip("no /dev/zero here")
    with pytest.raises(Invalid, match="larger than 64 MiB"):
        read_file(endless)
