"""What the learning tasks share: resets from pregrasps, residual actions around the open-loop squeeze, observations.

The nominal motion is the trajectory that a grasp file describes: pregrasp, grasp, squeeze. Actions are added to it, so
that zero actions are the open-loop squeeze, the baseline a policy has to beat.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch

from warpgrasp.eval.isaaclab.adapter import rotate
from warpgrasp.eval.isaaclab.contacts import (
    ContactGeometry,
    Contacts,
    finger_groups,
    fingertip_poses,
    fingertips,
)
from warpgrasp.eval.isaaclab.envs.base import WarpGraspEnv
from warpgrasp.eval.isaaclab.envs.learning_config import LearningEnvCfg
from warpgrasp.eval.isaaclab.frames import (
    carrier_from_pose,
    compose,
    inverse,
    multiply,
    pose_from_carrier,
    rotation_six,
    rotation_vector,
    turned_by,
)

__all__ = ["LearningEnv"]

_LOGGER = logging.getLogger(__name__)
_ALIGNED = (0.02, 0.3)  # m, rad; an object this far off earns e^-1


class LearningEnv(WarpGraspEnv):
    """Base of the learning tasks."""

    cfg: LearningEnvCfg

    def __init__(self, cfg: LearningEnvCfg, render_mode: str | None = None, **kwargs: Any) -> None:
        super().__init__(cfg, render_mode, **kwargs)
        self.moves_wrist = cfg.carrier is not None
        self.geometry = ContactGeometry(self.hand, self.pool.models, self.world_object, self.device)
        links, positions = fingertips(self.hand)
        self._tip_link, self._tip_position = (
            torch.as_tensor(links, device=self.device),
            self._tensor(positions),
        )
        worlds, joints = self.num_envs, len(self.hand.joint_names)
        self.grasp = torch.zeros(worlds, dtype=torch.long, device=self.device)
        self.base = torch.zeros(worlds, 7, device=self.device)  # carrier base, or the fixed root
        self.place = torch.zeros(worlds, 7, device=self.device)  # the object at the reset
        self.base[:, 6] = self.place[:, 6] = 1.0
        groups = finger_groups(self.hand) if cfg.finger_actions else np.arange(joints)
        self._group = torch.as_tensor(groups, device=self.device)
        self._joint_actions = int(groups.max()) + 1
        self._smooth = torch.zeros(worlds, self._joint_actions, device=self.device)
        self._way_of_action = torch.zeros(worlds, joints, device=self.device)  # rad or m
        self.actions = torch.zeros(worlds, cfg.action_space, device=self.device)
        self.previous_actions = torch.zeros_like(self.actions)
        self.wrist = torch.zeros(worlds, 6, device=self.device)  # integrated wrist actions
        self.targets = torch.zeros(worlds, joints, device=self.device)
        self._wanted = torch.zeros(
            worlds, joints + 6 * self.moves_wrist, device=self.device
        )  # this step's targets
        self._sent = self._wanted  # the last step's
        self._substep = 0
        # Counted from the reset, unlike ``episode_length_buf``, which a runner may start anywhere (rsl_rl's
        # ``init_at_random_ep_len``): the motion would begin in the middle of the squeeze.
        self.steps = torch.zeros(worlds, dtype=torch.long, device=self.device)
        self.contact: Contacts | None = None
        self._contact_is_old = torch.ones(worlds, dtype=torch.bool, device=self.device)
        self.episode_succeeded = torch.zeros(worlds, dtype=torch.bool, device=self.device)
        self._diverged = torch.zeros(worlds, dtype=torch.bool, device=self.device)
        self._divergences = torch.zeros((), dtype=torch.long, device=self.device)
        self._overflow_said = False
        self._outcome = torch.full((worlds, 2), torch.nan, device=self.device)  # of each world's last episode

    def _reset_idx(self, env_ids: Any) -> None:
        worlds = torch.as_tensor(env_ids, device=self.device, dtype=torch.long)
        if hasattr(self, "grasp"):
            self._log(worlds)
        super()._reset_idx(env_ids)
        if not hasattr(self, "grasp"):
            return
        self._draw(worlds)
        self.steps[worlds] = 0
        chosen = self.grasp[worlds]
        self.actions[worlds] = self.previous_actions[worlds] = 0.0
        self.wrist[worlds] = self._smooth[worlds] = 0.0
        self.targets[worlds] = self.pool.pregrasp_joints[chosen]
        self._way_of_action[worlds] = self._action_ways(chosen)
        ids = worlds.to(torch.int32)
        self.adapter.write_object(self.place[worlds], ids)
        carrier = torch.zeros(len(worlds), 6, device=self.device) if self.moves_wrist else None
        root = self.pool.pregrasp_root if self.moves_wrist else self.pool.grasp_root
        self.base[worlds] = compose(self._expected_place(worlds), root[chosen])
        self.adapter.write_hand(self.base[worlds], self._start_joints(chosen), ids, carrier)
        self._contact_is_old[worlds] = True

    def _action_ways(self, chosen: torch.Tensor) -> torch.Tensor:
        """How far an action of 1 moves each joint target [rad or m], for the grasps ``chosen``, shape [N, J]."""
        reach = self.cfg.joint_action_scale * (self.joint_upper - self.joint_lower)
        if not self.cfg.finger_actions:
            return reach.expand(len(chosen), -1)
        closing = self.pool.squeeze_joints[chosen] - self.pool.pregrasp_joints[chosen]
        group = self._group.expand(len(chosen), -1)
        largest = torch.zeros(len(chosen), self._joint_actions, device=self.device)
        largest = largest.scatter_reduce(1, group, closing.abs(), "amax").clamp(min=1.0e-3)
        return reach * closing / largest.gather(1, group)

    def _expected_place(self, worlds: torch.Tensor) -> torch.Tensor:
        """Where the hand believes the object to be, shape [N, 7]: near its place, off by the noise."""
        place = self.place[worlds].clone()
        if self.cfg.position_noise == 0.0 and self.cfg.angle_noise == 0.0:
            return place
        way, axis = torch.randn(2, len(worlds), 3, device=self.device)
        # Uniform in a ball; the angle is uniform.
        length, angle = torch.rand(2, len(worlds), 1, device=self.device)
        way = torch.nn.functional.normalize(way, dim=1) * self.cfg.position_noise * length ** (1.0 / 3.0)
        turn = turned_by(torch.nn.functional.normalize(axis, dim=1) * self.cfg.angle_noise * angle)
        center = self.adapter.center_of_mass[worlds]
        middle = place[:, :3] + rotate(place[:, 3:], center) + way
        place[:, 3:] = multiply(turn, place[:, 3:])
        place[:, :3] = middle - rotate(place[:, 3:], center)
        return place

    def _draw(self, worlds: torch.Tensor) -> None:
        """Choose a grasp and a place of the object for worlds that start anew."""
        self.grasp[worlds] = self.pool.sample(self.world_object[worlds])

    def _start_joints(self, chosen: torch.Tensor) -> torch.Tensor:
        return self.pool.pregrasp_joints[chosen]

    def _log(self, worlds: torch.Tensor) -> None:
        """Success of every world's last whole episode, in ``extras["log"]``; that counts short and long ones alike.

        An episode that a runner or a call of ``reset`` cut short has no outcome.
        """
        whole = self.reset_terminated[worlds] | (self.steps[worlds] >= self.max_episode_length)
        ended = worlds[whole & (self.steps[worlds] > 0)]
        if not len(ended):
            return
        held, lost = self.episode_succeeded[ended], self.reset_terminated[ended]
        self._outcome[ended] = torch.stack([held, lost], dim=1).float()
        rate = self._outcome.nanmean(dim=0)
        overflow = self.adapter.worlds_overflowed().float().mean()
        log = self.extras.setdefault("log", {})
        log["Metrics/success_rate"], log["Metrics/dropped"] = rate[0], rate[1]
        log["Metrics/diverged"] = self._divergences.float()  # times, since the start
        log["Metrics/contact_overflow"] = overflow
        if overflow > 0.0 and not self._overflow_said:
            self._overflow_said = True
            _LOGGER.warning(
                "more contacts than contact_limit=%d per world: the rest is lost, so forces are wrong there; raise the "
                "option contact_limit (share of worlds: Metrics/contact_overflow)",
                self.cfg.contact_limit,
            )

    @property
    def time(self) -> torch.Tensor:
        """Seconds since the reset, shape [W]."""
        return self.steps * self.step_dt

    def _pre_physics_step(self, actions: torch.Tensor) -> None:
        self.previous_actions = self.actions
        self.actions = actions.clamp(-1.0, 1.0)
        first, second = self._legs()
        pool, chosen = self.pool, self.grasp
        nominal = pool.pregrasp_joints[chosen]
        nominal = nominal + first * (pool.grasp_joints[chosen] - nominal)
        nominal = nominal + second * (pool.squeeze_joints[chosen] - pool.grasp_joints[chosen])
        own = self.actions[:, : self._joint_actions]
        if self.cfg.joint_action_rate > 0.0:
            self._smooth = (self._smooth + self.cfg.joint_action_rate * own).clamp(-1.0, 1.0)
        else:
            self._smooth = own.lerp(self._smooth, self.cfg.action_smoothing)
        self.targets = nominal + self._way_of_action * self._smooth[:, self._group]
        carrier = None
        if self.moves_wrist:
            self._move_wrist(self.actions[:, self._joint_actions :])
            carrier = self._carrier_targets(first)
        self._sent = torch.where((self.steps == 0)[:, None], self._start_command(), self._wanted)
        self._wanted = self.targets if carrier is None else torch.cat([self.targets, carrier], dim=1)
        self._substep = 0
        self._disturb()

    def _start_command(self) -> torch.Tensor:
        """Joint and carrier targets at a reset, shape [W, J] or [W, J + 6]."""
        start = self._start_joints(self.grasp)
        return torch.cat([start, torch.zeros_like(self.wrist)], dim=1) if self.moves_wrist else start

    def _apply_action(self) -> None:
        """Targets move evenly through a step: jumps would shake what the hand holds. Pushes hold for the step."""
        self._substep += 1
        command = torch.lerp(self._sent, self._wanted, min(self._substep / self.cfg.decimation, 1.0))
        joints = self.targets.shape[1]
        self.adapter.set_targets(command[:, :joints], command[:, joints:] if self.moves_wrist else None)

    def _legs(self) -> tuple[torch.Tensor, torch.Tensor]:
        """How far the two legs of the nominal motion have gone, each [W, 1] in [0, 1]."""
        leg = (self.time / self.cfg.closing_time)[:, None]
        return leg.clamp(0.0, 1.0), (leg - 1.0).clamp(0.0, 1.0)

    def _move_wrist(self, actions: torch.Tensor) -> None:
        """Add up wrist actions: way along the axes of the root at the reset, turn about the carrier's hinges."""
        way, turn = (
            self.cfg.wrist_position_scale * actions[:, :3],
            self.cfg.wrist_angle_scale * actions[:, 3:],
        )
        self.wrist = self.wrist + torch.cat([self._wrist_way(way), turn], dim=1)

    def _wrist_way(self, way: torch.Tensor) -> torch.Tensor:
        """Way of the wrist [m] along the axes of the carrier's base, from the axes of the actions, shape [W, 3]."""
        return way

    def _carrier_targets(self, first: torch.Tensor) -> torch.Tensor:
        return first * self._approach() + self.wrist

    def _approach(self) -> torch.Tensor:
        """Carrier joints [W, 6] at the grasp; they are zero at the pregrasp."""
        chosen = self.grasp
        return carrier_from_pose(self.pool.pregrasp_root[chosen], self.pool.grasp_root[chosen])

    def _grasp_error(self, seen: torch.Tensor) -> torch.Tensor:
        """How far the object is from where the grasp has it: centre of mass [m] and rotation vector [rad].

        Along the axes of the hand root, shape [W, 6]. A hand that moves by this has the object where the nominal
        motion expects it now.

        Args:
            seen: Object in the frame of the hand root, shape [W, 7].
        """
        root = self.pool.grasp_root[self.grasp]
        if self.moves_wrist:
            first, _ = self._legs()
            root = pose_from_carrier(self.pool.pregrasp_root[self.grasp], first * self._approach())
        expected = inverse(root)
        center = self.adapter.center_of_mass
        way = seen[:, :3] + rotate(seen[:, 3:], center) - expected[:, :3] - rotate(expected[:, 3:], center)
        turn = multiply(seen[:, 3:], inverse(expected)[:, 3:])
        return torch.cat([way, rotation_vector(turn)], dim=1)

    def _alignment(self) -> torch.Tensor:
        """1 where the object lies in the hand as the nominal motion has it, less elsewhere, shape [W]."""
        seen = compose(inverse(self.adapter.link_pose()[:, 0]), self.adapter.object_pose())
        error = self._grasp_error(seen).nan_to_num(1.0)
        scale = error.new_tensor([_ALIGNED[0]] * 3 + [_ALIGNED[1]] * 3)
        return torch.exp(-(error / scale).square().sum(dim=1))

    def _update_contact(self) -> None:
        """Bring contacts up to date where something was reset; the others were found for the rewards."""
        links, thing, old = self.adapter.link_pose(), self.adapter.object_pose(), self._contact_is_old
        if self.contact is None or bool(old.all()):
            self.contact = self.geometry.contacts(links, thing)
        elif bool(old.any()):
            worlds = old.nonzero()[:, 0]
            self.contact.put(worlds, self.geometry.contacts(links[worlds], thing[worlds], worlds))
        self._contact_is_old = torch.zeros_like(old)

    def _disturb(self) -> None:
        """Push the objects; nothing by default."""

    def _get_observations(self) -> dict[str, torch.Tensor]:
        adapter = self.adapter
        links, thing = adapter.link_pose(), adapter.object_pose()
        self._update_contact()
        assert self.contact is not None  # just found
        root = links[:, 0]
        back = inverse(root)
        seen = compose(back, thing)
        tips = compose(back[:, None, :], fingertip_poses(links, self._tip_link, self._tip_position))
        velocity = adapter.object_velocity()
        middle, half = (
            0.5 * (self.joint_upper + self.joint_lower),
            0.5 * (self.joint_upper - self.joint_lower),
        )
        half = half.clamp(min=1.0e-3)
        parts = [
            (adapter.joint_position() - middle) / half,
            0.1 * adapter.joint_velocity(),
            (self.targets - middle) / half,
            self.actions[:, : self._joint_actions],
            10.0 * seen[:, :3],
            rotation_six(seen[:, 3:]),
            rotate(back[:, 3:], velocity[:, :3]),
            0.1 * rotate(back[:, 3:], velocity[:, 3:]),
            torch.tensor([[50.0] * 3 + [5.0] * 3], device=self.device) * self._grasp_error(seen),
            self._task_observation(back),
            torch.cat([10.0 * tips[..., :3], rotation_six(tips[..., 3:])], dim=-1).flatten(1),
            self.geometry.finger_contact(self.contact),
            (self.time / self.cfg.episode_length_s)[:, None],
        ]
        if self.moves_wrist:
            parts += [10.0 * adapter.carrier_position(), self.actions[:, self._joint_actions :]]
        return {"policy": torch.cat(parts, dim=1).nan_to_num(0.0, 0.0, 0.0).clamp(-20.0, 20.0)}

    def _task_observation(self, back: torch.Tensor) -> torch.Tensor:
        """What the task wants, three numbers; ``back`` is the inverse of the root pose."""
        raise NotImplementedError

    def _task_reward(self) -> torch.Tensor:
        """In [0, 1], shape [W]."""
        raise NotImplementedError

    def _dropped(self) -> torch.Tensor:
        """Whether the object is lost, shape [W]."""
        raise NotImplementedError

    def _success(self) -> torch.Tensor:
        """Whether an episode that ends now has succeeded, shape [W]."""
        raise NotImplementedError

    def _get_dones(self) -> tuple[torch.Tensor, torch.Tensor]:
        self.contact = self.geometry.contacts(self.adapter.link_pose(), self.adapter.object_pose())
        self.steps += 1
        self._diverged = ~self.adapter.finite()
        self._divergences += self._diverged.sum()
        lost = self._dropped() | self._diverged
        over = self.episode_length_buf >= self.max_episode_length
        self.episode_succeeded = self._success() & ~lost
        return lost, over

    def _get_rewards(self) -> torch.Tensor:
        assert self.contact is not None  # set by _get_dones in the same step
        cfg = self.cfg
        self._last_distance = self.geometry.distance(self.contact)
        terms = {
            "contact": cfg.contact_weight * self.geometry.finger_contact(self.contact).mean(dim=1),
            "force_closure": cfg.force_closure_weight * torch.exp(-self.geometry.force_closure(self.contact)),
            "distance": -cfg.distance_weight * self._last_distance.clamp(max=1.0),
            "alignment": cfg.alignment_weight * self._alignment(),
            "task": cfg.task_weight * self._task_reward(),
            "action_rate": -cfg.action_rate_weight
            * (self.actions - self.previous_actions).square().mean(dim=1),
            "drop": -cfg.drop_penalty * self.reset_terminated.float(),
        }
        # Where the physics diverged, what was measured means nothing; the drop penalty stands.
        terms = {name: value.nan_to_num(0.0, 0.0, 0.0) for name, value in terms.items()}
        log = self.extras.setdefault("log", {})
        for name, value in terms.items():
            log[f"Reward/{name}"] = value.mean()
        return torch.stack(list(terms.values())).sum(dim=0) * self.step_dt
