"""``python -m warpgrasp.hands.convert``: a robot description (URDF, MJCF, USD) becomes a hand that grasps.

Writes into the output folder ``hand.usda`` (the asset), ``annotation.yaml`` (editable), ``report.md`` (what was guessed,
with what confidence) and ``hand.png`` (the same, drawn). Run again with an edited annotation to keep the edits.
"""

from __future__ import annotations

import dataclasses
import re
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from warpgrasp.hands.annotation_file import (
    SECTIONS,
    HandAnnotation,
    read_annotation_file,
    write_annotation_file,
)
from warpgrasp.hands.assemble import annotated, describe
from warpgrasp.hands.author import write_hand
from warpgrasp.hands.convert_report import write_report
from warpgrasp.hands.convex_pieces import PieceReport, convex_pieces
from warpgrasp.hands.description import HandDescription
from warpgrasp.hands.library import load_hand
from warpgrasp.hands.model import HandModel
from warpgrasp.hands.proposals import Guess, propose
from warpgrasp.hands.source import (
    SourceHand,
    check_size,
    merge_fixed_joints,
    scaled,
    sorted_tree,
    subtree,
    with_joint_limits,
)
from warpgrasp.warp_messages import quiet_warp

__all__ = ["Conversion", "ConvertConfig", "convert_hand", "main"]

_FORMATS = {
    ".urdf": "urdf",
    ".xml": "mjcf",
    ".mjcf": "mjcf",
    ".usd": "usd",
    ".usda": "usd",
    ".usdc": "usd",
    ".usdz": "usd",
}


