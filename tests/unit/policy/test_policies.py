"""Each shipped policy: what it forbids, its sentences, its place in the documents; and that a bad set is refused."""

import re
from pathlib import Path

import msgspec
import pytest

from keten.core.errors import Invalid
from keten.policy.documentation import policies_page
from keten.policy.engine import Engine
from keten.policy.model import Allow, Attributes, Deny
from keten.policy.policyset import PolicySet, Source, parse, shipped
from keten.policy.reasons import REASONS, in_order
from tests.unit.policy.worlds import ALLOWED, DAY, END, NOW, OTHER, START, changed

FORMATS = Path(__file__).parents[3] / "docs" / "formats"

# One attribute changed from a slice that is allowed: the reasons, and the policy that gives them.
FLIPS: list[tuple[dict[str, object], tuple[str, ...], str]] = [
    ({"known": False}, ("absent",), "absent"),
    ({"checked": False}, ("register-mismatch",), "register-mismatch"),
    ({"principal_standing": "ended"}, ("revoked", "client-ended"), "client-ended"),
    ({"principal_standing": "blocked"}, ("principal-blocked",), "principal-blocked"),
    ({"principal_standing": ""}, ("principal-blocked",), "principal-blocked"),
    ({"supplier_active": False}, ("revoked", "supplier-ended"), "supplier-ended"),
    ({"principal_standing": "suspended"}, ("suspended",), "principal-suspended"),
    ({"supplier_unfrozen": False}, ("supplier-frozen",), "supplier-frozen"),
    ({"dataset_active": False}, ("revoked", "dataset-ended"), "dataset-ended"),
    ({"dataset_classification": "secret"}, ("classification-not-allowed",), "classification-not-allowed"),
    ({"dataset_classification": "Internal"}, ("classification-not-allowed",), "classification-not-allowed"),
    ({"content_expires_us": NOW}, ("content-expired",), "content-expired"),
    ({"has_grant": False}, ("no-grant",), "file-grant lookup-grant"),
    ({"grant_active": False}, ("revoked",), "grant-revoked"),
    ({"grant_confirmed_until_us": NOW}, ("not-confirmed",), "not-confirmed"),
    ({"grant_confirmed_until_us": 0}, ("not-confirmed",), "not-confirmed"),
    ({"grant_form": "lookup"}, ("form-not-file",), "form-not-file"),
    ({"grant_form": "release", "action": "list"}, ("form-not-file",), "form-not-file"),
    ({"action": "lookup"}, ("form-not-lookup",), "form-not-lookup"),
    ({"grant_purpose": "care"}, ("purpose-not-covered",), "purpose-not-covered"),
    ({"grant_to": ()}, ("not-addressed",), "not-addressed"),
    ({"principal": OTHER}, ("not-addressed",), "not-addressed"),
    ({"contract_active": False}, ("revoked",), "contract-revoked"),
    ({"contract_starts_us": NOW + 1}, ("contract-not-started",), "contract-not-started"),
    ({"contract_ends_us": NOW}, ("contract-ended",), "contract-ended"),
    ({"contract_purposes": ("care",)}, ("purpose-not-covered",), "purpose-not-covered"),
    ({"purpose": "care"}, ("purpose-not-covered",), "purpose-not-covered"),
    ({"country": "US"}, ("country-not-allowed",), "country-not-allowed"),
    ({"country": "nl"}, ("country-not-allowed",), "country-not-allowed"),
    ({"country": ""}, ("country-unknown",), "country-unknown"),
]
# What is allowed beside the plain case.
WIDER: list[dict[str, object]] = [
    {},
    {"action": "list"},
    {"action": "list", "grant_form": "lookup"},
    {"action": "lookup", "grant_form": "lookup"},
    {"country": "BE"},
    {"content_unlimited": True, "content_expires_us": 0},
    {"grant_to_all": True, "grant_to": ()},
    {"grant_lasting": True, "grant_confirmed_until_us": 0},
    {"grant_confirmed_until_us": NOW + 1},
    {"contract_any_country": True, "contract_countries": (), "country": ""},
    {"dataset_classification": "public"},
    {"dataset_classification": "internal"},
    {"contract_starts_us": -DAY},
    {"contract_purposes": ("care", "election-cards")},
]


@pytest.mark.parametrize(("fields", "reasons", "policy"), FLIPS, ids=[str(flip[0]) for flip in FLIPS])
def test_one_change_is_refused_for_its_own_reason(
    engine: Engine, fields: dict[str, object], reasons: tuple[str, ...], policy: str
) -> None:
    assert engine.decide(changed(**fields)) == Deny(reasons, tuple(policy.split()))


