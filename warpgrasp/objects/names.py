"""Names of objects: of any file name one that works as a file, in tables, on web pages and in USD."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

__all__ = ["object_name"]

_LONGEST = 80
"""Bytes of a name; files beside it get suffixes, numbers and temporary endings, and 255 bytes is what file systems take."""
# Reserved on some file system, by shells, by asset paths of USD or by HTML; and what does not print.
_RESERVED = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff<>:\"/\\|?*@&=;`$%#{}\[\]!'^]")
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def object_name(path: Path) -> str:
    """Name of the object in a file: its stem, where that is a name that every command can use.

    Characters that some file system, shell, spreadsheet or page takes for its own become ``_``, dots and signs in front go,
    and a long name is cut and gets eight digits of the hash of the whole.
    """
    stem = path.name if path.name.strip(".") == "" or path.suffix == path.name else path.stem
    name = _RESERVED.sub("_", stem).lstrip(".+- ").rstrip(". ")
    if _DEVICES.fullmatch(name):
        name = f"_{name}"
    data = name.encode("utf-8", "replace")
    if len(data) > _LONGEST:
        digest = hashlib.sha256(path.name.encode("utf-8", "surrogateescape")).hexdigest()[:8]
        name = f"{data[: _LONGEST - 9].decode('utf-8', 'ignore')}_{digest}"
    return name or "object"
