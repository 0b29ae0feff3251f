"""Objects of the user's own modules, named on the command line as ``my_module:Name``."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

__all__ = ["is_reference", "load_reference"]


def is_reference(text: str) -> bool:
    """Whether ``text`` names an object of a module, and not a preset."""
    return ":" in text


def load_reference(text: str, option: str) -> Any:
    """The object that ``my_module:Name`` names; the module lies in the current directory or on ``sys.path``.

    Args:
        text: Module, with dots for packages, a colon, and a name in it.
        option: What to call it in messages, such as ``--energy``.

    Raises:
        ValueError: There is no such module or name, or the module fails to import.
    """
    module_name, _, name = text.partition(":")
    if not (name.isidentifier() and all(part.isidentifier() for part in module_name.split("."))):
        raise ValueError(f"{option} must look like my_module:Name (got {text!r})")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise ValueError(_failed_import(text, option, module_name, error)) from error
    if not hasattr(module, name):
        own = [word for word, value in vars(module).items() if _belongs(value, module_name)]
        known = ", ".join(word for word in own if word.isidentifier() and word[0] != "_") or "nothing"
        raise ValueError(f"{option} {text}: module {module_name} has no {name}; it has {known}")
    return getattr(module, name)


def _failed_import(text: str, option: str, module_name: str, error: Exception) -> str:
    packages = [module_name[: i or None] for i in (*_dots(module_name), 0)]
    if isinstance(error, ModuleNotFoundError) and error.name in packages:
        return (
            f"{option} {text}: there is no module {error.name} in the current directory ({Path.cwd()}) or on "
            "sys.path; check the name, or run the command where the module lies"
        )
    return f"{option} {text}: module {module_name} cannot be imported ({type(error).__name__}: {error})"


def _belongs(value: Any, module_name: str) -> bool:
    """Whether a value of a module was made there and not imported."""
    return getattr(value, "__module__", None) == module_name


def _dots(name: str) -> list[int]:
    return [i for i, letter in enumerate(name) if letter == "."]
