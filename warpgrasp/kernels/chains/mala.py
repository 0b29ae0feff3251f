"""One step of the annealed chains: per-object statistics, proposal, Metropolis test, resets. All on the device.

MALA (Wang et al. 2023) and MALA* (Zurbrügg et al. 2025, Alg. 1) share these kernels; MALA is MALA* without
temperature scaling and resets. Every random number depends on (seed, mesh, grasp, step) alone, so that what else is in the
batch changes nothing.
"""

from __future__ import annotations

import warp as wp

from warpgrasp.kernels.chains.sampling import draw_contact
from warpgrasp.kernels.kinematics import KinematicTree, moved_root
from warpgrasp.kernels.spatial import vec6

__all__ = ["Chain", "Schedule", "StepWorkspace", "accept_kernel", "propose_kernel", "statistics_kernel"]

wp.set_module_options({"enable_backward": False})

_EPSILON = wp.constant(1.0e-6)
_LARGEST_DRAW = wp.constant(1 << 30)
_NONFINITE_ENERGY = wp.constant(1)  # GraspStatus.NONFINITE_ENERGY


@wp.struct
class Chain:
    """What a chain carries from step to step, ``B`` grasps."""

    root_pose: wp.array(dtype=wp.transform)  #: [B]
    joint_position: wp.array2d(dtype=wp.float32)  #: [B, J]
    contact_index: wp.array2d(dtype=wp.int32)  #: [B, C]
    closest_point: wp.array2d(dtype=wp.vec3)  #: [B, C]
    qp_dual: wp.array(dtype=vec6)  #: [B]
    energy: wp.array(dtype=wp.float32)  #: [B]
    gradient: wp.array2d(dtype=wp.float32)  #: [B, 6 + J]


@wp.struct
class Schedule:
    """Hyper-parameters of a run, periods already scaled to its number of steps."""

    step_size: float
    step_size_decay: float
    step_size_period: float
    temperature: float
    temperature_decay: float
    temperature_period: float
    temperature_scaling: float  #: 1: T (1 + Phi(z)), 0: T
    switch_probability: float
    switch_every: int  #: 1: every contact switches with that probability, 0: one of them
    keep_last: int  #: 1: the last grasp of a chain is its best one
    momentum: float  #: weight of the newest squared gradient in the RMS preconditioner
    own_preconditioner: int  #: 1: of each chain by itself, 0: over the chains of an object
    step_count: float
    reset_period: float
    reset_last_step: float
    reset_z: float


@wp.struct
class StepWorkspace:
    """Per-run arrays of the optimiser that are not part of a chain's state."""

    step: wp.array(dtype=wp.int32)  #: [O] steps done
    chain_step: wp.array(dtype=wp.int32)  #: [B] steps since start or reset
    chain_start: wp.array(dtype=wp.int32)  #: [B] step of the last reset, 0 without
    random_key: wp.array(dtype=wp.uint32)  #: [B]
    acceptance: wp.array(dtype=wp.float32)  #: [B] uniform number of the Metropolis test; < 0: accept anyway
    z_score: wp.array(dtype=wp.float32)  #: [B]
    mean_square: wp.array2d(dtype=wp.float32)  #: [O, 6 + J]
    own_mean_square: wp.array2d(dtype=wp.float32)  #: [B, 6 + J], or [0, 6 + J] where chains share one
    step_scale: wp.array(dtype=wp.float32)  #: [6 + J] of a step along each coordinate
    status: wp.array(dtype=wp.int32)  #: [B] GraspStatus
    accept_count: wp.array(dtype=wp.int32)  #: [B]
    reset_count: wp.array(dtype=wp.int32)  #: [B]
    slot_start: wp.array(dtype=wp.int32)  #: [C] first candidate a contact may take
    slot_count: wp.array(dtype=wp.int32)  #: [C]


@wp.kernel
def statistics_kernel(
    chain: Chain,
    schedule: Schedule,
    grasps_per_object: int,
    # outputs
    work: StepWorkspace,
):
    """Per object: RMS preconditioner, energy z-scores over its own batch, and the step counter."""
    obj, column = wp.tid()
    start = obj * grasps_per_object
    count = float(0.0)
    total = float(0.0)
    square = float(0.0)
    # Energies count from the first one, so that equal energies sum to exactly zero in batches of any size.
    reference = chain.energy[start]
    for grasp in range(start, start + grasps_per_object):
        if work.status[grasp] == 0:
            value = chain.energy[grasp] - reference
            if column > 0:
                value = chain.gradient[grasp, column - 1]
            count += 1.0
            total += value
            square += value * value
    count = wp.max(count, 1.0)
    if column > 0:
        kept = (1.0 - schedule.momentum) * work.mean_square[obj, column - 1]
        work.mean_square[obj, column - 1] = kept + schedule.momentum * square / count
    else:
        mean = reference + total / count
        variance = float(0.0)
        for grasp in range(start, start + grasps_per_object):
            if work.status[grasp] == 0:
                variance += (chain.energy[grasp] - mean) * (chain.energy[grasp] - mean) / count
        deviation = wp.sqrt(variance)
        for grasp in range(start, start + grasps_per_object):
            # Equal energies up to rounding have no spread to score.
            if deviation > 1.0e-6 * wp.abs(mean):
                work.z_score[grasp] = (chain.energy[grasp] - mean) / deviation
            else:
                work.z_score[grasp] = 0.0
        work.step[obj] = work.step[obj] + 1


