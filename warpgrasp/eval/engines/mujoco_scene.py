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
from warpgrasp.eval.protocol.drives import JointDrives, joint_drives
from warpgrasp.eval.protocol.protocols import Protocol, RootMount
from warpgrasp.geometry.rotations import compose, invert, quaternion_to_wxyz, rotate
from warpgrasp.hands.model import GeometryType, HandModel, JointType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgrasp.objects import ObjectModel
    from warpgrasp.objects.convex_pieces import ConvexPiece

__all__ = ["Scene", "build_scene", "import_mujoco", "quaternion_from_wxyz_batch", "quaternion_to_wxyz_batch"]

FloatArray = NDArray[np.float64]

_ARENA_BYTES = 1 << 27
"""Room for contacts. MuJoCo's own choice is too small for a start in deep penetration, and ends the process."""
_SMALLEST_MASS = 1.0e-4  # kg; massless links of an asset get this much
_SMALLEST_INERTIA = 1.0e-8  # kg m^2
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
    moving_link: NDArray[np.int64]
    """Links with a moving joint."""
    actuator_dof: NDArray[np.int64]
    """Degree of freedom of the hand that each actuator drives, in the order of ``ctrl``."""
    effort: FloatArray
    """Effort limit of each actuator [Nm or N]."""
    drives: JointDrives
    """Drives of the degrees of freedom of the hand."""
    hand_geom: NDArray[np.bool_]
    """Whether a geometry of the model belongs to the hand, else to the object."""

    def joint_qpos_values(self, joint_position: FloatArray) -> FloatArray:
        """Values of all moving joints [N, M], mimic joints included, of independent joints [N, J]."""
        hand, link = self.hand, self.moving_link
        return joint_position[:, hand.joint_dof[link]] * hand.joint_multiplier[link] + hand.joint_offset[link]


def build_scene(
    hand: HandModel, model: ObjectModel, pieces: Sequence[ConvexPiece], protocol: Protocol
) -> Scene:
    """Compile the scene; two passes, the first finds links that touch by construction.

    Args:
        hand: The hand.
        model: The object; mass properties come from here and the protocol.
        pieces: Convex pieces of the object.
        protocol: Mass, friction, drives and solver.
    """
    mujoco = import_mujoco()
    adjacent = _adjacent_links(hand)
    spec = _spec(mujoco, hand, model, pieces, protocol, adjacent)
    compiled = spec.compile()
    touching = _touching_links(mujoco, hand, compiled)
    if touching - adjacent:
        spec = _spec(mujoco, hand, model, pieces, protocol, adjacent | touching)
        compiled = spec.compile()
    return _scene(hand, model, protocol, compiled)


def quaternion_to_wxyz_batch(quaternion: FloatArray) -> FloatArray:
    """Quaternions xyzw [..., 4] as MuJoCo's wxyz."""
    return np.roll(quaternion, 1, axis=-1)


def quaternion_from_wxyz_batch(quaternion: FloatArray) -> FloatArray:
    """MuJoCo's quaternions wxyz [..., 4] as xyzw."""
    return np.roll(quaternion, -1, axis=-1)


def _scene(hand: HandModel, model: ObjectModel, protocol: Protocol, compiled: Any) -> Scene:
    moving = np.flatnonzero(hand.joint_type != JointType.FIXED)
    driven = hand.driving_links
    drives = joint_drives(hand, protocol)
    free = compiled.joint(_OBJECT)
    body_of_geom = compiled.geom_bodyid
    return Scene(
        model=compiled,
        hand=hand,
        protocol=protocol,
        center_of_mass=np.asarray(model.center_of_mass, dtype=np.float64),
        object_qpos=int(free.qposadr[0]),
        object_dof=int(free.dofadr[0]),
        root_qpos=int(compiled.joint(_ROOT).qposadr[0]) if protocol.root == RootMount.WELD else -1,
        joint_qpos=np.array(
            [compiled.joint(_joint_name(int(link))).qposadr[0] for link in moving], dtype=np.int64
        ),
        moving_link=moving,
        actuator_dof=np.array([hand.joint_dof[link] for link in driven], dtype=np.int64),
        effort=drives.effort[hand.joint_dof[driven]],
        drives=drives,
        hand_geom=body_of_geom != compiled.body(_OBJECT).id,
    )


