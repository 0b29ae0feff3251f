"""A hand in a ``mujoco.MjSpec``: the one place where bodies, joints, geometries and drives become MuJoCo's.

The scenes of the evaluation and the exported documents build on :func:`add_hand` and differ only in :class:`HandOptions`.
MuJoCo writes quaternions wxyz. The module needs the extra ``sim``, but is imported without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from warpgrasp.base.extras import install_extra
from warpgrasp.geometry.rotations import compose, invert, quaternion_to_wxyz, rotate
from warpgrasp.hands.joint_drives import asset_drives
from warpgrasp.hands.model import GeometryType, HandModel, JointType

if TYPE_CHECKING:
    from warpgrasp.hands.joint_drives import JointDrives

__all__ = [
    "ARENA_BYTES",
    "SMALLEST_INERTIA",
    "SMALLEST_MASS",
    "HandOptions",
    "add_exclusions",
    "add_hand",
    "add_position_servo",
    "equality_data",
    "neighbouring_links",
    "six_of_inertia",
]

FloatArray = NDArray[np.float64]

ARENA_BYTES = 1 << 27
"""Room for contacts. MuJoCo's own choice is too small for a start in deep penetration, and ends the process."""
SMALLEST_MASS = 1.0e-4
"""What massless links of an asset get in a simulation [kg]."""
SMALLEST_INERTIA = 1.0e-8
"""What links without inertia get in a simulation [kg m^2]."""


@dataclass(frozen=True, eq=False)
class HandOptions:
    """In what two models of the same hand differ."""

    drives: JointDrives
    """Drives of the independent joints."""
    link_names: Sequence[str]
    """Body of every link, shape [L]. The root's is not used: its body is the caller's."""
    joint_names: Sequence[str]
    """Joint of every link, shape [L]; read where the link moves. Actuators and couplings are called like their joint."""
    geometry_name: str = "geometry_"
    """What stands before the number of a geometry."""
    mesh_name: str = "piece_"
    """What stands before the number of a mesh."""
    mesh_files: Mapping[int, str] | None = None
    """File of the mesh of each convex geometry, in the link frame; None puts the vertices into the model."""
    contact: Mapping[str, Any] = field(default_factory=dict)
    """Attributes of every geometry, such as ``friction`` and ``condim``; the defaults of the specification otherwise."""
    smallest_mass: float = 0.0
    """Lighter links get this much [kg]."""
    follower_armature: bool = False
    """Whether joints that follow by a coupling have the armature of the joint they follow."""
    coupling_time_constant: float | None = None
    """Time constant of the couplings [s]; None is MuJoCo's own."""
    limited_control: bool = True
    """Whether the targets of the actuators end at the joint limits."""


def add_hand(mujoco: Any, spec: Any, root: Any, hand: HandModel, options: HandOptions) -> list[Any]:
    """Add the links below ``root``, all geometries, the couplings and a position actuator per independent joint.

    Bodies stand at joint values of zero. Exclusions are left to :func:`add_exclusions`.

    Args:
        mujoco: The module.
        spec: The ``MjSpec``, changed in place.
        root: Body of ``spec`` that becomes the root link; it gets the link's mass and geometries.
        hand: The hand.
        options: Names, drives and contact.

    Returns:
        Body of every link.
    """
    bodies = [root]
    for link in range(1, hand.link_count):
        position, quaternion = compose(
            hand.joint_parent_position[link],
            hand.joint_parent_quaternion[link],
            *invert(hand.joint_child_position[link], hand.joint_child_quaternion[link]),
        )
        body = bodies[hand.link_parent[link]].add_body(
            name=options.link_names[link], pos=position, quat=quaternion_to_wxyz(quaternion)
        )
        bodies.append(body)
        if hand.joint_type[link] != JointType.FIXED:
            _add_joint(mujoco, body, hand, link, options)
    for link, body in enumerate(bodies):
        body.mass = max(float(hand.link_mass[link]), options.smallest_mass)
        body.ipos = hand.link_center_of_mass[link]
        body.fullinertia = six_of_inertia(hand.link_inertia[link])
        body.explicitinertial = True
    for geometry in range(len(hand.geometry_type)):
        _add_geometry(mujoco, spec, bodies[hand.geometry_link[geometry]], hand, geometry, options)
    _add_actuators(mujoco, spec, hand, options)
    _add_couplings(mujoco, spec, hand, options)
    return bodies


def add_exclusions(spec: Any, bodies: Sequence[Any], pairs: set[tuple[int, int]]) -> None:
    """Let the links of each pair pass through each other; ``bodies`` are those of all links."""
    for first, second in sorted(pairs):
        spec.add_exclude(bodyname1=bodies[first].name, bodyname2=bodies[second].name)


