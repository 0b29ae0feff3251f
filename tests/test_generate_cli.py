"""The command line: options reach the configuration, folders resume, one bad object does not stop the others."""

from __future__ import annotations

import dataclasses
import errno
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from grasp_factory import make_grasp_set
from rich.console import Console

import warpgrasp.generate as generate
from warpgrasp import atomic_file
from warpgrasp.dataset import GraspSet
from warpgrasp.energy import ENERGY_PRESETS, EnergyConfig
from warpgrasp.grasp_usd import read_grasp_usd
from warpgrasp.hands import HandModel, load_hand
from warpgrasp.objects import ObjectModel
from warpgrasp.optimizer import OptimizerMala, OptimizerMalaStar
from warpgrasp.report import Report
from warpgrasp.status import GraspStatus
from warpgrasp.synthesis import Progress, SynthesisConfig


class FakeSynthesis:
    """Stands for the synthesis: random grasps keyed by seed and mesh; records what it was asked for."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.configs: list[SynthesisConfig] = []
        self.before: Callable[[Sequence[ObjectModel]], None] = lambda models: None

    @property
    def names(self) -> list[str]:
        return [name for batch in self.batches for name in batch]

    def __call__(
        self,
        hand: HandModel,
        objects: Sequence[ObjectModel],
        config: SynthesisConfig,
        *,
        progress: Callable[[Progress], None] | None = None,
    ) -> list[GraspSet]:
        self.before(objects)
        self.batches.append([model.name for model in objects])
        self.configs.append(config)
        assert progress is not None
        for step in range(1, config.step_count + 1, max(config.step_count // 3, 1)):
            progress(Progress(step, config.step_count, 3.0, 1.0, 0.5))
        return [self._grasps(hand, model, config) for model in objects]

    def _grasps(self, hand: HandModel, model: ObjectModel, config: SynthesisConfig) -> GraspSet:
        grasps = make_grasp_set(
            count=config.grasp_count,
            joint_names=hand.joint_names,
            contact_count=config.contact_count,
            seed=config.seed + int(model.mesh_hash[:6], 16),
        )
        entry = {
            "name": model.name,
            "path": str(model.path),
            "file_hash": model.file_hash,
            "mesh_hash": model.mesh_hash,
        }
        return dataclasses.replace(grasps, metadata={"seed": config.seed, "object": entry})


class Shell:
    """Runs the command line in this process and keeps what it printed."""

    def __init__(self, folder: Path, synthesis: FakeSynthesis) -> None:
        self.folder = folder
        self.synthesis = synthesis
        self.output = ""

    def __call__(self, *arguments: str) -> int:
        console = Console(record=True, width=500, file=io.StringIO())
        code = generate.main([*arguments, "--device", "cpu"], report=Report(console, console))
        self.output = console.export_text()
        return code

    def mesh(self, name: str, radius: float = 0.03) -> str:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        trimesh.creation.icosphere(subdivisions=1, radius=radius).export(path)
        return str(path)


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    synthesis = FakeSynthesis()
    monkeypatch.setattr(generate, "synthesize", synthesis)
    monkeypatch.setattr(generate, "write_gallery", lambda path, tiles: path.touch() or path)
    monkeypatch.chdir(tmp_path)
    return Shell(tmp_path, synthesis)


SMALL = ("--grasps", "3", "--steps", "6", "--out", "out")


def test_defaults_are_the_papers_settings_and_the_demo_is_small() -> None:
    options = generate.parse_options(["mug.obj"])
    assert (options.hand, options.grasp_type, options.energy_name) == ("allegro", "power", "graspqp")
    assert (options.contact_count, options.grasp_count, options.step_count, options.seed) == (12, 32, 7000, 0)
    assert options.synthesis_config() == SynthesisConfig()
    assert isinstance(options.optimizer, OptimizerMalaStar)
    demo = generate.parse_options([])
    assert (demo.grasp_count, demo.step_count, demo.folder("allegro")) == (8, 1000, Path("grasps/demo"))
    assert generate.parse_options(["--steps", "50"]).step_count == 50, "what is given wins over the demo"


def test_hands_of_users_have_output_folders_of_their_own(shell: Shell) -> None:
    """Every converted hand is a file ``hand.usda``: the folder is named after the hand, not after the file."""
    mesh = shell.mesh("ball.stl")
    for name in ("robotiq_2f140", "barrett"):
        folder = shell.folder / f"of_{name}"
        shutil.copytree(
            load_hand(name).path.parent, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__")
        )
        hand = str(folder / "hand.usda")
        assert shell(mesh, "--hand", hand, "--grasps", "2", "--steps", "2", "--contacts", "2") == 0
        assert (shell.folder / "grasps" / f"{name}_power" / "ball.npz").exists()


def test_presets_come_first_and_every_nested_value_is_reachable() -> None:
    arguments = (
        "a.obj --optimizer mala --energy graspqp --energy.penetration.weight 7 --optimizer.step-size 0.01 "
        "--energy.force-closure.qp.upper 21 --initialize.tilt 3 --no-resume --out x --target-size"
    )
    options = generate.parse_options(arguments.split())
    assert type(options.optimizer) is OptimizerMala
    assert options.optimizer.step_size == 0.01
    assert options.energy.penetration.weight == 7
    assert options.energy.distance == EnergyConfig().distance
    assert options.energy.force_closure.qp.upper == 21
    assert options.initialize.tilt == 3
    assert (options.resume, options.target_size) == (False, True)
    assert options.synthesis_config().energy is options.energy


@pytest.mark.parametrize("name", ENERGY_PRESETS)
def test_energy_presets_are_selected_and_can_be_changed(name: str) -> None:
    preset = ENERGY_PRESETS[name]()
    assert generate.parse_options(["a.obj", "--energy", name]).energy == preset
    changed = generate.parse_options(["a.obj", "--energy", name, "--energy.distance.weight", "7"]).energy
    assert changed == dataclasses.replace(preset, distance=dataclasses.replace(preset.distance, weight=7.0))


def test_every_field_of_the_synthesis_is_an_option_and_decides_the_settings() -> None:
    options = {entry.name for entry in dataclasses.fields(generate.GenerateOptions)}
    assert {entry.name for entry in dataclasses.fields(SynthesisConfig)} <= options


def test_help_is_readable_and_names_the_options(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        generate.parse_options(["--optimizer", "mala", "--help"])
    assert exit_info.value.code == 0
    text = capsys.readouterr().out
    for option in (
        "--hand",
        "--contacts",
        "--grasps",
        "--steps",
        "--no-resume",
        "--energy.penetration.weight",
    ):
        assert option in text
    assert "--optimizer.reset-period" not in text, "help shows the chosen optimiser"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--energy", "magic"],
        ["--optimizer", "adam"],
        ["--steps", "many"],
        ["--no-such-option"],
        ["--energy.x.y", "1"],
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        generate.main(["a.obj", *arguments])
    assert exit_info.value.code == 2
    assert arguments[0].strip("-").split(".")[0] in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--hand", "tentacle"], "unknown hand 'tentacle'; shipped hands are"),
        (["--grasp-type", "hook"], "must be one of power"),
        (["--contacts", "0"], "--contacts must be in [1, "),
        (["--contacts", "9999"], "(got 9999)"),
        (["--grasps", "0"], "--grasps must be at least 1 (got 0)"),
        (["--steps", "0"], "step_count must be at least 1 (got 0)"),
        (["--device", "cuda:99"], "'cuda:99' is not available here; available: auto, cpu"),
    ],
)
def test_impossible_values_exit_with_2_and_the_value(
    shell: Shell, arguments: list[str], message: str
) -> None:
    mesh = shell.mesh("a.stl")
    console = Console(record=True, width=500, file=io.StringIO())
    assert generate.main([mesh, *SMALL, *arguments], report=Report(console, console)) == 2
    assert message in console.export_text()
    assert shell.synthesis.batches == []


def test_one_npz_and_one_stage_per_object_and_a_summary(shell: Shell) -> None:
    assert shell(shell.mesh("ball.stl"), shell.mesh("pea.ply", 0.02), *SMALL) == 0
    out = shell.folder / "out"
    assert {path.name for path in out.iterdir()} == {
        "ball.npz", "ball.usda", "pea.npz", "pea.usda", "assets", "config.json", "summary.json", "gallery.png",
    }  # fmt: skip
    grasps = GraspSet.load(out / "pea.npz")
    np.testing.assert_array_equal(read_grasp_usd(out / "pea.usda").joint_position, grasps.joint_position)
    summary = json.loads((out / "summary.json").read_text())
    assert [row["name"] for row in summary["objects"]] == ["ball", "pea"]
    assert summary["objects"][1]["energy_best"]["total"] == pytest.approx(grasps.energy.min())
    assert summary["objects"][1]["status_count"] == {"OK": 3}
    settings = json.loads((out / "config.json").read_text())["settings"]
    assert (settings["grasps"], settings["energy"]["distance"]["weight"]) == (3, 100.0)
    for word in (
        "ball",
        "pea",
        "preparing kernels",
        "step 5/6",
        "accepted 50 %",
        "best",
        "median",
        "gallery.png",
    ):
        assert word in shell.output


def test_rerun_skips_what_is_finished_and_adds_what_is_new(shell: Shell) -> None:
    ball = shell.mesh("ball.stl")
    assert shell(ball, *SMALL) == 0
    before = (shell.folder / "out" / "ball.npz").read_bytes()
    assert shell(ball, shell.mesh("pea.stl", 0.02), *SMALL) == 0
    assert shell.synthesis.names == ["ball", "pea"]
    assert "1 of 2 objects were finished before" in shell.output
    assert (shell.folder / "out" / "ball.npz").read_bytes() == before
    assert shell(ball, *SMALL, "--no-resume") == 0
    assert shell.synthesis.names == ["ball", "pea", "ball"]


def test_damaged_missing_and_outdated_results_are_made_again(shell: Shell) -> None:
    ball = shell.mesh("ball.stl")
    for spoil in ("cut", "gone", "mesh"):
        shell(ball, *SMALL)
        file = shell.folder / "out" / "ball.npz"
        if spoil == "cut":
            file.write_bytes(file.read_bytes()[:100])
        elif spoil == "gone":
            file.unlink()
        else:
            shell.mesh("ball.stl", 0.025)
        assert shell(ball, *SMALL) == 0
        assert GraspSet.load(file).metadata["object"]["name"] == "ball"
    assert shell.synthesis.names == ["ball"] * 4
    assert [path.name for path in (shell.folder / "out").glob("*.npz")] == ["ball.npz"]


def test_another_configuration_is_refused_and_names_what_differs(shell: Shell) -> None:
    ball = shell.mesh("ball.stl")
    shell(ball, *SMALL)
    before = (shell.folder / "out" / "config.json").read_bytes()
    assert shell(ball, *SMALL, "--seed", "4", "--energy.penetration.weight", "9", "--optimizer", "mala") == 2
    for text in (
        "--seed: 0 there, 4 now",
        "--energy.penetration.weight: 100.0 there, 9.0 now",
        "--no-resume",
    ):
        assert text in shell.output
    assert "--optimizer-preset: mala-star there, mala now" in shell.output
    assert (shell.folder / "out" / "config.json").read_bytes() == before
    assert shell.synthesis.names == ["ball"]


def test_a_bad_object_is_reported_and_the_others_finish(shell: Shell) -> None:
    (shell.folder / "text.obj").write_text("this is not a mesh")
    broken = [str(shell.folder / "text.obj"), str(shell.folder / "absent.obj"), str(shell.folder)]
    assert shell(shell.mesh("a.stl"), *broken, shell.mesh("b.stl", 0.02), *SMALL) == 1
    assert shell.synthesis.names == ["a", "b"]
    failures = json.loads((shell.folder / "out" / "summary.json").read_text())["failures"]
    assert set(failures) == set(broken)
    for sentence in failures.values():
        assert len(sentence.splitlines()) == 1
        assert sentence in shell.output
    assert shell(shell.mesh("a.stl"), *SMALL) == 0


def test_an_object_that_fails_in_a_batch_does_not_take_the_others_along(shell: Shell) -> None:
    def refuse(models: Sequence[ObjectModel]) -> None:
        if any(model.name == "b" for model in models):
            raise ValueError("the hull of b is flat")

    shell.synthesis.before = refuse
    meshes = [shell.mesh(f"{name}.stl", 0.02 + 0.001 * i) for i, name in enumerate("abc")]
    assert shell(*meshes, *SMALL) == 1
    assert sorted(shell.synthesis.names) == ["a", "c"]
    assert "b.stl: the hull of b is flat" in shell.output


def test_equal_names_become_unique_and_stay_so(shell: Shell) -> None:
    first, second = shell.mesh("x/mug.stl", 0.03), shell.mesh("y/mug.stl", 0.02)
    assert shell(first, second, first, *SMALL) == 0
    assert shell.synthesis.names == ["mug", "mug_2"]
    assert shell(second, *SMALL) == 0
    assert shell.synthesis.names == ["mug", "mug_2"]
    assert GraspSet.load(shell.folder / "out" / "mug_2.npz").metadata["object"]["path"] == second


def test_moved_inputs_are_recognised_by_name_and_content(shell: Shell) -> None:
    mesh = shell.mesh("x/mug.stl")
    assert shell(mesh, *SMALL) == 0
    (shell.folder / "x").rename(shell.folder / "z")
    assert shell(str(shell.folder / "z" / "mug.stl"), *SMALL) == 0
    assert shell.synthesis.names == ["mug"]


def test_batches_are_sized_by_memory_and_an_object_too_large_is_refused(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    meshes = [shell.mesh(f"m{i}.stl", 0.02 + 0.001 * i) for i in range(5)]
    monkeypatch.setattr(generate, "_free_memory", lambda device: None)
    assert shell(*meshes, "--grasps", "10", "--steps", "2", "--out", "by-count") == 0
    assert [len(batch) for batch in shell.synthesis.batches] == [3, 2]
    shell.synthesis.batches.clear()
    monkeypatch.setattr(generate, "bytes_per_grasp", lambda hand, config: 10**6)
    monkeypatch.setattr(generate, "_free_memory", lambda device: 25 * 10**6)
    assert shell(*meshes, "--grasps", "10", "--steps", "2", "--out", "by-memory") == 0
    assert [len(batch) for batch in shell.synthesis.batches] == [2, 2, 1]
    monkeypatch.setattr(generate, "_free_memory", lambda device: 5 * 10**6)
    assert shell(meshes[0], "--grasps", "10", "--steps", "2", "--out", "too-large") == 1
    assert "m0.stl: 10 grasps need about" in shell.output
    assert "pass --grasps 4 or less" in shell.output


def test_full_disk_stops_with_one_sentence_and_keeps_what_is_finished(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    meshes = [shell.mesh(f"m{i}.stl", 0.02 + 0.001 * i) for i in range(3)]
    replace_file = os.replace

    def fail_for_the_second(source: Any, target: Any) -> None:
        if Path(target).name == "m1.npz":
            raise OSError(errno.ENOSPC, "No space left on device")
        replace_file(source, target)

    monkeypatch.setattr(atomic_file.os, "replace", fail_for_the_second)
    arguments = (*meshes, "--grasps", "20", "--steps", "2", "--out", "out")
    assert shell(*arguments) == 1
    assert "m1.npz: the disk is full" in shell.output
    monkeypatch.setattr(atomic_file.os, "replace", replace_file)
    assert [path.name for path in (shell.folder / "out").glob("*.npz")] == ["m0.npz"]
    assert not list((shell.folder / "out").glob(".warpgrasp-*"))
    assert shell(*arguments) == 0
    assert shell.synthesis.names == ["m0", "m1", "m1", "m2"]


def test_an_unwritable_output_is_refused_before_any_work(shell: Shell) -> None:
    (shell.folder / "out").write_text("a file")
    assert shell(shell.mesh("a.stl"), *SMALL) == 2
    assert "a part of the path is a file" in shell.output
    assert shell.synthesis.batches == []


def test_interrupt_keeps_finished_objects(shell: Shell) -> None:
    def interrupt(models: Sequence[ObjectModel]) -> None:
        if models[0].name == "b":
            raise KeyboardInterrupt

    shell.synthesis.before = interrupt
    meshes = [shell.mesh(f"{name}.stl", 0.02 + 0.001 * i) for i, name in enumerate("ab")]
    assert shell(*meshes, "--grasps", "20", "--steps", "2", "--out", "out") == 130
    assert "1 finished objects are kept in out" in shell.output
    assert (shell.folder / "out" / "a.npz").exists()
    assert not (shell.folder / "out" / "b.npz").exists()


def test_failed_grasps_are_counted_by_status_and_explained(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = shell.synthesis

    def with_failures(*arguments: Any, **options: Any) -> list[GraspSet]:
        status = np.array([0, GraspStatus.QP_NOT_CONVERGED, GraspStatus.NONFINITE_ENERGY])
        return [dataclasses.replace(grasps, status=status) for grasps in inner(*arguments, **options)]

    monkeypatch.setattr(generate, "synthesize", with_failures)
    assert shell(shell.mesh("a.stl"), *SMALL) == 0
    assert GraspStatus.QP_NOT_CONVERGED.sentence in shell.output
    assert "1 x nonfinite energy" in shell.output


def test_names_of_shipped_objects_and_wildcards_are_understood(shell: Shell) -> None:
    shell.mesh("in/a.stl")
    shell.mesh("in/b.stl", 0.02)
    assert shell("mug", "in/*.stl", "--grasps", "2", "--steps", "2", "--out", "out") == 0
    assert shell.synthesis.names == ["mug", "a", "b"]


_REAL = """
import sys, time
import warpgrasp.generate as generate
if {slow!r}:
    inner = generate.synthesize
    def slow(hand, models, config, progress):
        if models[0].name == "b":
            print("READY", flush=True)
            time.sleep(60)
        return inner(hand, models, config, progress=progress)
    generate.synthesize = slow
