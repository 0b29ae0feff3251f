"""Waypoints to the pregrasp: clear by distances that the kernels do not compute, and carried by every file."""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from cases import annealed_variables, example_objects, make_problem, state_of
from eval_factory import offset_box, pad_hand
from numpy.typing import NDArray
from oracle_clearance import exact_clearance
from scipy.spatial.transform import Rotation

from warpgrasp.dataset.generations import open_generations
from warpgrasp.dataset.plan import read_plan
from warpgrasp.grasps.grasp_set import GraspSet
from warpgrasp.hands import load_hand
from warpgrasp.synthesis.methods import method_config
from warpgrasp.synthesis.pregrasp import Pregrasp, pregrasp
from warpgrasp.synthesis.problem import GraspProblem
from warpgrasp.synthesis.retarget import retarget
from warpgrasp.synthesis.synthesize import synthesize
from warpgrasp.synthesis.target_config import TargetConfig
from warpgrasp.synthesis.withdrawal import waypoint_columns

FloatArray = NDArray[np.float64]

CONFIG = TargetConfig(withdrawal=0.06, waypoints=4)


def pregrasp_columns(opened: Pregrasp) -> dict[str, np.ndarray]:
    return {
        "pregrasp_root_position": opened.root_pose[:, :3],
        "pregrasp_root_quaternion": opened.root_pose[:, 3:],
        "pregrasp_joint_position": opened.joint_position,
    }


@lru_cache(maxsize=4)
def withdrawn(hand: str) -> tuple[GraspProblem, Pregrasp, dict[str, FloatArray]]:
    problem = make_problem(hand, example_objects(2), grasp_count=3, contact_count=6, grasp_type="power")
    state = state_of(problem, annealed_variables(problem, 3, step_count=150))
    opened = pregrasp(problem, state, CONFIG)
    return problem, opened, waypoint_columns(problem, pregrasp_columns(opened), CONFIG)


