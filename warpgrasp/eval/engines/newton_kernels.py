"""Trials of many worlds on the device: what the hand is told before a step, and what is written down after it.

World ``w`` runs trial ``w % trial_count`` of grasp ``w // trial_count``. Each world counts its own steps, so that command,
physics and record can be captured as one graph and replayed. Layouts of the state are MuJoCo's.
"""

from __future__ import annotations

import warp as wp

__all__ = ["TrialCommands", "TrialLayout", "TrialRecord", "launch_command", "launch_record"]

wp.set_module_options({"enable_backward": False})


@wp.struct
class TrialCommands:
    """Commands of G grasps and T trials over S steps."""

    control: wp.array(dtype=wp.float32, ndim=3)  #: targets of the actuators [G, S, A]
    root: wp.array(dtype=wp.float32, ndim=3)  #: mocap pose, position and quaternion (wxyz) [G, S, 7]
    push: wp.array(dtype=wp.vec3, ndim=2)  #: force on the object [N], [T, S]
    step_count: wp.array(dtype=wp.int32)  #: of each trial [T]


@wp.struct
class TrialLayout:
    """Where things are in the state, and what counts as sane."""

    object_position: wp.int32  #: of the object's pose in qpos
    object_velocity: wp.int32  #: of the object's velocity in qvel
    settle_step_count: wp.int32  #: steps before the first push
    fastest: wp.float32  #: m/s
    effort: wp.array(dtype=wp.float32)  #: limit of each actuator [A]


@wp.struct
class TrialRecord:
    """What is known of W worlds after each step."""

    step: wp.array(dtype=wp.int32)  #: steps done [W]
    body: wp.array(dtype=wp.float32, ndim=3)  #: pose of the object, position and quaternion (wxyz) [S, W, 7]
    settled: wp.array(dtype=wp.float32, ndim=2)  #: qpos before the first push [W, nq]
    effort_ratio: wp.array(dtype=wp.float32)  #: largest so far [W]
    stable: wp.array(dtype=wp.int32)  #: 1 while all states were finite and sane [W]


@wp.kernel
def _command(
    commands: TrialCommands,
    layout: TrialLayout,
    record: TrialRecord,
    control: wp.array(dtype=wp.float32, ndim=2),
    applied: wp.array(dtype=wp.float32, ndim=2),
    mocap_position: wp.array(dtype=wp.vec3, ndim=2),
    mocap_quaternion: wp.array(dtype=wp.quat, ndim=2),
):
    world = wp.tid()
    trial_count = commands.step_count.shape[0]
    grasp, trial = world // trial_count, world % trial_count
    step = wp.min(record.step[world], commands.step_count[trial] - 1)
    for actuator in range(commands.control.shape[2]):
        control[world, actuator] = commands.control[grasp, step, actuator]
    push = commands.push[trial, step]
    for axis in range(3):
        applied[world, layout.object_velocity + axis] = push[axis]
    root = commands.root[grasp, step]
    mocap_position[world, 0] = wp.vec3(root[0], root[1], root[2])
    mocap_quaternion[world, 0] = wp.quat(root[3], root[4], root[5], root[6])  # MuJoCo's order, wxyz


@wp.kernel
def _record(
    commands: TrialCommands,
    layout: TrialLayout,
    position: wp.array(dtype=wp.float32, ndim=2),
    velocity: wp.array(dtype=wp.float32, ndim=2),
    actuator_force: wp.array(dtype=wp.float32, ndim=2),
    record: TrialRecord,
):
    world = wp.tid()
    step = record.step[world]
    record.step[world] = step + 1
    if step >= commands.step_count[world % commands.step_count.shape[0]]:
        for axis in range(7):  # a shorter trial: the object stays where its end left it
            record.body[step, world, axis] = record.body[step - 1, world, axis]
        return
    sane = wp.int32(1)
    for entry in range(position.shape[1]):
        if not wp.isfinite(position[world, entry]):
            sane = wp.int32(0)
    for entry in range(velocity.shape[1]):
        if not wp.isfinite(velocity[world, entry]):
            sane = wp.int32(0)
    for axis in range(3):
        if not wp.abs(velocity[world, layout.object_velocity + axis]) < layout.fastest:
            sane = wp.int32(0)
    record.stable[world] = record.stable[world] * sane
    for axis in range(7):
        record.body[step, world, axis] = position[world, layout.object_position + axis]
    ratio = record.effort_ratio[world]
    for actuator in range(layout.effort.shape[0]):
        ratio = wp.max(ratio, wp.abs(actuator_force[world, actuator]) / layout.effort[actuator])
    record.effort_ratio[world] = ratio
    if step == layout.settle_step_count - 1:
        for entry in range(position.shape[1]):
            record.settled[world, entry] = position[world, entry]


def launch_command(
    commands: TrialCommands,
    layout: TrialLayout,
    record: TrialRecord,
    *,
    control: wp.array,
    applied: wp.array,
    mocap_position: wp.array,
    mocap_quaternion: wp.array,
    device: wp.DeviceLike,
) -> None:
    """Write the commands of each world's next step.

    Args:
        commands: Of all steps.
        layout: Of the state.
        record: Knows the step of each world.
        control: Written, float32, shape [W, A].
        applied: Generalised forces; those on the object are written, float32, shape [W, nv].
        mocap_position: Written, vec3, shape [W, 1].
        mocap_quaternion: Written in the order wxyz, quat, shape [W, 1].
        device: Warp device.
    """
    wp.launch(
        _command,
        dim=control.shape[0],
        inputs=[commands, layout, record],
        outputs=[control, applied, mocap_position, mocap_quaternion],
        device=device,
    )


def launch_record(
    commands: TrialCommands,
    layout: TrialLayout,
    record: TrialRecord,
    *,
    position: wp.array,
    velocity: wp.array,
    actuator_force: wp.array,
    device: wp.DeviceLike,
) -> None:
    """Write down the state of each world after a step and count the step.

    Args:
        commands: Knows how long each trial is.
        layout: Of the state.
        record: Written.
        position: ``qpos``, float32, shape [W, nq].
        velocity: ``qvel``, float32, shape [W, nv].
        actuator_force: Forces of the drives during the step [Nm or N], float32, shape [W, A].
        device: Warp device.
    """
    wp.launch(
        _record,
        dim=position.shape[0],
        inputs=[commands, layout, position, velocity, actuator_force],
        outputs=[record],
        device=device,
    )
