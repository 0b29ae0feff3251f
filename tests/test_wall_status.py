"""Grasps and pregrasps behind the wall say so; the depth is that of the host's kinematics."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from cases import example_objects
from numpy.typing import NDArray

from warpgrasp.base.depth_limits import BEHIND_WALL
from warpgrasp.base.status import GraspStatus
from warpgrasp.geometry.rotations import rotate
from warpgrasp.grasps.grasp_set import GraspSet
from warpgrasp.hands import HandModel, load_hand
from warpgrasp.synthesis.energy_config import EnergyConfig
from warpgrasp.synthesis.energy_optional import Wall
from warpgrasp.synthesis.optimizer import OptimizerMalaStar
from warpgrasp.synthesis.synthesize import SynthesisConfig, synthesize

WALL = Wall(weight=1.0, normal=(0.2, -0.3, 1.0))


def host_depth(hand: HandModel, wall: Wall, offset: float, *pose: NDArray) -> float:
    """Depth of the deepest sphere behind the plane [m], float64, link by link."""
    position, quaternion = hand.forward_kinematics(*(np.asarray(part, dtype=np.float64) for part in pose))
    normal = np.array(wall.normal) / np.linalg.norm(wall.normal)
    depth = 0.0
    for link, place, radius in zip(hand.sphere_link, hand.sphere_position, hand.sphere_radius, strict=True):
        center = position[link] + rotate(quaternion[link], place)
        depth = max(depth, offset + radius - center @ normal)
    return depth


@cache
def run(weight: float) -> GraspSet:
    wall = Wall(weight=weight, normal=WALL.normal)
    config = SynthesisConfig(
        grasp_count=12,
        contact_count=6,
        step_count=150,
        sample_count=300,
        seed=1,
        device="cpu",
        energy=EnergyConfig(wall=wall),
        optimizer=OptimizerMalaStar(),  # in so short a run it ends with grasps of either kind
    )
    return synthesize(load_hand("allegro"), example_objects(1), config)[0]


@pytest.mark.parametrize(("weight", "kind"), [(1.0, "grasp"), (100.0, "pregrasp")])
def test_status_tells_grasps_and_pregrasps_behind_the_wall(weight: float, kind: str) -> None:
    """A weak wall leaves grasps behind it, a strong one pregrasps alone: those are drawn back without regard to it."""
    hand, (model,) = load_hand("allegro"), example_objects(1)
    grasps, offset = run(weight), WALL.offset_of(model)
    depth = np.array(
        [
            [
                host_depth(
                    hand, WALL, offset, *(getattr(grasps, f"{kind}{column}")[index] for column in columns)
                )
                for kind in ("", "pregrasp_")
            ]
            for index in range(len(grasps))
            for columns in [("root_position", "root_quaternion", "joint_position")]
        ]
    )
    assert np.all(np.abs(depth - BEHIND_WALL) > 1e-5), "no case on the edge"
    behind = depth.max(axis=1) > BEHIND_WALL
    judged = np.isin(
        grasps.status, (GraspStatus.OK, GraspStatus.HAND_BEHIND_WALL, GraspStatus.PREGRASP_NOT_CLEAR)
    )
    np.testing.assert_array_equal((grasps.status == GraspStatus.HAND_BEHIND_WALL)[judged], behind[judged])
    assert np.any(behind & judged)
    first = depth[:, 0] > BEHIND_WALL
    assert np.any(first if kind == "grasp" else behind & ~first)


def test_without_a_wall_nothing_is_behind_it() -> None:
    assert not np.any(run(0.0).status == GraspStatus.HAND_BEHIND_WALL)


@pytest.mark.parametrize("status", list(GraspStatus))
def test_every_status_has_one_sentence(status: GraspStatus) -> None:
    assert status.sentence.endswith(".")
    assert "\n" not in status.sentence
