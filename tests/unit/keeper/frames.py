"""What is said on the keeper's sockets, one example of each, as it was said when it was written down (`frames.json`).

A process of another version says what it said then: required fields, in these types. What is new is added by
`python -m tests.unit.keeper.frames`; it never changes a line that is there, and neither may anybody else.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from keten.keeper import protocol
from keten.keeper.letter_protocol import LETTER_VERBS
from keten.keeper.people_protocol import FACE_VERBS, PERSON_VERBS

KEPT = Path(__file__).with_name("frames.json")


def bodies() -> dict[str, type[msgspec.Struct]]:
    """Every body that is said, by "<verb> asked", "<verb> answered" and "<push> pushed"."""
    found: dict[str, type[msgspec.Struct]] = {"failure": protocol.Failure}
    for verbs in (protocol.GATEWAY_VERBS, protocol.OPERATOR_VERBS, FACE_VERBS, PERSON_VERBS, LETTER_VERBS):
        for verb, (asked, answered) in verbs.items():
            found |= {f"{verb} asked": asked, f"{verb} answered": answered}
    return found | {f"{name} pushed": body for name, body in protocol.PUSHES.items()}


def example(kind: Any) -> Any:  # one for each kind of type
    """A value of a type, in plain terms: of a struct its required fields alone."""
    if get_origin(kind) is UnionType or NoneType in get_args(kind):
        return example(next(each for each in get_args(kind) if each is not NoneType))
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        hints = get_type_hints(kind)
        return {one.name: example(hints[one.name]) for one in msgspec.structs.fields(kind) if one.required}
    if get_origin(kind) is Literal:
        return get_args(kind)[0]
    origin = get_origin(kind) or kind
    if origin is tuple and Ellipsis not in get_args(kind):
        return [example(each) for each in get_args(kind)]
    if origin is tuple:
        return [example(get_args(kind)[0])]
    if origin is list:
        return [example(get_args(kind)[0])]
    if origin is dict:
        key, value = get_args(kind)
        return {"one" if key is str else example(key): example(value)}
    plain: dict[Any, Any] = {str: "text", int: 7, bool: True, bytes: b"bytes", msgspec.Raw: {"raw": 1}, Any: 1}
    return plain[origin]


def main() -> None:
    """Add what is new."""
    kept = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    made = {name: msgspec.msgpack.encode(example(body)).hex() for name, body in bodies().items()}
    KEPT.write_text(json.dumps(made | kept, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
