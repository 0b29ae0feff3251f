"""Curves of an evaluation and their plots as SVG: success over force, unique grasps over seeds, reasons of failure."""

from __future__ import annotations

import importlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln

from warpgrasp.base.extras import install_extra
from warpgrasp.eval.metrics.diversity import unique_grasps
from warpgrasp.eval.protocol.verdict import FailureReason

__all__ = [
    "REASON_COLORS",
    "Curve",
    "import_matplotlib",
    "reason_figure",
    "success_figure",
    "unique_curve",
    "unique_figure",
]

FloatArray = NDArray[np.float64]

REASON_COLORS: dict[FailureReason, str] = {
    FailureReason.HOLDS: "#2a9d6f",
    FailureReason.SLIP: "#e9a23b",
    FailureReason.NO_CONTACT: "#8a8f98",
    FailureReason.PUSHED_AWAY: "#d1603d",
    FailureReason.PENETRATION: "#8e5ea2",
    FailureReason.SELF_COLLISION: "#4f7cac",
    FailureReason.BLOW_UP: "#222222",
    FailureReason.INVALID: "#c9c9c9",
}
"""CSS colours of the reasons, in the order in which bars are stacked."""

_LINE_COLORS = ("#2f6db5", "#c8553d", "#3f8f5f", "#8e5ea2", "#b58b2f", "#3a9aa8", "#b3578e", "#5c5f66")


@dataclass(frozen=True, eq=False)
class Curve:
    """One line of a plot."""

    label: str
    x: FloatArray
    y: FloatArray
    dashed: bool = False
    color: int = 0
    """Lines of one number share a colour."""


def import_matplotlib() -> Any:
    """The package matplotlib.

    Raises:
        ImportError: It is not installed; names the extra.
    """
    try:
        return importlib.import_module("matplotlib")
    except ImportError as error:
        raise ImportError(
            f"the report needs matplotlib, which is not installed; {install_extra('sim')}"
        ) from error


def unique_curve(
    root_position: ArrayLike, root_quaternion: ArrayLike, joint_position: ArrayLike, success: ArrayLike
) -> FloatArray:
    """Expected unique successful grasps among n seeds drawn from the N at hand, for n = 0 .. N, shape [N + 1].

    Exact, over all subsets (rarefaction): a bin with m of the N grasps is missed by n seeds with probability
    C(N - m, n) / C(N, n). The last value is the unique grasp rate times N; bins are those of
    :func:`~warpgrasp.eval.metrics.diversity.unique_grasps`.

    Args:
        root_position: [m], shape [N, 3].
        root_quaternion: xyzw, shape [N, 4].
        joint_position: [rad or m], shape [N, J].
        success: Whether a grasp holds, shape [N].
    """
    keep = np.asarray(success, dtype=bool)
    columns = [
        np.asarray(column, dtype=np.float64)[keep]
        for column in (root_position, root_quaternion, joint_position)
    ]
    total = len(keep)
    seeds = np.arange(total + 1)
    expected = np.zeros(total + 1)
    for size, count in _bin_sizes(columns).items():
        expected += count * (1.0 - _miss_probability(total, size, seeds))
    return expected


def _bin_sizes(columns: Sequence[FloatArray]) -> dict[int, int]:
    """How many bins hold exactly m grasps, by m: taking one grasp out of every bin per round leaves the fuller ones."""
    left = np.arange(len(columns[0]))
    filled = []  # filled[k]: bins with more than k grasps
    while len(left):
        first = unique_grasps(*(column[left] for column in columns))
        filled.append(len(first))
        left = np.delete(left, first)
    filled.append(0)
    sizes = {k + 1: filled[k] - filled[k + 1] for k in range(len(filled) - 1)}
    return {size: count for size, count in sizes.items() if count}


def _miss_probability(total: int, size: int, seeds: NDArray[np.int64]) -> FloatArray:
    """``C(total - size, n) / C(total, n)`` for each n, by logarithms."""
    rest = total - size
    possible = seeds <= rest
    n = np.where(possible, seeds, 0)
    logarithm = gammaln(rest + 1) - gammaln(rest - n + 1) - gammaln(total + 1) + gammaln(total - n + 1)
    return np.where(possible, np.exp(logarithm), 0.0)


def success_figure(curves: Sequence[Curve]) -> str:
    """Share of grasps that hold [%] over the push [N], as SVG."""
    figure, axes = _axes("push [N]", "grasps that hold [%]")
    for curve in curves:
        axes.plot(curve.x, 100.0 * curve.y, marker="o", markersize=4, **_line(curve))
    axes.set_ylim(0.0, 100.0)
    axes.set_xlim(left=0.0)
    return _svg(figure, axes, "success")


def unique_figure(curves: Sequence[Curve]) -> str:
    """Unique successful grasps per object over the number of seeds, as SVG."""
    figure, axes = _axes("seeds per object", "unique grasps that hold, per object")
    most = max((float(curve.x[-1]) for curve in curves), default=1.0)
    axes.plot([0.0, most], [0.0, most], color="#b9bcc2", linestyle=":", linewidth=1.2, label="every seed")
    for curve in curves:
        axes.plot(curve.x, curve.y, **_line(curve))
    axes.set_xlim(0.0, most)
    axes.set_ylim(bottom=0.0)
    return _svg(figure, axes, "unique")


def reason_figure(labels: Sequence[str], counts: Mapping[FailureReason, ArrayLike]) -> str:
    """Stacked bars: how many grasps hold in all trials, and why the others do not, one bar per label, as SVG."""
    figure, axes = _axes("grasps", "", height=max(1.4 + 0.34 * len(labels), 2.4))
    left = np.zeros(len(labels))
    for reason, color in REASON_COLORS.items():
        width = np.asarray(counts.get(reason, np.zeros(len(labels))), dtype=np.float64)
        if width.any():
            name = reason.name.lower().replace("_", " ")
            axes.barh(np.arange(len(labels)), width, left=left, color=color, label=name, height=0.72)
            left = left + width
    axes.set_yticks(np.arange(len(labels)), labels)
    axes.invert_yaxis()
    axes.set_xlim(0.0, max(float(left.max(initial=0.0)), 1.0))
    return _svg(figure, axes, "reasons", outside=True)


def _axes(x_label: str, y_label: str, *, height: float = 3.5) -> tuple[Any, Any]:
    import_matplotlib()
    # A figure of its own, not pyplot: no windows, no state that outlives the call.
    figure = importlib.import_module("matplotlib.figure").Figure(figsize=(5.6, height), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.grid(color="#e7e7e4", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


def _line(curve: Curve) -> dict[str, Any]:
    return {
        "label": curve.label,
        "color": _LINE_COLORS[curve.color % len(_LINE_COLORS)],
        "linestyle": "--" if curve.dashed else "-",
        "linewidth": 1.8,
    }


def _svg(figure: Any, axes: Any, name: str, *, outside: bool = False) -> str:
    """The figure as an SVG element for the middle of a page: text stays text, the same input gives the same bytes."""
    if axes.get_legend_handles_labels()[0]:
        if outside:
            figure.legend(loc="outside upper center", ncols=4, frameon=False, fontsize=8)
        else:
            axes.legend(frameon=False, fontsize=8)
    settings = {"svg.fonttype": "none", "svg.hashsalt": f"warpgrasp-{name}"}
    with import_matplotlib().rc_context(settings), io.BytesIO() as file:
        metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(file, format="svg", transparent=True, metadata=metadata)
        text = file.getvalue().decode()
    return text[text.index("<svg") :]
