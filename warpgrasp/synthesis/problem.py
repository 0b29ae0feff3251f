"""One batch of grasps on the device: a hand, objects and energy terms make an energy and its gradient.

Data flows one way: root pose and joints -> link poses -> contact points -> closest features -> energy terms -> gradient.
Every array lives in a ``GraspState``; an evaluation allocates nothing and reads nothing back, so that it can be captured.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import warp as wp

from warpgrasp.hands.device import candidate_set, hand_geometry, hand_spheres, kinematic_tree
from warpgrasp.kernels.contact import closest_features_kernel, contact_points_kernel, frozen_distance_kernel
from warpgrasp.kernels.distance_bound import DistanceBound
from warpgrasp.kernels.energies.weighted_sum import launch_add_scaled, weighted_sum_kernel
from warpgrasp.kernels.energies.wrench import GraspedObjects
from warpgrasp.kernels.kinematics import (
    ROOT_DOF_COUNT,
    launch_forward_kinematics,
    launch_joint_gradient,
    retract_kernel,
)
from warpgrasp.kernels.spatial import vec6
from warpgrasp.objects.device import corner_normal_array, distance_bound, mesh_set, sample_set
from warpgrasp.synthesis.state import GraspState
from warpgrasp.synthesis.taped_gradient import TapedLaunch, launch_on_tape

if TYPE_CHECKING:
    from warpgrasp.hands import ContactCandidates, GraspType, HandModel
    from warpgrasp.objects import ObjectModel

__all__ = ["EnergyTerm", "FusedTerm", "GraspProblem", "TapedTerm"]


@runtime_checkable
class FusedTerm(Protocol):
    """A term with hand-derived derivatives; see the contract in ``warpgrasp.synthesis.energy_config``."""

    @property
    def weight(self) -> float:
        """Factor of the term in the total."""
        ...

    def launch(self, problem: GraspProblem, state: GraspState, energy: wp.array) -> None:
        """Energy [B] and weighted derivatives by hand-derived adjoints."""
        ...


@runtime_checkable
class TapedTerm(Protocol):
    """A term whose derivatives come from a ``wp.Tape``; see the contract in ``warpgrasp.synthesis.energy_config``."""

    @property
    def weight(self) -> float:
        """Factor of the term in the total."""
        ...

    def launch_taped(self, problem: GraspProblem, state: GraspState, energy: wp.array) -> None:
        """Add the energy to ``energy`` [B], recorded on the active ``wp.Tape``."""
        ...


EnergyTerm = FusedTerm | TapedTerm
"""One term of the energy. A term may be both: ``launch`` is then used in the synthesis, ``launch_taped`` on tapes."""


class GraspProblem:
    """``B = O x N`` grasps of one hand on ``O`` objects, ``N`` grasps each, grasps of an object side by side.

    Args:
        hand: The hand.
        objects: The objects, at least one.
        grasp_count: Grasps per object.
        contact_count: Active contacts per grasp, in [1, 64].
        grasp_type: One of ``hand.grasp_types``.
        terms: Energy terms by name, in the order of the rows of ``energy_terms``; usually
            ``EnergyConfig().active_terms()``.
        sample_count: Surface samples per object for the penetration term.
        device: Warp device; ``None`` is Warp's default.

    Raises:
        ValueError: for a count outside its range or a grasp type the hand does not have.
    """

    def __init__(
        self,
        hand: HandModel,
        objects: Sequence[ObjectModel],
        *,
        terms: Mapping[str, EnergyTerm],
        grasp_count: int,
        contact_count: int = 12,
        grasp_type: str = "power",
        sample_count: int = 2500,
        device: Any = None,
    ) -> None:
        _check_counts(hand, objects, grasp_count, contact_count, grasp_type)
        self.hand = hand
        self.objects = tuple(objects)
        self.grasp_count = grasp_count
        self.contact_count = contact_count
        self.grasp_type = hand.grasp_types[grasp_type]
        self.sample_count = sample_count
        self.device = wp.get_device(device)
        self.host_candidates = _by_finger(hand.contact_candidates(grasp_type))
        self.slot_start, self.slot_count = _contact_slots(
            self.host_candidates, self.grasp_type, contact_count, hand.name
        )
        self.candidates = candidate_set(self.host_candidates, self.device)
        self.tree = kinematic_tree(_hold_idle_joints(hand, grasp_type), self.device)
        self.geometry = hand_geometry(hand, self.device)
        self.spheres = hand_spheres(hand, self.device)
        self.meshes, self._mesh_owner = mesh_set(objects, self.device)
        self.samples = sample_set(objects, sample_count, self.device)
        index = np.repeat(np.arange(len(objects)), grasp_count)
        self.object_index: wp.array = wp.array(index, dtype=wp.int32, device=self.device)
        centers = np.array([model.center_of_mass for model in objects])
        self.center_of_mass: wp.array = wp.array(centers, dtype=wp.vec3, device=self.device)
        self.grasped_objects = GraspedObjects()
        self.grasped_objects.index = self.object_index
        self.grasped_objects.center_of_mass = self.center_of_mass
        self._take_terms(terms)

    def with_terms(self, terms: Mapping[str, EnergyTerm]) -> GraspProblem:
        """The same problem, its arrays shared, with other energy terms: for an optimiser that changes them as it goes."""
        result = copy.copy(self)
        result._take_terms(terms)
        return result

    def _take_terms(self, terms: Mapping[str, EnergyTerm]) -> None:
        self.terms = dict(terms)
        self._fused, self._taped = self._sorted_terms()
        weights = [term.weight for term in self.terms.values()]
        self.term_weight: wp.array = wp.array(weights, dtype=wp.float32, device=self.device)

    @functools.cached_property
    def distance_bound(self) -> DistanceBound:
        """Coarse distances of the objects, made at their first use."""
        return distance_bound(self.objects, self.meshes, self.device)

    @functools.cached_property
    def corner_normals(self) -> wp.array:
        """Normals of the objects at the corners of their faces, smooth up to creases, vec3, shape [sum of faces, 3]."""
        return corner_normal_array(self.objects, self.device)

    @property
    def batch_size(self) -> int:
        """Number of grasps ``B`` in the batch."""
        return len(self.objects) * self.grasp_count

    @property
    def term_names(self) -> tuple[str, ...]:
        """Names of the active energy terms, in the order of ``energy_terms``."""
        return tuple(self.terms)

    def create_state(self, *, requires_grad: bool = False) -> GraspState:
        """Allocate a state; poses are identities, joints the opening pose, contacts candidate 0 of the hand."""
        batch, joints, links = self.batch_size, len(self.hand.joint_names), len(self.hand.link_names)
        contacts = (batch, self.contact_count)

        def zeros(shape: Any, dtype: Any, grad: bool = False) -> wp.array:
            return wp.zeros(shape, dtype=dtype, device=self.device, requires_grad=grad and requires_grad)

        state = GraspState(
            root_pose=zeros(batch, wp.transform, True),
            joint_position=zeros((batch, joints), wp.float32, True),
            contact_index=zeros(contacts, wp.int32),
            link_pose=zeros((batch, links), wp.transform, True),
            contact_position=zeros(contacts, wp.vec3, True),
            hand_normal=zeros(contacts, wp.vec3, True),
            closest_point=zeros(contacts, wp.vec3),
            object_normal=zeros(contacts, wp.vec3),
            contact_distance=zeros(contacts, wp.float32, True),
            qp_dual=zeros(batch, vec6),
            energy_terms=zeros((len(self.terms), batch), wp.float32, True),
            energy=zeros(batch, wp.float32, True),
            gradient=zeros((batch, ROOT_DOF_COUNT + joints), wp.float32),
            link_wrench=zeros((batch, links), vec6),
            joint_force=zeros((batch, joints), wp.float32),
        )
        state.root_pose.assign(np.tile(np.array([0, 0, 0, 0, 0, 0, 1], dtype=np.float32), (batch, 1)))
        state.joint_position.assign(np.tile(self.hand.dof_opening.astype(np.float32), (batch, 1)))
        self.reset_guesses(state)
        return state

    def set_variables(
        self, state: GraspState, root_pose: np.ndarray, joint_position: np.ndarray, contact_index: np.ndarray
    ) -> None:
        """Copy root poses [B, 7] (position, xyzw), joint positions [B, J] and contact indices [B, C] to the device."""
        state.root_pose.assign(np.ascontiguousarray(root_pose, dtype=np.float32))
        state.joint_position.assign(np.ascontiguousarray(joint_position, dtype=np.float32))
        state.contact_index.assign(np.ascontiguousarray(contact_index, dtype=np.int32))
        self.reset_guesses(state)

    def reset_guesses(self, state: GraspState) -> None:
        """Start the closest-point search and the QP cold."""
        vertex = np.array([model.vertices[model.faces[0, 0]] for model in self.objects], dtype=np.float32)
        guess = np.repeat(vertex, self.grasp_count, axis=0)[:, None, :]
        state.closest_point.assign(np.ascontiguousarray(np.repeat(guess, self.contact_count, axis=1)))
        state.qp_dual.zero_()

    def evaluate(self, state: GraspState) -> None:
        """Energies, total and gradient of ``state``; capturable.

        Derivatives are hand-derived, but for terms that have only a taped form: those are recorded on a ``wp.Tape`` and
        cost a backward pass over their kernels.
        """
        launch_forward_kinematics(self.tree, state.root_pose, state.joint_position, link_pose=state.link_pose)
        self._update_contacts(state)
        for row, term in self._fused.items():
            term.launch(self, state, state.energy_terms[row])
        if self._taped:
            launch_on_tape(self.candidates, state, self._taped)
        wp.launch(
            weighted_sum_kernel,
            dim=self.batch_size,
            inputs=[self.term_weight, state.energy_terms],
            outputs=[state.energy],
            device=self.device,
        )
        launch_joint_gradient(
            self.tree,
            state.link_pose,
            link_wrench=state.link_wrench,
            joint_force=state.joint_force,
            gradient=state.gradient,
        )

    def evaluate_taped(self, state: GraspState, increment: wp.array) -> wp.array:
        """Total energy [B] at ``state`` moved by ``increment`` [B, 6 + J], differentiable through ``wp.Tape``.

        ``increment`` is (translation in the object frame, rotation vector in the hand frame, joints); at zero its
        adjoint is what ``evaluate`` writes to ``state.gradient``. Closest features are frozen at the moved state.
        ``state`` is read, not written: a tape needs arrays of its own.

        Raises:
            ValueError: for a term without ``launch_taped``.
        """
        moved = self.create_state(requires_grad=True)
        for name in ("contact_index", "closest_point"):
            wp.copy(getattr(moved, name), getattr(state, name))
        wp.launch(
            retract_kernel,
            dim=self.batch_size,
            inputs=[state.root_pose, state.joint_position, increment],
            outputs=[moved.root_pose, moved.joint_position],
            device=self.device,
        )
        launch_forward_kinematics(self.tree, moved.root_pose, moved.joint_position, link_pose=moved.link_pose)
        self._update_contacts(moved)
        wp.launch(
            frozen_distance_kernel,
            dim=moved.contact_index.shape,
            inputs=[moved.contact_position, moved.closest_point, moved.object_normal],
            outputs=[moved.contact_distance],
            device=self.device,
        )
        for name, term in self.terms.items():
            if not isinstance(term, TapedTerm):
                raise ValueError(
                    f"energy term {name!r} ({type(term).__name__}) has no launch_taped, so the energy cannot be "
                    "differentiated on a tape: give the class that method, or leave the term out"
                )
            unweighted = wp.zeros(self.batch_size, dtype=wp.float32, device=self.device, requires_grad=True)
            term.launch_taped(self, moved, unweighted)
            launch_add_scaled(term.weight, unweighted, total=moved.energy)
        return moved.energy

    def _sorted_terms(self) -> tuple[dict[int, FusedTerm], dict[int, tuple[float, TapedLaunch]]]:
        """Terms with hand-derived derivatives, and weight and launch of those that have only a tape's, by row."""
        fused: dict[int, FusedTerm] = {}
        taped: dict[int, tuple[float, TapedLaunch]] = {}
        for row, term in enumerate(self.terms.values()):
            if isinstance(term, FusedTerm):
                fused[row] = term
            else:
                taped[row] = term.weight, functools.partial(term.launch_taped, self)
        return fused, taped

    def _update_contacts(self, state: GraspState) -> None:
        wp.launch(
            contact_points_kernel,
            dim=state.contact_index.shape,
            inputs=[self.candidates, state.contact_index, state.link_pose],
            outputs=[state.contact_position, state.hand_normal],
            device=self.device,
        )
        wp.launch(
            closest_features_kernel,
            dim=state.contact_index.shape,
            inputs=[self.meshes, self.object_index],
            outputs=[state.contacts],
            device=self.device,
            record_tape=False,
        )


