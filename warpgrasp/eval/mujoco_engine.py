"""MuJoCo on the CPU: all grasps of an object as batched rollouts on all cores.

Every trial starts from the same reset and the hand closes the same way, so the time before the first push is simulated
once for all trials of a grasp. A grasp never sees its batch mates, so its verdict depends neither on them nor on the
number of workers.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation, Slerp

from warpgrasp.eval.scene import Scene, import_mujoco, quaternion_to_wxyz_batch
from warpgrasp.eval.verdict import StartContact, Verdict, failure_reasons

if TYPE_CHECKING:
    from warpgrasp.eval.protocols import Protocol, Trial
    from warpgrasp.eval.targets import HandTargets

__all__ = ["MujocoEngine", "Recording"]

FloatArray = NDArray[np.float64]

_CHUNK = 32  # grasps per batch of rollouts: bounds the memory of the recorded states
_FASTEST = 100.0  # m/s; an object faster than this has been blown away by the solver, not by a hand


@dataclass(frozen=True, eq=False)
class Recording:
    """Motion of the object and effort of the hand over S steps of B rollouts, after each step."""

    position: FloatArray
    """Centre of mass [m], shape [B, S, 3]."""
    quaternion: FloatArray
    """Orientation, MuJoCo's wxyz, shape [B, S, 4]."""
    effort_ratio: FloatArray
    """Largest ``|torque| / effort limit`` over joints and time, shape [B]."""
    stable: NDArray[np.bool_]
    """Whether the rollout ran to its end with finite, sane states, shape [B]."""
    last_state: FloatArray
    """Full physics state at the end, shape [B, state size]."""


class MujocoEngine:
    """Runs protocols on the CPU.

    Args:
        workers: Threads; 0 takes all cores this process may use.
        chunk: Grasps simulated together; changes memory and progress, not results.
    """

    name = "mujoco"

    def __init__(self, *, workers: int = 0, chunk: int = _CHUNK) -> None:
        if workers < 0 or chunk < 1:
            raise ValueError(f"workers must be at least 0 and chunk at least 1 (got {workers}, {chunk})")
        self._mujoco = import_mujoco()
        self.workers = workers or _available_cores()
        self._chunk = chunk

    def evaluate(
        self, scene: Scene, targets: HandTargets, *, progress: Callable[[int], None] | None = None
    ) -> Verdict:
        """Verdict of every grasp; ``progress`` hears the number of grasps done so far."""
        valid = np.flatnonzero(targets.valid())
        trial_count = len(scene.protocol.trials)
        parts: list[Verdict] = []
        with self._mujoco.rollout.Rollout(nthread=self.workers) as pool:
            data = [self._mujoco.MjData(scene.model) for _ in range(self.workers)]
            for start in range(0, len(valid), self._chunk):
                index = valid[start : start + self._chunk]
                parts.append(self._evaluate_chunk(scene, targets.select(index), pool, data))
                if progress is not None:
                    progress(start + len(index))
        if not parts:
            return Verdict.invalid(len(targets), trial_count)
        return Verdict.concatenate(parts).scatter(valid, len(targets))

    def _evaluate_chunk(self, scene: Scene, targets: HandTargets, pool: Any, data: list[Any]) -> Verdict:
        protocol = scene.protocol
        count, trials = len(targets), protocol.trials
        settle_steps = _settle_steps(protocol)
        state = self._start_states(scene, targets, data[0])
        start = self._contacts(scene, state, _mocap(scene, targets, np.array([0.0]))[:, 0], data[0])
        settle = self._roll(scene, pool, data, state, _control(scene, targets, None, 0, settle_steps))
        settled_mocap = _mocap(scene, targets, np.array([settle_steps * protocol.time_step]))[:, 0]
        settled = self._contacts(scene, settle.last_state, settled_mocap, data[0])
        # One batch [N * T] for what differs between trials.
        controls = [
            _control(scene, targets, trial, settle_steps, _step_count(protocol, trial)) for trial in trials
        ]
        pushed = self._roll(
            scene,
            pool,
            data,
            np.repeat(settle.last_state, len(trials), axis=0),
            np.stack(controls, axis=1).reshape(count * len(trials), *controls[0].shape[1:]),
        )
        return _verdict(scene, settle, pushed, start, settled)

    def _roll(
        self, scene: Scene, pool: Any, data: list[Any], state: FloatArray, control: FloatArray
    ) -> Recording:
        mujoco, model = self._mujoco, scene.model
        spec = _control_spec(mujoco)
        states, sensors = pool.rollout(model, data, state, control, control_spec=spec)
        first = 1 + scene.object_qpos
        body = states[:, :, first : first + 7]
        speed_at = 1 + model.nq + scene.object_dof
        speed = states[:, :, speed_at : speed_at + 3]
        expected = state[:, 0] + states.shape[1] * model.opt.timestep
        with np.errstate(invalid="ignore", over="ignore"):
            stable = np.isfinite(states).all(axis=(1, 2))
            stable &= np.abs(states[:, -1, 0] - expected) < 0.5 * model.opt.timestep
            stable &= (np.abs(speed) < _FASTEST).all(axis=(1, 2))
            effort = np.abs(sensors / scene.effort).max(axis=(1, 2), initial=0.0)
        return Recording(body[:, :, :3], body[:, :, 3:], effort, stable, states[:, -1].copy())

    def _start_states(self, scene: Scene, targets: HandTargets, data: Any) -> FloatArray:
        """Full physics states at the reset, shape [N, state size]: at rest, object at its place."""
        mujoco, model = self._mujoco, scene.model
        full = mujoco.mjtState.mjSTATE_FULLPHYSICS
        rest = np.empty(mujoco.mj_stateSize(model, full))
        mujoco.mj_resetData(model, data)
        mujoco.mj_getState(model, data, rest, full)
        state = np.tile(rest, (len(targets), 1))
        qpos = state[:, 1 : 1 + model.nq]  # FULLPHYSICS is time, qpos, qvel, ...
        closing = scene.protocol.closing_time > 0.0
        joints = targets.pregrasp_joints if closing else targets.grasp_joints
        qpos[:, scene.joint_qpos] = scene.joint_qpos_values(joints)
        if scene.root_qpos >= 0:
            root = _mocap(scene, targets, np.array([0.0]))[:, 0]
            qpos[:, scene.root_qpos : scene.root_qpos + 7] = root
        return state

    def _contacts(self, scene: Scene, state: FloatArray, mocap: FloatArray, data: Any) -> StartContact:
        """Hand-object and hand-hand contacts of given states."""
        mujoco, model = self._mujoco, scene.model
        depth, own, number = np.zeros(len(state)), np.zeros(len(state)), np.zeros(len(state), dtype=np.int32)
        for i in range(len(state)):
            if not np.isfinite(state[i]).all():
                continue
            mujoco.mj_resetData(model, data)
            data.qpos[:] = state[i, 1 : 1 + model.nq]
            data.mocap_pos[0], data.mocap_quat[0] = mocap[i, :3], mocap[i, 3:]
            mujoco.mj_fwdPosition(model, data)
            hand = scene.hand_geom[data.contact.geom].reshape(-1, 2)
            distance = np.asarray(data.contact.dist)
            touching, itself = hand.sum(axis=1) == 1, hand.all(axis=1)
            depth[i] = max(0.0, -distance[touching].min(initial=0.0))
            own[i] = max(0.0, -distance[itself].min(initial=0.0))
            number[i] = int(np.sum(touching))
        return StartContact(depth, own, number)


