"""Judged grasps of a box for tests of the report, and a reader of the pages it writes."""

from __future__ import annotations

import dataclasses
import html.parser
from pathlib import Path

import numpy as np
from eval_factory import grasps_of, offset_box, pad_hand

from warpgrasp.eval.protocol.verdict import Verdict
from warpgrasp.eval.report.html import ReportEntry
from warpgrasp.eval.results.case_result import CaseResult
from warpgrasp.eval.results.rows import result_rows
from warpgrasp.grasps.case import GraspCase

__all__ = ["FORCE", "HELD", "NAMES", "Page", "make_case", "make_entry"]

HALF = (0.02, 0.03, 0.04)
FORCE = [1.0, 5.0]
# Trials that hold, by force and grasp; the last grasp has no pose.
HELD = [[3, 3, 1, 0, 0], [3, 1, 0, 0, 0]]
REASON = [[0, 0, 7, 6, 1], [0, 7, 7, 6, 1]]

NAMES = ("mug", "a<!--<script>&c")


def make_case(folder: Path, name: str) -> GraspCase:
    """Two plates on a box, turned a little further in each grasp; contacts in the middles of the faces +-x."""
    model = offset_box(folder, HALF)
    count = len(HELD[0])
    angle = 0.3 * np.arange(count)
    root = np.zeros((count, 3))
    root[:, 2] = 0.01 * np.arange(count)
    root[-1] = np.nan
    quaternion = np.stack([np.sin(angle / 2), 0 * angle, 0 * angle, np.cos(angle / 2)], axis=1)
    grasps = grasps_of(
        pad_hand(),
        model,
        root_position=root,
        root_quaternion=quaternion,
        joint_position=np.full((count, 2), HALF[0]),
        contact_position=np.tile([[HALF[0] + 0.001, 0, 0], [-HALF[0], 0, 0]], (count, 1, 1)),
        contact_normal=np.tile([[1.0, 0, 0], [-1.0, 0, 0]], (count, 1, 1)),
        status=np.array([0] * (count - 1) + [1]),
    )
    metadata = {**grasps.metadata, "object": {**grasps.metadata["object"], "name": name}}
    grasps = dataclasses.replace(grasps, metadata=metadata)
    return GraspCase(folder / f"{name}.npz", "00", grasps, pad_hand(), model)


def make_entry(folder: Path, name: str) -> ReportEntry:
    case = make_case(folder, name)
    verdicts = []
    for held, reason in zip(HELD, REASON, strict=True):
        trials = np.arange(3)[None] < np.array(held)[:, None]
        empty = Verdict.invalid(len(held), 3)
        verdicts.append(
            dataclasses.replace(
                empty,
                trial_success=trials,
                displacement=np.where(trials, 0.01, np.nan),
                reason=np.array(reason, dtype=np.int32),
            )
        )
    metadata = {
        "object": name,
        "hand": case.hand.name,
        "grasp_type": "power",
        "joint_lower": case.hand.dof_lower,
        "joint_upper": case.hand.dof_upper,
    }
    metrics = {"penetration_depth": np.full(len(case.grasps), 0.001)}
    result = CaseResult.from_verdicts(FORCE, verdicts, metrics, metadata)
    return ReportEntry(case, result, result_rows(result, case.grasps, case.path))


class Page(html.parser.HTMLParser):
    """Tags, attributes and the texts of scripts by id."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: dict[str, str] = {}
        self._id = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {key: value or "" for key, value in attrs}
        self.tags.append((tag, values))
        self._id = values.get("id", "") if tag == "script" else ""

    def handle_data(self, data: str) -> None:
        if self._id:
            self.texts[self._id] = self.texts.get(self._id, "") + data

    def handle_endtag(self, tag: str) -> None:
        self._id = ""
