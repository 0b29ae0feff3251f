"""Writing output files whole or not at all.

A file appears under its final name only after all its bytes are on the disk: temporary file in the same
folder, ``fsync``, rename. A killed process leaves at most a temporary file, which never has the final name.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = [
    "OutputError",
    "remove_temporary_files",
    "replace_file",
    "temporary_path",
    "write_bytes",
    "write_text",
]

_PREFIX = ".warpgrasp-"


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


def temporary_path(path: Path) -> Path:
    """Where this process prepares ``path``: same folder, same suffix, a name that says whose it is."""
    return path.with_name(f"{_PREFIX}{os.getpid()}-{path.name}")


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
    """Delete what killed processes left in ``folder``; return the number of files and folders deleted.

    What belongs to processes that are still alive is kept.
    """
    count = 0
    for path in folder.glob(f"{_PREFIX}*"):
        owner = path.name.removeprefix(_PREFIX).split("-", 1)[0]
        if owner.isdigit() and not _is_alive(int(owner)):
            with suppress(OSError):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
                count += 1
    return count


def _is_alive(process_id: int) -> bool:
    if process_id == os.getpid():
        return True
    if os.name != "posix":  # signal 0 would end the process on Windows
        return True
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
