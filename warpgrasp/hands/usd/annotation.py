"""Grasp annotation of a USD hand: contact patches, self-collision spheres, frames and grasp types."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pxr import Sdf, Usd, UsdGeom

from warpgrasp.geometry.rotations import matrix_to_quaternion
from warpgrasp.hands.grasp_type import GraspType, make_grasp_type
from warpgrasp.hands.model import ContactPatch, LinkFrame
from warpgrasp.hands.usd import schema
from warpgrasp.hands.usd.geometry import mesh_in_body, uniform_scale
from warpgrasp.hands.usd.stage import Body, HandStage, attribute, split_affine

__all__ = ["GraspAnnotation", "read_annotation"]


@dataclass(frozen=True, eq=False)
class GraspAnnotation:
    """What the file says about grasping. Spheres are rows (link, x, y, z, radius)."""

    patches: tuple[ContactPatch, ...]
    spheres: NDArray[np.float64]
    frames: tuple[LinkFrame, ...]
    grasp_types: dict[str, GraspType]


def read_annotation(
    hand: HandStage, link_index: dict[str, int], joint_names: dict[Sdf.Path, str]
) -> GraspAnnotation:
    """Read all annotation prims.

    Args:
        hand: The opened stage.
        link_index: Link index by body prim path.
        joint_names: Vendor name by joint prim path.
    """
    patches: dict[Sdf.Path, ContactPatch] = {}
    spheres: list[list[float]] = []
    frames: list[LinkFrame] = []
    grasp_prims: list[Usd.Prim] = []
    for prim in hand.prims():
        if attribute(prim, schema.GRASP_TYPE) is not None:
            grasp_prims.append(prim)
        body = hand.body_of(prim)
        if body is None:
            continue
        link = link_index[body.path]
        if attribute(prim, schema.FINGER) is not None:
            patches[prim.GetPath()] = _read_patch(hand, prim, body, link)
        if attribute(prim, schema.SELF_COLLISION):
            spheres.append(_read_sphere(hand, prim, body, link))
        if attribute(prim, schema.FRAME) is not None:
            frames.append(_read_frame(hand, prim, body, link))
    names = [patch.name for patch in patches.values()]
    if len(set(names)) < len(names):
        double = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"two contact patches are named '{double}'; give every patch prim its own name")
    return GraspAnnotation(
        patches=tuple(patches.values()),
        spheres=np.array(spheres, dtype=np.float64).reshape(-1, 5),
        frames=tuple(frames),
        grasp_types={
            g.name: g for g in (_read_grasp_type(prim, patches, joint_names) for prim in grasp_prims)
        },
    )


def _read_patch(hand: HandStage, prim: Usd.Prim, body: Body, link: int) -> ContactPatch:
    if not prim.IsA(UsdGeom.Mesh):
        raise ValueError(
            f"{prim.GetPath()} has {schema.FINGER} but is no Mesh; a contact patch must be a Mesh"
        )
    region = str(attribute(prim, schema.REGION) or "middle")
    if region not in schema.REGIONS:
        raise ValueError(
            f"contact patch {prim.GetPath()} has region '{region}'; use one of {', '.join(schema.REGIONS)}"
        )
    vertices, faces = mesh_in_body(hand, prim, body)
    return ContactPatch(
        name=str(prim.GetName()),
        link=link,
        finger=str(attribute(prim, schema.FINGER)),
        region=region,
        vertices=vertices,
        faces=faces,
    )


def _read_sphere(hand: HandStage, prim: Usd.Prim, body: Body, link: int) -> list[float]:
    if not prim.IsA(UsdGeom.Sphere):
        raise ValueError(f"{prim.GetPath()} has {schema.SELF_COLLISION} but is no Sphere; use a Sphere prim")
    matrix = hand.matrix_in_body(prim, body)
    _, scale = split_affine(matrix[:, :3], str(prim.GetPath()))
    radius = float(UsdGeom.Sphere(prim).GetRadiusAttr().Get()) * uniform_scale(scale, prim)
    numbers = [*matrix[:, 3].tolist(), radius]
    if not all(math.isfinite(number) for number in numbers) or radius <= 0.0:
        raise ValueError(
            f"{prim.GetPath()} is a self-collision sphere with centre {matrix[:, 3].tolist()} m and radius {radius:g} m; "
            "write finite numbers and a radius above 0"
        )
    return [float(link), *numbers]


def _read_frame(hand: HandStage, prim: Usd.Prim, body: Body, link: int) -> LinkFrame:
    matrix = hand.matrix_in_body(prim, body)
    rotation, _ = split_affine(matrix[:, :3], str(prim.GetPath()))
    name = str(attribute(prim, schema.FRAME))
    return LinkFrame(name, link, matrix[:, 3], matrix_to_quaternion(rotation))


def _read_grasp_type(
    prim: Usd.Prim, patches: dict[Sdf.Path, ContactPatch], joint_names: dict[Sdf.Path, str]
) -> GraspType:
    name = str(attribute(prim, schema.GRASP_TYPE))
    targets = (
        prim.GetRelationship(schema.PATCHES).GetTargets() if prim.HasRelationship(schema.PATCHES) else []
    )
    unknown = [str(target) for target in targets if target not in patches]
    if unknown or not targets:
        raise ValueError(
            f"grasp type '{name}' at {prim.GetPath()} names no contact patch or an unknown one ({', '.join(unknown)}); "
            f"set {schema.PATCHES} to patch prims"
        )
    joints = prim.GetRelationship(schema.IDLE_JOINTS)
    idle = joints.GetTargets() if joints else []
    listed = attribute(prim, schema.IDLE_POSITIONS)
    values = [float(v) for v in listed] if listed is not None else []  # type: ignore[attr-defined]
    missing = [str(target) for target in idle if target not in joint_names]
    if missing or len(values) != len(idle):
        raise ValueError(
            f"grasp type '{name}' at {prim.GetPath()} lists {len(idle)} idle joints and {len(values)} positions"
            + (f"; {missing[0]} is no joint of the hand" if missing else "; the two must match")
        )
    members = [patches[target] for target in targets]
    required, place = attribute(prim, schema.REQUIRED_FINGERS), attribute(prim, schema.SEED_PLACE)
    threshold = attribute(prim, schema.RESET_THRESHOLD)
    return make_grasp_type(
        name=name,
        patch_names=tuple(patch.name for patch in members),
        fingers=tuple(dict.fromkeys(patch.finger for patch in members)),
        idle_joint_position={joint_names[target]: value for target, value in zip(idle, values, strict=True)},
        required_fingers=None if required is None else tuple(str(finger) for finger in required),  # type: ignore[attr-defined]
        seed_place=None if place is None else str(place),
        reset_threshold=None if threshold is None else float(threshold),  # type: ignore[arg-type]
    )
