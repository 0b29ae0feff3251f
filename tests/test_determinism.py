"""Same seed, same arrays; another seed, other grasps; batch mates change nothing; nor does the process."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import HANDS, example_objects
from numpy.typing import NDArray

from warpgrasp.grasps.grasp_set import GraspSet
from warpgrasp.grasps.usd import write_grasp_usd
from warpgrasp.hands import load_hand
from warpgrasp.objects import ObjectModel
from warpgrasp.synthesis.energy_config import EnergyConfig
from warpgrasp.synthesis.energy_optional import Wall
from warpgrasp.synthesis.optimizer import OptimizerMala, OptimizerMalaFast, OptimizerMalaStar
from warpgrasp.synthesis.synthesize import SynthesisConfig, synthesize
from warpgrasp.synthesis.target_config import TargetConfig

COLUMNS = (
    "root_position",
    "root_quaternion",
    "joint_position",
    "pregrasp_root_position",
    "pregrasp_root_quaternion",
    "pregrasp_joint_position",
    "squeeze_root_position",
    "squeeze_root_quaternion",
    "squeeze_joint_position",
    "squeeze_torque",
    "quality",
    "contact_index",
    "contact_position",
    "contact_normal",
    "contact_force",
    "energy",
    "energy_terms",
    "status",
    "waypoint_root_position",
    "waypoint_joint_position",
    "waypoint_clearance",
)


def run(
    objects: list[ObjectModel],
    *,
    hand: str = "allegro",
    seed: int = 0,
    grasp_count: int = 6,
    optimizer: OptimizerMala | None = None,
) -> list[GraspSet]:
    config = SynthesisConfig(
        seed=seed,
        grasp_count=grasp_count,
        contact_count=6,
        step_count=80,
        sample_count=300,
        device="cpu",
        optimizer=optimizer or OptimizerMalaFast(),
        targets=TargetConfig(withdrawal=0.03, waypoints=2),
    )
    return synthesize(load_hand(hand), objects, config)


def columns(result: GraspSet) -> dict[str, NDArray]:
    return {name: np.asarray(getattr(result, name)) for name in COLUMNS}


def assert_identical(first: GraspSet, second: GraspSet) -> None:
    for name, value in columns(first).items():
        np.testing.assert_array_equal(columns(second)[name], value, err_msg=name)


def digest(results: list[GraspSet]) -> str:
    """Hash of every array of several results."""
    total = hashlib.sha256()
    for result in results:
        for name, value in columns(result).items():
            total.update(name.encode() + np.ascontiguousarray(value).tobytes())
    return total.hexdigest()


def test_all_columns_are_compared() -> None:
    """The list above is complete: what a grasp set holds beside it are names and metadata."""
    result = run(example_objects(1), grasp_count=1)[0]
    rest = set(vars(result)) - set(COLUMNS)
    assert not [name for name in rest if isinstance(getattr(result, name), np.ndarray)]


@pytest.mark.parametrize("hand", HANDS)
def test_same_seed_gives_identical_arrays(hand: str) -> None:
    objects = example_objects(2)
    for first, second in zip(run(objects, hand=hand), run(objects, hand=hand), strict=True):
        assert_identical(first, second)


def test_same_seed_gives_identical_files(tmp_path: Path) -> None:
    """Byte for byte: npz and stage hold no clock, no folder and no order that changes."""
    objects, hand = example_objects(1), load_hand("allegro")
    for name in ("one", "two"):
        (grasps,) = run(objects)
        grasps.save(tmp_path / name / "a.npz")
        write_grasp_usd(tmp_path / name / "a.usda", grasps, hand, objects[0])
    for file in ("a.npz", "a.usda"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_metadata_tell_what_was_used() -> None:
    """The optimiser by its class, enums by name, and values that the configuration leaves open as they were used."""
    config = SynthesisConfig(
        grasp_type="pinch",
        grasp_count=1,
        contact_count=4,
        step_count=2,
        sample_count=50,
        device="cpu",
        energy=EnergyConfig(wall=Wall(weight=1.0)),
    )
    (model,) = example_objects(1)
    (grasps,) = synthesize(load_hand("allegro"), [model], config)
    known = grasps.metadata["config"]
    assert known["optimizer"]["type"] == "OptimizerMalaFast"
    assert known["optimizer"]["reset_threshold"] == 0.5
    force_closure = known["energy"]["force_closure"]
    assert force_closure["factor"] == "GEOMETRIC_MEAN"
    assert (force_closure["qp"]["solver"], force_closure["qp"]["iteration_limit"]) == ("DUAL_NEWTON", 50)
    assert known["energy"]["wall"]["offset"] == pytest.approx(model.vertices[:, 2].min())
    assert "wall_time" not in grasps.metadata


@pytest.mark.parametrize("hand", HANDS)
def test_another_seed_gives_other_grasps(hand: str) -> None:
    """Every grasp moves, not only some."""
    first, second = run(example_objects(1), hand=hand)[0], run(example_objects(1), hand=hand, seed=1)[0]
    assert np.all(np.linalg.norm(first.root_position - second.root_position, axis=1) > 1e-3)
    assert np.all(np.any(first.contact_index != second.contact_index, axis=1))
    assert len(np.unique(first.root_position, axis=0)) == len(first.root_position)


@pytest.mark.parametrize(
    "optimizer",
    [OptimizerMala(), OptimizerMalaStar(), OptimizerMalaFast()],
    ids=["mala", "mala-star", "mala-fast"],
)
def test_batch_mates_and_their_order_change_nothing(optimizer: OptimizerMala) -> None:
    """Bit for bit: alone, joined by others, in any order."""
    a, b, c = example_objects(3)
    alone = [run([model], optimizer=optimizer)[0] for model in (a, b)]
    together = run([a, b, c], optimizer=optimizer)
    turned = run([c, b, a], optimizer=optimizer)
    for index in range(2):
        assert_identical(alone[index], together[index])
        assert_identical(alone[index], turned[2 - index])
    assert np.any(alone[0].root_position != alone[1].root_position)


def test_the_same_object_twice_gives_the_same_grasps_twice() -> None:
    """Random numbers are keyed by the mesh: that is what makes batch mates irrelevant."""
    model = example_objects(1)[0]
    first, second = run([model, model])
    assert_identical(first, second)


def test_another_process_gives_identical_arrays() -> None:
    here = digest(run(example_objects(2)))
    code = "from cases import example_objects; import test_determinism as t; print(t.digest(t.run(example_objects(2))))"
    folder = Path(__file__).parent
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(folder), str(folder.parent)]),
        "PYTHONHASHSEED": "7",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment, timeout=120
    )
    assert done.stdout.split()[-1] == here


def test_of_the_candidates_the_best_are_kept_in_the_order_of_their_seeds() -> None:
    settings: dict[str, Any] = {
        "seed": 3,
        "contact_count": 6,
        "step_count": 60,
        "sample_count": 300,
        "device": "cpu",
    }
    hand, objects = load_hand("allegro"), example_objects(1)
    (every,) = synthesize(hand, objects, SynthesisConfig(grasp_count=12, **settings))
    (kept,) = synthesize(hand, objects, SynthesisConfig(grasp_count=4, candidates=3, **settings))
    ranked = sorted(range(12), key=lambda row: (every.status[row] != 0, -every.quality[row]))
    wanted = sorted(ranked[:4])
    assert wanted != [0, 1, 2, 3], "something was selected"
    for name in COLUMNS:
        assert np.array_equal(getattr(kept, name), getattr(every, name)[wanted]), name
    counts = kept.metadata["candidates"]
    assert sum(counts.values()) == 12
    assert counts.get("OK", 0) == np.sum(every.status == 0)
    assert kept.metadata["config"]["candidates"] == 3
    (own,) = synthesize(hand, objects, SynthesisConfig(grasp_count=6, candidates=0, **settings))
    assert own.metadata["config"]["candidates"] == 2, "what 0 stands for is recorded"
