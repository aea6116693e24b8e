"""What `docs/formats/controls.md` says of ways in, guessing, sessions and circumstances is what the code does."""

from __future__ import annotations

import re

import msgspec
import pytest

from keten.core.provider import Provider
from keten.core.settings import Limits
from keten.identity import ceremonies, failures, links, person_sessions, strangers, tokens
from keten.identity.recovery.model import Limits as Recovering
from keten.identity.to_tell import UNUSUAL
from keten.keeper import evenly, people_verbs, protocol
from keten.keeper.people_protocol import SessionOpened
from keten.keeper.provider_protocol import ProviderOpened
from tests.architecture.checkout import ROOT
from tests.architecture.node_ids import exists

TEXT = (ROOT / "docs" / "formats" / "controls.md").read_text(encoding="utf-8")
FLAT = " ".join(TEXT.split())
SECOND_US, MINUTE_US, HOUR_US = 1_000_000, 60_000_000, 3_600_000_000
OPENS = (SessionOpened, ProviderOpened, protocol.SessionOpened, protocol.TokenGranted)
"""What gives a session or a token."""


REGISTER = (
    "principal",
    "supplier",
    "dataset",
    "content",
    "grant",
    "contract",
    "has_grant",
    "known",
    "checked",
    "mismatch",
)
"""How attributes begin that are of the register's rows, and of whether these hold."""
SAID = {"time_us": "moment", "country": "`country`", "purpose": "`purpose`", "action": "operation"}
"""The other attributes of a decision, and what the document calls them."""


def section(name: str) -> str:
    return TEXT.partition(f"\n## {name}\n")[2].partition("\n## ")[0]


def test_every_way_in_is_documented_and_no_other() -> None:
    verbs = protocol.GATEWAY_VERBS | protocol.CONSOLE_VERBS | protocol.OPERATOR_VERBS
    assert set(re.findall(r"^\| `([a-z_.]+)` \|", section("Ways in"), re.MULTILINE)) == {
        verb for verb, (_asked, answered) in verbs.items() if answered in OPENS
    }


def test_no_other_answer_holds_a_session_or_a_token() -> None:
    """So the types above are all that can open something: no other answer has a field with such a name."""
    verbs = protocol.GATEWAY_VERBS | protocol.CONSOLE_VERBS | protocol.OPERATOR_VERBS
    names = {"session", "access_token", "token"}
    found = {
        verb
        for verb, (_asked, answered) in verbs.items()
        if answered not in OPENS and names & {one.name for one in msgspec.structs.fields(answered)}
    }
    assert found == {"people.invite"}, "a link's secret, with which one makes a passkey"


@pytest.mark.parametrize(
    "said",
    [
        f"after {failures.IN_A_ROW} failures in a row",
        f"it waits: {failures.FIRST_US // SECOND_US} s",
        f"{failures.LONGEST_US // SECOND_US:,} s at most",
        f"forgotten after {failures.FORGOTTEN_US // HOUR_US} hours",
        f"{int(evenly.FAILED_SECONDS * 1000)} ms after it was asked",
        f"{ceremonies.MAX_CEREMONIES:,} ceremonies at once, {ceremonies.MAX_OF_NETWORK} from one network",
        f"each ends after {ceremonies.LASTS_US // SECOND_US} s",
        f"{strangers.SINGLE_PER_KEY} of a kind a minute",
        f"72 hours unless said otherwise, {links.HOURS[-1] // 24} days at most",
        f"once, {Recovering().code_us // HOUR_US} hours, after two",
        f"for {Recovering().reduced_us // HOUR_US} hours one may only look",
        f"{person_sessions.MAX_OF_PERSON} sessions of one person",
        f"at most {people_verbs.RECENT_US // MINUTE_US} minutes ago",
        f"{Limits().token_seconds // 60} minutes (`limits.token_seconds`,",
        f"{tokens.MAX_LIFETIME_S // 60} minutes at most)",
        f"{Limits().sftp_session_hours} hours (`limits.sftp_session_hours`)",
    ],
)
def test_every_number_is_the_codes(said: str) -> None:
    assert said in FLAT


def test_how_long_sessions_last_is_the_codes() -> None:
    rows = re.findall(r"^\| (.+?) \| (\d+) minutes \| (\d+) hours \|$", section("Sessions"), re.MULTILINE)
    strict, others = ((int(idle) * MINUTE_US, int(most) * HOUR_US) for _whose, idle, most in rows)
    for role in person_sessions.STRICT:
        assert person_sessions.limits_of((role,)) == strict
        assert role.replace("-", " ") in rows[0][0]
    assert person_sessions.limits_of(("auditor",)) == others


def test_how_sessions_go_with_the_providers_is_said() -> None:
    said = " ".join(section("Sessions").partition("**With a provider**")[2].split())
    ends = {person_sessions.limits_of((role,))[1] // HOUR_US for role in ("administrator", "auditor")}
    assert f"after {min(ends)} or {max(ends)} hours at the latest" in said
    assert "`max_age`" in said
    assert "max_age" in {one.name for one in msgspec.structs.fields(Provider)}
    for what in ("the person in Keten ends it at once", "out of the settings ends every session", "does not sign out"):
        assert what in said


def test_every_circumstance_of_a_decision_is_documented() -> None:
    """What policies look at that is the request's own; all else is of rows of the register, and named after them."""
    schema = (ROOT / "src" / "keten" / "policy" / "policies" / "schema.cedarschema").read_text(encoding="utf-8")
    asked = schema.partition("type Asked = {")[2].partition("}")[0]
    own = {name for name in re.findall(r"^ +([a-z_]+): ", asked, re.MULTILINE) if not name.startswith(REGISTER)}
    assert own == set(SAID)
    circumstances = section("What of the circumstances counts")
    assert [name for name, said in SAID.items() if f"\n| {said} |" not in circumstances] == []


def test_whatever_is_unusual_is_documented() -> None:
    said = {
        "passkey-copied": "a passkey whose count went back",
        "passkey-ended": "one that was ended",
        "session-elsewhere": "a session in another browser",
        "network-listed": "a sign-in from a listed network",
    }
    assert set(said) == UNUSUAL
    assert all(text in FLAT for text in said.values())


def test_of_each_field_that_not_everybody_sees_a_test_is_named() -> None:
    rows = re.findall(r"^\| (.+) \|$", section("Who may see or change which field"), re.MULTILINE)[2:]
    named = [row.rpartition(" | ")[2].strip("`") for row in rows]
    assert len(named) > 8
    assert [node for node in named if not exists(node)] == []
