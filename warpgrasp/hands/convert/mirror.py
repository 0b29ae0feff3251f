"""The other hand: an annotated asset reflected, geometry, frames, joints, masses, patches and names.

The reflection is in the plane y = 0 of the root link. Every link frame is reflected with what it holds, which keeps frames
right-handed: a point p becomes S p and a rotation R becomes S R S with S = diag(1, -1, 1). Hinges keep their values and
limits: the axis a of a rotation becomes -S a.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from pxr import Gf, Sdf, Usd, UsdGeom, UsdPhysics, Vt

from warpgrasp.base.usd_layers import write_layers
from warpgrasp.hands.authoring.author import prim_name
from warpgrasp.hands.authoring.variants import write_annotation_variants, write_physics_variants
from warpgrasp.hands.library import load_hand
from warpgrasp.hands.model import HandModel
from warpgrasp.hands.usd import schema
from warpgrasp.hands.usd.stage import flat_layer

__all__ = ["mirror_hand", "other_side"]

_SIDES = {"left": "right", "right": "left", "lh": "rh", "rh": "lh", "l": "r", "r": "l"}
_SIDE_WORD = re.compile(
    r"(?<![A-Za-z])(left|right|LEFT|RIGHT|Left|Right)(?!Handed)(?![a-z])|(?<![A-Za-z0-9])([LlRr][Hh]?)(?=_[A-Za-z])"
)
_HALF_TURN = {
    "X": Gf.Quatf(0.0, 0.0, 1.0, 0.0),
    "Z": Gf.Quatf(0.0, 0.0, 1.0, 0.0),
    "Y": Gf.Quatf(0.0, 1.0, 0.0, 0.0),
}


def mirror_hand(source: Path | str, output: Path | str, name: str = "") -> HandModel:
    """Write the mirror image of a hand asset.

    Args:
        source: ``hand.usda`` of a converted or shipped hand, or a shipped hand's name.
        output: Folder for the new ``hand.usda``; created when missing.
        name: Name of the new hand; empty: the old one with left and right exchanged, else that of the folder.

    Raises:
        ValueError: The file is no hand with grasp annotation.
    """
    hand = load_hand(str(source))
    if not hand.grasp_types:
        raise ValueError(
            f"'{hand.path}' has no grasp annotation to mirror; convert it first, then mirror its hand.usda"
        )
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "hand.usda").resolve() == hand.path:
        raise ValueError(
            f"'{hand.path}' would be replaced by its own mirror image; give another folder with -o"
        )
    swapped = other_side(hand.name)
    new_name = prim_name(
        re.sub(r"\W", "_", name or (swapped if swapped != hand.name else folder.resolve().name))
    )
    text = flat_layer(hand.path).ExportToString()
    layer = Sdf.Layer.CreateAnonymous(".usda")
    layer.ImportFromString(_renamed(text, hand.link_paths[0].split("/")[1], new_name))
    stage = Usd.Stage.Open(layer)
    for prim in stage.Traverse():
        _reflect(prim)
    write_physics_variants(stage, stage.GetDefaultPrim())
    write_annotation_variants(layer, stage.GetDefaultPrim().GetPath())
    write_layers(stage, folder / "hand.usda")
    return load_hand(folder / "hand.usda")


def other_side(name: str) -> str:
    """A name with left and right exchanged, as words of their own: ``rh_FFJ1`` becomes ``lh_FFJ1``."""
    return _SIDE_WORD.sub(_exchange, name)


def _exchange(match: re.Match[str]) -> str:
    word = match.group(0)
    other = _SIDES[word.lower()]
    if word.isupper():
        return other.upper()
    return other.capitalize() if word[0].isupper() else other


def _renamed(text: str, old: str, new: str) -> str:
    """The layer's text with sides exchanged in names, and the asset under its new name."""
    swapped = "\n".join(other_side(line) if len(line) < 2000 else line for line in text.splitlines())
    old = re.escape(other_side(old))
    swapped = re.sub(rf'(defaultPrim = |def Xform )"{old}"', rf'\1"{new}"', swapped)
    return re.sub(rf"<//?{old}(?=[/>])", f"</{new}", swapped)


