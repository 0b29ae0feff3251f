"""The one place that knows Isaac Lab's data layout: joints and links in the order of the hand model, poses, wrenches.

Quaternions are xyzw here and in Isaac Lab >= 3.0, so nothing is converted; if that ever changes, only
:func:`to_engine_pose` and :func:`from_engine_pose` do. Positions handed in and out are relative to the origin of their
world. Everything is a torch tensor on the simulation's device.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import warp as wp

from warpgrasp.eval.engines.newton import import_mujoco_warp
from warpgrasp.eval.isaaclab.assets import CARRIER_JOINTS, moving_joint_names

if TYPE_CHECKING:
    from isaaclab.assets import Articulation, RigidObject
    from isaaclab.scene import InteractiveScene

    from warpgrasp.hands.model import HandModel

__all__ = [
    "SceneAdapter",
    "engine_of",
    "from_engine_pose",
    "physics_config",
    "require_engine",
    "set_solver_options",
    "to_engine_pose",
]

_SOLREF_AS_GIVEN = 1  # of Newton's mujoco.solref_mode and solreflimit_mode: the solref given counts, not stiffness and damping


def to_engine_pose(pose: torch.Tensor) -> torch.Tensor:
    """Poses (position, quaternion xyzw) [..., 7] as the engine takes them."""
    return pose


def from_engine_pose(pose: torch.Tensor) -> torch.Tensor:
    """Poses [..., 7] of the engine as (position, quaternion xyzw)."""
    return pose


def physics_config(
    physics: str,
    *,
    cone: str = "pyramidal",
    impedance_ratio: float = 10.0,
    contact_limit: int = 96,
    iterations: int = 50,
    own_contacts: bool = False,
    device: str = "auto",
) -> Any:
    """Physics of a simulation.

    Args:
        physics: ``newton`` (no Isaac Sim needed) or ``physx`` (Isaac Sim).
        cone: Friction cone of Newton's MuJoCo solver: ``pyramidal`` or ``elliptic``.
        impedance_ratio: Stiffness of friction relative to normal contact (Newton).
        contact_limit: Contacts per world (Newton).
        iterations: Most iterations of the solver; it stops when it has converged (Newton).
        own_contacts: Let MuJoCo find contacts instead of Newton; only where all worlds hold the same object.
        device: Device of the simulation; on the CPU the elliptic cone is solved with sparse Jacobians.

    Raises:
        ValueError: Another name.
    """
    if physics == "newton":
        from isaaclab_newton.physics import MJWarpSolverCfg, NewtonCfg

        solver = MJWarpSolverCfg(integrator="implicitfast", impratio=impedance_ratio, ls_iterations=50)
        config = NewtonCfg(solver_cfg=solver)
        set_solver_options(
            config,
            cone=cone,
            contact_limit=contact_limit,
            iterations=iterations,
            own_contacts=own_contacts,
            device=device,
        )
        return config
    if physics == "physx":
        from isaaclab_physx.physics import PhysxCfg

        return PhysxCfg(bounce_threshold_velocity=0.2)
    raise ValueError(f"physics must be newton or physx (got {physics!r})")


def set_solver_options(
    config: Any, *, cone: str, contact_limit: int, iterations: int, own_contacts: bool, device: str
) -> None:
    """Write these options, those of :func:`physics_config`, into a Newton configuration; the rest of it stays.

    Nothing is written for PhysX or another solver of Newton, which have no such settings.
    """
    from isaaclab_newton.physics import MJWarpSolverCfg, NewtonShapeCfg

    solver = getattr(config, "solver_cfg", None)
    if not isinstance(solver, MJWarpSolverCfg):
        return
    solver.cone, solver.iterations = cone, iterations
    solver.njmax, solver.nconmax = 4 * contact_limit, contact_limit
    # The dense Hessian of elliptic cones is summed entry by entry over all contacts there could be, which on the CPU is
    # most of a step. Isaac Lab hands every attribute that Newton's solver knows to it.
    sparse = cone == "elliptic" and device.startswith("cpu")
    solver.jacobian = "sparse" if sparse else "auto"
    # MuJoCo itself takes up to four points where two flat sides meet; Newton's import takes one otherwise.
    solver.enable_multiccd = own_contacts
    # With Newton's collision pipeline every world has its own object; MuJoCo's knows one for all.
    solver.use_mujoco_contacts = own_contacts
    # Newton looks for contacts from 1 mm on: at Isaac Lab's 10 mm a hand around an object has hundreds that do
    # nothing. MuJoCo's own detection needs no such gap.
    config.default_shape_cfg = NewtonShapeCfg(gap=0.0 if own_contacts else 0.001)


def engine_of(config: Any) -> str:
    """``newton`` or ``physx``: the engine of a physics configuration of Isaac Lab.

    Raises:
        ValueError: It is of another engine.
    """
    for name in ("newton", "physx"):
        if type(config).__module__.startswith(f"isaaclab_{name}."):
            return name
    raise ValueError(
        f"sim.physics must be a NewtonCfg or PhysxCfg (got {type(config).__name__}); choose physics=newton_mjwarp or "
        f"physics=isaacsim_physx"
    )


def require_engine(physics: str) -> None:
    """Check that the physics engine can run in this process.

    Raises:
        ImportError: PhysX without a running Isaac Sim.
    """
    from isaaclab.utils.version import has_kit

    if physics == "physx" and not has_kit():
        raise ImportError(
            "physics='physx' needs Isaac Sim: install it and start isaaclab.app.AppLauncher before the environment is "
            "made, or take physics='newton', which needs neither"
        )


class SceneAdapter:
    """Hand and object of every world.

    Args:
        scene: Scene with the articulation ``hand`` and the rigid object ``object``.
        hand: The hand model.
        center_of_mass: Centre of mass of each world's object in its own frame [m], shape [W, 3].
    """

    def __init__(self, scene: InteractiveScene, hand: HandModel, center_of_mass: torch.Tensor) -> None:
        self._robot: Articulation = scene["hand"]
        self._object: RigidObject = scene["object"]
        self._origins: torch.Tensor = scene.env_origins
        self.device = self._origins.device
        self.hand = hand
        self.center_of_mass = center_of_mass.to(self.device)
        names = list(self._robot.joint_names)
        own = moving_joint_names(hand)
        moving = [link for link in range(hand.link_count) if own[link]]
        leader = hand.driving_links
        self.has_carrier = CARRIER_JOINTS[0] in names
        self._carrier = self._ids([names.index(name) for name in CARRIER_JOINTS] if self.has_carrier else [])
        self._driven = self._ids([names.index(own[link]) for link in leader])
        self._moving = self._ids([names.index(own[link]) for link in moving])
        self._moving_dof = self._ids(hand.joint_dof[moving])
        self._multiplier = self._tensor(hand.joint_multiplier[moving])
        self._offset = self._tensor(hand.joint_offset[moving])
        bodies = list(self._robot.body_names)
        self._links = self._ids([bodies.index(path.rsplit("/", 1)[-1]) for path in hand.link_paths])

    @property
    def world_count(self) -> int:
        """Number of worlds ``W``."""
        return len(self._origins)

    def joint_position(self) -> torch.Tensor:
        """Independent joints in the order of the hand model [rad or m], shape [W, J]."""
        return self._robot.data.joint_pos.torch[:, self._driven]

    def joint_velocity(self) -> torch.Tensor:
        """Velocities of the independent joints [rad/s or m/s], shape [W, J]."""
        return self._robot.data.joint_vel.torch[:, self._driven]

    def carrier_position(self) -> torch.Tensor:
        """Joints of the carrier [m, rad], shape [W, 6]."""
        return self._robot.data.joint_pos.torch[:, self._carrier]

    def link_pose(self) -> torch.Tensor:
        """Links in the order of the hand model, shape [W, L, 7]."""
        data = self._robot.data
        pose = torch.cat([data.body_link_pos_w.torch, data.body_link_quat_w.torch], dim=-1)[:, self._links]
        pose = from_engine_pose(pose)
        pose[..., :3] -= self._origins[:, None, :]
        return pose

    def object_pose(self) -> torch.Tensor:
        """Object frames (of the mesh), shape [W, 7]."""
        pose = self.body_pose()
        pose[:, :3] -= rotate(pose[:, 3:], self.center_of_mass)
        return pose

    def body_pose(self) -> torch.Tensor:
        """Centres of mass with the orientation of the object, shape [W, 7]."""
        data = self._object.data
        pose = from_engine_pose(torch.cat([data.root_link_pos_w.torch, data.root_link_quat_w.torch], dim=-1))
        pose[:, :3] -= self._origins
        return pose

    def object_velocity(self) -> torch.Tensor:
        """Linear [m/s] and angular [rad/s] velocity of the object, world axes, shape [W, 6]."""
        return self._object.data.root_vel_w.torch

    def write_object(self, pose: torch.Tensor, worlds: torch.Tensor) -> None:
        """Put objects at rest at ``pose`` [N, 7] of their mesh frames."""
        pose = pose.clone()
        pose[:, :3] += rotate(pose[:, 3:], self.center_of_mass[worlds]) + self._origins[worlds]
        self._object.write_root_pose_to_sim_index(root_pose=to_engine_pose(pose), env_ids=worlds)
        rest = torch.zeros(len(worlds), 6, device=self.device)
        self._object.write_root_velocity_to_sim_index(root_velocity=rest, env_ids=worlds)

    def write_hand(
        self,
        root_pose: torch.Tensor,
        joints: torch.Tensor,
        worlds: torch.Tensor,
        carrier: torch.Tensor | None = None,
    ) -> None:
        """Put hands at rest: pose of the root, or of the carrier's base [N, 7], joints [N, J], carrier [N, 6]."""
        pose = root_pose.clone()
        pose[:, :3] += self._origins[worlds]
        robot = self._robot
        robot.write_root_pose_to_sim_index(root_pose=to_engine_pose(pose), env_ids=worlds)
        position = torch.zeros(len(worlds), len(robot.joint_names), device=self.device)
        position[:, self._moving] = joints[:, self._moving_dof] * self._multiplier + self._offset
        if carrier is not None:
            position[:, self._carrier] = carrier
        robot.write_joint_position_to_sim_index(position=position, env_ids=worlds)
        robot.write_joint_velocity_to_sim_index(velocity=torch.zeros_like(position), env_ids=worlds)
        robot.actuators.target_command.set_position_index(value=position, env_ids=worlds)

    def set_targets(self, joints: torch.Tensor, carrier: torch.Tensor | None = None) -> None:
        """Position targets of the independent joints [W, J] and of the carrier [W, 6]."""
        command = self._robot.actuators.target_command
        command.set_position_index(value=joints.contiguous(), joint_ids=self._driven)
        if carrier is not None:
            command.set_position_index(value=carrier.contiguous(), joint_ids=self._carrier)

    def push(self, force: torch.Tensor) -> None:
        """Push every object at its centre of mass with ``force`` [N], world axes, shape [W, 3], until the next call."""
        composer = self._object.permanent_wrench_composer
        composer.set_forces_and_torques_index(forces=force[:, None, :].contiguous(), is_global=True)

    def set_contact(
        self, *, friction: float | torch.Tensor, torsional: float = 0.0, time_constant: float | None = None
    ) -> None:
        """Give every surface of a world the same friction; on Newton also torsion [m] and the contact time constant [s].

        Args:
            friction: Coulomb coefficient, one or one per world [W].
            torsional: Coefficient of friction against twisting [m].
            time_constant: Of contacts [s]; as it is when ``None``.
        """
        every = torch.as_tensor(friction, dtype=torch.float32, device=self.device).expand(self.world_count)
        model = _newton_model()
        if model is None:
            for asset in (self._robot, self._object):
                view = asset.root_view
                material = view.get_material_properties()
                material[..., :2] = every.cpu()[:, None, None]
                view.set_material_properties(material, torch.arange(self.world_count))
            return
        from isaaclab_newton.physics import NewtonManager
        from newton import ModelFlags

        of_world = torch.cat([every, every[:1]])  # shapes of no world are in world -1
        world = wp.to_torch(model.shape_world).long()
        wp.to_torch(model.shape_material_mu).copy_(of_world[world])
        model.shape_material_mu_torsional.fill_(torsional)
        if time_constant is not None:
            model.mujoco.solref.fill_((time_constant, 1.0))
            model.mujoco.solref_mode.fill_(_SOLREF_AS_GIVEN)
        NewtonManager.add_model_change(ModelFlags.SHAPE_PROPERTIES)

    def set_limits(self, *, time_constant: float = 0.02) -> None:
        """Give joint limits a time constant [s] and critical damping, as MuJoCo has; Newton's import leaves a fifth of it."""
        model = _newton_model()
        if model is None:
            return
        from isaaclab_newton.physics import NewtonManager
        from newton import ModelFlags

        model.mujoco.solreflimit.fill_((time_constant, 1.0))
        model.mujoco.solreflimit_mode.fill_(_SOLREF_AS_GIVEN)
        NewtonManager.add_model_change(ModelFlags.JOINT_DOF_PROPERTIES)

    def overflow(self) -> bool:
        """Whether contacts or constraints of any world have not fitted since the simulation began (Newton)."""
        return bool(self.worlds_overflowed().any())

    def worlds_overflowed(self) -> torch.Tensor:
        """In which worlds contacts or constraints have not fitted since the simulation began (Newton), shape [W], bool."""
        found = getattr(getattr(_newton_solver(), "mjw_data", None), "overflow", None)
        if found is None:
            return torch.zeros(self.world_count, dtype=torch.bool, device=self.device)
        kinds = import_mujoco_warp().OverflowType
        mask = kinds.NEFC | kinds.NJMAX_NNZ | kinds.BROADPHASE | kinds.NARROWPHASE | kinds.CCD
        return (wp.to_torch(found) & int(mask)) != 0

    def finite(self) -> torch.Tensor:
        """Whether the state of hand and object is finite in each world, shape [W], bool."""
        robot, thing = self._robot.data, self._object.data
        state = (
            robot.joint_pos,
            robot.joint_vel,
            thing.root_link_pos_w,
            thing.root_link_quat_w,
            thing.root_vel_w,
        )
        return torch.isfinite(torch.cat([part.torch for part in state], dim=1)).all(dim=1)

    def stiffen_couplings(self, time_step: float) -> None:
        """Make mimic joints follow as stiffly as the time step [s] allows; Newton's default lets them yield 0.1 rad."""
        model = getattr(_newton_solver(), "mjw_model", None)
        if model is not None and model.eq_solref.size:
            model.eq_solref.fill_((2.0 * time_step, 1.0))

    def _ids(self, values: Any) -> torch.Tensor:
        return torch.as_tensor(np.asarray(values, dtype=np.int64), device=self.device)

    def _tensor(self, values: Any) -> torch.Tensor:
        return torch.as_tensor(np.asarray(values), dtype=torch.float32, device=self.device)


def rotate(quaternion: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
    """Vectors [..., 3] turned by quaternions xyzw [..., 4]."""
    axis, scalar = quaternion[..., :3], quaternion[..., 3:]
    axis, vector = torch.broadcast_tensors(axis, vector)
    twist = 2.0 * torch.cross(axis, vector, dim=-1)
    return vector + scalar * twist + torch.cross(axis, twist, dim=-1)


def _newton_model() -> Any:
    """Newton's model; ``None`` on another engine."""
    from isaaclab.sim import SimulationContext

    if "newton" not in SimulationContext.instance().physics_manager.__module__:
        return None
    from isaaclab_newton.physics import NewtonManager

    return NewtonManager.get_model()


def _newton_solver() -> Any:
    """Newton's solver; ``None`` on another engine."""
    if _newton_model() is None:
        return None
    from isaaclab_newton.physics import NewtonManager

    return getattr(NewtonManager, "_solver", None)