def _verdict(
    scene: Scene, settle: Recording, pushed: Recording, start: StartContact, settled: StartContact
) -> Verdict:
    protocol = scene.protocol
    count = len(settle.position)
    shape = (count, -1)
    settle_way, settle_angle = _motion(settle, scene.center_of_mass)
    push_way, push_angle = _motion(pushed, scene.center_of_mass)
    way = np.maximum(push_way.max(axis=1).reshape(shape), settle_way.max(axis=1)[:, None])
    angle = np.maximum(push_angle.max(axis=1).reshape(shape), settle_angle.max(axis=1)[:, None])
    blown_up = ~(settle.stable & pushed.stable.reshape(shape).all(axis=1))
    angle_limit = np.inf if protocol.angle_limit is None else protocol.angle_limit
    start_limit = np.inf if protocol.start_penetration_limit is None else protocol.start_penetration_limit
    allowed = ~blown_up & (start.penetration <= start_limit) & (start.self_penetration <= start_limit)
    success = (way < protocol.position_limit) & (angle < angle_limit) & allowed[:, None]
    settle_failed = (settle_way.max(axis=1) >= protocol.position_limit) | (
        settle_angle.max(axis=1) >= angle_limit
    )
    effort = np.maximum(settle.effort_ratio, pushed.effort_ratio.reshape(shape).max(axis=1))
    return Verdict(
        trial_success=success,
        displacement=way,
        rotation=angle,
        effort_ratio=effort,
        settle_displacement=settle_way[:, -1],
        penetration=start.penetration,
        self_penetration=start.self_penetration,
        contact_count=settled.contact_count,
        reason=failure_reasons(
            trial_success=success,
            blown_up=blown_up,
            settle_failed=settle_failed,
            start=start,
            contact_count=settled.contact_count,
            start_penetration_limit=protocol.start_penetration_limit,
        ),
    )


