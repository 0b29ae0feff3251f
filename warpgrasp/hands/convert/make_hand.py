"""From a robot description to a hand asset: read, cut, decompose, annotate, write."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from warpgrasp.base.atomic_file import scratch_folder
from warpgrasp.base.usd_error import usd_reason
from warpgrasp.hands.authoring.author import write_hand
from warpgrasp.hands.authoring.description import HandDescription
from warpgrasp.hands.convert.annotation_file import (
    OPTIONAL,
    SECTIONS,
    HandAnnotation,
    read_annotation_file,
    write_annotation_file,
)
from warpgrasp.hands.convert.assemble import annotated, describe
from warpgrasp.hands.convert.collision_pieces import convex_pieces
from warpgrasp.hands.convert.conversion import Conversion, ConvertConfig
from warpgrasp.hands.convert.propose.annotation import Guess, propose
from warpgrasp.hands.convert.report import write_report
from warpgrasp.hands.convert.review import write_review
from warpgrasp.hands.convert.source import ReadOptions, SourceHand, check_size, scaled
from warpgrasp.hands.convert.tree import merge_fixed_joints, sorted_tree, with_joint_limits
from warpgrasp.hands.fingertip_force import strength_warnings
from warpgrasp.hands.library import load_hand
from warpgrasp.hands.model import HandModel

__all__ = ["convert_hand"]

_FORMATS = {
    ".urdf": "urdf",
    ".xml": "mjcf",
    ".mjcf": "mjcf",
    ".usd": "usd",
    ".usda": "usd",
    ".usdc": "usd",
    ".usdz": "usd",
}


def convert_hand(
    source: Path | str,
    output: Path | str,
    config: ConvertConfig | None = None,
    progress: Callable[[str], None] | None = None,
) -> Conversion:
    """Convert a robot description into a hand asset with grasp annotation.

    Args:
        source: URDF (.urdf), MJCF (.xml, .mjcf) or USD file.
        output: Folder for hand.usda, annotation.yaml, report.md and hand.png; created when missing. An annotation file
            that is there is kept: its sections are used, missing ones are proposed and added.
        config: How to read the file.
        progress: Called with what is done next, a few words.

    Raises:
        ValueError: The description cannot be converted; one sentence with the link or joint and the remedy.
        ImportError: A reader needs a package that is not installed; the message names the extra.
    """
    config = config or ConvertConfig()
    source, output = Path(source), Path(output)
    annotation_path = output / "annotation.yaml"
    kept = read_annotation_file(annotation_path) if annotation_path.is_file() and not config.fresh else {}
    tell = progress or (lambda _: None)
    tell("reading the description and its meshes")
    with _names_file(source):
        read = read_source(source, config, frozenset(kept.get("ignore", ())))
        hand_source = _prepared(read, config)
    pieces, piece_reports, notes = convex_pieces(hand_source, tell)
    name = re.sub(r"\W", "_", config.name or output.resolve().name or source.stem)
    base = describe(hand_source, pieces, name=name, density=config.density, notes=notes)
    output.mkdir(parents=True, exist_ok=True)
    tell("finding fingers, palm and opening pose")
    annotation, guesses, efforts = _annotation(base, hand_source, kept)
    hand = _write_and_load(annotated(base, annotation), output / "hand.usda")
    if set(SECTIONS) - set(OPTIONAL) - set(kept):
        write_annotation_file(annotation, annotation_path, source=source.name)
    warnings = (*efforts, *strength_warnings(hand), *hand_source.notes)
    result = Conversion(
        hand, annotation, tuple(kept), tuple(guesses), tuple(piece_reports), tuple(notes), warnings
    )
    tell("drawing the hand" if config.picture else "writing the report")
    write_report(result, source, output, picture=config.picture)
    if config.review:
        tell("writing the page for the review")
        write_review(output / "review.html", result, [link.name for link in hand_source.links])
    return result


@contextmanager
def _names_file(path: Path) -> Iterator[None]:
    """Every refusal is a ``ValueError`` with the name of the file, whatever a reader raises on damaged values."""
    try:
        yield
    except (ImportError, OSError):
        raise
    except ValueError as error:
        if path.name in str(error):
            raise
        raise ValueError(f"'{path.name}': {error}") from error
    except Exception as error:
        reason = f"{type(error).__name__}: {usd_reason(error)}"
        raise ValueError(f"'{path.name}' cannot be read ({reason}); export it again") from error


def read_source(path: Path, config: ConvertConfig, ignore: frozenset[str] = frozenset()) -> SourceHand:
    """Links, joints and shapes of a robot description.

    Raises:
        ValueError: It cannot be read; the message names the file.
    """
    with _names_file(path):
        return _read_source(path, config, ignore)


def _read_source(path: Path, config: ConvertConfig, ignore: frozenset[str]) -> SourceHand:
    if not path.is_file():
        raise ValueError(f"'{path}' does not exist; give the path of a URDF, MJCF or USD file")
    form = _FORMATS.get(path.suffix.lower())
    if form is None:
        raise ValueError(
            f"'{path.name}' is no known robot description; give a .urdf, .xml (MJCF), .usd, .usda, .usdc or .usdz file"
        )
    options = ReadOptions(
        root=config.root,
        mesh_scale=config.mesh_scale,
        visual=config.geometry == "visual",
        package_path=config.package_path,
        ignore=ignore,
    )
    if form == "mjcf":
        from warpgrasp.hands.convert.mjcf import read_mjcf

        return read_mjcf(path, options)
    if form == "usd":
        from warpgrasp.hands.convert.usd import read_usd

        return read_usd(path, options)
    from warpgrasp.hands.convert.urdf import read_urdf

    return read_urdf(path, options)


def _prepared(hand: SourceHand, config: ConvertConfig) -> SourceHand:
    hand = sorted_tree(hand)
    if config.scale != 1.0:
        hand = scaled(hand, config.scale)
    check_size(hand)
    return merge_fixed_joints(with_joint_limits(hand, config.joint_limits))


def _annotation(
    base: HandDescription, source: SourceHand, kept: dict[str, object]
) -> tuple[HandAnnotation, list[Guess], list[str]]:
    """Kept sections as they stand, the others proposed on a hand written without annotation; sentences about efforts."""
    if not set(SECTIONS) - set(OPTIONAL) - set(kept):
        return HandAnnotation(**kept), [], []  # type: ignore[arg-type]
    with scratch_folder() as folder:
        bare = _write_and_load(base, folder / "hand.usda")
    vendor_names = tuple(link.name for link in source.links)
    bare = dataclasses.replace(bare, link_names=vendor_names)  # the annotation speaks the file's names
    proposed, guesses, efforts = propose(bare, source)
    merged = dataclasses.replace(proposed, **kept)  # type: ignore[arg-type]
    shown = [g for g in guesses if g.topic.split()[0] not in kept]
    return merged, shown, [] if "joints" in kept else efforts


def _write_and_load(description: HandDescription, path: Path) -> HandModel:
    """Write the asset, check that it loads and can be sampled, then write it at its final place."""
    with scratch_folder() as folder:
        trial = folder / path.name
        write_hand(description, trial)
        hand = load_hand(trial)
        for grasp_type in hand.grasp_types:
            hand.contact_candidates(
                grasp_type
            )  # a patch that cannot be sampled is refused now, not at synthesis
    write_hand(description, path)
    return load_hand(path)
