"""Every operation of `/api`: routes and the OpenAPI document are both made from this one table.

What a person may say at the console (`keeper/acting.py`) is an operation here, by construction: no verb can be missing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from keten.api import shapes
from keten.keeper.acting import CONSOLE
from keten.keeper.people_protocol import Authorised, Done
from keten.keeper.protocol import OPERATOR_VERBS, Apply
from keten.suppliers.estate import encode


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One operation. path: below `/api`. asked None: it takes no content. public: for whoever is not signed in, too.

    verb: of the keeper, that a person says by it; "" for those about signing in. told: makes what the keeper is told of
    what was asked.
    """

    name: str
    method: str
    path: str
    summary: str
    asked: type | None
    answered: type
    verb: str = ""
    public: bool = False
    told: Callable[[Any], msgspec.Struct] = lambda asked: asked


def _apply(asked: shapes.ApplyEstate) -> Apply:
    return Apply(msgspec.Raw(encode(asked.estate)), asked.plan_only, asked.base)


_OTHERWISE: dict[str, tuple[type, Callable[[Any], msgspec.Struct]]] = {
    "suppliers.apply": (shapes.ApplyEstate, _apply),
}
"""Verbs that are asked for in another form than the keeper is told."""


def _summary(of: type) -> str:
    """The first sentence of what a type is documented to be."""
    return " ".join((of.__doc__ or "").split()).partition(". ")[0].rstrip(".")


def _doing(verb: str) -> Operation:
    asked, answered = OPERATOR_VERBS[verb]
    form, told = _OTHERWISE.get(verb, (asked, lambda value: value))
    return Operation(
        name=verb,
        method="POST",
        path="/" + verb.replace(".", "/"),
        summary=_summary(form),
        asked=shapes.confirmed(verb, form),
        answered=answered,
        verb=verb,
        told=told,
    )


SIGNING: tuple[Operation, ...] = (
    Operation(
        name="sign-in.begin",
        method="POST",
        path="/sign-in/begin",
        summary="Begin to sign in: what a passkey has to sign",
        asked=None,
        answered=shapes.SignIn,
        public=True,
    ),
    Operation(
        name="sign-in",
        method="POST",
        path="/sign-in",
        summary="Sign in with a passkey: a token for this session",
        asked=shapes.Signed,
        answered=shapes.SignedIn,
        public=True,
    ),
    Operation(
        name="me",
        method="GET",
        path="/me",
        summary="Who is signed in, and may do what until when",
        asked=None,
        answered=Authorised,
    ),
    Operation(
        name="sign-out",
        method="POST",
        path="/sign-out",
        summary="End this session",
        asked=None,
        answered=Done,
    ),
    Operation(
        name="step-up",
        method="POST",
        path="/step-up",
        summary="Begin to confirm an act: what a passkey has to sign for exactly this operation and content",
        asked=shapes.StepUp,
        answered=shapes.Ceremony,
    ),
)
"""Those about signing in, and who is."""
DOING: tuple[Operation, ...] = tuple(_doing(verb) for verb in sorted(CONSOLE))
"""One for each verb of the console."""
OPERATIONS: tuple[Operation, ...] = (*SIGNING, *DOING)
BY_VERB: dict[str, Operation] = {one.verb: one for one in DOING}
