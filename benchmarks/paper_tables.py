"""The tables of the papers, with our methods, hands and objects beside the published figures; one command per table.

    python benchmarks/paper_tables.py methods                    # every method: success under two protocols, seconds, depth
    python benchmarks/paper_tables.py table1 --hands allegro     # GraspQP: methods x forces: unique grasps, entropy, depth
    python benchmarks/paper_tables.py table2                     # GraspQP: ablations
    python benchmarks/paper_tables.py table3                     # GraspQP: grasp types and numbers of contacts
    python benchmarks/paper_tables.py figure4                    # GraspQP: unique grasps over seeds
    python benchmarks/paper_tables.py bodex                      # BODex: methods, pregrasps
    python benchmarks/paper_tables.py roc                        # BODex: every closure energy as a predictor of success
    python benchmarks/paper_tables.py fastgraspd                 # Fast-Grasp'D: area, volume, epsilon, displacement
    python benchmarks/paper_tables.py heatmap                    # GraspQP: where the contacts lie
    python benchmarks/paper_tables.py squeeze                    # the same poses with every squeeze
    python benchmarks/paper_tables.py TABLE --quick              # one object, two grasps, few steps: does it run?

Resumable: grasps and results are files under ``--out``, one per object; what is there is not made again. Objects are meshes
named by ``--objects``; the default is the nine reporting objects of ``docs/results/quality.md`` in ``../shared/objects``.
Percentages count the grasps requested. Seconds are CPU seconds of the synthesis per grasp, on one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from machine import machine_name
from numpy.typing import NDArray
from paper_figures import auc_table, heat_map_figure, method_pictures, unique_curve
from paper_runs import OUTSIDE, OWN_ON_ITS_HAND, Columns, Run, judge, judge_outside, load
from paper_squeeze import pregrasp_rows, squeeze_rows
from published_figures import BODEX, DEVIATIONS, FAST_GRASPD, GRASPQP, GRASPQP_ABLATIONS

from warpgrasp.eval.metrics.diversity import grasp_entropy, unique_rate
from warpgrasp.hands import load_hand
from warpgrasp.synthesis.methods import method_names

REPORTING_OBJECTS = (
    "os_alarmclock",
    "os_cylindermedium",
    "os_flashlight",
    "os_mouse",
    "os_train",
    "ycb_006_mustard_bottle",
    "ycb_013_apple",
    "ycb_043_phillips_screwdriver",
    "ycb_061_foam_brick",
)
TABLE1_METHODS = ("graspqp", "graspqp-paper", "gendexgrasp", "dexgraspnet", "tdg")
TABLE1_HANDS = ("allegro", "shadow", "robotiq_3f", "robotiq_2f140", "ability_hand")
FORCES = (1.0, 2.0, 5.0, 10.0)

Row = dict[str, str]


def main() -> None:
    """Make one table, or what is missing of it, and print it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", choices=sorted(TABLES))
    parser.add_argument("--objects", type=Path, nargs="*", default=None)
    parser.add_argument("--out", type=Path, default=Path("paper_tables"))
    parser.add_argument("--hands", nargs="*", default=None)
    parser.add_argument("--methods", nargs="*", default=None, help="NAME, or NAME=GRASPS for a slow one")
    parser.add_argument("--grasps", type=int, default=32)
    parser.add_argument("--candidates", type=int, default=1, help="grasps synthesised for each one kept")
    parser.add_argument("--steps", type=float, default=1.0, help="share of each method's own steps")
    parser.add_argument(
        "--program", type=Path, default=None, help="checkout of DexGraspBench: methods are judged by it too"
    )
    parser.add_argument(
        "--python", type=Path, default=None, help="interpreter that runs it, see outside_judge.py"
    )
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    options.objects = _objects(options.objects)
    if options.quick:
        options.objects, options.grasps, options.steps = options.objects[:1], 2, 0.01
        options.out = options.out / "quick"
    TABLES[options.table](options)
    print(
        f"\n{len(options.objects)} objects, {options.grasps} grasps each (or NAME=GRASPS), "
        f"{100 * options.steps:g} % of the steps. Machine: {machine_name()}."
    )


