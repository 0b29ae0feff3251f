"""The report of a conversion: what was guessed, with what confidence, and what to look at; and its picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from warpgrasp.base.atomic_file import write_text
from warpgrasp.hands.fingertip_force import fingertip_forces
from warpgrasp.hands.model import HandModel

if TYPE_CHECKING:
    from warpgrasp.hands.convert.conversion import Conversion

__all__ = ["report_text", "write_report"]


def write_report(result: Conversion, source: Path, output: Path, *, picture: bool) -> None:
    """Write ``report.md`` and, if wanted, ``hand.png`` into the output folder."""
    if picture:
        from warpgrasp.hands.picture import write_hand_picture

        write_hand_picture(output / "hand.png", result.hand)
    write_text(output / "report.md", report_text(result, source, picture=picture))


def report_text(result: Conversion, source: Path, *, picture: bool) -> str:
    """The report as Markdown."""
    hand = result.hand
    lines = [
        f"# {hand.name}",
        "",
        f"Converted from `{source.name}`: {hand.link_count} links, {hand.dof_count} independent joints, "
        f"{len(hand.geometry_mesh)} convex pieces, {len(hand.patches)} contact patches, {len(hand.sphere_link)} "
        f"self-collision spheres, {hand.link_mass.sum():.3g} kg.",
        "",
    ]
    if picture:
        lines += ["![the hand](hand.png)", ""]
    if result.warnings:
        lines += ["## Read this first", "", *(f"- {warning}" for warning in result.warnings), ""]
    if result.guesses:
        lines += [
            "## Guessed",
            "",
            "Confidence 1 is certain; look at everything below 0.5. Correct it in `annotation.yaml` and convert again.",
            "",
            "| what | proposal | confidence | why |",
            "|---|---|---|---|",
        ]
        lines += [f"| {g.topic} | {g.value} | {g.confidence:.2f} | {g.reason} |" for g in result.guesses]
        lines.append("")
    if result.kept_sections:
        lines += [f"Kept from `annotation.yaml`: {', '.join(result.kept_sections)}.", ""]
    lines += ["## Grasp types", ""]
    for grasp_type in hand.grasp_types.values():
        lines.append(
            f"- {grasp_type.name}: {', '.join(grasp_type.fingers)} ({len(grasp_type.patch_names)} patches, "
            f"{hand.contact_candidates(grasp_type.name).count} contact candidates)"
        )
    lines += _fingertip_lines(hand)
    lines += [
        "",
        "## Joints",
        "",
        "| joint | limits (rad, m) | opening | effort (Nm, N) | gains kp / kd |",
        "|---|---|---|---|---|",
    ]
    for dof, name in enumerate(hand.joint_names):
        lines.append(
            f"| {name} | {hand.dof_lower[dof]:.3f} .. {hand.dof_upper[dof]:.3f} | {hand.dof_opening[dof]:.3f} | "
            f"{hand.dof_effort[dof]:.3g} | {hand.dof_stiffness[dof]:.3g} / {hand.dof_damping[dof]:.3g} |"
        )
    followers = [
        (name, link)
        for link, name in enumerate(hand.link_joint_names)
        if name and name not in hand.joint_names
    ]
    for name, link in followers:
        leader = hand.joint_names[hand.joint_dof[link]]
        lines.append(
            f"| {name} | follows {leader}: {hand.joint_multiplier[link]:.4g} x + {hand.joint_offset[link]:.4g} | | | |"
        )
    lines += [
        "",
        "## Geometry",
        "",
        "| link | convex pieces | surface off the mesh (95 %) |",
        "|---|---|---|",
    ]
    for piece in result.pieces:
        split = " (split by CoACD)" if piece.split else ""
        lines.append(f"| {piece.link} | {piece.pieces}{split} | {1e3 * piece.gap:.1f} mm |")
    if result.notes:
        lines += ["", "## Assumed", ""]
        lines += [f"- {note}" for note in result.notes]
    return "\n".join(lines) + "\n"


def _fingertip_lines(hand: HandModel) -> list[str]:
    """How hard each fingertip presses when all press alike."""
    lines = [
        "",
        "## Fingertip forces",
        "",
        "Force along the tip's normal at the opening pose, when all fingers press alike, and the joint whose effort limits it.",
        "",
        "| finger | force | limited by |",
        "|---|---|---|",
    ]
    return lines + [
        f"| {row.finger} | {row.force:.3g} N | {row.joint or 'does not move; it holds against the others'} |"
        for row in fingertip_forces(hand)
    ]
