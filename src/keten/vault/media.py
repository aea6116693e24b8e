"""Media types by file name, the same on every machine: our own table, then Python's, never the system's files."""

from __future__ import annotations

import mimetypes

from keten.core.errors import Invalid
from keten.vault.rules import check_media_type

UNKNOWN = "application/octet-stream"

_OWN = {
    ".7z": "application/x-7z-compressed",
    ".csv": "text/csv",
    ".dbf": "application/vnd.dbf",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".eml": "message/rfc822",
    ".geojson": "application/geo+json",
    ".gpkg": "application/geopackage+sqlite3",
    ".jsonl": "application/jsonl",
    ".md": "text/markdown",
    ".msg": "application/vnd.ms-outlook",
    ".ndjson": "application/x-ndjson",
    ".ods": "application/vnd.oasis.opendocument.spreadsheet",
    ".odt": "application/vnd.oasis.opendocument.text",
    ".parq": "application/vnd.apache.parquet",
    ".parquet": "application/vnd.apache.parquet",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ".pqt": "application/vnd.apache.parquet",
    ".tab": "text/tab-separated-values",
    ".tsv": "text/tab-separated-values",
    ".webp": "image/webp",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".xml": "application/xml",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".zip": "application/zip",
    ".zst": "application/zstd",
}
# What a packed file is, whatever it holds: "a.csv.gz" is gzip, not CSV.
_PACKED = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}
_python = mimetypes.MimeTypes(filenames=())


def media_type_of(name: str) -> str:
    """The media type that a file's name suggests; `application/octet-stream` when it suggests none."""
    suffix = "." + name.rpartition(".")[2].lower() if "." in name else ""
    if suffix in _OWN:
        return _OWN[suffix]
    guessed, packed = _python.guess_type("a" + suffix)
    guessed = _PACKED.get(packed, UNKNOWN) if packed else guessed
    try:
        return check_media_type(guessed) if guessed else UNKNOWN
    except Invalid:
        return UNKNOWN
