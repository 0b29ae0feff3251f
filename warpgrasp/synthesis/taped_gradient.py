"""Gradients of energy terms that implement only their taped form.

Such terms are recorded on one ``wp.Tape`` per evaluation, with respect to the geometry the problem has already computed
(poses of links, contact points and distances, hand normals, joints); what the tape returns joins the accumulators of the
hand-derived terms. This costs a backward pass over every kernel of the term, and memory for its adjoints.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import warp as wp

from warpgrasp.kernels.energies.taped_term import PoseAdjoints, taped_wrenches_kernel

if TYPE_CHECKING:
    from warpgrasp.kernels.contact import CandidateSet
    from warpgrasp.synthesis.state import GraspState

__all__ = ["TapedLaunch", "launch_on_tape"]

TapedLaunch = Callable[["GraspState", wp.array], None]
"""Adds the energy of every grasp of a state to an array [B], recorded on the active tape."""

_DIFFERENTIABLE = (
    "root_pose",
    "link_pose",
    "joint_position",
    "contact_position",
    "hand_normal",
    "contact_distance",
)


def launch_on_tape(
    candidates: CandidateSet, state: GraspState, terms: Mapping[int, tuple[float, TapedLaunch]]
) -> None:
    """Write the energies of taped terms and add their weighted derivatives to the state's accumulators; capturable.

    Args:
        candidates: Contact candidates of the hand.
        state: A state whose kinematics and contacts are up to date.
        terms: Weight and taped launch by the row of ``state.energy_terms`` the term has.
    """
    batch = state.energy.shape[0]
    for name in _DIFFERENTIABLE:
        array = getattr(state, name)
        if not array.requires_grad:
            array.requires_grad = True
    tape = wp.Tape()
    grads = {}
    energies = {}
    for row, (weight, launch) in terms.items():
        energy = state.buffer(f"taped.{row}", (batch,), wp.float32, requires_grad=True)
        if f"taped.weight.{row}" not in state.scratch:
            weights = wp.full(batch, weight, dtype=wp.float32, device=energy.device)
            state.scratch[f"taped.weight.{row}"] = weights
        energy.zero_()
        with tape:
            launch(state, energy)
        energies[row] = energy
        grads[energy] = state.scratch[f"taped.weight.{row}"]
    for name in _DIFFERENTIABLE:  # those that no term has read are not on the tape
        getattr(state, name).grad.zero_()
    tape.zero()
    tape.backward(grads=grads)
    for row, energy in energies.items():
        wp.copy(state.energy_terms[row], energy)
    wp.launch(
        taped_wrenches_kernel,
        dim=batch,
        inputs=[candidates, state.contacts, state.link_pose, _adjoints(state)],
        outputs=[state.link_wrench, state.joint_force],
        device=state.energy.device,
    )


def _adjoints(state: GraspState) -> PoseAdjoints:
    result = PoseAdjoints()
    for name in _DIFFERENTIABLE:
        setattr(result, name, getattr(state, name).grad)
    return result
