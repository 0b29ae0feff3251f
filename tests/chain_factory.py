"""Hand-made chains for the kernels of one optimiser step: any energies, gradients and counters, no problem behind them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import warp as wp
from numpy.typing import NDArray

from warpgrasp.kernels.chains.mala import (
    Chain,
    Schedule,
    StepWorkspace,
    accept_kernel,
    propose_kernel,
    statistics_kernel,
)
from warpgrasp.kernels.kinematics import KinematicTree
from warpgrasp.kernels.spatial import vec6

__all__ = ["COUNT", "DOF_COUNT", "HandMadeRun", "accept_share", "default_schedule", "wide_tree", "within"]

DOF_COUNT = 3
COUNT = 20000
"""Chains of which a share is compared with a probability."""


def wide_tree(lower: float = -10.0, upper: float = 10.0) -> KinematicTree:
    """A tree of which only the limits of ``DOF_COUNT`` joints are read."""
    tree = KinematicTree()
    tree.dof_lower = wp.full(DOF_COUNT, lower, dtype=wp.float32, device="cpu")
    tree.dof_upper = wp.full(DOF_COUNT, upper, dtype=wp.float32, device="cpu")
    return tree


def default_schedule(**changes: float) -> Schedule:
    """MALA without decay, scaling and resets."""
    schedule = Schedule()
    values = {
        "step_size": 0.01,
        "step_size_decay": 1.0,
        "step_size_period": 50.0,
        "temperature": 18.0,
        "temperature_decay": 1.0,
        "temperature_period": 30.0,
        "temperature_scaling": 0.0,
        "switch_probability": 0.4,
        "momentum": 0.98,
        "own_preconditioner": 0,
        "step_count": 7000.0,
        "reset_period": 1e9,
        "reset_last_step": 0.0,
        "reset_z": 1e9,
    }
    for name, value in {**values, **changes}.items():
        setattr(schedule, name, value)
    return schedule


@dataclass
class HandMadeRun:
    """``object_count * per_object`` chains with their proposals, bests and workspace on the CPU."""

    schedule: Schedule
    object_count: int
    per_object: int
    contact_count: int
    current: Chain
    proposal: Chain
    best: Chain
    work: StepWorkspace
    reset_root_pose: wp.array
    reset_joint_position: wp.array
    tree: KinematicTree

    @classmethod
    def make(
        cls,
        schedule: Schedule,
        *,
        object_count: int = 1,
        per_object: int = 8,
        contact_count: int = 4,
        candidate_count: int = 40,
        reset_count: int = 0,
        seed: int = 0,
        tree: KinematicTree | None = None,
    ) -> HandMadeRun:
        rng = np.random.default_rng(seed)
        batch = object_count * per_object
        contacts = np.array([rng.permutation(candidate_count)[:contact_count] for _ in range(batch)])
        work = _zero_workspace(object_count, batch)
        work.random_key.assign(rng.integers(0, 2**32, batch, dtype=np.uint32))
        work.slot_start = wp.zeros(contact_count, dtype=wp.int32, device="cpu")
        work.slot_count = wp.full(contact_count, candidate_count, dtype=wp.int32, device="cpu")
        pose = np.tile([1.0, 2.0, 3.0, 0.0, 0.0, 0.0, 1.0], (reset_count, batch, 1)).astype(np.float32)
        joints = np.full((reset_count, batch, DOF_COUNT), 0.5, dtype=np.float32)
        if reset_count:
            pose[:, :, 0] += np.arange(reset_count)[:, None]
        return cls(
            schedule=schedule,
            object_count=object_count,
            per_object=per_object,
            contact_count=contact_count,
            current=_chain(batch, contacts),
            proposal=_chain(batch, contacts),
            best=_chain(batch, contacts),
            work=work,
            reset_root_pose=wp.array(pose, dtype=wp.transform, device="cpu"),
            reset_joint_position=wp.array(joints, dtype=wp.float32, device="cpu"),
            tree=tree or wide_tree(),
        )

    def statistics(self) -> None:
        wp.launch(
            statistics_kernel,
            dim=(self.work.step.shape[0], 1 + self.current.gradient.shape[1]),
            inputs=[self.current, self.schedule, self.per_object],
            outputs=[self.work],
            device="cpu",
        )

    def propose(self) -> None:
        wp.launch(
            propose_kernel,
            dim=self.current.energy.shape[0],
            inputs=[
                self.tree,
                self.current,
                self.schedule,
                self.reset_root_pose,
                self.reset_joint_position,
                self.per_object,
            ],
            outputs=[self.work, self.proposal],
            device="cpu",
        )

    def accept(self) -> None:
        wp.launch(
            accept_kernel,
            dim=self.current.energy.shape[0],
            inputs=[self.proposal, self.schedule],
            outputs=[self.work, self.current, self.best],
            device="cpu",
        )

    def assign(self, chain: str, name: str, value: NDArray[Any] | list[Any] | float) -> None:
        """Write one array of a chain ("current", "proposal", "best") or of "work"."""
        array = getattr(getattr(self, chain), name)
        array.assign(np.broadcast_to(np.asarray(value), array.numpy().shape).astype(array.numpy().dtype))

    def read(self, chain: str, name: str) -> NDArray[Any]:
        return np.array(getattr(getattr(self, chain), name).numpy())


def _zero_workspace(object_count: int, batch: int) -> StepWorkspace:
    """Every array of the workspace, zero; [B] unless it is one of the few of other shapes."""
    shapes: dict[str, Any] = {
        "step": object_count,
        "mean_square": (object_count, 6 + DOF_COUNT),
        "own_mean_square": (batch, 6 + DOF_COUNT),
        "step_scale": 6 + DOF_COUNT,
    }
    work = StepWorkspace()
    for name, variable in StepWorkspace.vars.items():
        setattr(work, name, wp.zeros(shapes.get(name, batch), dtype=variable.type.dtype, device="cpu"))
    work.step_scale.fill_(1.0)
    return work


def _chain(batch: int, contacts: NDArray[Any]) -> Chain:
    chain = Chain()
    pose = np.tile([0, 0, 0, 0, 0, 0, 1], (batch, 1)).astype(np.float32)
    chain.root_pose = wp.array(pose, dtype=wp.transform, device="cpu")
    chain.joint_position = wp.zeros((batch, DOF_COUNT), dtype=wp.float32, device="cpu")
    chain.contact_index = wp.array(contacts.astype(np.int32), dtype=wp.int32, device="cpu")
    chain.closest_point = wp.zeros(contacts.shape, dtype=wp.vec3, device="cpu")
    chain.qp_dual = wp.zeros(batch, dtype=vec6, device="cpu")
    chain.energy = wp.zeros(batch, dtype=wp.float32, device="cpu")
    chain.gradient = wp.zeros((batch, 6 + DOF_COUNT), dtype=wp.float32, device="cpu")
    return chain


def accept_share(run: HandMadeRun, current: float, proposal: float) -> float:
    """Share of chains that accept a proposal of the given energy."""
    run.assign("current", "energy", current)
    run.assign("proposal", "energy", proposal)
    run.accept()
    return float(np.mean(run.read("work", "accept_count")))


def within(share: float, probability: float) -> bool:
    """Four standard deviations of a binomial share."""
    return abs(share - probability) <= 4.0 * np.sqrt(probability * (1.0 - probability) / COUNT) + 1e-9
