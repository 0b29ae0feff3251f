"""The hand as plain arrays: kinematic tree, collision geometry, mass, drives and grasp annotation.

Conventions: SI units, quaternions xyzw, float64 on the host (kernels take float32 copies). Links stand in
topological order with link 0 the root. Every other link ``l`` hangs on one joint::

    X_parent_child(q) = A * Motion(axis, value) * inverse(B)
    value = joint_multiplier[l] * q[joint_dof[l]] + joint_offset[l]

with ``A`` the joint frame in the parent link and ``B`` the joint frame in the child link. Independent joints have
multiplier 1 and offset 0; mimic joints share the degree of freedom of the joint they follow.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from warpgrasp.geometry.rotations import (
    IDENTITY_QUATERNION,
    axis_angle_to_quaternion,
    compose,
    invert,
    multiply_each,
    rotate,
    rotate_each,
)
from warpgrasp.geometry.shapes import GeometryType, Shape, TriMesh
from warpgrasp.hands.contact_sampling import ContactCandidates, sample_candidates
from warpgrasp.hands.grasp_type import GraspType

__all__ = [
    "ContactPatch",
    "GeometryType",
    "GraspType",
    "HandModel",
    "JointType",
    "LinkFrame",
    "TriMesh",
]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int32]


class JointType(enum.IntEnum):
    """How a link moves in its parent. The root link counts as ``FIXED``."""

    FIXED = 0
    REVOLUTE = 1
    PRISMATIC = 2


@dataclass(frozen=True, eq=False)
class ContactPatch:
    """A piece of a link's collision surface that may touch the object.

    ``vertices`` [V, 3] m and ``faces`` [F, 3] in the link frame, wound so that normals point out of the hand.
    """

    name: str
    link: int
    finger: str
    region: str
    vertices: FloatArray
    faces: IntArray


@dataclass(frozen=True, eq=False)
class LinkFrame:
    """A named frame fixed to a link, such as a fingertip: position [m] and quaternion xyzw in the link frame."""

    name: str
    link: int
    position: FloatArray
    quaternion: FloatArray


@dataclass(frozen=True, eq=False)
class HandModel:
    """A robot hand: L links, J independent degrees of freedom, G collision geometries, P planes, S spheres."""

    name: str
    path: Path
    asset_hash: str
    """SHA-256 over the asset file and everything it references."""

    # kinematic tree
    link_names: tuple[str, ...]
    link_paths: tuple[str, ...]
    """Prim path of each link in the asset, [L]."""
    link_parent: IntArray
    """Parent link index, shape [L], -1 for the root."""
    link_joint_names: tuple[str, ...]
    """Vendor name of the joint above each link, [L]; empty for the root."""
    joint_paths: tuple[str, ...]
    """Prim path of the joint above each link in the asset, [L]; empty for the root."""
    joint_names: tuple[str, ...]
    """Vendor names of the independent joints, [J], in dof order."""
    joint_type: IntArray
    """:class:`JointType`, shape [L]."""
    joint_axis: FloatArray
    """Unit axis in the joint frame, shape [L, 3]."""
    joint_parent_position: FloatArray
    joint_parent_quaternion: FloatArray
    """Joint frame in the parent link (A), shapes [L, 3] m and [L, 4]."""
    joint_child_position: FloatArray
    joint_child_quaternion: FloatArray
    """Joint frame in the child link (B), shapes [L, 3] m and [L, 4]."""
    joint_dof: IntArray
    """Degree of freedom that moves the joint, shape [L]; -1 when fixed."""
    joint_multiplier: FloatArray
    joint_offset: FloatArray

    # degrees of freedom, [J]; limits are already intersected with those of the mimic followers
    dof_lower: FloatArray
    dof_upper: FloatArray
    dof_effort: FloatArray
    dof_velocity: FloatArray
    dof_stiffness: FloatArray
    dof_damping: FloatArray
    dof_armature: FloatArray
    dof_friction: FloatArray
    dof_opening: FloatArray
    """Opening pose, where a grasp starts [rad or m]."""

    # mass
    link_mass: FloatArray
    link_center_of_mass: FloatArray
    link_inertia: FloatArray
    """Inertia about the centre of mass along the link axes, shape [L, 3, 3], kg m^2."""

    # collision geometry
    geometry_type: IntArray
    geometry_link: IntArray
    geometry_position: FloatArray
    geometry_quaternion: FloatArray
    geometry_size: FloatArray
    """Capsule: radius, half length (along local z), 0; box: half extents; convex: 0. Shape [G, 3], m."""
    geometry_plane_start: IntArray
    geometry_plane_count: IntArray
    plane: FloatArray
    """Rows (unit outward normal, offset), inside where ``n . x <= offset``, geometry frame, shape [P, 4]."""
    geometry_mesh: tuple[TriMesh, ...]
    """Surface of each geometry in the *link* frame."""

    # grasp annotation
    patches: tuple[ContactPatch, ...]
    sphere_link: IntArray
    sphere_position: FloatArray
    sphere_radius: FloatArray
    grasp_types: dict[str, GraspType]
    wrist_position: FloatArray
    wrist_quaternion: FloatArray
    """Wrist frame in the root link: x = thumb direction, y = finger direction, z = palm normal out of the palm."""
    frames: tuple[LinkFrame, ...] = ()
    """Other named frames, such as fingertips."""
    filtered_links: IntArray = field(default_factory=lambda: np.zeros((0, 2), dtype=np.int32))
    """Pairs of links that touch by construction and do not collide, shape [F, 2], beside parents and children."""
    earlier_hashes: tuple[str, ...] = ()
    """Asset hashes of earlier versions whose grasps are grasps of this hand: only its look or layout changed."""

    @property
    def link_count(self) -> int:
        """Number of links L, the root included."""
        return len(self.link_names)

    @property
    def dof_count(self) -> int:
        """Number of independent degrees of freedom J."""
        return len(self.joint_names)

    @property
    def fingers(self) -> tuple[str, ...]:
        """Names of the fingers that carry contact patches, in the order of the patches; the palm counts as one."""
        return tuple(dict.fromkeys(patch.finger for patch in self.patches))

    @property
    def driving_links(self) -> list[int]:
        """Link whose joint carries the motor of each degree of freedom, [J]: the first that follows no other joint."""
        result = []
        for dof in range(self.dof_count):
            links = np.flatnonzero((self.joint_dof == dof) & (self.joint_type != JointType.FIXED))
            own = (self.joint_multiplier[links] == 1.0) & (self.joint_offset[links] == 0.0)
            result.append(int(links[np.argmax(own)]))
        return result

    def forward_kinematics(
        self, root_position: ArrayLike, root_quaternion: ArrayLike, joint_position: ArrayLike
    ) -> tuple[FloatArray, FloatArray]:
        """Pose of every link of one hand in float64.

        Args:
            root_position: Position of the root link [m], shape [3].
            root_quaternion: Orientation of the root link, xyzw, shape [4].
            joint_position: Independent joint values [rad or m], shape [J].

        Returns:
            Link positions [L, 3] and link quaternions [L, 4].
        """
        joint_position = self._check_joint_position(joint_position)
        link_position = np.empty((self.link_count, 3))
        link_quaternion = np.empty((self.link_count, 4))
        link_position[0] = np.asarray(root_position, dtype=np.float64)
        root = np.asarray(root_quaternion, dtype=np.float64)
        link_quaternion[0] = root / np.linalg.norm(root)
        for link in range(1, self.link_count):
            parent = self.link_parent[link]
            pose = compose(
                link_position[parent],
                link_quaternion[parent],
                self.joint_parent_position[link],
                self.joint_parent_quaternion[link],
            )
            pose = compose(*pose, *self._joint_motion(link, joint_position))
            pose = compose(*pose, *invert(self.joint_child_position[link], self.joint_child_quaternion[link]))
            link_position[link], link_quaternion[link] = pose
        return link_position, link_quaternion

    def link_poses(
        self, root_position: ArrayLike, root_quaternion: ArrayLike, joint_position: ArrayLike
    ) -> tuple[FloatArray, FloatArray]:
        """:meth:`forward_kinematics` of many hands at once: positions [N, L, 3] and quaternions [N, L, 4].

        Args:
            root_position: Positions of the root link [m], shape [N, 3].
            root_quaternion: Orientations of the root link, xyzw, shape [N, 4].
            joint_position: Independent joint values [rad or m], shape [N, J].
        """
        joints = np.asarray(joint_position, dtype=np.float64)
        root = np.asarray(root_quaternion, dtype=np.float64)
        positions = [np.asarray(root_position, dtype=np.float64)]
        quaternions = [root / np.linalg.norm(root, axis=1, keepdims=True)]
        for link in range(1, self.link_count):
            parent = self.link_parent[link]
            before, turn = self.joint_parent_position[link], self.joint_parent_quaternion[link]
            if self.joint_type[link] != JointType.FIXED:
                axis, multiplier = self.joint_axis[link], self.joint_multiplier[link]
                value = multiplier * joints[:, self.joint_dof[link]] + self.joint_offset[link]
                if self.joint_type[link] == JointType.PRISMATIC:
                    before = before + rotate_each(turn, value[:, None] * axis)
                else:
                    half = 0.5 * value[:, None]
                    turn = multiply_each(turn, np.concatenate([np.sin(half) * axis, np.cos(half)], axis=1))
            after, back = invert(self.joint_child_position[link], self.joint_child_quaternion[link])
            inner = before + rotate_each(turn, after)
            quaternion = multiply_each(quaternions[parent], multiply_each(turn, back))
            positions.append(positions[parent] + rotate_each(quaternions[parent], inner))
            quaternions.append(quaternion / np.linalg.norm(quaternion, axis=1, keepdims=True))
        return np.stack(positions, axis=1), np.stack(quaternions, axis=1)

    def expand_joint_position(self, joint_position: ArrayLike) -> dict[str, float]:
        """Value [rad or m] of every moving joint by vendor name, mimic joints included."""
        joint_position = self._check_joint_position(joint_position)
        return {
            self.link_joint_names[link]: self._joint_value(link, joint_position)
            for link in range(1, self.link_count)
            if self.joint_type[link] != JointType.FIXED
        }

    def expand_joint_positions(self, joint_position: ArrayLike) -> dict[str, FloatArray]:
        """:meth:`expand_joint_position` of many hands [N, J] at once, each of shape [N]."""
        joints = np.asarray(joint_position, dtype=np.float64)
        return {
            self.link_joint_names[link]: self.joint_multiplier[link] * joints[:, self.joint_dof[link]]
            + self.joint_offset[link]
            for link in range(1, self.link_count)
            if self.joint_type[link] != JointType.FIXED
        }

    def link_index(self, name: str) -> int:
        """Index of a link by name."""
        if name not in self.link_names:
            raise ValueError(
                f"hand '{self.name}' has no link '{name}'; its links are {', '.join(self.link_names)}"
            )
        return self.link_names.index(name)

    def geometry_shape(self, geometry: int) -> Shape:
        """One collision geometry as a :class:`~warpgrasp.geometry.shapes.Shape` in its link frame."""
        start = self.geometry_plane_start[geometry]
        return Shape(
            type=GeometryType(int(self.geometry_type[geometry])),
            position=self.geometry_position[geometry],
            quaternion=self.geometry_quaternion[geometry],
            size=self.geometry_size[geometry],
            plane=self.plane[start : start + self.geometry_plane_count[geometry]],
            mesh=self.geometry_mesh[geometry],
        )

    def link_shapes(self, link: int) -> list[Shape]:
        """All collision shapes of one link."""
        return [self.geometry_shape(int(g)) for g in np.flatnonzero(self.geometry_link == link)]

    def contact_candidates(self, grasp_type: str, count: int = 0) -> ContactCandidates:
        """Contact points spread over the patches of a grasp type, on the collision surface. Deterministic.

        Args:
            grasp_type: Name of one of ``grasp_types``.
            count: Number of candidates in all; 0 takes the hand's default density (about ten a patch, at
                least 8 on each).
        """
        if grasp_type not in self.grasp_types:
            known = ", ".join(self.grasp_types) or "none: annotate the asset first"
            raise ValueError(f"hand '{self.name}' has no grasp type '{grasp_type}'; it has {known}")
        wanted = set(self.grasp_types[grasp_type].patch_names)
        patches = [patch for patch in self.patches if patch.name in wanted]
        shapes = [self.link_shapes(patch.link) for patch in patches]
        return sample_candidates(patches, shapes, count=count)

    def self_collision_pairs(self) -> IntArray:
        """Sphere index pairs, shape [K, 2], that must not overlap.

        Spheres of one link, of a link and its parent, of ``filtered_links`` and pairs that overlap at the opening pose
        (neighbours by construction) are left out.
        """
        first, second = np.triu_indices(len(self.sphere_link), k=1)
        link_a, link_b = self.sphere_link[first], self.sphere_link[second]
        apart = (
            (link_a != link_b) & (self.link_parent[link_a] != link_b) & (self.link_parent[link_b] != link_a)
        )
        for link_c, link_d in self.filtered_links:
            apart &= ~((link_a == link_c) & (link_b == link_d)) & ~((link_a == link_d) & (link_b == link_c))
        center = self.sphere_centers((0.0, 0.0, 0.0), IDENTITY_QUATERNION, self.dof_opening)
        gap = np.linalg.norm(center[first] - center[second], axis=1)
        clear = gap > self.sphere_radius[first] + self.sphere_radius[second]
        keep = apart & clear
        return np.stack([first[keep], second[keep]], axis=1).astype(np.int32)

    def sphere_centers(
        self, root_position: ArrayLike, root_quaternion: ArrayLike, joint_position: ArrayLike
    ) -> FloatArray:
        """Centres of the self-collision spheres of one posed hand [m], shape [S, 3]."""
        position, quaternion = self.forward_kinematics(root_position, root_quaternion, joint_position)
        centers = np.empty_like(self.sphere_position)
        for link in np.unique(self.sphere_link):
            own = self.sphere_link == link
            centers[own] = position[link] + rotate(quaternion[link], self.sphere_position[own])
        return centers

    def _check_joint_position(self, joint_position: ArrayLike | Sequence[float]) -> FloatArray:
        values = np.asarray(joint_position, dtype=np.float64)
        if values.shape != (self.dof_count,):
            raise ValueError(
                f"joint_position of hand '{self.name}' must have shape ({self.dof_count},) in the order "
                f"{', '.join(self.joint_names)} (got {values.shape})"
            )
        return values

    def _joint_value(self, link: int, joint_position: FloatArray) -> float:
        return float(
            self.joint_multiplier[link] * joint_position[self.joint_dof[link]] + self.joint_offset[link]
        )

    def _joint_motion(self, link: int, joint_position: FloatArray) -> tuple[FloatArray, FloatArray]:
        if self.joint_type[link] == JointType.FIXED:
            return np.zeros(3), np.array(IDENTITY_QUATERNION)
        value = self._joint_value(link, joint_position)
        if self.joint_type[link] == JointType.PRISMATIC:
            return value * self.joint_axis[link], np.array(IDENTITY_QUATERNION)
        return np.zeros(3), axis_angle_to_quaternion(self.joint_axis[link], value)
