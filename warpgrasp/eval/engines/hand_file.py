"""A hand as somebody else's MJCF describes it, for evaluations on a model other than the one the grasps were made with.

The file keeps its own shapes, masses, servos and couplings; friction, softness of contacts and solver are the protocol's.
Its joints are found from their axes (:mod:`warpgrasp.eval.engines.joint_match`), so names and signs do not matter.
"""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from warpgrasp.base.file_hash import file_hash
from warpgrasp.eval.engines.joint_match import JointAxes, JointMatch, match_joints
from warpgrasp.eval.engines.servos import Servos
from warpgrasp.geometry.rotations import IDENTITY_QUATERNION, invert, quaternion_to_wxyz
from warpgrasp.hands.joint_drives import JointDrives
from warpgrasp.hands.model import HandModel, JointType
from warpgrasp.hands.mujoco_spec import add_position_servo

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MENAGERIE", "AttachedHand", "attach_hand", "find_hand_file", "hand_file_label"]

FloatArray = NDArray[np.float64]

MENAGERIE = "menagerie"
"""Stands for the MuJoCo Menagerie's model of the hand."""
_MENAGERIE_VARIABLE = "MUJOCO_MENAGERIE_PATH"
_MENAGERIE_CACHE = Path("~/.cache/robot_descriptions/mujoco_menagerie")
_MENAGERIE_FILES = {
    "allegro": "wonik_allegro/right_hand.xml",
    "leap": "leap_hand/right_hand.xml",
    "shadow": "shadow_hand/right_hand.xml",
    "shadow_wristless": "shadow_hand/right_hand.xml",
}
_PREFIX = "hand-"
_UNLIMITED = 1000.0  # Nm, more than a joint of a hand ever gets
_TOLERANCE = 0.005  # m, of the axes of joints that are the same


def find_hand_file(source: str, hand: HandModel) -> Path:
    """The MJCF file that ``source`` names for a hand.

    Args:
        source: An MJCF file; a folder with a checkout of the MuJoCo Menagerie; or ``menagerie``, which looks for one in
            ``$MUJOCO_MENAGERIE_PATH`` and in the cache of the package robot_descriptions.
        hand: The hand.

    Raises:
        ValueError: There is no such file, or the Menagerie has no model of the hand.
    """
    path = Path(source).expanduser()
    if source == MENAGERIE:
        path = _menagerie()
    if path.is_dir():
        name = _MENAGERIE_FILES.get(hand.name)
        if name is None:
            raise ValueError(
                f"--hand-model {source}: the models known for a checkout of the MuJoCo Menagerie are those of "
                f"{', '.join(_MENAGERIE_FILES)}; for hand {hand.name!r} name the MJCF file itself"
            )
        path = path / name
    if not path.is_file():
        raise ValueError(
            f"--hand-model {source}: there is no file {path}; give an MJCF file or a checkout of "
            "https://github.com/google-deepmind/mujoco_menagerie"
        )
    return path


def hand_file_label(source: str) -> str:
    """A word for results of grasps that ran on this model; a file's content is part of it."""
    path = Path(source).expanduser()
    return f"hand-{path.stem}-{file_hash(path)[:8]}" if path.is_file() else f"hand-{MENAGERIE}"


def _menagerie() -> Path:
    told = os.environ.get(_MENAGERIE_VARIABLE)
    folder = Path(told) if told else _MENAGERIE_CACHE.expanduser()
    if folder.is_dir():
        return folder
    raise ValueError(
        "--hand-model menagerie needs a checkout of the MuJoCo Menagerie: git clone "
        "https://github.com/google-deepmind/mujoco_menagerie, then give its folder to --hand-model or name it in the "
        "environment variable MUJOCO_MENAGERIE_PATH"
    )


