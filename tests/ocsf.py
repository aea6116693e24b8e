"""What is wrong with an event by the schema of OCSF itself, in the version that the event says it has."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any


@cache
def _schema(version: str) -> Any:
    packaged = import_module("ocsf_json_schema")  # this and jsonschema ship no types
    return packaged.OcsfJsonSchemaEmbedded(packaged.get_ocsf_schema(version=version))


@cache
def _validator(version: str, class_uid: int) -> Any:
    schema = _schema(version)
    name = schema.lookup_class_name_from_uid(class_uid=class_uid)
    made = schema.get_class_schema(class_name=name)
    return import_module("jsonschema").Draft202012Validator(made)


def faults(event: dict[str, Any]) -> list[str]:
    """Every violation, as path and sentence; [] for a valid event."""
    validator = _validator(event.get("metadata", {}).get("version", "1.8.0"), event["class_uid"])
    return [f"{fault.json_path}: {fault.message[:200]}" for fault in validator.iter_errors(event)]
