"""The error of every object that cannot be used."""

from __future__ import annotations

__all__ = ["ObjectError"]


class ObjectError(ValueError):
    """An object file was refused: one sentence with the offending value and the remedy."""
