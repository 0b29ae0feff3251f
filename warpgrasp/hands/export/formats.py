"""Writing a hand in one of the formats of other simulators."""

from __future__ import annotations

from pathlib import Path

from warpgrasp.hands.library import load_hand

__all__ = ["EXPORT_FORMATS", "export_hand"]

EXPORT_FORMATS = ("mjcf", "urdf", "usd")


def export_hand(
    hand: str | Path, output: Path | str, *, format: str = "mjcf", floating: bool = False
) -> Path:
    """Write a hand in another format.

    Args:
        hand: Name of a shipped hand, or path of a hand asset.
        output: Folder, created when missing. Mesh files go to ``meshes`` inside it.
        format: One of :data:`EXPORT_FORMATS`. mjcf carries gains, effort limits and couplings; urdf carries mimic joints
            but no gains; usd is the asset itself in one file. mjcf needs the extra ``sim``.
        floating: MJCF only: the root moves freely instead of being fixed to the world.

    Returns:
        Path of the written description.

    Raises:
        ValueError: Unknown hand or format.
        ImportError: MJCF without MuJoCo; the message names the extra.
    """
    if format not in EXPORT_FORMATS:
        raise ValueError(f"format must be one of {', '.join(EXPORT_FORMATS)} (got '{format}')")
    model = load_hand(hand)
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    if format == "mjcf":
        from warpgrasp.hands.export.mjcf import write_mjcf

        return write_mjcf(model, folder, floating=floating)
    if format == "urdf":
        from warpgrasp.hands.export.urdf import write_urdf

        return write_urdf(model, folder)
    from warpgrasp.hands.usd.stage import flat_layer

    path = folder / f"{model.name}.usda"
    flat_layer(model.path).Export(str(path))
    return path
