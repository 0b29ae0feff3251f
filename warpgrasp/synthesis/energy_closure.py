"""Closure terms of other methods: what they ask of the wrenches that the contacts can apply.

All are functions of the contact positions, with frozen normals, so that one base class turns their derivatives into wrenches on
the links or records them on a tape. They go into ``EnergyConfig(extra={...})``; the methods of
``warpgrasp.synthesis.methods`` do that by name.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import trimesh
import warp as wp

from warpgrasp.base.ranges import ANY_FINITE, POSITIVE, NumberRange, check_numbers
from warpgrasp.kernels.energies.force_closure_taped import launch_closure_energy, singular_value_taped
from warpgrasp.kernels.energies.iterated_closure import ClosureIterations
from warpgrasp.kernels.energies.minimum_norm import ClosureConstants, minimum_norm_kernel
from warpgrasp.kernels.energies.minimum_weight import minimum_weight_kernel
from warpgrasp.kernels.energies.position_gradient import (
    add_position_gradient_kernel,
    record_position_gradient,
)
from warpgrasp.kernels.energies.singular_values import SingularValueForm, mat66d
from warpgrasp.kernels.energies.weighted_sum import launch_add_scaled
from warpgrasp.kernels.energies.wrench import edge_directions, launch_wrench_matrix
from warpgrasp.kernels.energies.wrench_boundary import (
    boundary_gradient_kernel,
    boundary_mean_kernel,
    boundary_wrench_kernel,
)
from warpgrasp.kernels.spatial import vec6

if TYPE_CHECKING:
    from warpgrasp.objects import ObjectModel
    from warpgrasp.synthesis.problem import GraspProblem
    from warpgrasp.synthesis.state import GraspState

__all__ = ["ContactTerm", "IteratedClosure", "MinimumNorm", "MinimumWeight", "WrenchBoundary"]

_FRACTION = NumberRange(upper=1.0)


@functools.lru_cache(maxsize=256)
def _box_diagonal(model: ObjectModel) -> float:
    """Diagonal of the smallest oriented box around an object [m]."""
    _, extents = trimesh.bounds.oriented_bounds(model.vertices)
    return float(np.linalg.norm(extents))


class ContactTerm:
    """A term that depends on the contact positions alone, and knows its own derivative by them."""

    weight: float

    def launch_contacts(
        self, problem: GraspProblem, state: GraspState, energy: wp.array, position_gradient: wp.array
    ) -> None:
        """Write the unweighted energy [B] and its derivatives by the contact positions [B, C].

        Launches are capturable and not recorded on tapes.
        """
        raise NotImplementedError

    def launch(self, problem: GraspProblem, state: GraspState, energy: wp.array) -> None:
        """Energy and weighted wrenches on the links."""
        gradient = state.buffer(
            "contact_term.position_gradient", (problem.batch_size, problem.contact_count), wp.vec3
        )
        self.launch_contacts(problem, state, energy, gradient)
        wp.launch(
            add_position_gradient_kernel,
            dim=problem.batch_size,
            inputs=[problem.candidates, state.contacts, gradient, self.weight],
            outputs=[state.link_wrench],
            device=problem.device,
        )

    def launch_taped(self, problem: GraspProblem, state: GraspState, energy: wp.array) -> None:
        """Energy, with its derivative recorded on the tape."""
        # Fresh arrays: a tape replays backwards, after later evaluations would have overwritten shared ones.
        shape = (problem.batch_size, problem.contact_count)
        gradient = wp.zeros(shape, dtype=wp.vec3, device=problem.device)
        value = wp.zeros(problem.batch_size, dtype=wp.float32, device=problem.device, requires_grad=True)
        self.launch_contacts(problem, state, value, gradient)
        record_position_gradient(state.contact_position, value, gradient)
        launch_add_scaled(1.0, value, total=energy)


@dataclass(frozen=True, kw_only=True)
class WrenchBoundary(ContactTerm):
    """Mean of ``1 - cos`` between test directions of force and the wrenches given towards them (Chen et al. 2023, TDG)."""

    weight: float = 100.0
    """Factor in the total energy; 10 in the released program of BODex, 100 in GraspQP's comparison."""
    friction: float = 0.2
    """Coulomb coefficient mu."""
    torque_weight: float | None = 5.0
    """Scale s of torques against forces [1/m]; ``None`` is one over half the diagonal of the object's oriented box."""
    direction_count: int = 1000
    """Random test directions; the same in every step and run."""
    density: bool = False
    """Share the force of contacts that press the same way, so that fingers do not crowd on one side."""

    def __post_init__(self) -> None:
        check_numbers(
            self, "wrench_boundary", friction=POSITIVE, torque_weight=POSITIVE, direction_count=POSITIVE
        )

    def launch_contacts(
        self, problem: GraspProblem, state: GraspState, energy: wp.array, position_gradient: wp.array
    ) -> None:
        device, shape = problem.device, (problem.batch_size, self.direction_count)
        directions = self._directions(problem, state)
        settings = [directions, self.friction, self._torque_weights(problem, state), int(self.density)]
        cosine = state.buffer(f"wrench_boundary.cosine {shape}", shape, wp.float32)
        torque = state.buffer(f"wrench_boundary.torque {shape}", shape, wp.vec3)
        wp.launch(
            boundary_wrench_kernel,
            dim=shape,
            inputs=[problem.grasped_objects, state.contacts, *settings],
            outputs=[cosine, torque],
            device=device,
            record_tape=False,
        )
        wp.launch(
            boundary_gradient_kernel,
            dim=position_gradient.shape,
            inputs=[problem.grasped_objects, state.contacts, *settings, torque],
            outputs=[position_gradient],
            device=device,
            record_tape=False,
        )
        wp.launch(
            boundary_mean_kernel,
            dim=problem.batch_size,
            inputs=[cosine],
            outputs=[energy],
            device=device,
            record_tape=False,
        )

    def directions(self) -> np.ndarray:
        """Unit test directions [D, 3], spread evenly at random over the sphere."""
        normal = np.random.default_rng(0).normal(size=(self.direction_count, 3))
        return np.asarray(normal / np.linalg.norm(normal, axis=1, keepdims=True))

    def torque_weight_of(self, model: ObjectModel) -> float:
        """Scale of torques for one object [1/m]."""
        if self.torque_weight is not None:
            return self.torque_weight
        return 2.0 / _box_diagonal(model)

    def _directions(self, problem: GraspProblem, state: GraspState) -> wp.array:
        key = f"wrench_boundary.directions {self.direction_count}"
        if key not in state.scratch:
            values = self.directions().astype(np.float32)
            state.scratch[key] = wp.array(values, dtype=wp.vec3, device=problem.device)
        directions: wp.array = state.scratch[key]
        return directions

    def _torque_weights(self, problem: GraspProblem, state: GraspState) -> wp.array:
        key = f"wrench_boundary.torque_weight {self.torque_weight}"
        if key not in state.scratch:
            values = [self.torque_weight_of(model) for model in problem.objects]
            state.scratch[key] = wp.array(values, dtype=wp.float32, device=problem.device)
        weights: wp.array = state.scratch[key]
        return weights


