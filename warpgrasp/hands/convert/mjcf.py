"""Read an MJCF file into a :class:`~warpgrasp.hands.convert.source.SourceHand`, through MuJoCo's own compiler (extra ``sim``).

Defaults, includes, classes and mesh assets are resolved by MuJoCo. Couplings understood: joint equalities (linear part),
tendon equalities over two joints, two or more joints pulled by one actuated fixed tendon, which then move in proportion to
their coefficients, and loops closed by ``connect``. A body with several joints becomes a chain with light links between.
Joints that only place the hand in the world (free, six base joints, a weld to a mocap body) are left out.
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from warpgrasp.base.extras import install_extra
from warpgrasp.geometry.rotations import (
    IDENTITY_QUATERNION,
    axis_angle_to_quaternion,
    multiply_quaternions,
    quaternion_from_wxyz,
    quaternion_to_matrix,
    rotate,
)
from warpgrasp.geometry.shapes import TriMesh
from warpgrasp.hands.convert.find_hand import check_one_hand
from warpgrasp.hands.convert.mesh_files import box_piece, capsule_piece, cylinder_piece
from warpgrasp.hands.convert.mjcf_couplings import read_motion
from warpgrasp.hands.convert.mjcf_files import compile_mjcf
from warpgrasp.hands.convert.solid import surface_kinds
from warpgrasp.hands.convert.source import (
    ReadOptions,
    SourceGeometry,
    SourceHand,
    SourceJoint,
    SourceLink,
    check_budget,
)
from warpgrasp.hands.convert.tree import sorted_tree, subtree

__all__ = ["read_mjcf"]

FloatArray = NDArray[np.float64]

_LIGHT_MASS = 1e-4  # kg, of a link between two joints of one MuJoCo body
_LIGHT_INERTIA = 1e-8  # kg m^2


def read_mjcf(path: Path, options: ReadOptions) -> SourceHand:
    """Read an MJCF; what lies outside body ``options.root`` is not compiled.

    Raises:
        ImportError: MuJoCo is not installed.
        ValueError: MuJoCo cannot compile the file, it holds more than one hand, or what cannot be converted.
    """
    try:
        import mujoco
    except ImportError as error:
        raise ImportError(f"reading MJCF needs MuJoCo; {install_extra('sim')}") from error
    model = compile_mjcf(mujoco, path, options.root)
    return _Reader(mujoco, model, path, options).read()


class _Reader:
    """One pass over a compiled model."""

    def __init__(self, mujoco: Any, model: Any, path: Path, options: ReadOptions) -> None:
        self.mujoco, self.model, self.path, self.options = mujoco, model, path, options
        self.motion = read_motion(mujoco, model, path)
        self.notes = list(self.motion.notes)
        self.world_is_palm = self._world_is_palm()

    def read(self) -> SourceHand:
        model = self.model
        bodies = [b for b in range(1, model.nbody) if model.body_mocapid[b] < 0 and self._belongs(b)]
        if not bodies:
            raise ValueError(f"'{self.path}' has no body with a joint; a hand needs moving fingers")
        bodies = [0, *bodies] if self.world_is_palm else bodies
        check_budget(self.path, len(bodies), model.njnt)
        links: list[SourceLink] = []
        joints: list[SourceJoint] = []
        for body in bodies:
            self._body(body, links, joints)
        excluded = [
            (self._name("BODY", s >> 16), self._name("BODY", s & 0xFFFF)) for s in model.exclude_signature
        ]
        names = {link.name for link in links}
        whole = SourceHand(
            name=self.path.stem,
            path=self.path,
            links=tuple(links),
            joints=tuple(joints),
            notes=tuple(self.notes),
            excluded_pairs=tuple(pair for pair in excluded if names >= set(pair)),
            linkages=frozenset(self._name("BODY", body) for body in self.motion.linkages),
        )
        geoms = {self._name("BODY", body): self._geoms(body) for body in bodies}
        if self.options.root:
            whole = subtree(whole, self.options.root)
        else:
            check_one_hand(sorted_tree(whole), {name for name, kinds in geoms.items() if any(kinds)})
        return self._with_geometry(whole, geoms)

    def _with_geometry(self, hand: SourceHand, geoms: dict[str, tuple[list[int], list[int]]]) -> SourceHand:
        has = {
            link.name: (bool(geoms[link.name][0]), bool(geoms[link.name][1]))
            if link.name in geoms
            else (False, False)
            for link in hand.links
        }
        notes = list(hand.notes)
        options = self.options
        kinds = surface_kinds(has, hand.joints, visual=options.visual, ignore=options.ignore, notes=notes)
        links = []
        for link in hand.links:
            kind = kinds[link.name]
            chosen = geoms[link.name][kind == "visual"] if kind else []
            pieces = tuple(self._piece(geom, link.name) for geom in chosen)
            links.append(dataclasses.replace(link, geometry=pieces))
        return dataclasses.replace(hand, links=tuple(links), notes=tuple(notes))

    def _geoms(self, body: int) -> tuple[list[int], list[int]]:
        """Geoms of a body that collide, and those that are only seen; floors and terrain belong to no hand."""
        model, types = self.model, self.mujoco.mjtGeom
        unbounded = {int(types.mjGEOM_PLANE), int(types.mjGEOM_HFIELD)}
        own = range(model.body_geomadr[body], model.body_geomadr[body] + model.body_geomnum[body])
        solid = [g for g in own if int(model.geom_type[g]) not in unbounded]
        collides = [g for g in solid if model.geom_contype[g] or model.geom_conaffinity[g]]
        return collides, [g for g in solid if g not in collides]

    def _world_is_palm(self) -> bool:
        """Whether fingers hang on the world body itself, which then is the palm."""
        model = self.model
        held = [b for b in range(1, model.nbody) if model.body_parentid[b] == 0 and self._own_joints(b)]
        if len(held) < 2 or self.options.root:
            return False
        self.notes.append(
            f"Bodies {', '.join(repr(self._name('BODY', b)) for b in held)} move against the world; the world body is "
            "taken as the palm."
        )
        return True

    def _own_joints(self, body: int) -> list[int]:
        """Joints of a body without a free joint."""
        model = self.model
        own = range(model.body_jntadr[body], model.body_jntadr[body] + model.body_jntnum[body])
        return [j for j in own if int(model.jnt_type[j]) != int(self.mujoco.mjtJoint.mjJNT_FREE)]

    def _belongs(self, body: int) -> bool:
        """Whether a body is in a tree with a moving joint (a table, a floor or a prop is not)."""
        model, types = self.model, self.mujoco.mjtJoint
        root = model.body_rootid[body]
        moving = {int(t) for t in (types.mjJNT_HINGE, types.mjJNT_SLIDE, types.mjJNT_BALL)}
        return any(
            model.body_rootid[model.jnt_bodyid[j]] == root and int(model.jnt_type[j]) in moving
            for j in range(model.njnt)
        )

    def _body(self, body: int, links: list[SourceLink], joints: list[SourceJoint]) -> None:
        model = self.model
        name = self._name("BODY", body)
        turn = quaternion_to_matrix(quaternion_from_wxyz(model.body_iquat[body]))
        inertia = turn @ np.diag(model.body_inertia[body]) @ turn.T
        link = SourceLink(
            name=name,
            mass=float(model.body_mass[body]) or None,
            center_of_mass=np.array(model.body_ipos[body]),
            inertia=inertia if np.any(inertia) else None,
        )
        if body == 0:
            links.append(self._world_link())
            return
        parent = int(model.body_parentid[body])
        own_joints = self._own_joints(body)
        position = np.array(model.body_pos[body])
        quaternion = quaternion_from_wxyz(model.body_quat[body])
        parent_name = self._name("BODY", parent)
        if parent == 0 and not self.world_is_palm:
            if own_joints:
                listed = ", ".join(f"'{self._name('JOINT', joint)}'" for joint in own_joints)
                self.notes.append(
                    f"{listed} only place{'s' if len(own_joints) == 1 else ''} the root body '{name}' in the world; a hand "
                    "is free by itself, so left out."
                )
            links.append(link)
            return
        moving = [joint for joint in own_joints if joint not in self.motion.held]
        for joint in own_joints:
            if joint not in moving:
                position, quaternion = self._held_pose(joint, position, quaternion)
        if not moving:
            joints.append(SourceJoint(f"{name}_fixed", "fixed", parent_name, name, position, quaternion))
        for number, joint in enumerate(moving):
            last = number == len(moving) - 1
            child = name if last else f"{name}_{self._name('JOINT', joint)}"
            if not last:
                light = SourceLink(child, _LIGHT_MASS, np.zeros(3), _LIGHT_INERTIA * np.eye(3))
                links.append(light)
                self.notes.append(
                    f"Body '{name}' has {len(moving)} joints; the light link '{child}' (0.1 g) stands between."
                )
            joints.append(self._joint(joint, parent_name, child, position, quaternion))
            parent_name, position, quaternion = child, np.zeros(3), np.array(IDENTITY_QUATERNION)
        links.append(link)

    def _world_link(self) -> SourceLink:
        """The world body as a palm: MuJoCo gives it no mass, so that of its geoms at the density of water is taken."""
        model, types = self.model, self.mujoco.mjtGeom
        solid = [g for kind in self._geoms(0) for g in kind]
        volume = 0.0
        for geom in solid:
            size = model.geom_size[geom]
            boxes = {
                int(types.mjGEOM_SPHERE): 4.19 * size[0] ** 3,
                int(types.mjGEOM_BOX): 8.0 * np.prod(size),
            }
            round_part = math.pi * size[0] ** 2 * 2.0 * size[1]
            volume += float(boxes.get(int(model.geom_type[geom]), round_part))
        mass = 1000.0 * volume or None
        if mass is not None:
            self.notes.append(
                f"The world body has no mass in MuJoCo; {mass:.3g} kg are assumed from its volume."
            )
        return SourceLink(self._name("BODY", 0), mass)

    def _held_pose(
        self, joint: int, position: FloatArray, quaternion: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Pose of a body whose joint stands still."""
        model = self.model
        value = self.motion.held[joint] - float(model.qpos0[model.jnt_qposadr[joint]])
        axis, anchor = np.array(model.jnt_axis[joint]), np.array(model.jnt_pos[joint])
        if int(model.jnt_type[joint]) == int(self.mujoco.mjtJoint.mjJNT_SLIDE):
            return position + rotate(quaternion, value * axis), quaternion
        turned = multiply_quaternions(quaternion, axis_angle_to_quaternion(axis, value))
        return position + rotate(quaternion, anchor) - rotate(turned, anchor), turned

    def _joint(
        self, joint: int, parent: str, child: str, position: FloatArray, quaternion: FloatArray
    ) -> SourceJoint:
        """The joint with its frame where its value is 0: MuJoCo draws bodies at the value ``ref``."""
        model, types = self.model, self.mujoco.mjtJoint
        name = self._name("JOINT", joint)
        kinds = {int(types.mjJNT_HINGE): "revolute", int(types.mjJNT_SLIDE): "prismatic"}
        if int(model.jnt_type[joint]) not in kinds:
            raise ValueError(f"joint '{name}' is a ball joint, which is not supported; split it into hinges")
        kind = kinds[int(model.jnt_type[joint])]
        lower, upper = model.jnt_range[joint] if model.jnt_limited[joint] else (-math.inf, math.inf)
        lower, upper = self.motion.ranges.get(joint, (lower, upper))
        reference = float(model.qpos0[model.jnt_qposadr[joint]])
        anchor, axis = np.array(model.jnt_pos[joint]), np.array(model.jnt_axis[joint])
        place = position + rotate(quaternion, anchor)
        if kind == "prismatic":
            place = place - reference * rotate(quaternion, axis)
        elif reference != 0.0:
            quaternion = multiply_quaternions(quaternion, axis_angle_to_quaternion(axis, -reference))
        dof = int(model.jnt_dofadr[joint])
        drive = self.motion.drives.get(joint, {})
        damping = drive.get("damping", 0.0) + float(model.dof_damping[dof])
        return SourceJoint(
            name=name,
            kind=kind,
            parent=parent,
            child=child,
            position=place,
            quaternion=quaternion,
            axis=axis,
            child_position=anchor,
            lower=float(lower),
            upper=float(upper),
            effort=drive.get("effort"),
            stiffness=drive.get("stiffness"),
            damping=damping or None,
            armature=float(model.dof_armature[dof]) or None,
            friction=float(model.dof_frictionloss[dof]) or None,
            mimic=self.motion.couplings.get(joint),
        )

    def _piece(self, geom: int, link: str) -> SourceGeometry:
        model, types = self.model, self.mujoco.mjtGeom
        size = np.array(model.geom_size[geom])
        position = np.array(model.geom_pos[geom])
        quaternion = quaternion_from_wxyz(model.geom_quat[geom])
        kind = int(model.geom_type[geom])
        if kind == int(types.mjGEOM_SPHERE):
            return capsule_piece(size[0], 0.0, position, quaternion)
        if kind == int(types.mjGEOM_CAPSULE):
            return capsule_piece(size[0], size[1], position, quaternion)
        if kind == int(types.mjGEOM_BOX):
            return box_piece(2.0 * size, position, quaternion)
        if kind == int(types.mjGEOM_CYLINDER):
            return cylinder_piece(size[0], size[1], position, quaternion)
        if kind == int(types.mjGEOM_ELLIPSOID):
            ball = capsule_piece(1.0, 0.0, np.zeros(3), np.array(IDENTITY_QUATERNION)).mesh
            vertices = position + rotate(quaternion, size * ball.vertices)
            return SourceGeometry("ellipsoid", TriMesh(vertices, ball.faces))
        if kind == int(types.mjGEOM_MESH):
            mesh = int(model.geom_dataid[geom])
            rows = slice(model.mesh_vertadr[mesh], model.mesh_vertadr[mesh] + model.mesh_vertnum[mesh])
            faces = slice(model.mesh_faceadr[mesh], model.mesh_faceadr[mesh] + model.mesh_facenum[mesh])
            vertices = np.array(model.mesh_vert[rows], dtype=np.float64)
            # MuJoCo moves a mesh into its own principal frame; the mesh scale acts in the frame of the file
            if self.options.mesh_scale != 1.0:
                shift = np.array(model.mesh_pos[mesh])
                turn = quaternion_from_wxyz(model.mesh_quat[mesh])
                origin = position - rotate(quaternion, rotate(turn * [-1, -1, -1, 1], shift))
                vertices = self.options.mesh_scale * vertices
                position = origin + self.options.mesh_scale * (position - origin)
            placed = position + rotate(quaternion, vertices)
            return SourceGeometry(
                self._name("MESH", mesh), TriMesh(placed, np.array(model.mesh_face[faces], dtype=np.int32))
            )
        raise ValueError(
            f"body '{link}' collides through a {types(kind).name[7:].lower()}, which is not supported; use a mesh, "
            "box, capsule, cylinder, sphere or ellipsoid"
        )

    def _name(self, kind: str, index: int) -> str:
        found = self.mujoco.mj_id2name(self.model, getattr(self.mujoco.mjtObj, f"mjOBJ_{kind}"), index)
        return found or f"{kind.lower()}_{index}"
