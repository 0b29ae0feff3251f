"""Why nothing of a grasp file held: where its grasps were lost under the smallest push, and what to do first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from warpgrasp.base.memory import is_memory_error, memory_sentence
from warpgrasp.eval.protocol.verdict import FailureReason
from warpgrasp.eval.results.columns import failure_count

__all__ = ["diagnosis", "reason_of"]

_STAGES = {
    FailureReason.INVALID: ("have numbers that are not finite", "generate them again"),
    FailureReason.BLOW_UP: (
        "made the simulation unstable",
        "look at the hand with python -m warpgrasp.hands.check",
    ),
    FailureReason.PENETRATION: (
        "begin with the hand too deep in the object",
        "generate with more --steps, or judge only grasps whose status is OK",
    ),
    FailureReason.SELF_COLLISION: (
        "begin with the hand too deep in itself",
        "generate with more --steps, or look at the spheres with python -m warpgrasp.hands.check",
    ),
    FailureReason.PUSHED_AWAY: (
        "pushed the object away while they closed",
        "generate with more --steps or --contacts, so that the fingers close evenly",
    ),
    FailureReason.NO_CONTACT: (
        "never touched the object",
        "check that hand and object are those of the grasps, and try --squeeze extrapolate for files without torques",
    ),
    FailureReason.SLIP: (
        "let the object slip",
        "evaluate with a smaller --force or a larger --squeeze-effort, or generate with more --steps",
    ),
}


def diagnosis(label: str, row: Mapping[str, Any], *, ok: int | None = None, size: str = "") -> str:
    """One sentence for a grasp file of which nothing held; empty where something did.

    Args:
        label: What the tables call the file.
        row: Its row under the smallest push.
        ok: Grasps of status OK in the file, where that is known.
        size: What is to be said on the object's size (:func:`warpgrasp.objects.sizes.reach_advice`), which comes first.
    """
    lost = sorted(failure_count(row).items(), key=lambda entry: -entry[1])
    if not lost or float(row["succ1"]) > 0.0:
        return ""
    total = int(row["grasps"])
    parts = ", ".join(f"{count} of {total} {_STAGES[reason][0]}" for reason, count in lost)
    head = f"{label}: nothing held at {row['force']:g} N: {parts}"
    if size:
        return f"{head}. Its size: it {size}"
    if ok == 0:
        return f"{head}; no grasp of the file has status OK, so see what generate said of it first."
    return f"{head}; {_STAGES[lost[0][0]][1]}."


def reason_of(error: Exception) -> str:
    """Why a file could not be evaluated, as a sentence."""
    if is_memory_error(error):
        return memory_sentence(
            error, "pass fewer --workers, evaluate fewer grasps at once, or give the process more"
        )
    return str(error) or type(error).__name__
