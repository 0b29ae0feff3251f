"""A gripper of two sliding plates and a palm, and grasps of it, for tests of the evaluation in closed form.

The plates slide along -x and +x of the root, which lies at the origin of the object: joint value = distance of the inner
face of a plate from the plane x = 0. The palm is a plate below, its upper face at z = ``PALM``.
"""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import trimesh

from warpgrasp.grasps.grasp_set import GraspSet
from warpgrasp.hands import ContactPatch, GeometryType, GraspType, HandModel, JointType, TriMesh, load_hand
from warpgrasp.objects import ObjectModel, load_object

__all__ = [
    "EFFORT",
    "PALM",
    "PLATE",
    "STIFFNESS",
    "closing_pads",
    "grasps_of",
    "offset_box",
    "pad_grasps",
    "pad_hand",
]

PLATE = (0.005, 0.03, 0.03)
"""Half extents of a plate [m]."""
PALM = -0.05
EFFORT = 2.0
"""Largest force of a plate [N]."""
STIFFNESS = 1000.0


@lru_cache(maxsize=1)
def pad_hand() -> HandModel:
    """Palm, left plate, right plate; two sliding joints."""
    identity = np.tile([0.0, 0.0, 0.0, 1.0], (3, 1))
    zeros = np.zeros((3, 3))
    offset = np.array([[0.0, 0.0, PALM - PLATE[0]], [-PLATE[0], 0.0, 0.0], [PLATE[0], 0.0, 0.0]])
    size = np.array([(0.02, 0.02, PLATE[0]), PLATE, PLATE])
    meshes = tuple(_box_mesh(half, center) for half, center in zip(size, offset, strict=True))
    return dataclasses.replace(
        load_hand("robotiq_2f140"),
        name="pads",
        path=Path("pads.usda"),
        asset_hash="00",
        link_names=("palm", "left", "right"),
        link_paths=("/palm", "/left", "/right"),
        link_parent=np.array([-1, 0, 0], dtype=np.int32),
        link_joint_names=("", "left_joint", "right_joint"),
        filtered_links=np.zeros((0, 2), dtype=np.int32),
        joint_paths=("", "/left_joint", "/right_joint"),
        joint_names=("left_joint", "right_joint"),
        joint_type=np.array([JointType.FIXED, JointType.PRISMATIC, JointType.PRISMATIC], dtype=np.int32),
        joint_axis=np.array([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]),
        joint_parent_position=zeros,
        joint_parent_quaternion=identity,
        joint_child_position=zeros,
        joint_child_quaternion=identity,
        joint_dof=np.array([-1, 0, 1], dtype=np.int32),
        joint_multiplier=np.array([0.0, 1.0, 1.0]),
        joint_offset=np.zeros(3),
        dof_lower=np.full(2, -0.1),
        dof_upper=np.full(2, 0.1),
        dof_effort=np.full(2, EFFORT),
        dof_velocity=np.full(2, 1.0),
        dof_stiffness=np.full(2, STIFFNESS),
        dof_damping=np.full(2, 10.0),
        dof_armature=np.full(2, 0.1),
        dof_friction=np.zeros(2),
        dof_opening=np.full(2, 0.06),
        link_mass=np.full(3, 0.1),
        link_center_of_mass=zeros,
        link_inertia=np.tile(1.0e-4 * np.eye(3), (3, 1, 1)),
        geometry_type=np.full(3, int(GeometryType.BOX), dtype=np.int32),
        geometry_link=np.arange(3, dtype=np.int32),
        geometry_position=offset,
        geometry_quaternion=identity,
        geometry_size=size,
        geometry_plane_start=np.zeros(3, dtype=np.int32),
        geometry_plane_count=np.zeros(3, dtype=np.int32),
        plane=np.zeros((0, 4)),
        geometry_mesh=meshes,
        patches=(_inner_face("left", 1, meshes[1], +1.0), _inner_face("right", 2, meshes[2], -1.0)),
        sphere_link=np.array([1, 2], dtype=np.int32),
        sphere_position=np.zeros((2, 3)),
        sphere_radius=np.full(2, 0.005),
        grasp_types={"power": GraspType("power", ("left_pad", "right_pad"), ("left", "right"), {})},
        wrist_position=np.zeros(3),
        wrist_quaternion=np.array([0.0, 0.0, 0.0, 1.0]),
        frames=(),
    )


