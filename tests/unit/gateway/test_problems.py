"""Problem documents: one form, two languages, and nothing that tells absent from forbidden."""

from __future__ import annotations

import msgspec
import pytest

from keten.core.errors import BY_CATEGORY, Busy, Corrupt, Denied, Invalid, KetenError, NotFound, Unavailable
from keten.gateway.problems import (
    BY_CATEGORY as KINDS_BY_CATEGORY,
)
from keten.gateway.problems import (
    KINDS,
    Problem,
    body_of,
    prefers_dutch,
    problem_of,
)
from keten.identity.pace import Slowed


def test_every_category_of_errors_has_a_kind_of_problem() -> None:
    assert set(KINDS_BY_CATEGORY) == set(BY_CATEGORY)
    assert set(KINDS_BY_CATEGORY.values()) <= set(KINDS)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotFound("absent", "x", "no-grant"), 404),
        (Denied("proof-expired", "x"), 401),
        (Invalid("malformed", "x"), 400),
        (Invalid("range-unsatisfiable", "x"), 416),
        (Busy("too-many", "x"), 429),
        (Unavailable("keeper-unreachable", "x"), 503),
        (Corrupt("content-damaged", "x"), 500),
        (KetenError("keeper-error", "x"), 500),
    ],
)
def test_status_of_an_error(error: KetenError, status: int) -> None:
    assert problem_of(error).status == status


def test_absent_and_forbidden_are_one_document() -> None:
    documents = [
        body_of(problem_of(NotFound(code, public, reason)), "/v1/objects/x", "r", dutch=False)
        for code, public, reason in [("absent", "a", ""), ("no-grant", "b", "secret"), ("contract-ended", "c", "why")]
    ]
    assert len(set(documents)) == 1
    assert b"secret" not in documents[0]


@pytest.mark.parametrize("code", ["keys", "case", "columns", "record-key", "more-records", "more-why", "more-case"])
def test_what_is_wrong_with_ones_own_request_is_told(code: str) -> None:
    problem = problem_of(Invalid(code, "public", "the private reason"))
    plain = problem_of(Invalid("cursor", "public"))
    for dutch in (False, True):
        said, short = (msgspec.json.decode(body_of(one, "/", "r", dutch=dutch)) for one in (problem, plain))
        assert (said["status"], said["code"]) == (400, code)
        assert said["detail"].startswith(short["detail"])
        assert len(said["detail"]) > len(short["detail"])
        assert "code" not in short


def test_the_private_reason_is_never_shown() -> None:
    for kind in (Denied, NotFound, Invalid, Busy, Unavailable, Corrupt):
        problem = problem_of(kind("code", "public", "the private reason"))
        assert b"private" not in body_of(problem, "/", "r", dutch=False)
        assert not any(b"private" in value for _name, value in problem.headers)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_problem_speaks_both_languages(kind: str) -> None:
    english, dutch = (msgspec.json.decode(body_of(Problem(kind), "/x", "r", dutch=one)) for one in (False, True))
    assert english["status"] == dutch["status"] == KINDS[kind].status
    assert english["title"] != dutch["title"]
    assert english["detail"] != dutch["detail"]
    assert english["type"] == f"urn:keten:problem:{kind}"


@pytest.mark.parametrize(
    ("header", "dutch"),
    [
        ("", False),
        ("nl", True),
        ("nl-BE", True),
        ("en, nl", False),
        ("nl, en", True),
        ("en;q=0.5, nl;q=0.8", True),
        ("nl;q=0", False),
        ("fr, nl;q=0.1", True),
        ("nl;q=nan", False),
        ("nl;q=inf", False),
        ("nl;q=2", False),
        (",;,=;", False),
        ("*", False),
    ],
)
def test_accept_language(header: str, dutch: bool) -> None:
    assert prefers_dutch(header) is dutch


def test_a_challenge_names_the_error_and_the_nonce() -> None:
    error = Denied("use_dpop_nonce", "x")
    vars(error)["data"] = {"nonce": "n-1"}
    headers = dict(problem_of(error).headers)
    assert headers[b"www-authenticate"].startswith(b'DPoP error="use_dpop_nonce"')
    assert headers[b"dpop-nonce"] == b"n-1"
    assert b"invalid_dpop_proof" in dict(problem_of(Denied("proof-replayed", "x")).headers)[b"www-authenticate"]
    assert b"invalid_token" in dict(problem_of(Denied("token-expired", "x")).headers)[b"www-authenticate"]


def test_who_was_slowed_down_is_told_for_how_long() -> None:
    slowed = problem_of(Slowed(17))
    assert (slowed.status, slowed.code, slowed.retry_after) == (429, "slowed", "17")
    other = problem_of(Busy("too-many-parallel", "Too many at once."))
    assert (other.status, other.code, other.retry_after) == (429, "", "")


def test_a_budget_that_is_used_up_says_what_until_when_and_where_to_ask() -> None:
    data = {"scope": "grant", "budget": "300", "left": "0", "per": "day", "until": "2026-11-29T23:00:00Z"}
    for code, error in (
        ("budget-spent", Busy("budget-spent", "x")),
        ("budget-slow", Busy("budget-slow", "x")),
        ("budget-step-up", Denied("budget-step-up", "x")),
    ):
        vars(error)["data"] = data | {"share": "a" * 26, "retry_after": "42"}
        problem = problem_of(error)
        document = msgspec.json.decode(body_of(problem, "/", "r", dutch=False))
        assert (document["code"], document["more"]) == (code, f"/v1/shares/{'a' * 26}/more")
        assert document["detail"].startswith(
            "Of today's 300 records 0 are left, until 2026-11-29T23:00:00Z. Ask for more here: POST /v1/shares/aaa"
        )
        in_dutch = msgspec.json.decode(body_of(problem, "/", "r", dutch=True))["detail"]
        assert in_dutch.startswith("Van de 300 gegevens voor vandaag zijn er nog 0 over, tot 2026-11-29T23:00:00Z. ")
        assert (b"www-authenticate" in dict(problem.headers)) == (problem.status == 401)
        assert problem.retry_after == "42"
    vars(error)["data"] = data | {"scope": "dataset"}
    others = msgspec.json.decode(body_of(problem_of(error), "/", "r", dutch=False))
    assert "more" not in others, "of a budget that is not the client's own"
    assert "POST" not in others["detail"]
