"""What the three environments share: the scene of one hand and one object per world, and the adapter to it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import isaaclab.sim as sim_utils
import numpy as np
import torch
from isaaclab.actuators import ImplicitActuatorCfg
from isaaclab.assets import ArticulationCfg, AssetBaseCfg, RigidObjectCfg
from isaaclab.envs import DirectRLEnv, DirectRLEnvCfg
from isaaclab.physics import PhysicsCfg
from isaaclab.scene import InteractiveSceneCfg
from isaaclab.sim import SimulationCfg
from isaaclab.utils import configclass
from pxr import Usd

from warpgrasp.eval.isaaclab.adapter import (
    SceneAdapter,
    engine_of,
    physics_config,
    require_engine,
    set_solver_options,
)
from warpgrasp.eval.isaaclab.assets import (
    CARRIER_JOINTS,
    CarrierConfig,
    ObjectBody,
    hand_usd,
    moving_joint_names,
    object_usds,
)
from warpgrasp.eval.isaaclab.first_start import announce_first_start, show_compilation
from warpgrasp.eval.isaaclab.pool import GraspPool, load_pool, shipped_grasps
from warpgrasp.eval.isaaclab.video import WorldCamera
from warpgrasp.hands import load_hand
from warpgrasp.hands.model import HandModel

__all__ = [
    "HandScene",
    "HandSceneCfg",
    "HandSceneOptions",
    "WarpGraspEnv",
    "WarpGraspEnvCfg",
    "automatic_device",
    "check_schemas",
]

_LIMIT_TIME = 0.02  # s, of joint limits, as in MuJoCo


@configclass
class HandSceneCfg(InteractiveSceneCfg):
    """A hand and an object in every world; filled in from the options of the environment."""

    hand: ArticulationCfg | None = None
    object: RigidObjectCfg | None = None
    table: RigidObjectCfg | AssetBaseCfg | None = None


@configclass
class HandSceneOptions:
    """Options of all environments, whether direct or manager-based."""

    hand: str = "allegro"
    """Shipped hand or path of a USD hand."""
    grasps: Any = ()
    """Grasp files (npz) or ``GraspSet``s; the shipped ones when empty."""
    physics: str = "auto"
    """``newton``, or ``physx`` with Isaac Sim; ``auto`` is the engine of ``sim.physics``, Newton where that is empty."""
    carrier: CarrierConfig | None = None
    """Arm that moves the root; ``None`` fixes it."""
    object_mass: float | None = None
    """[kg]; 500 kg/m^3 when ``None``."""
    friction: float = 1.0
    """Coulomb coefficient of every contact."""
    torsional_friction: float = 0.0
    """Coefficient of friction against twisting, of every contact [m] (Newton)."""
    cone: str = "pyramidal"
    """Friction cone (Newton): ``pyramidal`` or ``elliptic``."""
    mujoco_contacts: bool = False
    """Let MuJoCo find contacts instead of Newton (Newton physics); counts in scenes with one object."""
    contact_limit: int = 96
    """Contacts per world (Newton)."""
    solver_iterations: int = 50
    """Most iterations of the contact solver, which stops when it has converged (Newton)."""
    stiffness: Any = None
    """Of the hand's drives [Nm/rad or N/m]: one number, or one per independent joint; the asset's when ``None``. So are
    the four that follow."""
    damping: Any = None
    effort: Any = None
    armature: Any = None
    joint_friction: Any = None

    decimation: int = 1
    episode_length_s: float = 1.5
    sim: SimulationCfg = SimulationCfg(dt=0.005, device="auto", gravity=(0.0, 0.0, 0.0))
    scene: HandSceneCfg = HandSceneCfg(num_envs=64, env_spacing=1.0)
    seed: int | None = 0

    def fill_physics(self, *, object_count: int = 0) -> None:
        """Bring ``sim.physics`` in line with the options above; what else a Newton configuration holds stays.

        Args:
            object_count: Number of objects, where it is known: MuJoCo's contacts need a scene with one.
        """
        given = self.sim.physics
        if given is not None and not isinstance(given, PhysicsCfg):
            given = given.default  # a preset of Isaac Lab of which nothing was chosen
        engine = self.physics
        if engine == "auto":
            engine = "newton" if given is None else engine_of(given)
        options: dict[str, Any] = {
            "cone": self.cone,
            "contact_limit": self.contact_limit,
            "iterations": self.solver_iterations,
            "own_contacts": self.mujoco_contacts and object_count <= 1,
            "device": self.sim.device,
        }
        if given is None or engine != engine_of(given):
            given = physics_config(engine, **options)
        elif engine == "newton":
            set_solver_options(given, **options)
        self.sim.physics = given

    def complete(self) -> None:
        """Fill in the options that follow from others."""


@configclass
class WarpGraspEnvCfg(HandSceneOptions, DirectRLEnvCfg):
    """Options of the direct environments."""

    action_space: Any = 1
    observation_space: Any = 1
    state_space: Any = 0

    def declare_spaces(self) -> None:
        """Fill in the sizes of actions and observations, which depend on the hand."""
        self.complete()
        hand = load_hand(self.hand)
        self.action_space = len(hand.joint_names)
        self.observation_space = self.observation_size(hand)

    def observation_size(self, hand: HandModel) -> int:
        """Length of an observation."""
        return 3 * len(hand.joint_names) + 7


class HandScene:
    """Builds the scene from the options, holds hand, grasps and adapter; mixed into an environment of Isaac Lab.

    The environment calls ``_prepare`` before the simulation is made and ``_connect`` once it runs.
    """

    cfg: Any
    scene: Any
    device: str
    num_envs: int
    render_mode: str | None

    def _connect(self, cfg: HandSceneOptions) -> None:
        """Find hand and object in the running simulation and set what assets cannot say."""
        self.adapter = SceneAdapter(self.scene, self.hand, self.pool.center_of_mass[self.world_object])
        self._set_contact()
        # Newton's import gives joint limits a stiffness that the time step does not resolve: fingers pressed to their
        # limits, on a table for example, would fly apart.
        self.adapter.set_limits(time_constant=max(_LIMIT_TIME, 2.0 * cfg.sim.dt))
        self.adapter.stiffen_couplings(cfg.sim.dt)
        self.all_worlds = torch.arange(self.num_envs, device=self.device)
        self.joint_lower = self._tensor(self.hand.dof_lower)
        self.joint_upper = self._tensor(self.hand.dof_upper)

    def _prepare(self, cfg: HandSceneOptions) -> None:
        """Load hand and grasps and fill in the configuration; no physics engine is needed for that."""
        show_compilation()
        if cfg.sim.device == "auto":
            cfg.sim.device = automatic_device()
        self.hand = load_hand(cfg.hand)
        cfg.complete()
        self.pool = self._load_pool(cfg)
        self.world_object = self._world_objects(cfg).to(cfg.sim.device)
        self._fill_scene(cfg)

    def _prepare_pictures(self, cfg: HandSceneOptions, render_mode: str | None) -> None:
        """Before the simulation is made: say that a first start compiles, and load what a camera sees."""
        if engine_of(cfg.sim.physics) == "newton":
            announce_first_start()
        if render_mode == "rgb_array" and hasattr(cfg.sim.physics, "load_visual_shapes"):
            cfg.sim.physics.load_visual_shapes = True
        self._camera: WorldCamera | None = None

    def _picture(self) -> np.ndarray | None:
        """Picture of the first world by Newton's camera, shape [360, 480, 3]; ``None`` where none was asked for."""
        if self.render_mode != "rgb_array" or engine_of(self.cfg.sim.physics) != "newton":
            return None
        from isaaclab_newton.physics import NewtonManager

        if self._camera is None:
            origins = self.scene.env_origins.cpu().numpy().astype(np.float64)
            self._camera = WorldCamera(NewtonManager.get_model(), origins)
        return self._camera.frame(NewtonManager.get_state_0())

    def _load_pool(self, cfg: Any) -> GraspPool:
        files: Sequence[Any] = cfg.grasps or shipped_grasps(self.hand.name)
        return load_pool(
            self.hand,
            files,
            device=cfg.sim.device,
            stiffness=per_dof(cfg.stiffness, self.hand.dof_stiffness),
            effort=per_dof(cfg.effort, self.hand.dof_effort),
        )

    def _world_objects(self, cfg: Any) -> torch.Tensor:
        """Object of each world, shape [W]."""
        return torch.arange(cfg.scene.num_envs) % len(self.pool.center_of_mass)

    def _bodies(self, cfg: Any) -> list[ObjectBody]:
        """The objects as physics knows them, in the order of the pool."""
        bodies = [ObjectBody.from_model(model, cfg.object_mass) for model in self.pool.models]
        dimension = 4 if cfg.torsional_friction > 0.0 else 3
        return [dataclasses.replace(body, contact_dimension=dimension) for body in bodies]

    def _set_contact(self) -> None:
        self.adapter.set_contact(friction=self.cfg.friction, torsional=self.cfg.torsional_friction)

    def _fill_scene(self, cfg: HandSceneOptions) -> None:
        cfg.fill_physics(object_count=len(self.pool.center_of_mass))
        cfg.scene.hand = _hand_cfg(cfg, self.hand)
        paths = object_usds(self._bodies(cfg))
        cfg.scene.object = RigidObjectCfg(
            prim_path="{ENV_REGEX_NS}/Object",
            spawn=_spawn(paths),
            init_state=RigidObjectCfg.InitialStateCfg(pos=(0.0, 0.0, 0.0)),
        )
        index = self.world_object.cpu().numpy()
        cfg.scene.clone_cfg.clone_strategy = lambda weights, count: index[:count]

    def _tensor(self, values: Any) -> torch.Tensor:
        return torch.as_tensor(np.asarray(values), dtype=torch.float32, device=self.device)


