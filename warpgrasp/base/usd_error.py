"""What OpenUSD says of a file it cannot read, in one line."""

from __future__ import annotations

import re

__all__ = ["usd_reason"]

_INTERNAL = re.compile(r"(?:\bError|\bWarning) in '[^']*' at line \d+ in file \S+ : '?")


def usd_reason(error: BaseException, *, length: int = 200) -> str:
    """The message of an error without OpenUSD's own places, cut to ``length`` characters.

    A message may quote damaged bytes that are no text, which raises when it is asked for.
    """
    try:
        text = str(error)
    except UnicodeDecodeError:
        return "it holds bytes that are no text"
    text = " ".join(_INTERNAL.sub("", text).replace("\0", " ").split())
    return text[:length].rstrip(" .'") or type(error).__name__