def neighbouring_links(hand: HandModel) -> set[tuple[int, int]]:
    """Pairs of links that touch by construction and must not collide, each in ascending order.

    They are in one rigid group, in groups that share a joint (over shapeless links too), or in contact at the opening pose.
    The contacts are MuJoCo's own, so that what is excluded is what would collide.

    Raises:
        ImportError: MuJoCo is not installed; the message names the extra.
    """
    try:
        import mujoco
    except ImportError as error:
        raise ImportError(f"Excluding neighbouring links needs mujoco; {install_extra('sim')}") from error
    names = [f"link_{link}" for link in range(hand.link_count)]
    joints = [f"joint_{link}" for link in range(hand.link_count)]
    options = HandOptions(asset_drives(hand), names, joints, smallest_mass=SMALLEST_MASS)
    spec: Any = mujoco.MjSpec()
    spec.compiler.degree = False
    spec.compiler.boundmass = SMALLEST_MASS
    spec.compiler.boundinertia = SMALLEST_INERTIA
    spec.compiler.balanceinertia = True
    spec.memory = ARENA_BYTES
    adjacent = _adjacent_links(hand)
    add_exclusions(
        spec,
        add_hand(mujoco, spec, spec.worldbody.add_body(name=names[0]), hand, options),
        adjacent,
    )
    return adjacent | _touching_links(mujoco, hand, spec.compile(), names, joints)


def equality_data(equality: Any, values: Sequence[float]) -> FloatArray:
    """Values padded to the length that this version of MuJoCo has."""
    data = np.zeros(len(equality.data))
    data[: len(values)] = values
    return data


def six_of_inertia(inertia: FloatArray) -> list[float]:
    """A symmetric matrix in MuJoCo's order: xx, yy, zz, xy, xz, yz."""
    return [float(inertia[i, j]) for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))]


def _add_joint(mujoco: Any, body: Any, hand: HandModel, link: int, options: HandOptions) -> None:
    """The joint in the child's frame; the limits of a follower are those of its leader through the coupling."""
    dof = hand.joint_dof[link]
    kinds = {
        JointType.REVOLUTE: mujoco.mjtJoint.mjJNT_HINGE,
        JointType.PRISMATIC: mujoco.mjtJoint.mjJNT_SLIDE,
    }
    limits = hand.joint_multiplier[link] * np.array([hand.dof_lower[dof], hand.dof_upper[dof]])
    joint = body.add_joint(
        name=options.joint_names[link],
        type=kinds[JointType(int(hand.joint_type[link]))],
        pos=hand.joint_child_position[link],
        axis=rotate(hand.joint_child_quaternion[link], hand.joint_axis[link]),
        range=np.sort(limits + hand.joint_offset[link]),
        limited=mujoco.mjtLimited.mjLIMITED_TRUE,
    )
    driving = link in hand.driving_links
    if driving or options.follower_armature:
        joint.armature = options.drives.armature[dof]
    if driving:
        joint.frictionloss = options.drives.friction[dof]


def _add_geometry(
    mujoco: Any, spec: Any, body: Any, hand: HandModel, geometry: int, options: HandOptions
) -> None:
    kind = GeometryType(int(hand.geometry_type[geometry]))
    common = {"name": f"{options.geometry_name}{geometry}", **options.contact}
    pose = {
        "pos": hand.geometry_position[geometry],
        "quat": quaternion_to_wxyz(hand.geometry_quaternion[geometry]),
    }
    size = hand.geometry_size[geometry]
    if kind == GeometryType.CAPSULE and size[1] == 0.0:
        body.add_geom(type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[size[0], 0.0, 0.0], **pose, **common)
    elif kind == GeometryType.CAPSULE:
        body.add_geom(type=mujoco.mjtGeom.mjGEOM_CAPSULE, size=[size[0], size[1], 0.0], **pose, **common)
    elif kind == GeometryType.BOX:
        body.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=size, **pose, **common)
    else:  # the mesh is in the link frame
        name = f"{options.mesh_name}{geometry}"
        _add_mesh(mujoco, spec, hand, geometry, name, options)
        body.add_geom(type=mujoco.mjtGeom.mjGEOM_MESH, meshname=name, **common)


def _add_mesh(
    mujoco: Any, spec: Any, hand: HandModel, geometry: int, name: str, options: HandOptions
) -> None:
    mesh = spec.add_mesh(name=name, inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_CONVEX)
    if options.mesh_files is not None:
        mesh.file = options.mesh_files[geometry]
        return
    mesh.uservert = hand.geometry_mesh[geometry].vertices.ravel()
    mesh.userface = hand.geometry_mesh[geometry].faces.ravel().astype(np.int32)