@dataclass(frozen=True, kw_only=True)
class MinimumNorm(ContactTerm):
    """``g (V + e0) exp(-v S)``, V = half the square of the shortest wrench of weights of a fixed sum.

    The defaults are condition (ii) of Zurbrügg et al. 2025 (Table 2). Without factor and offset, with 8 edges and ``total``
    ``None`` replaced by :meth:`per_normal_force`, it is the program of BODex without a target wrench (Chen et al. 2025).
    """

    weight: float = 1.0
    """Factor in the total energy."""
    friction: float = 0.2
    """Coulomb coefficient mu."""
    edge_count: int = 4
    """Edges k of the linearised friction cone."""
    torque_weight: float = 5.0
    """Scale s of torques against forces [1/m]."""
    total: float | None = None
    """Sum of the weights; ``None`` is the number of edges of all contacts, one for each."""
    gain: float = 2.0
    """g."""
    offset: float = 0.01
    """e0."""
    factor: SingularValueForm = SingularValueForm.GEOMETRIC_MEAN
    """S(W), as in ``ForceClosure``."""
    decay: float = 0.1
    """v."""

    def __post_init__(self) -> None:
        positive = dict.fromkeys(("torque_weight", "gain", "total"), POSITIVE)
        check_numbers(self, "minimum_norm", edge_count=NumberRange(lower=3.0), **positive)

    @staticmethod
    def per_normal_force(friction: float, edge_count: int) -> float:
        """Sum of the weights at which the normal forces of all contacts together are 1."""
        return float(edge_count * np.sqrt(1.0 + friction**2))

    def launch_contacts(
        self, problem: GraspProblem, state: GraspState, energy: wp.array, position_gradient: wp.array
    ) -> None:
        columns = problem.contact_count * self.edge_count
        constants = ClosureConstants()
        constants.edge_direction = edge_directions(self.edge_count, problem.device)
        for name in ("friction", "torque_weight", "gain", "offset", "decay"):
            setattr(constants, name, getattr(self, name))
        constants.factor_form = int(self.factor)
        constants.total = float(columns if self.total is None else self.total)
        shape = (problem.batch_size, columns)
        wp.launch(
            minimum_norm_kernel,
            dim=problem.batch_size,
            inputs=[constants, problem.grasped_objects, state.contacts],
            outputs=[
                state.buffer(f"minimum_norm.columns {columns}", shape, vec6),
                state.buffer(f"minimum_norm.force {columns}", shape, wp.float32),
                energy,
                position_gradient,
            ],
            device=problem.device,
            record_tape=False,
        )


