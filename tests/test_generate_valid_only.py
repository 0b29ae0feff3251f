"""``generate --valid-only``: rounds until there are enough grasps that hold and differ, and what is said about the others."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from eval_factory import EFFORT, STIFFNESS, offset_box, pad_grasps, pad_hand
from generate_shell import Shell, make_shell

from warpgrasp.base.file_hash import file_hash
from warpgrasp.base.status import GraspStatus
from warpgrasp.eval.config import EvaluationConfig
from warpgrasp.eval.engines.mujoco import MujocoEngine
from warpgrasp.eval.evaluation import evaluate_case
from warpgrasp.eval.metrics.diversity import unique_grasps
from warpgrasp.eval.protocol.protocols import PROTOCOLS
from warpgrasp.eval.protocol.verdict import FailureReason, Verdict
from warpgrasp.generate.valid_grasps import Judge, round_seed
from warpgrasp.grasps.case import GraspCase
from warpgrasp.grasps.grasp_set import GraspSet
from warpgrasp.objects import ObjectModel
from warpgrasp.synthesis.synthesize import SynthesisConfig

pytest.importorskip("mujoco", reason="MuJoCo is not installed (extra 'sim')")

GRASPQP = PROTOCOLS["graspqp"]
HALF = (0.02, 0.02, 0.02)


class EveryOther:
    """Holds the grasps whose root lies at an even number of millimetres along x; the others slip."""

    name = "every-other"

    def __init__(self) -> None:
        self.seen = 0

    def evaluate(self, scene: Any, targets: Any, *, progress: Callable[[int], None] | None = None) -> Verdict:
        self.seen += len(targets)
        held = np.round(1000.0 * targets.grasp_position[:, 0]).astype(int) % 2 == 0
        trials = len(scene.protocol.trials)
        reason = np.where(held, FailureReason.HOLDS, FailureReason.SLIP).astype(np.int32)
        empty = Verdict.invalid(len(targets), trials)
        return dataclasses.replace(empty, trial_success=np.tile(held[:, None], (1, trials)), reason=reason)


def millimetres(model: ObjectModel, values: list[int], status: list[int] | None = None) -> GraspSet:
    grasps = pad_grasps(model, gap=[0.02] * len(values), squeeze=0.0)
    position = np.zeros((len(values), 3))
    position[:, 0] = 0.001 * np.array(values)
    return dataclasses.replace(grasps, root_position=position, status=status or [0] * len(values))


def judge(engine: Any, count: int, budget: int = 4) -> Judge:
    return Judge(count, budget, EvaluationConfig(protocol=GRASPQP), engine)


def test_rounds_go_on_for_objects_that_lack_grasps_and_duplicates_count_once(tmp_path: Path) -> None:
    first, second = (dataclasses.replace(offset_box(tmp_path, HALF), name=name) for name in "ab")
    slip, bad = 1, int(GraspStatus.NOT_TOUCHING)
    # Bins are 2 cm wide: 0 and 2 mm are alike, 40 and 80 are others.
    rounds = {
        ("a", 0): millimetres(first, [0, 2, 40, slip], [0, 0, 0, bad]),
        ("a", 1): millimetres(first, [4, slip, 80, 120]),
        ("b", 0): millimetres(second, [0, 40, 80, 120]),
    }
    asked = []

    def one_round(number: int, models: list[ObjectModel], config: SynthesisConfig) -> list[GraspSet]:
        asked.append(([model.name for model in models], config.seed))
        return [rounds[model.name, number] for model in models]

    engine = EveryOther()
    found = judge(engine, 3).valid_grasps(one_round, pad_hand(), [first, second], SynthesisConfig(seed=7))
    assert asked == [(["a", "b"], 7), (["a"], round_seed(7, 1))]
    assert engine.seen == 11, "the grasp that does not touch is not simulated"
    for grasps, expected in zip(found, ([0, 40, 80], [0, 40, 80]), strict=True):
        np.testing.assert_allclose(1000.0 * grasps.root_position[:, 0], expected, atol=1e-5)
    said = found[0].metadata["valid_only"]
    assert (said["made"], said["held"], said["rounds"]) == (8, 6, 2)
    assert said["lost"] == {"not touching": 1, "slip": 1}
    assert said["made"] == said["held"] + sum(said["lost"].values())
    assert "3 of 3 valid grasps from 8 in 2 rounds; 6 hold (75 %)" in said["sentence"]
    assert "2 like another" in said["sentence"]
    assert np.shape(said["displacement"]) == (3, 3)


def test_later_rounds_make_what_the_share_so_far_asks_for(tmp_path: Path) -> None:
    """Of 32, all hold and two bins are met twice for ``a``; a quarter holds for ``b``; none in its second round."""
    easy, hard = (dataclasses.replace(offset_box(tmp_path, HALF), name=name) for name in "ab")
    asked: list[tuple[int, list[str], int]] = []

    def one_round(number: int, models: list[ObjectModel], config: SynthesisConfig) -> list[GraspSet]:
        count = config.grasp_count
        asked.append((number, [model.name for model in models], count))
        start = 40 * 100 * number
        sets = []
        for model in models:
            values = [start + 40 * index for index in range(count)]
            if model.name == "a" and number == 0:
                values[:2] = values[2:4]
            if model.name == "b":
                values = [value + (index % 4 > 0 or number == 1) for index, value in enumerate(values)]
            sets.append(millimetres(model, values))
        return sets

    found = judge(EveryOther(), 32, budget=4).valid_grasps(
        one_round, pad_hand(), [easy, hard], SynthesisConfig(grasp_count=32)
    )
    # a lacks 2 at 30 of 32, which makes 4. b lacks 24 at 8 of 32: whole rounds to its end at 128.
    assert asked == [(0, ["a", "b"], 32), (1, ["a"], 4), (1, ["b"], 32), (2, ["b"], 32), (3, ["b"], 32)]
    assert [len(grasps) for grasps in found] == [32, 24]
    assert [grasps.metadata["valid_only"]["made"] for grasps in found] == [36, 128]


def test_a_round_that_is_ended_marks_the_objects_of_all_its_calls(tmp_path: Path) -> None:
    """Of ``a`` four grasps are made in the second round, which slip; then the round of ``b`` is ended."""
    easy, hard, done = (dataclasses.replace(offset_box(tmp_path, HALF), name=name) for name in "abc")

    def one_round(number: int, models: list[ObjectModel], config: SynthesisConfig) -> list[GraspSet]:
        sets = []
        for model in models:
            odd = {"a": lambda index: index < 2, "b": lambda index: index % 4 > 0, "c": lambda index: False}
            values = [
                40 * index + (number > 0 or odd[model.name](index)) for index in range(config.grasp_count)
            ]
            grasps = millimetres(model, values)
            ended = {"stopped_at_step": 3} if (number, model.name) == (1, "b") else {}
            sets.append(dataclasses.replace(grasps, metadata={**grasps.metadata, **ended}))
        return sets

    found = judge(EveryOther(), 32).valid_grasps(
        one_round, pad_hand(), [easy, hard, done], SynthesisConfig(grasp_count=32)
    )
    assert [grasps.metadata.get("stopped_at_step") for grasps in found] == [3, 3, None]
    assert [len(grasps) for grasps in found] == [30, 8, 32]


class Stopping(EveryOther):
    """The same, of the kind that stops at failures."""

    def evaluate(
        self,
        scene: Any,
        targets: Any,
        *,
        progress: Callable[[int], None] | None = None,
        until_failure: bool = False,
    ) -> Verdict:
        assert until_failure
        return super().evaluate(scene, targets)


def test_the_best_grasps_are_judged_first_and_no_more_than_are_needed(tmp_path: Path) -> None:
    box = offset_box(tmp_path, HALF)
    grasps = millimetres(box, [40 * i for i in range(20)])
    worst_first = dataclasses.replace(grasps, energy=np.arange(20.0)[::-1])
    engine = Stopping()
    (kept,) = judge(engine, 3).valid_grasps(
        lambda number, models, own: [worst_first], pad_hand(), [box], SynthesisConfig()
    )
    assert engine.seen == 8
    np.testing.assert_allclose(1000.0 * kept.root_position[:, 0], [760.0, 720.0, 680.0], atol=1e-3)
    said = kept.metadata["valid_only"]
    assert said["lost"] == {"not needed": 12}
    assert "8 hold (100 %); not kept: 12 not needed" in said["sentence"]


def test_the_budget_ends_the_rounds_and_an_object_without_valid_grasps_says_why(tmp_path: Path) -> None:
    box = offset_box(tmp_path, HALF)
    calls = []

    def one_round(number: int, models: list[ObjectModel], config: SynthesisConfig) -> list[GraspSet]:
        calls.append(config.seed)
        return [millimetres(box, [1, 3])]

    (grasps,) = judge(EveryOther(), 2, budget=3).valid_grasps(one_round, pad_hand(), [box], SynthesisConfig())
    assert len(grasps) == 0
    assert len(set(calls)) == 3
    assert grasps.metadata["valid_only"]["lost"] == {"slip": 6}
    assert grasps.metadata["valid_only"]["sentence"].endswith("0 hold (0 %); not kept: 6 slip")


def test_every_grasp_that_is_kept_holds_when_it_is_judged_again(tmp_path: Path) -> None:
    """In physics: plates that press the box, plates that do not reach it, and plates that press too little."""
    box = offset_box(tmp_path, HALF)
    press = 0.5 * EFFORT / STIFFNESS
    grasps = pad_grasps(box, gap=[HALF[0], 0.06, HALF[0], HALF[0]], squeeze=press)
    squeeze = np.array(grasps.squeeze_joint_position)
    squeeze[2] = grasps.joint_position[2] - 1.0e-4
    position = np.zeros((4, 3))
    position[3, 2] = 0.005  # another bin
    position[:, 2] -= 1.0e-3
    grasps = dataclasses.replace(grasps, squeeze_joint_position=squeeze, root_position=position)
    config = EvaluationConfig(protocol=GRASPQP.with_force(1.5))
    engine = MujocoEngine(workers=1)
    (kept,) = Judge(4, 1, config, engine).valid_grasps(
        lambda number, models, own: [grasps], pad_hand(), [box], SynthesisConfig()
    )
    assert len(kept) == 2
    assert kept.metadata["valid_only"]["lost"] == {"no contact": 1, "slip": 1}
    path = kept.save(tmp_path / "kept.npz")
    again = evaluate_case(GraspCase(path, file_hash(path), kept, pad_hand(), box), config, engine).verdict(0)
    assert again.success_all.all()
    np.testing.assert_allclose(kept.metadata["valid_only"]["displacement"], again.displacement, atol=1e-6)
    poses = (kept.root_position, kept.root_quaternion, kept.joint_position)
    assert len(unique_grasps(*poses)) == len(kept)


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """The command line; grasps 0, 3, 6, ... of the folder's first objects hold, of ``bad`` none."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("warpgrasp.generate.valid_grasps.load_engine", lambda name, **options: _Thirds())
    return make_shell(tmp_path, monkeypatch)


