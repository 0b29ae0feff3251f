"""MuJoCo on the CPU: all grasps of an object as batched rollouts on all cores.

Every trial starts from the same reset and the hand closes the same way, so the time before the first push is simulated
once for all trials of a grasp. A grasp never sees its batch mates, so its verdict depends neither on them nor on the
number of workers.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from warpgrasp.eval.engines.mujoco_scene import Scene, import_mujoco, quaternion_from_wxyz_batch
from warpgrasp.eval.engines.mujoco_state import mocap_targets, scene_contacts, scene_positions
from warpgrasp.eval.engines.screening import screen
from warpgrasp.eval.protocol import trial as trials
from warpgrasp.eval.protocol.verdict import Verdict

if TYPE_CHECKING:
    from warpgrasp.eval.protocol.protocols import Trial
    from warpgrasp.eval.protocol.squeeze_rules import HandTargets

__all__ = ["MujocoEngine"]

FloatArray = NDArray[np.float64]

_CHUNK = 32  # grasps per batch of rollouts: bounds the memory of the recorded states


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
        screening = screen(scene, targets)
        parts: list[Verdict] = []
        with _no_warnings(self._mujoco), self._mujoco.rollout.Rollout(nthread=self.workers) as pool:
            data = [self._mujoco.MjData(scene.model) for _ in range(self.workers)]
            for start in range(0, len(screening.index), self._chunk):
                index = screening.index[start : start + self._chunk]
                parts.append(self._evaluate_chunk(scene, targets.select(index), pool, data))
                if progress is not None:
                    progress(start + len(index))
        return screening.complete(parts)

    def _evaluate_chunk(self, scene: Scene, targets: HandTargets, pool: Any, data: list[Any]) -> Verdict:
        protocol, position_at = scene.protocol, slice(1, 1 + scene.model.nq)
        count = len(targets)
        settle_steps = trials.settle_step_count(protocol)
        ends = np.array([trials.RESET_TIME, settle_steps * protocol.time_step])
        mocap = mocap_targets(protocol, targets, ends)
        state = self._start_states(scene, targets, mocap[:, 0], data[0])
        start = scene_contacts(scene, state[:, position_at], mocap[:, 0], data[0])
        settle, last_state = self._roll(
            scene, pool, data, state, _control(scene, targets, None, 0, settle_steps)
        )
        settled = scene_contacts(scene, last_state[:, position_at], mocap[:, 1], data[0])
        # One batch [N * T] for what differs between trials.
        controls = [
            _control(scene, targets, trial, settle_steps, trials.step_count(protocol, trial))
            for trial in protocol.trials
        ]
        pushed, _ = self._roll(
            scene,
            pool,
            data,
            np.repeat(last_state, len(controls), axis=0),
            np.stack(controls, axis=1).reshape(count * len(controls), *controls[0].shape[1:]),
        )
        return trials.trial_verdict(
            protocol, scene.center_of_mass, settle=settle, pushed=pushed, start=start, settled=settled
        )

    def _roll(
        self, scene: Scene, pool: Any, data: list[Any], state: FloatArray, control: FloatArray
    ) -> tuple[trials.Recording, FloatArray]:
        """Recording and full physics states at the end."""
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
            stable &= (np.abs(speed) < trials.FASTEST).all(axis=(1, 2))
            effort = np.abs(sensors / scene.servos.effort).max(axis=(1, 2), initial=0.0)
        recording = trials.Recording(
            body[:, :, :3], quaternion_from_wxyz_batch(body[:, :, 3:]), effort, stable
        )
        return recording, states[:, -1].copy()

    def _start_states(self, scene: Scene, targets: HandTargets, mocap: FloatArray, data: Any) -> FloatArray:
        """Full physics states at the reset, shape [N, state size]: at rest, object at its place."""
        mujoco, model = self._mujoco, scene.model
        full = mujoco.mjtState.mjSTATE_FULLPHYSICS
        rest = np.empty(mujoco.mj_stateSize(model, full))
        mujoco.mj_resetData(model, data)
        mujoco.mj_getState(model, data, rest, full)
        state = np.tile(rest, (len(targets), 1))
        # FULLPHYSICS is time, qpos, qvel, ...
        joints = trials.start_joints(scene.protocol, targets)
        state[:, 1 : 1 + model.nq] = scene_positions(scene, joints, mocap)
        return state


@contextmanager
def _no_warnings(mujoco: Any) -> Iterator[None]:
    """Take MuJoCo's warnings off the terminal and out of ``MUJOCO_LOG.TXT``: the verdict says what became unstable."""
    previous = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(lambda text: None)
    try:
        yield
    finally:
        mujoco.set_mju_user_warning(previous)


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
    protocol = scene.protocol
    time = trials.step_times(protocol, first_step, last_step)
    joints = scene.servos.controls(trials.joint_targets(protocol, targets, time))
    force = np.zeros((len(targets), len(time), scene.model.nv))
    if trial is not None:
        force[:, :, scene.object_dof : scene.object_dof + 3] = trials.push_forces(protocol, trial, time)
    return np.concatenate([joints, force, mocap_targets(protocol, targets, time)], axis=2)


def _available_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return max(len(os.sched_getaffinity(0)), 1)
    return os.cpu_count() or 1
