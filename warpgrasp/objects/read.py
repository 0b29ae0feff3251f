"""Read a mesh file of any supported format into one triangle soup; nothing is repaired here."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from warpgrasp.base.memory import is_memory_error, memory_sentence
from warpgrasp.base.usd_error import usd_reason
from warpgrasp.objects.error import ObjectError
from warpgrasp.objects.formats.obj import read_obj
from warpgrasp.objects.formats.off import read_off
from warpgrasp.objects.formats.ply import read_ply
from warpgrasp.objects.formats.stl import read_stl
from warpgrasp.objects.raw_mesh import Polygons, RawMesh, merge_parts, polygon_parts

__all__ = ["MESH_SUFFIXES", "USD_SUFFIXES", "read_mesh"]

MESH_SUFFIXES = (".obj", ".stl", ".ply", ".glb", ".gltf", ".off", ".dae", ".urdf")
USD_SUFFIXES = (".usd", ".usda", ".usdc", ".usdz")

_PLAIN: dict[str, Callable[[Path], tuple[list[Polygons], list[str]]]] = {
    ".obj": read_obj, ".off": read_off, ".ply": read_ply, ".stl": read_stl
}  # fmt: skip
_LFS = b"version https://git-lfs"
_SIGNATURES = (
    (b"ply\n", "PLY", (".ply",)),
    (b"ply\r", "PLY", (".ply",)),
    (b"glTF", "GLB", (".glb", ".gltf")),
    (b"#usda", "USD", USD_SUFFIXES),
    (b"PXR-USDC", "USD", USD_SUFFIXES),
    (b"PK\x03\x04", "ZIP", (".usdz", ".usd")),
    (b"\x1f\x8b", "GZIP", ()),
)


def read_mesh(path: Path) -> RawMesh:
    """Read OBJ, STL, PLY, OFF, GLB, GLTF, DAE, URDF, or USD, USDA, USDC, USDZ.

    Raises:
        ObjectError: The file is missing, of an unknown kind, damaged, a point cloud, or holds no triangle. Whatever a
            reader raises on a damaged file is told as one, with the file's name.
    """
    suffix = _checked_suffix(path)
    kind = "USD" if suffix in USD_SUFFIXES else suffix[1:].upper()
    try:
        mesh = _read(path, suffix)
    except ObjectError:
        raise
    except (Exception, RecursionError) as error:  # readers raise anything from KeyError to struct.error
        if is_memory_error(error):
            raise ObjectError(
                f"{path}: {memory_sentence(error, 'simplify the mesh, or give the process more')}"
            ) from error
        reason = f"{type(error).__name__}: {usd_reason(error)}"
        raise ObjectError(f"{path}: cannot be read as {kind} ({reason}); export the mesh again.") from error
    if len(mesh.faces) == 0:
        if len(mesh.vertices):
            raise ObjectError(
                f"{path}: holds {len(mesh.vertices)} points and no triangle; reconstruct a surface mesh first."
            )
        raise ObjectError(f"{path}: holds no triangle (0 faces); check that the file is a {kind} mesh.")
    return mesh


def _read(path: Path, suffix: str) -> RawMesh:
    if suffix in USD_SUFFIXES:
        from warpgrasp.objects.formats.usd import read_usd  # OpenUSD takes a quarter of a second to import

        return read_usd(path)
    if suffix == ".urdf":
        from warpgrasp.objects.formats.urdf import read_urdf

        shapes = read_urdf(path, read_mesh)
        vertices, faces = merge_parts(shapes.parts)
        return RawMesh(vertices, faces, 1.0, _hash(shapes.files), tuple(shapes.notes))
    unit, files = 1.0, [path]
    if suffix in (".glb", ".gltf"):
        from warpgrasp.objects.formats.gltf import read_gltf

        polygons, notes, files = read_gltf(path)
    elif suffix == ".dae":
        from warpgrasp.objects.formats.collada import read_collada

        polygons, notes, unit = read_collada(path)
    else:
        polygons, notes = _PLAIN[suffix](path)
    parts, more = polygon_parts(path, polygons)
    vertices, faces = merge_parts(parts)
    return RawMesh(vertices, faces, unit, _hash(files), tuple(notes + more))


def _checked_suffix(path: Path) -> str:
    """Suffix of a file that is there and can be what its name says.

    Raises:
        ObjectError: The file is missing, empty, no mesh at all, or a mesh of another kind.
    """
    try:
        if not path.exists():
            raise ObjectError(f"{path}: no such file; check the path.")
        if not path.is_file():
            known = ", ".join(MESH_SUFFIXES + USD_SUFFIXES)
            raise ObjectError(
                f"{path}: is not a file; it is a folder that holds no meshes ({known}); name the mesh file itself."
            )
        with path.open("rb") as file:
            start = file.read(512)
    except ObjectError:
        raise
    except (OSError, ValueError) as error:  # a name that is too long or holds a zero byte, or no permission
        raise ObjectError(f"{path}: cannot be opened ({error}); check the path.") from error
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError as error:
        shown = str(path).encode("utf-8", "backslashreplace").decode()
        raise ObjectError(f"{shown}: has a name that is not UTF-8; rename the file.") from error
    suffix = path.suffix.lower()
    if suffix not in MESH_SUFFIXES + USD_SUFFIXES:
        known = ", ".join(MESH_SUFFIXES + USD_SUFFIXES)
        raise ObjectError(f"{path}: unknown suffix {suffix!r}; convert the mesh to one of {known}.")
    text = start.lstrip().lower()
    if not start:
        raise ObjectError(f"{path}: is empty (0 bytes); export the mesh again.")
    if start.startswith(_LFS):
        raise ObjectError(
            f"{path}: is a Git LFS pointer, not the mesh itself; run `git lfs pull` in its repository."
        )
    if text.startswith((b"<!doctype html", b"<html")):
        raise ObjectError(f"{path}: is an HTML page, not a mesh; download the file itself (the raw link).")
    for signature, kind, suffixes in _SIGNATURES:
        if start.startswith(signature) and suffix not in suffixes:
            remedy = f"name it {path.stem}{suffixes[0]}" if suffixes and kind != "ZIP" else "unpack it"
            raise ObjectError(f"{path}: is a {kind} file by its content; {remedy}.")
    return suffix


def _hash(files: list[Path]) -> str:
    """SHA-256 of the file, and of those it refers to in the order of their names."""
    digest = hashlib.sha256()
    for file in [files[0], *sorted(set(files[1:]))]:
        digest.update(file.read_bytes())
    return digest.hexdigest()
