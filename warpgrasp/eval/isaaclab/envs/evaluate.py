"""Evaluate: grasp files through the protocols of :mod:`warpgrasp.eval`, one world per grasp, many objects in one scene.

The protocol dataclasses, what they command at a time and how a run is scored are those of all engines
(:mod:`warpgrasp.eval.protocol.trial`); this file only moves the numbers in and out of Isaac Lab. An action is added to
the joint targets of the protocol, so that zeros replay the grasps and a controller of the user's own can be scored in the
same way.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from isaaclab.utils import configclass
from numpy.typing import NDArray

from warpgrasp.eval.engines.mujoco_scene import (
    Scene,
    build_scene,
    quaternion_from_wxyz_batch,
    quaternion_to_wxyz_batch,
)
from warpgrasp.eval.engines.mujoco_state import mocap_targets, scene_contacts, scene_positions
from warpgrasp.eval.isaaclab.adapter import rotate
from warpgrasp.eval.isaaclab.assets import CarrierConfig, ObjectBody
from warpgrasp.eval.isaaclab.envs.base import WarpGraspEnv, WarpGraspEnvCfg
from warpgrasp.eval.isaaclab.frames import carrier_from_pose
from warpgrasp.eval.isaaclab.pool import GraspPool
from warpgrasp.eval.protocol.drives import joint_drives
from warpgrasp.eval.protocol.protocols import PROTOCOLS, Protocol, RootMount
from warpgrasp.eval.protocol.squeeze_rules import HandTargets
from warpgrasp.eval.protocol.trial import (
    FASTEST,
    RESET_TIME,
    Recording,
    joint_targets,
    push_forces,
    root_targets,
    settle_step_count,
    start_joints,
    step_count,
    step_times,
    trial_verdict,
)
from warpgrasp.eval.protocol.verdict import StartContact, Verdict
from warpgrasp.hands import load_hand
from warpgrasp.objects.convex_pieces import ConvexPiece, convex_pieces

__all__ = ["EvaluateEnv", "EvaluateEnvCfg", "body_of_scene"]


@configclass
class EvaluateEnvCfg(WarpGraspEnvCfg):
    """Options of the replay."""

    cone: str = "elliptic"
    mujoco_contacts: bool = True
    contact_limit: int = 56
    solver_iterations: int = 100
    protocol: Any = "graspqp"
    """Name of a protocol, or a :class:`~warpgrasp.eval.protocol.protocols.Protocol`."""
    force: float | None = None
    """Push [N]; the protocol's own when ``None``."""
    scenes: list[Any] | None = None
    """Compiled scenes, one per object of ``pool``, of the engine that was called; built from the grasps otherwise."""
    pool: Any = None
    """Grasps of these scenes."""

    def resolved_protocol(self) -> Protocol:
        """The protocol with its force."""
        protocol = PROTOCOLS[self.protocol] if isinstance(self.protocol, str) else self.protocol
        return protocol if self.force is None else protocol.with_force(self.force)