class WarpGraspEnv(HandScene, DirectRLEnv):
    """Base of the direct environments."""

    cfg: WarpGraspEnvCfg

    def __init__(self, cfg: WarpGraspEnvCfg, render_mode: str | None = None, **_: Any) -> None:
        check_schemas()
        self._prepare(cfg)
        require_engine(engine_of(cfg.sim.physics))
        self._prepare_pictures(cfg, render_mode)
        super().__init__(cfg, render_mode)
        self._connect(cfg)

    def render(self, recompute: bool = False) -> np.ndarray | None:
        """Picture of the first world by Newton's camera with ``render_mode="rgb_array"``, shape [360, 480, 3]."""
        picture = self._picture()
        return super().render(recompute) if picture is None else picture

    def _prepare(self, cfg: HandSceneOptions) -> None:
        super()._prepare(cfg)
        cast(WarpGraspEnvCfg, cfg).declare_spaces()


def automatic_device() -> str:
    """``cuda:0`` where there is a CUDA device, else ``cpu``."""
    return "cuda:0" if torch.cuda.is_available() else "cpu"


def check_schemas() -> None:
    """Refuse to simulate with joints that lost their couplings."""
    if not Usd.SchemaRegistry().FindAppliedAPIPrimDefinition("NewtonMimicAPI"):
        raise RuntimeError(
            "OpenUSD does not know Newton's schemas, so mimic joints would be ignored: "
            "import warpgrasp.eval.isaaclab before anything that opens a USD file"
        )


