"""Energies of the published GraspQP implementation, reproduced through its own hands after conversion.

What its data hold (found by fitting, exact to rounding): the stored ``joint_position`` q is the one of the joint-limit
energy; contact points and the geometric energies belong to ``q + 0.01 sign(q)``. Contact meshes and sphere centres are
in the frame of a link's visual, and links without a visual (Shadow's thumb hub) do not take part in self-penetration.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import trimesh
from hand_models import MODEL_FOLDER
from numpy.typing import NDArray

from warpgrasp import load_object
from warpgrasp.hands import HandModel
from warpgrasp.hands.convert import ConvertConfig, convert_hand
from warpgrasp.hands.rotations import (
    compose,
    matrix_to_quaternion,
    quaternion_to_matrix,
    rotate,
    rpy_to_quaternion,
)

REFERENCE = MODEL_FOLDER.parents[1] / "reference"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not REFERENCE.is_dir(), reason=f"the reference energies are not at {REFERENCE}"),
]

FloatArray = NDArray[np.float64]
FILES = {"allegro": "allegro/allegro_hand.urdf", "shadow": "shadow_hand/shadow_hand.urdf"}


@dataclass(frozen=True, eq=False)
class Case:
    """A converted hand, the published states and where the links of the published model are."""

    name: str
    hand: HandModel
    data: dict[str, FloatArray]
    folder: Path
    visual: dict[str, tuple[FloatArray, FloatArray]]

    @property
    def joint_position(self) -> FloatArray:
        """Joint values at which the geometric energies were computed."""
        q = self.data["joint_position"].astype(np.float64)
        return q + 0.01 * np.sign(q)

    def visual_poses(self, grasp: int) -> dict[str, tuple[FloatArray, FloatArray]]:
        """Pose of every link's visual frame in the object frame."""
        root = self.data["root_position"][grasp], matrix_to_quaternion(self.data["root_rotation"][grasp])
        position, quaternion = self.hand.forward_kinematics(*root, self.joint_position[grasp])
        poses = {name: (position[k], quaternion[k]) for k, name in enumerate(self.hand.link_names)}
        for frame in self.hand.frames:
            at = position[frame.link], quaternion[frame.link]
            poses[frame.name.removesuffix("_frame")] = compose(*at, frame.position, frame.quaternion)
        return {name: compose(*poses[name], *offset) for name, offset in self.visual.items() if name in poses}