class EvaluateEnv(WarpGraspEnv):
    """Replay of grasps; an episode is one trial of the protocol, a step one step of its physics."""

    cfg: EvaluateEnvCfg

    def __init__(self, cfg: EvaluateEnvCfg, render_mode: str | None = None, **kwargs: Any) -> None:
        self.protocol = cfg.resolved_protocol()
        drives = joint_drives(load_hand(cfg.hand), self.protocol)
        cfg.stiffness, cfg.damping, cfg.effort = drives.stiffness, drives.damping, drives.effort
        cfg.armature, cfg.joint_friction = drives.armature, drives.friction
        cfg.object_mass, cfg.friction = self.protocol.object_mass, self.protocol.friction
        cfg.carrier = CarrierConfig() if self.protocol.root == RootMount.WELD else None
        cfg.decimation, cfg.sim.dt = 1, self.protocol.time_step
        cfg.episode_length_s = max(trial.duration for trial in self.protocol.trials)
        self._given = cfg.scenes
        super().__init__(cfg, render_mode, **kwargs)
        self.trial = -1
        self.targets: HandTargets = self.pool.targets.select(self.world_grasp)
        self._start_trial()

    def _load_pool(self, cfg: EvaluateEnvCfg) -> GraspPool:
        pool = cfg.pool if cfg.pool is not None else super()._load_pool(cfg)
        self.scenes: list[Scene] = self._given or [
            build_scene(self.hand, model, convex_pieces(model), self.protocol) for model in pool.models
        ]
        count = min(cfg.scene.num_envs, len(pool))
        cfg.scene.num_envs = count
        self.world_grasp: NDArray[np.int64] = np.arange(count) * len(pool) // count
        return pool

    def _world_objects(self, cfg: EvaluateEnvCfg) -> torch.Tensor:
        return self.pool.object_index[torch.as_tensor(self.world_grasp)]

    def _bodies(self, cfg: EvaluateEnvCfg) -> list[ObjectBody]:
        return [body_of_scene(scene) for scene in self.scenes]

    def _set_contact(self) -> None:
        self.adapter.set_contact(
            friction=self.protocol.friction,
            torsional=self.protocol.torsional_friction,
            time_constant=self.protocol.contact_time_constant,
        )

    def evaluate(self) -> Verdict:
        """Run every trial from a fresh reset and score it; same columns as the other engines."""
        still = torch.zeros(self.num_envs, len(self.hand.joint_names), device=self.device)
        runs: list[Recording] = []
        settled: StartContact | None = None
        settle_steps = settle_step_count(self.protocol)
        for trial in range(len(self.protocol.trials)):
            self.trial = trial - 1
            self._history.clear()
            self.reset()
            for step in range(step_count(self.protocol, self.protocol.trials[trial])):
                if trial == 0 and step == settle_steps:
                    settled = self._contacts(settle_steps)
                self._advance(still)
            runs.append(self._recording())
        start = self._start_contacts()
        return self._score(runs, start, settled or start, settle_steps)

    def _advance(self, action: torch.Tensor) -> None:
        """One physics step without Isaac Lab's automatic reset at the end of an episode."""
        self._pre_physics_step(action)
        self._apply_action()
        self.scene.write_data_to_sim()
        self.sim.step(render=False)
        self.scene.update(dt=self.physics_dt)
        self._record()

    def _start_trial(self) -> None:
        """Advance to the next trial and prepare its commands."""
        protocol = self.protocol
        self.trial = (self.trial + 1) % len(protocol.trials)
        trial = protocol.trials[self.trial]
        time = step_times(protocol, 0, step_count(protocol, trial))
        self._joints = self._tensor(joint_targets(protocol, self.targets, time))
        self._forces = self._tensor(push_forces(protocol, trial, time))
        self._step = 0
        self._history: list[torch.Tensor] = []
        self._effort = torch.zeros(self.num_envs, device=self.device)
        self._stable = torch.ones(self.num_envs, dtype=torch.bool, device=self.device)
        base = torch.cat(
            [self._tensor(self.targets.grasp_position), self._tensor(self.targets.grasp_quaternion)], dim=1
        )
        self._base, self._roots = base, None
        if protocol.root == RootMount.WELD:
            roots = root_targets(protocol, self.targets, time)
            self._roots = carrier_from_pose(base[:, None, :], self._tensor(roots))

    def _reset_idx(self, env_ids: Any) -> None:
        super()._reset_idx(env_ids)
        if not hasattr(self, "targets") or len(env_ids) < self.num_envs:
            return  # all worlds run the same trial and end together
        self._log_success()
        self._start_trial()
        worlds = self.all_worlds
        place = torch.zeros(self.num_envs, 7, device=self.device)
        place[:, 6] = 1.0
        self.adapter.write_object(place, worlds)
        first = start_joints(self.protocol, self.targets)
        carrier = None if self._roots is None else self._roots[:, 0]
        self.adapter.write_hand(self._base, self._tensor(first), worlds, carrier)

    def _pre_physics_step(self, actions: torch.Tensor) -> None:
        self.actions = actions

    def _apply_action(self) -> None:
        step = min(self._step, self._joints.shape[1] - 1)
        self._target = self._joints[:, step] + self.actions
        carrier = None if self._roots is None else self._roots[:, step]
        self.adapter.set_targets(self._target, carrier)
        self.adapter.push(self._forces[step].expand(self.num_envs, 3))
        self._step += 1

    def _record(self) -> None:
        """Remember where the objects are and how hard the hands work."""
        adapter = self.adapter
        self._history.append(adapter.body_pose().clone())
        position, velocity = adapter.joint_position(), adapter.joint_velocity()
        torque = self._stiffness * (self._target - position) - self._damping * velocity
        self._effort = torch.maximum(self._effort, (torque.abs() / self._limit).clamp(max=1.0).amax(dim=1))
        fine = torch.isfinite(self._history[-1]).all(dim=1) & torch.isfinite(position).all(dim=1)
        self._stable &= fine & (adapter.object_velocity()[:, :3].abs() < FASTEST).all(dim=1)

    def _get_dones(self) -> tuple[torch.Tensor, torch.Tensor]:
        self._record()
        over = self._step >= self._joints.shape[1]
        ended = torch.full((self.num_envs,), over, dtype=torch.bool, device=self.device)
        return torch.zeros_like(ended), ended

    def _get_rewards(self) -> torch.Tensor:
        return torch.zeros(self.num_envs, device=self.device)

    def _get_observations(self) -> dict[str, torch.Tensor]:
        adapter = self.adapter
        parts = [adapter.joint_position(), adapter.joint_velocity(), self._joints[:, 0], adapter.body_pose()]
        return {"policy": torch.cat(parts, dim=1)}

    def _log_success(self) -> None:
        """Share of worlds whose object stayed during the trial that ends, in ``extras["log"]``."""
        if not self._history:
            return
        held = self._way().amax(dim=1) < self.protocol.position_limit
        name = self.protocol.trials[self.trial].name
        self.extras.setdefault("log", {})["Metrics/success_rate"] = held.float().mean()
        self.extras["log"][f"Metrics/success_{name}"] = held.float().mean()

    def _way(self) -> torch.Tensor:
        position = torch.stack(self._history, dim=1)[..., :3]
        return (position - self.adapter.center_of_mass[:, None, :]).norm(dim=2).nan_to_num(torch.inf)

    def _recording(self) -> Recording:
        poses = torch.stack(self._history, dim=1).cpu().numpy().astype(np.float64)
        return Recording(
            position=poses[..., :3],
            quaternion=poses[..., 3:],
            effort_ratio=self._effort.cpu().numpy().astype(np.float64),
            stable=self._stable.cpu().numpy(),
        )

    @property
    def _stiffness(self) -> torch.Tensor:
        return self._tensor(self.scenes[0].drives.stiffness)

    @property
    def _damping(self) -> torch.Tensor:
        return self._tensor(self.scenes[0].drives.damping)

    @property
    def _limit(self) -> torch.Tensor:
        return self._tensor(self.scenes[0].drives.effort)

    def _start_contacts(self) -> StartContact:
        """Contacts at the reset, found by the MuJoCo scene: the same limits for every engine."""
        joints = start_joints(self.protocol, self.targets)
        rest = np.zeros((self.num_envs, 7))
        rest[:, :3], rest[:, 6] = self.adapter.center_of_mass.cpu().numpy(), 1.0
        return self._mujoco_contacts(joints, rest, RESET_TIME)

    def _contacts(self, step: int) -> StartContact:
        """Contacts now."""
        joints = self.adapter.joint_position().cpu().numpy().astype(np.float64)
        body = self.adapter.body_pose().cpu().numpy().astype(np.float64)
        return self._mujoco_contacts(joints, body, step * self.protocol.time_step)

    def _mujoco_contacts(self, joints: Any, body: Any, time: float) -> StartContact:
        columns = StartContact(
            np.zeros(self.num_envs), np.zeros(self.num_envs), np.zeros(self.num_envs, dtype=np.int32)
        )
        objects = self.world_object.cpu().numpy()
        for index, scene in enumerate(self.scenes):
            rows = np.flatnonzero(objects == index)
            if not len(rows):
                continue
            mocap = mocap_targets(self.protocol, self.targets.select(rows), np.array([time]))[:, 0]
            pose = np.concatenate([body[rows, :3], quaternion_to_wxyz_batch(body[rows, 3:])], axis=1)
            part = scene_contacts(scene, scene_positions(scene, joints[rows], mocap, pose), mocap)
            columns.penetration[rows] = part.penetration
            columns.self_penetration[rows] = part.self_penetration
            columns.contact_count[rows] = part.contact_count
        return columns

    def _score(
        self, runs: list[Recording], start: StartContact, settled: StartContact, settle_steps: int
    ) -> Verdict:
        settle = Recording(
            runs[0].position[:, :settle_steps],
            runs[0].quaternion[:, :settle_steps],
            runs[0].effort_ratio,
            runs[0].stable,
        )

        def joined(name: str) -> Any:  # grasps first, trials second, as the MuJoCo engine orders them
            return np.stack([getattr(run, name) for run in runs], axis=1).reshape(
                self.num_envs * len(runs), *getattr(runs[0], name).shape[1:]
            )

        pushed = Recording(*(joined(name) for name in Recording.__dataclass_fields__))
        return trial_verdict(
            self.protocol,
            self.adapter.center_of_mass.cpu().numpy().astype(np.float64),
            settle=settle,
            pushed=pushed,
            start=start,
            settled=settled,
        )


