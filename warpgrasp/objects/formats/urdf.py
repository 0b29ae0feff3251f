"""URDF of an object: the visual shapes of its links, all joints at zero; collision shapes where nothing is visual."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from warpgrasp.geometry.rotations import is_mirror
from warpgrasp.objects.error import ObjectError
from warpgrasp.objects.formats.primitives import box, cylinder, sphere
from warpgrasp.objects.raw_mesh import Part, RawMesh

__all__ = ["read_urdf"]

Matrix = NDArray[np.float64]


@dataclass
class UrdfShapes:
    """Shapes of a file in the frame of its root link [m], the files that were read, and sentences."""

    parts: list[Part] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_urdf(path: Path, read_mesh: Any) -> UrdfShapes:
    """Read the shapes of a URDF file.

    Args:
        path: The file.
        read_mesh: ``warpgrasp.objects.read.read_mesh``, for the meshes it refers to.

    Raises:
        ObjectError: The file is no URDF, its joints form no tree, or a mesh is missing or cannot be read.
    """
    root = ElementTree.parse(path).getroot()
    if root.tag != "robot":
        raise ObjectError(f"{path}: its root is <{root.tag}> instead of <robot>; name a URDF file.")
    if any("xacro" in str(element.tag) for element in root.iter()):
        raise ObjectError(f"{path}: holds xacro macros; expand it by `xacro FILE > object.urdf` first.")
    frames = _frames(path, root)
    shapes = UrdfShapes(files=[path])
    kinds = {
        kind: [(link, item) for link in root.iter("link") for item in link.iter(kind)]
        for kind in ("visual", "collision")
    }
    kind = "visual" if kinds["visual"] else "collision"
    if kind == "visual" and kinds["collision"]:
        shapes.notes.append(
            "The visual shapes of the URDF are the object; its collision shapes were left out."
        )
    for link, item in kinds[kind]:
        frame = frames[link.get("name", "")] @ _origin(path, item)
        geometry = item.find("geometry")
        if geometry is None or len(geometry) == 0:
            raise ObjectError(
                f"{path}: a <{kind}> of link {link.get('name')!r} has no geometry; correct the file."
            )
        vertices, faces = _shape(path, geometry[0], read_mesh, shapes)
        mirrored = is_mirror(frame)
        shapes.parts.append(
            (vertices @ frame[:3, :3].T + frame[:3, 3], faces[:, ::-1] if mirrored else faces)
        )
    return shapes


def _frames(path: Path, root: Any) -> dict[str, Matrix]:
    """Pose of every link in the frame of the root link, joints at zero."""
    links = [link.get("name", "") for link in root.iter("link")]
    above = {}
    for joint in root.findall("joint"):
        parent, child = joint.find("parent"), joint.find("child")
        if parent is None or child is None:
            continue  # the joint of a <transmission> or of <gazebo>
        above[child.get("link", "")] = (parent.get("link", ""), _origin(path, joint))
    if len(links) - len(above) > 1:
        raise ObjectError(
            f"{path}: its {len(links)} links are joined by {len(above)} joints only, so they are several objects; save each "
            "to a file of its own."
        )
    frames: dict[str, Matrix] = {}
    for link in links:
        frame, at, steps = np.eye(4), link, 0
        while at in above:
            at, pose = above[at]
            frame = pose @ frame
            steps += 1
            if steps > len(above) or at not in links:
                raise ObjectError(f"{path}: the joints above link {link!r} form no tree; correct the file.")
        frames[link] = frame
    return frames


def _origin(path: Path, element: Any) -> Matrix:
    """Pose of an ``<origin>``: xyz [m] and roll, pitch, yaw [rad] about fixed axes."""
    from scipy.spatial.transform import Rotation

    origin = element.find("origin")
    matrix = np.eye(4)
    if origin is not None:
        matrix[:3, 3] = _numbers(path, origin.get("xyz", "0 0 0"), 3)
        matrix[:3, :3] = Rotation.from_euler("xyz", _numbers(path, origin.get("rpy", "0 0 0"), 3)).as_matrix()
    return matrix


def _numbers(path: Path, text: str, count: int) -> NDArray[np.float64]:
    try:
        values = np.array(text.split(), np.float64)
    except ValueError:
        values = np.empty(0)
    if len(values) != count or not np.isfinite(values).all():
        raise ObjectError(f"{path}: {text!r} should be {count} finite number(s); correct the file.")
    return values


def _shape(path: Path, shape: Any, read_mesh: Any, shapes: UrdfShapes) -> Part:
    def size(name: str, count: int = 1) -> Any:
        return _numbers(path, shape.get(name, ""), count)

    if shape.tag == "box":
        return box(size("size", 3))
    if shape.tag == "sphere":
        return sphere(float(size("radius")[0]))
    if shape.tag == "cylinder":
        return cylinder(float(size("radius")[0]), float(size("length")[0]))
    if shape.tag != "mesh":
        raise ObjectError(f"{path}: holds a shape <{shape.tag}>, which URDF does not know; correct the file.")
    file = _find(path, shape.get("filename", ""))
    if file.suffix.lower() == ".urdf":
        raise ObjectError(f"{path}: names the URDF file {file.name} as a mesh; correct the file.")
    mesh: RawMesh = read_mesh(file)
    shapes.files.append(file)
    shapes.notes += [f"{file.name}: {note}" for note in mesh.notes]
    scale = _numbers(path, shape.get("scale", "1 1 1"), 3)
    faces = mesh.faces[:, ::-1] if np.prod(scale) < 0.0 else mesh.faces
    return mesh.vertices * mesh.meters_per_unit * scale, faces


def _find(path: Path, reference: str) -> Path:
    """File of a mesh: relative to the URDF file, or in a ROS package in a folder above it."""
    name = reference.removeprefix("file://")
    package = ""
    if "://" in name:
        package, _, name = name.partition("://")[2].partition("/")
    folders = [path.parent, *path.absolute().parents]
    candidates = [path.parent / name] + [folder / package / name for folder in folders if package]
    candidates += [folder / name for folder in folders if folder.name == package]
    found = next((file for file in candidates if file.is_file()), None)
    if found is None:
        raise ObjectError(
            f"{path}: its mesh {reference!r} is missing (looked for {candidates[0]}); put that file there."
        )
    return found