@pytest.fixture(scope="module", params=FILES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    path = MODEL_FOLDER / "graspqp" / FILES[request.param]
    config = ConvertConfig(picture=False, density=1000.0)
    hand = convert_hand(path, tmp_path_factory.mktemp("reference") / request.param, config).hand
    with np.load(REFERENCE / f"published_{request.param}_blob.npz") as file:
        data = {key: file[key] for key in file.files}
    assert data["joint_names"].tolist() == list(hand.joint_names)
    visual = {}
    for link in ElementTree.parse(path).getroot().findall("link"):
        if link.find("visual") is not None:
            origin = link.find("visual/origin")
            xyz, rpy = "0 0 0", "0 0 0"
            if origin is not None:
                xyz, rpy = origin.get("xyz", xyz), origin.get("rpy", rpy)
            turn = rpy_to_quaternion([float(v) for v in rpy.split()])
            visual[link.get("name")] = (np.array([float(v) for v in xyz.split()]), turn)
    return Case(request.param, hand, data, path.parent, visual)


def relative(ours: FloatArray, theirs: FloatArray) -> FloatArray:
    return np.abs(ours - theirs) / theirs


def test_joint_limit_energy(case: Case) -> None:
    q = case.data["joint_position"].astype(np.float64)
    below = np.maximum(case.hand.dof_lower - q, 0.0).sum(axis=1)
    above = np.maximum(q - case.hand.dof_upper, 0.0).sum(axis=1)
    np.testing.assert_allclose(below + above, case.data["energy_joint_limit"], atol=1e-6)


def test_self_penetration_energy_by_its_own_definition(case: Case) -> None:
    """Of each link the sphere pair that is deepest in any later link; neighbours count too."""
    spheres = json.loads((case.folder / "penetration_points.json").read_text())
    ours = []
    for grasp in range(len(case.joint_position)):
        poses = case.visual_poses(grasp)
        rows = [
            (number, *(poses[link][0] + rotate(poses[link][1], row[:3])), row[3])
            for number, link in enumerate(spheres)
            if link in poses
            for row in spheres[link]
        ]
        link, center, radius = np.array(rows)[:, 0], np.array(rows)[:, 1:4], np.array(rows)[:, 4]
        overlap = radius[:, None] + radius - np.linalg.norm(center[:, None] - center, axis=2)
        overlap[link[:, None] >= link] = 0.0
        ours.append(sum(max(0.0, overlap[link == k].max()) for k in np.unique(link)))
    theirs = case.data["energy_self_penetration"]
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert (theirs > 0.0).sum() >= 5


def contact_surfaces(case: Case) -> dict[str, list[trimesh.Trimesh]]:
    found: dict[str, list[trimesh.Trimesh]] = {}
    for link, rows in json.loads((case.folder / "contact_points.json").read_text()).items():
        for row in rows:
            path = (case.folder / "meshes" / row[0]).resolve()
            found.setdefault(link, []).append(trimesh.load_mesh(path, process=False))
    return found


def test_distance_energy(case: Case) -> None:
    """Contact points lie on the converted hand's contact meshes; the weighted distance follows.

    The published hand normals are not stored. Where the contact mesh is flat they are its own and the energy is met; on
    the round fingertips they must be smoothed in a way that is not known, which leaves a few per cent.
    """
    target = load_object(REFERENCE / "blob.obj")
    solid = trimesh.Trimesh(target.vertices, target.faces, process=False)
    surfaces = contact_surfaces(case)
    energy, flat, gap = [], [], 0.0
    for grasp, contacts in enumerate(case.data["contact_position"].astype(np.float64)):
        poses = case.visual_poses(grasp)
        nearest, hand_normal = np.full(len(contacts), np.inf), np.zeros((len(contacts), 3))
        is_flat = np.zeros(len(contacts), dtype=bool)
        for link, meshes in surfaces.items():
            matrix = quaternion_to_matrix(poses[link][1])
            local = (contacts - poses[link][0]) @ matrix
            for mesh in meshes:
                _, distance, face = trimesh.proximity.closest_point_naive(mesh, local)
                closer = distance < nearest
                nearest[closer] = distance[closer]
                hand_normal[closer] = (mesh.face_normals[face] @ matrix.T)[closer]
                is_flat[closer] = np.ptp(mesh.face_normals, axis=0).max() < 0.05
        gap = max(gap, float(nearest.max()))
        point, _, face = trimesh.proximity.closest_point_naive(solid, contacts)
        away = contacts - point
        sign = np.sign(np.einsum("ij,ij->i", away, solid.face_normals[face]))
        normal = sign[:, None] * away / np.linalg.norm(away, axis=1, keepdims=True)
        distance = np.sqrt(np.einsum("ij,ij->i", away, away) + 1e-8)
        facing = np.einsum("ij,ij->i", hand_normal, -normal)
        energy.append(float((np.exp(1.0 - facing) * distance).sum()))
        flat.append(bool(is_flat.all()))
    error = relative(np.array(energy), case.data["energy_distance"])
    assert gap < 1e-5  # kinematics and frames are those of the published model
    assert abs(np.sum(energy) / case.data["energy_distance"].sum() - 1.0) < 0.06
    assert np.median(error) < (0.01 if case.name == "allegro" else 0.04)
    if any(flat):
        assert error[flat].max() < 0.02


def test_penetration_energy(case: Case) -> None:
    """2500 points on the object, ours and theirs drawn differently: compared in the sum over all grasps."""
    target = load_object(REFERENCE / "blob.obj")
    points, _ = target.surface_samples(2500)
    ours = []
    for grasp in range(len(case.joint_position)):
        root = case.data["root_position"][grasp], matrix_to_quaternion(case.data["root_rotation"][grasp])
        position, quaternion = case.hand.forward_kinematics(*root, case.joint_position[grasp])
        depth = np.zeros(len(points))
        for geometry in range(len(case.hand.geometry_mesh)):
            link, shape = int(case.hand.geometry_link[geometry]), case.hand.geometry_shape(geometry)
            where, turn = compose(position[link], quaternion[link], shape.position, shape.quaternion)
            local = rotate(turn * [-1, -1, -1, 1], points - where)
            if len(shape.plane):
                inside = -(local @ shape.plane[:, :3].T - shape.plane[:, 3]).max(axis=1)
            else:
                inside = np.maximum(0.0, (shape.size - np.abs(local)).min(axis=1))
            depth = np.maximum(depth, inside)
        ours.append(depth.sum())
    ratio = np.sum(ours) / case.data["energy_penetration"].sum()
    if case.name == "allegro":
        assert ratio == pytest.approx(1.0, abs=0.05)
    else:  # its collision meshes are hollow, ours are their hulls: too much, not too little
        assert 0.9 < ratio < 1.6
    assert np.corrcoef(ours, case.data["energy_penetration"])[0, 1] > 0.8