@dataclass(frozen=True, kw_only=True)
class MinimumWeight(ContactTerm):
    """FRoGGeR's minimum weight ``l_bar`` in (-inf, 1], kept above a target (Li et al. 2023).

    The energy is ``softplus(sharpness (target - l_bar)) / sharpness``; sharpness 0 is the hinge ``max(0, target - l_bar)``, an
    exact penalty of the constraint ``l_bar >= target``.
    """

    weight: float = 10.0
    """Factor in the total energy."""
    friction: float = 0.7
    """Coulomb coefficient mu; 0.7 as published."""
    edge_count: int = 4
    """Edges k of the linearised friction cone."""
    torque_weight: float = 1.0
    """Scale s of torques against forces [1/m]; 1 as published."""
    target: float = 0.3
    """Least l_bar that is wanted."""
    sharpness: float = 10.0
    """Sharpness of the softplus; 0 is the hinge."""
    floor: float = -10.0
    """Value of grasps far from closure, where the derivative ends, and of those whose contacts do not span all wrenches."""

    def __post_init__(self) -> None:
        check_numbers(
            self,
            "minimum_weight",
            torque_weight=POSITIVE,
            edge_count=NumberRange(lower=3.0),
            target=ANY_FINITE,
            floor=ANY_FINITE,
        )
        if not self.floor < self.target <= 1.0:
            raise ValueError(
                f"minimum_weight.target must be above floor and at most 1 (got {self.target:g} and {self.floor:g})"
            )

    def launch_contacts(
        self, problem: GraspProblem, state: GraspState, energy: wp.array, position_gradient: wp.array
    ) -> None:
        columns = problem.contact_count * self.edge_count
        wp.launch(
            minimum_weight_kernel,
            dim=problem.batch_size,
            inputs=[
                edge_directions(self.edge_count, problem.device),
                self.friction,
                self.torque_weight,
                self.target,
                self.sharpness,
                self.floor,
                problem.grasped_objects,
                state.contacts,
            ],
            outputs=[
                state.buffer(f"minimum_weight.columns {columns}", (problem.batch_size, columns), vec6),
                state.buffer("minimum_weight.value", (problem.batch_size,), wp.float32),
                energy,
                position_gradient,
            ],
            device=problem.device,
            record_tape=False,
        )


