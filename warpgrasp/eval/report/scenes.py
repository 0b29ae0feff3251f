"""Grasps as one glTF file for the viewer of the report: hand and object once, one scene per grasp."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import trimesh
import warp as wp
from numpy.typing import NDArray

from warpgrasp.eval.report.gltf import GltfBuilder, GltfNode, crease_normals
from warpgrasp.eval.report.heat_map import (
    SurfaceMesh,
    contact_density,
    refine_surface,
    touching_contacts,
    viridis,
)
from warpgrasp.geometry.rotations import rotate
from warpgrasp.grasps.case import GraspCase
from warpgrasp.grasps.gallery import finger_of_contact
from warpgrasp.hands import HandModel
from warpgrasp.hands.finger_colors import finger_color
from warpgrasp.hands.usd.visuals import VisualMesh, hand_visuals
from warpgrasp.kernels.raycast import MeshArrays, RaycastScene, launch_visibility, raycast_mesh
from warpgrasp.objects import ObjectModel

__all__ = ["GraspScenes", "grasp_scenes", "posed"]

_HAND_COLOR = (90, 95, 105)
_TIP_COLOR = (186, 190, 196)
_CONTACT_SHARE = 0.015  # radius of a contact's sphere, of the diagonal of the object
_VIEW_COUNT = 120
_COARSE = 1500  # vertices below which a mesh is divided, so that colours by vertex show the contacts


@dataclass(frozen=True, eq=False)
class GraspScenes:
    """A GLB file and which of its scenes shows which grasp."""

    glb: bytes
    scene_index: dict[tuple[int, int], int]
    """By index of the case and index of the grasp."""


def posed(case: GraspCase) -> NDArray[np.bool_]:
    """Which grasps have a pose that can be shown: finite, and a quaternion with length, shape [N]."""
    grasps = case.grasps
    finite = np.isfinite(grasps.root_position).all(axis=1) & np.isfinite(grasps.joint_position).all(axis=1)
    with np.errstate(invalid="ignore"):
        length = np.linalg.norm(grasps.root_quaternion, axis=1)
    return np.asarray(finite & (np.abs(length - 1.0) < 1.0e-3))


def grasp_scenes(
    cases: Sequence[GraspCase], selected: Sequence[Sequence[int]], *, device: wp.DeviceLike = "cpu"
) -> GraspScenes | None:
    """Build the scenes of the selected grasps, or ``None`` when there are none.

    Nodes are named ``object``, ``hand/<link>`` and ``contact/<finger>``; the object carries the contact density of all
    grasps of its case as colours by vertex. The extra ``view`` of a scene points from where most contacts can be seen.

    Args:
        cases: Hands, objects and grasps.
        selected: For each case, indices of grasps that are :func:`posed`.
        device: Warp device that casts rays.
    """
    builder = GltfBuilder()
    scene_index: dict[tuple[int, int], int] = {}
    for number, (case, indices) in enumerate(zip(cases, selected, strict=True)):
        if not len(indices):
            continue
        body = GltfNode("object", _object_mesh(builder, case))
        obstacle = raycast_mesh(case.model.vertices, case.model.faces, (0.0, 0.0, 0.0), device)
        links = _link_meshes(builder, case.hand)
        radius = _CONTACT_SHARE * float(np.linalg.norm(case.model.extent))
        for index in indices:
            nodes = [body, *_hand_nodes(case, index, links), *_contact_nodes(builder, case, index, radius)]
            name = f"{case.path.stem} {index}"
            view = _view_direction(case, index, obstacle, device)
            extras = {"object": case.path.stem, "grasp": int(index), "hand": case.hand.name, "view": view}
            scene_index[number, int(index)] = builder.scene(name, nodes, extras)
    return GraspScenes(builder.glb(), scene_index) if scene_index else None


def _object_mesh(builder: GltfBuilder, case: GraspCase) -> int:
    surface = _viewer_surface(case.model)
    contacts = touching_contacts(case.grasps, case.model, np.ones(len(case.grasps), dtype=bool))
    density = contact_density(surface.vertices, surface.normals, *contacts)
    color = viridis(density / max(float(density.max()), 1.0e-12)) ** 2.2
    return builder.mesh(
        case.path.stem, surface.vertices, surface.faces, normals=surface.normals, vertex_color=color,
        color=(1.0, 1.0, 1.0),
    )  # fmt: skip


def _viewer_surface(model: ObjectModel) -> SurfaceMesh:
    if len(model.vertices) < _COARSE:
        return refine_surface(model, edge_share=1.0 / 25.0)
    vertices, normals, faces, _ = crease_normals(model.vertices, model.faces)
    return SurfaceMesh(vertices.astype(np.float64), normals.astype(np.float64), faces.astype(np.int64))


def _link_meshes(builder: GltfBuilder, hand: HandModel) -> dict[int, int]:
    """Mesh of each link that has geometry, in the link frame: what the hand's file shows, or else what collides."""
    visuals = hand_visuals(hand)
    if visuals:
        return {
            link: _seen_mesh(builder, hand.link_names[link], [seen for seen in visuals if seen.link == link])
            for link in sorted({seen.link for seen in visuals})
        }
    tips = {patch.link for patch in hand.patches if patch.region == "tip"}
    meshes = {}
    for link, name in enumerate(hand.link_names):
        parts = [
            mesh
            for owner, mesh in zip(hand.geometry_link, hand.geometry_mesh, strict=True)
            if int(owner) == link
        ]
        if parts:
            starts = np.cumsum([0, *(len(part.vertices) for part in parts[:-1])])
            vertices = np.concatenate([np.asarray(part.vertices) for part in parts])
            faces = np.concatenate(
                [np.asarray(part.faces) + start for part, start in zip(parts, starts, strict=True)]
            )
            color = _linear(_TIP_COLOR if link in tips else _HAND_COLOR)
            meshes[link] = builder.mesh(name, vertices, faces, color=color)
    return meshes