@wp.func
def _age(work: StepWorkspace, schedule: Schedule, grasp: int) -> float:
    """Position of a chain in its own schedule [steps]: a reset chain anneals fully in the steps it has left."""
    left = schedule.step_count - float(work.chain_start[grasp])
    return float(work.chain_step[grasp]) * schedule.step_count / wp.max(left, 1.0)


@wp.func
def _period_ends(step: float, period: float) -> bool:
    return wp.floor(step / period) > wp.floor((step - 1.0) / period)


@wp.func
def _reset_chain(
    grasp: int,
    step: int,
    random: wp.uint32,
    reset_root_pose: wp.array2d(dtype=wp.transform),
    reset_joint_position: wp.array3d(dtype=wp.float32),
    work: StepWorkspace,
    proposal: Chain,
):
    """Propose the chain's next fresh seed with new contacts, to be accepted whatever its energy."""
    event = work.reset_count[grasp]
    work.reset_count[grasp] = event + 1
    work.chain_step[grasp] = 0
    work.chain_start[grasp] = step
    work.acceptance[grasp] = -1.0
    proposal.root_pose[grasp] = reset_root_pose[event, grasp]
    for dof in range(proposal.joint_position.shape[1]):
        proposal.joint_position[grasp, dof] = reset_joint_position[event, grasp, dof]
    for slot in range(proposal.contact_index.shape[1]):
        draw = wp.randi(random, 0, _LARGEST_DRAW)
        proposal.contact_index[grasp, slot] = draw_contact(
            proposal.contact_index, grasp, slot, work.slot_start[slot], work.slot_count[slot], draw
        )


@wp.func
def _gradient_scale(
    current: Chain, schedule: Schedule, work: StepWorkspace, grasp: int, obj: int, column: int
) -> float:
    """Root of the gradient's mean square, of the object's chains or of this one alone."""
    gradient = current.gradient[grasp, column]
    square = gradient * gradient
    if schedule.own_preconditioner != 0:
        # A chain that was reset has counted the step to its fresh seed.
        if work.chain_step[grasp] > wp.min(work.chain_start[grasp], 1):
            kept = (1.0 - schedule.momentum) * work.own_mean_square[grasp, column]
            square = kept + schedule.momentum * square
        work.own_mean_square[grasp, column] = square
    else:
        square = work.mean_square[obj, column]
    return wp.sqrt(square) + _EPSILON


@wp.func
def _gradient_step(
    tree: KinematicTree,
    current: Chain,
    schedule: Schedule,
    work: StepWorkspace,
    grasp: int,
    obj: int,
    size: float,
    proposal: Chain,
):
    """Propose ``theta - size g / (sqrt(v) + 1e-6)``; joint limits are constraints, the step is projected onto them."""
    move = vec6()
    for axis in range(6):
        scale = _gradient_scale(current, schedule, work, grasp, obj, axis)
        move[axis] = -(size * work.step_scale[axis]) * current.gradient[grasp, axis] / scale
    proposal.root_pose[grasp] = moved_root(
        current.root_pose[grasp], wp.vec3(move[0], move[1], move[2]), wp.vec3(move[3], move[4], move[5])
    )
    for dof in range(current.joint_position.shape[1]):
        slope = current.gradient[grasp, 6 + dof] / _gradient_scale(
            current, schedule, work, grasp, obj, 6 + dof
        )
        proposal.joint_position[grasp, dof] = wp.clamp(
            current.joint_position[grasp, dof] - size * work.step_scale[6 + dof] * slope,
            tree.dof_lower[dof],
            tree.dof_upper[dof],
        )


@wp.func
def _switch_every_contact(
    random: wp.uint32, schedule: Schedule, frozen: bool, work: StepWorkspace, grasp: int, proposal: Chain
):
    """Move each contact to another candidate with the switch probability (Wang et al. 2023)."""
    own = random
    for slot in range(proposal.contact_index.shape[1]):
        if wp.randf(own) < schedule.switch_probability and not frozen:
            draw = wp.randi(own, 0, _LARGEST_DRAW)
            proposal.contact_index[grasp, slot] = draw_contact(
                proposal.contact_index, grasp, slot, work.slot_start[slot], work.slot_count[slot], draw
            )


