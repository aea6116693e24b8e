"""`python -m keten.policy.documentation`: docs/formats/policies.md as the shipped policies make it."""

from __future__ import annotations

import sys

from keten.policy.engine import Engine

_HEAD = """# Policies

The rules by which every access is decided: one readable file each in `src/keten/policy/policies/`, in the
[Cedar](https://www.cedarpolicy.com) language, checked against the schema beside them. A `forbid` that holds wins from
every `permit`; when nothing permits, the answer is no; when anything goes wrong, the answer is no.

The reasons are codes of [reasons.md](reasons.md). Made by `python -m keten.policy.documentation`; a test compares.

| Policy | Effect | Reasons | English | Dutch |
| --- | --- | --- | --- | --- |
"""


def policies_page(engine: Engine) -> str:
    """The page, in Markdown: permits first, then in order of their ids."""
    policies = sorted(engine.policies.values(), key=lambda one: (one.effect != "permit", one.id))
    rows = [
        f"| `{one.id}` | {one.effect} | {' '.join(f'`{code}`' for code in one.reasons)} | {one.en} | {one.nl} |"
        for one in policies
    ]
    return _HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.stdout.write(policies_page(Engine()))
