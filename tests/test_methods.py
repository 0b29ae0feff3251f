"""Methods by name: found, listed, recorded, changed singly, and of a user's own."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pytest
from cases import example_objects
from generate_shell import SMALL, Shell, make_shell
from rich.console import Console

import warpgrasp.generate.__main__ as generate
from warpgrasp.base.json_text import to_json
from warpgrasp.generate.terminal import Report
from warpgrasp.hands import load_hand
from warpgrasp.synthesis.energy_config import EnergyConfig
from warpgrasp.synthesis.energy_optional import WrenchBalance
from warpgrasp.synthesis.energy_terms import Distance, ForceClosure
from warpgrasp.synthesis.methods import exchange_closure, find_method, method_config, method_names
from warpgrasp.synthesis.optimizer import OptimizerMala
from warpgrasp.synthesis.synthesize import SynthesisConfig, synthesize

OWN_METHOD = """
from warpgrasp.synthesis.methods import Method, method_config
MINE = Method(summary="Mine.", source="me", config=method_config("gendexgrasp", contact_count=7))
def make():
    return MINE
"""


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    return make_shell(tmp_path, monkeypatch)


def test_the_default_method_is_the_default_configuration() -> None:
    assert method_names()[0] == "graspqp"
    assert method_config() == SynthesisConfig(candidates=0)
    counts = {
        kind: method_config(grasp_type=kind, grasp_count=3).candidate_count for kind in ("power", "pinch")
    }
    assert counts == {"power": 6, "pinch": 12}
    others = [method_config(name).candidates for name in method_names()[1:]]
    assert set(others) == {1}, "published methods select nothing"
    assert method_config("dexgraspnet", grasp_count=3).grasp_count == 3


@pytest.mark.parametrize("name", method_names())
def test_a_method_sets_everything_and_is_recorded(name: str) -> None:
    options = generate.parse_options(["a.obj", "--method", name])
    config = options.synthesis_config()
    assert config == find_method(name).config
    assert to_json(config)["method"] == name
    assert find_method(name).summary.endswith(".")
    assert find_method(name).source


def test_single_values_change_a_method() -> None:
    words = "a.obj --method dexgraspnet --contacts 6 --energy.distance.weight 7 --optimizer mala-star --energy graspqp"
    options = generate.parse_options(words.split())
    assert (options.contact_count, options.energy.distance) == (6, Distance(weight=7.0))
    assert options.energy.force_closure == ForceClosure(), "closure of the other method"
    assert options.energy.self_penetration == method_config("dexgraspnet").energy.self_penetration
    assert options.optimizer_title == "mala-star"
    assert generate.parse_options(["a.obj", "--method", "dexgraspnet"]).optimizer_title == "mala"
    borrowed = generate.parse_options(["a.obj", "--optimizer", "dexgraspnet"])
    assert type(borrowed.optimizer) is OptimizerMala


def test_energies_are_compared_all_else_equal() -> None:
    """``--energy`` alone keeps the terms that every method shares, as the presets of earlier versions did."""
    expected = EnergyConfig(
        force_closure=ForceClosure(weight=0.0),
        wrench_balance=WrenchBalance(weight=1.0),
        distance=Distance(normal_weighted=False),
    )
    assert exchange_closure(EnergyConfig(), method_config("dexgraspnet").energy) == expected
    assert generate.parse_options(["a.obj", "--energy", "dexgraspnet"]).energy == expected
    weighted = dataclasses.replace(expected, distance=Distance())
    assert generate.parse_options(["a.obj", "--energy", "gendexgrasp"]).energy == weighted


def test_methods_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_method_for_this_test.py").write_text(OWN_METHOD)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("MINE", "make"):
        reference = f"own_method_for_this_test:{name}"
        options = generate.parse_options(["a.obj", "--method", reference])
        assert (options.contact_count, options.method) == (7, reference)
    with pytest.raises(ValueError, match=r"must be a warpgrasp\.synthesis\.methods\.Method"):
        generate.parse_options(["a.obj", "--method", "own_method_for_this_test:method_config"])


def test_the_run_records_its_method(shell: Shell) -> None:
    console = Console(record=True, width=500, file=io.StringIO())
    words = [shell.mesh("a.stl"), *SMALL, "--method", "gendexgrasp"]
    assert generate.main(words, report=Report(console, console)) == 0
    settings = json.loads(Path("out/config.json").read_text())["settings"]
    assert (settings["method"], settings["optimizer_preset"]) == ("gendexgrasp", "mala")
    assert shell.synthesis.configs[0].method == "gendexgrasp"


def test_methods_are_listed_with_a_line_each(shell: Shell) -> None:
    console = Console(record=True, width=500, file=io.StringIO())
    assert generate.main(["--list-methods"], report=Report(console, console)) == 0
    lines = console.export_text().splitlines()
    assert [line.split()[0] for line in lines] == list(method_names())
    assert shell.synthesis.batches == []


@pytest.mark.parametrize(
    "name",
    [name for name in method_names() if name.startswith(("dex", "gen", "graspqp-", "tdg", "qp", "fro"))],
)
def test_a_few_steps_of_each_method(name: str) -> None:
    """Its terms are those of the file and finite, its torques within the efforts, and the file says its name."""
    config = method_config(name, grasp_count=2, step_count=30, sample_count=60, device="cpu")
    hand, (model,) = load_hand("allegro"), example_objects(1)
    (grasps,) = synthesize(hand, [model], config)
    assert grasps.energy_term_names == tuple(config.energy.active_terms())
    assert np.isfinite(grasps.energy_terms).all()
    assert np.abs(grasps.squeeze_torque).max() <= hand.dof_effort.max() * 1.001
    assert grasps.metadata["config"]["method"] == name
