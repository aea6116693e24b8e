"""Reads rules of an organisation's own from files; refuses, with file and reason, what explodes or is not supported.

A file holds YAML documents: Sigma rules, and correlations of rules in the same file. It is looked at before Sigma's
parser sees it, so that the parser need not be trusted with what is large or deep.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from keten.core.errors import Unavailable
from keten.watch.model import Severity
from keten.watch.rules.asking import summable
from keten.watch.rules.model import FEW, FIELDS, SPACES, Correlation, Kind, Predicate, Refused, Rule

if TYPE_CHECKING:
    from sigma.correlations import SigmaCorrelationRule
    from sigma.rule import SigmaRule

SHIPPED = Path(__file__).parent / "shipped"
MOST_BYTES = 64 * 1024
MOST_DEEP = 12
MOST_DOCUMENTS = 50
MOST_RULES = 200
MOST_CONDITION = 1000
MOST_PARENTHESES = 4
MOST_SAID = 500  # characters of a reason, which quotes the file
MOST_STARS = 3  # in one "1 of name*"
LONGEST_S = 31 * 86_400
MOST_NEEDED: dict[Kind, int] = {"event_count": 10_000, "value_count": 1000, "value_sum": 100_000, "temporal": 10}
MODIFIERS = frozenset({"contains", "startswith", "endswith", "all", "lt", "lte", "gt", "gte", "exists"})
SEVERITIES: dict[str, Severity] = {
    "informational": "low", "low": "low", "medium": "medium", "high": "high", "critical": "high",
}  # fmt: skip


class _RefusedError(Exception):
    """Why a file or a rule is not used."""


@dataclass
class Loaded:
    """What can be used, in the order of files' names, and what not."""

    rules: list[Rule] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)


def load(paths: Iterable[Path]) -> Loaded:
    """The rules in these files, and in the `.yml` files of these folders.

    Raises `Unavailable` ("sigma-missing") where pySigma is not installed (the extra `sigma`).
    """
    found = Loaded()
    seen: dict[str, str] = {}
    for path in _files(paths, found):
        try:
            rules = _read(path)
        except _RefusedError as error:
            found.refused.append(Refused(str(path), str(error)[:MOST_SAID]))
            continue
        for rule in rules:
            if rule.id in seen:
                found.refused.append(Refused(str(path), f"its id {rule.id} is also in {seen[rule.id]}"))
            elif len(found.rules) >= MOST_RULES:
                found.refused.append(Refused(str(path), f"there are more than {MOST_RULES} rules"))
            else:
                seen[rule.id] = str(path)
                found.rules.append(rule)
    return found


def _files(paths: Iterable[Path], found: Loaded) -> Iterable[Path]:
    for path in paths:
        try:
            within = (
                sorted(each for each in path.iterdir() if each.suffix in {".yml", ".yaml"}) if path.is_dir() else [path]
            )
        except OSError as error:
            found.refused.append(Refused(str(path), f"it can't be read: {error.strerror}"))
            continue
        yield from within


def _read(path: Path) -> list[Rule]:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise _RefusedError(f"it can't be read: {error.strerror}") from error
    if len(data) > MOST_BYTES:
        raise _RefusedError(f"it is larger than {MOST_BYTES // 1024} KiB")
    try:
        written = data.decode()
    except UnicodeDecodeError as error:
        raise _RefusedError("it is not UTF-8") from error
    documents = _documents(written)
    for document in documents:
        _look(document)
    return _parsed(documents, path)


