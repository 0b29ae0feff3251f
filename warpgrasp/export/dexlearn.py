"""Grasps in the layout that DexLearn, the training code of BODex and Dexonomy, reads.

Layout::

    grasp/<number>_<grasp type>/<object>/floating/scale100.npy   pregrasp_qpos, grasp_qpos, squeeze_qpos, scene_path
    object/scene_cfg/<object>/floating/scale100.npy              the scene: one rigid object at the origin, force closure
    object/vision_data/azure_kinect_dk/<object>_floating_scale100/partial_pc_<k>.npy   points seen by camera k, [<= 4096, 3] m
    object/processed_data/<object>/{info/simplified.json, mesh/simplified.obj, urdf/{coacd.urdf,coacd.xml,meshes/*.obj}}
    object/valid_split/{all,train,test}.json                     names of objects; as in the data set, else a fifth by hash
    <hand>_dexlearn_joints.json                                  root frame, joint order

Poses are x y z, then the quaternion w x y z; squeeze targets are for the servos of DexGraspBench.
"""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from warpgrasp.base.atomic_file import write_bytes, write_text
from warpgrasp.export.batch import ExportBatch
from warpgrasp.export.dexgraspbench import stage_poses, write_object_folder
from warpgrasp.export.peer_hands import dexgraspbench_hand
from warpgrasp.objects.convex_pieces import convex_pieces
from warpgrasp.objects.views import ViewConfig, object_views

__all__ = ["write_dexlearn"]

_CAMERA = "azure_kinect_dk"
_VIEWS = ViewConfig(count=5, size=128, distance=1.0, points=4096)
_TYPES = ("power", "precision", "pinch")  # their numbers; others count as 0


def write_dexlearn(batch: ExportBatch, folder: Path) -> list[Path]:
    """Write the grasps of one object with its scene and point clouds; returns the grasp file.

    Raises:
        ImportError: The object is not convex and CoACD is not installed.
        ValueError: The object is too large for the cameras.
        OutputError: A file cannot be written.
    """
    objects, name = folder / "object", batch.name
    place = objects / "processed_data" / name
    write_object_folder(place, batch, convex_pieces(batch.model))
    vertices = batch.model.vertices / batch.model.scale
    _write_models(place / "urdf", name)
    lines = [f"v {x:.9g} {y:.9g} {z:.9g}" for x, y, z in vertices]
    lines += [f"f {a} {b} {c}" for a, b, c in batch.model.faces + 1]
    write_text(place / "mesh" / "simplified.obj", "\n".join(lines) + "\n")
    scene = _write_scene(batch, objects)
    _write_clouds(batch, objects / "vision_data" / _CAMERA / f"{name}_floating_scale100")
    _write_splits(objects / "valid_split", batch)
    number = _TYPES.index(batch.grasp_type) + 1 if batch.grasp_type in _TYPES else 0
    path = folder / "grasp" / f"{number}_{batch.grasp_type}" / name / "floating" / "scale100.npy"
    content: dict[str, Any] = {f"{stage}_qpos": poses for stage, poses in stage_poses(batch).items()}
    _write_npy(path, {**content, "scene_path": str(scene.resolve())})
    description = json.dumps(dexgraspbench_hand(batch.hand).description(batch.hand), indent=2)
    write_text(folder / f"{batch.hand.name}_dexlearn_joints.json", description + "\n")
    return [path]


def _write_scene(batch: ExportBatch, objects: Path) -> Path:
    path = objects / "scene_cfg" / batch.name / "floating" / "scale100.npy"
    beside = f"../../../processed_data/{batch.name}"
    scale = float(batch.model.scale)
    thing = {
        "type": "rigid_object",
        "file_path": f"{beside}/mesh/simplified.obj",
        "xml_path": f"{beside}/urdf/coacd.xml",
        "urdf_path": f"{beside}/urdf/coacd.urdf",
        "info_path": f"{beside}/info/simplified.json",
        "scale": np.full(3, scale),
        "pose": np.array([0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]),
    }
    content = {
        "scene_id": f"{batch.name}_floating_scale100",
        "scene": {batch.name: thing},
        "task": {"type": "force_closure", "obj_name": batch.name},
    }
    _write_npy(path, content)
    return path


def _write_models(folder: Path, name: str) -> None:
    """The convex pieces as one URDF link and one MJCF body, in the units of the object's file."""
    pieces = sorted(path.name for path in (folder / "meshes").glob("*.obj"))
    shapes = "".join(
        f'    <{kind}><geometry><mesh filename="meshes/{piece}"/></geometry></{kind}>\n'
        for piece in pieces
        for kind in ("visual", "collision")
    )
    write_text(
        folder / "coacd.urdf", f'<robot name="{name}">\n  <link name="object">\n{shapes}  </link>\n</robot>\n'
    )
    meshes = "".join(f'    <mesh name="{Path(piece).stem}" file="{piece}"/>\n' for piece in pieces)
    geoms = "".join(f'      <geom type="mesh" mesh="{Path(piece).stem}"/>\n' for piece in pieces)
    write_text(
        folder / "coacd.xml",
        f'<mujoco model="{name}">\n  <compiler meshdir="meshes"/>\n  <asset>\n{meshes}  </asset>\n  <worldbody>\n'
        f'    <body name="object">\n{geoms}    </body>\n  </worldbody>\n</mujoco>\n',
    )


def _write_clouds(batch: ExportBatch, folder: Path) -> None:
    views = object_views(batch.model, _VIEWS)
    random = np.random.default_rng(int(batch.model.mesh_hash[:16], 16))
    for view in range(_VIEWS.count):
        points = views.points(view)
        chosen = random.permutation(len(points))[: _VIEWS.points]
        buffer = io.BytesIO()
        np.save(buffer, points[chosen], allow_pickle=False)
        write_bytes(folder / f"partial_pc_{view:02d}.npy", buffer.getvalue())


def _write_splits(folder: Path, batch: ExportBatch) -> None:
    """Add an object to the lists; its side is that of the data set, or follows from its mesh."""
    name, mesh_hash = batch.name, batch.model.mesh_hash
    is_test = batch.split == "test"
    if not batch.split:
        is_test = int(hashlib.sha256(mesh_hash.encode()).hexdigest()[:8], 16) % 5 == 0
    for split, belongs in (("all", True), ("train", not is_test), ("test", is_test)):
        path = folder / f"{split}.json"
        names = set(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else set()
        names = names | {name} if belongs else names - {name}
        write_text(path, json.dumps(sorted(names), indent=1) + "\n")


def _write_npy(path: Path, content: dict[str, Any]) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.array(content, dtype=object), allow_pickle=True)
    write_bytes(path, buffer.getvalue())