@wp.kernel
def propose_kernel(
    tree: KinematicTree,
    current: Chain,
    schedule: Schedule,
    reset_root_pose: wp.array2d(dtype=wp.transform),  # [R, B]
    reset_joint_position: wp.array3d(dtype=wp.float32),  # [R, B, J]
    grasps_per_object: int,
    # outputs
    work: StepWorkspace,
    proposal: Chain,
):
    """Write the next proposal of every chain: a preconditioned gradient step with a contact switch, or a reset.

    ``reset_root_pose`` [R, B] and ``reset_joint_position`` [R, B, J] hold the fresh seeds of up to R resets per chain.
    """
    grasp = wp.tid()
    obj = grasp / grasps_per_object
    step = work.step[obj]
    random = wp.rand_init(int(work.random_key[grasp]), step)
    work.acceptance[grasp] = wp.randf(random)
    contact_count = current.contact_index.shape[1]
    for contact in range(contact_count):
        proposal.contact_index[grasp, contact] = current.contact_index[grasp, contact]
        proposal.closest_point[grasp, contact] = current.closest_point[grasp, contact]
    proposal.qp_dual[grasp] = current.qp_dual[grasp]

    frozen = work.status[grasp] != 0
    due = _period_ends(float(step), schedule.reset_period) and float(step) <= schedule.reset_last_step
    resets_left = work.reset_count[grasp] < reset_root_pose.shape[0]
    if due and resets_left and not frozen and work.z_score[grasp] > schedule.reset_z:
        _reset_chain(grasp, step, random, reset_root_pose, reset_joint_position, work, proposal)
    else:
        periods = wp.floor(_age(work, schedule, grasp) / schedule.step_size_period)
        size = schedule.step_size * wp.pow(schedule.step_size_decay, periods)
        if frozen:
            size = 0.0
        _gradient_step(tree, current, schedule, work, grasp, obj, size, proposal)
        if schedule.switch_every != 0:
            _switch_every_contact(random, schedule, frozen, work, grasp, proposal)
        elif wp.randf(random) < schedule.switch_probability and not frozen:
            slot = wp.randi(random, 0, contact_count)
            draw = wp.randi(random, 0, _LARGEST_DRAW)
            proposal.contact_index[grasp, slot] = draw_contact(
                proposal.contact_index, grasp, slot, work.slot_start[slot], work.slot_count[slot], draw
            )


@wp.func
def _copy_pose(source: Chain, target: Chain, grasp: int):
    target.root_pose[grasp] = source.root_pose[grasp]
    target.energy[grasp] = source.energy[grasp]
    target.qp_dual[grasp] = source.qp_dual[grasp]
    for dof in range(source.joint_position.shape[1]):
        target.joint_position[grasp, dof] = source.joint_position[grasp, dof]
    for contact in range(source.contact_index.shape[1]):
        target.contact_index[grasp, contact] = source.contact_index[grasp, contact]
        target.closest_point[grasp, contact] = source.closest_point[grasp, contact]


@wp.kernel
def accept_kernel(
    proposal: Chain,
    schedule: Schedule,
    # outputs
    work: StepWorkspace,
    current: Chain,
    best: Chain,
):
    """Metropolis test of every chain; accepted proposals replace ``current`` whole, and ``best`` when lower.

    A reset clears the best. A chain whose proposal is not finite is frozen with a status.
    """
    grasp = wp.tid()
    if work.status[grasp] != 0:
        return
    finite = wp.isfinite(proposal.energy[grasp])
    for dof in range(proposal.gradient.shape[1]):
        finite = finite and wp.isfinite(proposal.gradient[grasp, dof])
    if not finite:
        work.status[grasp] = _NONFINITE_ENERGY
        return
    age = _age(work, schedule, grasp)
    forced = work.acceptance[grasp] < 0.0
    temperature = schedule.temperature * wp.pow(
        schedule.temperature_decay, wp.floor(age / schedule.temperature_period)
    )
    cumulative = 0.5 * (1.0 + wp.erf(0.70710678 * work.z_score[grasp]))
    temperature = temperature * (1.0 + schedule.temperature_scaling * cumulative)
    drop = current.energy[grasp] - proposal.energy[grasp]
    work.chain_step[grasp] = work.chain_step[grasp] + 1
    if forced or drop >= 0.0 or work.acceptance[grasp] < wp.exp(drop / wp.max(temperature, 1.0e-30)):
        work.accept_count[grasp] = work.accept_count[grasp] + 1
        _copy_pose(proposal, current, grasp)
        for dof in range(proposal.gradient.shape[1]):
            current.gradient[grasp, dof] = proposal.gradient[grasp, dof]
        if forced or schedule.keep_last != 0 or proposal.energy[grasp] < best.energy[grasp]:
            _copy_pose(proposal, best, grasp)