@dataclass(frozen=True, eq=False)
class AttachedHand:
    """How a file's hand moves with the joints of the hand model it stands for."""

    joint_names: tuple[str, ...]
    """Joint of the compiled scene for every moving link of the model, shape [M]."""
    sign: FloatArray
    """Which way it turns, shape [M]."""
    error: float
    """Largest distance between joint axes of both models [m]."""

    def servos(self, mujoco: Any, compiled: Any, hand: HandModel) -> tuple[Servos, JointDrives]:
        """The servos of the compiled scene, and the drives of the hand's independent joints that they amount to.

        A servo that holds a sum of joints turns each with the same torque. Its stiffness is told per joint so that targets
        made from torques command the mean of them.
        """
        data = mujoco.MjData(compiled)
        mujoco.mj_forward(compiled, data)
        per_velocity = np.zeros((compiled.nu, compiled.nv))
        mujoco.mju_sparse2dense(
            per_velocity,
            data.actuator_moment,
            data.moment_rownnz,
            data.moment_rowadr,
            data.moment_colind,
        )
        joints = [compiled.joint(name) for name in self.joint_names]
        address = np.array([joint.dofadr[0] for joint in joints])
        at_home = compiled.qpos0[[joint.qposadr[0] for joint in joints]]
        moving = np.flatnonzero(hand.joint_type != JointType.FIXED)
        per_joint = per_velocity[:, address] * self.sign
        moment = np.zeros((compiled.nu, hand.dof_count))
        np.add.at(moment.T, hand.joint_dof[moving], (per_joint * hand.joint_multiplier[moving]).T)
        offset = data.actuator_length - per_velocity[:, address] @ at_home
        offset = offset + per_joint @ hand.joint_offset[moving]
        gain = compiled.actuator_gainprm[:, 0]
        limited = compiled.actuator_forcelimited.astype(bool)
        effort = np.where(limited, np.abs(compiled.actuator_forcerange).max(axis=1), _UNLIMITED)
        share = np.abs(moment)
        stiffness = (gain[:, None] * share * share.sum(axis=1, keepdims=True)).sum(axis=0)
        driven = address[[int(np.flatnonzero(moving == link)[0]) for link in hand.driving_links]]
        drives = JointDrives(
            stiffness=np.where(stiffness > 0.0, stiffness, np.inf),
            damping=compiled.dof_damping[driven],
            effort=(effort[:, None] * share).max(axis=0),
            armature=compiled.dof_armature[driven],
            friction=compiled.dof_frictionloss[driven],
        )
        return Servos(moment, offset, effort), drives


def attach_hand(
    mujoco: Any,
    spec: Any,
    root: Any,
    hand: HandModel,
    path: Path,
    contact: Mapping[str, Any],
    drives: JointDrives,
) -> AttachedHand:
    """Put the hand of an MJCF file below ``root``, so that its base lies where the hand model's root link is.

    Args:
        mujoco: The module.
        spec: The ``MjSpec`` of the scene, changed in place.
        root: Body that stands for the root link of the hand model.
        hand: The hand model that the grasps are of.
        path: The MJCF file.
        contact: Attributes of every geometry that collides.
        drives: Servos of the independent joints, used where the file has an actuator that is no position servo, or none.

    Raises:
        ValueError: The file cannot be read, or its joints are not those of the hand.
    """
    try:
        child = mujoco.MjSpec.from_file(str(path))
        _strip(mujoco, child)
        match, names = _matched(mujoco, hand, child.copy(), path)
    except (ValueError, RuntimeError) as error:
        if str(path) in str(error):
            raise
        raise ValueError(f"--hand-model {path}: {error}") from error
    for geometry in child.geoms:
        if geometry.contype or geometry.conaffinity:
            _set_contact(geometry, contact)
    joints = [names[index] for index in match.joint]
    if not _has_position_servos(mujoco, child):
        _give_servos(mujoco, child, hand, joints, drives)
    for name in (name for name in dir(spec.option) if not name.startswith("_")):
        setattr(child.option, name, getattr(spec.option, name))  # the protocol's: MuJoCo warns of others
    position, quaternion = invert(match.position, match.quaternion)
    frame = root.add_frame(pos=position, quat=quaternion_to_wxyz(quaternion))
    frame.attach_body(child.worldbody, _PREFIX, "")
    for actuator in spec.actuators:
        spec.add_sensor(
            name=actuator.name,
            type=mujoco.mjtSensor.mjSENS_ACTUATORFRC,
            objtype=mujoco.mjtObj.mjOBJ_ACTUATOR,
            objname=actuator.name,
        )
    return AttachedHand(tuple(f"{_PREFIX}{name}" for name in joints), match.sign, match.error)


def _set_contact(geometry: Any, contact: Mapping[str, Any]) -> None:
    """What the protocol says of contacts, in place of what the file says."""
    for name, value in contact.items():
        attribute = getattr(geometry, name)
        if np.ndim(attribute):
            attribute[: len(value)] = value
        else:
            setattr(geometry, name, value)


def _has_position_servos(mujoco: Any, child: Any) -> bool:
    """Whether the file has actuators and all of them hold a position."""
    affine = mujoco.mjtBias.mjBIAS_AFFINE
    return bool(child.actuators) and all(
        actuator.biastype == affine
        and actuator.gainprm[0] > 0.0
        and np.isclose(actuator.biasprm[1], -actuator.gainprm[0])
        for actuator in child.actuators
    )


def _give_servos(mujoco: Any, child: Any, hand: HandModel, joints: list[str], drives: JointDrives) -> None:
    """Position servos in place of the file's actuators, on the joints that drive the hand."""
    for actuator in list(child.actuators):
        child.delete(actuator)
    moving = [int(link) for link in np.flatnonzero(hand.joint_type != JointType.FIXED)]
    for link in hand.driving_links:
        name, dof = joints[moving.index(link)], hand.joint_dof[link]
        add_position_servo(mujoco, child, name, drives, int(dof))