def body_of_scene(scene: Scene) -> ObjectBody:
    """The object of a compiled MuJoCo scene: the very pieces, mass and inertia that engine simulates."""
    model = scene.model
    body = model.body("object").id
    pieces = []
    for geometry in np.flatnonzero(model.geom_bodyid == body):
        mesh = int(model.geom_dataid[geometry])
        start, count = int(model.mesh_vertadr[mesh]), int(model.mesh_vertnum[mesh])
        face_start, face_count = int(model.mesh_faceadr[mesh]), int(model.mesh_facenum[mesh])
        turn = torch.as_tensor(quaternion_from_wxyz_batch(model.geom_quat[geometry]))
        vertices = rotate(turn, torch.as_tensor(model.mesh_vert[start : start + count].astype(np.float64)))
        faces = model.mesh_face[face_start : face_start + face_count].astype(np.int32)
        pieces.append(ConvexPiece(vertices.numpy() + model.geom_pos[geometry], faces))
    axes = torch.as_tensor(quaternion_from_wxyz_batch(model.body_iquat[body]))
    turned = rotate(axes, torch.eye(3, dtype=torch.float64)).numpy().T
    inertia = turned @ np.diag(model.body_inertia[body]) @ turned.T
    return ObjectBody(
        tuple(pieces),
        float(model.body_mass[body]),
        inertia,
        scene.center_of_mass,
        contact_dimension=scene.protocol.contact_dimension,
    )