@pytest.mark.parametrize("fields", WIDER, ids=str)
def test_what_is_allowed(engine: Engine, fields: dict[str, object]) -> None:
    decision = engine.decide(changed(**fields))
    assert isinstance(decision, Allow)
    assert decision.policies == ("lookup-grant" if fields.get("grant_form") == "lookup" else "file-grant",)


@pytest.mark.parametrize(
    "fields",
    [{"known": False}, {"has_grant": False}, {"grant_active": False}, {"grant_form": "lookup"}, {"grant_to": ()}],
    ids=str,
)
def test_the_permit_does_not_lean_on_the_forbids(fields: dict[str, object]) -> None:
    """Said twice on purpose: were every forbid gone but one, what no grant covers would still be refused."""
    source = shipped()
    kept = {name: source.policies[name] for name in ("file-grant", "country-unknown")}
    bare = Engine(PolicySet(Source(source.schema, kept)))
    assert isinstance(bare.decide(ALLOWED), Allow)
    assert bare.decide(changed(**fields)) == Deny(("no-grant",), ("file-grant",))


def test_every_policy_is_in_the_table(engine: Engine) -> None:
    assert {policy for _, _, policies in FLIPS for policy in policies.split()} == set(engine.policies)


def test_every_reason_has_a_policy_or_is_an_error(engine: Engine) -> None:
    said = {code for policy in engine.policies.values() for code in policy.reasons}
    assert set(REASONS) - said == {"policy-error"}


