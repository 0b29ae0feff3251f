"""SpringGrasp (Chen et al. 2024): compliant fingertip grasps, springs that pull the tips to targets inside the object.

Targets and stiffnesses of the springs are variables beside the pose. They are also the squeeze: tip i presses with
``k_i (y_i - x_i)``, which the joints make by ``J^T f``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import warp as wp

from warpgrasp.base.ranges import ANY_FINITE, POSITIVE, check_numbers
from warpgrasp.base.status import GraspStatus
from warpgrasp.kernels.chains.spring_descent import spring_descent_kernel
from warpgrasp.kernels.energies.spring_equilibrium import (
    Springs,
    SpringWeights,
    spring_equilibrium_kernel,
)
from warpgrasp.kernels.kinematics import launch_joint_gradient
from warpgrasp.synthesis.closing import ClosingConfig
from warpgrasp.synthesis.energy_config import EnergyConfig
from warpgrasp.synthesis.energy_terms import (
    SelfPenetration,
)
from warpgrasp.synthesis.fingertip_terms import SphereProximity, find_pairs, tips_of
from warpgrasp.synthesis.methods.registry import Method
from warpgrasp.synthesis.seeds import InitializeConfig
from warpgrasp.synthesis.simulation_terms import JointMiddle
from warpgrasp.synthesis.synthesize import SynthesisConfig
from warpgrasp.synthesis.touching_candidates import nearest_candidates

if TYPE_CHECKING:
    from warpgrasp.synthesis.problem import GraspProblem
    from warpgrasp.synthesis.seeds import SeedGrasps
    from warpgrasp.synthesis.state import GraspState

__all__ = ["METHODS", "OptimizerSpring", "SpringEquilibrium"]

_GRAVITY = 9.81  # m/s^2
_DROP = 0.2  # m, way of gravity's spring
_THUMB = "thumb"
_TOUCHING = 0.003  # m; a tip at most this far from the object touches it


@dataclass(frozen=True, kw_only=True)
class SpringEquilibrium:
    """Whether the springs push inside their friction cones, before and after the object comes to rest (Chen et al. 2024)."""

    weight: float = 1.0
    """Factor in the total energy."""
    friction: float = 1.0
    """Coulomb coefficient mu."""
    reward: float = 200.0
    """Weight of the logarithms of cosines and margins."""
    force: float = 200.0
    """Weight of the mean force, up to ``largest_force``, that is rewarded [1/N]."""
    largest_force: float = 2.0
    """Force of a spring beyond which more is not rewarded [N]."""
    motion: float = 2000.0
    """Weight of the mean way of the contacts to their rest [1/m]."""
    stiffness: float = 0.5
    """Weight of the stiffnesses [m/N]."""
    target: float = 1000.0
    """Weight of the signed distances of the targets, which wants them inside [1/m]."""
    distance: float = 10000.0
    """Weight of the distances of the tips [1/m]."""
    mass: float = 0.1
    """Mass of the object, whose gravity along -z is one more spring [kg]; 0 leaves it out."""

    def __post_init__(self) -> None:
        check_numbers(self, "spring_equilibrium", target=ANY_FINITE, largest_force=POSITIVE)

    def weights(self) -> SpringWeights:
        """The hyper-parameters as a kernel argument."""
        result = SpringWeights()
        for name in ("reward", "force", "largest_force", "motion", "stiffness", "target", "distance"):
            setattr(result, name, wp.float64(getattr(self, name)))
        result.cosine = wp.float64(1.0 / np.sqrt(1.0 + self.friction**2))
        result.gravity = wp.vec3d(0.0, 0.0, -_DROP)
        result.gravity_stiffness = wp.float64(self.mass * _GRAVITY / _DROP)
        return result

    def launch(self, problem: GraspProblem, state: GraspState, energy: wp.array) -> None:
        tips = find_pairs(problem, state)
        wp.launch(
            spring_equilibrium_kernel,
            dim=problem.batch_size,
            inputs=[
                tips.device_model,
                problem.grasped_objects,
                problem.meshes,
                tips.contacts,
                self.weights(),
                self.weight,
            ],
            outputs=[springs_of(problem, state), energy, state.link_wrench],
            device=problem.device,
        )


def springs_of(problem: GraspProblem, state: GraspState) -> Springs:
    """Targets and stiffnesses of a state; zeros until somebody sets them."""
    if "springs" not in state.scratch:
        batch, count = tips_of(problem, state).goal.shape
        springs, device = Springs(), problem.device
        for name in ("target", "target_slope"):
            setattr(springs, name, wp.zeros((batch, count), dtype=wp.vec3, device=device))
        for name in ("stiffness", "stiffness_slope"):
            setattr(springs, name, wp.zeros((batch, count), dtype=wp.float32, device=device))
        springs.pull = wp.zeros((batch, count), dtype=wp.vec3d, device=device)
        springs.margin = wp.zeros(batch, dtype=wp.float32, device=device)
        state.scratch["springs"] = springs
    result: Springs = state.scratch["springs"]
    return result


@dataclass(eq=False)
class SpringState:
    """A run: the grasps, their springs and the running squares of the derivatives."""

    best: GraspState
    springs: Springs
    squares: wp.array
    status: wp.array
    counter: int = 0
    step_count: int = 1
    accept_count: None = None

    @property
    def energy(self) -> wp.array:
        """Energies of the grasps, shape [B]."""
        return self.best.energy


@dataclass(frozen=True, kw_only=True)
class OptimizerSpring:
    """RMSProp on pose, targets and stiffnesses (Chen et al. 2024); steps fall to a tenth (ours), so that tips settle."""

    capturable = False  # the steps fall

    root_step: float = 0.001
    """First step of the root [m and rad]."""
    joint_step: float = 0.002
    """First step of the joints [rad or m]."""
    target_step: float = 0.004
    """First step of the targets [m]."""
    stiffness_step: float = 0.5
    """First step of the stiffnesses [N/m]."""
    memory: float = 0.99
    """Share of the running squares that a step keeps."""
    least_stiffness: float = 40.0
    """Least stiffness of a spring [N/m]."""
    first_stiffness: float = 80.0
    """Stiffness of the springs at the start [N/m]; the thumb has twice that."""
    first_depth: float = 0.5
    """Share of the way from the closest point to the centre of mass at which a target starts."""

    def __post_init__(self) -> None:
        check_numbers(self, "optimizer", **dict.fromkeys(self.__dataclass_fields__, POSITIVE))

    def reset_count(self, step_count: int) -> int:
        """Nothing is reset."""
        return 0

    def init(
        self, problem: GraspProblem, seeds: SeedGrasps, resets: list[SeedGrasps], *, step_count: int
    ) -> SpringState:
        """The seeds, with targets between the centre of mass and the points of the object that are closest to the tips.

        Raises:
            ValueError: The energy lacks ``spring_equilibrium``.
        """
        if "spring_equilibrium" not in problem.terms:
            raise ValueError(
                "the optimiser of springgrasp needs the energy term spring_equilibrium: take --method springgrasp"
            )
        grasps = problem.create_state()
        problem.set_variables(grasps, seeds.root_pose, seeds.joint_position, seeds.contact_index)
        springs = springs_of(problem, grasps)
        problem.evaluate(grasps)
        tips = tips_of(problem, grasps)
        center = problem.center_of_mass.numpy()[problem.object_index.numpy()][:, None]
        point = tips.contacts.point.numpy()
        springs.target.assign(point + self.first_depth * (center - point))
        thumb = np.array([finger == _THUMB for finger in tips.model.fingers])
        first = self.first_stiffness * (1.0 + thumb)
        springs.stiffness.assign(np.tile(first, (problem.batch_size, 1)).astype(np.float32))
        problem.evaluate(grasps)
        columns = grasps.gradient.shape[1] + 4 * len(thumb)
        return SpringState(
            grasps,
            springs,
            wp.zeros((problem.batch_size, columns), dtype=wp.float32, device=problem.device),
            wp.zeros(problem.batch_size, dtype=wp.int32, device=problem.device),
            step_count=step_count,
        )

    def step(self, problem: GraspProblem, state: SpringState) -> None:
        """One step of pose and springs."""
        grasps = state.best
        shrink = 1.0 - 0.9 * state.counter / state.step_count
        state.counter += 1
        wp.launch(
            spring_descent_kernel,
            dim=problem.batch_size,
            inputs=[
                problem.tree,
                grasps.gradient,
                shrink * self.root_step,
                shrink * self.joint_step,
                shrink * self.target_step,
                shrink * self.stiffness_step,
                self.least_stiffness,
                self.memory,
            ],
            outputs=[state.squares, state.springs, grasps.root_pose, grasps.joint_position, state.status],
            device=problem.device,
        )
        problem.evaluate(grasps)

    def own_columns(self, problem: GraspProblem, state: SpringState) -> dict[str, np.ndarray]:
        """The springs as squeeze: forces of the tips, joint torques, contacts and status.

        ``NOT_CLOSED`` marks grasps with a spring that pulls outside its friction cone at rest.
        """
        grasps = state.best
        problem.evaluate(grasps)
        tips = find_pairs(problem, grasps)
        place = tips.contacts.center.numpy().astype(np.float64)
        way = state.springs.target.numpy() - place
        force = state.springs.stiffness.numpy()[:, :, None] * way
        limit = problem.hand.dof_effort
        torque = np.clip(_tip_torques(problem, grasps, place, force), -limit, limit)
        touches = (np.abs(tips.contacts.distance.numpy()) <= _TOUCHING).sum(axis=1) >= 2
        status = np.where(state.status.numpy() != 0, int(GraspStatus.NONFINITE_ENERGY), 0)
        status = np.where((status == 0) & ~touches, int(GraspStatus.NOT_TOUCHING), status)
        outside = state.springs.margin.numpy() <= 0.0
        status = np.where((status == 0) & outside, int(GraspStatus.NOT_CLOSED), status)
        return {
            "squeeze_joint_position": grasps.joint_position.numpy() + torque / problem.hand.dof_stiffness,
            "squeeze_torque": torque,
            "contact_index": nearest_candidates(problem, grasps, place),
            "contact_position": place,
            "contact_normal": tips.contacts.normal.numpy(),
            "contact_force": force,
            "status": status,
        }


def _tip_torques(
    problem: GraspProblem, state: GraspState, place: np.ndarray, force: np.ndarray
) -> np.ndarray:
    """``J^T f`` of forces [B, F, 3] at places on the tips' links [B, F, 3], shape [B, J]."""
    wrench = np.zeros((*state.link_wrench.shape, 6), dtype=np.float32)
    for tip, link in enumerate(tips_of(problem, state).model.link):
        wrench[:, link] += np.concatenate([force[:, tip], np.cross(place[:, tip], force[:, tip])], axis=1)
    state.link_wrench.assign(wrench)
    generalized = wp.zeros_like(state.gradient)
    launch_joint_gradient(
        problem.tree,
        state.link_pose,
        link_wrench=state.link_wrench,
        joint_force=state.joint_force,
        gradient=generalized,
    )
    return np.asarray(generalized.numpy()[:, 6:], dtype=np.float64)


_SPRINGGRASP = SynthesisConfig(
    contact_count=4,
    step_count=400,
    energy=EnergyConfig(
        self_penetration=SelfPenetration(weight=10000.0, margin=0.002),
        extra={
            "spring_equilibrium": SpringEquilibrium(),
            "sphere_proximity": SphereProximity(weight=10000.0, shell=0.005),
            "joint_middle": JointMiddle(weight=10.0, squared=False, opening=True),
        },
    ).without("force_closure", "distance", "penetration", "sphere_penetration", "joint_limits"),
    optimizer=OptimizerSpring(),
    initialize=InitializeConfig(
        inflation=0.1, distance_lower=0.04, distance_upper=0.08, pitch=15.0, tilt=15.0, joint_spread=0.0
    ),
    closing=ClosingConfig(steps=0),
)

METHODS = {
    "springgrasp": Method(
        summary="Compliant fingertip grasps: targets and stiffnesses of springs are optimised and are the squeeze.",
        source="Chen et al. 2024 (SpringGrasp), on the exact distance field",
        config=_SPRINGGRASP,
    ),
}
