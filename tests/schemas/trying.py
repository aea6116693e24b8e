"""Requests made from an interface's own description: as it says, and not as it says; each answer is held against it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Protocol

import msgspec
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
"""No answer of a server's error, and none that the description does not hold."""
Operation = Any  # schemathesis' own, as a case is: what they hold is made from the description


class Face(Protocol):
    """An interface that is tried. document: its description; base: where it is; verify: its certificate's authority."""

    document: dict[str, Any]
    base: str
    verify: str | bool

    def headers(self, case: Any, *, good: bool) -> dict[str, str]:
        """What shows who asks, for one request. good: it was made as the description says."""

    def skipped(self, operation: Operation) -> str:
        """Why an operation is not tried; "" for one that is."""

    def last(self, operation: Operation) -> bool:
        """Whether it is tried after the others, for those would suffer by it."""


class Tried(msgspec.Struct):
    """What came of it. statuses: operation → status → how often. faults: in words."""

    operations: int = 0
    requests: int = 0
    statuses: dict[str, Counter[int]] = {}
    faults: list[str] = []


def operations(face: Face) -> Iterator[Operation]:
    """Those of its description that are tried."""
    schema: Any = schemathesis.openapi.from_dict(face.document)
    found = [one.ok() for one in schema.get_all_operations()]
    yield from sorted((one for one in found if not face.skipped(one)), key=face.last)


def try_all(face: Face, examples: int, number: int) -> Tried:
    """Try each operation with so many good and so many bad requests. number: the seed. Goes on after a fault."""
    tried = Tried()
    for operation in operations(face):
        tried.operations += 1
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            try:
                _try(face, operation, mode, examples, number, tried)
            except BaseExceptionGroup as error:
                tried.faults += [f"{operation.label}: {one}" for one in error.exceptions]
            except Exception as error:  # noqa: BLE001  # whatever it is, it is said, and the next one is tried
                if type(error).__name__ != "Unsatisfiable":
                    tried.faults.append(f"{operation.label} ({mode.value}): {error}")
    return tried


def _try(face: Face, operation: Operation, mode: GenerationMode, examples: int, number: int, tried: Tried) -> None:
    good = mode is GenerationMode.POSITIVE
    statuses = tried.statuses.setdefault(operation.label, Counter())

    @seed(number)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
        print_blob=False,
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def one(case: Any) -> None:
        response = case.call(base_url=face.base, headers=face.headers(case, good=good), verify=face.verify, timeout=60)
        tried.requests += 1
        statuses[response.status_code] += 1
        case.validate_response(response, checks=CHECKS)
        _without(face, case, tried)

    one()


def _without(face: Face, case: Any, tried: Tried) -> None:
    """No answer for whoever does not show who asks, where the description does not say that it is for everybody."""
    if not asks_who(face.document, case):
        return
    for name in [name for name in case.headers or {} if name.lower() in ("authorization", "dpop")]:
        case.headers.pop(name)
    response = case.call(base_url=face.base, verify=face.verify, timeout=60)
    tried.requests += 1
    if response.status_code < 400:
        raise AssertionError(f"{response.status_code} for nobody")


def asks_who(document: dict[str, Any], case: Any) -> bool:
    """Whether the description says that an operation is for whoever shows who it is."""
    own = case.operation.definition.raw.get("security", document.get("security", []))
    return bool(own)