class _Thirds:
    name = "thirds"

    def evaluate(self, scene: Any, targets: Any, *, progress: Callable[[int], None] | None = None) -> Verdict:
        held = np.arange(len(targets)) % 3 == 0
        held &= scene.center_of_mass[0] < 0.5
        trials = len(scene.protocol.trials)
        reason = np.where(held, FailureReason.HOLDS, FailureReason.SLIP).astype(np.int32)
        empty = Verdict.invalid(len(targets), trials)
        return dataclasses.replace(empty, trial_success=np.tile(held[:, None], (1, trials)), reason=reason)


def test_files_hold_valid_grasps_alone_and_are_finished_for_the_next_run(shell: Shell) -> None:
    mesh = shell.mesh("ball.stl")
    command = (mesh, "--grasps", "6", "--steps", "6", "--out", "out", "--valid-only", "3")
    assert shell(*command) == 0, shell.output
    assert "ball: 3 of 3 valid grasps from" in shell.output
    grasps = GraspSet.load(shell.folder / "out" / "ball.npz")
    assert len(grasps) == 3
    said = grasps.metadata["valid_only"]
    assert (said["protocol"], said["force"], said["engine"]) == ("graspqp", 5.0, "thirds")
    batches = len(shell.synthesis.batches)
    assert batches == said["rounds"]
    assert shell(*command) == 0
    assert len(shell.synthesis.batches) == batches, "nothing is made again"
    assert shell(*command[:-1], "4") == 2
    assert "--valid-only: 3 there, 4 now" in shell.output