@pytest.mark.parametrize("name", ["allegro", "shadow_wristless", "barrett"])
def test_the_way_is_as_clear_as_it_says(name: str) -> None:
    problem, opened, columns = withdrawn(name)
    hand = problem.hand
    count = 0
    for grasp in np.flatnonzero(opened.clear):
        model = problem.objects[grasp // problem.grasp_count]
        places = np.concatenate([columns["waypoint_root_position"][grasp], opened.root_pose[grasp, None, :3]])
        joints = np.concatenate(
            [columns["waypoint_joint_position"][grasp], opened.joint_position[grasp, None]]
        )
        for leg, told in enumerate(columns["waypoint_clearance"][grasp]):
            nearest = np.inf
            for share in (0.0, 0.5, 1.0):
                place = (1 - share) * places[leg] + share * places[leg + 1]
                pose = np.concatenate([place, opened.root_pose[grasp, 3:]])
                angles = (1 - share) * joints[leg] + share * joints[leg + 1]
                nearest = min(nearest, exact_clearance(hand, model, pose, angles))
            # Either side looks at points of one surface: what lies between them is less than a millimetre nearer.
            assert min(nearest, CONFIG.clearance) == pytest.approx(told, abs=1e-3)
            count += 1
    assert count >= 8
    clear = columns["waypoint_clearance"][opened.clear].min(axis=1)
    assert np.mean(clear > 0.002) >= 0.6, "most hands are withdrawn clear of the object"


@pytest.mark.parametrize("name", ["allegro", "shadow_wristless", "barrett"])
def test_the_way_leads_back_along_the_palm_and_opens_the_hand(name: str) -> None:
    problem, opened, columns = withdrawn(name)
    hand = problem.hand
    turn = Rotation.from_quat(opened.root_pose[:, 3:]) * Rotation.from_quat(hand.wrist_quaternion)
    ways = opened.root_pose[:, None, :3] - columns["waypoint_root_position"]
    back = np.einsum("bwi,bi->bw", ways, turn.apply([0.0, 0.0, 1.0]))
    assert np.all(np.diff(back, axis=1) < 1e-6), "far to near"
    np.testing.assert_allclose(back[:, 0], CONFIG.withdrawal, atol=1e-4)
    joints = columns["waypoint_joint_position"]
    assert np.all((joints >= hand.dof_lower - 1e-6) & (joints <= hand.dof_upper + 1e-6))
    before, after = (np.abs(q - hand.dof_opening).mean() for q in (opened.joint_position, joints[:, 0]))
    assert after < 0.5 * before


def test_a_hand_stops_before_what_stands_behind_it(tmp_path: Path) -> None:
    """A gripper in front of a plate, and the same with the plate 7 cm behind it: it goes as far as that lets it."""
    hand = pad_hand()
    plate = offset_box(tmp_path, (0.15, 0.15, 0.005))
    problem = GraspProblem(
        hand,
        [plate],
        grasp_count=1,
        contact_count=2,
        terms=method_config().energy.active_terms(),
        device="cpu",
    )
    palm = Rotation.from_quat(hand.wrist_quaternion).apply([0.0, 0.0, 1.0])

    def way(place: FloatArray) -> tuple[float, float]:
        start = {
            "pregrasp_root_position": place[None],
            "pregrasp_root_quaternion": np.array([[0.0, 0.0, 0.0, 1.0]]),
            "pregrasp_joint_position": hand.dof_opening[None],
        }
        columns = waypoint_columns(problem, start, dataclasses.replace(CONFIG, withdrawal=0.1))
        gone = float(np.linalg.norm(columns["waypoint_root_position"][0, 0] - place))
        return gone, float(columns["waypoint_clearance"].min())

    assert way(-0.2 * palm) == pytest.approx((0.1, CONFIG.clearance), abs=1e-4)
    gone, clearance = way(0.15 * palm)
    assert 0.02 < gone < 0.09
    assert clearance > 0.5 * CONFIG.clearance


@lru_cache(maxsize=1)
def with_waypoints() -> GraspSet:
    config = method_config(
        grasp_count=2,
        candidates=1,
        contact_count=6,
        step_count=40,
        sample_count=300,
        device="cpu",
        targets=CONFIG,
    )
    return synthesize(load_hand("allegro"), example_objects(1), config)[0]


def test_files_hold_the_waypoints(tmp_path: Path) -> None:
    grasps = with_waypoints()
    assert grasps.waypoint_root_position.shape == (2, 4, 3)
    again = GraspSet.load(grasps.save(tmp_path / "grasps.npz"))
    for name in ("waypoint_root_position", "waypoint_joint_position", "waypoint_clearance"):
        np.testing.assert_array_equal(getattr(again, name), getattr(grasps, name))
    one = grasps.select([1])
    np.testing.assert_array_equal(one.waypoint_clearance, grasps.waypoint_clearance[1:])


def test_other_targets_take_their_waypoints_with_them() -> None:
    grasps = with_waypoints()
    hand, model = load_hand("allegro"), example_objects(1)[0]
    without = retarget(hand, model, grasps, TargetConfig(), device="cpu")
    assert without.waypoint_clearance.shape == (2, 0)
    back = retarget(hand, model, without, CONFIG, device="cpu")
    np.testing.assert_allclose(back.waypoint_root_position, grasps.waypoint_root_position, atol=1e-4)
    with pytest.raises(ValueError, match="differs in waypoint_count: 0 instead of 4"):
        GraspSet.concatenate([grasps, without])


def test_data_sets_refuse_what_they_do_not_hold(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    own = '[{name: mine, arguments: ["--targets.withdrawal", "0.1"]}]'
    path.write_text(f"objects: [bottle]\nhands: [allegro]\nmethods: {own}\n")
    with pytest.raises(ValueError, match="a data set holds no waypoints"):
        open_generations(read_plan(path, {}), tmp_path / "out", extend=False)


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("withdrawal", 10.0, r"targets.withdrawal must be in \[0, 1\] \(got 10\)"),
        ("waypoints", 101, r"targets.waypoints must be in \[1, 100\] \(got 101\)"),
        ("waypoints", 0, r"targets.waypoints must be in \[1, 100\] \(got 0\)"),
    ],
)
def test_ways_longer_than_an_arm_are_refused(field: str, value: float, sentence: str) -> None:
    """Every millimetre of a way costs a step: a length in other units than metres would never end."""
    with pytest.raises(ValueError, match=sentence):
        TargetConfig(**{field: value})  # type: ignore[arg-type]
