"""``--filter``: the grasps that hold and are unique, as a grasp file that says where they come from."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from warpgrasp.eval.config import EvaluationConfig
from warpgrasp.eval.metrics.diversity import unique_grasps
from warpgrasp.eval.protocol.conditions import protocol_sentence
from warpgrasp.eval.results.case_result import CaseResult
from warpgrasp.grasps.case import GraspCase
from warpgrasp.grasps.grasp_set import GraspSet

__all__ = ["filtered_folder", "unique_successes", "write_filtered"]


def unique_successes(grasps: GraspSet, result: CaseResult, force: float) -> NDArray[np.int64]:
    """Indices of the grasps that hold in all trials at ``force``, one per bin of the unique grasp rate, best first."""
    verdict = result.at([force]).verdict(0)
    order = grasps.order()
    held = order[verdict.success_all[order]]
    best = grasps.select(held)
    return held[unique_grasps(best.root_position, best.root_quaternion, best.joint_position)]


def filtered_folder(folder: Path, config: EvaluationConfig) -> Path:
    """Where filtered grasps lie: ``filtered``, with the force where it is not the protocol's own."""
    force = config.push_forces()[-1]
    return folder / ("filtered" if force == config.protocol.push_force else f"filtered-{force:.12g}N")


def write_filtered(folder: Path, case: GraspCase, result: CaseResult, config: EvaluationConfig) -> int:
    """Write the grasps that hold at the largest force into ``folder`` and return how many they are.

    The metadata entry ``filter`` says which grasps of which file they are and under which conditions they hold. Nothing is
    written when none holds; what grasps that are gone have left there is removed.

    Raises:
        OutputError: The file cannot be written.
    """
    force = config.push_forces()[-1]
    index = unique_successes(case.grasps, result, force)
    path = folder / case.path.name
    if not len(index):
        path.unlink(missing_ok=True)
        return 0
    protocol = config.protocol if config.protocol.force is None else config.protocol.with_force(force)
    entry = {
        "grasp_file": str(case.path),
        "grasp_file_hash": case.file_hash,
        "index": index.tolist(),
        "protocol": protocol.name,
        "conditions": protocol_sentence(protocol, hand=case.hand.name),
        "force": force,
        "engine": result.metadata["engine"],
        "squeeze": result.metadata["squeeze"],
    }
    kept = case.grasps.select(index)
    dataclasses.replace(kept, metadata={**kept.metadata, "filter": entry}).save(path)
    return len(index)
