"""A hand stage in other units, written again in metres and kilograms: a reference does not convert units.

Every attribute with a dimension is multiplied by a power of the length and of the mass unit (UsdGeom, UsdPhysics, and the
Newton, PhysX and warpgrasp attributes of joints). Whether nothing was forgotten is not taken on trust: the copy is read as a
hand and compared with the original.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pxr import Gf, Sdf, Usd, UsdGeom, UsdPhysics, Vt

if TYPE_CHECKING:
    from warpgrasp.hands.model import HandModel

__all__ = ["differing_fields", "in_metres_and_kilograms", "units_of"]

_SAME = ("path", "asset_hash")
_RELATIVE, _ABSOLUTE = 1.0e-4, 1.0e-6

# Names, exponent of the length, exponent of the mass.
_EVERYWHERE = (
    (
        r"points|extent|widths|size|radius|radiusTop|radiusBottom|height|width|length|xformOp:translate.*",
        1,
        0,
    ),
    (r"physics:localPos[01]|physics:centerOfMass", 1, 0),
    (r"physics:mass", 0, 1),
    (r"physics:density", -3, 1),
    (r"physics:diagonalInertia", 2, 1),
)
_LINEAR = (
    (r"physics:lowerLimit|physics:upperLimit|state:linear:physics:.*|newton:mimicCoef0", 1, 0),
    (r"drive:linear:physics:target.*|newton:velocityLimit|physxJoint:maxJointVelocity", 1, 0),
    (r"physxMimicJoint:.*:offset|warpgrasp:openingPosition", 1, 0),
    (r"drive:linear:physics:(stiffness|damping)|newton:armature|physxJoint:armature", 0, 1),
    (r"drive:linear:physics:maxForce|newton:friction|physxJoint:jointFriction", 1, 1),
)
_ANGULAR = (
    (r"drive:angular:physics:(stiffness|damping|maxForce)", 2, 1),
    (r"newton:(armature|friction)|physxJoint:(armature|jointFriction)", 2, 1),
)
_SI_ALREADY = ("warpgrasp:openingPosition",)  # rad or m by definition, whatever the stage's units


def units_of(stage: Usd.Stage) -> tuple[float, float]:
    """Metres and kilograms per unit of a stage."""
    return float(UsdGeom.GetStageMetersPerUnit(stage)), float(UsdPhysics.GetStageKilogramsPerUnit(stage))


def in_metres_and_kilograms(stage: Usd.Stage) -> Sdf.Layer:
    """One layer with all that a stage composes, converted; asset paths in it are absolute."""
    length, mass = units_of(stage)
    layer = stage.Flatten(addSourceFileComment=False)
    converted = Usd.Stage.Open(layer)
    for prim in converted.TraverseAll():
        rules = list(_EVERYWHERE)
        if prim.IsA(UsdPhysics.PrismaticJoint):
            rules += _LINEAR
        elif prim.IsA(UsdPhysics.Joint):
            rules += _ANGULAR
        for attribute in prim.GetAuthoredAttributes():
            power = _power(attribute.GetName(), rules)
            if power is not None:
                _apply(attribute, _scaled, length ** power[0] * mass ** power[1])
            elif attribute.GetName().startswith("xformOp:transform"):
                _apply(attribute, _moved, length)
    UsdGeom.SetStageMetersPerUnit(converted, 1.0)
    UsdPhysics.SetStageKilogramsPerUnit(converted, 1.0)
    return layer


def _power(name: str, rules: list[tuple[str, int, int]]) -> tuple[int, int] | None:
    if name in _SI_ALREADY:
        return None
    return next(((length, mass) for pattern, length, mass in rules if re.fullmatch(pattern, name)), None)


def _apply(attribute: Usd.Attribute, change: Callable[[Any, float], Any], factor: float) -> None:
    if factor == 1.0:
        return
    for time in attribute.GetTimeSamples():
        attribute.Set(change(attribute.Get(time), factor), time)
    value = attribute.Get(Usd.TimeCode.Default())
    if value is not None:
        attribute.Set(change(value, factor))


def _scaled(value: Any, factor: float) -> Any:
    """A number, a vector or an array of either, times a factor."""
    if isinstance(value, (int, float)):
        return factor * value
    if hasattr(value, "FromNumpy") or isinstance(value, (Vt.FloatArray, Vt.DoubleArray)):
        return type(value).FromNumpy((np.array(value) * factor).astype(np.array(value).dtype))
    return type(value)(*(factor * component for component in value))


def _moved(value: Any, length: float) -> Any:
    """A matrix whose translation is multiplied."""
    matrix = Gf.Matrix4d(value)
    matrix.SetTranslateOnly(length * matrix.ExtractTranslation())
    return matrix


def differing_fields(hand: HandModel, copy: Path) -> list[str]:
    """Names of the fields in which the hand of a file differs from a model; its numbers may do so by rounding."""
    from warpgrasp.hands.library import load_hand

    other = load_hand(copy)
    differing = []
    for field in dataclasses.fields(hand):
        first, second = getattr(hand, field.name), getattr(other, field.name)
        if isinstance(first, np.ndarray):
            same = first.shape == second.shape and (
                np.allclose(first, second, rtol=_RELATIVE, atol=_ABSOLUTE, equal_nan=True)
                if first.dtype.kind == "f"
                else np.array_equal(first, second)
            )
        elif isinstance(first, (str, tuple)) and field.name not in _SAME:
            same = _plain(first) == _plain(second)
        else:
            same = True
        if not same:
            differing.append(field.name)
    return differing


def _plain(value: Any) -> Any:
    """Texts and lengths of what cannot be compared by ``==``, such as meshes."""
    if isinstance(value, tuple):
        return tuple(_plain(entry) for entry in value)
    return value if isinstance(value, (str, int)) else type(value).__name__
