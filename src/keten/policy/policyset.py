"""A set of policies: what it is made of, as text that can be kept and read again, and the checks it must pass."""

from __future__ import annotations

import hashlib
from importlib import resources
from typing import Literal

import cedarpy
import msgspec

from keten.core.errors import Invalid
from keten.policy.reasons import REASONS, in_order

SCHEMA_FILE = "schema.cedarschema"


class Policy(msgspec.Struct, frozen=True):
    """One rule. `reasons`: what it means when a forbid holds, or when no permit does. `en`, `nl`: its sentence."""

    id: str
    effect: Literal["permit", "forbid"]
    reasons: tuple[str, ...]
    en: str
    nl: str


class Source(msgspec.Struct, frozen=True):
    """The texts of a set: the schema, and each policy by its id."""

    schema: str
    policies: dict[str, str]

    def text(self) -> str:
        """The whole set as one text with a fixed order; the same set always gives the same text."""
        return msgspec.json.encode(self, order="sorted").decode()


class _Annotations(msgspec.Struct):
    id: str
    reason: str
    en: str
    nl: str


class _Parsed(msgspec.Struct):
    effect: Literal["permit", "forbid"]
    annotations: _Annotations


class _ParsedFile(msgspec.Struct, rename="camel"):
    static_policies: dict[str, _Parsed]
    templates: dict[str, msgspec.Raw] = {}


class PolicySet:
    """A set that passed its checks, parsed once.

    1. Each policy's text is one policy (no template), annotated with its own id, known reasons and two sentences.
    2. There is a permit and a forbid, and every permit means the same when it is missing.
    3. The schema is valid, and every policy is valid against it.

    Raises `Invalid` ("policy-set") naming the policy and what is wrong with it.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.text = source.text()
        self.hash = hashlib.sha256(self.text.encode()).hexdigest()
        found = [_read(name, text) for name, text in sorted(source.policies.items())]  # 1
        self.policies = {policy.id: policy for policy in found}
        self.without_permit = self._without_permit()  # 2
        whole = "\n".join(text for _, text in sorted(source.policies.items()))
        try:
            self.parsed_schema = cedarpy.Schema.from_str(source.schema)  # 3
            self.parsed_policies = cedarpy.PolicySet.from_str(whole)
        except ValueError as error:
            raise _invalid(SCHEMA_FILE, str(error)) from error
        result = cedarpy.validate_policies(whole, self.parsed_schema)
        if not result.validation_passed:
            names = result.id_annotations_by_policy_id
            said = [f"{names.get(error.policy_id, 'schema')}: {error.error}" for error in result.errors]
            raise _invalid("policies", "; ".join(said)[:2000])

    def _without_permit(self) -> tuple[str, ...]:
        permits = {policy.reasons for policy in self.policies.values() if policy.effect == "permit"}
        if len(permits) != 1 or len(self.policies) == 1:
            raise _invalid("policies", "a set needs a permit and a forbid, and its permits one and the same reason")
        return permits.pop()


def shipped() -> Source:
    """The policies that come with Keten: one readable file each, beside their schema."""
    folder = resources.files("keten.policy") / "policies"
    files = {file.name: file.read_text(encoding="utf-8") for file in folder.iterdir()}
    schema = files.pop(SCHEMA_FILE)
    return Source(schema, {name.removesuffix(".cedar"): text for name, text in files.items()})


def parse(text: str) -> Source:
    """The set whose `Source.text` this is. Raises `Invalid` ("policy-set")."""
    try:
        source = msgspec.json.decode(text, type=Source)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeEncodeError) as error:
        raise _invalid("text", str(error)) from error
    if source.text() != text:
        raise _invalid("text", "it is not in its fixed order")
    return source


def _read(name: str, text: str) -> Policy:
    try:
        parsed = msgspec.json.decode(cedarpy.policies_to_json_str(text), type=_ParsedFile)
    except (ValueError, msgspec.ValidationError) as error:
        raise _invalid(name, str(error)) from error
    if len(parsed.static_policies) != 1 or parsed.templates:
        raise _invalid(name, "it must be one policy, and no template")
    (rule,) = parsed.static_policies.values()
    notes = rule.annotations
    codes = notes.reason.split()
    if notes.id != name:
        raise _invalid(name, f"its @id is {notes.id!r}")
    if not codes or not REASONS.keys() >= set(codes):
        raise _invalid(name, f"@reason {notes.reason!r} is not a list of known codes")
    if not notes.en.strip().endswith(".") or not notes.nl.strip().endswith("."):
        raise _invalid(name, "it needs a sentence in both languages, @en and @nl")
    return Policy(name, rule.effect, in_order(codes), notes.en, notes.nl)


def _invalid(name: str, what: str) -> Invalid:
    return Invalid("policy-set", "The policies are not usable.", f"{name}: {what}")
