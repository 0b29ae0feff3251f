"""Output that never fails on a character: file names may hold bytes that are no text."""

from __future__ import annotations

import sys

__all__ = ["print_any_text"]


def print_any_text() -> None:
    """Let standard output and errors show what they cannot encode as backslash escapes."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