def _spec(
    mujoco: Any,
    hand: HandModel,
    model: ObjectModel,
    pieces: Sequence[ConvexPiece],
    protocol: Protocol,
    excluded: set[tuple[int, int]],
) -> Any:
    spec = mujoco.MjSpec()
    spec.modelname = f"{hand.name}_{protocol.name}"
    spec.compiler.degree = False
    spec.compiler.boundmass = _SMALLEST_MASS
    spec.compiler.boundinertia = _SMALLEST_INERTIA
    spec.compiler.balanceinertia = True
    spec.memory = _ARENA_BYTES
    option = spec.option
    option.timestep = protocol.time_step
    option.gravity = [0.0, 0.0, 0.0]
    option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    option.impratio = protocol.impedance_ratio
    option.noslip_iterations = protocol.noslip_iterations
    _add_object(mujoco, spec, model, pieces, protocol)
    drives = joint_drives(hand, protocol)
    bodies = _add_hand(mujoco, spec, hand, drives, protocol)
    _add_drives(mujoco, spec, hand, drives, protocol)
    for first, second in sorted(excluded):
        spec.add_exclude(bodyname1=bodies[first].name, bodyname2=bodies[second].name)
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
        fullinertia=_six(inertia),
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


def _add_hand(mujoco: Any, spec: Any, hand: HandModel, drives: JointDrives, protocol: Protocol) -> list[Any]:
    if protocol.root == RootMount.FIXED:
        root = spec.worldbody.add_body(name=_ROOT, mocap=True)
    else:
        spec.worldbody.add_body(name=_MOCAP, mocap=True)
        root = spec.worldbody.add_body(name=_ROOT)
        root.add_freejoint(name=_ROOT)
        weld = spec.add_equality(type=mujoco.mjtEq.mjEQ_WELD, name=_ROOT)
        weld.objtype = mujoco.mjtObj.mjOBJ_BODY
        weld.name1, weld.name2 = _MOCAP, _ROOT
        # data: anchor, relative position, relative quaternion (wxyz), torque scale
        weld.data = _equality_data(weld, [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0])
    bodies = [root]
    for link in range(1, hand.link_count):
        position, quaternion = compose(
            hand.joint_parent_position[link],
            hand.joint_parent_quaternion[link],
            *invert(hand.joint_child_position[link], hand.joint_child_quaternion[link]),
        )
        parent = bodies[hand.link_parent[link]]
        body = parent.add_body(name=f"link_{link}", pos=position, quat=quaternion_to_wxyz(quaternion))
        bodies.append(body)
        if hand.joint_type[link] != JointType.FIXED:
            _add_joint(mujoco, body, hand, link, drives)
    for link, body in enumerate(bodies):
        body.mass = max(float(hand.link_mass[link]), _SMALLEST_MASS)
        body.ipos = hand.link_center_of_mass[link]
        body.fullinertia = _six(hand.link_inertia[link])
        body.explicitinertial = True
    for geometry in range(len(hand.geometry_type)):
        _add_geometry(mujoco, spec, bodies[hand.geometry_link[geometry]], hand, geometry, protocol)
    return bodies


def _add_joint(mujoco: Any, body: Any, hand: HandModel, link: int, drives: JointDrives) -> None:
    dof = hand.joint_dof[link]
    kinds = {
        JointType.REVOLUTE: mujoco.mjtJoint.mjJNT_HINGE,
        JointType.PRISMATIC: mujoco.mjtJoint.mjJNT_SLIDE,
    }
    limits = hand.joint_multiplier[link] * np.array([hand.dof_lower[dof], hand.dof_upper[dof]])
    joint = body.add_joint(
        name=_joint_name(link),
        type=kinds[JointType(int(hand.joint_type[link]))],
        pos=hand.joint_child_position[link],
        axis=rotate(hand.joint_child_quaternion[link], hand.joint_axis[link]),
        range=np.sort(limits + hand.joint_offset[link]),
        limited=mujoco.mjtLimited.mjLIMITED_TRUE,
    )
    # Followers too: contacts are as soft as the lightest joint behind them, and coupled links of a few grams let go.
    joint.armature = drives.armature[dof]
    if link in hand.driving_links:
        joint.frictionloss = drives.friction[dof]


def _add_geometry(
    mujoco: Any, spec: Any, body: Any, hand: HandModel, geometry: int, protocol: Protocol
) -> None:
    kind = GeometryType(int(hand.geometry_type[geometry]))
    options = {"name": f"hand_{geometry}", **_hand_contact(protocol)}
    pose = {
        "pos": hand.geometry_position[geometry],
        "quat": quaternion_to_wxyz(hand.geometry_quaternion[geometry]),
    }
    size = hand.geometry_size[geometry]
    if kind == GeometryType.CAPSULE and size[1] == 0.0:
        body.add_geom(type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[size[0], 0.0, 0.0], **pose, **options)
    elif kind == GeometryType.CAPSULE:
        body.add_geom(type=mujoco.mjtGeom.mjGEOM_CAPSULE, size=[size[0], size[1], 0.0], **pose, **options)
    elif kind == GeometryType.BOX:
        body.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=size, **pose, **options)
    else:  # the mesh is in the link frame
        mesh = hand.geometry_mesh[geometry]
        name = f"hand_{geometry}"
        spec.add_mesh(
            name=name,
            uservert=mesh.vertices.ravel(),
            userface=mesh.faces.ravel().astype(np.int32),
            inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_CONVEX,
        )
        body.add_geom(type=mujoco.mjtGeom.mjGEOM_MESH, meshname=name, **options)


