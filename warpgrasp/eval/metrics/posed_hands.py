"""Hands in the poses of grasps, on the device, as the metrics measure them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import trimesh
import warp as wp
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from warpgrasp.geometry.rotations import IDENTITY_QUATERNION
from warpgrasp.geometry.shapes import GeometryType
from warpgrasp.hands.device import hand_geometry, kinematic_tree
from warpgrasp.hands.model import HandModel
from warpgrasp.kernels.grasp_metrics import ShapeSurfaces, self_depth_kernel
from warpgrasp.kernels.hand_shapes import geometry_poses, launch_geometry_poses
from warpgrasp.kernels.kinematics import launch_forward_kinematics

__all__ = ["MeasuredHand", "PosedHands", "measured_hand", "shape_surfaces"]

_SURFACE_POINTS = 200
"""Points per shape by which self penetration is measured, beside its corners."""


@dataclass(frozen=True, eq=False)
class MeasuredHand:
    """A hand on the device: ``L`` links, ``G`` collision geometries."""

    tree: Any
    """:class:`~warpgrasp.kernels.kinematics.KinematicTree`."""
    geometry: Any
    """:class:`~warpgrasp.kernels.hand_shapes.HandGeometry`."""
    mesh: wp.array
    """``wp.Mesh`` of each convex mesh in its own frame, 0 for other shapes, shape [G]."""
    alive: tuple[wp.Mesh, ...]
    """Keeps the meshes."""


@dataclass(frozen=True, eq=False)
class PosedHands:
    """``N`` poses of one hand."""

    own: MeasuredHand
    link_pose: wp.array
    """Links in the object frame, shape [N, L]."""
    poses: Any
    """:class:`~warpgrasp.kernels.hand_shapes.GeometryPoses` [N, G]."""
    single: bool
    """Whether one grasp was given without an axis of grasps."""

    @classmethod
    def of(
        cls,
        hand: HandModel,
        root_position: ArrayLike,
        root_quaternion: ArrayLike,
        joint_position: ArrayLike,
    ) -> PosedHands:
        """Hands in the object frame.

        Args:
            hand: The hand.
            root_position: [m], shape [N, 3], or [3] of one grasp.
            root_quaternion: xyzw, of any length, shape [N, 4] or [4].
            joint_position: [rad or m], shape [N, J] or [J].

        Raises:
            ValueError: The shapes are not those.
        """
        joints = np.asarray(joint_position, dtype=np.float64)
        single = joints.ndim == 1
        joints = np.atleast_2d(joints)
        if joints.shape[1] != hand.dof_count:
            raise ValueError(
                f"joint_position of hand '{hand.name}' must have shape [N, {hand.dof_count}] (got {joints.shape})"
            )
        position = np.asarray(root_position, dtype=np.float64).reshape(len(joints), 3)
        quaternion = np.asarray(root_quaternion, dtype=np.float64).reshape(len(joints), 4)
        quaternion = quaternion / np.linalg.norm(quaternion, axis=1, keepdims=True)
        own = measured_hand(hand)
        link_pose = wp.empty((len(joints), hand.link_count), dtype=wp.transform, device="cpu")
        launch_forward_kinematics(
            own.tree,
            wp.array(np.concatenate([position, quaternion], axis=1), dtype=wp.transform, device="cpu"),
            wp.array(joints, dtype=wp.float32, device="cpu"),
            link_pose=link_pose,
        )
        poses = geometry_poses(own.geometry, len(joints), "cpu")
        launch_geometry_poses(own.geometry, link_pose, poses=poses)
        return cls(own, link_pose, poses, single)

    @classmethod
    def at_origin(cls, hand: HandModel, joint_position: ArrayLike) -> PosedHands:
        """Hands with their root at the origin; joints as in :meth:`of`."""
        shape = np.shape(joint_position)[:-1]
        return cls.of(
            hand, np.zeros((*shape, 3)), np.broadcast_to(IDENTITY_QUATERNION, (*shape, 4)), joint_position
        )

    @property
    def count(self) -> int:
        """Number of poses N."""
        return int(self.link_pose.shape[0])

    def shaped(self, values: NDArray) -> NDArray[np.float64]:
        """Numbers of N grasps as float64, or the number itself where one grasp was given."""
        result: NDArray[np.float64] = np.asarray(values, dtype=np.float64)
        return result[0] if self.single else result


@lru_cache(maxsize=16)
def measured_hand(hand: HandModel) -> MeasuredHand:
    """Upload a hand once."""
    meshes, handles = [], np.zeros(len(hand.geometry_type), dtype=np.uint64)
    for g in np.flatnonzero(hand.geometry_type == GeometryType.CONVEX):
        mesh = hand.geometry_mesh[g]
        turn = Rotation.from_quat(hand.geometry_quaternion[g]).inv()
        meshes.append(
            wp.Mesh(
                points=wp.array(
                    turn.apply(mesh.vertices - hand.geometry_position[g]), dtype=wp.vec3, device="cpu"
                ),
                indices=wp.array(mesh.faces.ravel(), dtype=wp.int32, device="cpu"),
            )
        )
        handles[g] = meshes[-1].id
    return MeasuredHand(
        kinematic_tree(hand, "cpu"),
        hand_geometry(hand, "cpu"),
        wp.array(handles, dtype=wp.uint64, device="cpu"),
        tuple(meshes),
    )


@lru_cache(maxsize=16)
def shape_surfaces(hand: HandModel) -> Any:
    """:class:`~warpgrasp.kernels.grasp_metrics.ShapeSurfaces` of a hand.

    Shapes of links with a common joint may overlap, those of links that touch at the opening pose, and those of pairs whose
    contact the hand's file filters, such as a bracket that encloses a motor.
    """
    clouds = [_cloud(hand, geometry) for geometry in range(len(hand.geometry_type))]
    link, parent = hand.geometry_link, hand.link_parent
    other = link[:, None] != link[None, :]
    apart = other & (parent[link][:, None] != link[None, :]) & (link[:, None] != parent[link][None, :])
    surfaces: Any = ShapeSurfaces()
    surfaces.start = wp.array(np.cumsum([0, *map(len, clouds)]), dtype=wp.int32, device="cpu")
    surfaces.position = wp.array(np.concatenate(clouds), dtype=wp.vec3, device="cpu")
    # One geometry against one other at a time: which links touch.
    opened = PosedHands.at_origin(hand, hand.dof_opening)
    touching = np.zeros((hand.link_count, hand.link_count), dtype=bool)
    depth = wp.empty((1, len(link)), dtype=wp.float32, device="cpu")
    for g in range(len(link)):
        surfaces.apart = _bits(apart & (np.arange(len(link)) == g))
        wp.launch(
            self_depth_kernel,
            dim=depth.shape,
            inputs=[opened.own.geometry, opened.poses, opened.link_pose, surfaces],
            outputs=[depth],
            device="cpu",
        )
        touching[link[depth.numpy()[0] > 0.0], link[g]] = True
    touching[tuple(hand.filtered_links.T)] = True
    touching |= touching.T
    surfaces.apart = _bits(apart & ~touching[link[:, None], link[None, :]])
    return surfaces


def _cloud(hand: HandModel, geometry: int) -> NDArray[np.float64]:
    """Surface points of a shape in its link frame and its corners [m]."""
    mesh = hand.geometry_mesh[geometry]
    solid = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    sampled, _ = trimesh.sample.sample_surface(solid, _SURFACE_POINTS, seed=geometry)
    # Onto the exact surface: a capsule's mesh cuts its corners.
    surface = hand.geometry_shape(geometry).closest_surface_points(np.asarray(sampled))[0]
    return np.concatenate([surface, mesh.vertices])


def _bits(table: NDArray[np.bool_]) -> wp.array:
    """Rows of a table [G, G] as bits, the first column lowest."""
    powers = np.uint64(1) << np.arange(table.shape[1], dtype=np.uint64)
    return wp.array((table * powers).sum(axis=1, dtype=np.uint64), dtype=wp.uint64, device="cpu")
