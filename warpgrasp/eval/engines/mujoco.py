"""MuJoCo on the CPU: one grasp after the other on every core.

Every trial starts from the same reset and the hand closes the same way, so the time before the first push is simulated
once for all trials of a grasp, and each trial goes on from the state at its end. That state holds all that MuJoCo's next
step depends on, the solver's warm start too: each trial is bit for bit what it would be if it were simulated from the reset. A
grasp never sees its batch mates, so its verdict depends neither on them nor on the number of workers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from warpgrasp.base.cores import core_count
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

_PIECE = 0.25  # s between two looks at whether a grasp has failed, where the protocol looks at every step


class MujocoEngine:
    """Runs protocols on the CPU.

    Args:
        workers: Threads; 0 takes all cores this process may use.
    """

    name = "mujoco"

    def __init__(self, *, workers: int = 0) -> None:
        if workers < 0:
            raise ValueError(f"workers must be at least 0 (got {workers})")
        self._mujoco = import_mujoco()
        self.workers = workers or core_count()

    def evaluate(
        self,
        scene: Scene,
        targets: HandTargets,
        *,
        progress: Callable[[int], None] | None = None,
        until_failure: bool = False,
    ) -> Verdict:
        """Verdict of every grasp.

        Args:
            scene: The scene.
            targets: The grasps.
            progress: Hears the number of grasps done so far.
            until_failure: Simulate no grasp further than its first failure, for who asks only whether it passes all trials, and
                why not. What was not simulated has no success and numbers that are NaN; ``success_all`` and ``reason`` are
                those of the whole simulation, but that a later trial may become unstable.
        """
        screening = screen(scene, targets)
        parts: list[Verdict] = []
        local = threading.local()

        def judge(index: int) -> Verdict:
            if not hasattr(local, "run"):
                local.run = _Runner(self._mujoco, scene)
            return cast(Verdict, local.run.verdict(targets.select(np.array([index])), until_failure))

        with _no_warnings(self._mujoco), ThreadPoolExecutor(self.workers) as pool:
            for verdict in pool.map(judge, screening.index):
                parts.append(verdict)
                if progress is not None:
                    progress(len(parts))
        return screening.complete(parts)


class _Runner:
    """Simulates grasps of one scene in one thread."""

    def __init__(self, mujoco: Any, scene: Scene) -> None:
        self._mujoco, self._scene = mujoco, scene
        self._data = mujoco.MjData(scene.model)
        self._rollout = mujoco.rollout.Rollout(nthread=0)

    def verdict(self, targets: HandTargets, until_failure: bool) -> Verdict:
        """Verdict of one grasp."""
        scene, protocol = self._scene, self._scene.protocol
        position_at = slice(1, 1 + scene.model.nq)
        settle_steps = trials.settle_step_count(protocol)
        mocap = mocap_targets(
            protocol, targets, np.array([trials.RESET_TIME, settle_steps * protocol.time_step])
        )
        reset = self._start_state(targets, mocap[:, 0])
        start = scene_contacts(scene, reset[:, position_at], mocap[:, 0], self._data)
        settle, closed, warm = self._roll(reset, None, _control(scene, targets, None, 0, settle_steps))
        settled = scene_contacts(scene, closed[:, position_at], mocap[:, 1], self._data)
        pushes = [
            _control(scene, targets, trial, settle_steps, trials.step_count(protocol, trial))
            for trial in protocol.trials
        ]
        if until_failure:
            pushed = self._until_failure(settle, closed, warm, pushes)
        else:
            pushed = trials.Recording.concatenate([self._roll(closed, warm, push)[0] for push in pushes])
        verdict = trials.trial_verdict(
            protocol, scene.center_of_mass, settle=settle, pushed=pushed, start=start, settled=settled
        )
        return verdict.without_infinite() if until_failure else verdict

    def _until_failure(
        self, settle: trials.Recording, closed: FloatArray, warm: FloatArray, pushes: list[FloatArray]
    ) -> trials.Recording:
        """Trials one after the other, from look to look, until the grasp has failed; NaN where nothing was simulated."""
        scene, protocol = self._scene, self._scene.protocol
        recordings = [trials.Recording.unknown(push.shape[1]) for push in pushes]
        holds = trials.still_holds(protocol, scene.center_of_mass, settle, closing=True)
        for index, push in enumerate(pushes):
            state, warmth, pieces, first = closed, warm, [], 0
            for last in trials.look_ends(protocol, push.shape[1], else_every=_PIECE) if holds else ():
                piece, state, warmth = self._roll(state, warmth, push[:, first:last])
                pieces.append(piece)
                first = last
                holds = trials.still_holds(protocol, scene.center_of_mass, piece)
                if not holds:
                    break
            if pieces:
                recordings[index] = trials.Recording.joined(pieces, push.shape[1])
        return trials.Recording.concatenate(recordings)

    def _roll(
        self, state: FloatArray, warm: FloatArray | None, control: FloatArray
    ) -> tuple[trials.Recording, FloatArray, FloatArray]:
        """Recording of one run, its full physics state at the end, and the solver's warm start there."""
        scene, model = self._scene, self._scene.model
        states, sensors = self._rollout.rollout(
            model,
            [self._data],
            state,
            control,
            control_spec=_control_spec(self._mujoco),
            initial_warmstart=warm,
        )
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
        return recording, states[:, -1].copy(), self._data.qacc_warmstart[None].copy()

    def _start_state(self, targets: HandTargets, mocap: FloatArray) -> FloatArray:
        """Full physics state at the reset, shape [1, state size]: at rest, object at its place."""
        mujoco, scene, data = self._mujoco, self._scene, self._data
        model = scene.model
        full = mujoco.mjtState.mjSTATE_FULLPHYSICS
        state = np.empty((1, mujoco.mj_stateSize(model, full)))
        mujoco.mj_resetData(model, data)
        mujoco.mj_getState(model, data, state[0], full)
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
