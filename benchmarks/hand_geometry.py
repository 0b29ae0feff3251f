"""How far is the geometry of the shipped hands from that of the real ones? Two-sided surface distance per link.

``python benchmarks/hand_geometry.py [HAND ...]`` compares the collision geometry with the vendors' meshes in
``../shared/hands/models``. What can be touched counts, with the hand assembled in its opening pose: points from which at
least a fifth of all directions leave the hand (motors inside a shell and the inside of a clevis do not) and which a ball
of 5 mm radius rolled over the outside reaches within 1 mm (screw holes, slots and the bottom of narrow grooves are not;
there the surface ends where the ball does, for the vendor's geometry and for ours).
Limits: 3 mm on links with a fingertip's pad, 6 mm elsewhere; red: the 95th percentile is above, yellow: only the largest.
"""

from __future__ import annotations

import argparse
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import trimesh
import warp as wp
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.ndimage import binary_erosion, label
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from warpgrasp.hands import HandModel, hand_names, load_hand
from warpgrasp.hands.usd.visuals import hand_visuals

MODELS = Path(__file__).resolve().parents[2] / "shared" / "hands" / "models"
URDF = {
    "allegro": "allegro/allegro_hand_right.urdf",
    "ability_hand": "ability_hand/ability_hand_right_large.urdf",
    "barrett": "barrett/frogger_bh280/bh280.urdf",
    "leap": "leap/leap_hand_right.urdf",
    "robotiq_2f140": "robotiq_2f140/robotiq_2f140.urdf",
    "robotiq_3f": "robotiq_3f/robotiq_3f_articulated.urdf",
    "shadow": "shadow/shadow_hand_right.urdf",
    "shadow_wristless": "shadow/shadow_hand_right.urdf",
}
TIP_LIMIT, OTHER_LIMIT = 3.0, 6.0  # mm
DENSE, SPARSE = 15_000, 4_000  # samples per link to search among, samples to measure at
PROBE_RADIUS, PROBE_SLACK, CELL = (
    5e-3,
    1e-3,
    1e-3,
)  # m; slack covers the cell of the grid of the ball's centres
DIRECTION_COUNT, OPEN_SHARE = 128, 0.2
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Distance:
    """Distances [mm] of one link: vendor's touchable surface to ours, and back."""

    link: str
    limit: float
    to_ours: FloatArray
    to_real: FloatArray

    @property
    def percentile(self) -> float:
        """95th percentile of both directions."""
        return float(max(np.percentile(self.to_ours, 95), np.percentile(self.to_real, 95)))

    @property
    def worst(self) -> float:
        """Largest of both directions."""
        return float(max(self.to_ours.max(), self.to_real.max()))


def real_meshes(path: Path) -> dict[str, trimesh.Trimesh]:
    """Visual meshes of every link of a URDF in its frame [m] (else its collision meshes), rigidly attached links included."""
    # one of the files uses an undeclared namespace prefix
    robot = ElementTree.fromstring(re.sub(r"<(/?)(\w+):", r"<\1\2_", path.read_text()))
    pieces: dict[str, list[trimesh.Trimesh]] = {}
    for link in robot.findall("link"):
        own = [_urdf_mesh(element, path.parent) for element in link.findall("visual")]
        found = [mesh for mesh in own if mesh is not None]
        if not found:
            found = [m for e in link.findall("collision") if (m := _urdf_mesh(e, path.parent)) is not None]
        pieces[str(link.get("name"))] = found
    fixed = [joint for joint in robot.findall("joint") if joint.get("type") == "fixed"]
    for joint in reversed(fixed):  # children are listed after their parents
        parent, child = (str(joint.find(k).get("link")) for k in ("parent", "child"))  # type: ignore[union-attr]
        for mesh in pieces.get(child, []):
            pieces[parent].append(mesh.copy().apply_transform(_urdf_pose(joint)))
    return {name: trimesh.util.concatenate(found) for name, found in pieces.items() if found}


def _urdf_pose(element: ElementTree.Element) -> FloatArray:
    origin = element.find("origin")
    pose = np.eye(4)
    if origin is not None:
        pose[:3, 3] = [float(v) for v in (origin.get("xyz") or "0 0 0").split()]
        angles = [float(v) for v in (origin.get("rpy") or "0 0 0").split()]
        pose[:3, :3] = Rotation.from_euler("xyz", angles).as_matrix()
    return pose