def _motion(recording: Recording, center_of_mass: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Way of the centre of mass [m] and angle turned [rad] since the reset, shapes [B, S]; infinite when not finite."""
    with np.errstate(invalid="ignore", over="ignore"):
        way = np.linalg.norm(recording.position - center_of_mass, axis=2)
        angle = 2.0 * np.arccos(np.clip(np.abs(recording.quaternion[:, :, 0]), 0.0, 1.0))
    return np.where(np.isfinite(way), way, np.inf), np.where(np.isfinite(angle), angle, np.inf)


def _control_spec(mujoco: Any) -> int:
    state = mujoco.mjtState
    parts = (
        state.mjSTATE_CTRL,
        state.mjSTATE_QFRC_APPLIED,
        state.mjSTATE_MOCAP_POS,
        state.mjSTATE_MOCAP_QUAT,
    )
    return int(sum(int(part) for part in parts))


def _control(
    scene: Scene, targets: HandTargets, trial: Trial | None, first_step: int, last_step: int
) -> FloatArray:
    """Controls of steps ``first_step`` to ``last_step``: joint targets, generalised force, root; shape [N, S, ...]."""
    time = np.arange(first_step, last_step, dtype=np.float64) * scene.protocol.time_step
    joints = _interpolate_joints(scene.protocol, targets, time)[:, :, scene.actuator_dof]
    force = np.zeros((len(targets), len(time), scene.model.nv))
    if trial is not None:
        force[:, :, scene.object_dof : scene.object_dof + 3] = _push(scene.protocol, trial, time)
    return np.concatenate([joints, force, _mocap(scene, targets, time)], axis=2)


def _push(protocol: Protocol, trial: Trial, time: FloatArray) -> FloatArray:
    """Force on the centre of mass at each time [N], shape [S, 3]."""
    force = np.zeros((len(time), 3))
    middle = time + 0.5 * protocol.time_step  # of the step: no step is lost to rounding
    for push in trial.pushes:
        active = (middle > push.start) & (middle < push.end)
        force[active] = protocol.push_force * np.asarray(push.direction)
    return force


def _legs(protocol: Protocol, time: FloatArray) -> tuple[FloatArray, FloatArray]:
    """How far the two legs pregrasp -> grasp -> squeeze have gone at each time, in [0, 1]."""
    if protocol.closing_time <= 0.0:
        return np.ones_like(time), np.ones_like(time)
    leg = time / protocol.closing_time
    return np.clip(leg, 0.0, 1.0), np.clip(leg - 1.0, 0.0, 1.0)


def _interpolate_joints(protocol: Protocol, targets: HandTargets, time: FloatArray) -> FloatArray:
    first, second = (leg[None, :, None] for leg in _legs(protocol, time))
    opened, grasp, squeeze = (
        value[:, None, :] for value in (targets.pregrasp_joints, targets.grasp_joints, targets.squeeze_joints)
    )
    return opened + first * (grasp - opened) + second * (squeeze - grasp)


def _mocap(scene: Scene, targets: HandTargets, time: FloatArray) -> FloatArray:
    """Root targets at each time: position and quaternion (wxyz), shape [N, S, 7]."""
    protocol = scene.protocol
    first, second = _legs(protocol, time)
    if protocol.closing_time <= 0.0:  # a fixed root stays at the grasp
        pose = np.concatenate(
            [targets.grasp_position, quaternion_to_wxyz_batch(targets.grasp_quaternion)], axis=1
        )
        return np.repeat(pose[:, None, :], len(time), axis=1)
    legs = (first + second)[None, :, None]
    opened, grasp, squeeze = (
        value[:, None, :]
        for value in (targets.pregrasp_position, targets.grasp_position, targets.squeeze_position)
    )
    position = np.where(
        legs <= 1.0, opened + legs * (grasp - opened), grasp + (legs - 1.0) * (squeeze - grasp)
    )
    quaternion = np.empty((len(targets), len(time), 4))
    keys = np.stack(
        [targets.pregrasp_quaternion, targets.grasp_quaternion, targets.squeeze_quaternion], axis=1
    )
    for i, key in enumerate(keys):
        quaternion[i] = Slerp([0.0, 1.0, 2.0], Rotation.from_quat(key))(legs[0, :, 0]).as_quat()
    return np.concatenate([position, quaternion_to_wxyz_batch(quaternion)], axis=2)


def _settle_steps(protocol: Protocol) -> int:
    """Steps before the first push of any trial."""
    first = min(push.start for trial in protocol.trials for push in trial.pushes)
    return round(first / protocol.time_step)


def _step_count(protocol: Protocol, trial: Trial) -> int:
    return round(trial.duration / protocol.time_step)


def _available_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return max(len(os.sched_getaffinity(0)), 1)
    return os.cpu_count() or 1
