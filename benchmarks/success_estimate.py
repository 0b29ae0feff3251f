"""Fit the estimate of success that stands in the column ``quality``, and tell how well it ranks grasps.

    python benchmarks/success_estimate.py --fit RUN... --test RUN... --out FOLDER [--hand-models FOLDER]

Runs are folders of ``python -m warpgrasp.generate``: those of ``--fit`` on the tuning objects, short ones among them so that
enough grasps fail; those of ``--test`` on others. A grasp counts as a success when it holds in all directions of
``dexgraspbench``; with ``--hand-models``, a checkout of DexGraspBench, on that program's models of Allegro, LEAP and Shadow.
Verdicts are kept in ``--out``. The script prints the constants of ``warpgrasp/grasps/success_estimate.py``, and the areas
under the ROC curve (AUC) of the estimate and of the energy: on every fitted object from the others alone, and on the runs of
``--test``; of these also how often grasps of some quality hold, and the best quarter of every object.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path

import numpy as np
import tyro
from scipy.optimize import minimize

from warpgrasp.eval.engines.mujoco_scene import build_scene
from warpgrasp.eval.engines.registry import load_engine
from warpgrasp.eval.protocol.protocols import PROTOCOLS
from warpgrasp.eval.protocol.squeeze_rules import hand_targets
from warpgrasp.grasps.case import grasp_files, load_case
from warpgrasp.grasps.success_estimate import FEATURES, estimate_features
from warpgrasp.objects.convex_pieces import convex_pieces

HANDS = {"allegro": "allegro", "shadow_wristless": "shadow", "leap": "leap"}
_REGULARISATION = 2.0  # of the weights, in units of the log likelihood


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Fit and test the estimate of success."""

    fit: tuple[Path, ...]
    """Runs it is fitted to."""
    test: tuple[Path, ...] = ()
    """Runs it is tested on."""
    test_verdicts: tuple[Path, ...] = ()
    """What ``outside_judge.py --json`` wrote about each run of ``--test``: the program's verdicts count in place of ours."""
    out: Path
    """Folder of the verdicts."""
    hand_models: Path | None = None
    """Checkout of DexGraspBench."""
    workers: int = 0
    """Threads; 0 takes all cores."""


@dataclasses.dataclass
class Rows:
    """Grasps with what became of them."""

    features: np.ndarray
    held: np.ndarray
    energy: np.ndarray
    thing: np.ndarray
    hand: np.ndarray


def rows_of(runs: tuple[Path, ...], options: Options, outside: tuple[Path, ...] = ()) -> Rows:
    """Features and verdicts of all grasps of some runs; ``outside`` holds verdicts of the program for each."""
    columns: list[tuple[np.ndarray, ...]] = []
    for number, run in enumerate(runs):
        told = json.loads(outside[number].read_text())["grasps"] if outside else None
        for file in grasp_files([run]):
            case = load_case(file)
            if told is None:
                stored = options.out / run.name / f"{file.stem}.npz"
                if not stored.exists():
                    stored.parent.mkdir(parents=True, exist_ok=True)
                    np.savez(stored, held=verdicts(case, options))
                held = np.load(stored)["held"]
            else:
                names = [f"{file.stem}/{row:04d}" for row in range(len(case.grasps))]
                held = np.array([bool(told[name]["original"]) for name in names])
            name, hand = (np.full(len(held), text) for text in (case.object_name, case.hand.name))
            columns.append((estimate_features(case.grasps), held, case.grasps.energy, name, hand))
    return Rows(*(np.concatenate(parts) for parts in zip(*columns, strict=True)))


def verdicts(case, options: Options) -> np.ndarray:
    """Whether each grasp of a file holds in all directions."""
    file = None
    if options.hand_models is not None and case.hand.name in HANDS:
        file = options.hand_models / "assets" / "hand" / HANDS[case.hand.name] / "right_hand.xml"
    protocol = PROTOCOLS["dexgraspbench"]
    scene = build_scene(case.hand, case.model, convex_pieces(case.model), protocol, hand_file=file)
    targets = hand_targets(
        case.hand, case.grasps, stiffness=scene.drives.stiffness, effort=scene.drives.effort
    )
    engine = load_engine("mujoco", workers=options.workers)
    return engine.evaluate(scene, targets).trial_success.all(axis=1)


