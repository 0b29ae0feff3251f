"""What the evaluation shows: rows, totals and labels of tables, sentences of conditions, tables that fit, progress."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from warpgrasp.eval.protocol.conditions import protocol_sentence, settings_name, squeeze_sentence
from warpgrasp.eval.protocol.protocols import PROTOCOLS
from warpgrasp.eval.protocol.squeeze_rules import SqueezeRule
from warpgrasp.eval.protocol.verdict import FailureReason
from warpgrasp.eval.report import progress as progress_module
from warpgrasp.eval.report.html_tables import metric_section, result_section
from warpgrasp.eval.report.terminal import EvaluationReport
from warpgrasp.eval.results.rows import row_labels, total_rows


def row(name: str, *, file: str = "", force: float = 5.0, grasps: int = 8, **values: Any) -> dict[str, Any]:
    """A row in which ``slip`` grasps fail and the others hold."""
    slip = int(values.get("slip", 0))
    return {
        "object": name,
        "file": file or f"/runs/a/{name}.npz",
        "hand": "allegro",
        "grasp_type": "power",
        "engine": "mujoco",
        "squeeze": "torque",
        "force": force,
        "grasps": grasps,
        "succ1": 1.0 - slip / grasps,
        "succ3": 1.0 - slip / grasps,
        "unique": 1.0 - slip / grasps,
        "unique_pose": 1.0 - slip / grasps,
        "entropy": 2.0,
        "first_variance_ratio": 0.5,
        "effort_ratio": 0.9,
        "mean_penetration_depth": 0.001,
        "mean_self_penetration_depth": 0.0,
        **{item.name.lower(): 0 for item in FailureReason},
        "holds": grasps - slip,
        **values,
    }


def shown(rows: list[dict[str, Any]], width: int, *, metrics: bool = False) -> str:
    console = Console(width=width, record=True, file=io.StringIO(), highlight=False)
    report = EvaluationReport(console, console)
    (report.metrics if metrics else report.table)(rows)
    return console.export_text()


def test_totals_are_over_all_grasps_and_entropy_over_objects_with_success() -> None:
    rows = [
        row("mug", grasps=10, slip=5, entropy=3.0, mean_penetration_depth=0.002),
        row("can", grasps=30, slip=30, entropy=math.nan, effort_ratio=1.0),
        row("cup", grasps=10, slip=0, entropy=1.0),
    ]
    (total,) = total_rows(rows)
    assert total["object"] == "all 50 grasps"
    assert total["succ3"] == pytest.approx(15 / 50)
    assert (total["slip"], total["holds"], total["effort_ratio"]) == (35, 15, 1.0)
    assert total["mean_penetration_depth"] == pytest.approx((10 * 0.002 + 40 * 0.001) / 50)
    assert (total["entropy"], total["entropy_files"]) == (2.0, 2)  # not weighted by grasps
    text = " ".join(shown(rows, 150).split())
    assert "rates and depths over all grasps requested, H the mean of the 2 objects with success" in text
    one = shown(rows[:1], 150)
    assert "all 10 grasps" not in one
    assert "All grasps" not in one


def test_failures_are_counted_of_verdicts_and_say_what_they_are_about() -> None:
    rows = [
        row(name, force=force, slip=3) for name in ("mug", "can", "cup") for force in (1.0, 2.0, 5.0, 10.0)
    ]
    text = shown(rows, 150)
    assert "Not held in all trials: 36 of 96 verdicts (24 grasps, 4 forces)." in text
    assert "36 slip: The object slipped" in text
    assert "Not held in all trials: 3 of 8 grasps." in shown(rows[:1], 150)
    assert "Not held" not in shown([row("mug")], 150)
    page = result_section(rows)
    assert "Not held in all trials: 36 of 96 verdicts" in page


@pytest.mark.parametrize(("width", "tables"), [(100, 2), (150, 1)])
def test_tables_fit_and_no_row_wraps(width: int, tables: int) -> None:
    reasons = {"no_contact": 2, "slip": 3, "pushed_away": 4, "penetration": 5}
    rows = [row(f"035_power_drill_{k}", grasps=1000, **reasons) for k in range(3)]
    rows += [row("apple", hand="shadow_wristless", grasp_type="precision", **reasons)]
    lines = shown(rows, width).splitlines()
    body = [line for line in lines if line.startswith((" 035_power_drill_", " apple", " all 3000 grasps"))]
    assert len(body) == tables * 5  # each row is one line of each table
    assert all(len(line) <= width for line in body)
    assert body[-1].split()[-4:] == ["15", "12", "6", "9"]  # the totals, in the order of the reasons


def test_tables_leave_columns_out_before_they_wrap() -> None:
    rows = [
        row("ycb_035_power_drill", hand=hand, grasp_type="precision") for hand in ("leap", "shadow_wristless")
    ]
    wide, narrow = shown(rows, 150), shown(rows, 90)
    assert " pose " in wide.split("Succ1: holds")[0]
    assert " pose " not in narrow.split("Succ1: holds")[0]


def test_rows_that_share_an_object_are_told_apart() -> None:
    assert row_labels([row("mug"), row("mug", force=1.0), row("can")]) == ["mug", "mug", "can"]
    seeds = [row("mug", file=f"/runs/a/mug_seed{k}.npz") for k in range(2)]
    assert row_labels(seeds) == ["mug (mug_seed0)", "mug (mug_seed1)"]
    runs = [row("mug", file=f"/runs/{name}/mug.npz") for name in "ab"]
    assert row_labels(runs) == ["mug (a/mug)", "mug (b/mug)"]
    runs[1]["hand"] = "leap"
    assert row_labels(runs) == ["mug", "mug"]  # the columns of hand and type tell


def test_metrics_have_a_table_with_units() -> None:
    metrics = {
        "mean_epsilon_quality": 0.0123,
        "mean_volume_quality": 0.004,
        "mean_contact_area": 35.2e-4,
        "mean_intersection_volume": 0.37e-6,
        "mean_simulation_displacement": 0.0044,
        "mean_contact_distance_consistency": 0.0215,
    }
    rows = [row("mug", force=force, first_variance_ratio=0.1 * force, **metrics) for force in (1.0, 5.0, 8.0)]
    text = shown(rows, 100, metrics=True)
    line = next(line for line in text.splitlines() if line.startswith(" mug"))
    assert line.split() == ["mug", "0.012", "0.004", "35.2", "0.37", "4.4", "21.5", "50"]  # variance at 5 N
    for unit in ("[cm²]", "[cm³]", "[mm]", "[%]"):
        assert unit in text
    page = metric_section(rows)
    assert '<td class="n">35.2</td>' in page
    assert "--all-metrics" not in page
    assert "--all-metrics" in metric_section([row("mug", mean_contact_area=1e-3)])
    assert metric_section([row("mug", first_variance_ratio=math.nan)]) == ""


def test_conditions_name_pushes_drives_and_limits() -> None:
    text = protocol_sentence(PROTOCOLS["graspqp"], (10.0, 1.0))
    assert text.startswith("graspqp: 1, 10 N along x, y, z;")
    assert text.endswith(
        "pushes of 0.5 s, drive stiffness of the hand's asset (allegro, barrett, leap 100 Nm/rad)"
    )
    assert protocol_sentence(PROTOCOLS["graspqp"], hand="allegro").endswith("drive stiffness 100 Nm/rad")
    assert protocol_sentence(PROTOCOLS["graspqp"], hand="shadow").endswith("stiffness of the hand's asset")
    text = protocol_sentence(PROTOCOLS["dexgraspbench"], (1.0,))
    assert "10 m/s^2 along" in text
    assert "starts at most 10 mm deep" in text
    assert text.endswith("stiffness 5 Nm/rad (allegro, shadow, shadow_wristless 5 Nm/rad; leap 3 Nm/rad)")


def test_squeeze_is_said_and_names_the_folder() -> None:
    torque = SqueezeRule.TORQUE
    assert squeeze_sentence(torque, None) == "torque"
    assert squeeze_sentence(torque, 0.5) == "torque at 0.5 of the limit"
    assert "none: the joints only hold" in squeeze_sentence(torque, 0.0)
    graspqp = PROTOCOLS["graspqp"]
    names = {
        settings_name(graspqp, engine, rule, effort)
        for engine in ("mujoco", "newton")
        for rule, effort in ((torque, None), (torque, 0.5), (torque, 0.50001), (SqueezeRule.POSITION, None))
    }
    assert len(names) == 8
    assert "graspqp" in names


def grasp_file(folder: Path, name: str, count: int) -> Path:
    path = folder / f"{name}.npz"
    np.savez(path, energy=np.zeros(count))
    return path


def test_lines_tell_progress_where_there_is_no_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: now[0])
    files = [grasp_file(tmp_path, "mug", 8), grasp_file(tmp_path, "can", 4)]
    (tmp_path / "text.npz").write_text("no grasps")
    files.insert(1, tmp_path / "text.npz")
    console = Console(width=150, record=True, file=io.StringIO(), highlight=False)
    with EvaluationReport(console).progress(files) as heard:
        heard.next_file()
        for step in range(8):
            now[0] += 10.0
            heard.share(step / 8.0)
        heard.finished()
        heard.next_file()  # it is skipped
        heard.next_file()
        heard.finished()
    lines = console.export_text().splitlines()
    assert lines == [
        "mug (file 1 of 3): 2 of 12 grasps, 150 s left",
        "mug (file 1 of 3): 5 of 12 grasps, 84 s left",
        "mug (file 1 of 3): 8 of 12 grasps, 40 s left",
        "can (file 3 of 3): 12 of 12 grasps",
    ]


def test_bar_counts_grasps_and_names_the_current_file(tmp_path: Path) -> None:
    files = [grasp_file(tmp_path, "mug", 8), grasp_file(tmp_path, "can", 4)]
    stream = io.StringIO()
    console = Console(width=120, file=stream, force_terminal=True, highlight=False)
    with progress_module.show_progress(console, files) as heard:
        heard.next_file()
        heard.share(1.0)
        heard.next_file()
        heard.share(0.5)
    text = stream.getvalue()
    assert "10/12 grasps, file 2/2" in text
    assert "can" in text
