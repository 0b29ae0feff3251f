"""Opening an MJCF: a size budget before MuJoCo sees it, and everything outside the wanted subtree taken out."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

__all__ = ["compile_mjcf"]

_MOST_ELEMENTS = 20_000
_DEEPEST = 100
_LARGEST_FILE = 20_000_000  # bytes


def compile_mjcf(mujoco: Any, path: Path, root: str) -> Any:
    """The compiled model of a file, or of the part that hangs on body ``root``.

    Bodies beside the subtree, and meshes that only they use, are removed before anything is compiled, so what they
    refer to need not exist. The bodies above ``root`` stay as empty frames.

    Raises:
        ValueError: MuJoCo cannot compile the file, or it is larger than any hand.
    """
    elements = _expanded_size(path, [])
    if elements > _MOST_ELEMENTS:
        raise ValueError(
            f"'{path}' has {elements} elements once includes and <replicate> are expanded; a hand has a few hundred, at most "
            f"{_MOST_ELEMENTS} are read: remove the replicated part or export the hand alone"
        )
    try:
        spec = mujoco.MjSpec.from_file(str(path))
        if root:
            _cut(spec, root)
        return spec.compile()
    except (ValueError, FileNotFoundError) as error:
        text = " ".join(str(error).split()).rstrip(".")
        if text.startswith("there is no link"):
            raise
        raise ValueError(
            f"MuJoCo cannot compile '{path}' ({text}); correct the file or put what is missing there"
        ) from error


def _expanded_size(path: Path, above: list[Path]) -> int:
    """Number of elements with includes read and replicates multiplied, found without expanding them."""
    if path.stat().st_size > _LARGEST_FILE:
        raise ValueError(
            f"'{path}' has {path.stat().st_size / 1e6:.0f} MB; an MJCF of a hand has less than one: give the description"
        )
    if len(above) > _DEEPEST or path in above:
        raise ValueError(f"'{path}' includes itself; remove the <include>")
    total, factors = 0, [1]
    try:
        for event, element in ElementTree.iterparse(path, events=("start", "end")):
            if event == "end":
                factors.pop()
                element.clear()
                continue
            factor = factors[-1]
            total += factor
            if element.tag == "replicate":
                factor *= max(1, int(float(element.get("count") or 1)))
            elif element.tag == "include" and (path.parent / (element.get("file") or "")).is_file():
                inner = path.parent / (element.get("file") or "")
                total += factor * _expanded_size(inner, [*above, path])
            factors.append(factor)
            if len(factors) > _DEEPEST:
                raise ValueError(
                    f"'{path}' nests more than {_DEEPEST} elements; no hand does: export it again"
                )
            if total > _MOST_ELEMENTS:
                break
    except (ElementTree.ParseError, OverflowError) as error:
        raise ValueError(f"'{path}' is no XML that can be read ({error}); export it again") from error
    return total


def _cut(spec: Any, root: str) -> None:
    """Delete bodies beside the subtree of ``root``, what hangs on the bodies above it, and meshes nobody uses."""
    wanted = spec.body(root)
    if wanted is None:
        names = ", ".join(body.name for body in spec.bodies if body.name and body.name != "world")
        raise ValueError(f"there is no link '{root}' to start from; the links are {names}")
    above = []
    body = wanted.parent
    while body is not None:
        above.append(body)
        body = body.parent
    kept = wanted
    for body in above:
        for other in list(body.bodies):
            if other != kept:
                spec.delete(other)
        for thing in [*body.geoms, *body.joints, *body.sites, *body.cameras, *body.lights]:
            spec.delete(thing)
        kept = body
    _drop_references(spec)
    used = {geom.meshname for geom in spec.geoms if geom.meshname}
    for mesh in list(spec.meshes):
        name = mesh.name or Path(mesh.file).stem
        if name not in used:
            spec.delete(mesh)


def _drop_references(spec: Any) -> None:
    """Delete what refers to bodies, joints and sites that are no longer there, and what a hand has no use for."""
    for group in (spec.keys, spec.sensors, spec.pairs, spec.tuples):
        for thing in list(group):
            spec.delete(thing)
    names = {thing.name for group in (spec.bodies, spec.joints, spec.sites, spec.geoms) for thing in group}
    for tendon in list(spec.tendons):
        pulls = [wrap for wrap in getattr(tendon, "path", ()) if "PULLEY" not in str(wrap.type)]
        if any(wrap.target is None or wrap.target.name not in names for wrap in pulls):
            spec.delete(tendon)
    names |= {tendon.name for tendon in spec.tendons}
    for actuator in list(spec.actuators):
        if actuator.target not in names:
            spec.delete(actuator)
    for equality in list(spec.equalities):
        if not {equality.name1, equality.name2} - {""} <= names:
            spec.delete(equality)
    for exclude in list(spec.excludes):
        if not {exclude.bodyname1, exclude.bodyname2} <= names:
            spec.delete(exclude)
