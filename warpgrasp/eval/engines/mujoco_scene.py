"""One scene for one hand, one object and one protocol: a MuJoCo model from the same assets the synthesis reads.

World frame = object frame at the reset. The object is a free body whose frame is its centre of mass, so that its
position is the position of the centre of mass and a force on it makes no torque. The root of the hand is a mocap body
(``RootMount.FIXED``) or a free body welded to one (``RootMount.WELD``). MuJoCo writes quaternions wxyz; the only places
that know are the functions of this module with ``wxyz`` in their name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from warpgrasp.base.extras import install_extra
from warpgrasp.eval.engines.hand_file import attach_hand
from warpgrasp.eval.engines.servos import Servos
from warpgrasp.eval.protocol.drives import joint_drives
from warpgrasp.eval.protocol.protocols import Protocol, RootMount
from warpgrasp.hands.joint_drives import JointDrives
from warpgrasp.hands.model import HandModel, JointType
from warpgrasp.hands.mujoco_spec import (
    ARENA_BYTES,
    SMALLEST_INERTIA,
    SMALLEST_MASS,
    HandOptions,
    add_exclusions,
    add_hand,
    equality_data,
    neighbouring_links,
    six_of_inertia,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from warpgrasp.objects import ObjectModel
    from warpgrasp.objects.convex_pieces import ConvexPiece

__all__ = ["Scene", "build_scene", "import_mujoco", "quaternion_from_wxyz_batch", "quaternion_to_wxyz_batch"]

FloatArray = NDArray[np.float64]

_OBJECT = "object"
_ROOT = "hand_root"
_MOCAP = "hand_mocap"


def import_mujoco() -> Any:
    """The ``mujoco`` module with ``mujoco.rollout``.

    Raises:
        ImportError: It is not installed; the message names the extra.
    """
    try:
        import mujoco
        import mujoco.rollout
    except ImportError as error:
        raise ImportError(f"The MuJoCo engine needs mujoco; {install_extra('sim')}") from error
    return mujoco


@dataclass(frozen=True, eq=False)
class Scene:
    """A compiled model and where things are in it."""

    model: Any
    """``mujoco.MjModel``."""
    hand: HandModel
    protocol: Protocol
    center_of_mass: FloatArray
    """Centre of mass of the object in its own frame [m], shape [3]."""
    object_qpos: int
    """Address of the object's position and quaternion (wxyz) in qpos."""
    object_dof: int
    """Address of the object's velocity and force in qvel."""
    root_qpos: int
    """Address of the root's pose in qpos; -1 when the root is a mocap body."""
    joint_qpos: NDArray[np.int64]
    """Address of every moving joint in qpos, in the order of ``moving_link``."""
    joint_sign: FloatArray
    """Which way each turns against the hand's joint, in the same order: -1 only where a file describes the hand."""
    moving_link: NDArray[np.int64]
    """Links with a moving joint."""
    servos: Servos
    """Actuators of the model."""
    drives: JointDrives
    """Drives of the degrees of freedom of the hand."""
    hand_geom: NDArray[np.bool_]
    """Whether a geometry of the model belongs to the hand, else to the object."""

    def joint_qpos_values(self, joint_position: FloatArray) -> FloatArray:
        """Values of all moving joints [N, M], mimic joints included, of independent joints [N, J]."""
        hand, link = self.hand, self.moving_link
        values = (
            joint_position[:, hand.joint_dof[link]] * hand.joint_multiplier[link] + hand.joint_offset[link]
        )
        return values * self.joint_sign


