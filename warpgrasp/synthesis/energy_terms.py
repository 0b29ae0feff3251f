"""The energy terms of GraspQP: force closure, contact distance, penetration both ways, self penetration, joint limits.

Each is a frozen dataclass of hyper-parameters that fulfils ``warpgrasp.synthesis.energy_config.EnergyTerm``; the
mathematics stands in the kernels and in ``docs/concepts/energies.md``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import warp as wp

from warpgrasp.base.ranges import ANY_FINITE, POSITIVE, check_numbers
from warpgrasp.kernels.contact import distance_kernel, launch_distance_taped
from warpgrasp.kernels.energies.force_closure_fused import (
    ForceClosureArrays,
    ForceClosureConstants,
    force_closure_arrays,
    force_closure_kernel,
)
from warpgrasp.kernels.energies.force_closure_taped import launch_force_closure_taped
from warpgrasp.kernels.energies.joint_limits import joint_limits_kernel, joint_limits_taped_kernel
from warpgrasp.kernels.energies.penetration import (
    deepest_geometry_kernel,
    penetration_kernel,
    penetration_taped_kernel,
)
from warpgrasp.kernels.energies.self_penetration import self_penetration_kernel, self_penetration_taped_kernel
from warpgrasp.kernels.energies.singular_values import SingularValueForm
from warpgrasp.kernels.energies.smooth_normals import normal_derivative_kernel, smooth_normals_kernel
from warpgrasp.kernels.energies.sphere_penetration import (
    launch_closest_to_spheres,
    sphere_penetration_kernel,
    sphere_penetration_taped_kernel,
)
from warpgrasp.kernels.energies.wrench import edge_directions
from warpgrasp.kernels.hand_shapes import GeometryPoses, geometry_poses, launch_geometry_poses
from warpgrasp.kernels.lanes import lane_count
from warpgrasp.kernels.qp.dual_newton import QpConfig

if TYPE_CHECKING:
    from warpgrasp.synthesis.problem import GraspProblem
    from warpgrasp.synthesis.state import GraspState

__all__ = ["Distance", "ForceClosure", "JointLimits", "Penetration", "SelfPenetration", "SpherePenetration"]


@dataclass(frozen=True, kw_only=True)
class ForceClosure:
    """Differentiable force closure ``E_fc = g (V + e0) exp(-v S(W))`` (Zurbrügg et al. 2025, Eq. 4-5)."""

    weight: float = 1.0
    """Factor in the total energy."""
    friction: float = 0.2
    """Coulomb coefficient mu."""
    edge_count: int = 4
    """Edges k of the linearised friction cone; 4 or 8."""
    torque_weight: float = 5.0
    """Scale s of torques against forces [1/m]."""
    gain: float = 2.0
    """g."""
    offset: float = 0.01
    """e0."""
    factor: SingularValueForm = SingularValueForm.GEOMETRIC_MEAN
    """S(W): geometric mean of the singular values (published code), their sum (paper), or none."""
    decay: float = 0.1
    """v; 0.1 for the geometric mean, 1 for the sum."""
    qp: QpConfig = field(default_factory=QpConfig)
    """Quadratic program."""
    normals: Literal["flat", "smooth"] = "flat"
    """flat: normals are frozen, as published; smooth: interpolated over the faces, and the energy is differentiated through
    them, which says where on a curved surface a contact should move. See ``docs/concepts/force_closure.md``."""

    def __post_init__(self) -> None:
        check_numbers(self, "energy.force_closure", torque_weight=POSITIVE, gain=POSITIVE)
        if self.normals not in ("flat", "smooth"):
            raise ValueError(f"energy.force_closure.normals must be flat or smooth (got {self.normals!r})")
        if self.edge_count not in (4, 8):
            raise ValueError(f"energy.force_closure.edge_count must be 4 or 8 (got {self.edge_count})")
        if self.qp.lower == 0.0:
            raise ValueError(
                "energy.force_closure.qp.lower must be positive (got 0): without forces every grasp is in balance, "
                "and the energy is constant; 1 is the published value"
            )

    def constants(self, device: Any) -> ForceClosureConstants:
        """The hyper-parameters as a kernel argument."""
        result = ForceClosureConstants()
        result.edge_direction = edge_directions(self.edge_count, device)
        result.friction = self.friction
        result.torque_weight = self.torque_weight
        result.gain = self.gain
        result.offset = self.offset
        result.decay = self.decay
        result.factor_form = int(self.factor)
        result.qp = self.qp.constants()
        result.solver = int(self.qp.solver)
        return result

    def arrays(self, problem: GraspProblem, state: GraspState) -> ForceClosureArrays:
        """Buffers and results of the term's last launch at ``state``; made at the first use."""
        key = f"force_closure {self.edge_count} {self.qp.solver}"  # another term of this class has others
        if key not in state.scratch:
            state.scratch[key] = force_closure_arrays(
                problem.batch_size, problem.contact_count, self.edge_count, self.qp, problem.device
            )
        arrays: ForceClosureArrays = state.scratch[key]
        return arrays

    def launch(self, problem: GraspProblem, state: GraspState, energy: wp.array) -> None:
        contacts, constants, arrays = (
            state.contacts,
            self.constants(problem.device),
            self.arrays(problem, state),
        )
        smooth = self.normals == "smooth"
        if smooth:
            shape = state.contact_index.shape
            normal = state.buffer("smooth_normal", shape, wp.vec3)
            curvature = state.buffer("smooth_curvature", shape, wp.mat33)
            wp.launch(
                smooth_normals_kernel,
                dim=shape,
                inputs=[problem.meshes, problem.corner_normals, problem.object_index, contacts],
                outputs=[normal, curvature],
                device=problem.device,
            )
            contacts.object_normal = normal
        shared = [constants, problem.grasped_objects, problem.candidates, contacts]
        wp.launch(
            force_closure_kernel,
            dim=problem.batch_size,
            inputs=[*shared, self.weight],
            outputs=[state.qp_dual, arrays, energy, state.link_wrench],
            device=problem.device,
        )
        if smooth:
            wp.launch(
                normal_derivative_kernel,
                dim=problem.batch_size,
                inputs=[*shared, curvature, state.qp_dual, arrays, energy, self.weight],
                outputs=[state.link_wrench],
                device=problem.device,
            )

    def launch_taped(self, problem: GraspProblem, state: GraspState, energy: wp.array) -> None:
        if self.normals != "flat":
            raise ValueError(
                f"energy.force_closure.normals must be flat on a tape, where normals are frozen (got {self.normals!r})"
            )
        launch_force_closure_taped(
            state.contact_position,
            state.object_normal,
            problem.center_of_mass,
            problem.object_index,
            friction=self.friction,
            edge_count=self.edge_count,
            torque_weight=self.torque_weight,
            gain=self.gain,
            offset=self.offset,
            decay=self.decay,
            factor=self.factor,
            qp=self.qp,
            energy=energy,
        )


