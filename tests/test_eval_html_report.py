"""The HTML report: nothing fetched, everything in it, posed grasps in 3-D, right curves, a page that a browser shows."""

from __future__ import annotations

import base64
import json
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from report_factory import FORCE, HELD, NAMES, Page, make_entry

from warpgrasp.eval.protocol.verdict import FailureReason
from warpgrasp.eval.report import figures
from warpgrasp.eval.report import html as html_report
from warpgrasp.eval.report.heat_map import refine_surface
from warpgrasp.eval.report.html import ReportContent, ReportEntry, ReportLimits, reference_force, write_report
from warpgrasp.eval.report.pictures import gallery_choice

pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra 'sim')")


@pytest.fixture(scope="module")
def entries(tmp_path_factory: pytest.TempPathFactory) -> list[ReportEntry]:
    return [make_entry(tmp_path_factory.mktemp("objects"), name) for name in NAMES]


@pytest.fixture(scope="module")
def report(entries: list[ReportEntry], tmp_path_factory: pytest.TempPathFactory) -> Path:
    content = ReportContent(
        entries=entries,
        conditions=["graspqp: 5 N; object 0.2 kg"],
        problems=["cup.npz: its object <cup> is missing"],
        limits=ReportLimits(picture_size=64),
    )
    return write_report(tmp_path_factory.mktemp("report") / "report.html", content)


def test_page_fetches_nothing(report: Path) -> None:
    text = report.read_text(encoding="utf-8")
    page = Page(text)
    for tag, values in page.tags:
        assert tag not in ("link", "iframe", "object", "embed", "base")
        for name in ("src", "href", "data", "action", "xlink:href"):
            assert values.get(name, "data:").startswith(("data:", "#")), (tag, values)
    policy = next(values for tag, values in page.tags if "http-equiv" in values)
    assert "default-src 'none'" in policy["content"]
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert set(re.findall(r"https?://([\w.]+)", text)) <= {"www.w3.org"}  # XML namespaces


def test_page_holds_every_object_and_grasp(report: Path, entries: list[ReportEntry]) -> None:
    text = report.read_text(encoding="utf-8")
    page = Page(text)
    data = json.loads(page.texts["data"])
    every = {f"{k}/{i}" for k in range(len(entries)) for i in range(len(HELD[0]))}
    assert set(data["grasps"]) == every
    squares = [values["data-grasp"] for tag, values in page.tags if tag == "button" and "title" in values
               and "data-grasp" in values]  # fmt: skip
    assert sorted(squares) == sorted(every)
    assert data["forces"] == FORCE
    assert data["grasps"]["1/1"]["trials"] == [3, 1]
    assert data["grasps"]["1/1"]["reasons"] == ["holds", "slip"]
    assert data["grasps"]["1/1"]["name"] == f"{NAMES[1]}, grasp 1"
    assert data["grasps"]["0/4"]["scene"] == -1  # it has no pose
    assert "<b>&c" not in text.replace(page.texts["data"], "")
    assert "a&lt;!--&lt;script&gt;&amp;c" in text
    assert "<!--" not in text.partition("<body>")[2]
    assert "its object &lt;cup&gt; is missing" in text
    assert "graspqp: 5 N; object 0.2 kg" in text
    assert text.count("<svg") == 3
    tiles = [values for tag, values in page.tags if values.get("class", "").startswith("tile")]
    assert len(tiles) == 8
    assert sum(1 for tag, _ in page.tags if tag == "img") == len(tiles) + 2 * 2 * len(entries)
    assert "8 of 10 grasps are in 3-D" in text


def scene_of(glb: bytes, index: int) -> trimesh.Scene:
    """One scene of a GLB file as trimesh reads it."""
    length = struct.unpack_from("<I", glb, 12)[0]
    content = json.loads(glb[20 : 20 + length])
    # Nodes of other scenes have the same names, which trimesh would change.
    content["nodes"] = [content["nodes"][i] for i in content["scenes"][index]["nodes"]]
    content["scenes"] = [{"nodes": list(range(len(content["nodes"])))}]
    text = json.dumps(content).encode()
    text += b" " * (-len(text) % 4)
    rest = glb[20 + length :]
    header = struct.pack("<4sIII4s", b"glTF", 2, 20 + len(text) + len(rest), len(text), b"JSON")
    return trimesh.load(trimesh.util.wrap_as_stream(header + text + rest), file_type="glb")


def placed(scene: trimesh.Scene, name: str) -> np.ndarray:
    matrix, mesh = scene.graph[name]
    return trimesh.transform_points(scene.geometry[mesh].vertices, matrix)


def same_points(a: np.ndarray, b: np.ndarray) -> bool:
    rows = [{tuple(row) for row in np.round(points, 5) + 0.0} for points in (a, b)]
    return rows[0] == rows[1]


