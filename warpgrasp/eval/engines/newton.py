"""Newton's MuJoCo-Warp solver on CUDA: one world per trial, thousands of them; on the CPU too, slowly.

What is simulated is the compiled model of the scene itself, the one the MuJoCo engine runs. It goes to MuJoCo Warp, the
solver that Newton's ``SolverMuJoCo`` steps and hands out, without the detour through a Newton model: Newton 1.8 imports
the scene's MJCF without its no-slip iterations, time step and damping ratio of contacts, so the two engines would no
longer simulate the same thing. Solver, cone, tolerances and contact options are those of the model; MuJoCo Warp computes
in float32 and finds contacts with its own collision detection.

Command, step and record are captured as one graph (three to five times as fast, on the CPU too). On CUDA contacts found at
the same time are stored in any order, so a grasp on the edge of its limits may fall to either side from run to run; on the
CPU runs repeat exactly.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import warp as wp
from numpy.typing import NDArray

from warpgrasp.base.extras import install_extra
from warpgrasp.eval.engines.mujoco_scene import Scene, quaternion_from_wxyz_batch
from warpgrasp.eval.engines.mujoco_state import mocap_targets, scene_contacts, scene_positions
from warpgrasp.eval.engines.newton_kernels import (
    TrialCommands,
    TrialLayout,
    TrialRecord,
    launch_command,
    launch_record,
)
from warpgrasp.eval.engines.screening import screen
from warpgrasp.eval.protocol import trial as trials
from warpgrasp.eval.protocol.verdict import Verdict

if TYPE_CHECKING:
    from warpgrasp.eval.protocol.squeeze_rules import HandTargets

__all__ = ["NewtonEngine", "import_mujoco_warp"]

_CPU_WORLDS = 96  # more do not run faster there
_CUDA_WORLDS = 16384
_MEMORY_SHARE = 0.5  # of what is free on the device
_CONTACTS = 48  # per world, to begin with
_MOST_CONTACTS = 1536


def import_mujoco_warp() -> Any:
    """The ``mujoco_warp`` module that Newton's ``SolverMuJoCo`` steps.

    Raises:
        ImportError: Newton or its solver is not installed; the message names the extra.
    """
    try:
        from newton.solvers import SolverMuJoCo

        return SolverMuJoCo.import_mujoco()[1]
    except ImportError as error:
        raise ImportError(
            f"The Newton engine needs newton with its MuJoCo-Warp solver ({error}); {install_extra('sim')}"
        ) from error


class NewtonEngine:
    """Runs protocols in MuJoCo Warp.

    Args:
        workers: Accepted for symmetry with the other engines; the device is used as a whole.
        device: Warp device of the simulation, for example ``cuda:0``; ``auto`` takes CUDA where there is one.
        worlds: Worlds simulated together, a grasp takes one per trial; 0 chooses by device and memory.
    """

    name = "newton"

    def __init__(self, *, workers: int = 0, device: str = "auto", worlds: int = 0) -> None:
        if workers < 0 or worlds < 0:
            raise ValueError(f"workers and worlds must be at least 0 (got {workers}, {worlds})")
        self._solver = import_mujoco_warp()
        if device == "auto":
            device = "cuda:0" if wp.is_cuda_available() else "cpu"
        self.device = wp.get_device(device)
        self._worlds = worlds
        self._batch: _Batch | None = None  # the last one, with its graph
        self._contact_limit = _CONTACTS
        self._fitting = 0  # worlds that fit on the device with this limit, 0 where not known

    def evaluate(
        self, scene: Scene, targets: HandTargets, *, progress: Callable[[int], None] | None = None
    ) -> Verdict:
        """Verdict of every grasp; ``progress`` hears the number of grasps done so far."""
        screening = screen(scene, targets)
        valid = screening.index
        if self._batch is None or not self._batch.is_of(scene):
            self._batch, self._contact_limit, self._fitting = None, _CONTACTS, 0
        parts: list[Verdict] = []
        start = 0
        while start < len(valid):
            width = min(len(valid), self._grasps_at_once(scene))
            # The last batch is filled up with its last grasp: every batch has the same arrays and the same graph.
            index = valid[np.minimum(np.arange(start, start + width), len(valid) - 1)]
            batch = self._batch_of(scene, width)
            if batch.run(scene, targets.select(index)) and 2 * self._contact_limit <= _MOST_CONTACTS:
                self._contact_limit, self._fitting = 2 * self._contact_limit, 0
                continue
            own = min(width, len(valid) - start)
            parts.append(batch.verdict(scene, targets.select(index[:own])))
            start += own
            if progress is not None:
                progress(start)
        return screening.complete(parts)

    def _batch_of(self, scene: Scene, grasp_count: int) -> _Batch:
        limit, batch = self._contact_limit, self._batch
        if batch is None or (batch.grasp_count, batch.contact_limit) != (grasp_count, limit):
            self._batch = None  # its memory is free before more is taken
            batch = _Batch(self._solver, scene, grasp_count, limit, self.device)
        self._batch = batch
        return batch

    def _grasps_at_once(self, scene: Scene) -> int:
        trial_count, worlds = len(scene.protocol.trials), self._worlds or _CPU_WORLDS
        if self.device.is_cuda and not self._worlds:
            if not self._fitting:
                self._batch = None
                probe = _Batch(self._solver, scene, 1, self._contact_limit, self.device)
                self._fitting = int(_MEMORY_SHARE * self.device.free_memory / probe.size_per_world())
            worlds = min(self._fitting, _CUDA_WORLDS)
        return max(worlds // trial_count, 1)


class _Batch:
    """Worlds of one scene on the device: model, state, commands and record of G grasps by T trials.

    Args:
        solver: ``mujoco_warp``.
        scene: Its model and the lengths of its trials must stay; the size of the push may change.
        grasp_count: Grasps simulated together.
        contact_limit: Contacts per world that are stored.
        device: Warp device.
    """

    def __init__(
        self, solver: Any, scene: Scene, grasp_count: int, contact_limit: int, device: wp.Device
    ) -> None:
        model, protocol = scene.model, scene.protocol
        self._solver, self._host_model, self._device = solver, model, device
        if device.is_cpu:  # the dense Hessian of elliptic cones is summed over all contacts there could be
            from mujoco import mjtJacobian

            model = copy.copy(model)
            model.opt.jacobian = mjtJacobian.mjJAC_SPARSE
        self._steps = [trials.step_count(protocol, trial) for trial in protocol.trials]
        self.grasp_count, self.contact_limit = grasp_count, contact_limit
        self.world_count = grasp_count * len(self._steps)
        self._graph: Any = None
        with wp.ScopedDevice(device):
            self._model = solver.put_model(model)
            self._model.opt.warn_overflow = 0  # looked at after the run, and mended
            if device.is_cuda:  # drivers before CUDA 12.4 cannot capture "until converged"
                self._model.opt.graph_conditional = wp.is_conditional_graph_supported()
            self._data = solver.make_data(
                model,
                nworld=self.world_count,
                nconmax=contact_limit,
                njmax=contact_limit * protocol.contact_dimension + 2 * model.nv + 6 * model.neq,
            )
            self._commands = self._make_commands(model.nu)
            self._record = self._make_record(model.nq)
            self._layout = _layout(scene)

    def is_of(self, scene: Scene) -> bool:
        """Whether these worlds can run ``scene``."""
        steps = [trials.step_count(scene.protocol, trial) for trial in scene.protocol.trials]
        return scene.model is self._host_model and steps == self._steps

    def size_per_world(self) -> float:
        """Device memory of a world [bytes]."""
        parts = (self._data, self._commands, self._record)
        return sum(_array_bytes(part) for part in parts) / self.world_count

    def run(self, scene: Scene, targets: HandTargets) -> bool:
        """Simulate all trials from the reset; true when contacts or constraints did not fit."""
        with wp.ScopedDevice(self._device):
            self._write_commands(scene, targets)
            self._reset(scene, targets)
            if self._graph is None:
                self._step()  # compiles and loads the kernels, which a capture cannot
                with wp.ScopedCapture(self._device) as capture:
                    self._step()
                self._graph = capture.graph
                self._reset(scene, targets)
            for _ in range(max(self._steps)):
                wp.capture_launch(self._graph)
        return bool(self._overflow().any())

    def verdict(self, scene: Scene, targets: HandTargets) -> Verdict:
        """Verdict of the first grasps of the last run, which are those of ``targets``."""
        protocol, trial_count = scene.protocol, len(self._steps)
        worlds = slice(0, len(targets) * trial_count)
        body = np.swapaxes(self._record.body.numpy().astype(np.float64)[:, worlds], 0, 1)
        pushed = trials.Recording(
            position=body[:, :, :3],
            quaternion=quaternion_from_wxyz_batch(body[:, :, 3:]),
            effort_ratio=self._record.effort_ratio.numpy().astype(np.float64)[worlds],
            stable=(self._record.stable.numpy() == 1)[worlds] & ~self._overflow()[worlds],
        )
        settle_steps = trials.settle_step_count(protocol)
        first = slice(0, None, trial_count)  # all trials of a grasp begin alike
        settle = trials.Recording(
            pushed.position[first, :settle_steps],
            pushed.quaternion[first, :settle_steps],
            pushed.effort_ratio[first],
            pushed.stable[first],
        )
        mocap = mocap_targets(
            protocol, targets, np.array([trials.RESET_TIME, settle_steps * protocol.time_step])
        )
        joints = trials.start_joints(protocol, targets)
        at_start = scene_positions(scene, joints, mocap[:, 0])
        at_rest = self._record.settled.numpy().astype(np.float64)[worlds][first]
        return trials.trial_verdict(
            protocol,
            scene.center_of_mass,
            settle=settle,
            pushed=pushed,
            start=scene_contacts(scene, at_start, mocap[:, 0]),
            settled=scene_contacts(scene, at_rest, mocap[:, 1]),
        )

    def _overflow(self) -> NDArray[np.bool_]:
        kinds = self._solver.OverflowType
        mask = kinds.NEFC | kinds.NJMAX_NNZ | kinds.BROADPHASE | kinds.NARROWPHASE | kinds.CCD
        return np.asarray((self._data.overflow.numpy() & int(mask)) != 0)

    def _step(self) -> None:
        data = self._data
        launch_command(
            self._commands,
            self._layout,
            self._record,
            control=data.ctrl,
            applied=data.qfrc_applied,
            mocap_position=data.mocap_pos,
            mocap_quaternion=data.mocap_quat,
            device=self._device,
        )
        self._solver.step(self._model, data)
        launch_record(
            self._commands,
            self._layout,
            self._record,
            position=data.qpos,
            velocity=data.qvel,
            actuator_force=data.actuator_force,
            device=self._device,
        )

    def _reset(self, scene: Scene, targets: HandTargets) -> None:
        """Every world at rest at the start of its trial."""
        protocol = scene.protocol
        self._solver.reset_data(self._model, self._data)
        mocap = mocap_targets(protocol, targets, np.array([trials.RESET_TIME]))[:, 0]
        position = scene_positions(scene, trials.start_joints(protocol, targets), mocap)
        self._data.qpos.assign(np.repeat(position, len(self._steps), axis=0).astype(np.float32))
        self._record.step.zero_()
        self._record.effort_ratio.zero_()
        self._record.stable.fill_(1)

    def _write_commands(self, scene: Scene, targets: HandTargets) -> None:
        protocol, length = scene.protocol, max(self._steps)
        time = trials.step_times(protocol, 0, length)
        control = scene.servos.controls(trials.joint_targets(protocol, targets, time))
        self._commands.control.assign(control.astype(np.float32))
        self._commands.root.assign(mocap_targets(protocol, targets, time).astype(np.float32))
        push = [trials.push_forces(protocol, trial, time) for trial in protocol.trials]
        self._commands.push.assign(np.stack(push).astype(np.float32))

    def _make_commands(self, actuator_count: int) -> Any:
        length = max(self._steps)
        commands: Any = TrialCommands()
        commands.control = wp.zeros((self.grasp_count, length, actuator_count), dtype=wp.float32)
        commands.root = wp.zeros((self.grasp_count, length, 7), dtype=wp.float32)
        commands.push = wp.zeros((len(self._steps), length), dtype=wp.vec3)
        commands.step_count = wp.array(self._steps, dtype=wp.int32)
        return commands

    def _make_record(self, position_count: int) -> Any:
        worlds = self.world_count
        record: Any = TrialRecord()
        record.step = wp.zeros(worlds, dtype=wp.int32)
        record.body = wp.zeros((max(self._steps), worlds, 7), dtype=wp.float32)
        record.settled = wp.zeros((worlds, position_count), dtype=wp.float32)
        record.effort_ratio = wp.zeros(worlds, dtype=wp.float32)
        record.stable = wp.zeros(worlds, dtype=wp.int32)
        return record


def _layout(scene: Scene) -> Any:
    layout: Any = TrialLayout()
    layout.object_position = scene.object_qpos
    layout.object_velocity = scene.object_dof
    layout.settle_step_count = trials.settle_step_count(scene.protocol)
    layout.fastest = trials.FASTEST
    layout.effort = wp.array(scene.servos.effort, dtype=wp.float32)
    return layout


def _array_bytes(value: Any) -> int:
    """Device memory of all arrays in a structure [bytes]."""
    if isinstance(value, wp.array):
        return int(value.capacity)
    if dataclasses.is_dataclass(value):
        return sum(_array_bytes(getattr(value, entry.name)) for entry in dataclasses.fields(value))
    if isinstance(value, (tuple, list)):
        return sum(_array_bytes(entry) for entry in value)
    names = getattr(getattr(value, "cls", None), "__annotations__", {})  # a struct of Warp
    return sum(_array_bytes(getattr(value, name)) for name in names)
