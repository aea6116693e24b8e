"""The OpenAPI 3.1 document of `/api`, made from the table of its operations and the types of what is said."""

from __future__ import annotations

from typing import Any

import msgspec

from keten.api.problems import MEDIA_TYPE, Problem
from keten.api.table import OPERATIONS, Operation

ABOUT = (
    "Everything that people do at the console, for programs: the same services, decisions and entries. Somebody signs "
    "in with a passkey; what takes a fresh confirmation at the console takes it here. What is not there and what is "
    "not for you is 404."
)
_REF = "#/components/schemas/{name}"
_ITSELF = {
    "operationId": "openapi",
    "summary": "This document",
    "tags": ["signing in"],
    "security": [],
    "responses": {
        "200": {"description": "The document", "content": {"application/json": {"schema": {"type": "object"}}}},
        "421": {"$ref": "#/components/responses/OtherAddress"},
        "default": {"$ref": "#/components/responses/Problem"},
    },
}
_OTHER = {
    "description": "This console is not called that (the Host header)",
    "content": {"text/plain": {"schema": {"type": "string"}}},
}


def document() -> dict[str, Any]:
    """The whole document."""
    types = [one for operation in OPERATIONS for one in (operation.asked, operation.answered) if one is not None]
    schemas, components = msgspec.json.schema_components([*types, Problem], ref_template=_REF)
    by_type = dict(zip([*types, Problem], schemas, strict=True))
    problem = {"description": "What went wrong", "content": {MEDIA_TYPE: {"schema": by_type[Problem]}}}
    paths: dict[str, Any] = {"/api/openapi.json": {"get": _ITSELF}}
    for one in OPERATIONS:
        paths.setdefault(f"/api{one.path}", {})[one.method.lower()] = _operation(one, by_type)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Keten for the organisation", "version": "1", "description": ABOUT},
        "servers": [{"url": "/", "description": "This console"}],
        "tags": [{"name": "signing in"}, {"name": "acts", "description": "What a person may do, by its roles"}],
        "security": [{"session": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "session": {"type": "http", "scheme": "bearer", "description": "The token of POST /api/sign-in"}
            },
            "responses": {"Problem": problem, "OtherAddress": _OTHER},
            "schemas": components,
        },
    }


def _operation(one: Operation, by_type: dict[type, dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": one.name,
        "summary": one.summary,
        "tags": ["acts" if one.verb else "signing in"],
        "responses": {
            "200": {
                "description": "What came of it",
                "content": {"application/json": {"schema": by_type[one.answered]}},
            },
            "421": {"$ref": "#/components/responses/OtherAddress"},
            "default": {"$ref": "#/components/responses/Problem"},
        },
    }
    if one.public:
        found["security"] = []
    if one.asked is not None:
        content = {"application/json": {"schema": by_type[one.asked]}}
        found["requestBody"] = {"required": True, "content": content}
    return found