def test_glb_of_the_page_holds_posed_hand_and_object(report: Path, entries: list[ReportEntry]) -> None:
    page = Page(report.read_text(encoding="utf-8"))
    glb = base64.b64decode(page.texts["glb"])
    grasps = json.loads(page.texts["data"])["grasps"]
    for key in ("0/0", "0/3", "1/2"):
        number, index = (int(part) for part in key.split("/"))
        case = entries[number].case
        scene = scene_of(glb, grasps[key]["scene"])
        assert same_points(placed(scene, "object"), refine_surface(case.model, edge_share=1 / 25).vertices)
        position, quaternion = case.hand.forward_kinematics(
            case.grasps.root_position[index], case.grasps.root_quaternion[index],
            case.grasps.joint_position[index],
        )  # fmt: skip
        for link, name in enumerate(case.hand.link_names):
            matrix = trimesh.transformations.quaternion_matrix(np.roll(quaternion[link], 1))
            matrix[:3, 3] = position[link]
            expected = trimesh.transform_points(case.hand.geometry_mesh[link].vertices, matrix)
            assert same_points(placed(scene, f"hand/{name}"), expected), name
        contacts = [name for name in scene.graph.nodes_geometry if name.startswith("contact/")]
        assert len(contacts) == 2


def test_too_many_grasps_stay_out_of_the_viewer(entries: list[ReportEntry], tmp_path: Path) -> None:
    limits = ReportLimits(picture_size=32, picture_count=2, scene_count=3)
    path = write_report(
        tmp_path / "report.html", ReportContent(entries=entries, conditions=(), limits=limits)
    )
    page = Page(path.read_text(encoding="utf-8"))
    scenes = [value["scene"] for value in json.loads(page.texts["data"])["grasps"].values()]
    assert sorted(scene for scene in scenes if scene >= 0) == [0, 1, 2]
    assert "3 of 10 grasps are in 3-D" in path.read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="at least one"):
        write_report(tmp_path / "none.html", ReportContent(entries=[], conditions=()))


def test_curves_of_the_page_are_those_of_the_results(
    entries: list[ReportEntry], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: dict[str, Any] = {}
    for name in ("success_figure", "unique_figure", "reason_figure"):

        def capture(*values: Any, name: str = name) -> str:
            drawn[name] = values
            return getattr(figures, name)(*values)

        monkeypatch.setattr(html_report, name, capture)
    limits = ReportLimits(picture_size=32, picture_count=1, scene_count=1)
    write_report(tmp_path / "r.html", ReportContent(entries=entries, conditions=(), limits=limits))
    any_trial, all_trials = drawn["success_figure"][0]
    assert any_trial.x.tolist() == all_trials.x.tolist() == FORCE
    assert any_trial.y == pytest.approx([3 / 5, 2 / 5])
    assert all_trials.y == pytest.approx([2 / 5, 1 / 5])
    weak, strong = drawn["unique_figure"][0]
    assert weak.y[-1] == pytest.approx(3.0)  # grasps 2 cm apart lie in bins of their own
    assert strong.y == pytest.approx([2 / 5 * n for n in range(6)])
    labels, counts = drawn["reason_figure"]
    assert labels == ["1 N", "5 N"]
    assert counts[FailureReason.HOLDS] == [4, 2]
    assert counts[FailureReason.SLIP] == [2, 4]


def test_gallery_shows_held_and_dropped_with_different_reasons(entries: list[ReportEntry]) -> None:
    verdicts = [entry.result.verdict(1) for entry in entries]
    assert gallery_choice(entries, verdicts, 4) == [(0, 0), (1, 0), (0, 1), (1, 1)]
    choice = gallery_choice(entries, verdicts, 6)
    reasons = [int(verdicts[number].reason[index]) for number, index in choice]
    assert reasons == [0, 0, 7, 7, 6, 6]
    assert (0, 4) not in gallery_choice(entries, verdicts, 99)


def test_reference_force_is_5_newtons_or_the_largest() -> None:
    assert reference_force(np.array([1.0, 5.0, 10.0])) == 1
    assert reference_force(np.array([2.0, 1.0])) == 0


def test_command_line_writes_the_page_beside_the_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mujoco", reason="MuJoCo is not installed (extra 'sim')")
    from eval_runs import Run, robotiq_grasps

    path, _ = robotiq_grasps(tmp_path / "run")
    run = Run(path.parent, "--workers", 1, "--report")
    assert run.code == 0, run.error
    page = path.parent / "evaluation" / "graspqp" / "report.html"
    assert str(page) in run.out.replace("\n", "")
    data = json.loads(Page(page.read_text(encoding="utf-8")).texts["data"])
    assert set(data["grasps"]) == {f"0/{i}" for i in range(4)}
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    run = Run(path.parent, "--workers", 1, "--report")
    assert run.code == 2
    assert "pip install -e '.[sim]'" in run.error


BROWSER = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chrome")


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_browser_without_network_shows_a_grasp(report: Path, tmp_path: Path) -> None:
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--use-gl=angle",
        "--use-angle=swiftshader",
        "--enable-unsafe-swiftshader",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--virtual-time-budget=20000",
        "--dump-dom",
    ]
    rules = "--host-resolver-rules=MAP * ~NOTFOUND"
    command = [BROWSER, *flags, rules, f"--user-data-dir={tmp_path}", report.as_uri()]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=120)
    stage = re.search(r'<div class="stage"[^>]*>', done.stdout)
    assert stage is not None, done.stderr[-2000:]
    assert 'data-state="ready"' in stage.group(0)
    assert "mug, grasp 0" in done.stdout[stage.end() : stage.end() + 2000]
