"""What was computed for a mesh, kept in the user's cache by the hash of what it was computed from.

Entries are npz files below ``$XDG_CACHE_HOME/warpgrasp`` (by default ``~/.cache/warpgrasp``). The hash also covers the sources
of this package's room of objects, so that another version never reads them. A damaged entry is computed and written again; a
cache that cannot be written is done without. The least recently used entries go when all of them exceed ``SIZE_LIMIT``.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable, Collection
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from warpgrasp.base.atomic_file import OutputError, write_bytes
from warpgrasp.base.npz import npz_bytes, read_npz

__all__ = ["SIZE_LIMIT", "cache_root", "cached_arrays", "remove_oldest"]

SIZE_LIMIT = 2 * 2**30
"""Bytes of the entries of objects that are kept."""
_WRITES_PER_CHECK = 64  # entries that a process writes between two looks at the size of all
_written = [0]


def cache_root() -> Path:
    """``$XDG_CACHE_HOME/warpgrasp``, by default below ``~/.cache``."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "warpgrasp"


def cached_arrays(
    kind: str,
    source: bytes | str,
    names: Collection[str],
    compute: Callable[[], dict[str, NDArray[Any]]],
) -> dict[str, NDArray[Any]]:
    """Arrays of the cache, or else computed and kept there; the same bytes either way.

    Args:
        kind: What they are, such as ``"samples"``; a part of the file's name.
        source: Everything that decides them, beside the sources of this room.
        names: Names of the arrays.
        compute: Called where the entry is missing or damaged.
    """
    digest = hashlib.sha256(kind.encode() + b" " + _sources())
    digest.update(source.encode() if isinstance(source, str) else source)
    path = cache_root() / "objects" / f"{kind}_{digest.hexdigest()[:32]}.npz"
    with suppress(OSError, ValueError):
        arrays = read_npz(path)
        if set(arrays) == set(names):
            os.utime(path)  # used just now
            return arrays
    arrays = compute()
    with suppress(OutputError):  # slower next time, not wrong
        write_bytes(path, npz_bytes(arrays))
        if _written[0] % _WRITES_PER_CHECK == 0:
            remove_oldest(path.parent, SIZE_LIMIT)
        _written[0] += 1
    return arrays


@functools.cache
def _sources() -> bytes:
    """Hash of the modules that compute what is kept, and the versions of the libraries that they use."""
    digest = hashlib.sha256()
    for package in ("numpy", "scipy", "trimesh", "warp-lang", "manifold3d"):
        with suppress(PackageNotFoundError):
            digest.update(version(package).encode())
    folder = Path(__file__).parent
    for file in sorted((*folder.glob("*.py"), *(folder.parent / "kernels").glob("*distance*.py"))):
        digest.update(file.read_bytes())
    return digest.digest()


def remove_oldest(folder: Path, limit: int) -> None:
    """Delete entries, the least recently used first, until the others take at most ``limit`` bytes."""
    entries = []
    for file in folder.glob("*.npz"):
        with suppress(OSError):
            entries.append((file.stat().st_mtime, file.stat().st_size, file))
    total = sum(size for _, size, _ in entries)
    for _, size, file in sorted(entries):
        if total <= limit:
            break
        with suppress(OSError):
            file.unlink()
        total -= size