def per_dof(value: Any, own: np.ndarray) -> np.ndarray:
    """An option, one number or one per degree of freedom, for every degree of freedom, or the hand's own values."""
    given = own if value is None else value
    return np.broadcast_to(np.asarray(given, dtype=np.float64), (len(own),))


def _spawn(paths: Sequence[Path]) -> Any:
    if len(paths) == 1:
        return sim_utils.UsdFileCfg(usd_path=str(paths[0]))
    spawn = sim_utils.MultiAssetSpawnerCfg(
        assets_cfg=[sim_utils.UsdFileCfg(usd_path=str(path)) for path in paths]
    )
    if hasattr(spawn, "random_choice"):
        spawn.random_choice = (
            False  # deprecated and without effect, but Isaac Lab warns where it is left at True
        )
    return spawn


def _hand_cfg(cfg: HandSceneOptions, hand: HandModel) -> ArticulationCfg:
    names = moving_joint_names(hand)
    opening = {
        name: float(
            hand.joint_multiplier[link] * hand.dof_opening[hand.joint_dof[link]] + hand.joint_offset[link]
        )
        for link, name in enumerate(names)
        if name
    }
    driven = {dof: _escaped(names[link]) for dof, link in enumerate(hand.driving_links)}

    def by_name(value: Any) -> dict[str, float] | None:
        if value is None:
            return None
        values = per_dof(value, hand.dof_stiffness)
        return {name: float(values[dof]) for dof, name in driven.items()}

    drives = {
        "hand": ImplicitActuatorCfg(
            joint_names_expr=list(driven.values()),
            stiffness=by_name(cfg.stiffness),
            damping=by_name(cfg.damping),
            joint_effort_limit=by_name(cfg.effort),
            armature=by_name(cfg.armature),
            friction=by_name(cfg.joint_friction),
        )
    }
    if cfg.carrier is not None:
        opening.update(dict.fromkeys(CARRIER_JOINTS, 0.0))
        drives["carrier"] = ImplicitActuatorCfg(
            joint_names_expr=list(CARRIER_JOINTS), stiffness=None, damping=None
        )
    return ArticulationCfg(
        prim_path="{ENV_REGEX_NS}/Hand",
        spawn=sim_utils.UsdFileCfg(usd_path=str(hand_usd(hand, carrier=cfg.carrier)), fix_root_link=True),
        init_state=ArticulationCfg.InitialStateCfg(pos=(0.0, 0.0, 0.5), joint_pos=opening),
        actuators=drives,
    )


def _escaped(name: str) -> str:
    return name.replace(".", r"\.")