@dataclass(frozen=True, kw_only=True)
class ConvertConfig:
    """How to read a robot description."""

    name: str = ""
    """Name of the hand; empty: that of the output folder."""
    root: str = ""
    """Link to start from, where the file also holds an arm or several roots; empty: the root of the file."""
    geometry: str = "collision"
    """collision or visual: which geometry of a link with both becomes convex pieces."""
    scale: float = 1.0
    """Factor on every length of the file (0.001 for a file in millimetres)."""
    mesh_scale: float = 1.0
    """Factor on mesh files only (0.001 where only they are in millimetres)."""
    density: float | None = None
    """kg/m^3 for links that state no mass; without it such links are refused."""
    joint_limits: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Limits [rad or m] for joints that have none: NAME LOWER UPPER."""
    fresh: bool = False
    """Propose the annotation again even where an annotation file exists."""
    picture: bool = True
    """Draw hand.png."""

    def __post_init__(self) -> None:
        if self.geometry not in ("collision", "visual"):
            raise ValueError(f"geometry must be collision or visual (got '{self.geometry}')")
        for key in ("scale", "mesh_scale"):
            if not getattr(self, key) > 0.0:
                raise ValueError(f"{key} must be positive (got {getattr(self, key)})")
        if self.density is not None and not self.density > 0.0:
            raise ValueError(f"density must be positive (got {self.density})")


@dataclass(frozen=True, eq=False)
class Conversion:
    """What a conversion made: the loaded hand, the annotation, and what the report says."""

    hand: HandModel
    annotation: HandAnnotation
    kept_sections: tuple[str, ...]
    guesses: tuple[Guess, ...]
    pieces: tuple[PieceReport, ...]
    notes: tuple[str, ...]


def convert_hand(source: Path | str, output: Path | str, config: ConvertConfig | None = None) -> Conversion:
    """Convert a robot description into a hand asset with grasp annotation.

    Args:
        source: URDF (.urdf), MJCF (.xml, .mjcf) or USD file.
        output: Folder for hand.usda, annotation.yaml, report.md and hand.png; created when missing. An annotation file
            that is there is kept: its sections are used, missing ones are proposed and added.
        config: How to read the file.

    Raises:
        ValueError: The description cannot be converted; one sentence with the link or joint and the remedy.
        ImportError: A reader needs a package that is not installed; the message names the extra.
    """
    config = config or ConvertConfig()
    source, output = Path(source), Path(output)
    read = _read_source(source, config)
    hand_source = _prepared(read, config)
    pieces, piece_reports, notes = convex_pieces(hand_source)
    notes = [*hand_source.notes, *notes]
    name = re.sub(r"\W", "_", config.name or output.resolve().name or source.stem)
    base = describe(hand_source, pieces, name=name, density=config.density, notes=notes)
    output.mkdir(parents=True, exist_ok=True)
    annotation_path = output / "annotation.yaml"
    kept = read_annotation_file(annotation_path) if annotation_path.is_file() and not config.fresh else {}
    annotation, guesses = _annotation(base, hand_source, kept)
    hand = _write_and_load(annotated(base, annotation), output / "hand.usda")
    if set(kept) != set(SECTIONS):
        write_annotation_file(annotation, annotation_path, source=source.name)
    result = Conversion(hand, annotation, tuple(kept), tuple(guesses), tuple(piece_reports), tuple(notes))
    write_report(result, source, output, picture=config.picture)
    return result


def _read_source(path: Path, config: ConvertConfig) -> SourceHand:
    if not path.is_file():
        raise ValueError(f"'{path}' does not exist; give the path of a URDF, MJCF or USD file")
    form = _FORMATS.get(path.suffix.lower())
    if form is None:
        raise ValueError(
            f"'{path.name}' is no known robot description; give a .urdf, .xml (MJCF), .usd, .usda, .usdc or .usdz file"
        )
    visual = config.geometry == "visual"
    if form == "mjcf":
        from warpgrasp.hands.import_mjcf import read_mjcf

        return read_mjcf(path, mesh_scale=config.mesh_scale, visual=visual)
    if form == "usd":
        from warpgrasp.hands.import_usd import read_usd

        return read_usd(path, mesh_scale=config.mesh_scale, visual=visual)
    from warpgrasp.hands.import_urdf import read_urdf

    return read_urdf(path, mesh_scale=config.mesh_scale, visual=visual)


def _prepared(hand: SourceHand, config: ConvertConfig) -> SourceHand:
    if config.root:
        hand = subtree(hand, config.root)
    hand = sorted_tree(hand)
    if config.scale != 1.0:
        hand = scaled(hand, config.scale)
    check_size(hand)
    return merge_fixed_joints(with_joint_limits(hand, config.joint_limits))


def _annotation(
    base: HandDescription, source: SourceHand, kept: dict[str, object]
) -> tuple[HandAnnotation, list[Guess]]:
    """Kept sections as they stand, the others proposed on a hand written without annotation."""
    if set(kept) == set(SECTIONS):
        return HandAnnotation(**kept), []  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory() as folder:
        bare = _write_and_load(base, Path(folder) / "hand.usda")
    vendor_names = tuple(link.name for link in source.links)
    bare = dataclasses.replace(bare, link_names=vendor_names)  # the annotation speaks the file's names
    frames = {index: [name for name, _, _ in link.frames] for index, link in enumerate(source.links)}
    proposed, guesses = propose(bare, frames)
    return dataclasses.replace(proposed, **kept), [g for g in guesses if g.topic.split()[0] not in kept]  # type: ignore[arg-type]


def _write_and_load(description: HandDescription, path: Path) -> HandModel:
    """Write the asset beside its final place, check that it loads and can be sampled, then move it there."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".convert-") as folder:
        trial = Path(folder) / path.name
        write_hand(description, trial)
        hand = load_hand(trial)
        for grasp_type in hand.grasp_types:
            hand.contact_candidates(
                grasp_type
            )  # a patch that cannot be sampled is refused now, not at synthesis
        for file in sorted(Path(folder).iterdir(), key=lambda file: file.name == path.name):
            file.replace(path.parent / file.name)  # the asset last: it refers to the others
    return load_hand(path)


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    from rich.console import Console

    def run(
        source: Annotated[Path, tyro.conf.Positional],
        output: Annotated[Path, tyro.conf.arg(aliases=["-o"])],
        config: Annotated[ConvertConfig, tyro.conf.arg(name="")] = ConvertConfig(),
    ) -> Conversion:
        """Convert a URDF, MJCF or USD robot hand into a hand asset with contact patches, grasp types and spheres.

        Args:
            source: URDF, MJCF or USD file.
            output: Folder for hand.usda, annotation.yaml, report.md and hand.png.
            config: How to read the file.
        """
        with Console(stderr=True).status(f"converting {source.name} (seconds to half a minute)"):
            return convert_hand(source, output, config)

    try:
        quiet_warp()
        result = tyro.cli(run, args=arguments, prog="python -m warpgrasp.hands.convert")
    except (ValueError, ImportError) as error:
        Console(stderr=True, soft_wrap=True).print(str(error), style="red", highlight=False, markup=False)
        return 1
    hand, folder = result.hand, result.hand.path.parent
    console = Console(soft_wrap=True, highlight=False)
    console.print(
        f"{hand.path}: {hand.dof_count} joints, fingers {', '.join(hand.fingers)}, {len(hand.patches)} contact patches, "
        f"grasp types {', '.join(hand.grasp_types)}",
        markup=False,
    )
    unsure = [guess.topic for guess in result.guesses if guess.confidence < 0.5]
    if unsure:
        console.print(f"check these guesses (see {folder / 'report.md'}): {', '.join(unsure)}", markup=False)
    if (folder / "hand.png").is_file():
        console.print(f"look at {folder / 'hand.png'}", markup=False)
    console.print(f"edit {folder / 'annotation.yaml'} and run again to change what was guessed", markup=False)
    console.print(f"then: python -m warpgrasp.generate MESH --hand {hand.path}", markup=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
