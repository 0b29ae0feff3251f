"""Memory that a process may still take: of the machine, of its control group, of its own limit; and what it is like without.

Sources: ``/proc/meminfo``, ``memory.max`` and ``memory.current`` of cgroup v2 (``limit_in_bytes`` of v1), ``RLIMIT_AS``.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["free_memory", "is_memory_error", "lacking_memory", "memory_sentence"]

_UNLIMITED = 2**60
_ADDRESSES, _RESIDENT = (
    2**30,
    2**28,
)  # bytes that a small command takes beyond its imports, measured with some reserve
_CGROUP = Path("/sys/fs/cgroup")


def free_memory() -> int | None:
    """Bytes of main memory that this process may still take, or ``None`` where nothing says."""
    known = [value for value in (_of_machine(), _of_group(), _of_limit()) if value is not None]
    return max(min(known), 0) if known else None


def lacking_memory() -> str:
    """One sentence where not even a small command can run: native libraries would end the process; else empty."""
    for left, needed, what in (
        (_of_limit(), _ADDRESSES, "the limit of address space (ulimit -v)"),
        (_of_group(), _RESIDENT, "the memory limit of the control group (container or job)"),
    ):
        if left is not None and left < needed:
            return f"{what} leaves {left / 2**20:.0f} MiB and a command takes at least {needed / 2**20:.0f}; raise the limit."
    return ""


def is_memory_error(error: BaseException) -> bool:
    """Whether an error says that memory is used up: Python's and NumPy's, Warp's and that of C++ libraries."""
    text = str(error).lower()
    words = (
        "failed to allocate",
        "out of memory",
        "bad_alloc",
        "cannot allocate memory",
        "unable to allocate",
    )
    return isinstance(error, MemoryError) or any(word in text for word in words)


def memory_sentence(error: BaseException, remedy: str = "") -> str:
    """One sentence on memory that is used up, with what was asked for where the error says it."""
    asked = " ".join(str(error).split()).rstrip(".")
    free = free_memory()
    left = "" if free is None else f"; about {free / 2**20:.0f} MiB are left to this process"
    detail = f" ({asked})" if asked else ""
    return f"the memory is used up{detail}{left}; {remedy or 'give the process more, or less to do at once'}."


def _of_machine() -> int | None:
    return _field(Path("/proc/meminfo"), "MemAvailable:")


def _of_limit() -> int | None:
    """What ``ulimit -v`` leaves."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    taken = _field(Path("/proc/self/status"), "VmSize:")
    if taken is None or not 0 <= limit < _UNLIMITED:
        return None
    return int(limit) - taken


def _of_group() -> int | None:
    """What the smallest of the process's control groups leaves."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    left = []
    for line in lines:
        _, kinds, path = line.split(":", 2)
        if kinds == "":
            root, limit, taken = _CGROUP, "memory.max", "memory.current"
        elif "memory" in kinds.split(","):
            root, limit, taken = _CGROUP / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        group = root / path.lstrip("/")
        # Inside a container the path is often that of the host: the root is the container's own group then.
        for folder in dict.fromkeys((group, *group.parents, root)):
            most, used = _number(folder / limit), _number(folder / taken)
            if folder.is_relative_to(root) and most is not None and used is not None and most < _UNLIMITED:
                left.append(most - used + _cache_of(folder))
    return min(left) if left else None


def _cache_of(folder: Path) -> int:
    """Bytes of files that the group can drop; they count as used."""
    try:
        lines = (folder / "memory.stat").read_text().splitlines()
        return next(
            int(line.split()[1])
            for line in lines
            if line.startswith(("inactive_file", "total_inactive_file"))
        )
    except (OSError, StopIteration, ValueError, IndexError):
        return 0


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # "max", or no such file
        return None


def _field(path: Path, name: str) -> int | None:
    """A number of KiB in a file of ``/proc``, in bytes."""
    try:
        line = next(line for line in path.read_text().splitlines() if line.startswith(name))
        return 1024 * int(line.split()[1])
    except (OSError, StopIteration, ValueError, IndexError):
        return None
