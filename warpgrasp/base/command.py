"""What every command does alike: an interrupt, a request to end, and memory that is used up are one sentence each.

``SIGTERM`` is how schedulers and ``docker stop`` ask a process to end, some seconds before they kill it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any

from warpgrasp.base.memory import is_memory_error, lacking_memory, memory_sentence

__all__ = ["Terminated", "answer_requests", "end_of", "quiet_interrupts", "run_command", "stop_requested"]


class Terminated(KeyboardInterrupt):
    """The process was asked to end by ``SIGTERM``."""


class _Request:
    """Whether ``SIGTERM`` has come, and whether the code that runs asks for itself."""

    def __init__(self) -> None:
        self.come = False
        self.asked_for = False

    def receive(self, number: int, frame: Any) -> None:
        """Handler of the signal."""
        self.come = True
        if not self.asked_for:
            raise Terminated


_REQUEST = _Request()


@contextmanager
def stop_requested() -> Iterator[Callable[[], bool]]:
    """While the block runs, ``SIGTERM`` raises nothing: the function that is yielded says whether it has come.

    Raises:
        Terminated: After the block, where it has come.
    """
    _REQUEST.asked_for = True
    try:
        yield lambda: _REQUEST.come
    finally:
        _REQUEST.asked_for = False
    if _REQUEST.come:
        raise Terminated


def answer_requests() -> None:
    """Let ``SIGTERM`` raise :class:`Terminated`, or be asked for by :func:`stop_requested`, for the rest of the process."""
    if hasattr(signal, "SIGTERM"):
        signal.signal(signal.SIGTERM, _REQUEST.receive)


def end_of(error: KeyboardInterrupt) -> tuple[str, int]:
    """How a sentence calls the end of a command, and its exit code."""
    return ("ended by SIGTERM", 143) if isinstance(error, Terminated) else ("interrupted", 130)


def run_command(main: Callable[[], int]) -> int:
    """Run a command line; whatever ends it early is one sentence.

    Returns:
        The exit code: that of ``main``, 130 after an interrupt, 143 after ``SIGTERM``, 1 where memory, a file or a folder is
        missing.
    """
    lacking = lacking_memory()
    if lacking:
        _tell(lacking)
        return 1
    previous: Any = None
    own = hasattr(signal, "SIGTERM") and threading.current_thread() is threading.main_thread()
    if own:
        previous = signal.signal(signal.SIGTERM, _REQUEST.receive)
    try:
        return main()
    except KeyboardInterrupt as error:
        word, code = end_of(error)
        _tell(f"{word}; what is finished is kept, and the same command continues.")
        return code
    except BrokenPipeError:  # the reader of the output, such as head, has gone
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _tell(f"{where}{error.strerror or error}; the same command continues once that is mended.")
        return 1
    except Exception as error:
        if not is_memory_error(error):
            raise
        _tell(memory_sentence(error))
        return 1
    finally:
        _REQUEST.come = False
        if own:
            signal.signal(signal.SIGTERM, previous or signal.SIG_DFL)


def quiet_interrupts() -> None:
    """Let an interrupt be one sentence from now on, also where nothing catches it, as while modules are imported."""
    sys.excepthook = _hook


def _hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        _tell(f"{end_of(KeyboardInterrupt())[0]} before the command began.")
    elif isinstance(error, Exception) and is_memory_error(error):
        _tell(memory_sentence(error))
    else:
        sys.__excepthook__(kind, error, trace)


def _tell(sentence: str) -> None:
    with suppress(OSError, ValueError):
        sys.stderr.write(f"error: {sentence}\n")
        sys.stderr.flush()
