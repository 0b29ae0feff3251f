"""Objects as convex pieces for physics engines: CoACD, computed once per mesh and kept in the user's cache.

The shipped objects bring theirs, so that nobody decomposes them.
"""

from __future__ import annotations

import hashlib
import importlib.util
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pxr import Usd, UsdGeom
from scipy.spatial import ConvexHull, QhullError

from warpgrasp.base.atomic_file import OutputError, write_bytes, write_text
from warpgrasp.base.extras import install_extra
from warpgrasp.base.npz import npz_bytes, read_npz
from warpgrasp.objects.cache import cache_root
from warpgrasp.objects.decomposition import ConvexPieceConfig, DecompositionError, decompose
from warpgrasp.objects.model import ASSETS
from warpgrasp.objects.reading import Reading

if TYPE_CHECKING:
    from warpgrasp.objects import ObjectModel

__all__ = ["ConvexPiece", "ConvexPieceConfig", "cache_folder", "convex_pieces"]

_CONVEX_RATIO = 0.99  # of the hull's volume: above it the hull is the object
_SMALLEST_PIECE = 1.0e-10  # m^3; slivers below it hold nothing and upset collision code


@dataclass(frozen=True)
class ConvexPiece:
    """One convex polyhedron in the object frame: ``vertices`` [V, 3] m, ``faces`` [F, 3] wound outward."""

    vertices: NDArray[np.float64]
    faces: NDArray[np.int32]


def cache_folder() -> Path:
    """Where decompositions are kept: ``$XDG_CACHE_HOME/warpgrasp/convex``, by default below ``~/.cache``."""
    return cache_root() / "convex"


def convex_pieces(
    model: ObjectModel,
    config: ConvexPieceConfig | None = None,
    *,
    folder: Path | None = None,
    stop: threading.Event | None = None,
) -> tuple[ConvexPiece, ...]:
    """Convex pieces that together stand for the object; from the cache when the same mesh was there before.

    Those of a shipped object, read as it is and with the default accuracy, are in its file.

    Args:
        model: The object.
        config: Accuracy.
        folder: Cache; :func:`cache_folder` by default. A cache that cannot be written is done without.
        stop: Ends a decomposition once another thread has set it.

    Raises:
        CancelledError: ``stop`` was set.
        ImportError: The mesh is not convex and CoACD is not installed.
        ObjectError: The decomposition crashed, or was stopped by its limit of time or memory.
    """
    config = config or ConvexPieceConfig()
    hull = ConvexHull(model.vertices)
    if model.volume >= _CONVEX_RATIO * hull.volume:
        return (_piece(model.vertices[hull.vertices]),)
    brought = _shipped_pieces(model) if config == ConvexPieceConfig() else None
    if brought is not None:
        return brought
    key = hashlib.sha256(f"{model.mesh_hash} {config!r} 2".encode()).hexdigest()[:32]
    path = (folder or cache_folder()) / f"{key}.npz"
    cached = _read(path)
    if cached is not None:
        return cached
    failed = path.with_suffix(".failed")
    with suppress(OSError, UnicodeDecodeError):
        raise DecompositionError(model, f"{failed.read_text(encoding='utf-8')[:200]} before, see {failed}")
    try:
        pieces = _decompose(model, config, stop)
    except DecompositionError as error:
        if error.lasts:
            with suppress(OutputError):  # tried again next time
                write_text(failed, error.reason)
        raise
    with suppress(OutputError):  # slower next time, not wrong
        _write(path, pieces)
    return pieces


def _shipped_pieces(model: ObjectModel) -> tuple[ConvexPiece, ...] | None:
    """The pieces in the file of a shipped object; ``None`` for others, and where reading has changed the mesh."""
    if Path(model.path).resolve().parent != ASSETS.resolve() or model.reading != Reading() or model.repairs:
        return None
    stage = Usd.Stage.Open(str(model.path))
    root, factor = stage.GetDefaultPrim().GetPath(), model.scale * model.meters_per_unit
    folder = stage.GetPrimAtPath(root.AppendChild("collision"))
    pieces = [_mesh(prim, factor) for prim in folder.GetChildren()] if folder else []
    return tuple(ConvexPiece(*piece) for piece in pieces) or None


def _mesh(prim: Usd.Prim, factor: float) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    mesh = UsdGeom.Mesh(prim)
    faces = np.array(mesh.GetFaceVertexIndicesAttr().Get(), dtype=np.int32).reshape(-1, 3)
    return factor * np.array(mesh.GetPointsAttr().Get(), dtype=np.float64), faces


def _decompose(
    model: ObjectModel, config: ConvexPieceConfig, stop: threading.Event | None
) -> tuple[ConvexPiece, ...]:
    if importlib.util.find_spec("coacd") is None:
        raise ImportError(f"Objects that are not convex need CoACD for physics; {install_extra('sim')}")
    parts = decompose(model, config, stop=stop)
    pieces = tuple(_piece(vertices) for vertices in parts if _is_solid(vertices))
    return pieces or (_piece(model.vertices),)


def _is_solid(vertices: NDArray[np.float64]) -> bool:
    if len(vertices) < 4 or np.linalg.matrix_rank(vertices - vertices[0], tol=1.0e-5) < 3:
        return False
    return float(ConvexHull(vertices).volume) > _SMALLEST_PIECE


def _piece(points: NDArray[np.float64]) -> ConvexPiece:
    """The hull of points, its faces wound so that they look outward."""
    hull = ConvexHull(points)
    renumber = np.full(len(points), -1)
    renumber[hull.vertices] = np.arange(len(hull.vertices))
    vertices, faces = points[hull.vertices], renumber[hull.simplices]
    corner = vertices[faces]
    normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    inward = np.einsum("fi,fi->f", normal, hull.equations[:, :3]) < 0.0
    faces[inward] = faces[inward][:, ::-1]
    return ConvexPiece(np.ascontiguousarray(vertices), faces.astype(np.int32))


def _write(path: Path, pieces: tuple[ConvexPiece, ...]) -> None:
    arrays = {f"vertices_{i}": piece.vertices for i, piece in enumerate(pieces)}
    write_bytes(path, npz_bytes(arrays))


def _read(path: Path) -> tuple[ConvexPiece, ...] | None:
    """Pieces of a cache file; ``None`` where there is none or it is damaged."""
    try:
        columns = read_npz(path)
        vertices = [columns[f"vertices_{i}"] for i in range(len(columns))]
        return tuple(_piece(points) for points in vertices) or None
    except (OSError, ValueError, KeyError, QhullError):
        return None