def _check_counts(
    hand: HandModel, objects: Sequence[ObjectModel], grasp_count: int, contact_count: int, grasp_type: str
) -> None:
    if not objects:
        raise ValueError("no objects given: name at least one mesh")
    if grasp_count < 1:
        raise ValueError(f"grasp_count must be at least 1 (got {grasp_count})")
    if not 1 <= contact_count <= 64:
        raise ValueError(f"contact_count must be in [1, 64] (got {contact_count})")
    if grasp_type not in hand.grasp_types:
        known = ", ".join(sorted(hand.grasp_types))
        raise ValueError(f"hand {hand.name!r} has no grasp type {grasp_type!r}; it has: {known}")
    fingers = len(hand.grasp_types[grasp_type].required_fingers)
    if contact_count < fingers:
        raise ValueError(
            f"grasp type {grasp_type!r} of hand {hand.name!r} needs a contact on each of its {fingers} required fingers: "
            f"contact_count must be at least {fingers} (got {contact_count})"
        )


def _by_finger(candidates: ContactCandidates) -> ContactCandidates:
    """The candidates with those of one finger side by side."""
    order = np.argsort(candidates.finger, kind="stable")
    arrays = {
        name: getattr(candidates, name)[order] for name in ("link", "position", "normal", "finger", "patch")
    }
    return dataclasses.replace(candidates, **arrays)


