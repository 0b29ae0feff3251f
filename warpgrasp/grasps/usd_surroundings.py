"""What a grasp stage needs to be played and seen: a root that is held, gravity, light, and a ground for whoever wants one."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pxr import Gf, Sdf, Usd, Vt

__all__ = ["FIXED_JOINT", "fix_root", "hold_root", "write_surroundings"]

FIXED_JOINT = "joints/world_joint"
"""Path below the hand of the joint that holds its root to the world."""

_TYPES = Sdf.ValueTypeNames
_DROP = 0.3  # m from the object's lowest point down to the ground, where the hand has room
_GROUND = 1.0  # m, half its width


def fix_root(hand: Sdf.PrimSpec, asset: Path) -> bool:
    """Choose the asset's variant with a fixed root; whether there is one: other hands stay as their file has them.

    Args:
        hand: The prim that references the asset.
        asset: The hand's file.
    """
    if _can_be_fixed(asset):
        hand.variantSelections["root"] = "fixed"
        return True
    return False


@functools.lru_cache(maxsize=32)
def _can_be_fixed(asset: Path) -> bool:
    """Whether a copy of a hand, which is never written again, has the variant."""
    stage = Usd.Stage.Open(str(asset))  # prims end with their stage
    default = stage.GetDefaultPrim()
    return bool(default) and "fixed" in default.GetVariantSet("root").GetVariantNames()


def hold_root(joint: Sdf.PrimSpec, position: Sequence[float], quaternion: Sequence[float]) -> None:
    """Put the fixed joint where the root is.

    Args:
        joint: The joint's override.
        position: Root in the world [m].
        quaternion: Its orientation, xyzw.
    """
    x, y, z, w = quaternion
    _set(joint, "physics:localPos0", _TYPES.Point3f, Gf.Vec3f(*position))
    _set(joint, "physics:localRot0", _TYPES.Quatf, Gf.Quatf(w, x, y, z))


def write_surroundings(world: Sdf.PrimSpec, lowest: float) -> None:
    """Gravity, light and the variant set ``ground`` (``none``, ``plane``).

    Args:
        world: The stage's default prim.
        lowest: Lowest z of the object [m].
    """
    scene = Sdf.PrimSpec(world, "Physics", Sdf.SpecifierDef, "PhysicsScene")
    _set(scene, "physics:gravityDirection", _TYPES.Vector3f, Gf.Vec3f(0.0, 0.0, -1.0))
    _set(scene, "physics:gravityMagnitude", _TYPES.Float, 9.81)
    sky = Sdf.PrimSpec(world, "Sky", Sdf.SpecifierDef, "DomeLight")
    _set(sky, "inputs:intensity", _TYPES.Float, 600.0)
    lamp = Sdf.PrimSpec(world, "Lamp", Sdf.SpecifierDef, "DistantLight")
    _set(lamp, "inputs:intensity", _TYPES.Float, 1500.0)
    _set(lamp, "inputs:angle", _TYPES.Float, 2.0)
    _set(lamp, "xformOp:rotateXYZ", _TYPES.Float3, Gf.Vec3f(-35.0, 25.0, 0.0))
    _set(lamp, "xformOpOrder", _TYPES.TokenArray, Vt.TokenArray(["xformOp:rotateXYZ"]), uniform=True)
    world.variantSetNameList.prependedItems = ["ground"]
    variants = Sdf.VariantSetSpec(world, "ground")
    Sdf.VariantSpec(variants, "none")
    ground = Sdf.PrimSpec(Sdf.VariantSpec(variants, "plane").primSpec, "Ground", Sdf.SpecifierDef, "Plane")
    world.variantSelections["ground"] = "none"
    ground.SetInfo("apiSchemas", Sdf.TokenListOp.Create(prependedItems=["PhysicsCollisionAPI"]))
    _set(ground, "axis", _TYPES.Token, "Z", uniform=True)
    _set(ground, "width", _TYPES.Double, 2.0 * _GROUND)
    _set(ground, "length", _TYPES.Double, 2.0 * _GROUND)
    box = [Gf.Vec3f(-_GROUND, -_GROUND, 0.0), Gf.Vec3f(_GROUND, _GROUND, 0.0)]
    _set(ground, "extent", _TYPES.Float3Array, Vt.Vec3fArray(box))
    _set(ground, "xformOp:translate", _TYPES.Double3, Gf.Vec3d(0.0, 0.0, lowest - _DROP))
    _set(ground, "xformOpOrder", _TYPES.TokenArray, Vt.TokenArray(["xformOp:translate"]), uniform=True)


def _set(prim: Sdf.PrimSpec, name: str, kind: Any, value: Any, *, uniform: bool = False) -> None:
    variability = Sdf.VariabilityUniform if uniform else Sdf.VariabilityVarying
    Sdf.AttributeSpec(prim, name, kind, variability, False).default = value