def _add_actuators(mujoco: Any, spec: Any, hand: HandModel, options: HandOptions) -> None:
    """Position servos with effort limits on the independent joints."""
    for link in hand.driving_links:
        dof, name = hand.joint_dof[link], options.joint_names[link]
        actuator = add_position_servo(mujoco, spec, name, options.drives, int(dof))
        if options.limited_control:
            actuator.ctrlrange = [hand.dof_lower[dof], hand.dof_upper[dof]]
            actuator.ctrllimited = mujoco.mjtLimited.mjLIMITED_TRUE


def add_position_servo(mujoco: Any, spec: Any, joint: str, drives: JointDrives, dof: int) -> Any:
    """A position servo with an effort limit on ``joint``, called like it, with the drive of degree of freedom ``dof``."""
    actuator = spec.add_actuator(name=joint, target=joint, trntype=mujoco.mjtTrn.mjTRN_JOINT)
    actuator.gaintype = mujoco.mjtGain.mjGAIN_FIXED
    actuator.biastype = mujoco.mjtBias.mjBIAS_AFFINE
    gain, bias = np.zeros(10), np.zeros(10)
    gain[0] = drives.stiffness[dof]
    bias[1], bias[2] = -drives.stiffness[dof], -drives.damping[dof]
    actuator.gainprm, actuator.biasprm = gain, bias
    if np.isfinite(drives.effort[dof]):
        actuator.forcerange = [-drives.effort[dof], drives.effort[dof]]
        actuator.forcelimited = mujoco.mjtLimited.mjLIMITED_TRUE
    return actuator


def _add_couplings(mujoco: Any, spec: Any, hand: HandModel, options: HandOptions) -> None:
    """Equalities on the joints that follow another."""
    driving = hand.driving_links
    leader = {int(hand.joint_dof[link]): link for link in driving}
    for link in range(1, hand.link_count):
        if hand.joint_type[link] == JointType.FIXED or link in driving:
            continue
        source = leader[int(hand.joint_dof[link])]
        # value = m (v_leader - o_leader) / m_leader + o
        slope = hand.joint_multiplier[link] / hand.joint_multiplier[source]
        constant = hand.joint_offset[link] - slope * hand.joint_offset[source]
        coupling = spec.add_equality(type=mujoco.mjtEq.mjEQ_JOINT, name=options.joint_names[link])
        coupling.objtype = mujoco.mjtObj.mjOBJ_JOINT
        coupling.name1, coupling.name2 = options.joint_names[link], options.joint_names[source]
        coupling.data = equality_data(coupling, [constant, slope])
        if options.coupling_time_constant is not None:
            coupling.solref = [options.coupling_time_constant, 1.0]


def _adjacent_links(hand: HandModel) -> set[tuple[int, int]]:
    """Pairs of links in one rigid group, in groups that share a joint, or with only shapeless groups between them.

    A body with two joints is a shapeless link between two others, which are neighbours all the same.
    """
    group = np.arange(hand.link_count)
    for link in range(1, hand.link_count):
        if hand.joint_type[link] == JointType.FIXED:
            group[link] = group[hand.link_parent[link]]
    shaped = set(group[hand.geometry_link].tolist())
    joined = set()
    for link in range(1, hand.link_count):
        own, above = int(group[link]), int(group[hand.link_parent[link]])
        joined.add((above, own))
        while above > 0 and above not in shaped:
            above = int(group[hand.link_parent[above]])
            joined.add((above, own))
    return {
        (first, second)
        for first in range(hand.link_count)
        for second in range(first + 1, hand.link_count)
        if group[first] == group[second] or tuple(sorted((group[first], group[second]))) in joined
    }


def _touching_links(
    mujoco: Any, hand: HandModel, compiled: Any, names: Sequence[str], joints: Sequence[str]
) -> set[tuple[int, int]]:
    """Pairs of links that touch at the opening pose."""
    data = mujoco.MjData(compiled)
    for link in range(1, hand.link_count):
        if hand.joint_type[link] != JointType.FIXED:
            dof = hand.joint_dof[link]
            value = hand.joint_multiplier[link] * hand.dof_opening[dof] + hand.joint_offset[link]
            data.qpos[compiled.joint(joints[link]).qposadr[0]] = value
    mujoco.mj_kinematics(compiled, data)
    mujoco.mj_collision(compiled, data)
    link_of = {compiled.body(name).id: link for link, name in enumerate(names)}
    bodies = compiled.geom_bodyid[data.contact.geom[: data.ncon]].reshape(-1, 2)
    pairs = [sorted((link_of[int(a)], link_of[int(b)])) for a, b in bodies]
    return {(first, second) for first, second in pairs}
