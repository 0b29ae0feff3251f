"""Every number of every configuration is checked: NaN, infinity and values out of range are refused by name."""

from __future__ import annotations

import dataclasses
import enum
import importlib
import math
import pkgutil
from collections.abc import Iterator
from typing import Any

import pytest

import warpgrasp
from warpgrasp.base.ranges import ANY_FINITE, NOT_NEGATIVE, POSITIVE, NumberRange, check_numbers
from warpgrasp.eval.config import EvaluationConfig
from warpgrasp.eval.protocol.protocols import PROTOCOLS, Drive
from warpgrasp.hands.convert.conversion import ConvertConfig
from warpgrasp.kernels.qp.dual_newton import QpConfig
from warpgrasp.objects.assets import AssetConfig
from warpgrasp.objects.views import ViewConfig
from warpgrasp.refine.archive import EvolutionConfig
from warpgrasp.synthesis.energy_config import EnergyConfig
from warpgrasp.synthesis.energy_optional import Approach, Wall
from warpgrasp.synthesis.energy_terms import ForceClosure
from warpgrasp.synthesis.optimizer import OptimizerMala
from warpgrasp.synthesis.synthesize import SynthesisConfig

ROOTS = (
    SynthesisConfig(),
    OptimizerMala(),
    AssetConfig(),
    ConvertConfig(),
    ViewConfig(),
    EvolutionConfig(),
    *(EvaluationConfig(protocol=protocol) for protocol in PROTOCOLS.values()),
    Drive(stiffness=1.0, damping=1.0, effort=1.0, armature=1.0, friction=1.0),
)
SIGNED = {"tip_distance_lower", "tip_distance_upper", "normal", "offset", "direction", "allowance"}
"""Fields of which a negative number makes sense."""
OPTIONAL = {
    "density": 500.0,
    "mass": 0.1,
    "squeeze_effort": 1.0,
    "iteration_limit": 9,
    "reset_threshold": 0.9,
}
OPTIONAL |= {"angle_limit": 0.2, "start_penetration_limit": 0.01}
"""Values of fields that are ``None`` by default, so that they are tried too."""


def _configs(config: Any) -> Iterator[Any]:
    """A configuration and those inside it."""
    yield config
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        for entry in value if isinstance(value, tuple) else (value,):
            if dataclasses.is_dataclass(entry):
                yield from _configs(entry)


ALL = {type(config): config for root in ROOTS for config in _configs(root)}


def _cases() -> Iterator[tuple[Any, str, Any]]:
    for config in ALL.values():
        for field in dataclasses.fields(config):
            value = getattr(config, field.name)
            if value is None:
                value = OPTIONAL.get(field.name)
            if isinstance(value, tuple) and value and isinstance(value[0], float):
                for bad in (math.nan, math.inf):
                    yield config, field.name, (bad, *value[1:])
            if isinstance(value, (bool, enum.Enum)) or not isinstance(value, (int, float)):
                continue
            yield from ((config, field.name, bad) for bad in (math.nan, math.inf, -math.inf))
            if field.name not in SIGNED:
                yield config, field.name, -value or -1.0


CASES = list(_cases())


@pytest.mark.parametrize(
    ("config", "name", "bad"), CASES, ids=[f"{type(c).__name__}.{name}={bad}" for c, name, bad in CASES]
)
def test_a_number_out_of_range_is_refused_by_name(config: Any, name: str, bad: Any) -> None:
    with pytest.raises(ValueError, match=rf"\b{name}\b.*\(got"):
        dataclasses.replace(config, **{name: bad})


def test_no_configuration_is_forgotten() -> None:
    """Classes named ...Config and the energy terms, wherever they stand, but those that need Isaac Lab."""
    found = {type(term) for term in EnergyConfig().named_terms().values()}
    for module in pkgutil.walk_packages(warpgrasp.__path__, "warpgrasp."):
        if "isaaclab" in module.name or "torch" in module.name or module.name.endswith("__main__"):
            continue
        names = vars(importlib.import_module(module.name))
        found |= {
            entry
            for name, entry in names.items()
            if name.endswith("Config") and not name.startswith("_") and dataclasses.is_dataclass(entry)
        }
    assert {entry.__name__ for entry in found} <= {entry.__name__ for entry in ALL}
    assert len(CASES) > 150


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: ForceClosure(edge_count=6), "edge_count must be 4 or 8 (got 6)"),
        (lambda: ForceClosure(friction=-1.0), "friction must be finite and not negative (got -1)"),
        (lambda: ForceClosure(qp=QpConfig(lower=0.0)), "qp.lower must be positive (got 0)"),
        (lambda: QpConfig(lower=5.0, upper=4.0), "qp.lower must be smaller than qp.upper (got 5 and 4)"),
        (lambda: SynthesisConfig(step_count=2.5), "step_count must be a whole number (got 2.5)"),  # type: ignore[arg-type]
        (lambda: SynthesisConfig(contact_count=65), "contact_count must be in [1, 64] (got 65)"),
        (lambda: Wall(normal=(0.0, 0.0, 0.0)), "energy.wall.normal must be a finite vector that is not zero"),
        (lambda: Approach(direction=(0.0, 0.0, 0.0)), "energy.approach.direction must be a finite vector"),
    ],
)
def test_values_that_cannot_work_are_refused(make: Any, sentence: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011
        make()
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("allowed", "text"),
    [
        (NOT_NEGATIVE, "finite and not negative"),
        (POSITIVE, "positive and finite"),
        (ANY_FINITE, "finite"),
        (NumberRange(upper=1.0, lower_open=True), "in (0, 1]"),
        (NumberRange(lower=1.0), "at least 1"),
    ],
)
def test_ranges_say_what_they_are(allowed: NumberRange, text: str) -> None:
    assert str(allowed) == text


def test_a_field_that_nobody_names_is_checked() -> None:
    @dataclasses.dataclass
    class Later:
        weight: float = 1.0
        names: tuple[str, ...] = ("a",)
        flag: bool = True

    check_numbers(Later(), "later")
    with pytest.raises(ValueError, match=r"later.weight must be finite and not negative \(got nan\)"):
        check_numbers(Later(weight=math.nan), "later")