@dataclass(frozen=True, kw_only=True)
class IteratedClosure:
    """``g (V + e0) exp(-v S)`` with weights from a few steps: the softmax and the barrier of Zurbrügg et al. 2025, Table 2."""

    weight: float = 1.0
    """Factor in the total energy."""
    form: Literal["softmax", "barrier"] = "softmax"
    """softmax: weights of a fixed sum by a softmax; barrier: bounds by logarithmic barriers."""
    friction: float = 0.2
    """Coulomb coefficient mu."""
    edge_count: int = 4
    """Edges k of the linearised friction cone."""
    torque_weight: float = 5.0
    """Scale s of torques against forces [1/m]."""
    lower: float = 1.0
    upper: float = 50.0
    """barrier: bounds of every edge force."""
    sharpness: float = 100.0
    """barrier: tau."""
    iterations: int = 8
    """Steps of every evaluation."""
    differentiated: int = 4
    """Last steps that the gradient flows through: 4 in the paper, 5 in the released program."""
    step: float = 0.15
    """Length of a step."""
    gain: float = 2.0
    """g."""
    offset: float = 0.01
    """e0."""
    factor: SingularValueForm = SingularValueForm.GEOMETRIC_MEAN
    """S(W), as in ``ForceClosure``."""
    decay: float = 0.1
    """v."""

    def __post_init__(self) -> None:
        if self.form not in ("softmax", "barrier"):
            raise ValueError(f"iterated_closure.form must be softmax or barrier (got {self.form!r})")
        positive = dict.fromkeys(("torque_weight", "gain", "sharpness", "iterations", "step"), POSITIVE)
        check_numbers(self, "iterated_closure", edge_count=NumberRange(lower=3.0), **positive)
        if not self.lower < self.upper:
            raise ValueError(
                f"iterated_closure.lower must be smaller than upper (got {self.lower:g} and {self.upper:g})"
            )

    def launch_taped(self, problem: GraspProblem, state: GraspState, energy: wp.array) -> None:
        """Add the energy, differentiated through the last steps by the tape."""

        def allocate(name: str, shape: Any, dtype: Any) -> wp.array:
            key = f"iterated_closure.{self.form}.{self.edge_count}.{name}"
            return state.buffer(key, shape, dtype, requires_grad=True)

        batch, columns = problem.batch_size, problem.contact_count * self.edge_count
        wrench_matrix = launch_wrench_matrix(
            state.contact_position,
            state.object_normal,
            problem.center_of_mass,
            problem.object_index,
            friction=self.friction,
            edge_count=self.edge_count,
            torque_weight=self.torque_weight,
            wrench_matrix=allocate("wrench_matrix", (batch, columns), vec6),
        )
        iterations = ClosureIterations(wrench_matrix, allocate, length=self.step)
        softmax = self.form == "softmax"
        weight = iterations.start(0.0 if softmax else self.lower + 0.5)
        for step in range(self.iterations):
            record = step >= self.iterations - self.differentiated
            if softmax:
                weight = iterations.softmax_step(weight, step=step, record=record)
            else:
                bounds = (self.lower, self.upper)
                weight = iterations.barrier_step(weight, bounds, self.sharpness, step=step, record=record)
        if softmax:
            weight = iterations.softmax(weight)
        value = iterations.value(weight, total=1.0)
        singular = singular_value_taped(
            wrench_matrix,
            self.factor,
            value=allocate("singular_value", batch, wp.float32),
            gradient=state.buffer("iterated_closure.singular_gradient", (batch,), mat66d),
        )
        launch_closure_energy(
            value, singular, gain=self.gain, offset=self.offset, decay=self.decay, energy=energy
        )
