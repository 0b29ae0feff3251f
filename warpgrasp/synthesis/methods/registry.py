"""The methods of this folder and of users, by name."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import pkgutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from warpgrasp.base.user_module import is_reference, load_reference
from warpgrasp.synthesis.energy_config import EnergyConfig
from warpgrasp.synthesis.synthesize import SynthesisConfig

__all__ = [
    "DEFAULT_METHOD",
    "Method",
    "exchange_closure",
    "find_method",
    "method_config",
    "method_names",
]

DEFAULT_METHOD = "graspqp"


@dataclass(frozen=True, kw_only=True)
class Method:
    """A whole system: what it is, where it comes from, and everything that decides its grasps."""

    summary: str
    """One line for the list of methods."""
    source: str
    """Authors and year of the publication, and which variant of it this is."""
    config: SynthesisConfig = field(default_factory=SynthesisConfig)
    """Energy terms and weights, optimiser, seeds, contacts, steps, closing, pregrasp and squeeze."""


@functools.cache
def _shipped() -> dict[str, Method]:
    """The methods that the modules of this folder declare in ``METHODS``, the default first."""
    package = __name__.rpartition(".")[0]
    found: dict[str, Method] = {}
    for entry in pkgutil.iter_modules([str(Path(__file__).parent)]):
        module = importlib.import_module(f"{package}.{entry.name}")
        found.update(getattr(module, "METHODS", {}))
    return {DEFAULT_METHOD: found[DEFAULT_METHOD], **found}


def method_names() -> tuple[str, ...]:
    """Names of the methods of the package, the default first."""
    return tuple(_shipped())


def find_method(name: str, option: str = "--method") -> Method:
    """The method of that name, its configuration saying so in ``method``.

    Args:
        name: One of :func:`method_names`, or ``my_module:MY_METHOD`` for a ``Method`` of your own, or for a function or
            class that makes one without arguments.
        option: What to call the name in messages.

    Raises:
        ValueError: There is no such method, or what the name stands for is none.
    """
    if is_reference(name):
        method = _own_method(name, option)
    elif name in _shipped():
        method = _shipped()[name]
    else:
        raise ValueError(
            f"{option} must be one of {', '.join(method_names())}, or my_module:MY_METHOD (got {name!r})"
        )
    return dataclasses.replace(method, config=dataclasses.replace(method.config, method=name))


def method_config(name: str = DEFAULT_METHOD, **changes: Any) -> SynthesisConfig:
    """Configuration of a method with fields of ``SynthesisConfig`` changed, such as ``grasp_count=8``.

    Raises:
        ValueError: There is no such method, or a value is out of range.
    """
    return dataclasses.replace(find_method(name, "method").config, **changes)


def exchange_closure(energy: EnergyConfig, other: EnergyConfig) -> EnergyConfig:
    """``energy`` with what makes a grasp good (closure, distance, extra terms) taken from ``other``.

    What keeps a grasp feasible (penetration, self penetration, joint limits) and what a task asks (wall, approach) stay.
    So that energies can be compared all else equal: ``exchange_closure(EnergyConfig(), method_config("tdg").energy)``.
    """
    names = ("force_closure", "distance", "wrench_balance", "extra")
    return dataclasses.replace(energy, **{name: getattr(other, name) for name in names})


def _own_method(reference: str, option: str) -> Method:
    value = load_reference(reference, option)
    if callable(value) and not isinstance(value, Method):
        value = value()
    if not isinstance(value, Method):
        raise ValueError(
            f"{option} {reference} must be a warpgrasp.synthesis.methods.Method, or make one without arguments "
            f"(got {type(value).__name__})"
        )
    return value