def _seen_mesh(builder: GltfBuilder, name: str, parts: Sequence[VisualMesh]) -> int:
    """One mesh of a link's visual meshes, with their colours by vertex."""
    starts = np.cumsum([0, *(len(part.vertices) for part in parts[:-1])])
    faces = np.concatenate([part.faces + start for part, start in zip(parts, starts, strict=True)])
    normals = [part.normals for part in parts if part.normals is not None]
    return builder.mesh(
        name,
        np.concatenate([part.vertices for part in parts]),
        faces,
        color=(1.0, 1.0, 1.0),
        normals=np.concatenate(normals) if len(normals) == len(parts) else None,
        vertex_color=np.concatenate([np.tile(part.color, (len(part.vertices), 1)) for part in parts]),
    )


def _link_poses(case: GraspCase, index: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    grasps = case.grasps
    return case.hand.forward_kinematics(
        np.asarray(grasps.root_position[index], dtype=np.float64),
        np.asarray(grasps.root_quaternion[index], dtype=np.float64),
        np.asarray(grasps.joint_position[index], dtype=np.float64),
    )


def _view_direction(case: GraspCase, index: int, obstacle: MeshArrays, device: wp.DeviceLike) -> list[float]:
    """Unit vector towards the camera: most contacts in sight, rather from a little above than from below."""
    k = np.arange(_VIEW_COUNT) + 0.5
    height, angle = 1.0 - 2.0 * k / _VIEW_COUNT, np.pi * (1.0 + np.sqrt(5.0)) * k
    radius = np.sqrt(1.0 - height**2)
    directions = np.stack([radius * np.cos(angle), radius * np.sin(angle), height], axis=1)
    score = -np.abs(height - 0.35)
    contacts = case.grasps.contact_position[index]
    contacts = contacts[np.isfinite(contacts).all(axis=1)]
    if len(contacts):
        hand = _posed_hand(case, index, device)
        scene = RaycastScene()
        scene.object, scene.hand = obstacle.struct, hand.struct
        scene.contact_position = wp.array(contacts, dtype=wp.vec3, device=device)
        scene.contact_radius = _CONTACT_SHARE * float(np.linalg.norm(case.model.extent))
        array: wp.array = wp.array(directions.astype(np.float32), dtype=wp.vec3, device=device)
        score = score + launch_visibility(scene, array, device).numpy().sum(axis=1)
    return [round(float(value), 4) for value in directions[int(np.argmax(score))]]


def _posed_hand(case: GraspCase, index: int, device: wp.DeviceLike) -> MeshArrays:
    position, quaternion = _link_poses(case, index)
    vertices, faces, start = [], [], 0
    for link, mesh in zip(case.hand.geometry_link, case.hand.geometry_mesh, strict=True):
        vertices.append(rotate(quaternion[link], np.asarray(mesh.vertices)) + position[link])
        faces.append(np.asarray(mesh.faces) + start)
        start += len(mesh.vertices)
    return raycast_mesh(np.concatenate(vertices), np.concatenate(faces), (0.0, 0.0, 0.0), device)


def _hand_nodes(case: GraspCase, index: int, links: dict[int, int]) -> list[GltfNode]:
    position, quaternion = _link_poses(case, index)
    return [
        GltfNode(f"hand/{case.hand.link_names[link]}", mesh, position[link], quaternion[link])
        for link, mesh in links.items()
    ]


def _contact_nodes(builder: GltfBuilder, case: GraspCase, index: int, radius: float) -> list[GltfNode]:
    ball = trimesh.creation.icosphere(subdivisions=1)
    nodes = []
    names = finger_of_contact(case.grasps, index, case.hand)
    for position, finger in zip(case.grasps.contact_position[index], names, strict=True):
        if np.isfinite(position).all():
            mesh = builder.mesh(
                f"contact {finger}",
                ball.vertices,
                ball.faces,
                normals=ball.vertices,
                color=_linear(finger_color(finger)),
            )
            nodes.append(GltfNode(f"contact/{finger}", mesh, position, scale=radius))
    return nodes


def _linear(color: tuple[int, int, int]) -> NDArray[np.float64]:
    return (np.asarray(color, dtype=np.float64) / 255.0) ** 2.2
