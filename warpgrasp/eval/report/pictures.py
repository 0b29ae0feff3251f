"""Pictures of the report: which grasps it shows, heat maps and tiles as HTML with the images inside."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import warp as wp
from numpy.typing import NDArray
from PIL import Image

from warpgrasp.eval.protocol.verdict import FailureReason, Verdict
from warpgrasp.eval.report.heat_map import (
    TOUCH_DISTANCE,
    contact_density,
    heat_map_views,
    refine_surface,
    render_surface,
    touching_contacts,
    viridis,
)
from warpgrasp.eval.report.scenes import posed
from warpgrasp.eval.results.case_result import CaseResult
from warpgrasp.eval.results.columns import reason_name
from warpgrasp.grasps.case import GraspCase
from warpgrasp.grasps.gallery import render_grasp

__all__ = [
    "ReportEntry",
    "ReportLimits",
    "gallery_choice",
    "gallery_tiles",
    "heat_map_figures",
    "scene_choice",
    "state_of",
]


@dataclass(frozen=True, eq=False)
class ReportEntry:
    """One grasp file and what the evaluation said about it."""

    case: GraspCase
    result: CaseResult
    rows: Sequence[Mapping[str, Any]]
    """Of :func:`~warpgrasp.eval.results.rows.result_rows`, one per push."""
    label: str = ""
    """What the page calls it, where the name of the object does not tell it from others."""

    @property
    def name(self) -> str:
        """The label, or the name of the object."""
        return self.label or self.case.object_name


@dataclass(frozen=True, kw_only=True)
class ReportLimits:
    """How much goes into the page, so that its size stays sensible; what is left out is said on the page."""

    picture_count: int = 24
    """Pictures of grasps."""
    picture_size: int = 320
    """Edge of a picture in pixels."""
    scene_count: int = 600
    """Grasps in 3-D, shared evenly among the objects; about 5 KB each, beside 100-200 KB per object and hand."""
    object_count: int = 60
    """Objects with a heat map and in 3-D."""


def gallery_choice(
    entries: Sequence[ReportEntry], verdicts: Sequence[Verdict], count: int
) -> list[tuple[int, int]]:
    """Up to ``count`` pairs (entry, grasp): held first, then dropped, about half each.

    Objects take turns; within an object the best held grasp comes first, and dropped grasps with different reasons.
    """
    held: list[list[tuple[int, int]]] = []
    dropped: list[list[tuple[int, int]]] = []
    for number, (entry, verdict) in enumerate(zip(entries, verdicts, strict=True)):
        order = _posed_order(entry.case)
        held.append([(number, i) for i in order if verdict.success_all[i]])
        lost = [i for i in order if not verdict.success_all[i]]
        seen: Counter[int] = Counter()
        rank = {}
        for i in lost:
            reason = int(verdict.reason[i])
            rank[i] = seen[reason]
            seen[reason] += 1
        dropped.append([(number, i) for i in sorted(lost, key=lambda i: rank[i])])
    all_held, all_dropped = take_turns(held), take_turns(dropped)
    held_count = min(len(all_held), max(count - len(all_dropped), count - count // 2))
    return [*all_held[:held_count], *all_dropped[: count - held_count]]


def _posed_order(case: GraspCase) -> list[int]:
    """Grasps that have a pose, best first."""
    order = case.grasps.order()
    return [int(i) for i in order[posed(case)[order]]]


def take_turns(lists: Sequence[Sequence[tuple[int, int]]]) -> list[tuple[int, int]]:
    longest = max((len(items) for items in lists), default=0)
    return [items[k] for k in range(longest) for items in lists if k < len(items)]


def scene_choice(entries: Sequence[ReportEntry], limits: ReportLimits) -> list[list[int]]:
    """Best grasps of each object, an even share; what small files leave goes to the larger ones."""
    orders = [_posed_order(entry.case) if k < limits.object_count else [] for k, entry in enumerate(entries)]
    turns = take_turns([[(k, i) for i in order] for k, order in enumerate(orders)])[: limits.scene_count]
    return [sorted(i for number, i in turns if number == k) for k in range(len(entries))]


def heat_map_figures(
    entries: Sequence[ReportEntry], verdicts: Sequence[Verdict], limits: ReportLimits, device: wp.DeviceLike
) -> str:
    """Contact heat maps of every object: of all grasps, and of those that hold in at least one trial."""
    parts = []
    for entry, verdict in zip(entries, verdicts, strict=False):
        case = entry.case
        surface = refine_surface(case.model)
        cells = []
        for label, select in (
            ("all grasps", np.ones(len(case.grasps), dtype=bool)),
            ("grasps that hold", verdict.success_any),
        ):
            contacts = touching_contacts(case.grasps, case.model, select)
            if len(contacts[0]) == 0:
                continue
            density = contact_density(surface.vertices, surface.normals, *contacts) / int(select.sum())
            top = float(density.max())
            color = viridis(density / max(top, 1.0e-12))
            images = "".join(
                image_element(
                    render_surface(surface, color, view, size=limits.picture_size, device=device), label
                )
                for view in heat_map_views(surface, density)
            )
            caption = (
                f"{label} ({int(select.sum())}, {len(contacts[0])} contacts); "
                f"yellow: {1.0e-4 * top:.2g} contacts per cm² and grasp"
            )
            cells.append(f'<div class="pair">{images}<figcaption>{caption}</figcaption></div>')
        none = f"<p>No contact point lies within {1000.0 * TOUCH_DISTANCE:g} mm of the surface.</p>"
        parts.append(f'<figure class="heat"><h3>{escape(entry.name)}</h3>{"".join(cells) or none}</figure>')
    return "".join(parts)


def gallery_tiles(
    entries: Sequence[ReportEntry],
    verdicts: Sequence[Verdict],
    choice: Sequence[tuple[int, int]],
    limits: ReportLimits,
    device: wp.DeviceLike,
) -> str:
    """Pictures of the chosen grasps (entry, grasp) with what became of each and why; a click shows it in 3-D."""
    tiles = []
    for number, index in choice:
        case, verdict = entries[number].case, verdicts[number]
        pixels = render_grasp(
            case.grasps, index, case.hand, case.model, size=limits.picture_size, device=device
        )
        reason = FailureReason(int(verdict.reason[index]))
        trials = verdict.trial_success[index]
        why = "" if reason == FailureReason.HOLDS else f"{reason_name(reason)}: "
        text = f"{escape(entries[number].name)}, grasp {index}"
        tiles.append(
            f'<button class="tile {state_of(verdict, index)}" data-grasp="{number}/{index}">'
            f"{image_element(pixels, text)}<b>{text}</b>"
            f"<span>{why}holds in {int(trials.sum())} of {len(trials)} trials</span>"
            f"<small>{escape(reason.sentence)}</small></button>"
        )
    return "".join(tiles)


def state_of(verdict: Verdict, index: int) -> str:
    """CSS class of a grasp: held in all trials, partly in some, dropped in none."""
    if verdict.success_all[index]:
        return "held"
    return "partly" if verdict.success_any[index] else "dropped"


def image_element(pixels: NDArray[np.uint8], text: str) -> str:
    """An ``img`` element that carries its picture (WebP: a fifth of a PNG at this size)."""
    with io.BytesIO() as file:
        Image.fromarray(pixels).save(file, format="WEBP", quality=85)
        data = base64.b64encode(file.getvalue()).decode()
    size = f'width="{pixels.shape[1]}" height="{pixels.shape[0]}"'
    return f'<img alt="{escape(text)}" {size} loading="lazy" src="data:image/webp;base64,{data}">'
