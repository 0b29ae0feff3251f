"""Make object assets of meshes: load and mend, rescale, decompose into convex pieces, write as USD with physics."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from warpgrasp.base.atomic_file import scratch_folder
from warpgrasp.base.ranges import POSITIVE, check_numbers
from warpgrasp.base.usd_layers import mesh_layers
from warpgrasp.objects.convex_pieces import ConvexPieceConfig, convex_pieces
from warpgrasp.objects.error import ObjectError
from warpgrasp.objects.geometry import mass_properties
from warpgrasp.objects.model import load_object
from warpgrasp.objects.names import object_name
from warpgrasp.objects.read import MESH_SUFFIXES, USD_SUFFIXES
from warpgrasp.objects.reading import Reading
from warpgrasp.objects.usd_write import ObjectAsset, write_object_asset

if TYPE_CHECKING:
    from warpgrasp.objects.model import ObjectModel

__all__ = ["AssetConfig", "AssetReport", "asset_names", "make_object_asset", "mesh_files"]

_METADATA = "warpgrasp"


@dataclass(frozen=True, kw_only=True)
class AssetConfig:
    """How assets are made.

    Raises:
        ValueError: A value out of range, or both density and mass.
    """

    density: float | None = None
    """[kg/m^3]; 500 where neither density nor mass is given."""
    mass: float | None = None
    """[kg], of every object, instead of a density."""
    friction: float = 0.6
    """Static and dynamic coefficient."""
    scale: float = 1.0
    """Factor from the file's lengths to metres (USD: on top of its metersPerUnit)."""
    target_size: bool = False
    """Rescale so that the smallest extent is at most 8 cm and the largest at least 7 cm (Zurbrügg et al. 2025)."""
    reading: Reading = field(default_factory=Reading)
    """Which way is up, which bodies count and what closes them."""
    pieces: ConvexPieceConfig = field(default_factory=ConvexPieceConfig)
    """Accuracy of the convex pieces."""
    suffix: str = ".usda"
    """``.usda`` (text, its long arrays in ``*_meshes_<hash>.usdc`` beside it) or ``.usdc`` (one binary file)."""

    def __post_init__(self) -> None:
        if self.density is not None and self.mass is not None:
            raise ValueError(
                f"give density ({self.density:g} kg/m^3) or mass ({self.mass:g} kg), not both; the volume decides the other"
            )
        check_numbers(self, "", density=POSITIVE, mass=POSITIVE, scale=POSITIVE)
        if self.suffix not in (".usda", ".usdc"):
            raise ValueError(f"suffix must be .usda or .usdc (got {self.suffix!r})")


@dataclass(frozen=True)
class AssetReport:
    """What became of one mesh."""

    name: str
    source: str
    """Mesh file, absolute."""
    path: str
    """Asset, absolute."""
    scale: float
    """Factor applied to the file's lengths."""
    extent: tuple[float, float, float]
    """Size of the bounding box [m]."""
    volume: float
    """[m^3]."""
    mass: float
    """[kg]."""
    density: float
    """[kg/m^3]."""
    friction: float
    face_count: int
    watertight: bool
    piece_count: int
    piece_volume_ratio: float
    """Volume of the convex pieces, overlaps counted twice, per volume of the object; 1 is exact."""
    repairs: tuple[str, ...]
    """What was mended, one sentence each."""
    mesh_hash: str
    """Hash of the geometry that :func:`~warpgrasp.objects.load_object` reads from the asset."""
    part: int = 1
    """Which body of the file, from the largest down, where each is an object."""
    part_count: int = 1
    """How many bodies of the file are objects."""


