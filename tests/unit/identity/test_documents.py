"""What the documents say about signing in is what the code does."""

from __future__ import annotations

from pathlib import Path

import pytest

from keten.identity import assertions, dpop, jws, nonces, strangers, tokens
from keten.identity.errors import PUBLIC

FORMATS = Path(__file__).parents[3] / "docs" / "formats"


def rows(name: str) -> dict[str, list[str]]:
    """First column of every table row → the others."""
    lines = (FORMATS / name).read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]
    return {row[0].strip("`"): row[1:] for row in cells}


@pytest.mark.parametrize("code", sorted({*PUBLIC, "client-unknown"}))
def test_every_reason_is_documented_in_both_languages(code: str) -> None:
    english, dutch = rows("reasons.md")[code]
    assert english
    assert dutch
    assert english != dutch


@pytest.mark.parametrize("code", sorted(PUBLIC))
def test_every_code_is_named_where_signing_in_is_explained(code: str) -> None:
    assert f"`{code}`" in (FORMATS / "signin.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "said",
    [
        f"at most {jws.MAX_COMPACT:,} characters",
        f"more than {jws.MAX_NUMBER_TEXT} characters",
        f"at most {assertions.MAX_AHEAD_US // 60_000_000} minutes ahead",
        f"at most {assertions.MAX_SKEW_US // 1_000_000} s ahead",
        f"within {dpop.WINDOW_US // 1_000_000} s of now",
        f"For {nonces.REQUIRED_US // 1_000_000} seconds after a start",
        f"opaque, {tokens.TOKEN_CHARACTERS} characters",
        f"at most {tokens.MAX_LIFETIME_S:,}",
        f"remembered ({dpop.MAX_REMEMBERED:,})",
        f"({strangers.MAX_SINGLE:,} a minute over all clients)",
        f"{strangers.MAX_NETWORKS} networks",
        ", ".join(f"`{alg}`" for alg in ("EdDSA", "Ed25519")) + " or `ES256`",
    ],
)
def test_every_limit_is_documented(said: str) -> None:
    assert said in (FORMATS / "signin.md").read_text(encoding="utf-8")
