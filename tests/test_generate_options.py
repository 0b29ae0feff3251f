"""Options of the command line: presets first, every value reachable, wrong usage and impossible values refused."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import pytest
from generate_shell import SMALL, Shell, make_shell
from rich.console import Console

import warpgrasp.generate.__main__ as generate
from warpgrasp.generate.terminal import Report
from warpgrasp.synthesis.energy_config import EnergyConfig
from warpgrasp.synthesis.energy_terms import Distance
from warpgrasp.synthesis.methods import method_config
from warpgrasp.synthesis.optimizer import OptimizerMala, OptimizerMalaFast
from warpgrasp.synthesis.synthesize import SynthesisConfig


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    return make_shell(tmp_path, monkeypatch)


def test_defaults_take_the_papers_grasps_and_contacts_and_the_demo_is_small() -> None:
    options = generate.parse_options(["mug.obj"])
    assert (options.hand, options.grasp_type, options.energy_name) == ("allegro", "power", "graspqp")
    assert (options.contact_count, options.grasp_count, options.step_count, options.seed) == (12, 32, 1500, 0)
    assert options.synthesis_config() == dataclasses.replace(SynthesisConfig(), candidates=0)
    judged = generate.parse_options(["mug.obj", "--valid-only", "3"])
    assert judged.synthesis_config().candidates == 1, "the judge selects"
    assert isinstance(options.optimizer, OptimizerMalaFast)
    demo = generate.parse_options([])
    assert (demo.grasp_count, demo.step_count, demo.folder("allegro")) == (8, 1500, Path("grasps/demo"))
    assert generate.parse_options(["--steps", "50"]).step_count == 50, "what is given wins over the demo"


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


def test_every_field_of_the_synthesis_is_an_option_and_decides_the_settings() -> None:
    method = method_config("gendexgrasp")
    wanted = SynthesisConfig(
        method="gendexgrasp",
        grasp_type="pinch",
        contact_count=5,
        grasp_count=3,
        candidates=4,
        step_count=11,
        sample_count=77,
        seed=9,
        device="cpu",
        energy=dataclasses.replace(method.energy, distance=Distance(weight=50.0)),
        optimizer=dataclasses.replace(method.optimizer, temperature=3.0),  # type: ignore[type-var]
        initialize=dataclasses.replace(method.initialize, joint_spread=0.2),
        closing=dataclasses.replace(method.closing, steps=4),
        targets=dataclasses.replace(method.targets, squeeze_effort=0.5),
    )
    names = [entry.name for entry in dataclasses.fields(SynthesisConfig)]
    assert all(getattr(wanted, name) != getattr(SynthesisConfig(), name) for name in names), "each is changed"
    words = "--grasp-type pinch --contacts 5 --grasps 3 --candidates 4 --steps 11 --samples 77 --seed 9 --device cpu"
    single = "--energy.distance.weight 50 --optimizer.temperature 3 --initialize.joint-spread 0.2 --targets.squeeze-effort 0.5"
    single += " --closing.steps 4 --method gendexgrasp"
    options = generate.parse_options(["duck", *words.split(), *single.split()])
    assert options.synthesis_config() == wanted


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
        (
            ["--energy", "magic"],
            "--energy must be one of graspqp, ",
        ),
        (["--energy", "graspqp", "--energy", "gendexgrasp"], "--energy takes one method"),
        (["--optimizer", "adam"], "--optimizer must be one of mala-fast, mala-star, mala, graspqp, "),
        (["--method", "magic"], "--method must be one of graspqp, "),
        (["--contacts", "0"], "--contacts must be in [1, "),
        (["--contacts", "9999"], "(got 9999)"),
        (["--grasps", "0"], "--grasps must be at least 1 (got 0)"),
        (["--steps", "0"], "--steps must be at least 1 (got 0)"),
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
