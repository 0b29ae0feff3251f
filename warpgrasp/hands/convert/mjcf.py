"""Read an MJCF file into a :class:`~warpgrasp.hands.convert.source.SourceHand`, through MuJoCo's own compiler (extra ``sim``).

Defaults, includes, classes and mesh assets are resolved by MuJoCo. Couplings understood: joint equalities (linear part),
tendon equalities over two joints, and two or more joints pulled by one actuated fixed tendon, which then move in
proportion to their coefficients. A body with several joints becomes a chain with light links between.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from warpgrasp.geometry.rotations import (
    IDENTITY_QUATERNION,
    quaternion_from_wxyz,
    quaternion_to_matrix,
    rotate,
)
from warpgrasp.geometry.shapes import TriMesh
from warpgrasp.hands.convert.mesh_files import box_piece, capsule_piece, cylinder_piece
from warpgrasp.hands.convert.source import SourceGeometry, SourceHand, SourceJoint, SourceLink, SourceMimic

__all__ = ["read_mjcf"]

FloatArray = NDArray[np.float64]

_LIGHT_MASS = 1e-4  # kg, of a link between two joints of one MuJoCo body
_LIGHT_INERTIA = 1e-8  # kg m^2


def read_mjcf(path: Path, *, mesh_scale: float = 1.0, visual: bool = False) -> SourceHand:
    """Read an MJCF.

    Args:
        path: The file.
        mesh_scale: Factor on meshes, besides the scale the file states.
        visual: Take the geometry that does not collide (of links that have both).

    Raises:
        ImportError: MuJoCo is not installed.
        ValueError: MuJoCo cannot compile the file, or it holds what cannot be converted.
    """
    try:
        import mujoco
    except ImportError as error:
        raise ImportError(
            "reading MJCF needs MuJoCo; install the extra: pip install 'warpgrasp[sim]'"
        ) from error
    try:
        model = mujoco.MjSpec.from_file(str(path)).compile()
    except (ValueError, FileNotFoundError) as error:
        text = " ".join(str(error).split()).rstrip(".")
        raise ValueError(
            f"MuJoCo cannot compile '{path}' ({text}); correct the file or put what is missing there"
        ) from error
    return _Reader(mujoco, model, path, mesh_scale, visual).read()


class _Reader:
    """One pass over a compiled model."""

    def __init__(self, mujoco: Any, model: Any, path: Path, mesh_scale: float, visual: bool) -> None:
        self.mujoco, self.model, self.path = mujoco, model, path
        self.mesh_scale, self.visual = mesh_scale, visual
        self.notes: list[str] = []
        self.drives = self._drives()

    def read(self) -> SourceHand:
        model = self.model
        bodies = [b for b in range(1, model.nbody) if model.body_mocapid[b] < 0 and self._belongs(b)]
        if not bodies:
            raise ValueError(f"'{self.path}' has no body with a joint; a hand needs moving fingers")
        couplings = self._couplings()
        links: list[SourceLink] = []
        joints: list[SourceJoint] = []
        for body in bodies:
            self._body(body, links, joints, couplings)
        excluded = [
            (self._name("BODY", s >> 16), self._name("BODY", s & 0xFFFF)) for s in model.exclude_signature
        ]
        names = {link.name for link in links}
        return SourceHand(
            name=self.path.stem,
            path=self.path,
            links=tuple(links),
            joints=tuple(joints),
            notes=tuple(self.notes),
            excluded_pairs=tuple(pair for pair in excluded if names >= set(pair)),
        )

    def _belongs(self, body: int) -> bool:
        """Whether a body is in a tree with a moving joint (a table, a floor or a prop is not)."""
        model, types = self.model, self.mujoco.mjtJoint
        root = model.body_rootid[body]
        moving = {int(t) for t in (types.mjJNT_HINGE, types.mjJNT_SLIDE, types.mjJNT_BALL)}
        return any(
            model.body_rootid[model.jnt_bodyid[j]] == root and int(model.jnt_type[j]) in moving
            for j in range(model.njnt)
        )

    def _body(
        self,
        body: int,
        links: list[SourceLink],
        joints: list[SourceJoint],
        couplings: dict[int, SourceMimic],
    ) -> None:
        model, types = self.model, self.mujoco.mjtJoint
        name = self._name("BODY", body)
        turn = quaternion_to_matrix(quaternion_from_wxyz(model.body_iquat[body]))
        inertia = turn @ np.diag(model.body_inertia[body]) @ turn.T
        link = SourceLink(
            name=name,
            mass=float(model.body_mass[body]) or None,
            center_of_mass=np.array(model.body_ipos[body]),
            inertia=inertia if np.any(inertia) else None,
            geometry=tuple(self._geometry(body, name)),
        )
        parent = int(model.body_parentid[body])
        own = range(model.body_jntadr[body], model.body_jntadr[body] + model.body_jntnum[body])
        own_joints = [j for j in own if int(model.jnt_type[j]) != int(types.mjJNT_FREE)]
        position = np.array(model.body_pos[body])
        quaternion = quaternion_from_wxyz(model.body_quat[body])
        parent_name = self._name("BODY", parent)
        if parent == 0:
            if own_joints:
                raise ValueError(
                    f"joint '{self._name('JOINT', own_joints[0])}' moves the root body '{name}' against the world; "
                    f"remove it (the hand is free by itself) or convert a subtree with --root BODY"
                )
        elif not own_joints:
            joints.append(SourceJoint(f"{name}_fixed", "fixed", parent_name, name, position, quaternion))
        for number, joint in enumerate(own_joints):
            last = number == len(own_joints) - 1
            child = name if last else f"{name}_{self._name('JOINT', joint)}"
            if not last:
                light = SourceLink(child, _LIGHT_MASS, np.zeros(3), _LIGHT_INERTIA * np.eye(3))
                links.append(light)
                self.notes.append(
                    f"Body '{name}' has {len(own_joints)} joints; the light link '{child}' (0.1 g) stands between."
                )
            joints.append(self._joint(joint, parent_name, child, position, quaternion, couplings))
            parent_name, position, quaternion = child, np.zeros(3), np.array(IDENTITY_QUATERNION)
        links.append(link)

    def _joint(
        self,
        joint: int,
        parent: str,
        child: str,
        position: FloatArray,
        quaternion: FloatArray,
        couplings: dict[int, SourceMimic],
    ) -> SourceJoint:
        model, types = self.model, self.mujoco.mjtJoint
        name = self._name("JOINT", joint)
        kinds = {int(types.mjJNT_HINGE): "revolute", int(types.mjJNT_SLIDE): "prismatic"}
        if int(model.jnt_type[joint]) not in kinds:
            raise ValueError(f"joint '{name}' is a ball joint, which is not supported; split it into hinges")
        lower, upper = model.jnt_range[joint] if model.jnt_limited[joint] else (-math.inf, math.inf)
        reference = float(model.qpos0[model.jnt_qposadr[joint]])
        if reference != 0.0:
            raise ValueError(
                f"joint '{name}' has ref = {reference:g}; write the body's pose for joint value 0 and remove ref"
            )
        dof = int(model.jnt_dofadr[joint])
        anchor = np.array(model.jnt_pos[joint])
        drive = self.drives.get(joint, {})
        passive = float(model.dof_damping[dof])
        damping = drive.get("damping", 0.0) + passive
        return SourceJoint(
            name=name,
            kind=kinds[int(model.jnt_type[joint])],
            parent=parent,
            child=child,
            position=position + rotate(quaternion, anchor),
            quaternion=quaternion,
            axis=np.array(model.jnt_axis[joint]),
            child_position=anchor,
            lower=float(lower),
            upper=float(upper),
            effort=drive.get("effort"),
            stiffness=drive.get("stiffness"),
            damping=damping or None,
            armature=float(model.dof_armature[dof]) or None,
            friction=float(model.dof_frictionloss[dof]) or None,
            mimic=couplings.get(joint),
        )

    def _drives(self) -> dict[int, dict[str, float]]:
        """Position gains and force limits of actuators on joints, and of those on tendons for each joint."""
        model, kinds = self.model, self.mujoco.mjtTrn
        drives: dict[int, dict[str, float]] = {}
        for actuator in range(model.nu):
            target = int(model.actuator_trnid[actuator][0])
            transmission = int(model.actuator_trntype[actuator])
            if transmission == int(kinds.mjTRN_JOINT):
                arms = {target: float(abs(model.actuator_gear[actuator][0]))}
            elif transmission == int(kinds.mjTRN_TENDON):
                arms = {joint: abs(coefficient) for joint, coefficient in self._tendon(target)}
            else:
                continue
            stiffness = max(0.0, -float(model.actuator_biasprm[actuator][1]))
            damping = max(0.0, -float(model.actuator_biasprm[actuator][2]))
            effort = math.inf
            if model.actuator_forcelimited[actuator]:
                effort = float(np.abs(model.actuator_forcerange[actuator]).max())
            elif not stiffness and model.actuator_ctrllimited[actuator]:  # a motor: gain times control
                effort = float(
                    model.actuator_gainprm[actuator][0] * np.abs(model.actuator_ctrlrange[actuator]).max()
                )
            for joint, arm in arms.items():
                values = {
                    "stiffness": arm**2 * stiffness,
                    "damping": arm**2 * damping,
                    "effort": arm * effort,
                }
                drives[joint] = {k: v for k, v in values.items() if math.isfinite(v) and v > 0.0}
        return drives

    def _tendon(self, tendon: int) -> list[tuple[int, float]]:
        """Joints and coefficients of a fixed tendon; empty for a spatial one."""
        model = self.model
        start, count = int(model.tendon_adr[tendon]), int(model.tendon_num[tendon])
        rows = range(start, start + count)
        if any(int(model.wrap_type[row]) != int(self.mujoco.mjtWrap.mjWRAP_JOINT) for row in rows):
            self.notes.append(
                f"Tendon '{self._name('TENDON', tendon)}' is spatial; its coupling is not converted."
            )
            return []
        return [(int(model.wrap_objid[row]), float(model.wrap_prm[row])) for row in rows]

    def _couplings(self) -> dict[int, SourceMimic]:
        """Follower joint to its coupling."""
        model, kinds = self.model, self.mujoco.mjtEq
        found: dict[int, SourceMimic] = {}
        for equality in range(model.neq):
            if not model.eq_active0[equality]:
                continue
            kind = int(model.eq_type[equality])
            first, second = int(model.eq_obj1id[equality]), int(model.eq_obj2id[equality])
            terms = np.array(model.eq_data[equality][:5])
            if kind == int(kinds.mjEQ_JOINT):
                self._joint_equality(found, first, second, terms)
            elif kind == int(kinds.mjEQ_TENDON):
                self._tendon_equality(found, first, second, terms)
            else:
                a = self._name(
                    "BODY"
                    if int(model.eq_objtype[equality]) == int(self.mujoco.mjtObj.mjOBJ_BODY)
                    else "SITE",
                    first,
                )
                raise ValueError(
                    f"equality {equality} at '{a}' closes a kinematic loop ({kinds(kind).name[5:].lower()}); remove it and "
                    "couple the moving joints with <equality><joint .../></equality>"
                )
        for actuator in range(model.nu):
            if int(model.actuator_trntype[actuator]) == int(self.mujoco.mjtTrn.mjTRN_TENDON):
                self._pulled_tendon(found, int(model.actuator_trnid[actuator][0]))
        return found

    def _joint_equality(
        self, found: dict[int, SourceMimic], follower: int, leader: int, terms: FloatArray
    ) -> None:
        name = self._name("JOINT", follower)
        if leader < 0:
            raise ValueError(
                f"joint '{name}' is held at {terms[0]:g} by an equality; remove the joint or the equality"
            )
        if np.any(terms[2:]):
            self.notes.append(
                f"Joint '{name}' follows '{self._name('JOINT', leader)}' by a polynomial; only its linear part is kept."
            )
        found[follower] = SourceMimic(self._name("JOINT", leader), float(terms[1]), float(terms[0]))

    def _tendon_equality(
        self, found: dict[int, SourceMimic], first: int, second: int, terms: FloatArray
    ) -> None:
        """Tendon length against its rest value (and another's): linear among its joints; two joints can be solved."""
        weight: dict[int, float] = dict(self._tendon(first))
        constant = float(terms[0])
        if second >= 0:
            for joint, coefficient in self._tendon(second):
                weight[joint] = weight.get(joint, 0.0) - float(terms[1]) * coefficient
        if len(weight) != 2:
            raise ValueError(
                f"the equality of tendon '{self._name('TENDON', first)}' couples {len(weight)} joints; only two can be "
                "converted: write joint equalities instead"
            )
        (leader, a), (follower, b) = weight.items()
        found[follower] = SourceMimic(self._name("JOINT", leader), -a / b, constant / b)

    def _pulled_tendon(self, found: dict[int, SourceMimic], tendon: int) -> None:
        joints = self._tendon(tendon)
        if len(joints) < 2:
            return
        leader, unit = joints[0]
        for follower, coefficient in joints[1:]:
            if follower in found:
                continue
            found[follower] = SourceMimic(self._name("JOINT", leader), coefficient / unit, 0.0)
            self.notes.append(
                f"Joints '{self._name('JOINT', leader)}' and '{self._name('JOINT', follower)}' are pulled by one tendon "
                f"('{self._name('TENDON', tendon)}'); they are coupled in proportion to its coefficients."
            )

    def _geometry(self, body: int, link: str) -> Iterator[SourceGeometry]:
        model = self.model
        own = range(model.body_geomadr[body], model.body_geomadr[body] + model.body_geomnum[body])
        collides = {g: bool(model.geom_contype[g] or model.geom_conaffinity[g]) for g in own}
        wanted = [g for g in own if collides[g] != self.visual] or list(own)
        for geom in wanted:
            yield self._piece(geom, link)

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
            if self.mesh_scale != 1.0:
                shift = np.array(model.mesh_pos[mesh])
                turn = quaternion_from_wxyz(model.mesh_quat[mesh])
                origin = position - rotate(quaternion, rotate(turn * [-1, -1, -1, 1], shift))
                vertices = self.mesh_scale * vertices
                position = origin + self.mesh_scale * (position - origin)
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