def offset_box(
    directory: Path, half: tuple[float, float, float], center: tuple[float, float, float] = (0.0, 0.0, 0.0)
) -> ObjectModel:
    """A box of given half extents around ``center``."""
    path = directory / f"box_{len(list(directory.glob('*.stl')))}.stl"
    box = trimesh.creation.box(2.0 * np.array(half))
    box.apply_translation(center)
    box.export(path)
    return load_object(path)


def grasps_of(
    hand: HandModel,
    model: ObjectModel,
    *,
    root_position: np.ndarray,
    root_quaternion: np.ndarray,
    joint_position: np.ndarray,
    squeeze_joint_position: np.ndarray | None = None,
    pregrasp_joint_position: np.ndarray | None = None,
    **changes: Any,
) -> GraspSet:
    """Grasps [N] of a hand on an object, the metadata as the synthesis writes it."""
    count = len(root_position)
    columns: dict[str, Any] = {"joint_names": hand.joint_names, "energy_term_names": ("distance",)}
    for prefix, joints in (
        ("", joint_position),
        ("pregrasp_", pregrasp_joint_position),
        ("squeeze_", squeeze_joint_position),
    ):
        columns[f"{prefix}root_position"] = root_position
        columns[f"{prefix}root_quaternion"] = root_quaternion
        columns[f"{prefix}joint_position"] = joint_position if joints is None else joints
    columns["contact_index"] = np.zeros((count, 2))
    for name in ("contact_position", "contact_normal", "contact_force"):
        columns[name] = np.tile([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]], (count, 1, 1))
    columns["energy"] = np.arange(count, dtype=np.float64)
    columns["energy_terms"] = np.zeros((count, 1))
    columns["status"] = np.zeros(count)
    metadata = {
        "config": {"grasp_type": "power"},
        "hand": {"name": hand.name, "path": str(hand.path), "asset_hash": hand.asset_hash},
        "object": {
            "name": model.name,
            "path": str(model.path),
            "mesh_hash": model.mesh_hash,
            "file_hash": model.file_hash,
            "scale": model.scale,
        },
    }
    return GraspSet(**{**columns, **changes}, metadata=metadata)


def pad_grasps(model: ObjectModel, *, gap: list[float], squeeze: float) -> GraspSet:
    """Plates at ``gap`` [m] from the plane x = 0, told to go ``squeeze`` [m] further in; root at the origin."""
    count = len(gap)
    joints = np.tile(np.array(gap)[:, None], (1, 2))
    return grasps_of(
        pad_hand(),
        model,
        root_position=np.zeros((count, 3)),
        root_quaternion=np.tile([0.0, 0.0, 0.0, 1.0], (count, 1)),
        joint_position=joints,
        squeeze_joint_position=joints - squeeze,
    )


def closing_pads(model: ObjectModel, gap: float) -> tuple[HandModel, GraspSet]:
    """For protocols that close on a free object: plates from 12 mm outside ``gap`` to a press of 3 N at 5 N/m."""
    hand = dataclasses.replace(pad_hand(), dof_stiffness=np.full(2, 5.0), dof_effort=np.full(2, 5.0))
    joints = np.full((1, 2), gap)
    grasps = grasps_of(
        hand,
        model,
        root_position=np.zeros((1, 3)),
        root_quaternion=np.array([[0.0, 0.0, 0.0, 1.0]]),
        joint_position=joints,
        pregrasp_joint_position=joints + 0.012,
        squeeze_joint_position=joints - 0.6,
    )
    return hand, grasps


def _box_mesh(half: np.ndarray, center: np.ndarray) -> TriMesh:
    box = trimesh.creation.box(2.0 * np.asarray(half))
    return TriMesh(np.asarray(box.vertices) + center, np.asarray(box.faces, dtype=np.int32))


def _inner_face(finger: str, link: int, mesh: TriMesh, side: float) -> ContactPatch:
    corners = mesh.vertices[mesh.faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    faces = mesh.faces[side * normal[:, 0] > 0.5 * np.linalg.norm(normal, axis=1)]
    return ContactPatch(f"{finger}_pad", link, finger, "tip", mesh.vertices, faces)