def _add_drives(mujoco: Any, spec: Any, hand: HandModel, drives: JointDrives, protocol: Protocol) -> None:
    """Position servos with effort limits on the independent joints, couplings on the mimic joints, effort sensors."""
    driving = hand.driving_links
    for link in driving:
        dof = hand.joint_dof[link]
        actuator = spec.add_actuator(
            name=_joint_name(link), target=_joint_name(link), trntype=mujoco.mjtTrn.mjTRN_JOINT
        )
        actuator.gaintype = mujoco.mjtGain.mjGAIN_FIXED
        actuator.biastype = mujoco.mjtBias.mjBIAS_AFFINE
        gain, bias = np.zeros(10), np.zeros(10)
        gain[0] = drives.stiffness[dof]
        bias[1], bias[2] = -drives.stiffness[dof], -drives.damping[dof]
        actuator.gainprm, actuator.biasprm = gain, bias
        actuator.forcerange = [-drives.effort[dof], drives.effort[dof]]
        actuator.forcelimited = mujoco.mjtLimited.mjLIMITED_TRUE
        spec.add_sensor(
            name=_joint_name(link),
            type=mujoco.mjtSensor.mjSENS_ACTUATORFRC,
            objtype=mujoco.mjtObj.mjOBJ_ACTUATOR,
            objname=_joint_name(link),
        )
    leader = {int(hand.joint_dof[link]): link for link in driving}
    for link in range(1, hand.link_count):
        if hand.joint_type[link] == JointType.FIXED or link in driving:
            continue
        source = leader[int(hand.joint_dof[link])]
        # value = m (v_leader - o_leader) / m_leader + o
        slope = hand.joint_multiplier[link] / hand.joint_multiplier[source]
        constant = hand.joint_offset[link] - slope * hand.joint_offset[source]
        coupling = spec.add_equality(type=mujoco.mjtEq.mjEQ_JOINT, name=_joint_name(link))
        coupling.objtype = mujoco.mjtObj.mjOBJ_JOINT
        coupling.name1, coupling.name2 = _joint_name(link), _joint_name(source)
        coupling.data = _equality_data(coupling, [constant, slope])
        coupling.solref = [2.0 * protocol.time_step, 1.0]


def _adjacent_links(hand: HandModel) -> set[tuple[int, int]]:
    """Pairs of links in one rigid group, or in groups that share a joint."""
    group = np.arange(hand.link_count)
    for link in range(1, hand.link_count):
        if hand.joint_type[link] == JointType.FIXED:
            group[link] = group[hand.link_parent[link]]
    joined = {
        tuple(sorted((int(group[link]), int(group[hand.link_parent[link]]))))
        for link in range(1, hand.link_count)
    }
    return {
        (first, second)
        for first in range(hand.link_count)
        for second in range(first + 1, hand.link_count)
        if group[first] == group[second] or tuple(sorted((int(group[first]), int(group[second])))) in joined
    }


def _touching_links(mujoco: Any, hand: HandModel, compiled: Any) -> set[tuple[int, int]]:
    """Pairs of links that touch at the opening pose: neighbours by construction."""
    data = mujoco.MjData(compiled)
    for link in range(1, hand.link_count):
        if hand.joint_type[link] != JointType.FIXED:
            dof = hand.joint_dof[link]
            value = hand.joint_multiplier[link] * hand.dof_opening[dof] + hand.joint_offset[link]
            data.qpos[compiled.joint(_joint_name(link)).qposadr[0]] = value
    mujoco.mj_forward(compiled, data)
    link_of = {compiled.body(_ROOT).id: 0}
    link_of.update({compiled.body(f"link_{link}").id: link for link in range(1, hand.link_count)})
    bodies = compiled.geom_bodyid[data.contact.geom[: data.ncon]].reshape(-1, 2)
    pairs = [(link_of.get(int(a), -1), link_of.get(int(b), -1)) for a, b in bodies]
    return {(min(pair), max(pair)) for pair in pairs if min(pair) >= 0}


def _equality_data(equality: Any, values: list[float]) -> FloatArray:
    """Values padded to the length that this version of MuJoCo has."""
    data = np.zeros(len(equality.data))
    data[: len(values)] = values
    return data


def _joint_name(link: int) -> str:
    return f"joint_{link}"


def _six(inertia: FloatArray) -> list[float]:
    """MuJoCo's order: xx, yy, zz, xy, xz, yz."""
    return [float(inertia[i, j]) for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))]