def methods_table(options: argparse.Namespace) -> None:
    """Every method on every hand that has its grasp type, and a picture of each."""
    rows: dict[str, Row] = {}
    hands = options.hands or ["allegro"]
    for run in [run for hand in hands for run in _runs(options, options.methods or method_names(), hand)]:
        columns = _judge_all(run, options, forces=(5.0,))
        if options.program is not None:
            columns = judge_outside(run, options.objects, options.out, options.program, options.python)
        name = f"{run.hand}, {run.method}"
        rows[name] = {
            "grasps": str(sum(len(column["status"]) for column in columns)),
            **_success(columns),
            "unique %": f"{100 * _unique(run, options, columns, 5.0):.0f}",
            "depth mm": _mean(columns, "penetration_depth", 1e3),
            "self mm": _mean(columns, "self_penetration_depth", 1e3),
            "s / grasp": f"{np.mean([column['seconds'] for column in columns]):.2f}",
            "commit": "/".join(sorted({str(column["commit"]) for column in columns})),
        }
        method_pictures(run, options.objects, options.out)
        _print("hand, method", {name: rows[name]})
    print()
    _print("hand, method", rows)


def table1(options: argparse.Namespace) -> None:
    """GraspQP, Table 1: unique grasp rate, entropy and depth of every method on every hand at four forces."""
    rows: dict[str, Row] = {}
    for hand in options.hands or TABLE1_HANDS:
        for run in _runs(options, options.methods or TABLE1_METHODS, hand):
            columns = _judge_all(run, options, forces=FORCES, dexgraspbench=False)
            row = {
                f"UGR % {force:g} N": f"{100 * _unique(run, options, columns, force):.1f}" for force in FORCES
            }
            row |= {"H": f"{_entropy(run, options, columns, 5.0):.2f}"}
            row |= {"D mm": _mean(columns, "penetration_depth", 1e3)}
            row["published at 5 N"] = (
                GRASPQP.get((_published(hand), "power", 12), "") if run.method.startswith("graspqp") else ""
            )
            rows[f"{hand}, {run.method}"] = row
    _print("hand, method", rows)
    print(f"\n{DEVIATIONS['graspqp']}")


def table2(options: argparse.Namespace) -> None:
    """GraspQP, Table 2: what each part of the method is worth."""
    hand = (options.hands or ["allegro"])[0]
    figures = {}
    for run in _runs(options, options.methods or tuple(GRASPQP_ABLATIONS), hand):
        columns = _judge_all(run, options, forces=(5.0,), dexgraspbench=False)
        depth = 1e3 * np.nanmean(np.concatenate([column["penetration_depth"] for column in columns]))
        unique = 100 * _unique(run, options, columns, 5.0)
        figures[run.method] = (unique, _entropy(run, options, columns, 5.0), depth)
    first = figures.get("graspqp-paper", (np.nan, np.nan, np.nan))
    rows = {
        name: {
            "UGR %": f"{ugr:.1f}",
            "H": f"{entropy:.2f}",
            "D mm": f"{depth:.2f}",
            "change": f"{ugr - first[0]:+.1f} / {entropy - first[1]:+.1f} / {depth - first[2]:+.1f}",
            "published change": GRASPQP_ABLATIONS.get(name, ""),
        }
        for name, (ugr, entropy, depth) in figures.items()
    }
    _print("method", rows)
    print(f"\n{DEVIATIONS['graspqp']}")


def table3(options: argparse.Namespace) -> None:
    """GraspQP, Tables 3 and 4: grasp types and numbers of contacts."""
    rows: dict[str, Row] = {}
    for hand in options.hands or ("allegro", "shadow"):
        for method in options.methods or ("graspqp",):
            for kind, contacts in (("power", 12), ("precision", 12), ("pinch", 12), ("power", 4)):
                run = _run(options, method, hand, grasp_type=kind, contacts=contacts)
                columns = _judge_all(run, options, forces=(5.0,), dexgraspbench=False)
                rows[f"{hand}, {method}, {kind}, {contacts} contacts"] = {
                    "UGR %": f"{100 * _unique(run, options, columns, 5.0):.1f}",
                    "Succ3 %": _rate(columns, "graspqp_5_success"),
                    "published": GRASPQP.get((_published(hand), kind, contacts), ""),
                }
    _print("hand, method, type, contacts", rows)
    print(f"\n{DEVIATIONS['graspqp']}")


def figure4(options: argparse.Namespace) -> None:
    """GraspQP, Figure 4: unique grasps over seeds and over time, from runs of growing size."""
    hand = (options.hands or ["allegro"])[0]
    sizes = [2, 4] if options.quick else [size for size in (8, 32, 128, 512) if size <= options.grasps]
    rows: dict[str, Row] = {}
    for method in options.methods or TABLE1_METHODS:
        for size in sizes or [options.grasps]:
            run = _run(options, method, hand, grasps=size)
            columns = _judge_all(run, options, forces=(5.0,), dexgraspbench=False, metrics=False)
            rows[f"{method}, {size} seeds"] = {
                "unique grasps per object": f"{size * _unique(run, options, columns, 5.0):.1f}",
                "CPU s per object": f"{size * np.mean([column['seconds'] for column in columns]):.1f}",
            }
    _print("method, seeds", rows)
    unique_curve(rows, options.out / "figure4.png")