def _contact_slots(
    candidates: ContactCandidates, grasp_type: GraspType, contact_count: int, hand_name: str
) -> tuple[list[int], list[int]]:
    """First candidate and number of candidates that each contact of a grasp may take.

    One contact is reserved for every finger that must touch; the others may take any candidate.
    """
    total = candidates.count
    if contact_count > total:
        raise ValueError(
            f"contact_count must not exceed the {total} contact candidates of hand {hand_name!r} for grasp type "
            f"{grasp_type.name!r} (got {contact_count})"
        )
    start, count = [0] * contact_count, [total] * contact_count
    for slot, finger in enumerate(grasp_type.required_fingers):
        members = np.flatnonzero(candidates.finger == candidates.finger_names.index(finger))
        start[slot], count[slot] = int(members[0]), len(members)
    return start, count


def _hold_idle_joints(hand: HandModel, grasp_type: str) -> HandModel:
    """The hand with the joints of fingers that take no part held at their idle position by their limits."""
    lower, upper = hand.dof_lower.copy(), hand.dof_upper.copy()
    for name, value in hand.grasp_types[grasp_type].idle_joint_position.items():
        dof = hand.joint_names.index(name)
        lower[dof] = upper[dof] = value
    return dataclasses.replace(hand, dof_lower=lower, dof_upper=upper)
