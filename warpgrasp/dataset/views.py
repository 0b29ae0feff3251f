"""Views of the objects for vision: depth, normals, mask, partial point clouds, and the cameras that took them.

Cameras lie on a sphere around the object and look at it; positions and targets are scattered as in the tools of BODex
(Chen et al. 2025): by a tenth of the distance, and by a tenth of the object's radius. The focal length is chosen so that the
whole object fits. Conventions are those of OpenCV: x right, y down, z forward, the centre of the upper left pixel is (0, 0).
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import warp as wp
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial.transform import Rotation

from warpgrasp.dataset.items import WorkItem
from warpgrasp.dataset.making import Maker
from warpgrasp.dataset.plan import ViewEntry
from warpgrasp.grasps.sharded.columns import import_pyarrow
from warpgrasp.grasps.sharded.rows import list_values
from warpgrasp.grasps.sharded.shard import write_table_file
from warpgrasp.kernels.object_views import view_kernel
from warpgrasp.objects import ObjectError, ObjectModel

__all__ = [
    "ObjectViews",
    "add_depth_noise",
    "camera_matrix",
    "object_views",
    "read_picture",
    "view_index",
    "view_table",
    "write_views",
]

Floats = NDArray[np.float32]

_DEPTH_UNIT = 1.0e-4  # m per count of a 16-bit picture, where the object is not too far away
_MARGIN = 1.15  # of the picture beyond the object's bounding sphere
_PIXELS = ("depth", "normal", "mask", "noisy_depth")


@dataclass(frozen=True, eq=False)
class ObjectViews:
    """V views of one object, H x W pixels."""

    camera_position: Floats
    """Camera in the object frame [m], shape [V, 3]."""
    camera_quaternion: Floats
    """Camera in the object frame, axes of OpenCV, xyzw, shape [V, 4]."""
    focal: Floats
    """Focal length [pixels], shape [V]; the principal point is the middle of the picture."""
    depth: Floats
    """Along the viewing direction [m], 0 where nothing is seen, shape [V, H, W]."""
    normal: Floats
    """Towards the camera, camera frame, unit, shape [V, H, W, 3]."""

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Pixels that show the object, shape [V, H, W]."""
        return self.depth > 0.0

    def points(self, view: int) -> Floats:
        """Seen points of one view in the object frame [m], shape [K, 3], row by row."""
        row, column = np.nonzero(self.mask[view])
        z = self.depth[view, row, column].astype(np.float64)
        height, width = self.depth.shape[1:]
        x = (column - 0.5 * (width - 1)) / self.focal[view] * z
        y = (row - 0.5 * (height - 1)) / self.focal[view] * z
        turned = Rotation.from_quat(self.camera_quaternion[view]).apply(np.stack([x, y, z], axis=1))
        return (turned + self.camera_position[view]).astype(np.float32)


