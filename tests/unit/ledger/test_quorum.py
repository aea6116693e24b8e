"""Policies: who must cosign, and mistakes by file and line."""

from __future__ import annotations

from itertools import combinations

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from keten.core.errors import Invalid
from keten.core.settings import Settings, Witnesses
from keten.ledger.cosignatures import Cosigner
from keten.ledger.notes import Signer, Verifier
from keten.ledger.quorum import Policy, load_policy, parse_policy

LOG = Signer("log.example", Ed25519PrivateKey.from_private_bytes(b"\x01" * 32))
COSIGNERS = {
    name: Cosigner(f"w.example/{name}", Ed25519PrivateKey.from_private_bytes(bytes([2 + at]) * 32))
    for at, name in enumerate(("X1", "X2", "X3", "Y1", "Y2"))
}
LONG = Cosigner("w.example/" + "x" * 300, Ed25519PrivateKey.from_private_bytes(b"\x0a" * 32))
KEYS = {name: one.key.verifier_key() for name, one in COSIGNERS.items()}
EXAMPLE = f"""# two organisations
log {LOG.verifier_key()}   https://log.example/ledger

\twitness X1 {KEYS["X1"]} https://x.example/one
witness X2 {KEYS["X2"]}
witness X3 {KEYS["X3"]}
group X-witnesses 2 X1 X2 X3
witness Y1 {KEYS["Y1"]}
witness Y2 {KEYS["Y2"]}
group Y-witnesses any Y1 Y2
group both all X-witnesses Y-witnesses
quorum both
"""


def read(text: str) -> Policy:
    return parse_policy(text.encode(), "the.policy")


def labels(*names: str) -> set[str]:
    return {COSIGNERS[name].key.label for name in names}


def test_every_set_of_witnesses() -> None:
    policy = read(EXAMPLE)
    for count in range(len(COSIGNERS) + 1):
        for names in combinations(COSIGNERS, count):
            enough = sum(name.startswith("X") for name in names) >= 2 and any(name.startswith("Y") for name in names)
            assert policy.satisfied(labels(*names) | {"stranger+00000000"}) is enough, names
    assert [one.url for one in policy.witnesses][:2] == ["https://x.example/one", ""]
    assert policy.is_of(Verifier.parse(LOG.verifier_key()))
    assert not policy.is_of(Verifier.parse(Signer("log.example", Ed25519PrivateKey.generate()).verifier_key()))


def test_small_policies() -> None:
    assert read("quorum none\n").satisfied(())
    assert read("quorum none").is_of(Verifier.parse(LOG.verifier_key()))
    one = read(f"witness a {KEYS['X1']}\nquorum a\n")
    assert one.satisfied(labels("X1"))
    assert not one.satisfied(labels("X2"))
    many = "\n".join(f"witness w{at} {key}" for at, key in enumerate(KEYS.values()))
    assert read(f"{many}\ngroup g 5 w0 w1 w2 w3 w4\nquorum g").satisfied(labels(*COSIGNERS))


W = f"witness a {KEYS['X1']}\nwitness b {KEYS['X2']}\n"


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("", 1, "no quorum"),
        (W, 3, "no quorum"),
        (f"{W}quorum c\n", 3, "no witness or group 'c'"),
        (f"{W}quorum g\ngroup g any a b\n", 3, "no witness or group 'g'"),
        (f"{W}quorum a\nquorum b\n", 4, "already"),
        (f"{W}quorum\n", 3, "must be: quorum"),
        (f"{W}quorum a b\n", 3, "must be: quorum"),
        (f"{W}group g 3 a b\nquorum g\n", 3, "cannot be needed"),
        (f"{W}group g 0 a b\nquorum g\n", 3, "cannot be needed"),
        (f"{W}group g 01 a b\nquorum g\n", 3, "cannot be needed"),
        (f"{W}group g some a b\nquorum g\n", 3, "cannot be needed"),
        (f"{W}group g any\nquorum g\n", 3, "must be: group"),
        (f"{W}group g any a a\nquorum g\n", 3, "in a group already"),
        (f"{W}group g any a\ngroup h any a b\nquorum h\n", 4, "in a group already"),
        (f"{W}group g any none\nquorum g\n", 3, "'none'"),
        (f"{W}group a any b\nquorum a\n", 3, "taken"),
        (f"witness none {KEYS['X1']}\nquorum none\n", 1, "taken"),
        (f"{W}witness a {KEYS['X3']}\nquorum a\n", 3, "taken"),
        (f"{W}witness c {KEYS['X1']}\nquorum a\n", 3, "key is there already"),
        (f"witness a {LOG.verifier_key()}\nquorum a\n", 1, "type 0x04"),
        (f"log {KEYS['X1']}\nquorum none\n", 1, "Ed25519"),
        (f"log {LOG.verifier_key()}\nlog {LOG.verifier_key()}\nquorum none\n", 2, "already"),
        (f"witness a {LONG.key.verifier_key()}\nquorum a\n", 1, "too long"),
        ("witness a\nquorum a\n", 1, "must be: witness"),
        ("witness a nonsense\nquorum a\n", 1, "not a verifier key"),
        ("Quorum none\n", 1, "begins with"),
        ("quorum none\r\n", 1, "control character"),
        ("quorum\x0bnone\n", 1, "control character"),
    ],
)
def test_a_mistake_is_named(text: str, line: int, reason: str) -> None:
    with pytest.raises(Invalid) as raised:
        read(text)
    assert raised.value.public.startswith(f"the.policy:{line}: ")
    assert reason in raised.value.public


WORDS = st.sampled_from(
    ["log", "witness", "group", "quorum", "none", "a", "b", "any", "all", "1", KEYS["X1"], "#", "\t"]
)


@given(lines=st.lists(st.lists(WORDS, max_size=5).map(" ".join), max_size=6), tail=st.binary(max_size=20))
def test_whatever_is_read_is_a_policy_or_a_named_mistake(lines: list[str], tail: bytes) -> None:
    found, mistake = None, ""
    try:
        found = parse_policy("\n".join(lines).encode() + tail, "the.policy")
    except Invalid as error:
        mistake = error.public
    assert mistake.startswith("the.policy:") if found is None else found.satisfied(()) is (found.quorum == "none")


def test_from_the_settings(tmp_path: object) -> None:
    settings = Settings(home=str(tmp_path))
    assert load_policy(settings) is None
    settings = msgspec.structs.replace(settings, witnesses=Witnesses(policy="w.policy"))
    with pytest.raises(Invalid, match="cannot be read"):
        load_policy(settings)
    with (settings.paths.home / "w.policy").open("wb") as file:
        file.write(EXAMPLE.encode() + b"# \xff\xfe opaque\n")
    found = load_policy(settings)
    assert found is not None
    assert found.quorum == "both"
