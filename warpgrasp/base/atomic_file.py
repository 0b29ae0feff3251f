"""Writing output files whole or not at all.

A file appears under its final name only after all its bytes are on the disk: temporary file in the same
folder, ``fsync``, rename. A killed process leaves at most a temporary file, which never has the final name and which the next
process on the same host that writes into the folder removes.
"""

from __future__ import annotations

import errno
import functools
import hashlib
import os
import re
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = [
    "OutputError",
    "folder_lock",
    "remove_temporary_files",
    "replace_file",
    "scratch_folder",
    "temporary_path",
    "write_bytes",
    "write_text",
]

_PREFIX = ".warpgrasp-"
_LONGEST = 120
"""Bytes of a file's name that a temporary name repeats; 255 is what file systems take."""


class OutputError(ValueError):
    """An output file or folder could not be written; the message is one sentence with the remedy."""


_REMEDIES = {
    errno.ENOSPC: "the disk is full; free some space or choose another folder",
    errno.EDQUOT: "the disk quota is used up; free some space or choose another folder",
    errno.EFBIG: "the file is larger than the file system or the process limit allows; choose another folder",
    errno.EACCES: "permission denied; choose a folder you may write to",
    errno.EPERM: "permission denied; choose a folder you may write to",
    errno.EROFS: "the file system is read-only; choose another folder",
    errno.ENOTDIR: "a part of the path is a file, not a folder; choose another path",
    errno.EEXIST: "a file of that name is in the way; choose another path",
    errno.EISDIR: "a folder of that name is in the way; choose another path",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
}


def _output_error(path: Path, error: OSError) -> OutputError:
    reason = _REMEDIES.get(error.errno or 0, error.strerror or str(error))
    return OutputError(f"cannot write {path}: {reason}.")


@functools.cache
def _host() -> str:
    return re.sub(r"[^A-Za-z0-9]", "_", socket.gethostname())[:32] or "host"


_OWN: dict[int, str] = {}  # process -> its token; a process that forks gets another


def _token() -> str:
    """Host, process and random digits: process numbers are used again, in containers almost always."""
    number = os.getpid()
    if number not in _OWN:
        _OWN[number] = f"{_host()}-{number}-{secrets.token_hex(4)}"
    return _OWN[number]


def temporary_path(path: Path) -> Path:
    """Where this process prepares ``path``: same folder, same suffix, a name that says whose it is."""
    _clean_once(path.parent, _token())
    name = path.name
    if len(os.fsencode(name)) > _LONGEST:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()[:16] + path.suffix
    return path.with_name(f"{_PREFIX}{_token()}-{name}")


@functools.lru_cache(maxsize=256)
def _clean_once(folder: Path, token: str) -> None:  # the token is part of the cache key
    remove_temporary_files(folder)


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """An empty folder in the system's folder for temporary files, removed afterwards; what killed processes left there too."""
    base = Path(tempfile.gettempdir())
    _clean_once(base, _token())
    with tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{_token()}-", dir=base) as name:
        yield Path(name)


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Only one process at a time runs the block for a folder; where the file system knows no locks, all do.

    Raises:
        OutputError: The folder cannot be made.
    """
    try:
        _make_folder(folder)
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        if os.name == "posix":
            raise _output_error(folder, error) from error
        yield  # Windows opens no folders
        return
    try:
        with suppress(ImportError, OSError):
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def replace_file(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path; on a clean exit it becomes ``path``, otherwise nothing is left behind.

    The temporary file lies in the folder of ``path`` (created when missing) and has the same suffix, so that
    writers that choose the format by suffix work. The previous file, if any, stays until the rename.

    Raises:
        OutputError: The folder cannot be created or the file cannot be written (full disk, permissions).
    """
    path = Path(path)
    temporary = temporary_path(path)
    try:
        _make_folder(path.parent)
        yield temporary
        with open(temporary, "r+b") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise _output_error(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from error


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable where the platform allows it (not on Windows)."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_bytes(path: Path | str, data: bytes) -> None:
    """Write ``data`` to ``path`` whole or not at all (see :func:`replace_file`)."""
    with replace_file(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path | str, text: str) -> None:
    """Write ``text`` as UTF-8 to ``path`` whole or not at all (see :func:`replace_file`)."""
    write_bytes(path, text.encode())


def remove_temporary_files(folder: Path) -> int:
    """Delete what killed processes of this host left in ``folder``; return the number of files and folders deleted.

    What belongs to processes that are still alive is kept, and so is what other hosts write, of whose processes nothing is
    known here.
    """
    count = 0
    for path in folder.glob(f"{_PREFIX}*"):
        owner = path.name.removeprefix(_PREFIX).split("-", 3)
        if len(owner) < 4 or owner[0] != _host() or not owner[1].isdigit():
            continue
        if "-".join(owner[:3]) == _token() or _is_alive(int(owner[1]), path):
            continue
        with suppress(OSError):
            is_folder = path.is_dir() and not path.is_symlink()
            shutil.rmtree(path) if is_folder else path.unlink()
            count += 1
    return count


def _is_alive(process_id: int, path: Path) -> bool:
    """Whether the process that made ``path`` may still run."""
    if process_id == os.getpid():  # an earlier process of this number
        return False
    if os.name != "posix":  # signal 0 would end the process on Windows
        return True
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    started = _started(process_id)
    try:
        return (
            started is None or started < path.lstat().st_ctime + 2.0
        )  # else the number was given to a younger one
    except OSError:
        return True


def _started(process_id: int) -> float | None:
    """When a process began [s since 1970], or None where the system does not say."""
    try:
        ticks = int(Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[19])
        lines = Path("/proc/stat").read_text().splitlines()
        boot = next(int(line.split()[1]) for line in lines if line.startswith("btime"))
        return boot + ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, StopIteration, ValueError, IndexError):
        return None