def _urdf_mesh(element: ElementTree.Element, folder: Path) -> trimesh.Trimesh | None:
    geometry = element.find("geometry")
    if geometry is None or len(geometry) == 0:
        return None
    if (box := geometry.find("box")) is not None:
        loaded = trimesh.creation.box(extents=[float(v) for v in str(box.get("size")).split()])
        return loaded.apply_transform(_urdf_pose(element))
    if (sphere := geometry.find("sphere")) is not None:
        loaded = trimesh.creation.icosphere(radius=float(str(sphere.get("radius"))))
        return loaded.apply_transform(_urdf_pose(element))
    if (cylinder := geometry.find("cylinder")) is not None:
        size = [float(str(cylinder.get(k))) for k in ("radius", "length")]
        return trimesh.creation.cylinder(*size).apply_transform(_urdf_pose(element))
    mesh = geometry.find("mesh")
    if mesh is None:
        return None
    file = folder / str(mesh.get("filename")).replace("package://", "").replace("file://", "")
    if (
        not file.is_file()
    ):  # robotiq_3f: the file exists in the sibling folder only (and its collision pose is wrong)
        file = Path(str(file).replace("/visual/", "/collision/"))
    loaded = trimesh.load(file, force="mesh")
    loaded.apply_scale([float(v) for v in (mesh.get("scale") or "1 1 1").split()])
    return loaded.apply_transform(_urdf_pose(element))


@wp.kernel(enable_backward=False)
def _openness(
    mesh: wp.uint64,
    point: wp.array(dtype=wp.vec3),  # type: ignore[valid-type]
    direction: wp.array(dtype=wp.vec3),  # type: ignore[valid-type]
    share: wp.array(dtype=wp.float32),  # type: ignore[valid-type]
):
    i = wp.tid()
    free = int(0)  # noqa: UP018, RUF046 - Warp declares a variable this way
    for k in range(direction.shape[0]):
        hit = wp.mesh_query_ray(mesh, point[i] + 1.0e-4 * direction[k], direction[k], 1.0)
        if not hit.result:
            free += 1
    share[i] = float(free) / float(direction.shape[0])


def touchable(
    mesh: trimesh.Trimesh, points: FloatArray, count: int = DIRECTION_COUNT, least: float = OPEN_SHARE
) -> NDArray[np.bool_]:
    """Whether more than the share ``least`` of ``count`` directions leave the mesh from each of its surface points."""
    k = np.arange(count) + 0.5
    height, angle = 1.0 - 2.0 * k / count, np.pi * (1.0 + np.sqrt(5.0)) * k
    radius = np.sqrt(1.0 - height**2)
    ray = np.stack([radius * np.cos(angle), radius * np.sin(angle), height], axis=1)
    warp_mesh = wp.Mesh(
        points=wp.array(mesh.vertices, dtype=wp.vec3, device="cpu"),
        indices=wp.array(np.asarray(mesh.faces).ravel(), dtype=wp.int32, device="cpu"),
    )
    share = wp.zeros(len(points), dtype=wp.float32, device="cpu")
    arrays = [wp.array(values, dtype=wp.vec3, device="cpu") for values in (points, ray)]
    wp.launch(_openness, dim=len(points), inputs=[warp_mesh.id, *arrays], outputs=[share], device="cpu")
    return np.asarray(share.numpy() > least)


@wp.kernel(enable_backward=False)
def _is_free(
    mesh: wp.uint64,
    lower: wp.vec3,
    cell: float,
    radius: float,
    free: wp.array3d(dtype=wp.bool),  # type: ignore[valid-type]
):
    i, j, k = wp.tid()
    center = lower + cell * wp.vec3(float(i), float(j), float(k))
    free[i, j, k] = not wp.mesh_query_point_no_sign(mesh, center, radius).result


class RollingBall:
    """A ball of ``PROBE_RADIUS`` that comes from far away and may not enter a mesh; its centres on a grid of ``CELL``."""

    def __init__(self, mesh: trimesh.Trimesh) -> None:
        warp_mesh = wp.Mesh(
            points=wp.array(mesh.vertices, dtype=wp.vec3, device="cpu"),
            indices=wp.array(np.asarray(mesh.faces).ravel(), dtype=wp.int32, device="cpu"),
        )
        lower = mesh.bounds[0] - 3.0 * PROBE_RADIUS
        shape = np.ceil((np.ptp(mesh.bounds, axis=0) + 6.0 * PROBE_RADIUS) / CELL).astype(int)
        free = wp.zeros(tuple(shape.tolist()), dtype=wp.bool, device="cpu")
        inputs = [warp_mesh.id, wp.vec3(*lower), CELL, PROBE_RADIUS]
        wp.launch(_is_free, dim=free.shape, inputs=inputs, outputs=[free], device="cpu")
        regions, _ = label(free.numpy())
        outside = regions == regions[0, 0, 0]
        rim = outside & ~binary_erosion(outside, border_value=1)
        self._centers = cKDTree(lower + CELL * np.argwhere(rim))

    def sunk(self, points: FloatArray) -> FloatArray:
        """How far points [N, 3] lie below what the ball reaches [m]; 0 where it comes, shape [N]."""
        return np.asarray(np.maximum(self._centers.query(points)[0] - PROBE_RADIUS, 0.0))


