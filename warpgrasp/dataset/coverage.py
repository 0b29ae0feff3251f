"""Pictures of what a data set covers: palm directions on the sphere, joints, contacts, yields. Figures are SVG texts."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from warpgrasp.eval.report.figures import import_matplotlib
from warpgrasp.eval.report.heat_map import (
    contact_density,
    heat_map_views,
    refine_surface,
    render_surface,
    viridis,
)
from warpgrasp.hands import HandModel
from warpgrasp.objects import ObjectModel

__all__ = [
    "contact_figure",
    "joint_figure",
    "palm_directions",
    "palm_figure",
    "principal_components",
    "yield_figure",
]

FloatArray = NDArray[np.float64]

_COLORS = ("#2f6db5", "#c8553d", "#3f8f5f", "#8e5ea2", "#b58b2f")


def palm_directions(hand: HandModel, root_quaternion: NDArray[Any]) -> FloatArray:
    """Palm normals in the object frame, unit, shape [N, 3]; of root quaternions xyzw, shape [N, 4]."""
    palm = Rotation.from_quat(hand.wrist_quaternion).apply([0.0, 0.0, 1.0])
    directions: FloatArray = Rotation.from_quat(np.asarray(root_quaternion, np.float64)).apply(palm)
    return directions


def principal_components(joints: Mapping[str, FloatArray]) -> tuple[dict[str, FloatArray], FloatArray]:
    """The first two principal components of all groups together.

    Args:
        joints: Joint positions by group, [N, J] each; at least two rows in all.

    Returns:
        Coordinates by group, [N, 2] each, and the shares of the variance, [2].
    """
    every = np.concatenate(list(joints.values()))
    mean = every.mean(axis=0)
    _, values, axes = np.linalg.svd(every - mean, full_matrices=False)
    shares = np.zeros(2)
    power = values**2 / max(float((values**2).sum()), 1e-30)
    shares[: min(2, len(power))] = power[:2]
    base = np.zeros((2, every.shape[1]))
    base[: min(2, len(axes))] = axes[:2]
    return {name: (values_of - mean) @ base.T for name, values_of in joints.items()}, shares


def palm_figure(directions: Mapping[str, FloatArray]) -> str:
    """Density of unit vectors [N, 3] by group, each as a map of the sphere of equal areas."""
    count = len(directions)
    figure = _figure((4.6 * min(count, 3), 2.7 * ((count + 2) // 3)))
    for number, (name, vectors) in enumerate(directions.items()):
        axes = figure.add_subplot((count + 2) // 3, min(count, 3), number + 1, projection="mollweide")
        longitude = np.arctan2(vectors[:, 1], vectors[:, 0])
        latitude = np.arcsin(np.clip(vectors[:, 2], -1.0, 1.0))
        # Bins of equal area: even in the sine of the latitude.
        edges = np.linspace(-np.pi, np.pi, 37), np.arcsin(np.linspace(-1.0, 1.0, 19))
        density, _, _ = np.histogram2d(longitude, latitude, bins=edges)
        axes.pcolormesh(*edges, density.T, cmap="viridis", rasterized=True)
        axes.set_title(f"{name}, {len(vectors)} grasps", fontsize=9)
        axes.set_xticks([])
        axes.set_yticks([])
    return _svg(figure, "palm")


def joint_figure(components: Mapping[str, FloatArray]) -> str:
    """Points [N, 2] by group."""
    figure = _figure((6.0, 4.0))
    axes = figure.add_subplot()
    for number, (name, points) in enumerate(components.items()):
        color = _COLORS[number % len(_COLORS)]
        size = float(np.clip(4000.0 / max(len(points), 1), 3.0, 25.0))
        axes.scatter(
            points[:, 0],
            points[:, 1],
            s=size,
            alpha=0.4,
            color=color,
            label=name,
            rasterized=True,
            linewidths=0,
        )
    axes.set_xlabel("first component [rad]")
    axes.set_ylabel("second component [rad]")
    axes.legend(frameon=False, fontsize=8)
    return _svg(figure, "joints")


def yield_figure(rows: Sequence[Mapping[str, Any]]) -> str:
    """Grasps that are OK of every object, sorted, a line per hand and grasp type."""
    figure = _figure((7.0, 3.0))
    axes = figure.add_subplot()
    for number, key in enumerate(sorted({(row["hand"], row["grasp_type"]) for row in rows})):
        counts = sorted(row["ok"] for row in rows if (row["hand"], row["grasp_type"]) == key)
        color = _COLORS[number % len(_COLORS)]
        axes.plot(counts, color=color, label=", ".join(key), linestyle="-" if number < len(_COLORS) else "--")
    axes.set_xlabel("objects")
    axes.set_ylabel("grasps that are OK")
    axes.legend(frameon=False, fontsize=8)
    return _svg(figure, "yield")


def contact_figure(
    model: ObjectModel, contacts: FloatArray, normals: FloatArray, *, size: int = 240
) -> NDArray[np.uint8]:
    """Density of contacts and their outward normals, [M, 3] each, from two sides, shape [size, 2 size, 3]."""
    surface = refine_surface(model)
    density = contact_density(surface.vertices, surface.normals, contacts, normals)
    color = viridis(density / max(float(density.max()), 1e-30))
    views = [
        render_surface(surface, color, direction, size=size) for direction in heat_map_views(surface, density)
    ]
    return np.concatenate(views, axis=1)


def _figure(size: tuple[float, float]) -> Any:
    import_matplotlib()
    from matplotlib.figure import Figure

    return Figure(figsize=size, layout="constrained", dpi=110)


def _svg(figure: Any, name: str) -> str:
    """The figure as an SVG element; the same input gives the same bytes."""
    settings = {"svg.fonttype": "none", "svg.hashsalt": f"warpgrasp-{name}"}
    with import_matplotlib().rc_context(settings), io.BytesIO() as file:
        metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(file, format="svg", transparent=True, metadata=metadata)
        text = file.getvalue().decode()
    return text[text.index("<svg") :]
