"""Event term: put a hand and an object of anybody's task into a grasp.

For manager-based and direct environments of Isaac Lab, with the grasps of this package's files::

    grasp = EventTermCfg(
        func=reset_to_grasp,
        mode="reset",
        params={
            "asset_cfg": SceneEntityCfg("robot"),
            "object_cfg": SceneEntityCfg("object"),
            "hand": "allegro",
            "grasps": ["grasps/cube.npz"],
            "stage": "grasp",
            "probability": 0.5,
        },
    )

Put it after the terms that place arm and object: it reads where they are. Worlds in which no grasp is clear of the ground
keep what the other terms did.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from isaaclab.managers import EventTermCfg, ManagerTermBase, SceneEntityCfg
from numpy.typing import NDArray

from warpgrasp.eval.isaaclab.adapter import from_engine_pose, rotate, to_engine_pose
from warpgrasp.eval.isaaclab.assets import moving_joint_names
from warpgrasp.eval.isaaclab.frames import compose, inverse
from warpgrasp.eval.isaaclab.hand_map import HandMap, map_by_name
from warpgrasp.eval.isaaclab.pool import load_pool, shipped_grasps
from warpgrasp.hands import load_hand

__all__ = ["STAGES", "reset_to_grasp", "simulated_poses"]

STAGES: tuple[str, ...] = ("pregrasp", "grasp", "lifted")
"""Opened before the object; closed on it, the drives pressing; the same, raised."""

_TRIES = 8  # grasps drawn per world until one is clear


class reset_to_grasp(ManagerTermBase):  # noqa: N801  (Isaac Lab names its terms like functions)
    """Reset worlds to grasps: joints and drive targets of the hand, and the object in it or the hand at it.

    Parameters of the term:

    - ``asset_cfg``, ``object_cfg``: articulation with the hand, and the rigid object.
    - ``hand``: hand model of the grasps, shipped name or path.
    - ``grasps``: npz files or ``GraspSet``s of one object; the shipped ones of the first object when empty.
    - ``stage``: one of :data:`STAGES`.
    - ``probability``: that a world is reset to a grasp.
    - ``hand_map``: :class:`~warpgrasp.eval.isaaclab.hand_map.HandMap` of the asset; by name when ``None``, for assets made of
      the hand model.
    - ``move``: ``object`` puts the object into the hand where the hand is, on an arm for example; ``hand`` moves the root
      of the asset to the object, for hands that float or whose root is fixed.
    - ``object_frame``: where the asset's body frame is: ``mesh``, the frame of the grasp file, or ``center_of_mass``.
    - ``ground``: height [m] in the world's frame below which neither hand nor object may be; ``None`` checks nothing.
    - ``clearance``: distance from the ground [m].
    - ``lift``: how far ``lifted`` raises both [m], with ``move="hand"``.

    Raises:
        ValueError: Unknown stage or ``move``, grasps of several objects, or a joint that the asset lacks.
    """

    def __init__(self, cfg: EventTermCfg, env: Any) -> None:
        super().__init__(cfg, env)
        options = cfg.params
        _check(options)
        self._robot = env.scene[options["asset_cfg"].name]
        self._object = env.scene[options["object_cfg"].name]
        self._hand = load_hand(options["hand"])
        files = tuple(options.get("grasps", ())) or shipped_grasps(self._hand.name)[:1]
        self._pool = load_pool(self._hand, files, device=env.device)
        if len(self._pool.models) != 1:
            several = ", ".join(model.name for model in self._pool.models)
            raise ValueError(f"grasps must be of one object (got {several}); add a term per object")
        names = list(self._robot.joint_names)
        link = self._hand.link_paths[0].rsplit("/", 1)[-1]
        found: HandMap = options.get("hand_map") or map_by_name(self._hand, names, link=link)
        self._driven = self._tensor([names.index(name) for name in found.joint_names], torch.long)
        self._sign, self._offset = self._tensor(found.sign), self._tensor(found.offset)
        self._followers, self._leader, self._ratio, self._shift_of_follower = self._couplings(names, found)
        self._link_pose = self._tensor([found.pose])
        self._body = list(self._robot.body_names).index(found.link)
        center = self._pool.center_of_mass[:1] * (options.get("object_frame", "mesh") == "center_of_mass")
        self._shift = center  # body frame of the asset in the frame of the grasp file
        self._points: dict[str, torch.Tensor] = {}  # by stage, made when used

    def __call__(
        self,
        env: Any,
        env_ids: torch.Tensor,
        asset_cfg: SceneEntityCfg,
        object_cfg: SceneEntityCfg,
        hand: str,
        grasps: Sequence[Any] = (),
        stage: str = "grasp",
        probability: float = 1.0,
        hand_map: HandMap | None = None,
        move: str = "object",
        object_frame: str = "mesh",
        ground: float | None = None,
        clearance: float = 0.003,
        lift: float = 0.1,
    ) -> None:
        """Reset the worlds ``env_ids``; see the class."""
        worlds = torch.arange(env.num_envs, device=env.device)[env_ids]
        worlds = worlds[torch.rand(len(worlds), device=env.device) < probability]
        if not len(worlds):
            return
        env.sim.forward()  # where the terms before this one have put the links
        origins = env.scene.env_origins[worlds]
        held = self._object_pose(worlds, origins) if move == "hand" else None
        raised = lift if move == "hand" and stage == "lifted" else 0.0
        chosen = torch.zeros(len(worlds), dtype=torch.long, device=env.device)
        place = torch.zeros(len(worlds), 7, device=env.device)  # of the object
        open_worlds = torch.ones(len(worlds), dtype=torch.bool, device=env.device)
        for _ in range(_TRIES):
            drawn = torch.randint(len(self._pool), (len(worlds),), device=env.device)
            pose = self._in_hand(worlds, origins, drawn, stage) if held is None else held.clone()
            pose[:, 2] += raised
            clear = self._clear(pose, drawn, stage, ground, clearance)
            take = open_worlds & clear
            chosen = torch.where(take, drawn, chosen)
            place = torch.where(take[:, None], pose, place)
            open_worlds &= ~clear
            if not bool(open_worlds.any()):
                break
        found = ~open_worlds
        self._write(worlds[found], origins[found], chosen[found], place[found], stage, move)

    def _root(self, chosen: torch.Tensor, stage: str) -> torch.Tensor:
        pool = self._pool
        return (pool.pregrasp_root if stage == "pregrasp" else pool.grasp_root)[chosen]

    def _in_hand(
        self, worlds: torch.Tensor, origins: torch.Tensor, chosen: torch.Tensor, stage: str
    ) -> torch.Tensor:
        """Object frames for hands that stay where they are, relative to the world's origin, shape [N, 7]."""
        data = self._robot.data
        link = torch.cat([data.body_link_pos_w.torch, data.body_link_quat_w.torch], dim=-1)[
            worlds, self._body
        ]
        link = from_engine_pose(link)
        link[:, :3] -= origins
        root = compose(link, self._link_pose.expand(len(worlds), -1))
        return compose(root, inverse(self._root(chosen, stage)))

    def _object_pose(self, worlds: torch.Tensor, origins: torch.Tensor) -> torch.Tensor:
        data = self._object.data
        pose = torch.cat([data.root_link_pos_w.torch, data.root_link_quat_w.torch], dim=-1)[worlds]
        pose = from_engine_pose(pose)
        pose[:, :3] -= origins + rotate(pose[:, 3:], self._shift.expand(len(worlds), -1))
        return pose

    def _surface_points(self, stage: str) -> torch.Tensor:
        """Lowest points to look at: collision spheres of the hand [G, S, 4] and the object's vertices, frame of the file."""
        targets, spheres = self._pool.targets, []
        name = "pregrasp" if stage == "pregrasp" else "grasp"
        for grasp in range(len(self._pool)):
            parts = (
                getattr(targets, f"{name}_{part}")[grasp] for part in ("position", "quaternion", "joints")
            )
            spheres.append(self._hand.sphere_centers(*parts))
        centers = np.array(spheres)
        radius = np.broadcast_to(self._hand.sphere_radius[None, :, None], (*centers.shape[:2], 1))
        vertices = np.asarray(self._pool.models[0].vertices)
        solid = np.concatenate([vertices, np.zeros((len(vertices), 1))], axis=1)
        whole = np.concatenate(
            [np.concatenate([centers, radius], axis=2), np.broadcast_to(solid, (len(centers), *solid.shape))],
            axis=1,
        )
        return torch.as_tensor(whole, dtype=torch.float32, device=self._pool.grasp_root.device)

    def _clear(
        self, pose: torch.Tensor, chosen: torch.Tensor, stage: str, ground: float | None, clearance: float
    ) -> torch.Tensor:
        if ground is None:
            return torch.ones(len(pose), dtype=torch.bool, device=pose.device)
        if stage not in self._points:
            self._points[stage] = self._surface_points(stage)
        points = self._points[stage][chosen]
        height = rotate(pose[:, None, 3:], points[..., :3])[..., 2] + pose[:, None, 2] - points[..., 3]
        spheres = self._hand.sphere_radius.shape[0]
        hand = height[:, :spheres].amin(dim=1) > ground + clearance
        return hand & (height[:, spheres:].amin(dim=1) > ground - 1.0e-3)  # an object may rest there

    def _write(
        self,
        worlds: torch.Tensor,
        origins: torch.Tensor,
        chosen: torch.Tensor,
        place: torch.Tensor,
        stage: str,
        move: str,
    ) -> None:
        if not len(worlds):
            return
        ids, pool, robot = worlds.to(torch.int32), self._pool, self._robot
        body = place.clone()
        body[:, :3] += rotate(place[:, 3:], self._shift.expand(len(worlds), -1)) + origins
        still = torch.zeros(len(worlds), 6, device=place.device)
        self._object.write_root_pose_to_sim_index(root_pose=to_engine_pose(body), env_ids=ids)
        self._object.write_root_velocity_to_sim_index(root_velocity=still, env_ids=ids)
        if move == "hand":
            root = compose(place, self._root(chosen, stage))
            root = compose(root, inverse(self._link_pose).expand(len(worlds), -1))
            root[:, :3] += origins
            robot.write_root_pose_to_sim_index(root_pose=to_engine_pose(root), env_ids=ids)
        opened = stage == "pregrasp"
        joints = self._sign * (pool.pregrasp_joints if opened else pool.grasp_joints)[chosen] + self._offset
        command = (
            self._sign * (pool.pregrasp_joints if opened else pool.squeeze_joints)[chosen] + self._offset
        )
        following = joints[:, self._leader] * self._ratio + self._shift_of_follower
        position = torch.cat([joints, following], dim=1)
        index = torch.cat([self._driven, self._followers])
        robot.write_joint_position_to_sim_index(position=position, joint_ids=index, env_ids=ids)
        rest = torch.zeros_like(position)
        robot.write_joint_velocity_to_sim_index(velocity=rest, joint_ids=index, env_ids=ids)
        target = robot.actuators.target_command
        target.set_position_index(value=command.contiguous(), joint_ids=self._driven, env_ids=ids)

    def _couplings(self, names: list[str], found: HandMap) -> tuple[torch.Tensor, ...]:
        """Joints of the asset that follow others, of the same names in the model: index, leader, ratio, offset."""
        hand = self._hand
        rows = [
            (
                names.index(name),
                int(hand.joint_dof[link]),
                float(hand.joint_multiplier[link]),
                float(hand.joint_offset[link]),
            )
            for link, name in enumerate(moving_joint_names(hand))
            if name in names and name not in found.joint_names
        ]
        index, leader, ratio, offset = zip(*rows, strict=True) if rows else ((), (), (), ())
        kinds = (torch.long, torch.long, torch.float32, torch.float32)
        return tuple(map(self._tensor, (index, leader, ratio, offset), kinds))

    def _tensor(self, values: Any, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        return torch.tensor(values, dtype=dtype, device=self.device)


def simulated_poses(
    env: Any, asset: str, joint_names: Sequence[str], link: str, links: Sequence[str]
) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """Forward kinematics of an asset by the simulation itself, for ``fit_hand_map``.

    Args:
        env: An environment with the asset; its first world is posed, and has to be reset afterwards.
        asset: Name of the articulation in the scene.
        joint_names: Its joints in the order of the values [J].
        link: Body in whose frame poses are told.
        links: Bodies whose poses are told.

    Returns:
        Joints [J] (rad or m) -> position [m] and quaternion xyzw of the K bodies in the frame of ``link``, shape [K, 7].

    Raises:
        ValueError: The asset lacks a joint or a body; the sentence names what it has.
    """
    robot = env.scene[asset]
    joints, bodies = list(robot.joint_names), list(robot.body_names)
    for wanted, available in ((joint_names, joints), ([link, *links], bodies)):
        missing = [name for name in wanted if name not in available]
        if missing:
            raise ValueError(f"{asset!r} lacks {', '.join(missing)}; it has {', '.join(available)}")
    index = torch.tensor([joints.index(name) for name in joint_names], device=env.device)
    first = torch.zeros(1, dtype=torch.int32, device=env.device)
    shown = [bodies.index(name) for name in links]

    def poses(values: NDArray[np.float64]) -> NDArray[np.float64]:
        position = torch.as_tensor(values, dtype=torch.float32, device=env.device)[None]
        robot.write_joint_position_to_sim_index(position=position, joint_ids=index, env_ids=first)
        env.sim.forward()
        data = robot.data
        pose = torch.cat([data.body_link_pos_w.torch[0], data.body_link_quat_w.torch[0]], dim=-1)
        pose = from_engine_pose(pose)
        own = compose(inverse(pose[bodies.index(link)])[None].expand(len(shown), -1), pose[shown])
        return np.asarray(own.cpu().numpy(), dtype=np.float64)

    return poses


def _check(options: dict[str, Any]) -> None:
    for name, known, default in (
        ("stage", STAGES, "grasp"),
        ("move", ("object", "hand"), "object"),
        ("object_frame", ("mesh", "center_of_mass"), "mesh"),
    ):
        value = options.get(name, default)
        if value not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)} (got {value!r})")