def _samples(mesh: trimesh.Trimesh, count: int) -> FloatArray:
    return np.asarray(trimesh.sample.sample_surface(mesh, count, seed=0)[0])


def posed(hand: HandModel, link: int, mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    """A mesh given in a link frame, placed in the opening pose."""
    position, quaternion = hand.forward_kinematics(np.zeros(3), (0.0, 0.0, 0.0, 1.0), hand.dof_opening)
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_quat(quaternion[link]).as_matrix()
    pose[:3, 3] = position[link]
    return mesh.copy().apply_transform(pose)


def our_mesh(hand: HandModel, link: int) -> trimesh.Trimesh:
    """Collision geometry of a link as one (overlapping) mesh in the link frame."""
    pieces = [s.mesh for s in hand.link_shapes(link)]
    return trimesh.util.concatenate([trimesh.Trimesh(p.vertices, p.faces, process=False) for p in pieces])


def our_look(hand: HandModel, link: int) -> trimesh.Trimesh:
    """Visual meshes of a link as one mesh in the link frame."""
    meshes = [mesh for mesh in hand_visuals(hand) if mesh.link == link]
    return trimesh.util.concatenate([trimesh.Trimesh(m.vertices, m.faces, process=False) for m in meshes])


def _gap(points: FloatArray, surface: cKDTree, ball: RollingBall) -> FloatArray:
    """Distance [m] of points [N, 3] to what can be touched of the other geometry: its surface, or the ball's envelope."""
    distance, sunk = surface.query(points)[0], ball.sunk(points)
    return np.asarray(np.where(sunk > 0.0, np.minimum(distance, sunk), distance))


def hand_distances(name: str, own: Callable[[HandModel, int], trimesh.Trimesh] = our_mesh) -> list[Distance]:
    """Distances of every link that has a mesh at the vendor, with the hand assembled in its opening pose.

    Args:
        name: A shipped hand.
        own: Our mesh of a link in its frame, of what collides (:func:`our_mesh`) or of what is seen (:func:`our_look`).
    """
    hand = load_hand(name)
    meshes = {re.sub(r"\W", "_", link): mesh for link, mesh in real_meshes(MODELS / URDF[name]).items()}
    links = [
        k for k, link in enumerate(hand.link_names) if link in meshes and np.any(hand.geometry_link == k)
    ]
    real = [posed(hand, k, meshes[hand.link_names[k]]) for k in links]
    ours = [posed(hand, k, own(hand, k)) for k in links]
    whole_real, whole_ours = trimesh.util.concatenate(real), trimesh.util.concatenate(ours)
    targets = []
    for whole in (whole_ours, whole_real):
        dense = _samples(whole, DENSE * len(links))
        targets.append(cKDTree(dense[touchable(whole, dense, DIRECTION_COUNT // 4, 0.0)]))
    balls = [RollingBall(whole) for whole in (whole_real, whole_ours)]
    result = []
    for k, real_link, our_link in zip(links, real, ours, strict=True):
        seen = [_samples(mesh, SPARSE) for mesh in (real_link, our_link)]
        seen = [p[touchable(w, p)] for p, w in zip(seen, (whole_real, whole_ours), strict=True)]
        seen = [p[ball.sunk(p) < PROBE_SLACK] for p, ball in zip(seen, balls, strict=True)]
        gaps = [
            1e3 * _gap(points, tree, ball)
            for points, tree, ball in zip(seen, targets, balls[::-1], strict=True)
        ]
        if not all(len(gap) for gap in gaps):
            continue  # hidden inside its neighbours
        has_tip = any(patch.link == k and patch.region == "tip" for patch in hand.patches)
        result.append(Distance(hand.link_names[k], TIP_LIMIT if has_tip else OTHER_LIMIT, *gaps))
    return result


def main() -> None:
    """Print one table per hand."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("hands", nargs="*", help="names of shipped hands; all by default")
    names = parser.parse_args().hands or hand_names()
    console = Console()
    if not MODELS.is_dir():
        console.print(f"skipped: the vendors' models are not at {MODELS}")
        return
    for name in names:
        if name not in URDF:
            console.print(f"{name}: skipped, no vendor model is known for it")
            continue
        table = Table(
            "link",
            "limit",
            "real to ours: mean",
            "95 %",
            "max",
            "ours to real: mean",
            "95 %",
            "max",
            title=f"{name} [mm]",
        )
        for d in hand_distances(name):
            values = [
                f(v)
                for v in (d.to_ours, d.to_real)
                for f in (np.mean, lambda x: np.percentile(x, 95), np.max)
            ]
            style = "red" if d.percentile > d.limit else "yellow" if d.worst > d.limit else None
            table.add_row(d.link, f"{d.limit:.0f}", *(f"{value:.1f}" for value in values), style=style)
        console.print(table)


if __name__ == "__main__":
    main()