def test_an_object_without_valid_grasps_fails_with_the_reasons(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Thirds, "evaluate", lambda self, scene, targets: Verdict.invalid(len(targets), 3))
    command = (shell.mesh("ball.stl"), "--grasps", "2", "--steps", "6", "--out", "out", "--valid-only", "3")
    assert shell(*command, "--budget", "2") == 1
    assert "no grasp is valid: ball: 0 of 3 valid grasps from 4 in 2 rounds" in shell.output
    assert not (shell.folder / "out" / "ball.npz").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--valid-only", "-1"), "--valid-only and --budget must be at least 1 (got -1 and 8)"),
        (("--valid-only", "2", "--budget", "0"), "(got 2 and 0)"),
        (("--valid-only", "2", "--protocol", "shake"), "--protocol must be one of graspqp"),
    ],
)
def test_wrong_numbers_and_unknown_protocols_are_refused(
    shell: Shell, arguments: tuple[str, ...], sentence: str
) -> None:
    assert shell(shell.mesh("ball.stl"), "--out", "out", *arguments) == 2
    assert sentence in shell.output
    assert not shell.synthesis.batches


def test_without_valid_only_its_options_are_no_settings_of_a_folder(shell: Shell) -> None:
    mesh = shell.mesh("ball.stl")
    assert shell(mesh, "--grasps", "2", "--steps", "6", "--out", "out") == 0
    text = (shell.folder / "out" / "config.json").read_text()
    assert "valid_only" not in text
    assert "budget" not in text