def object_views(model: ObjectModel, config: ViewEntry, *, device: str = "cpu") -> ObjectViews:
    """Look at an object from random directions, the same for the same mesh and seed.

    Raises:
        ValueError: The cameras would be inside the object.
    """
    middle = 0.5 * (model.vertices.min(axis=0) + model.vertices.max(axis=0))
    radius = float(np.linalg.norm(model.vertices - middle, axis=1).max())
    if config.distance < 1.5 * radius:
        raise ValueError(
            f"views.distance must be at least {1.5 * radius:.2g} m for {model.name}, 1.5 times its radius (got "
            f"{config.distance:g})"
        )
    random = np.random.default_rng([config.seed, int(model.mesh_hash[:16], 16)])
    direction = random.normal(size=(config.count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    distance = config.distance * random.uniform(0.9, 1.1, config.count)
    position = middle + distance[:, None] * direction
    target = middle + 0.1 * radius * random.uniform(-1.0, 1.0, (config.count, 3))
    rotation = _looking(target - position, random.uniform(-0.2, 0.2, config.count))
    reach = np.linalg.norm(target - middle, axis=1) + radius * _MARGIN
    away = np.linalg.norm(target - position, axis=1)
    focal = 0.5 * config.size * np.sqrt(np.maximum(away**2 - reach**2, 1e-12)) / reach
    quaternion = rotation.as_quat()
    pose = np.concatenate([position, quaternion], axis=1).astype(np.float32)
    shape = (config.count, config.size, config.size)
    depth = wp.empty(shape, dtype=wp.float32, device=device)
    normal = wp.empty(shape, dtype=wp.vec3, device=device)
    mesh = wp.Mesh(
        points=wp.array(model.vertices.astype(np.float32), dtype=wp.vec3, device=device),
        indices=wp.array(model.faces.reshape(-1), dtype=wp.int32, device=device),
    )
    inputs = [
        mesh.id,
        wp.array(pose, dtype=wp.transform, device=device),
        wp.array(focal.astype(np.float32), dtype=wp.float32, device=device),
    ]
    wp.launch(view_kernel, dim=shape, inputs=inputs, outputs=[depth, normal], device=device)
    return ObjectViews(pose[:, :3], pose[:, 3:], focal.astype(np.float32), depth.numpy(), normal.numpy())


def _looking(forward: NDArray[np.float64], roll: NDArray[np.float64]) -> Rotation:
    """Cameras with z along ``forward`` and y about down in the object frame, rolled a little."""
    z = forward / np.linalg.norm(forward, axis=1, keepdims=True)
    down = np.where(np.abs(z[:, 2:]) < 0.99, [[0.0, 0.0, -1.0]], [[0.0, -1.0, 0.0]])
    x = np.cross(down, z)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    upright = Rotation.from_matrix(np.stack([x, np.cross(z, x), z], axis=2))
    return upright * Rotation.from_euler("z", roll[:, None])


def add_depth_noise(views: ObjectViews, *, seed: int) -> Floats:
    """Depth as a structured-light camera would measure it [m], shape [V, H, W].

    Axial noise of Nguyen, Izadi and Lovell 2012, Eq. 2: the standard deviation at depth z and angle a to the surface is
    ``0.0012 + 0.0019 (z - 0.4)^2``, and beyond 60 degrees ``0.0001 / sqrt(z) * a^2 / (pi/2 - a)^2`` more. Surfaces seen at more
    than 80 degrees are lost.
    """
    random = np.random.default_rng([seed, 7])
    view, row, column = np.nonzero(views.mask)
    depth = views.depth[view, row, column].astype(np.float64)
    height, width = views.depth.shape[1:]
    x = (column - 0.5 * (width - 1)) / views.focal[view]
    y = (row - 0.5 * (height - 1)) / views.focal[view]
    normal = views.normal[view, row, column].astype(np.float64)
    cosine = -(x * normal[:, 0] + y * normal[:, 1] + normal[:, 2]) / np.sqrt(x * x + y * y + 1.0)
    angle = np.arccos(np.clip(cosine, 0.0, 1.0))
    deviation = 0.0012 + 0.0019 * (depth - 0.4) ** 2
    grazing = 0.0001 / np.sqrt(depth) * angle**2 / np.maximum(np.pi / 2 - angle, 1e-6) ** 2
    deviation += np.where(angle > np.pi / 3, grazing, 0.0)
    measured = depth + random.normal(size=len(depth)) * deviation
    measured[(angle >= np.deg2rad(80.0)) | (measured < 0.0)] = 0.0
    result = np.zeros_like(views.depth)
    result[view, row, column] = measured
    return result


# ------------------------------------------------------------------------------------------------------ files


def view_table(name: str, mesh_hash: str, split: str, views: ObjectViews, config: ViewEntry) -> Any:
    """Rows of the views of one object; pictures are PNG files in binary columns."""
    pa = import_pyarrow()
    count, height, width = views.depth.shape
    unit = max(_DEPTH_UNIT, float(views.depth.max()) / 65000.0)
    random = np.random.default_rng([config.seed, int(mesh_hash[:16], 16), 1])
    noisy = add_depth_noise(views, seed=config.seed) if config.noise else None
    clouds, counts = [], []
    for view in range(count):
        points = views.points(view)
        counts.append(min(len(points), config.points))
        if len(points) == 0:
            points = np.full((1, 3), np.nan, np.float32)
        chosen = random.permutation(len(points))[: config.points]
        clouds.append(points[np.resize(chosen, config.points)])
    columns = {
        "object": [name] * count,
        "object_hash": [mesh_hash] * count,
        "split": [split] * count,
        "view": list(range(count)),
        "width": [width] * count,
        "height": [height] * count,
        "fx": views.focal.tolist(),
        "fy": views.focal.tolist(),
        "cx": [0.5 * (width - 1)] * count,
        "cy": [0.5 * (height - 1)] * count,
        "camera_position": views.camera_position.tolist(),
        "camera_quaternion": views.camera_quaternion.tolist(),
        "depth_unit": [unit] * count,
        "depth": [_png16(picture, unit) for picture in views.depth],
        "normal": [_png(np.rint(127.5 * (picture + 1.0)).astype(np.uint8)) for picture in views.normal],
        "mask": [_png(picture.astype(np.uint8)) for picture in views.mask],
        "noisy_depth": [None] * count if noisy is None else [_png16(picture, unit) for picture in noisy],
        "point_count": counts,
    }
    flat = pa.array(np.concatenate(clouds).reshape(-1), type=pa.float32())
    points = pa.FixedSizeListArray.from_arrays(pa.FixedSizeListArray.from_arrays(flat, 3), config.points)
    schema = _view_schema(config.points)
    arrays = [pa.array(columns[f.name], type=f.type) if f.name in columns else points for f in schema]
    return pa.table(arrays, schema=schema)


def _view_schema(points: int) -> Any:
    pa = import_pyarrow()
    text = ("object", "object_hash", "split")
    fields = [pa.field(name, pa.string()) for name in text]
    fields += [pa.field(name, pa.int32()) for name in ("view", "width", "height")]
    fields += [pa.field(name, pa.float32(), metadata={"unit": "pixels"}) for name in ("fx", "fy", "cx", "cy")]
    fields += [
        pa.field("camera_position", pa.list_(pa.float32(), 3), metadata={"unit": "m, object frame"}),
        pa.field(
            "camera_quaternion",
            pa.list_(pa.float32(), 4),
            metadata={"unit": "xyzw, object frame, axes of OpenCV"},
        ),
        pa.field("depth_unit", pa.float64(), metadata={"unit": "m per count of the depth pictures"}),
        pa.field("depth", pa.binary(), metadata={"unit": "16-bit PNG, 0 where nothing is seen"}),
        pa.field(
            "normal", pa.binary(), metadata={"unit": "PNG, 255 (n + 1) / 2, camera frame, towards the camera"}
        ),
        pa.field("mask", pa.binary(), metadata={"unit": "PNG, 1 on the object"}),
        pa.field("noisy_depth", pa.binary(), metadata={"unit": "16-bit PNG"}),
        pa.field("point_count", pa.int32(), metadata={"unit": "different points among points"}),
        pa.field("points", pa.list_(pa.list_(pa.float32(), 3), points), metadata={"unit": "m, object frame"}),
    ]
    return pa.schema(fields)


def _png(picture: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _png16(depth: Floats, unit: float) -> bytes:
    counts = np.minimum(np.rint(depth / unit), 65535).astype(np.uint16)
    buffer = io.BytesIO()
    Image.fromarray(counts).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def write_views(maker: Maker, item: WorkItem, settings: Mapping[str, Any], incoming: Path) -> int:
    """Write the views of the objects of an item; returns the number of rows. Objects that cannot be used are left out.

    Raises:
        ValueError: The cameras would be inside an object.
        OutputError: The file cannot be written.
    """
    config = ViewEntry(**settings)
    tables, failures, described = [], [], []
    for entry in item.objects:
        try:
            model = maker.model(entry)
        except ObjectError as error:
            failures.append({"object": entry.name, "stage": "load", "sentence": str(error)})
            continue
        described.append(maker.described(entry, model))
        views = object_views(model, config, device=maker.device)
        tables.append(view_table(entry.name, model.mesh_hash, entry.split, views, config))
    footer = {"items": [item.id], "objects": described, "failures": failures}
    path = item.path(maker.folder)
    write_table_file(path, tables, _view_schema(config.points), footer, incoming=incoming)
    return sum(map(len, tables))


def view_index(folder: Path, files: Sequence[Path]) -> tuple[Iterator[Any], Any]:
    """Tables without pixels and points, with the file and the row of each view, and their schema."""
    pa = import_pyarrow()
    import pyarrow.parquet as pq

    kept = [field for field in _view_schema(1) if field.name not in (*_PIXELS, "points")]
    schema = pa.schema([*kept, pa.field("path", pa.string()), pa.field("row", pa.int32())])

    def tables() -> Iterator[Any]:
        for path in files:
            table = pq.read_table(path, columns=[field.name for field in kept])
            rows = len(table)
            table = table.append_column("path", pa.array([str(path.relative_to(folder))] * rows))
            table = table.append_column("row", pa.array(range(rows), type=pa.int32()))
            yield table.replace_schema_metadata(None)

    return tables(), schema


def read_picture(data: bytes) -> NDArray[Any]:
    """A PNG of a view as an array, shape [H, W] or [H, W, 3]."""
    return np.asarray(Image.open(io.BytesIO(data)))


def camera_matrix(table: Any, row: int) -> NDArray[np.float64]:
    """The OpenCV matrix of intrinsics of a row of a view table, shape [3, 3]."""
    fx, fy, cx, cy = (float(list_values(table[name])[row]) for name in ("fx", "fy", "cx", "cy"))
    return np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])
