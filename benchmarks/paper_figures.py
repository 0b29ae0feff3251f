"""Figures of ``paper_tables.py``: ROC curves of closure energies, unique grasps over seeds, contacts and grasps as pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from paper_runs import Run, judged, load
from PIL import Image

from warpgrasp.base.warp_messages import warp_is_quiet
from warpgrasp.eval.report.heat_map import (
    contact_density,
    heat_map_views,
    refine_surface,
    render_surface,
    touching_contacts,
    viridis,
)
from warpgrasp.grasps.case import GraspCase
from warpgrasp.grasps.gallery import GalleryTile, write_gallery
from warpgrasp.synthesis.energy_config import EnergyConfig
from warpgrasp.synthesis.energy_optional import WrenchBalance
from warpgrasp.synthesis.methods import method_config
from warpgrasp.synthesis.problem import GraspProblem

__all__ = ["auc", "auc_table", "heat_map_figure", "method_pictures", "unique_curve"]

_CLOSURES = (
    "graspqp",
    "graspqp-paper",
    "graspqp-constrained",
    "graspqp-softmax",
    "graspqp-barrier",
    "tdg",
    "tdg-density",
    "qp-base",
    "frogger-energy",
)
_TILES, _TILE_SIZE = 9, 240
_HEAT_SIZE = 220


def auc(energy: NDArray[np.float64], held: NDArray[np.bool_]) -> float:
    """Probability that a grasp that holds has a lower energy than one that does not; ties count half."""
    below = energy[held][:, None] < energy[~held][None, :]
    equal = energy[held][:, None] == energy[~held][None, :]
    return float((below + 0.5 * equal).mean()) if held.any() and not held.all() else float("nan")


def auc_table(runs: Sequence[Run], objects: Sequence[Path], out: Path) -> dict[str, dict[str, str]]:
    """Area under the ROC curve of every closure energy; the curves go to a picture.

    Once over the grasps of all runs together, and once as the mean over the runs of which some grasps hold and some do not.
    """
    energies: dict[str, list[NDArray[np.float64]]] = {}
    held = []
    for run in runs:
        own = [judged(run, path, out)["dexgraspbench_success"].all(axis=1) for path in objects]
        held.append(np.concatenate(own))
        parts = [closure_energies(load(run, path, out)) for path in objects]
        for name in parts[0]:
            energies.setdefault(name, []).append(np.concatenate([part[name] for part in parts]))
    success = np.concatenate(held)
    together = {name: np.concatenate(values) for name, values in energies.items()}
    areas = {name: auc(values, success) for name, values in together.items()}
    _roc_figure(together, success, areas, out / "roc.png")
    share = f"{int(success.sum())} of {len(success)}"
    return {
        name: {
            "AUC": f"{areas[name]:.3f}",
            "within a method": f"{np.nanmean([auc(*pair) for pair in zip(energies[name], held, strict=True)]):.3f}",
            "grasps that hold": share,
        }
        for name in sorted(areas, key=areas.get)  # type: ignore[arg-type]
    }


@warp_is_quiet()
def closure_energies(case: GraspCase) -> dict[str, NDArray[np.float64]]:
    """Closure energies of all grasps of a file at their own contacts, by method, [N] each; distances are not part of them."""
    terms: dict[str, Any] = {"distance": EnergyConfig().distance}
    for name in _CLOSURES:
        energy = method_config(name).energy
        terms[name] = next(iter(energy.extra.values()), energy.force_closure)
    terms["dexgraspnet"] = WrenchBalance(weight=1.0)
    grasps = case.grasps
    problem = GraspProblem(
        case.hand,
        [case.model],
        terms=terms,
        grasp_count=len(grasps),
        contact_count=grasps.contact_index.shape[1],
        grasp_type=case.grasp_type,
        device="cpu",
    )
    state = problem.create_state()
    pose = np.concatenate([grasps.root_position, grasps.root_quaternion], axis=1)
    problem.set_variables(state, pose, grasps.joint_position, grasps.contact_index)
    problem.evaluate(state)
    return dict(zip(problem.term_names, state.energy_terms.numpy().astype(np.float64), strict=True))


def _roc_figure(
    energies: Mapping[str, NDArray[np.float64]],
    success: NDArray[np.bool_],
    areas: Mapping[str, float],
    path: Path,
) -> None:
    axes, figure = _axes("Share of failures below the threshold", "Share of successes below it")
    for number, (name, values) in enumerate(energies.items()):
        order = np.argsort(values)
        hits = np.cumsum(success[order]) / max(success.sum(), 1)
        misses = np.cumsum(~success[order]) / max((~success).sum(), 1)
        axes.plot(
            misses,
            hits,
            label=f"{name} {areas[name]:.2f}",
            linewidth=1.2,
            linestyle="-" if number < 10 else "--",
        )
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=0.8)
    axes.legend(fontsize=7)
    figure.savefig(path, dpi=120)


def unique_curve(rows: Mapping[str, Mapping[str, str]], path: Path) -> None:
    """Unique grasps per object over CPU seconds per object, one line per method."""
    axes, figure = _axes("CPU seconds per object", "Unique grasps per object that hold")
    lines: dict[str, list[tuple[float, float]]] = {}
    for name, cells in rows.items():
        point = float(cells["CPU s per object"]), float(cells["unique grasps per object"])
        lines.setdefault(name.rpartition(",")[0], []).append(point)
    for name, points in lines.items():
        axes.plot(*zip(*points, strict=True), marker="o", label=name)
    axes.set_xscale("log")
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=120)


def _axes(x: str, y: str) -> tuple[Any, Any]:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4.5), layout="constrained")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    return axes, figure


def method_pictures(run: Run, objects: Sequence[Path], out: Path) -> Path:
    """The grasp of lowest energy of each object, the held ones first, as one picture."""
    tiles = []
    for path in objects[:_TILES]:
        case = load(run, path, out)
        known = judged(run, path, out)
        held = known["graspqp_5_success"].all(axis=1).astype(float)
        if "dexgraspbench_success" in known:
            held += known["dexgraspbench_success"].all(axis=1)
        best = int(np.lexsort([case.grasps.energy, -held])[0])
        tiles.append(GalleryTile(case.grasps, best, case.hand, case.model, title=path.stem.split("_")[-1]))
    return write_gallery(out / f"{run.method}-{run.hand}.png", tiles, columns=3, size=_TILE_SIZE)


@warp_is_quiet()
def heat_map_figure(run: Run, objects: Sequence[Path], out: Path) -> Path:
    """Where the touching contacts of all grasps of each object lie, from two sides, as one picture."""
    rows = []
    for path in objects:
        case = load(run, path, out)
        contacts = touching_contacts(case.grasps, case.model, np.ones(len(case.grasps), dtype=bool))
        surface = refine_surface(case.model)
        density = contact_density(surface.vertices, surface.normals, *contacts)
        color = viridis(density / max(float(density.max()), 1e-9))
        views = heat_map_views(surface, density)
        rows.append(np.hstack([render_surface(surface, color, view, size=_HEAT_SIZE) for view in views]))
    file = out / f"heat_{run.method}-{run.hand}.png"
    Image.fromarray(np.vstack(rows)).save(file)
    return file
