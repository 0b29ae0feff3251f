"""Point clouds of the objects of a data set, drawn anew for every grasp: from the whole surface, or from what cameras saw."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from warpgrasp.grasps.sharded.columns import import_pyarrow
from warpgrasp.grasps.sharded.folder import DataSetFolder
from warpgrasp.grasps.sharded.rows import list_values
from warpgrasp.objects.geometry import sample_surface

__all__ = ["ObjectClouds"]

Floats = NDArray[np.float32]

_POOL = 16384  # points per object, drawn once; a cloud is a random part of them


class ObjectClouds:
    """Random points of objects.

    Args:
        folder: The data set.
        count: Points of a cloud.
        source: ``surface`` for the whole object, ``views`` for one random view of ``views/``.
        seed: Of the pools of points.

    Raises:
        ValueError: Unknown source, or a data set without views.
    """

    def __init__(self, folder: Path, count: int, *, source: str = "surface", seed: int = 0) -> None:
        if source not in ("surface", "views"):
            raise ValueError(f"points come from 'surface' or 'views' (got {source!r})")
        if count < 1:
            raise ValueError(f"a cloud needs at least one point (got {count})")
        self.folder = DataSetFolder(folder)
        self.count = count
        self.source = source
        self.seed = seed
        self._pools: dict[str, Floats] = {}
        if source == "views":
            self._read_views()

    def draw(self, mesh_hash: str, random: np.random.Generator) -> Floats:
        """Points of an object in its frame [m], shape [count, 3]."""
        pool = self._pools.get(mesh_hash)
        if pool is None:
            pool = self._pools[mesh_hash] = self._pool(mesh_hash)
        if self.source == "views":
            seen = pool[random.integers(len(pool))]
            return seen[random.integers(len(seen), size=self.count)]
        start = random.integers(len(pool) - self.count + 1)
        cloud: Floats = pool[start : start + self.count]
        return cloud

    def batch(self, mesh_hashes: list[str], random: np.random.Generator) -> Floats:
        """A cloud for each, shape [B, count, 3]."""
        result = np.empty((len(mesh_hashes), self.count, 3), dtype=np.float32)
        for row, mesh_hash in enumerate(mesh_hashes):
            result[row] = self.draw(mesh_hash, random)
        return result

    def _pool(self, mesh_hash: str) -> Floats:
        """Random points of the whole surface in random order."""
        if self.source == "views":
            raise ValueError(
                f"{self.folder.path / 'views'} shows nothing of the object with mesh hash {mesh_hash[:8]}"
            )
        vertices, faces = _read_obj(self.folder.object_path(mesh_hash))
        random = np.random.default_rng([self.seed, int(mesh_hash[:16], 16)])
        points, _ = sample_surface(vertices, faces, count=max(_POOL, 4 * self.count), random=random)
        return random.permutation(points).astype(np.float32)

    def _read_views(self) -> None:
        import_pyarrow()
        import pyarrow.parquet as pq

        found: dict[str, list[Floats]] = {}
        for path in sorted((self.folder.path / "views").glob("*.parquet")):
            table = pq.read_table(path, columns=["object_hash", "points"])
            for mesh_hash, points in zip(
                table["object_hash"].to_pylist(), list_values(table["points"]), strict=True
            ):
                found.setdefault(mesh_hash, []).append(points)
        if not found:
            raise ValueError(
                f"{self.folder.path} has no views; make it with --views, or take points from 'surface'"
            )
        self._pools = {mesh_hash: np.stack(points) for mesh_hash, points in found.items()}


def _read_obj(path: Path) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """A mesh file of a data set, which holds nothing but vertices and triangles.

    Raises:
        ValueError: The file is missing or holds something else.
    """
    try:
        lines = path.read_text(encoding="ascii").splitlines()
        vertices = np.array([line.split()[1:] for line in lines if line.startswith("v ")], dtype=np.float64)
        faces = np.array([line.split()[1:] for line in lines if line.startswith("f ")], dtype=np.int32) - 1
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as a mesh of a data set ({error})") from error
    return vertices, faces