def test_a_round_that_was_ended_counts_for_nothing_and_marks_its_objects(tmp_path: Path) -> None:
    box = offset_box(tmp_path, HALF)
    whole = millimetres(box, [0, 1])
    ended = dataclasses.replace(millimetres(box, [40]), metadata={**whole.metadata, "stopped_at_step": 3})
    for rounds, count in (([whole, ended], 1), ([ended], 0)):
        answers = iter(rounds)
        (grasps,) = judge(EveryOther(), 2).valid_grasps(
            lambda number, models, own, answers=answers: [next(answers)],
            pad_hand(),
            [box],
            SynthesisConfig(),
        )
        assert len(grasps) == count
        assert grasps.metadata["stopped_at_step"] == 3


def test_the_budget_counts_grasps_and_ends_in_the_middle_of_a_round(tmp_path: Path) -> None:
    """Eight of nine come at once; four more are asked for, which bring nothing, then what is left of two rounds of 16."""
    model = offset_box(tmp_path, HALF)
    asked = []

    def one_round(number: int, models: list[ObjectModel], config: SynthesisConfig) -> list[GraspSet]:
        asked.append(config.grasp_count)
        values = [1] * config.grasp_count  # slips
        if number == 0:
            values[:8] = [40 * i for i in range(8)]
        return [millimetres(model, values)]

    config = SynthesisConfig(grasp_count=16)
    found = judge(EveryOther(), 9, budget=2).valid_grasps(one_round, pad_hand(), [model], config)
    assert asked == [16, 4, 12]
    assert len(found[0]) == 8