def build_scene(
    hand: HandModel,
    model: ObjectModel,
    pieces: Sequence[ConvexPiece],
    protocol: Protocol,
    *,
    hand_file: Path | None = None,
) -> Scene:
    """Compile the scene.

    Args:
        hand: The hand.
        model: The object; mass properties come from here and the protocol.
        pieces: Convex pieces of the object.
        protocol: Mass, friction, drives and solver.
        hand_file: An MJCF file that describes the hand in its place, with servos of its own.

    Raises:
        ValueError: ``hand_file`` is not a model of the hand.
    """
    mujoco = import_mujoco()
    spec = _spec(mujoco, hand, protocol)
    _add_object(mujoco, spec, model, pieces, protocol)
    root = _add_root(mujoco, spec, protocol)
    if hand_file is None:
        _add_hand(mujoco, spec, root, hand, protocol)
        compiled = spec.compile()
        joints: Sequence[str] = [_joint_name(int(link)) for link in _moving_links(hand)]
        sign = np.ones(len(joints))
        drives = joint_drives(hand, protocol)
        servos = _own_servos(hand, drives)
    else:
        attached = attach_hand(
            mujoco, spec, root, hand, hand_file, _hand_contact(protocol), joint_drives(hand, protocol)
        )
        compiled = spec.compile()
        joints, sign = attached.joint_names, attached.sign
        servos, drives = attached.servos(mujoco, compiled, hand)
    return _scene(hand, model, protocol, compiled, joints, sign, servos, drives)


def quaternion_to_wxyz_batch(quaternion: FloatArray) -> FloatArray:
    """Quaternions xyzw [..., 4] as MuJoCo's wxyz."""
    return np.roll(quaternion, 1, axis=-1)


def quaternion_from_wxyz_batch(quaternion: FloatArray) -> FloatArray:
    """MuJoCo's quaternions wxyz [..., 4] as xyzw."""
    return np.roll(quaternion, -1, axis=-1)


def _scene(
    hand: HandModel,
    model: ObjectModel,
    protocol: Protocol,
    compiled: Any,
    joints: Sequence[str],
    sign: FloatArray,
    servos: Servos,
    drives: JointDrives,
) -> Scene:
    free = compiled.joint(_OBJECT)
    return Scene(
        model=compiled,
        hand=hand,
        protocol=protocol,
        center_of_mass=np.asarray(model.center_of_mass, dtype=np.float64),
        object_qpos=int(free.qposadr[0]),
        object_dof=int(free.dofadr[0]),
        root_qpos=int(compiled.joint(_ROOT).qposadr[0]) if protocol.root == RootMount.WELD else -1,
        joint_qpos=np.array([compiled.joint(name).qposadr[0] for name in joints], dtype=np.int64),
        joint_sign=sign,
        moving_link=_moving_links(hand),
        servos=servos,
        drives=drives,
        hand_geom=compiled.geom_bodyid != compiled.body(_OBJECT).id,
    )


def _moving_links(hand: HandModel) -> NDArray[np.int64]:
    return np.flatnonzero(hand.joint_type != JointType.FIXED)


def _own_servos(hand: HandModel, drives: JointDrives) -> Servos:
    """One servo per independent joint, on the joint that drives it."""
    dof = hand.joint_dof[hand.driving_links]
    return Servos(np.eye(hand.dof_count)[dof], np.zeros(len(dof)), drives.effort[dof])


def _spec(mujoco: Any, hand: HandModel, protocol: Protocol) -> Any:
    """An empty scene with the solver of the protocol."""
    spec = mujoco.MjSpec()
    spec.modelname = f"{hand.name}_{protocol.name}"
    spec.compiler.degree = False
    spec.compiler.boundmass = SMALLEST_MASS
    spec.compiler.boundinertia = SMALLEST_INERTIA
    spec.compiler.balanceinertia = True
    spec.memory = ARENA_BYTES
    option = spec.option
    option.timestep = protocol.time_step
    option.gravity = [0.0, 0.0, 0.0]
    option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    option.impratio = protocol.impedance_ratio
    option.noslip_iterations = protocol.noslip_iterations
    return spec


def _contact_options(protocol: Protocol) -> dict[str, Any]:
    return {
        "friction": [protocol.friction, protocol.torsional_friction, 0.0],
        "condim": protocol.contact_dimension,
    }