def bodex_tables(options: argparse.Namespace) -> None:
    """BODex: whole systems under DexGraspBench's protocol, and BODex with our pregrasps and squeezes."""
    rows: dict[str, Row] = {}
    chosen = options.methods or ("bodex", "dexgraspnet", "frogger", "tdg", "qp-base", "graspqp")
    for hand in options.hands or ("allegro",):
        for run in [_run(options, method, hand) for method in chosen]:
            columns = _judge_all(run, options, forces=())
            rows[f"{hand}, {run.method}"] = {
                "success %": _rate(columns, "dexgraspbench_success"),
                "depth mm": _mean(columns, "penetration_depth", 1e3),
                "self mm": _mean(columns, "self_penetration_depth", 1e3),
                "consistency mm": _mean(columns, "contact_distance_consistency", 1e3),
                "s / grasp": f"{np.mean([column['seconds'] for column in columns]):.2f}",
                "published": BODEX.get((run.method, hand), ""),
            }
            if run.method == "bodex":
                others = pregrasp_rows(run, options.objects, options.out)
                rows |= {f"{hand}, {name}": cells for name, cells in others.items()}
    _print("hand, method", rows)
    print(f"\n{DEVIATIONS['bodex']}")


def roc(options: argparse.Namespace) -> None:
    """BODex: area under the ROC curve of every closure energy as a predictor of success under DexGraspBench's protocol."""
    hand = (options.hands or ["allegro"])[0]
    pool = options.methods or ("graspqp", "graspqp-paper", "tdg", "qp-base", "graspqp-softmax")
    runs = [_run(options, method, hand) for method in pool]
    for run in runs:
        _judge_all(run, options, forces=())
    _print("energy", auc_table(runs, options.objects, options.out))


def fast_graspd(options: argparse.Namespace) -> None:
    """Fast-Grasp'D: contact area, intersection volume, epsilon, volume and displacement, and a sweep of thresholds."""
    rows: dict[str, Row] = {}
    known = set(method_names())
    default = [name for name in ("fast-graspd", "graspqp", "graspqp-paper", "dexgraspnet") if name in known]
    for hand in options.hands or ("allegro",):
        for run in _runs(options, options.methods or default, hand):
            columns = _judge_all(run, options, forces=(), dexgraspbench=False, slow=True)
            depth = np.concatenate([column["penetration_depth"] for column in columns])
            rows[f"{hand}, {run.method}"] = {
                "area cm2": _mean(columns, "contact_area", 1e4),
                "volume inside cm3": _mean(columns, "intersection_volume", 1e6),
                "epsilon": _mean(columns, "epsilon_quality", 1.0),
                "volume": _mean(columns, "volume_quality", 1.0),
                "displacement cm": _mean(columns, "simulation_displacement", 1e2),
                **{
                    f"depth < {limit} mm %": f"{100 * (depth < 1e-3 * limit).mean():.0f}"
                    for limit in (1, 2, 5)
                },
                "published": FAST_GRASPD.get(hand, "") if run.method == "fast-graspd" else "",
            }
    _print("hand, method", rows)
    print(f"\n{DEVIATIONS['fast_graspd']}")


def heat_maps(options: argparse.Namespace) -> None:
    """GraspQP: density of the touching contacts over each object, one picture per method."""
    hand = (options.hands or ["allegro"])[0]
    for run in _runs(options, options.methods or ("graspqp",), hand):
        _judge_all(run, options, forces=(), dexgraspbench=False, metrics=False)
        print(heat_map_figure(run, options.objects, options.out))


def squeezes(options: argparse.Namespace) -> None:
    """The same poses with every squeeze, and if the hand did not touch itself: what the squeeze alone decides."""
    hand = (options.hands or ["allegro"])[0]
    for run in _runs(options, options.methods or ("graspqp-paper", "graspqp-code"), hand):
        _judge_all(run, options, forces=(), dexgraspbench=False, metrics=False)
        rows = squeeze_rows(run, options.objects, options.out)
        _print(f"{run.method}, squeeze", rows)


TABLES: dict[str, Callable[[argparse.Namespace], None]] = {
    "methods": methods_table,
    "table1": table1,
    "table2": table2,
    "table3": table3,
    "figure4": figure4,
    "bodex": bodex_tables,
    "roc": roc,
    "fastgraspd": fast_graspd,
    "heatmap": heat_maps,
    "squeeze": squeezes,
}


