"""Measure how well the hand converter guesses.

Every hand of ../shared/hands/models is converted, loaded and grasps an object; for hands with hand-made contact meshes the
table says how many of them an automatic patch coincides with.

    python benchmarks/converter.py [--steps 300] [--grasps 8] [--only NAME ...]

A hand-made contact mesh counts as found when an automatic patch on the same link lies within 6 mm of its middle and looks
within 45 degrees of the same direction. Some contact meshes are thin plates with both sides, whose mean normal is that of
neither: of those the side that looks the patch's way counts. Extra patches are those on links that have no contact mesh.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import trimesh

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import warp as wp  # noqa: E402
from hand_models import MODEL_FOLDER, MODELS, RobotModel  # noqa: E402

from warpgrasp import SynthesisConfig, load_object, synthesize  # noqa: E402
from warpgrasp.geometry.rotations import quaternion_to_matrix, rpy_to_quaternion  # noqa: E402
from warpgrasp.hands import ContactPatch, HandModel  # noqa: E402
from warpgrasp.hands.convert import ConvertConfig, convert_hand  # noqa: E402

OBJECT = ROOT.parent / "shared" / "objects" / "ycb_005_tomato_soup_can.obj"
DISTANCE, COSINE = 6e-3, float(np.cos(np.radians(45.0)))
TWO_SIDED = 0.3  # size of the mean of a surface's normals below which it has two sides


def contact_meshes(model: RobotModel) -> dict[str, trimesh.Trimesh]:
    """Hand-made contact meshes by link, in the link's frame (the files are in the frame of its visual)."""
    folder = (MODEL_FOLDER / model.path).parent
    listed = folder / "contact_points.json"
    if not listed.is_file():
        return {}
    poses = {}
    for link in ElementTree.parse(MODEL_FOLDER / model.path).getroot().findall("link"):
        origin = link.find("visual/origin")
        if origin is not None:
            xyz, rpy = ([float(v) for v in origin.get(key, "0 0 0").split()] for key in ("xyz", "rpy"))
            poses[link.get("name")] = np.array(xyz), quaternion_to_matrix(rpy_to_quaternion(rpy))
    found = {}
    for link, rows in json.loads(listed.read_text()).items():
        for row in rows:
            path = (folder / "meshes" / row[0]).resolve()
            path = path if path.is_file() else next((p for p in folder.rglob(path.name)), path)
            mesh = trimesh.load_mesh(path, process=False)
            position, rotation = poses.get(link, (np.zeros(3), np.eye(3)))
            mesh.vertices = position + mesh.vertices @ rotation.T
            found[link] = mesh
    return found


def middle(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Area-weighted centre and mean normal of a surface."""
    corner = vertices[faces]
    normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    total = normal.sum(axis=0)
    center = np.average(corner.mean(axis=1), axis=0, weights=np.linalg.norm(normal, axis=1))
    return center, total / max(float(np.linalg.norm(total)), 1e-12)


def same_side(mesh: trimesh.Trimesh, direction: np.ndarray) -> trimesh.Trimesh:
    """The mesh, or the side of it that looks along ``direction`` where it is a plate with two."""
    mean = np.average(mesh.face_normals, axis=0, weights=mesh.area_faces)
    if float(np.linalg.norm(mean)) > TWO_SIDED:
        return mesh
    return mesh.submesh([np.flatnonzero(mesh.face_normals @ direction > 0.0)], append=True, repair=False)


def coincidence(hand: HandModel, model: RobotModel) -> tuple[int, int, int]:
    """Contact meshes found, contact meshes in all, automatic patches on links without one."""
    meshes = contact_meshes(model)
    frames = {frame.name.removesuffix("_frame"): frame for frame in hand.frames}
    found, used = 0, set()
    for link, mesh in meshes.items():
        if link in frames:  # welded to its parent
            frame = frames[link]
            turn = quaternion_to_matrix(frame.quaternion)
            owner = frame.link
            mesh = trimesh.Trimesh(frame.position + mesh.vertices @ turn.T, mesh.faces, process=False)
        else:
            owner = hand.link_names.index(link)
        used.add(owner)
        found += any(coincides(patch, mesh) for patch in hand.patches if patch.link == owner)
    extra = sum(patch.link not in used for patch in hand.patches)
    return found, len(meshes), extra if meshes else 0


def coincides(patch: ContactPatch, mesh: trimesh.Trimesh) -> bool:
    """An automatic patch lies at the middle of a contact mesh and looks the same way."""
    direction = middle(patch.vertices, patch.faces)[1]
    side = same_side(mesh, direction)
    center, normal = middle(side.vertices, side.faces)
    near = float(np.linalg.norm(patch.vertices[patch.faces].mean(axis=1) - center, axis=1).min())
    return near < DISTANCE and float(direction @ normal) > COSINE


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--grasps", type=int, default=8)
    parser.add_argument("--only", nargs="*", default=list(MODELS))
    options = parser.parse_args()
    if not MODEL_FOLDER.is_dir():
        raise SystemExit(f"the robot models are not at {MODEL_FOLDER}")
    if hasattr(wp.config, "log_level"):  # not in Warp 1.17
        wp.config.log_level = wp.LOG_WARNING
    target = load_object(OBJECT)
    print(
        "| model | joints | pieces | patches | convert s | ok grasps | contact gap mm | contact meshes found | extra patches |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for name in options.only:
        model = MODELS[name]
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            config = ConvertConfig(picture=False, density=model.density, name=name)
            hand = convert_hand(MODEL_FOLDER / model.path, folder, config).hand
            seconds = time.perf_counter() - started
            settings = SynthesisConfig(grasp_count=options.grasps, step_count=options.steps, device="cpu")
            (grasps,) = synthesize(hand, [target], settings)
        valid = np.asarray(grasps.status) == 0
        gap = contact_gap(target.vertices, target.faces, np.asarray(grasps.contact_position)[valid])
        found, total, extra = coincidence(hand, model)
        match = f"{found} of {total}" if total else "-"
        print(
            f"| {name} | {hand.dof_count} | {len(hand.geometry_mesh)} | {len(hand.patches)} | {seconds:.1f} | "
            f"{int(valid.sum())} of {len(valid)} | {1e3 * gap:.1f} | {match} | {extra if total else '-'} |",
            flush=True,
        )


def contact_gap(vertices: np.ndarray, faces: np.ndarray, contacts: np.ndarray) -> float:
    """Median distance of the contacts from the object's surface [m]."""
    points = contacts.reshape(-1, 3)
    points = points[np.isfinite(points).all(axis=1)]
    if len(points) == 0:
        return float("nan")
    surface = trimesh.Trimesh(vertices, faces, process=False)
    cloud = np.concatenate([trimesh.sample.sample_surface(surface, 50000, seed=0)[0], vertices])
    from scipy.spatial import cKDTree

    return float(np.median(cKDTree(cloud).query(points)[0]))


if __name__ == "__main__":
    main()
