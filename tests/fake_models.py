"""A two-finger hand and a cube made of plain boxes, with what the output code reads from the real models."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import trimesh
from grasp_factory import make_grasp_set

from warpgrasp.geometry.rotations import IDENTITY_QUATERNION, rotate
from warpgrasp.grasps.grasp_set import GraspSet
from warpgrasp.hands.model import ContactPatch, TriMesh

__all__ = ["FakeHand", "FakeObject", "pinch_grasps"]


def _box(extents: tuple[float, float, float], center: tuple[float, float, float]) -> TriMesh:
    mesh = trimesh.creation.box(extents)
    return TriMesh(np.asarray(mesh.vertices) + center, np.asarray(mesh.faces, dtype=np.int32))


@dataclass(frozen=True)
class FakeHand:
    """Palm at z = -8 cm, two prismatic fingers along +-x whose pads reach the origin; joint values are the openings."""

    path: Path = Path("hand.usda")
    name: str = "fake"
    asset_hash: str = "00"
    joint_names: tuple[str, ...] = ("left_slide", "right_slide")
    link_names: tuple[str, ...] = ("palm", "left", "right")
    geometry_link: tuple[int, ...] = (0, 1, 2)
    geometry_mesh: tuple[TriMesh, ...] = (
        _box((0.10, 0.05, 0.02), (0, 0, -0.08)),
        _box((0.01, 0.02, 0.09), (-0.005, 0, -0.03)),
        _box((0.01, 0.02, 0.09), (0.005, 0, -0.03)),
    )
    patches: tuple[ContactPatch, ...] = field(init=False)

    def __post_init__(self) -> None:
        patches = tuple(
            ContactPatch(f"{finger}_pad", link, finger, "tip", mesh.vertices, mesh.faces)
            for link, finger, mesh in (
                (1, "left", self.geometry_mesh[1]),
                (2, "right", self.geometry_mesh[2]),
            )
        )
        object.__setattr__(self, "patches", patches)

    def forward_kinematics(
        self, root_position: np.ndarray, root_quaternion: np.ndarray, joint_position: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        local = np.array([[0, 0, 0], [-joint_position[0], 0, 0], [joint_position[1], 0, 0]], dtype=float)
        return rotate(root_quaternion, local) + root_position, np.tile(root_quaternion, (3, 1))

    def expand_joint_position(self, joint_position: np.ndarray) -> dict[str, float]:
        return dict(zip(self.joint_names, map(float, joint_position), strict=True))


@dataclass(frozen=True)
class FakeObject:
    """A 4 cm cube at the origin."""

    path: Path = Path("cube.obj")
    name: str = "cube"
    mesh_hash: str = "11"
    file_hash: str = "22"
    scale: float = 1.0
    repairs: tuple[str, ...] = ()
    center_of_mass: tuple[float, float, float] = (0.0, 0.0, 0.0)
    vertices: np.ndarray = field(default_factory=lambda: _box((0.04, 0.04, 0.04), (0, 0, 0)).vertices)
    faces: np.ndarray = field(default_factory=lambda: _box((0.04, 0.04, 0.04), (0, 0, 0)).faces)

    @property
    def extent(self) -> np.ndarray:
        return np.ptp(self.vertices, axis=0)


def pinch_grasps(count: int = 4) -> GraspSet:
    """Both fingers on the cube, two contacts each, seen from the hand in four orientations about z."""
    quaternion = np.zeros((count, 4))
    position = np.zeros((count, 3))
    local = np.array([[-0.02, 0, 0.005], [-0.02, 0, -0.01], [0.02, 0, 0.005], [0.02, 0, -0.01]])
    contact = np.zeros((count, 4, 3))
    for i in range(count):
        half = 0.25 * np.pi * i
        quaternion[i] = (0, 0, np.sin(half), np.cos(half))
        contact[i] = rotate(quaternion[i], local)
    assert len(IDENTITY_QUATERNION) == 4
    return make_grasp_set(
        count=count,
        joint_names=FakeHand().joint_names,
        contact_count=4,
        root_position=position,
        root_quaternion=quaternion,
        joint_position=np.full((count, 2), 0.02),
        contact_position=contact,
    )
