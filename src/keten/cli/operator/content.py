"""`keten put`: content into a dataset. This process reads, digests, counts and encrypts; the keeper knows the rest."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import msgspec
import typer

from keten.cli.options import Home, Json
from keten.cli.output import Output
from keten.cli.progress import Transfer, in_bytes
from keten.cli.surroundings import Surroundings
from keten.core.errors import Conflict, Invalid, KetenError

if TYPE_CHECKING:
    from keten.core.settings import Settings
    from keten.keeper.client import KeeperClient
    from keten.keeper.protocol import PutReady

CHUNK = 1 << 20


class Source(msgspec.Struct, frozen=True):
    """What is put: where it is read, the name it gets, and its media type."""

    path: Path
    name: str
    media_type: str


class Content(msgspec.Struct, frozen=True):
    """What was read: size in bytes, digest as in RFC 9530, and the number of records."""

    size: int
    digest: str
    records: int


def register(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command()(put)


def put(
    ctx: typer.Context,
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="Name or id of the dataset.", show_default=False)],
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="The files.", show_default=False)],
    home: Home = "",
    name: Annotated[str, typer.Option("--as", metavar="NAME", help="The name that recipients see; for one file.")] = "",
    replace: Annotated[
        bool, typer.Option("--replace", help="Put it in the place of what has that name; the old content is destroyed.")
    ] = False,
    media_type: Annotated[
        str, typer.Option(metavar="TYPE/SUBTYPE", help="The media type, where the name does not say it.")
    ] = "",
    json: Json = False,
) -> None:
    """Put files into a dataset: encrypted here, each under a key of its own, readable only once all of it is there.

    Rows of CSV and Parquet are counted, for budgets. Content that is there already under that name is left as it is.
    Into a dataset that is a table go CSV, Parquet or XLSX: its declared columns only, sealed so that one record is
    found by its key; what was put last is what is looked up.
    Only the user that owns the instance may, for this writes into its store.

    Example: keten put voters voters-2026.csv --home keten
    """
    from keten.cli.operator.keeping import keeper
    from keten.cli.processes import refuse_other_user

    surroundings: Surroundings = ctx.obj
    output = Output(json=json)
    settings = surroundings.instance(home)
    refuse_other_user(settings.paths.home)  # also while it runs: the keeper must be able to remove what is written
    sources = _sources(files, name, media_type)
    done: list[dict[str, Any]] = []
    try:
        with keeper(settings) as client:
            for source in sources:
                done.append(_put(settings, client, dataset, source, replace=replace))
                if not json:
                    _tell(output, done[-1])
    finally:
        if done:
            output.result({"objects": done})
        if done and len(done) < len(sources):
            output.say(f"{len(done)} of {len(sources)} files were put; doing it again goes on with the others.")


def _tell(output: Output, one: dict[str, Any]) -> None:
    count = "1 record" if one["records"] == 1 else f"{one['records']} records"
    how = "is there already, unchanged" if one["unchanged"] else f"put, {count}"
    output.line(f"{one['name']}  {in_bytes(one['size'])}  {how}  {one['object']}")


def _sources(files: list[Path], name: str, media_type: str) -> list[Source]:
    """What is to be put, checked before anything is. Raises `Invalid`."""
    from keten.vault.media import media_type_of
    from keten.vault.rules import check_media_type, name_key, normal_name

    if name and len(files) > 1:
        raise Invalid("one-name", "--as gives one file its name; put several files one by one, or without it.")
    found: list[Source] = []
    names: dict[bytes, Path] = {}
    for file in files:
        _check_file(file)
        normal = normal_name(name or file.name)
        if name_key(normal) in names:
            raise Invalid("same-name", f"{names[name_key(normal)]} and {file} would have the same name {normal!r}.")
        names[name_key(normal)] = file
        found.append(Source(file, normal, check_media_type(media_type) if media_type else media_type_of(normal)))
    return found


def _check_file(file: Path) -> None:
    try:
        mode = file.stat().st_mode
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise Invalid("file", f"{file}: {getattr(error, 'strerror', None) or error}.") from error
    if stat.S_ISDIR(mode):
        raise Invalid(
            "folder", f"{file} is a folder; name the files in it ({file}/*), or pack it into an archive first."
        )
    if not stat.S_ISREG(mode):
        raise Invalid("file", f"{file} is not a regular file; write what comes from it to a file first.")


def _put(settings: Settings, client: KeeperClient, dataset: str, source: Source, *, replace: bool) -> dict[str, Any]:
    """Put one file.

    1. Read it once, for its digest and its records: what is there already is not written again.
    2. Ask the keeper for a place and a key.
    3. Encrypt into the store, durably; the digest of what is really read must be the same. Of a table its sealed form.
    4. The keeper makes it visible. When anything fails before that, nothing of it can be seen.
    """
    from keten.cli.operator.tables import write_table
    from keten.keeper.protocol import PutBegin, PutCommit, PutReady, Recorded

    with _opened(source.path) as stream:
        content = _read(source, stream)  # 1
        begin = PutBegin(dataset, source.name, source.media_type, content.digest, content.size, replace)
        ready = client.call("exchange.put_begin", begin, PutReady)  # 2
        if ready.unchanged:
            return _result(source, ready.object, content, "", unchanged=True)
        try:
            if ready.table is not None:  # 3
                content, stored = write_table(settings, source, stream, ready, ready.table)
            else:
                stored = _write(settings, source, stream, ready, content)
            commit = PutCommit(ready.object, content.size, stored, content.digest, content.records)
            recorded = client.call("exchange.put_commit", commit, Recorded)  # 4
        except BaseException:
            _abort(client, ready)
            raise
    return _result(source, ready.object, content, recorded.entry, unchanged=False)


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb", buffering=0)
    except OSError as error:
        raise Invalid("file", f"{path}: {error.strerror}.") from error


def _read(source: Source, stream: BinaryIO) -> Content:
    """Step 1."""
    from keten.vault.records import counter_for
    from keten.vault.rules import check_size, digest_text

    size = check_size(os.fstat(stream.fileno()).st_size)
    counter = counter_for(stream, source.name, source.media_type)
    hashed = sha256()
    with Transfer(f"{source.name}: reading", size) as shown:
        size = 0
        for chunk in _chunks(stream, shown):
            hashed.update(chunk)
            counter.feed(chunk)
            size += len(chunk)
    return Content(size, digest_text(hashed.digest()), counter.finish())


def _write(settings: Settings, source: Source, stream: BinaryIO, ready: PutReady, content: Content) -> int:
    """Step 3; the size of the blob. Raises `Conflict` ("file-changed") when the file is not what was read before."""
    from keten.core.storage import LocalStore
    from keten.vault import frames
    from keten.vault.rules import digest_text

    hashed = sha256()
    stream.seek(0)
    with Transfer(source.name, content.size) as shown:

        def chunks() -> Iterator[bytes]:
            for chunk in _chunks(stream, shown):
                hashed.update(chunk)
                yield chunk

        blob = frames.encrypt(chunks(), ready.key, frames.new_header(ready.object))
        stored = LocalStore(settings.paths.store).put(ready.storage, blob)
    if digest_text(hashed.digest()) != content.digest:
        raise Conflict("file-changed", f"{source.path} changed while it was read; nothing was put. Try again.")
    return stored


def _chunks(stream: BinaryIO, shown: Transfer) -> Iterator[bytes]:
    while chunk := stream.read(CHUNK):
        shown.advance(len(chunk))
        yield chunk


def _abort(client: KeeperClient, ready: PutReady) -> None:
    """Have the keeper forget a put; it does so by itself in a day when it can't be told."""
    from keten.keeper.protocol import Nothing, PutAbort

    with suppress(KetenError):
        client.call("exchange.put_abort", PutAbort(ready.object), Nothing)


def _result(source: Source, object_id: str, content: Content, entry: str, *, unchanged: bool) -> dict[str, Any]:
    result: dict[str, Any] = {
        "object": object_id,
        "name": source.name,
        "size": content.size,
        "digest": content.digest,
        "media_type": source.media_type,
        "records": content.records,
        "unchanged": unchanged,
    }
    return result if unchanged else result | {"entry": entry}