def auc(score: np.ndarray, held: np.ndarray) -> float:
    """Chance that a grasp that holds has the larger score of two."""
    order = np.argsort(np.concatenate([score[held], score[~held]]), kind="stable")
    rank = np.empty(len(score))
    rank[order] = np.arange(1, len(score) + 1)
    positive, negative = int(held.sum()), int((~held).sum())
    if not positive or not negative:
        return float("nan")
    return float((rank[:positive].sum() - positive * (positive + 1) / 2) / (positive * negative))


def fitted(features: np.ndarray, held: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and spread of the features, and weights with the bias first: logistic regression."""
    mean, spread = features.mean(axis=0), features.std(axis=0) + 1e-9
    scaled = np.column_stack([np.ones(len(features)), (features - mean) / spread])

    def loss(weight: np.ndarray) -> tuple[float, np.ndarray]:
        score = scaled @ weight
        penalty = np.concatenate([[0.0], _REGULARISATION * weight[1:]])
        value = np.sum(np.logaddexp(0.0, score) - held * score) + 0.5 * penalty @ weight
        return float(value), scaled.T @ (1.0 / (1.0 + np.exp(-score)) - held) + penalty

    weight = minimize(loss, np.zeros(scaled.shape[1]), jac=True).x
    return mean, spread, weight


def score(model: tuple[np.ndarray, np.ndarray, np.ndarray], features: np.ndarray) -> np.ndarray:
    """Logit of the estimate."""
    mean, spread, weight = model
    return weight[0] + (features - mean) / spread @ weight[1:]


def report(label: str, rows: Rows, scores: np.ndarray) -> None:
    """One line: AUC of the estimate and of the energy, all grasps and hand by hand."""
    parts = []
    for hand in ("all", *np.unique(rows.hand)):
        own = np.full(len(rows.held), True) if hand == "all" else rows.hand == hand
        parts.append(
            f"{hand} {auc(scores[own], rows.held[own]):.2f} (energy {auc(-rows.energy[own], rows.held[own]):.2f}; "
            f"{int(rows.held[own].sum())} of {int(own.sum())} hold)"
        )
    print(f"{label}: {'; '.join(parts)}")


def calibration(rows: Rows, scores: np.ndarray) -> None:
    """How often grasps of a quality hold, and the best quarter of every object, hand by hand."""
    quality = 1.0 / (1.0 + np.exp(-scores))
    edges = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0)
    for low, high in itertools.pairwise(edges):
        own = (quality >= low) & (quality < high)
        print(f"quality {low:g} to {high:g}: {rows.held[own].sum()} of {own.sum()} hold")
    for hand in np.unique(rows.hand):
        best = []
        for thing in np.unique(rows.thing):
            own = np.flatnonzero((rows.hand == hand) & (rows.thing == thing))
            best += rows.held[own[np.argsort(-quality[own])[: len(own) // 4]]].tolist()
        every = rows.held[rows.hand == hand]
        print(f"{hand}: best quarter {100 * np.mean(best):.1f} %, all {100 * np.mean(every):.1f} %")


def main() -> None:
    """Fit, print the constants, test."""
    options = tyro.cli(Options)
    rows = rows_of(options.fit, options)
    known = np.isfinite(rows.features).all(axis=1) & np.isfinite(rows.energy)
    rows = Rows(*(getattr(rows, entry.name)[known] for entry in dataclasses.fields(Rows)))
    others = np.empty(len(rows.held))
    for thing in np.unique(rows.thing):
        own = rows.thing == thing
        others[own] = score(fitted(rows.features[~own], rows.held[~own]), rows.features[own])
    report("objects left out", rows, others)
    mean, spread, weight = model = fitted(rows.features, rows.held)
    for name, values in (("_MEAN", mean), ("_SPREAD", spread), ("_WEIGHT", weight[1:])):
        print(f"{name} = np.array([{', '.join(f'{value:.4g}' for value in values)}])")
    print(f"_BIAS = {weight[0]:.4g}  # features: {', '.join(FEATURES)}")
    if options.test:
        tested = rows_of(options.test, options, options.test_verdicts)
        scores = score(model, tested.features)
        report("other objects", tested, scores)
        calibration(tested, scores)


if __name__ == "__main__":
    main()
