"""Views of the objects of a data set as rows of Parquet files; how they are taken stands in :mod:`warpgrasp.objects.views`."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from warpgrasp.dataset.items import WorkItem
from warpgrasp.dataset.making import Maker
from warpgrasp.grasps.sharded.columns import import_pyarrow
from warpgrasp.grasps.sharded.rows import list_values
from warpgrasp.grasps.sharded.shard import write_table_file
from warpgrasp.objects import ObjectError
from warpgrasp.objects.views import ObjectViews, ViewConfig, add_depth_noise, object_views

__all__ = ["camera_matrix", "read_picture", "view_index", "view_table", "write_views"]

Floats = NDArray[np.float32]

_DEPTH_UNIT = 1.0e-4  # m per count of a 16-bit picture, where the object is not too far away
_PIXELS = ("depth", "normal", "mask", "noisy_depth")


def view_table(name: str, mesh_hash: str, split: str, views: ObjectViews, config: ViewConfig) -> Any:
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
    config = ViewConfig(**settings)
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