@pytest.mark.parametrize(
    ("field", "moment", "before", "at"),
    [
        ("contract_starts_us", START, "contract-not-started", None),
        ("contract_ends_us", END, None, "contract-ended"),
        ("content_expires_us", NOW + DAY, None, "content-expired"),
        ("grant_confirmed_until_us", NOW + DAY // 2, None, "not-confirmed"),
    ],
)
def test_boundaries_hold_to_the_microsecond(
    engine: Engine, field: str, moment: int, before: str | None, at: str | None
) -> None:
    unlimited = {"content_unlimited": field != "content_expires_us"}
    unlimited |= {"grant_lasting": field != "grant_confirmed_until_us"}
    plain = changed(**unlimited, **{field: moment})
    for time_us, reason in ((moment - 1, before), (moment, at), (moment + 1, at)):
        decision = engine.decide(changed(plain, time_us=time_us))
        assert (decision.reasons if isinstance(decision, Deny) else None) == ((reason,) if reason else None)


def test_an_allow_ends_at_the_nearest_end(engine: Engine) -> None:
    assert engine.decide(ALLOWED) == Allow(NOW + DAY, ("file-grant",))
    assert engine.decide(changed(content_expires_us=END + 1)) == Allow(END, ("file-grant",))
    assert engine.decide(changed(grant_confirmed_until_us=NOW + 7)) == Allow(NOW + 7, ("file-grant",))
    assert engine.decide(changed(grant_confirmed_until_us=END + 1, content_unlimited=True)) == Allow(
        END, ("file-grant",)
    )
    assert engine.decide(changed(content_unlimited=True)) == Allow(END, ("file-grant",))


def test_all_reasons_are_given_the_most_telling_first(engine: Engine) -> None:
    decision = engine.decide(
        changed(country="", principal_standing="ended", contract_ends_us=1, contract_starts_us=END, purpose="x")
    )
    assert isinstance(decision, Deny)
    assert decision.reasons == (
        "revoked",
        "client-ended",
        "contract-ended",
        "contract-not-started",
        "purpose-not-covered",
        "country-unknown",
    )
    assert decision.policies == decision.reasons[1:]


def test_nothing_known_is_refused(engine: Engine) -> None:
    assert engine.decide(Attributes()).policies == ()
    assert engine.decide(Attributes(action="open", time_us=NOW)) == Deny(("register-mismatch",), ("register-mismatch",))
    assert engine.decide(Attributes(action="open", time_us=NOW, checked=True)) == Deny(("absent",), ("absent",))


def test_the_schema_knows_exactly_the_attributes() -> None:
    declared = re.findall(r"^ {8}(\w+): (?:String|Long|Bool|Set<String>),$", shipped().schema, re.MULTILINE)
    assert declared == list(Attributes.__struct_fields__)


def test_sentences_are_complete_in_both_languages(engine: Engine) -> None:
    assert set(engine.sentences) == set(engine.policies)
    said = [sentence for both in engine.sentences.values() for sentence in both.values()]
    said += [sentence for reason in REASONS.values() for sentence in (reason.en, reason.nl)]
    assert len(said) == len(set(said)) == 2 * (len(engine.policies) + len(REASONS))
    for sentence in said:
        assert re.fullmatch(r"[A-Z][^.]{15,}\.", sentence), sentence
    assert all(set(both) == {"en", "nl"} for both in engine.sentences.values())


def test_the_page_of_policies_is_as_shipped(engine: Engine) -> None:
    page = (FORMATS / "policies.md").read_text(encoding="utf-8")
    assert page == policies_page(engine), "run: python -m keten.policy.documentation > docs/formats/policies.md"


def test_the_page_of_reasons_has_ours_word_for_word() -> None:
    page = (FORMATS / "reasons.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z-]+)` \| (.+?) \| (.+?) \|$", page, re.MULTILINE)
    codes = [code for code, _, _ in rows]
    assert len(codes) == len(set(codes))
    listed = {code: (en, nl) for code, en, nl in rows}
    assert {code: listed.get(code) for code in REASONS} == {
        code: (reason.en, reason.nl) for code, reason in REASONS.items()
    }


def test_reasons_are_ordered_and_said_once() -> None:
    assert in_order(["country-unknown", "revoked", "country-unknown"]) == ("revoked", "country-unknown")
    with pytest.raises(KeyError):
        in_order(["made-up"])


# ---- sets that must be refused -------------------------------------------------------------------------------------


def with_policy(name: str, text: str | None) -> Source:
    """The shipped set with one policy replaced, added or (None) left out."""
    source = shipped()
    policies = {key: value for key, value in source.policies.items() if key != name}
    return Source(source.schema, policies | ({name: text} if text is not None else {}))


def rule(name: str, reason: str = "revoked", body: str = "context.known", en: str = "No.", nl: str = "Nee.") -> str:
    """The text of a policy."""
    return (
        f'@id("{name}") @reason("{reason}") @en("{en}") @nl("{nl}")\n'
        f"forbid (principal, action, resource) when {{ {body} }};"
    )


def test_a_good_policy_may_be_added() -> None:
    added = Engine(PolicySet(with_policy("extra", rule("extra", body='context.country == "NL"'))))
    decision = added.decide(ALLOWED)
    assert isinstance(decision, Deny)
    assert decision == Deny(("revoked",), ("extra",))
    assert added.explain(decision.policies) == {"extra": {"en": "No.", "nl": "Nee."}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (rule("other"), "@id is 'other'"),
        (rule("extra", reason="because"), "known codes"),
        (rule("extra", reason=""), "known codes"),
        (rule("extra", en=""), "both languages"),
        (rule("extra", nl="nee"), "both languages"),
        (rule("extra") + rule("extra"), "one policy"),
        ("", "one policy"),
        ("// nothing but a comment", "one policy"),
        ("forbid (principal, action, resource);", "annotations"),
        ("forbid (principal, action", "extra"),
        (rule("extra").replace("(principal,", "(principal == ?principal,"), "template"),
        (rule("extra", body="context.principal_blocked"), "principal_blocked"),
        (rule("extra", body="context.time_us == context.country"), "extra"),
        (rule("extra", body="principal.name == context.country"), "name"),
        (rule("extra").replace("(principal, action,", '(principal, action == Keten::Action::"wipe",'), "wipe"),
    ],
)
def test_a_bad_policy_is_refused_by_name(text: str, said: str) -> None:
    with pytest.raises(Invalid) as caught:
        PolicySet(with_policy("extra", text))
    assert caught.value.code == "policy-set"
    assert said in caught.value.reason


def test_a_set_needs_permit_forbid_and_schema() -> None:
    source = shipped()
    for broken in (
        Source(source.schema, {k: v for k, v in source.policies.items() if not k.endswith("-grant")}),
        Source(source.schema, {"file-grant": source.policies["file-grant"]}),
        Source(source.schema, {}),
        Source("", source.policies),
        Source("entity {", source.policies),
    ):
        with pytest.raises(Invalid):
            PolicySet(broken)


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"schema": "x"}', "\ud800", '{"schema":1,"policies":{}}'])
def test_a_text_that_is_no_set_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        Engine.from_text(text)


def test_the_text_of_a_set_has_one_form() -> None:
    text = shipped().text()
    assert parse(text).text() == text
    reordered = msgspec.json.encode(msgspec.json.decode(text), order=None).decode().replace("{", "{ ", 1)
    with pytest.raises(Invalid, match="not usable"):
        parse(reordered)


def test_the_hash_is_of_every_text(engine: Engine) -> None:
    assert Engine.from_text(engine.text).hash == engine.hash == Engine().hash
    comment = shipped().policies["absent"] + "\n// a comment"
    assert Engine(PolicySet(with_policy("absent", comment))).hash != engine.hash
    schema = Source(shipped().schema + "\n", shipped().policies)
    assert Engine(PolicySet(schema)).hash != engine.hash