def _reflect(prim: Usd.Prim) -> None:
    if prim.IsA(UsdGeom.Xformable):
        _reflect_pose(prim)
    if prim.IsA(UsdGeom.Mesh):
        _reflect_mesh(UsdGeom.Mesh(prim))
    if prim.HasAPI(UsdPhysics.MassAPI):
        mass = UsdPhysics.MassAPI(prim)
        _replace(mass.GetCenterOfMassAttr(), _point)
        _replace(mass.GetPrincipalAxesAttr(), _turn)
    if prim.IsA(UsdPhysics.Joint):
        _reflect_joint(prim)


def _reflect_pose(prim: Usd.Prim) -> None:
    wrist = (
        prim.GetAttribute(schema.FRAME).Get() == schema.WRIST if prim.HasAttribute(schema.FRAME) else False
    )
    for operation in UsdGeom.Xformable(prim).GetOrderedXformOps():
        kind, attribute = operation.GetOpType(), operation.GetAttr()
        if kind == UsdGeom.XformOp.TypeTranslate:
            _replace(attribute, _point)
        elif kind == UsdGeom.XformOp.TypeOrient:
            _replace(attribute, _turn)
            if wrist:  # half a turn about z: y stays along the fingers, z out of the palm
                value = attribute.Get()
                attribute.Set(value * type(value)(0.0, 0.0, 0.0, 1.0))
        elif kind != UsdGeom.XformOp.TypeScale:
            raise ValueError(
                f"{prim.GetPath()} is placed by {operation.GetOpName()}, which cannot be mirrored; use translate, orient, scale"
            )


def _reflect_mesh(mesh: UsdGeom.Mesh) -> None:
    points = np.array(mesh.GetPointsAttr().Get(), dtype=np.float32) * (1.0, -1.0, 1.0)
    mesh.GetPointsAttr().Set(Vt.Vec3fArray.FromNumpy(points.astype(np.float32)))
    counts = np.array(mesh.GetFaceVertexCountsAttr().Get())
    indices = np.array(mesh.GetFaceVertexIndicesAttr().Get())
    faces = np.split(indices, np.cumsum(counts)[:-1])
    mesh.GetFaceVertexIndicesAttr().Set(Vt.IntArray([int(i) for face in faces for i in face[::-1]]))
    normals = mesh.GetNormalsAttr().Get()
    if normals and mesh.GetNormalsInterpolation() in (UsdGeom.Tokens.uniform, UsdGeom.Tokens.vertex):
        turned = np.array(normals, dtype=np.float32) * (1.0, -1.0, 1.0)
        mesh.GetNormalsAttr().Set(Vt.Vec3fArray.FromNumpy(turned.astype(np.float32)))
    extent = np.stack([points.min(axis=0), points.max(axis=0)]).astype(np.float32)
    mesh.GetExtentAttr().Set(Vt.Vec3fArray.FromNumpy(np.ascontiguousarray(extent)))


def _reflect_joint(prim: Usd.Prim) -> None:
    joint = UsdPhysics.Joint(prim)
    for attribute in (joint.GetLocalPos0Attr(), joint.GetLocalPos1Attr()):
        _replace(attribute, _point)
    axis = str(prim.GetAttribute("physics:axis").Get() or "X")
    turns = prim.IsA(UsdPhysics.RevoluteJoint)
    # S takes the axis e to e (x, z) or -e (y); a rotation's axis becomes -S e, a translation's S e
    flipped = (axis == "Y") != turns
    for attribute in (joint.GetLocalRot0Attr(), joint.GetLocalRot1Attr()):
        value = _turn(attribute.Get() or Gf.Quatf(1.0))
        attribute.Set(value * _HALF_TURN[axis] if flipped else value)


def _replace(attribute: Usd.Attribute, change: object) -> None:
    value = attribute.Get() if attribute else None
    if value is not None:
        attribute.Set(change(value))  # type: ignore[operator]


def _point(value: Gf.Vec3f) -> Gf.Vec3f:
    return type(value)(value[0], -value[1], value[2])


def _turn(value: Gf.Quatf) -> Gf.Quatf:
    """``S R S`` of a quaternion (w, x, y, z): (w, -x, y, -z)."""
    x, y, z = value.GetImaginary()
    return type(value)(value.GetReal(), -x, y, -z)