def _hand_contact(protocol: Protocol) -> dict[str, Any]:
    """The hand's side of a contact; it decides alone unless the object brings a time constant of its own."""
    alone = protocol.object_time_constant is None
    return {
        "priority": 1 if alone else 0,
        "solref": [protocol.contact_time_constant, 1.0],
        "solimp": [*protocol.contact_impedance, 0.5, 2.0],
        **_contact_options(protocol),
    }


def _object_contact(protocol: Protocol) -> dict[str, Any]:
    """The object's side of a contact."""
    time_constant = protocol.object_time_constant or protocol.contact_time_constant
    return {"priority": 0, "solref": [time_constant, 1.0], **_contact_options(protocol)}


def _add_object(
    mujoco: Any, spec: Any, model: ObjectModel, pieces: Sequence[ConvexPiece], protocol: Protocol
) -> None:
    inertia = model.inertia_unit_density * (protocol.object_mass / model.volume)
    body = spec.worldbody.add_body(
        name=_OBJECT,
        pos=model.center_of_mass,
        mass=protocol.object_mass,
        ipos=[0.0, 0.0, 0.0],
        fullinertia=six_of_inertia(inertia),
        explicitinertial=True,
    )
    body.add_freejoint(name=_OBJECT)
    for index, piece in enumerate(pieces):
        name = f"{_OBJECT}_{index}"
        # Flat against the mesh given: the vertices are a convex hull already.
        spec.add_mesh(
            name=name,
            uservert=(piece.vertices - model.center_of_mass).ravel(),
            userface=piece.faces.ravel().astype(np.int32),
            inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_CONVEX,
        )
        body.add_geom(
            name=name,
            type=mujoco.mjtGeom.mjGEOM_MESH,
            meshname=name,
            **_object_contact(protocol),
        )


def _add_root(mujoco: Any, spec: Any, protocol: Protocol) -> Any:
    """The body of the root link: a mocap body, or a free body welded to one."""
    if protocol.root == RootMount.FIXED:
        return spec.worldbody.add_body(name=_ROOT, mocap=True)
    spec.worldbody.add_body(name=_MOCAP, mocap=True)
    root = spec.worldbody.add_body(name=_ROOT)
    root.add_freejoint(name=_ROOT)
    weld = spec.add_equality(type=mujoco.mjtEq.mjEQ_WELD, name=_ROOT)
    weld.objtype = mujoco.mjtObj.mjOBJ_BODY
    weld.name1, weld.name2 = _MOCAP, _ROOT
    # data: anchor, relative position, relative quaternion (wxyz), torque scale
    weld.data = equality_data(weld, [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0])
    return root


def _add_hand(mujoco: Any, spec: Any, root: Any, hand: HandModel, protocol: Protocol) -> None:
    """The hand below its root, with the drives of the protocol and a sensor of effort for each."""
    options = HandOptions(
        drives=joint_drives(hand, protocol),
        link_names=[f"link_{link}" for link in range(hand.link_count)],
        joint_names=[_joint_name(link) for link in range(hand.link_count)],
        geometry_name="hand_",
        mesh_name="hand_",
        contact=_hand_contact(protocol),
        smallest_mass=SMALLEST_MASS,
        # Contacts are as soft as the lightest joint behind them, and coupled links of a few grams let go.
        follower_armature=True,
        coupling_time_constant=2.0 * protocol.time_step,
        limited_control=False,
    )
    bodies = add_hand(mujoco, spec, root, hand, options)
    add_exclusions(spec, bodies, neighbouring_links(hand))
    for link in hand.driving_links:
        spec.add_sensor(
            name=_joint_name(link),
            type=mujoco.mjtSensor.mjSENS_ACTUATORFRC,
            objtype=mujoco.mjtObj.mjOBJ_ACTUATOR,
            objname=_joint_name(link),
        )


def _joint_name(link: int) -> str:
    return f"joint_{link}"
