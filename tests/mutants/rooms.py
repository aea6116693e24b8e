"""Which modules are changed, and which tests are asked whether they notice: the unit tests of the room, by module."""

from __future__ import annotations

_BUDGETS = "tests/unit/budgets"
_POLICY = "tests/unit/policy"
_LEDGER = "tests/unit/ledger"

# Room → module → the tests that are run for it. Of these, each change is shown only to those that reach it.
ROOMS: dict[str, dict[str, tuple[str, ...]]] = {
    "budgets": {
        "rules": (f"{_BUDGETS}/test_rules.py",),
        "service": (f"{_BUDGETS}/test_service.py",),
        "checking": (f"{_BUDGETS}/test_checking.py",),
    },
    "policy": {
        "country": (f"{_POLICY}/test_country.py",),
        "documentation": (f"{_POLICY}/test_policies.py",),
        "engine": (f"{_POLICY}/test_engine.py", f"{_POLICY}/test_policies.py"),
        "policyset": (f"{_POLICY}/test_policies.py", f"{_POLICY}/test_sets.py", f"{_POLICY}/test_engine.py"),
        "reasons": (f"{_POLICY}/test_engine.py", f"{_POLICY}/test_service.py"),
        "service": (f"{_POLICY}/test_service.py", f"{_POLICY}/test_register.py", f"{_POLICY}/test_remembering.py"),
        "sets": (f"{_POLICY}/test_sets.py", f"{_POLICY}/test_service.py"),
        "slices": (f"{_POLICY}/test_engine.py", f"{_POLICY}/test_service.py", f"{_POLICY}/test_register.py"),
    },
    "ledger": {
        "merkle": (f"{_LEDGER}/test_merkle.py",),
        "sealing": (f"{_LEDGER}/test_leaves.py", f"{_LEDGER}/test_sealing.py", f"{_LEDGER}/test_bound.py"),
        "notes": (f"{_LEDGER}/test_notes.py",),
        "prooffile": (f"{_LEDGER}/test_prooffile.py",),
        "proofs": (f"{_LEDGER}/test_proofs.py",),
        "tiles": (f"{_LEDGER}/test_tiles.py",),
        "bound": (f"{_LEDGER}/test_bound.py",),
        "postings": (f"{_LEDGER}/test_postings.py",),
        "query": (f"{_LEDGER}/test_query.py",),
        "custody": (f"{_LEDGER}/test_custody.py",),
        "reading": (f"{_LEDGER}/test_reading.py",),
        "blocks": (f"{_LEDGER}/test_blocks.py",),
        "ranges": (f"{_LEDGER}/test_blocks.py", f"{_LEDGER}/test_verify.py"),
        "verify": (f"{_LEDGER}/test_verify.py",),
        "headfaults": (f"{_LEDGER}/test_verify.py",),
        "listfaults": (f"{_LEDGER}/test_verify.py",),
        "registerfaults": (f"{_LEDGER}/test_verify.py",),
        "tilefaults": (f"{_LEDGER}/test_verify.py",),
        "faults": (f"{_LEDGER}/test_verify.py",),
        "writing": (f"{_LEDGER}/test_bound.py", f"{_LEDGER}/test_sealing.py"),
    },
}