@dataclass(frozen=True, kw_only=True)
class Distance:
    """Contact distance ``sum_c exp(1 - <n_hand, -n_obj>) |d_c|``, or plain ``sum_c |d_c|``.

    The first is that of P. Li et al. 2023 and Zurbrügg et al. 2025, the plain one that of Wang et al. 2023.
    """

    weight: float = 100.0
    """Factor in the total energy [1/m]."""
    normal_weighted: bool = True
    """Weigh each distance by the alignment of hand and object normals."""

    def __post_init__(self) -> None:
        check_numbers(self, "energy.distance")

    def launch(self, problem: GraspProblem, state: GraspState, energy: wp.array) -> None:
        wp.launch(
            distance_kernel,
            dim=problem.batch_size,
            inputs=[problem.candidates, state.contacts, int(self.normal_weighted), self.weight],
            outputs=[energy, state.link_wrench],
            device=problem.device,
        )

    def launch_taped(self, problem: GraspProblem, state: GraspState, energy: wp.array) -> None:
        launch_distance_taped(
            state.contact_position,
            state.hand_normal,
            state.closest_point,
            state.object_normal,
            self.normal_weighted,
            energy=energy,
        )


@dataclass(frozen=True, kw_only=True)
class Penetration:
    """Depth of object samples inside the hand's links, summed (Wang et al. 2023; Zurbrügg et al. 2025)."""

    weight: float = 100.0
    """Factor in the total energy [1/m]."""

    def __post_init__(self) -> None:
        check_numbers(self, "energy.penetration")

    def launch(self, problem: GraspProblem, state: GraspState, energy: wp.array) -> None:
        poses = self._geometry_poses(problem, state)
        wp.launch_tiled(
            penetration_kernel,
            dim=problem.batch_size,
            inputs=[problem.geometry, problem.samples, problem.object_index, poses, self.weight],
            outputs=[energy, state.link_wrench],
            device=problem.device,
            block_dim=lane_count(problem.device),
        )

    def launch_taped(self, problem: GraspProblem, state: GraspState, energy: wp.array) -> None:
        poses = self._geometry_poses(problem, state)
        shape = (problem.batch_size, problem.sample_count)
        # Fresh arrays: a tape replays backwards, after later evaluations would have overwritten shared ones.
        deepest = wp.empty(shape, dtype=wp.int32, device=problem.device)
        plane = wp.empty(shape, dtype=wp.vec4, device=problem.device)
        wp.launch(
            deepest_geometry_kernel,
            dim=shape,
            inputs=[problem.geometry, problem.samples, problem.object_index, poses],
            outputs=[deepest, plane],
            device=problem.device,
            record_tape=False,
        )
        wp.launch(
            penetration_taped_kernel,
            dim=shape,
            inputs=[
                problem.geometry,
                problem.samples,
                problem.object_index,
                deepest,
                plane,
                state.link_pose,
            ],
            outputs=[energy],
            device=problem.device,
        )

    @staticmethod
    def _geometry_poses(problem: GraspProblem, state: GraspState) -> GeometryPoses:
        if "geometry_poses" not in state.scratch:
            state.scratch["geometry_poses"] = geometry_poses(
                problem.geometry, problem.batch_size, problem.device
            )
        poses: GeometryPoses = state.scratch["geometry_poses"]
        launch_geometry_poses(problem.geometry, state.link_pose, poses=poses)
        return poses


