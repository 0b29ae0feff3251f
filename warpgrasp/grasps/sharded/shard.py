"""Writing and reading one Parquet file of a data set.

A shard appears under its name only when all its bytes are on the disk, also where several machines share a file system: it is
prepared under a name that no other process has, and renamed.
"""

from __future__ import annotations

import json
import os
import socket
import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from warpgrasp.base.atomic_file import OutputError, replace_file
from warpgrasp.base.json_text import to_json
from warpgrasp.grasps.sharded.columns import DATA_SET_VERSION, METADATA_KEY, import_pyarrow, read_footer

__all__ = ["INCOMING", "remove_incoming", "shard_footer", "write_table_file"]

INCOMING = "incoming"
"""Folder of files that are being written, below ``work``."""
_STALE = 48.0 * 3600.0  # s after which a file of another machine counts as left behind


def write_table_file(
    path: Path,
    groups: Iterable[Any],
    schema: Any,
    footer: Mapping[str, Any],
    *,
    incoming: Path | None = None,
) -> int:
    """Write tables as the row groups of one Parquet file, whole or not at all, and return its bytes.

    Args:
        path: The file; it replaces one of that name.
        groups: Tables, one row group each; one without rows is left out.
        schema: Arrow schema of all.
        footer: JSON of the footer; ``schema_version`` is added.
        incoming: Folder on the same file system in which the file is prepared, under a name of this process alone; by
            default beside it.

    Raises:
        OutputError: The file cannot be written.
    """
    import_pyarrow()
    import pyarrow.parquet as pq

    text = json.dumps(to_json({"schema_version": DATA_SET_VERSION, **footer}), sort_keys=True)
    schema = schema.with_metadata({METADATA_KEY: text.encode()})
    folder = path.parent if incoming is None else incoming
    prepared = folder / f"{socket.gethostname()}_{os.getpid()}_{uuid.uuid4().hex[:12]}_{path.name}"
    with (
        replace_file(prepared) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd") as writer,
    ):
        for table in groups:
            if len(table):
                writer.write_table(table.cast(schema), row_group_size=len(table))
    size = prepared.stat().st_size
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.replace(prepared, path)
    except OSError as error:
        with suppress(OSError):
            prepared.unlink()
        raise OutputError(f"cannot write {path}: {error.strerror}; choose another folder.") from error
    return size


def shard_footer(path: Path) -> dict[str, Any]:
    """The JSON of a file's footer.

    Raises:
        ValueError: The file cannot be read or is not of a data set.
    """
    pa = import_pyarrow()
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
    except (OSError, pa.ArrowException) as error:
        raise ValueError(
            f"{path} is not a readable Parquet file ({error}); remove it and run the plan again."
        ) from error
    return read_footer(schema.metadata, path)


def remove_incoming(folder: Path, *, now: float) -> int:
    """Delete what killed processes left behind in a folder of unfinished files; returns their number.

    A file of this machine goes when its process has ended, one of another machine when it has not changed for two days.
    """
    count = 0
    for path in folder.glob("*") if folder.is_dir() else ():
        host, _, rest = path.name.removeprefix(".warpgrasp-").partition("_")
        if path.name.startswith(".warpgrasp-"):  # <pid>-<host>_<pid>_...
            host = host.partition("-")[2]
        owner = rest.partition("_")[0]
        with suppress(OSError):
            ours = host == socket.gethostname() and owner.isdigit()
            gone = not _is_alive(int(owner)) if ours else now - path.stat().st_mtime > _STALE
            if gone:
                path.unlink()
                count += 1
    return count


def _is_alive(process: int) -> bool:
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