def _objects(named: list[Path] | None) -> list[Path]:
    """Named meshes, or the shared reporting objects."""
    folder = Path("../shared/objects")
    chosen = named or [folder / f"{name}.obj" for name in REPORTING_OBJECTS]
    missing = [str(path) for path in chosen if not path.exists()]
    if missing:
        raise SystemExit(f"{missing[0]} does not exist; name meshes with --objects")
    return chosen


def _run(options: argparse.Namespace, method: str, hand: str, **changes: object) -> Run:
    """A run of ``NAME`` with the options' number of grasps, or of ``NAME=GRASPS``."""
    name, _, grasps = method.partition("=")
    own = {"grasps": int(grasps or options.grasps), "steps": options.steps, "candidates": options.candidates}
    values = {**own, **changes}
    return Run(method=name, hand=hand, **values)  # type: ignore[arg-type]


def _runs(options: argparse.Namespace, methods: Sequence[str], hand: str) -> list[Run]:
    """A run of each method that the hand has the grasp type for."""
    types = load_hand(hand).grasp_types
    runs = [_run(options, name, hand) for name in methods]
    return [run for run in runs if run.config().grasp_type in types]


def _published(hand: str) -> str:
    """Name of the hand in the tables of GraspQP, whose Shadow has its wrist."""
    return hand.removesuffix("_wristless")


def _judge_all(run: Run, options: argparse.Namespace, **wanted: object) -> list[Columns]:
    return [judge(run, path, options.out, **wanted) for path in options.objects]  # type: ignore[arg-type]


def _success(columns: Sequence[Columns]) -> Row:
    status = np.concatenate([column["status"] for column in columns])
    held = np.concatenate([column["graspqp_5_success"] for column in columns])
    return {
        "OK %": f"{100 * (status == 0).mean():.0f}",
        "Succ1 %": f"{100 * held.any(axis=1).mean():.0f}",
        "Succ3 %": f"{100 * held.all(axis=1).mean():.0f}",
        "dexgraspbench %": _rate(columns, "dexgraspbench_success"),
        **(
            {"on its hand %": _rate(columns, OWN_ON_ITS_HAND), "program %": _rate(columns, OUTSIDE)}
            if all(OUTSIDE in column for column in columns)
            else {}
        ),
    }


def _rate(columns: Sequence[Columns], name: str) -> str:
    """Share of grasps that hold in all trials [%], with Wilson's interval of 95 %."""
    held = np.concatenate([column[name] for column in columns]).all(axis=1)
    count, share, z = len(held), held.mean(), 1.96
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * np.sqrt(share * (1 - share) / count + z * z / (4 * count**2))
    return f"{100 * share:.0f} ({100 * max(middle - half, 0):.0f}-{100 * (middle + half):.0f})"


def _mean(columns: Sequence[Columns], name: str, scale: float) -> str:
    return f"{scale * np.nanmean(np.concatenate([column[name] for column in columns])):.2f}"


def _poses(run: Run, path: Path, options: argparse.Namespace) -> list[NDArray[np.float64]]:
    grasps = load(run, path, options.out).grasps
    return [getattr(grasps, name) for name in ("root_position", "root_quaternion", "joint_position")]


def _unique(run: Run, options: argparse.Namespace, columns: Sequence[Columns], force: float) -> float:
    """Unique grasp rate of an object, as a mean over objects."""
    name = f"graspqp_{force:g}_success"
    rates = [
        unique_rate(*_poses(run, path, options), column[name].any(axis=1))
        for path, column in zip(options.objects, columns, strict=True)
    ]
    return float(np.mean(rates))


def _entropy(run: Run, options: argparse.Namespace, columns: Sequence[Columns], force: float) -> float:
    """Entropy of the successful grasps of an object, as a mean over objects that have any."""
    hand = load_hand(run.hand)
    values = []
    for path, column in zip(options.objects, columns, strict=True):
        held = column[f"graspqp_{force:g}_success"].any(axis=1)
        if held.any():
            poses = [part[held] for part in _poses(run, path, options)]
            limits = {"joint_lower": hand.dof_lower, "joint_upper": hand.dof_upper}
            values.append(grasp_entropy(*poses, **limits))
    return float(np.mean(values)) if values else float("nan")


def _print(first: str, rows: dict[str, Row]) -> None:
    names = list(dict.fromkeys(name for cells in rows.values() for name in cells))
    print(f"| {first} | " + " | ".join(names) + " |\n|---|" + "---|" * len(names))
    for name, cells in rows.items():
        print(f"| {name} | " + " | ".join(cells.get(column, "") for column in names) + " |", flush=True)


if __name__ == "__main__":
    main()