def make_object_asset(
    source: Path | str,
    output: Path | str,
    *,
    name: str | None = None,
    config: AssetConfig | None = None,
    part: int = 1,
) -> AssetReport:
    """Write the asset of one mesh and return what was done.

    Args:
        source: Mesh file, any that :func:`~warpgrasp.objects.load_object` reads.
        output: Folder, created when missing.
        name: Name of the asset; the stem of the file by default.
        config: How the asset is made.
        part: Which body, from the largest down, with ``config.reading.parts == "separate"``.

    Raises:
        ObjectError: The mesh cannot be used; or what was written does not read back as the same object.
        ImportError: The object is not convex and CoACD is not installed.
        OutputError: The asset cannot be written.
    """
    config = config or AssetConfig()
    model = load_object(
        source, scale=config.scale, target_size=config.target_size, reading=config.reading, part=part
    )
    name = (name or model.name) + (f"_part{part}" if model.part_count > 1 else "")
    path = Path(output) / f"{name}{config.suffix}"
    if path.exists() and path.samefile(model.path):
        raise ObjectError(f"{path}: the asset would replace its own mesh; choose another output folder.")
    density = config.mass / model.volume if config.mass is not None else (config.density or 500.0)
    asset = ObjectAsset(
        name=name,
        vertices=model.vertices,
        faces=model.faces,
        center_of_mass=model.center_of_mass,
        mass=density * model.volume,
        inertia=density * model.inertia_unit_density,
        friction=config.friction,
        documentation=f"{model.path.name}, scaled by {model.scale:g}.",
        metadata={_METADATA: _metadata(model)},
    )
    again = _read_back(asset, model, path.name)
    # Of what the readers see, so that the evaluation finds the decomposition in its cache.
    pieces = convex_pieces(again, config.pieces)
    shapes = tuple((piece.vertices, piece.faces) for piece in pieces)
    write_object_asset(path, dataclasses.replace(asset, pieces=shapes))
    x, y, z = (float(value) for value in model.extent)
    piece_volume = sum(
        mass_properties(piece.vertices, piece.faces.astype(np.int64)).volume for piece in pieces
    )
    return AssetReport(
        name=name,
        source=str(model.path.resolve()),
        path=str(path.resolve()),
        scale=model.scale,
        extent=(x, y, z),
        volume=model.volume,
        mass=density * model.volume,
        density=density,
        friction=config.friction,
        face_count=len(model.faces),
        watertight=model.watertight,
        piece_count=len(pieces),
        piece_volume_ratio=piece_volume / model.volume,
        repairs=model.repairs,
        mesh_hash=again.mesh_hash,
        part=part,
        part_count=model.part_count,
    )


def _read_back(asset: ObjectAsset, model: ObjectModel, file_name: str) -> ObjectModel:
    """The object as synthesis and evaluation will read it, float32; it must be the same solid."""
    with scratch_folder() as folder:
        path = folder / file_name
        write_object_asset(path, asset)
        again = load_object(path)
    same_size = np.allclose(again.extent, model.extent, rtol=1.0e-4, atol=1.0e-6)
    if abs(again.volume - model.volume) > 1.0e-3 * model.volume or not same_size:
        raise ObjectError(
            f"{model.path}: reads back from USD as another object (volume {again.volume:.4g} m^3 instead of "
            f"{model.volume:.4g}); repair the mesh before."
        )
    return again


def _metadata(model: ObjectModel) -> dict[str, Any]:
    """Where the asset comes from."""
    return {
        "source": model.path.name,
        "source_hash": model.file_hash,
        "scale": model.scale,
        "repairs": " ".join(model.repairs),
    }


def mesh_files(inputs: Sequence[Path | str]) -> list[Path]:
    """Mesh files of a list of files and folders, each once, sorted within a folder, without the mesh layers of assets.

    A folder stands for the meshes in it; one that holds none stands for its URDF files, whose meshes lie below it.

    Raises:
        ValueError: No input.
    """
    if not inputs:
        raise ValueError("no meshes named; name mesh files or folders of them")
    known = MESH_SUFFIXES + USD_SUFFIXES
    files: list[Path] = []
    for path in map(Path, inputs):
        if _is_folder(path):
            found = sorted(
                file
                for file in path.iterdir()
                if file.suffix.lower() in known and not file.name.startswith(".")
            )
            parts = mesh_layers(found)
            found = [file for file in found if file not in parts and file.is_file()]
            found = [file for file in found if file.suffix.lower() != ".urdf"] or found
            files += found or [path]
        else:
            files.append(path)
    # A missing file and a folder without meshes are refused when their turn comes: the others finish.
    return list(dict.fromkeys(file.absolute() for file in files))


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # a name that is too long: refused with its sentence when its turn comes
        return False


def asset_names(files: Sequence[Path], known: Mapping[str, str] | None = None) -> list[str]:
    """Name of each asset by :func:`~warpgrasp.objects.names.object_name`, with a number where that is taken.

    Args:
        files: Mesh files.
        known: Mesh file of every asset that is there, by name; only the same file takes its name again.
    """
    owner = {name.lower(): source for name, source in (known or {}).items()}
    used: set[str] = set()
    names = []
    for file in files:
        stem = object_name(file)
        name, number = stem, 2
        source = str(file.resolve())
        while name.lower() in used or owner.get(name.lower(), source) != source:
            name, number = f"{stem}_{number}", number + 1
        used.add(name.lower())
        names.append(name)
    return names