@dataclass(frozen=True, kw_only=True)
class SpherePenetration:
    """Depth of the hand's spheres in the object, ``sum max(0, r - allowance - d)``, which also sees a finger wholly inside."""

    weight: float = 1000.0
    """Factor in the total energy [1/m]. Large, as this is a constraint: at 100 some grasps still hide a finger."""
    allowance: float = 0.005
    """Depth that does not count [m]: small ones are left to ``Penetration``, which knows the shapes of the links. A negative
    one asks for that much distance."""

    def __post_init__(self) -> None:
        check_numbers(self, "energy.sphere_penetration", allowance=ANY_FINITE)

    def launch(self, problem: GraspProblem, state: GraspState, energy: wp.array) -> None:
        wp.launch_tiled(
            sphere_penetration_kernel,
            dim=problem.batch_size,
            inputs=[
                problem.spheres,
                problem.meshes,
                problem.distance_bound,
                problem.object_index,
                state.link_pose,
                self.allowance,
                self.weight,
            ],
            outputs=[energy, state.link_wrench],
            device=problem.device,
            block_dim=lane_count(problem.device),
        )

    def launch_taped(self, problem: GraspProblem, state: GraspState, energy: wp.array) -> None:
        shape = (problem.batch_size, problem.spheres.link.shape[0])
        # Fresh arrays, as in Penetration: a tape replays backwards.
        closest = wp.empty(shape, dtype=wp.vec3, device=problem.device)
        normal = wp.empty(shape, dtype=wp.vec3, device=problem.device)
        launch_closest_to_spheres(
            problem.spheres,
            problem.meshes,
            problem.object_index,
            state.link_pose,
            distance=wp.empty(shape, dtype=wp.float32, device=problem.device),
            closest=closest,
            normal=normal,
        )
        wp.launch(
            sphere_penetration_taped_kernel,
            dim=shape,
            inputs=[problem.spheres, closest, normal, state.link_pose, self.allowance],
            outputs=[energy],
            device=problem.device,
        )


@dataclass(frozen=True, kw_only=True)
class SelfPenetration:
    """Overlap of the hand's own spheres, ``sum max(0, r_i + r_j + margin - |x_i - x_j|)`` over non-adjacent links."""

    weight: float = 100.0
    """Factor in the total energy [1/m]. Ten times the published weight: self penetration is a constraint of the hardware."""
    margin: float = 0.004
    """Distance that the spheres keep [m]; 0 as published. Spheres leave some of the links' shapes uncovered: with 4 mm the
    shapes themselves keep apart."""

    def __post_init__(self) -> None:
        check_numbers(self, "energy.self_penetration")

    def launch(self, problem: GraspProblem, state: GraspState, energy: wp.array) -> None:
        shape = (problem.batch_size, problem.spheres.link.shape[0])
        wp.launch_tiled(
            self_penetration_kernel,
            dim=problem.batch_size,
            inputs=[problem.spheres, state.link_pose, self.margin, self.weight],
            outputs=[state.buffer("sphere_center", shape, wp.vec3), energy, state.link_wrench],
            device=problem.device,
            block_dim=lane_count(problem.device),
        )

    def launch_taped(self, problem: GraspProblem, state: GraspState, energy: wp.array) -> None:
        wp.launch(
            self_penetration_taped_kernel,
            dim=(problem.batch_size, problem.spheres.pair.shape[0]),
            inputs=[problem.spheres, state.link_pose, self.margin],
            outputs=[energy],
            device=problem.device,
        )


@dataclass(frozen=True, kw_only=True)
class JointLimits:
    """Linear violation of joint limits. The optimisers also project onto the limits, so this is zero in their results."""

    weight: float = 1.0
    """Factor in the total energy."""

    def __post_init__(self) -> None:
        check_numbers(self, "energy.joint_limits")

    def launch(self, problem: GraspProblem, state: GraspState, energy: wp.array) -> None:
        wp.launch(
            joint_limits_kernel,
            dim=problem.batch_size,
            inputs=[problem.tree, state.joint_position, self.weight],
            outputs=[energy, state.joint_force],
            device=problem.device,
        )

    def launch_taped(self, problem: GraspProblem, state: GraspState, energy: wp.array) -> None:
        wp.launch(
            joint_limits_taped_kernel,
            dim=state.joint_position.shape,
            inputs=[problem.tree, state.joint_position],
            outputs=[energy],
            device=problem.device,
        )
