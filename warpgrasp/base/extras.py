"""What to do where an optional dependency is missing, in the words that fit a clone and an installed package."""

from __future__ import annotations

__all__ = ["install_extra"]


def install_extra(name: str) -> str:
    """Half a sentence that tells how to install an extra of this package, such as ``sim``."""
    return f"install warpgrasp with its extra '{name}' (in a clone: pip install -e '.[{name}]')"
