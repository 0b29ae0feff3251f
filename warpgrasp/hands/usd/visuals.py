"""What a hand's file shows of it: meshes with colour and finish below the links, apart from what collides."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pxr import Usd, UsdGeom, UsdPhysics, UsdShade

from warpgrasp.hands.usd.geometry import mesh_in_body
from warpgrasp.hands.usd.stage import Body, HandStage, open_hand_stage

if TYPE_CHECKING:
    from warpgrasp.hands.model import HandModel

__all__ = ["VisualMesh", "hand_visuals"]

_GREY = (0.18, 0.18, 0.18)  # what USD's preview surface shows where no colour is given


@dataclass(frozen=True, eq=False)
class VisualMesh:
    """Triangles of a link in its frame."""

    link: int
    vertices: NDArray[np.float64]
    """[V, 3] m."""
    faces: NDArray[np.int32]
    """[F, 3], wound outward."""
    normals: NDArray[np.float64] | None
    """Unit normal per vertex, [V, 3]; ``None`` where the file has none of that kind."""
    color: tuple[float, float, float]
    """Linear RGB."""


def hand_visuals(hand: HandModel) -> tuple[VisualMesh, ...]:
    """Meshes that a viewer draws of a hand, in stage order; empty where it has none but what collides.

    Raises:
        ValueError: The file has changed into something that is no hand.
    """
    return _read(hand.path, hand.asset_hash, hand.link_paths) if hand.path.is_file() else ()


@lru_cache(maxsize=16)
def _read(path: Path, asset_hash: str, link_paths: tuple[str, ...]) -> tuple[VisualMesh, ...]:
    hand = open_hand_stage(path)
    links = {name: index for index, name in enumerate(link_paths)}
    meshes = []
    for prim in hand.prims():
        body = hand.body_of(prim) if _is_drawn(prim) else None
        if body is not None and body.path in links:
            vertices, faces = mesh_in_body(hand, prim, body)
            normals = _normals(hand, prim, body)
            meshes.append(VisualMesh(links[body.path], vertices, faces, normals, _color(prim)))
    return tuple(meshes)


def _is_drawn(prim: Usd.Prim) -> bool:
    if not prim.IsA(UsdGeom.Mesh) or prim.HasAPI(UsdPhysics.CollisionAPI):
        return False
    seen = UsdGeom.Imageable(prim)
    hidden = seen.ComputeVisibility() == UsdGeom.Tokens.invisible
    return not hidden and seen.ComputePurpose() in (UsdGeom.Tokens.default_, UsdGeom.Tokens.render)


def _normals(hand: HandStage, prim: Usd.Prim, body: Body) -> NDArray[np.float64] | None:
    mesh = UsdGeom.Mesh(prim)
    listed = mesh.GetNormalsAttr().Get()
    if not listed or mesh.GetNormalsInterpolation() != UsdGeom.Tokens.vertex:
        return None
    matrix = hand.matrix_in_body(prim, body)[:, :3]
    turned = np.array(listed, dtype=np.float64) @ np.linalg.inv(
        matrix
    )  # normals go with the inverse transpose
    unit: NDArray[np.float64] = turned / np.linalg.norm(turned, axis=1, keepdims=True)
    return unit


def _color(prim: Usd.Prim) -> tuple[float, float, float]:
    """Diffuse colour of the bound preview surface, or else the display colour."""
    material, _ = UsdShade.MaterialBindingAPI(prim).ComputeBoundMaterial()
    shader = material.ComputeSurfaceSource()[0] if material else None
    given = shader.GetInput("diffuseColor") if shader else None
    value = given.Get() if given else None
    if value is None:
        listed = UsdGeom.PrimvarsAPI(prim).FindPrimvarWithInheritance("displayColor").Get()
        value = listed[0] if listed else _GREY
    red, green, blue = (float(part) for part in value)
    return red, green, blue
