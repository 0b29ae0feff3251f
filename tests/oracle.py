"""Float64 NumPy oracle of every energy term, as a function of a hand increment, with discrete features frozen.

Written from the formulas (those of the papers, in the docstrings of the terms), not from the kernels; distances and depths come
from ``oracle_geometry.py``, contact wrenches and forces from ``oracle_forces.py``. What the kernels share with it is data
only: the hand, the object, the candidates, and the frozen closest points and normals.

The increment of a grasp is ``[translation (object frame), rotation vector (hand frame), joints]``, as in
``GraspProblem.evaluate_taped``. Frozen at the base state, as the kernels freeze them: the closest point and outward normal of
every contact and sphere; for every object sample the geometry it is deepest in and that geometry's tangent plane there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from oracle_forces import solve_box_qp, wrench_matrix
from oracle_geometry import closest_on_mesh, geometry_depth, quaternion_matrix
from scipy.spatial.transform import Rotation

from warpgrasp.hands import HandModel, JointType
from warpgrasp.kernels.energies.singular_values import SingularValueForm
from warpgrasp.objects import ObjectModel
from warpgrasp.synthesis.energy_optional import Approach, Manipulability, Wall, WrenchBalance
from warpgrasp.synthesis.energy_terms import (
    Distance,
    ForceClosure,
    JointLimits,
    Penetration,
    SelfPenetration,
    SpherePenetration,
)
from warpgrasp.synthesis.problem import GraspProblem
from warpgrasp.synthesis.state import GraspState

__all__ = ["GraspOracle", "PosedHand", "oracle_of"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class PosedHand:
    """One hand in the world: link poses, joints, contact points and normals."""

    link_position: FloatArray  # [L, 3]
    link_rotation: FloatArray  # [L, 3, 3]
    joint_position: FloatArray  # [J]
    contact_position: FloatArray  # [C, 3]
    hand_normal: FloatArray  # [C, 3]


class GraspOracle:
    """Energies of one grasp; sample features are frozen at construction, at the increment ``frozen_at``."""

    def __init__(
        self,
        problem: GraspProblem,
        model: ObjectModel,
        root_pose: FloatArray,
        joint_position: FloatArray,
        contact_index: NDArray[np.int32],
        closest_point: FloatArray,
        object_normal: FloatArray,
        frozen_at: FloatArray | None = None,
    ) -> None:
        self.hand: HandModel = problem.hand
        self.model = model
        self.root_pose = root_pose
        self.joint_position = joint_position
        candidates = problem.host_candidates
        self.contact_link = candidates.link[contact_index]
        self.contact_local = candidates.position[contact_index]
        self.normal_local = candidates.normal[contact_index]
        self.closest_point = closest_point
        self.object_normal = object_normal / np.linalg.norm(object_normal, axis=1, keepdims=True)
        self.lower, self.upper = self.hand.dof_lower.copy(), self.hand.dof_upper.copy()
        for name, value in problem.grasp_type.idle_joint_position.items():
            self.lower[self.hand.joint_names.index(name)] = value
            self.upper[self.hand.joint_names.index(name)] = value
        self.samples = model.surface_samples(problem.sample_count)[0]
        self.pairs = self.hand.self_collision_pairs()
        self._active: dict[int, NDArray[np.int8]] = {}
        frozen = self.pose(np.zeros(6 + self.hand.dof_count) if frozen_at is None else frozen_at)
        self._freeze_samples(frozen)
        self._freeze_spheres(frozen)

    def pose(self, increment: FloatArray) -> PosedHand:
        """The hand moved by an increment."""
        turn = Rotation.from_quat(self.root_pose[3:]) * Rotation.from_rotvec(increment[3:6])
        joints = self.joint_position + increment[6:]
        position, quaternion = self.hand.forward_kinematics(
            self.root_pose[:3] + increment[:3], turn.as_quat(), joints
        )
        rotation = Rotation.from_quat(quaternion).as_matrix()
        contact_rotation = rotation[self.contact_link]
        return PosedHand(
            link_position=position,
            link_rotation=rotation,
            joint_position=joints,
            contact_position=position[self.contact_link]
            + np.einsum("cij,cj->ci", contact_rotation, self.contact_local),
            hand_normal=np.einsum("cij,cj->ci", contact_rotation, self.normal_local),
        )

    def energy(self, term: Any, posed: PosedHand) -> float:
        """Unweighted energy of one term of ``EnergyConfig``."""
        table: dict[type, Callable[[Any, PosedHand], float]] = {
            ForceClosure: self._force_closure,
            Distance: self._distance,
            Penetration: self._penetration,
            SelfPenetration: self._self_penetration,
            SpherePenetration: self._sphere_penetration,
            JointLimits: self._joint_limits,
            WrenchBalance: self._wrench_balance,
            Wall: self._wall,
            Approach: self._approach,
            Manipulability: self._manipulability,
        }
        return table[type(term)](term, posed)

    # -- terms ---------------------------------------------------------------------------------------------------------

    def _force_closure(self, term: ForceClosure, posed: PosedHand) -> float:
        columns = wrench_matrix(
            posed.contact_position,
            self.object_normal,
            self.model.center_of_mass,
            term.friction,
            term.edge_count,
            term.torque_weight,
        )
        key = hash((term.edge_count, term.qp.lower, term.qp.upper, term.qp.ridge))
        force, active = solve_box_qp(
            columns, term.qp.lower, term.qp.upper, term.qp.ridge, self._active.get(key)
        )
        self._active[key] = active
        value = 0.5 * np.sum((columns @ force) ** 2) + 0.5 * term.qp.ridge * np.sum(force**2)
        singular = np.linalg.svd(columns, compute_uv=False)
        factor = 0.0
        if term.factor == SingularValueForm.GEOMETRIC_MEAN:
            factor = float(np.exp(np.sum(np.log(singular**2 + 1e-8)) / 12.0))
        elif term.factor == SingularValueForm.SUM:
            factor = float(np.sum(np.sqrt(singular**2 + 1e-8)))
        return float(term.gain * (value + term.offset) * np.exp(-term.decay * factor))

    def _distance(self, term: Distance, posed: PosedHand) -> float:
        d = np.einsum("ci,ci->c", self.object_normal, posed.contact_position - self.closest_point)
        factor = np.ones_like(d)
        if term.normal_weighted:
            factor = np.exp(1.0 - np.einsum("ci,ci->c", posed.hand_normal, -self.object_normal))
        return float(np.sum(factor * np.sqrt(d**2 + 1e-8)))

    def _penetration(self, term: Penetration, posed: PosedHand) -> float:
        total = 0.0
        for geometry, (index, plane) in self._deepest.items():
            local = self._to_geometry(geometry, posed, self.samples[index])
            total += float(np.sum(plane[:, 3] - np.einsum("si,si->s", plane[:, :3], local)))
        return total

    def unfrozen_penetration(self, posed: PosedHand) -> float:
        """Penetration with every sample against every geometry, nothing frozen or culled."""
        depth = [
            geometry_depth(self.hand, g, self._to_geometry(g, posed, self.samples))[0]
            for g in range(len(self.hand.geometry_type))
        ]
        return float(np.sum(np.maximum(0.0, np.max(depth, axis=0))))

    def _sphere_penetration(self, term: SpherePenetration, posed: PosedHand) -> float:
        offset = self._sphere_centers(posed) - self._sphere_closest
        distance = np.einsum("si,si->s", self._sphere_normal, offset)
        return float(np.sum(np.maximum(0.0, self.hand.sphere_radius - term.allowance - distance)))

    def _self_penetration(self, term: SelfPenetration, posed: PosedHand) -> float:
        center = self._sphere_centers(posed)
        first, second = self.pairs[:, 0], self.pairs[:, 1]
        radius = self.hand.sphere_radius
        gap = np.linalg.norm(center[first] - center[second], axis=1)
        return float(np.sum(np.maximum(0.0, radius[first] + radius[second] + term.margin - gap)))

    def _joint_limits(self, term: JointLimits, posed: PosedHand) -> float:
        q = posed.joint_position
        return float(np.sum(np.maximum(0.0, self.lower - q) + np.maximum(0.0, q - self.upper)))

    def _wrench_balance(self, term: WrenchBalance, posed: PosedHand) -> float:
        inward = -self.object_normal
        torque = term.torque_weight * np.cross(posed.contact_position - self.model.center_of_mass, inward)
        return float(np.sum(inward.sum(axis=0) ** 2) + np.sum(torque.sum(axis=0) ** 2))

    def _wall(self, term: Wall, posed: PosedHand) -> float:
        normal = np.asarray(term.normal) / np.linalg.norm(term.normal)
        offset = np.min(self.model.vertices @ normal) if term.offset is None else term.offset
        depth = self.hand.sphere_radius + offset - self._sphere_centers(posed) @ normal
        return float(np.sum(np.maximum(0.0, depth)))

    def _approach(self, term: Approach, posed: PosedHand) -> float:
        palm = Rotation.from_quat(self.hand.wrist_quaternion).as_matrix()[:, 2]
        direction = np.asarray(term.direction) / np.linalg.norm(term.direction)
        return float(1.0 - direction @ posed.link_rotation[0] @ palm)

    def _manipulability(self, term: Manipulability, posed: PosedHand) -> float:
        total = 0.0
        for contact in range(len(self.contact_link)):
            lever = self.contact_jacobian(posed, contact).T @ posed.hand_normal[contact]
            total -= np.log(1e-3 + np.sum(lever**2) / 0.05**2)
        return float(total / len(self.contact_link))

    # -- geometry ------------------------------------------------------------------------------------------------------

    def contact_jacobian(self, posed: PosedHand, contact: int) -> FloatArray:
        """dp/dq of one contact point, shape [3, J], from the joint frames fixed in the *child* links."""
        hand, jacobian = self.hand, np.zeros((3, self.hand.dof_count))
        link = int(self.contact_link[contact])
        while link > 0:
            if hand.joint_type[link] != JointType.FIXED:
                frame = posed.link_rotation[link] @ quaternion_matrix(hand.joint_child_quaternion[link])
                axis = frame @ hand.joint_axis[link]
                origin = (
                    posed.link_position[link] + posed.link_rotation[link] @ hand.joint_child_position[link]
                )
                motion = axis
                if hand.joint_type[link] == JointType.REVOLUTE:
                    motion = np.cross(axis, posed.contact_position[contact] - origin)
                jacobian[:, hand.joint_dof[link]] += hand.joint_multiplier[link] * motion
            link = int(hand.link_parent[link])
        return jacobian

    def _sphere_centers(self, posed: PosedHand) -> FloatArray:
        link = self.hand.sphere_link
        turned = np.einsum("sij,sj->si", posed.link_rotation[link], self.hand.sphere_position)
        return posed.link_position[link] + turned

    def _to_geometry(self, geometry: int, posed: PosedHand, points: FloatArray) -> FloatArray:
        """World points in the frame of a geometry."""
        link = self.hand.geometry_link[geometry]
        in_link = (points - posed.link_position[link]) @ posed.link_rotation[link]
        turn = quaternion_matrix(self.hand.geometry_quaternion[geometry])
        return (in_link - self.hand.geometry_position[geometry]) @ turn

    def _freeze_spheres(self, posed: PosedHand) -> None:
        """Closest mesh points and outward normals of the sphere centers, by brute force over all triangles."""
        center = self._sphere_centers(posed)
        found = [closest_on_mesh(self.model, point) for point in center]
        self._sphere_closest = np.array([point for point, _ in found])
        self._sphere_normal = (center - self._sphere_closest) / np.array([d for _, d in found])[:, None]

    def _freeze_samples(self, posed: PosedHand) -> None:
        """Geometry -> (samples deepest in it, their tangent planes [S, 4])."""
        count = len(self.hand.geometry_type)
        local = [self._to_geometry(g, posed, self.samples) for g in range(count)]
        found = [geometry_depth(self.hand, g, local[g]) for g in range(count)]
        depth = np.array([item[0] for item in found])
        owner = np.argmax(depth, axis=0)
        self._deepest: dict[int, tuple[NDArray[np.int64], FloatArray]] = {}
        for g in range(count):
            index = np.flatnonzero((owner == g) & (depth[g] > 0.0))
            normal = found[g][1][index]
            offset = depth[g][index] + np.einsum("si,si->s", normal, local[g][index])
            self._deepest[g] = index, np.concatenate([normal, offset[:, None]], axis=1)


def oracle_of(
    problem: GraspProblem,
    state: GraspState,
    grasp: int,
    *,
    features: GraspState | None = None,
    frozen_at: FloatArray | None = None,
) -> GraspOracle:
    """Oracle of one grasp of an evaluated ``state``.

    For an increment that is not zero, ``features`` is the evaluated moved state and ``frozen_at`` the increment.
    """
    features = features or state
    root = state.root_pose.numpy()[grasp].astype(np.float64)
    root[3:] /= np.linalg.norm(root[3:])
    return GraspOracle(
        problem,
        problem.objects[int(problem.object_index.numpy()[grasp])],
        root,
        state.joint_position.numpy()[grasp].astype(np.float64),
        state.contact_index.numpy()[grasp],
        features.closest_point.numpy()[grasp].astype(np.float64),
        features.object_normal.numpy()[grasp].astype(np.float64),
        frozen_at,
    )
