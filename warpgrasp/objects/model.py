"""Object meshes: load, mend or refuse, mass properties, surface samples.

An object is a solid triangle mesh in metres. Its frame is the frame of its file: after the unit of the file and the
scale nothing is moved or turned.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull

from warpgrasp.base.memory import is_memory_error, memory_sentence
from warpgrasp.objects.bodies import winding_distance
from warpgrasp.objects.cache import cached_arrays
from warpgrasp.objects.error import ObjectError
from warpgrasp.objects.geometry import (
    MassProperties,
    farthest_point_indices,
    feature_normals,
    sample_surface,
)
from warpgrasp.objects.names import object_name
from warpgrasp.objects.read import read_mesh
from warpgrasp.objects.reading import Reading
from warpgrasp.objects.repair import SignMethod, Solid, mend
from warpgrasp.objects.sizes import unit_advice

__all__ = [
    "ObjectModel",
    "example_object_names",
    "example_object_path",
    "load_object",
    "target_scale",
]

LARGEST_EXTENT = 2.0
"""An object beyond this [m] fits no hand; almost always the file is in another unit."""
SMALLEST_EXTENT = 0.005
"""An object below this largest extent [m] is refused."""
FARTHEST_ORIGIN = 10.0
"""Distance [m] from the origin beyond which float32 positions are coarser than 1 um."""
OVERSAMPLING = 8
"""Random surface points drawn per farthest-point sample."""
BURIED_OFFSET = 1.0e-5
"""A surface point that is inside at this height [m] above its face lies within another body."""


@dataclass(frozen=True, eq=False)
class ObjectModel:
    """One solid object; uniform density.

    Attributes:
        name: By :func:`warpgrasp.objects.names.object_name`: the stem of the file name, made fit for all uses.
        path: File that was loaded.
        file_hash: SHA-256 of the file (USD: and of the layers it composes).
        scale: Factor applied after the file's unit: ``vertices = scale * meters_per_unit * (file coordinates)``.
        meters_per_unit: Unit of the file [m]; 1 except for USD.
        vertices: [m], object frame, shape [V, 3].
        faces: Vertex indices, counter-clockwise from outside, shape [F, 3].
        watertight: Every edge joins exactly two faces with opposite direction, and no face crosses another.
        sign_method: How the sign of the distance is found.
        volume: [m^3].
        center_of_mass: [m], shape [3].
        inertia_unit_density: About the centre of mass, object axes, at 1 kg/m^3 [kg m^2], shape [3, 3].
        extent: Size of the axis-aligned bounding box [m], shape [3].
        repairs: What was mended or decided while loading, one sentence each.
        mesh_hash: SHA-256 of the final vertices and faces; keys the random numbers.
        reading: How the file was read.
        part: Which body of the file this is, from the largest down, with ``reading.parts == "separate"``; else 1.
        part_count: Bodies of the file that do not touch, with ``reading.parts == "separate"``; else 1.
    """

    name: str
    path: Path
    file_hash: str
    scale: float
    meters_per_unit: float
    vertices: NDArray[np.float64]
    faces: NDArray[np.int32]
    watertight: bool
    sign_method: SignMethod
    volume: float
    center_of_mass: NDArray[np.float64]
    inertia_unit_density: NDArray[np.float64]
    extent: NDArray[np.float64]
    repairs: tuple[str, ...]
    mesh_hash: str
    reading: Reading = field(default_factory=Reading)
    part: int = 1
    part_count: int = 1
    _cache: dict[Any, Any] = field(default_factory=dict, repr=False)

    def surface_samples(self, count: int = 2500) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Evenly spread surface points: farthest-point samples of random ones, the same for the same mesh.

        Of overlapping bodies only the outer surface is sampled.

        Args:
            count: Number of points, at least 1.

        Returns:
            Points [m] and outward face normals, object frame, each of shape [count, 3], read-only.
        """
        if count < 1:
            raise ValueError(f"count must be at least 1 (got {count})")
        if count not in self._cache:
            arrays = cached_arrays(
                "samples", f"{self.mesh_hash} {count}", ("points", "normals"), lambda: self._sample(count)
            )
            samples = arrays["points"], arrays["normals"]
            for array in samples:
                array.setflags(write=False)
            self._cache[count] = samples
        return self._cache[count]

    def _sample(self, count: int) -> dict[str, NDArray[Any]]:
        random = np.random.default_rng(int(self.mesh_hash[:16], 16))
        points, face = sample_surface(self.vertices, self.faces, count=OVERSAMPLING * count, random=random)
        if self.sign_method == SignMethod.WINDING:
            outer = ~self._buried(points, face)
            if outer.sum() >= count:
                points, face = points[outer], face[outer]
        selected = farthest_point_indices(points, count)
        normals = self.face_pseudo_normals[face[selected], 0].astype(np.float64)
        return {"points": points[selected], "normals": normals}

    def _buried(self, points: NDArray[np.float64], face: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether surface points lie within another of several overlapping bodies, shape [N]."""
        outside = points + BURIED_OFFSET * self.face_pseudo_normals[face, 0]
        buried: NDArray[np.bool_] = (
            winding_distance(self.vertices, self.faces.astype(np.int64), outside) < 0.0
        )
        return buried

    @property
    def convex_hull(self) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
        """Vertices [m], shape [H, 3], and triangles, shape [T, 3], of the convex hull; computed once."""
        if "hull" not in self._cache:

            def compute() -> dict[str, NDArray[Any]]:
                hull = ConvexHull(self.vertices)
                renumber = np.zeros(len(self.vertices), dtype=np.int32)
                renumber[hull.vertices] = np.arange(len(hull.vertices))
                return {"vertices": self.vertices[hull.vertices], "faces": renumber[hull.simplices]}

            found = cached_arrays("hull", self.mesh_hash, ("vertices", "faces"), compute)
            self._cache["hull"] = found["vertices"], found["faces"]
        hull: tuple[NDArray[np.float64], NDArray[np.int32]] = self._cache["hull"]
        return hull

    @property
    def face_pseudo_normals(self) -> NDArray[np.float32]:
        """:func:`feature_normals` of the mesh, shape [F, 7, 3]; computed once."""
        if "normals" not in self._cache:
            self._cache["normals"] = feature_normals(self.vertices, self.faces)
        normals: NDArray[np.float32] = self._cache["normals"]
        return normals


def target_scale(extent: NDArray[np.float64]) -> float:
    """Factor closest to 1 that makes the smallest extent <= 8 cm and the largest >= 7 cm (Zurbrügg et al. 2025).

    Both can always hold: the factors allowed are [7 cm / largest, 8 cm / smallest], and largest >= smallest. An object
    that satisfies both keeps its size.

    Args:
        extent: Size of the bounding box [m], shape [3].
    """
    return float(np.clip(1.0, 0.07 / extent.max(), 0.08 / max(float(extent.min()), 1.0e-9)))


def load_object(
    path: str | Path,
    *,
    scale: float = 1.0,
    target_size: bool = False,
    size: float | None = None,
    reading: Reading | None = None,
    part: int = 1,
) -> ObjectModel:
    """Load, mend and measure one object.

    Args:
        path: OBJ, STL, PLY, GLB, GLTF, OFF, DAE, URDF, USD, USDA, USDC or USDZ file; all its meshes are one object.
        scale: Factor from the file's lengths to metres (USD: on top of its metersPerUnit).
        target_size: Rescale further by :func:`target_scale`.
        size: Rescale so that the largest extent of all in the file is this [m], instead of ``scale``.
        reading: Which way is up, which bodies count and what closes them; by default what has no inside is refused.
        part: Which body, from the largest down, with ``reading.parts == "separate"``.

    Raises:
        ObjectError: The object cannot be used; the sentence names the value and the remedy.
    """
    path = Path(path)
    if not (np.isfinite(scale) and scale > 0.0):
        raise ObjectError(f"{path}: scale must be a positive number (got {scale}).")
    if size is not None and (target_size or not (np.isfinite(size) and size > 0.0)):
        raise ObjectError(f"{path}: size must be a positive number, and excludes target_size (got {size}).")
    reading = reading or Reading()
    if part < 1 or (part > 1 and reading.parts != "separate"):
        raise ObjectError(f"{path}: part {part} takes --parts separate (got {reading.parts}).")
    raw = read_mesh(path)
    corners = raw.vertices[raw.faces.reshape(-1)]
    bad = int(np.sum(~np.isfinite(corners).all(axis=1)))
    if bad:
        raise ObjectError(f"{path}: {bad} face corners are NaN or infinite; export the mesh again.")
    extent = np.ptp(corners, axis=0) * (raw.meters_per_unit * scale)
    if target_size and extent.max() > 0.0:
        factor = target_scale(extent)
        scale, extent = scale * factor, extent * factor
    if size is not None and extent.max() > 0.0:
        scale, extent = scale * size / float(extent.max()), extent * (size / float(extent.max()))
    _check_size(path, extent, scale, reading)
    vertices = reading.turned(raw.vertices * (raw.meters_per_unit * scale))
    far = float(np.abs(vertices[raw.faces.reshape(-1)]).max())
    if far > FARTHEST_ORIGIN:
        raise ObjectError(f"{path}: lies {far:.3g} m from the origin of its file; move it to the origin.")

    try:
        solid = _mended(vertices, raw.faces, str(path), reading, part)
    except ObjectError:
        raise
    except Exception as error:  # no mesh may end the run of the others
        if is_memory_error(error):
            raise ObjectError(
                f"{path}: {memory_sentence(error, 'simplify the mesh, or give the process more')}"
            ) from error
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:200].rstrip(".")
        raise ObjectError(
            f"{path}: cannot be mended ({reason}); repair the mesh in a mesh editor."
        ) from error
    turned = () if reading.up == "z" else (f"The file's {reading.up} axis points up and was turned to z.",)
    vertices, faces = np.ascontiguousarray(solid.vertices), np.ascontiguousarray(solid.faces, np.int32)
    for array in (vertices, faces):
        array.setflags(write=False)
    return ObjectModel(
        name=object_name(path),
        path=path,
        file_hash=raw.file_hash,
        scale=scale,
        meters_per_unit=raw.meters_per_unit,
        vertices=vertices,
        faces=faces,
        watertight=solid.sign_method == SignMethod.PSEUDO_NORMAL,
        sign_method=solid.sign_method,
        volume=solid.mass.volume,
        center_of_mass=solid.mass.center_of_mass,
        inertia_unit_density=solid.mass.inertia,
        extent=np.ptp(vertices, axis=0),
        repairs=raw.notes + turned + solid.repairs,
        mesh_hash=hashlib.sha256(vertices.tobytes() + faces.tobytes()).hexdigest(),
        reading=reading,
        part=part,
        part_count=solid.part_count,
    )


def _mended(
    vertices: NDArray[np.float64], faces: NDArray[Any], name: str, reading: Reading, part: int
) -> Solid:
    """:func:`mend`, from the cache where the same mesh was there before."""

    def compute() -> dict[str, NDArray[Any]]:
        solid = mend(vertices, faces, name, reading, part=part)
        return {
            "vertices": np.ascontiguousarray(solid.vertices),
            "faces": np.ascontiguousarray(solid.faces),
            "sign_method": np.array(int(solid.sign_method)),
            "volume": np.array(solid.mass.volume),
            "center_of_mass": solid.mass.center_of_mass,
            "inertia": solid.mass.inertia,
            "repairs": np.array(list(solid.repairs) or [" "]),
            "part_count": np.array(solid.part_count),
        }

    header = f"{reading!r} {part} {faces.dtype} {vertices.shape} {_can_unite()} "
    source = header.encode() + vertices.tobytes() + faces.tobytes()
    names = (
        "vertices",
        "faces",
        "sign_method",
        "volume",
        "center_of_mass",
        "inertia",
        "repairs",
        "part_count",
    )
    found = cached_arrays("solid", source, names, compute)
    mass = MassProperties(float(found["volume"]), found["center_of_mass"], found["inertia"])
    repairs = tuple(str(text) for text in found["repairs"] if text != " ")
    sign, parts = SignMethod(int(found["sign_method"])), int(found["part_count"])
    return Solid(found["vertices"], found["faces"], sign, mass, repairs, parts)


def _can_unite() -> bool:
    """Whether manifold3d is there, without which overlapping bodies stay as they are."""
    try:
        import manifold3d  # noqa: F401
    except ImportError:
        return False
    return True


def _check_size(path: Path, extent: NDArray[np.float64], scale: float, reading: Reading) -> None:
    """Refuse sizes no hand can grasp, with the unit that was probably meant."""
    largest, smallest = float(extent.max()), float(extent.min())
    if largest > LARGEST_EXTENT:
        raise ObjectError(
            f"{path}: is {largest:.4g} m large (limit {LARGEST_EXTENT:g} m), which {unit_advice(largest, scale)}."
        )
    if largest < SMALLEST_EXTENT:
        raise ObjectError(
            f"{path}: is {1000.0 * largest:.4g} mm large (at least {1000.0 * SMALLEST_EXTENT:g} mm needed); "
            "pass a larger --scale, or --target-size."
        )
    if smallest < 1.0e-6 * largest and not reading.sheet_thickness:
        raise ObjectError(
            f"{path}: is a flat sheet ({largest:.4g} m large, {smallest:.1e} m thick); pass --sheet-thickness 0.002 to give "
            "it a thickness."
        )


def example_object_path(name: str) -> Path:
    """File of a shipped example object; raises :class:`ObjectError` for an unknown name."""
    if name not in example_object_names():
        raise ObjectError(
            f"unknown example object {name!r}; choose from {', '.join(example_object_names())}."
        )
    return ASSETS / f"{name}.usda"


def example_object_names() -> tuple[str, ...]:
    """Names of the shipped example objects."""
    return tuple(sorted(file.stem for file in ASSETS.glob("*.usda")))


ASSETS = Path(__file__).parent / "shipped"
