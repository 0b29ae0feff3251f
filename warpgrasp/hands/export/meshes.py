"""What all exports share: mesh files of the convex pieces and the vendor's link names."""

from __future__ import annotations

from pathlib import Path

from warpgrasp.hands.model import GeometryType, HandModel

__all__ = ["vendor_link_names", "write_pieces"]


def write_pieces(hand: HandModel, folder: Path, *, every: bool = False) -> dict[int, str]:
    """Write convex geometries (``every``: capsules too) as OBJ files in their link frames.

    Returns:
        File of each geometry, relative to ``folder``.
    """
    files: dict[int, str] = {}
    for index, mesh in enumerate(hand.geometry_mesh):
        kind = hand.geometry_type[index]
        round_capsule = kind == GeometryType.CAPSULE and hand.geometry_size[index, 1] > 0.0
        if kind != GeometryType.CONVEX and not (every and round_capsule):
            continue
        (folder / "meshes" / hand.name).mkdir(parents=True, exist_ok=True)
        file = f"meshes/{hand.name}/piece_{index}.obj"  # hands may share the folder
        lines = [f"v {x:.8g} {y:.8g} {z:.8g}" for x, y, z in mesh.vertices]
        lines += [f"f {a} {b} {c}" for a, b, c in mesh.faces + 1]
        (folder / file).write_text("\n".join(lines) + "\n", encoding="utf-8")
        files[index] = file
    return files


def vendor_link_names(hand: HandModel) -> tuple[str, ...]:
    """Link names as the vendor writes them (prim names are legal identifiers and may differ)."""
    from pxr import Usd

    from warpgrasp.hands.usd.stage import vendor_name

    stage = Usd.Stage.Open(str(hand.path))
    return tuple(vendor_name(stage.GetPrimAtPath(path)) for path in hand.link_paths)
