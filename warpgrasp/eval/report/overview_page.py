"""The page of everything a folder of results holds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from warpgrasp.eval.protocol.conditions import protocol_sentence
from warpgrasp.eval.report.html import ReportContent, ReportEntry, write_report
from warpgrasp.eval.results.overview import Overview, bad_sentences, stored_labels
from warpgrasp.eval.results.places import StoredResult
from warpgrasp.grasps.case import CaseError, GraspCase, load_case

__all__ = ["write_page"]


def write_page(overview: Overview, cases: Mapping[Path, GraspCase], *, hand: str | None = None) -> Path:
    """Write ``report.html`` about everything in an overview.

    Args:
        overview: What the page shows.
        cases: Grasp files that have been read; the others are.
        hand: As in :func:`~warpgrasp.grasps.case.load_case`.

    Raises:
        ValueError: No grasp file can be read.
        OutputError: The page cannot be written.
    """
    labels = stored_labels(overview.stored)
    groups = {item.grasp_path: _group(item) for item in overview.stored}
    if len(set(groups.values())) > 1:
        labels = {path: f"{label}, {groups[path]}" for path, label in labels.items()}
    problems = [*overview.failures.values(), *bad_sentences(overview.bad_grasps), *overview.left_out]
    entries = []
    for stored in overview.stored:
        try:
            case = cases.get(stored.grasp_path) or load_case(stored.grasp_path, hand=hand)
        except CaseError as error:
            problems.append(str(error))
            continue
        entries.append(ReportEntry(case, stored.result, stored.rows(), labels[stored.grasp_path]))
    protocol = overview.config.protocols()[0]
    content = ReportContent(
        entries=entries,
        conditions=[
            protocol_sentence(protocol, overview.forces),
            f"engine {overview.engine}; squeeze {overview.squeeze}",
        ],
        problems=problems,
        comparison=overview.comparison,
    )
    return write_report(overview.folder / "report.html", content)


def _group(stored: StoredResult) -> str:
    return f"{stored.result.metadata['hand']} {stored.result.metadata['grasp_type']}"