sys.exit(generate.main(sys.argv[1:]))
"""


def test_real_run_in_a_fresh_process_survives_a_kill(shell: Shell, tmp_path: Path) -> None:
    meshes = [shell.mesh(f"{name}.stl", 0.03 + 0.005 * i) for i, name in enumerate("ab")]
    root = Path(generate.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    command = [*meshes, "--grasps", "20", "--steps", "4", "--device", "cpu", "--out", str(tmp_path / "out")]
    process = subprocess.Popen(
        [sys.executable, "-c", _REAL.format(slow=True), *command],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdout is not None
    deadline = time.monotonic() + 300
    with process.stdout as lines:
        while "READY" not in lines.readline():
            assert process.poll() is None
            assert time.monotonic() < deadline
        process.send_signal(signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
        process.wait(timeout=60)
    assert [path.name for path in (tmp_path / "out").glob("*.npz")] == ["a.npz"]
    finished = (tmp_path / "out" / "a.npz").read_bytes()
    result = subprocess.run(
        [sys.executable, "-c", _REAL.format(slow=False), *command],
        capture_output=True, text=True, env=environment, timeout=300, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "1 of 2 objects were finished before" in result.stdout
    assert (tmp_path / "out" / "a.npz").read_bytes() == finished
    assert len(GraspSet.load(tmp_path / "out" / "b.npz")) == 20
    assert (tmp_path / "out" / "gallery.png").stat().st_size > 10_000