def _documents(written: str) -> list[dict[str, Any]]:
    """YAML documents without aliases and not too deep, so that they are no larger than their text."""
    depth = 0
    try:
        for event in yaml.parse(written, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                raise _RefusedError("it has a YAML anchor or alias")
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if depth > MOST_DEEP:
                raise _RefusedError("it is nested too deeply")
        documents = [each for each in yaml.safe_load_all(written) if each is not None]
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # a date that there is not is a ValueError
        raise _RefusedError(f"it is not YAML: {str(error).splitlines()[0]}") from error
    if not documents or len(documents) > MOST_DOCUMENTS:
        raise _RefusedError(f"it holds no document, or more than {MOST_DOCUMENTS}")
    if not all(isinstance(each, dict) for each in documents):
        raise _RefusedError("a document is not a mapping")
    return documents


def _look(document: dict[str, Any]) -> None:
    """Refuses what is too long or deep, and what Sigma's parser would take and the watch does not know."""
    if "filter" in document or "action" in document:
        raise _RefusedError("filters and actions are not supported")
    if not document.get("id"):
        raise _RefusedError("a rule has no id, by which it is known for good")
    if str(document.get("level")) not in SEVERITIES and "detection" not in document:
        raise _RefusedError("a correlation has no level")
    detection = document.get("detection")
    if not isinstance(detection, dict):
        return
    logsource = document.get("logsource")
    if not isinstance(logsource, dict) or logsource.get("product") != "keten":
        raise _RefusedError("its logsource is not product: keten")
    conditions = detection.get("condition")
    if not isinstance(conditions, str):
        raise _RefusedError("its condition is not one text")
    _look_at_condition(conditions)
    for name, selection in detection.items():
        if name != "condition":
            _look_at_fields(selection)


def _look_at_condition(condition: str) -> None:
    if len(condition) > MOST_CONDITION:
        raise _RefusedError(f"its condition is longer than {MOST_CONDITION} characters")
    depth = 0
    for character in condition:
        depth += (character == "(") - (character == ")")
        if depth > MOST_PARENTHESES:
            raise _RefusedError(f"its condition has more than {MOST_PARENTHESES} parentheses within each other")
    if any(word.count("*") > MOST_STARS for word in condition.split()):
        raise _RefusedError(f"a pattern in its condition has more than {MOST_STARS} stars")
    if re.search(r"\bnot\s+not\b|\|", condition):
        raise _RefusedError("its condition has a double not, or an aggregation")


def _look_at_fields(selection: object) -> None:
    if isinstance(selection, list):
        for each in selection:
            _look_at_fields(each)
    elif isinstance(selection, dict):
        for key in selection:
            for modifier in str(key).split("|")[1:]:
                if modifier not in MODIFIERS:
                    raise _RefusedError(f"the modifier {modifier!r} is not supported")


def _parsed(documents: list[dict[str, Any]], path: Path) -> list[Rule]:
    """The rules that tell for themselves: all but those that a correlation is made of."""
    try:
        from sigma.collection import SigmaCollection  # noqa: PLC0415  # an extra that only rules need
        from sigma.exceptions import SigmaError  # noqa: PLC0415
        from sigma.rule import SigmaRule  # noqa: PLC0415

        from keten.watch.rules.conditions import NotSupportedError  # noqa: PLC0415
    except ImportError as error:
        raise Unavailable("sigma-missing", "Rules need the extra `sigma`: install keten[sigma].", str(error)) from error
    try:
        collection = SigmaCollection.from_dicts(documents)
        parts = {id(rule): _predicates(rule) for rule in collection.rules if isinstance(rule, SigmaRule)}
        made = []
        for rule in collection.rules:
            if not isinstance(rule, SigmaRule):
                made.append(_correlated(rule, parts, path))
            elif rule in collection.get_output_rules():
                made.append(_plain(rule, parts[id(rule)], path))
    except NotSupportedError as error:
        raise _RefusedError(str(error)) from error
    except SigmaError as error:
        raise _RefusedError(f"it is not Sigma: {error}") from error
    except _RefusedError:
        raise
    except Exception as error:  # of its parser, which takes for granted what a file need not hold
        raise _RefusedError(f"it is not Sigma: {type(error).__name__}") from error
    return made


def _predicates(rule: SigmaRule) -> tuple[Predicate, ...]:
    from keten.watch.rules.conditions import Conditions  # noqa: PLC0415

    conditions = Conditions()
    return tuple(conditions.predicate(each.parsed) for each in rule.detection.parsed_condition)


def _level(rule: SigmaRule | SigmaCorrelationRule) -> Severity:
    if rule.level is None:
        raise _RefusedError("a rule has no level")
    return SEVERITIES[rule.level.name.lower()]


def _plain(rule: SigmaRule, matches: tuple[Predicate, ...], path: Path) -> Rule:
    return Rule(str(rule.id), rule.title, path.name, _level(rule), matches, ("principal",), None)


def _correlated(rule: SigmaCorrelationRule, parts: dict[int, tuple[Predicate, ...]], path: Path) -> Rule:
    kinds: dict[str, Kind] = {name: name for name in MOST_NEEDED}
    kind = kinds.get(rule.type.name.lower())
    if kind is None:
        raise _RefusedError(f"correlations of type {rule.type.name.lower()} are not supported")
    if rule.aliases:
        raise _RefusedError("aliases are not supported")
    span_s = rule.timespan.seconds
    if not 0 < span_s <= LONGEST_S:
        raise _RefusedError(f"its timespan is longer than {LONGEST_S // 86_400} days")
    matches: list[Predicate] = []
    for reference in rule.referenced_rules:
        of_rule = parts.get(id(reference.rule))
        if of_rule is None:
            raise _RefusedError("a correlation of correlations is not supported")
        matches.extend(of_rule)
    need, named = _needed(rule, kind)
    return Rule(
        str(rule.id),
        rule.title,
        path.name,
        _level(rule),
        tuple(matches),
        _group(rule),
        Correlation(kind, need, span_s * 1_000_000, named),
    )


def _group(rule: SigmaCorrelationRule) -> tuple[str, ...]:
    group = tuple(rule.group_by or ())
    if not any(space in group for space in SPACES):
        raise _RefusedError(f"it is not grouped by {', '.join(SPACES[:-1])} or {SPACES[-1]}: one count for everybody")
    for name in group:
        if name not in FEW:
            raise _RefusedError(f"it is grouped by {name}, which has too many values")
    if len(group) > 3 or len(set(group)) < len(group):
        raise _RefusedError("it is grouped by more than three fields, or by one twice")
    return group


def _needed(rule: SigmaCorrelationRule, kind: Kind) -> tuple[int, str]:
    condition: Any = rule.condition
    operation = getattr(getattr(condition, "op", None), "name", "")
    if operation not in {"GT", "GTE"} or not isinstance(condition.count, int):
        raise _RefusedError("its condition is not gt or gte a whole number")
    need = condition.count + (operation == "GT")
    if not 1 <= need <= MOST_NEEDED[kind]:
        raise _RefusedError(f"its condition is not between 1 and {MOST_NEEDED[kind]}")
    named = condition.fieldref or ""
    if kind == "value_sum" and not summable(named):
        raise _RefusedError(f"{named!r} can't be summed")
    if kind == "value_count" and FIELDS.get(str(named)) is not str:
        raise _RefusedError(f"values of {named!r} can't be counted")
    return need, str(named)