def _strip(mujoco: Any, child: Any) -> None:
    """Take out of a file what is not the hand, and name what has no name."""
    for kind in ("keys", "sensors", "cameras", "lights"):
        for element in list(getattr(child, kind)):
            child.delete(element)
    floors = (mujoco.mjtGeom.mjGEOM_PLANE, mujoco.mjtGeom.mjGEOM_HFIELD)
    for geometry in [geometry for geometry in child.geoms if geometry.type in floors]:
        child.delete(geometry)
    for joint in list(child.joints):
        if joint.type == mujoco.mjtJoint.mjJNT_FREE:
            child.delete(joint)
    for kind in ("joints", "actuators"):
        for index, element in enumerate(getattr(child, kind)):
            if not element.name:
                element.name = f"unnamed_{kind}_{index}"


def _matched(mujoco: Any, hand: HandModel, child: Any, path: Path) -> tuple[JointMatch, list[str]]:
    """The match of the hand's joints with those of the file, and the names of the latter."""
    model = child.compile()
    other, names = _file_axes(mujoco, model)
    own, low, high = _own_axes(hand)
    match = match_joints(own, other, low, high)
    if match is None or match.error > _TOLERANCE:
        raise ValueError(
            f"--hand-model {path}: its joints are not those of hand {hand.name!r}: "
            + (
                f"no part of its tree of {len(names)} joints has the hand's branches ({len(low)} joints)"
                if match is None
                else f"their axes differ by up to {1000.0 * match.error:.1f} mm at the best match, more than "
                f"{1000.0 * _TOLERANCE:g} mm"
            )
        )
    return match, names


def _own_axes(hand: HandModel) -> tuple[JointAxes, FloatArray, FloatArray]:
    """Axes of the moving links of a hand model in its root link, and the range of their joints."""
    moving = [int(link) for link in np.flatnonzero(hand.joint_type != JointType.FIXED)]
    number = {link: index for index, link in enumerate(moving)}
    parent = []
    for link in moving:
        above = int(hand.link_parent[link])
        while above >= 0 and above not in number:
            above = int(hand.link_parent[above])
        parent.append(number.get(above, -1))

    independent = _independent_joints(hand, moving)

    def lines(values: FloatArray) -> tuple[FloatArray, FloatArray]:
        position, quaternion = independent.forward_kinematics(np.zeros(3), IDENTITY_QUATERNION, values)
        rotation = Rotation.from_quat(quaternion[moving])
        points = position[moving] + rotation.apply(hand.joint_child_position[moving])
        joint = rotation * Rotation.from_quat(hand.joint_child_quaternion[moving])
        return points, joint.apply(hand.joint_axis[moving])

    dof = hand.joint_dof[moving]
    ends = [
        hand.joint_multiplier[moving] * limit[dof] + hand.joint_offset[moving]
        for limit in (hand.dof_lower, hand.dof_upper)
    ]
    sliding = np.asarray(hand.joint_type)[moving] == JointType.PRISMATIC
    return JointAxes(parent, sliding, lines), np.minimum(*ends), np.maximum(*ends)


def _independent_joints(hand: HandModel, moving: list[int]) -> HandModel:
    """The same kinematics with every moving joint on its own, for its forward kinematics alone."""
    dof = np.full(hand.link_count, -1, dtype=hand.joint_dof.dtype)
    dof[moving] = np.arange(len(moving))
    return dataclasses.replace(
        hand,
        joint_names=tuple(hand.link_joint_names[link] for link in moving),
        joint_dof=dof,
        joint_multiplier=np.ones(hand.link_count),
        joint_offset=np.zeros(hand.link_count),
    )


def _file_axes(mujoco: Any, model: Any) -> tuple[JointAxes, list[str]]:
    """Axes of the joints of a compiled file in its world, and their names."""
    data = mujoco.MjData(model)
    last: dict[int, int] = {}  # the last joint of a body
    parent = []
    for joint in range(model.njnt):
        body = int(model.jnt_bodyid[joint])
        if body in last:
            parent.append(last[body])
        else:
            above = int(model.body_parentid[body])
            while above > 0 and above not in last:
                above = int(model.body_parentid[above])
            parent.append(last.get(above, -1))
        last[body] = joint
    slide = int(mujoco.mjtJoint.mjJNT_SLIDE)

    def lines(values: FloatArray) -> tuple[FloatArray, FloatArray]:
        data.qpos[:] = values
        mujoco.mj_kinematics(model, data)
        return data.xanchor.copy(), data.xaxis.copy()

    if (model.jnt_type == int(mujoco.mjtJoint.mjJNT_BALL)).any():
        raise ValueError("it has a ball joint, which no hand here has")
    names = [model.joint(joint).name for joint in range(model.njnt)]
    return JointAxes(parent, model.jnt_type == slide, lines), names
