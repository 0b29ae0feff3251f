"""What the learning tasks share: resets from pregrasps, residual actions around the open-loop squeeze, what is measured.

The nominal motion is the trajectory that a grasp file describes: pregrasp, grasp, squeeze. Actions are added to it, so
that zero actions are the open-loop squeeze, the baseline a policy has to beat.
"""

from __future__ import annotations

import logging
import math
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
from warpgrasp.eval.isaaclab.envs.base import HandScene
from warpgrasp.eval.isaaclab.envs.learning_config import LearningOptions
from warpgrasp.eval.isaaclab.frames import (
    carrier_from_pose,
    compose,
    inverse,
    multiply,
    pose_from_carrier,
    rotation_vector,
    turned_by,
)
from warpgrasp.eval.isaaclab.pool import GraspPool
from warpgrasp.eval.isaaclab.ways import DEEPEST, way_depth

__all__ = ["HandTask"]

_LOGGER = logging.getLogger(__name__)
_ALIGNED = (0.02, 0.3)  # m, rad; an object this far off earns e^-1


class HandTask(HandScene):
    """A hand that plays a grasp file, corrected by actions; mixed into direct and manager-based environments.

    The environment calls :meth:`start` for worlds that begin anew, :meth:`begin_step` before the physics of a step and
    :meth:`apply_command` before each of its physics steps. :meth:`measure` finds what there is to know after it.
    """

    cfg: Any
    step_dt: float
    max_episode_length: int
    reset_terminated: torch.Tensor

    def _load_pool(self, cfg: Any) -> GraspPool:
        """Grasps that the hand can get to: where it would go through the object, nothing can be learned."""
        pool = super()._load_pool(cfg)
        depth = way_depth(self.hand, pool)
        free = np.flatnonzero(depth <= DEEPEST)
        if len(free) < len(pool):
            _LOGGER.info(
                "%d of %d grasps are left out: between pregrasp and grasp the hand is up to %.0f mm inside the object",
                len(pool) - len(free),
                len(pool),
                1000.0 * depth.max(),
            )
        pool = pool.select(free)
        missing = sorted(set(range(len(pool.models))) - set(pool.object_index.tolist()))
        if missing:
            names = ", ".join(pool.models[index].name for index in missing)
            raise ValueError(
                f"all grasps of {names} take the hand more than {1000.0 * DEEPEST:.0f} mm into the object on the way from "
                f"pregrasp to grasp; generate other grasps"
            )
        return pool

    def _start_task(self, cfg: LearningOptions) -> None:
        """Make the state, once the scene is connected."""
        self.moves_wrist = cfg.carrier is not None
        self.geometry = ContactGeometry(self.hand, self.pool.models, self.world_object, self.device)
        links, positions = fingertips(self.hand)
        self._tip_link, self._tip_position = (
            torch.as_tensor(links, device=self.device),
            self._tensor(positions),
        )
        worlds, joints = self.num_envs, len(self.hand.joint_names)
        self.noise_scale = torch.ones(worlds, device=self.device)
        """Of the noise of the object's pose, in worlds that begin anew, shape [W]; a curriculum sets it."""
        self.push_scale = torch.ones(worlds, device=self.device)
        """Of the pushes, shape [W]; a curriculum sets it."""
        self.grasp = torch.zeros(worlds, dtype=torch.long, device=self.device)
        self.base = torch.zeros(worlds, 7, device=self.device)  # carrier base, or the fixed root
        self.place = torch.zeros(worlds, 7, device=self.device)  # the object at the reset
        self.base[:, 6] = self.place[:, 6] = 1.0
        groups = finger_groups(self.hand) if cfg.finger_actions else np.arange(joints)
        self._group = torch.as_tensor(groups, device=self.device)
        self.joint_action_count = int(groups.max()) + 1
        """Actions that move joints; those of the wrist follow them."""
        self._smooth = torch.zeros(worlds, self.joint_action_count, device=self.device)
        self._way_of_action = torch.zeros(worlds, joints, device=self.device)  # rad or m
        self.actions = torch.zeros(worlds, self.action_size, device=self.device)
        self.previous_actions = torch.zeros_like(self.actions)
        self.wrist = torch.zeros(worlds, 6, device=self.device)  # integrated wrist actions
        self.nominal = torch.zeros(
            worlds, 6, device=self.device
        )  # carrier joints of the motion, as last commanded
        self.targets = torch.zeros(worlds, joints, device=self.device)
        self.command = torch.zeros(
            worlds, joints + 6 * self.moves_wrist, device=self.device
        )  # this step's targets
        self._sent = self.command  # the last step's
        self._substep = 0
        # Counted from the reset, unlike ``episode_length_buf``, which a runner may start anywhere (rsl_rl's
        # ``init_at_random_ep_len``): the motion would begin in the middle of the squeeze.
        self.steps = torch.zeros(worlds, dtype=torch.long, device=self.device)
        self.contact: Contacts | None = None
        self._measured = True
        self._contact_is_old = torch.ones(worlds, dtype=torch.bool, device=self.device)
        self.lost = torch.zeros(worlds, dtype=torch.bool, device=self.device)
        self.episode_succeeded = torch.zeros(worlds, dtype=torch.bool, device=self.device)
        self.diverged = torch.zeros(worlds, dtype=torch.bool, device=self.device)
        self._divergences = torch.zeros((), dtype=torch.long, device=self.device)
        self._overflow_said = False
        self._outcome = torch.full((worlds, 2), torch.nan, device=self.device)  # of each world's last episode

    @property
    def action_size(self) -> int:
        """Number of actions."""
        return self.joint_action_count + 6 * self.moves_wrist

    def start(self, worlds: torch.Tensor) -> None:
        """Put hands and objects of the worlds [N] where an episode begins."""
        self._draw(worlds)
        self.steps[worlds] = 0
        chosen = self.grasp[worlds]
        self.actions[worlds] = self.previous_actions[worlds] = 0.0
        self.wrist[worlds] = self._smooth[worlds] = 0.0
        self.targets[worlds] = self.pool.pregrasp_joints[chosen]
        self._way_of_action[worlds] = self._action_ways(chosen)
        ids = worlds.to(torch.int32)
        self.adapter.write_object(self.place[worlds], ids)
        carrier = self._start_carrier(worlds) if self.moves_wrist else None
        self.nominal[worlds] = 0.0 if carrier is None else carrier
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
        largest = torch.zeros(len(chosen), self.joint_action_count, device=self.device)
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
        scale = self.noise_scale[worlds, None]
        way = (
            torch.nn.functional.normalize(way, dim=1)
            * scale
            * self.cfg.position_noise
            * length ** (1.0 / 3.0)
        )
        turn = turned_by(torch.nn.functional.normalize(axis, dim=1) * scale * self.cfg.angle_noise * angle)
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

    def outcome(self, worlds: torch.Tensor) -> dict[str, torch.Tensor]:
        """Metrics, before the worlds [N] begin anew: success of every world's last whole episode.

        That counts short and long ones alike. An episode that a runner or a call of ``reset`` cut short has no outcome.
        """
        whole = self.reset_terminated[worlds] | (self.steps[worlds] >= self.max_episode_length)
        ended = worlds[whole & (self.steps[worlds] > 0)]
        if not len(ended):
            return {}
        held, lost = self.episode_succeeded[ended], self.reset_terminated[ended]
        self._outcome[ended] = torch.stack([held, lost], dim=1).float()
        rate = self._outcome.nanmean(dim=0)
        overflow = self.adapter.worlds_overflowed().float().mean()
        if overflow > 0.0 and not self._overflow_said:
            self._overflow_said = True
            _LOGGER.warning(
                "more contacts than contact_limit=%d per world: the rest is lost, so forces are wrong there; raise the "
                "option contact_limit (share of worlds: Metrics/contact_overflow)",
                self.cfg.contact_limit,
            )
        return {
            "Metrics/success_rate": rate[0],
            "Metrics/dropped": rate[1],
            "Metrics/diverged": self._divergences.float(),  # times, since the start
            "Metrics/contact_overflow": overflow,
        }

    @property
    def closing_start(self) -> float:
        """When the fingers begin to close [s] after the reset."""
        return 0.0

    def step_count(self, seconds: float) -> int:
        """The first step that begins at or after this time from the reset."""
        return math.ceil(seconds / self.step_dt - 1.0e-6)

    @property
    def divergence_count(self) -> int:
        """How often the state of a world was no longer finite, since the environment was made."""
        return int(self._divergences)

    @property
    def time(self) -> torch.Tensor:
        """Seconds since the reset, shape [W]."""
        return self.steps * self.step_dt

    def begin_step(self, actions: torch.Tensor) -> None:
        self.measure()
        self._measured = False
        self.previous_actions = self.actions
        self.actions = actions.clamp(-1.0, 1.0)
        first, second = self._legs()
        pool, chosen = self.pool, self.grasp
        nominal = pool.pregrasp_joints[chosen]
        nominal = nominal + first * (pool.grasp_joints[chosen] - nominal)
        nominal = nominal + second * (pool.squeeze_joints[chosen] - pool.grasp_joints[chosen])
        own = self.actions[:, : self.joint_action_count]
        if self.cfg.joint_action_rate > 0.0:
            self._smooth = (self._smooth + self.cfg.joint_action_rate * own).clamp(-1.0, 1.0)
        else:
            self._smooth = own.lerp(self._smooth, self.cfg.action_smoothing)
        self.targets = nominal + self._way_of_action * self._smooth[:, self._group]
        carrier = None
        if self.moves_wrist:
            self._move_wrist(self.actions[:, self.joint_action_count :])
            self.nominal = self.nominal_carrier()
            carrier = self.nominal + self.wrist
        self._sent = torch.where((self.steps == 0)[:, None], self._start_command(), self.command)
        self.command = self.targets if carrier is None else torch.cat([self.targets, carrier], dim=1)
        self._substep = 0

    def _start_command(self) -> torch.Tensor:
        """Joint and carrier targets at a reset, shape [W, J] or [W, J + 6]."""
        start = self._start_joints(self.grasp)
        return torch.cat([start, self._start_carrier(self.all_worlds)], dim=1) if self.moves_wrist else start

    def apply_command(self) -> None:
        """Targets move evenly through a step: jumps would shake what the hand holds. Pushes hold for the step."""
        self._substep += 1
        command = torch.lerp(self._sent, self.command, min(self._substep / self.cfg.decimation, 1.0))
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

    def nominal_carrier(self) -> torch.Tensor:
        """Carrier joints [m, rad] of the nominal motion now, shape [W, 6]; zero at the pregrasp."""
        return self._legs()[0] * self._approach()

    def _start_carrier(self, worlds: torch.Tensor) -> torch.Tensor:
        """Carrier joints [m, rad] at the reset of the worlds [N], shape [N, 6]."""
        return torch.zeros(len(worlds), 6, device=self.device)

    def _approach(self) -> torch.Tensor:
        """Carrier joints [W, 6] at the grasp; they are zero at the pregrasp."""
        chosen = self.grasp
        return carrier_from_pose(self.pool.pregrasp_root[chosen], self.pool.grasp_root[chosen])

    def grasp_error(self, seen: torch.Tensor) -> torch.Tensor:
        """How far the object is from where the grasp has it: centre of mass [m] and rotation vector [rad].

        Along the axes of the hand root, shape [W, 6]. A hand that moves by this has the object where the nominal
        motion expects it now.

        Args:
            seen: Object in the frame of the hand root, shape [W, 7].
        """
        root = self.pool.grasp_root[self.grasp]
        if self.moves_wrist:
            root = pose_from_carrier(self.pool.pregrasp_root[self.grasp], self.nominal)
        expected = inverse(root)  # the object in the frame of the hand root
        center = self.adapter.center_of_mass
        way = seen[:, :3] + rotate(seen[:, 3:], center) - expected[:, :3] - rotate(expected[:, 3:], center)
        turn = multiply(seen[:, 3:], inverse(expected)[:, 3:])
        return torch.cat([way, rotation_vector(turn)], dim=1)

    def alignment(self) -> torch.Tensor:
        """1 where the object lies in the hand as the nominal motion has it, less elsewhere, shape [W]."""
        error = self.grasp_error(self.root_frame()[1]).nan_to_num(1.0)
        scale = error.new_tensor([_ALIGNED[0]] * 3 + [_ALIGNED[1]] * 3)
        return torch.exp(-(error / scale).square().sum(dim=1))

    def closing_actions(self) -> torch.Tensor:
        """Joint actions, 1, -1 or 0, that close the fingers as the grasp file does, shape [W, actions]."""
        if self.cfg.finger_actions:
            return torch.ones_like(self._smooth)
        pool, chosen = self.pool, self.grasp
        return torch.sign(pool.squeeze_joints[chosen] - pool.pregrasp_joints[chosen])

    def root_frame(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Pose that brings world coordinates into the frame of the hand root, and the object in that frame, each [W, 7]."""
        back = inverse(self.adapter.link_pose()[:, 0])
        return back, compose(back, self.adapter.object_pose())

    def fingertips(self) -> torch.Tensor:
        """Poses of the fingertips in the frame of the hand root, shape [W, F, 7]."""
        links = self.adapter.link_pose()
        tips = fingertip_poses(links, self._tip_link, self._tip_position)
        return compose(inverse(links[:, 0])[:, None, :], tips)

    def measured_contact(self) -> Contacts:
        """What touched what at the end of the last step's physics, before any reset."""
        self.measure()
        return self.contact if self.contact is not None else self.present_contact()

    def present_contact(self) -> Contacts:
        """What touches what now, resets included."""
        self._update_contact()
        assert self.contact is not None  # just found
        return self.contact

    def _update_contact(self) -> None:
        """Bring contacts up to date where something was reset; the others were found for the rewards."""
        links, thing, old = self.adapter.link_pose(), self.adapter.object_pose(), self._contact_is_old
        if self.contact is None or bool(old.all()):
            self.contact = self.geometry.contacts(links, thing)
        elif bool(old.any()):
            worlds = old.nonzero()[:, 0]
            self.contact.put(worlds, self.geometry.contacts(links[worlds], thing[worlds], worlds))
        self._contact_is_old = torch.zeros_like(old)

    def disturb(self) -> None:
        """Push the objects; nothing by default."""

    def task_observation(self, back: torch.Tensor) -> torch.Tensor:
        """What the task wants, three numbers; ``back`` is the inverse of the root pose."""
        raise NotImplementedError

    def task_reward(self) -> torch.Tensor:
        """In [0, 1], shape [W]."""
        raise NotImplementedError

    def _dropped(self) -> torch.Tensor:
        """Whether the object is lost, shape [W]."""
        raise NotImplementedError

    def _success(self) -> torch.Tensor:
        """Whether an episode that ends now has succeeded, shape [W]."""
        raise NotImplementedError

    def _progress(self) -> None:
        """Count what success needs; nothing by default."""

    def measure(self) -> None:
        """Contacts, time, divergence and success after the physics of a step; only the first call of a step works."""
        if self._measured:
            return
        self._measured = True
        self.contact = self.geometry.contacts(self.adapter.link_pose(), self.adapter.object_pose())
        self.steps += 1
        self.diverged = ~self.adapter.finite()
        self._divergences += self.diverged.sum()
        self._progress()
        self.lost = self._dropped() | self.diverged
        self.episode_succeeded = self._success() & ~self.lost
