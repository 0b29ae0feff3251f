"""Pages that need no network: parts of a page that travel with the package, three.js, and data inside a script element."""

from __future__ import annotations

import json
import string
from collections.abc import Mapping
from importlib import resources
from typing import Any

from warpgrasp.base.json_text import to_json

__all__ = ["filled_page", "page_part", "script_json", "three_parts"]


def page_part(package: str, name: str) -> str:
    """Text of a file of a page, ``name`` relative to the package."""
    text = resources.files(package).joinpath(*name.split("/")).read_text(encoding="utf-8")
    # A script element would end at its own end tag inside a string.
    return text.replace("</script", "<\\/script") if name.endswith(".js") else text


def three_parts() -> dict[str, str]:
    """What a page with a 3-D view fills in for ``$three`` and ``$three_license``."""
    names = {"three": "three.min.js", "three_license": "LICENSE-three.txt"}
    return {key: page_part("warpgrasp.base", f"three/{name}") for key, name in names.items()}


def script_json(value: Any) -> str:
    """JSON for a script element; numbers that are not finite become null."""
    # In a script element "<!--<script" changes what ends it, so no "<" stays.
    return json.dumps(to_json(value), separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def filled_page(skeleton: str, values: Mapping[str, str]) -> str:
    """The page with every ``$name`` filled in."""
    return string.Template(skeleton).substitute(values)
