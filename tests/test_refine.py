"""DexEvolve: the archive, the children, and refinement of grasp files with an engine that judges by a formula."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import example_objects
from oracle_geometry import closest_on_mesh
from rich.console import Console

import warpgrasp.refine.__main__ as refine
from warpgrasp.eval.engines.mujoco_scene import build_scene
from warpgrasp.eval.protocol.protocols import PROTOCOLS
from warpgrasp.eval.protocol.verdict import FailureReason, Verdict
from warpgrasp.grasps.case import load_case
from warpgrasp.grasps.grasp_set import GraspSet
from warpgrasp.hands import load_hand
from warpgrasp.objects.convex_pieces import convex_pieces
from warpgrasp.refine.archive import Archive, EvolutionConfig, Genomes, children_of, genome_distance
from warpgrasp.refine.evolution import _Hands, _simulate
from warpgrasp.synthesis.methods import method_config
from warpgrasp.synthesis.synthesize import synthesize


def genome(x: float, angle: float = 0.0, joint: float = 0.0) -> Genomes:
    half = 0.5 * np.radians(angle)
    return Genomes(np.array([[x, 0, 0, 0, 0, np.sin(half), np.cos(half)]]), np.full((1, 3), joint))


def test_distances_are_in_units_of_the_scales() -> None:
    config = EvolutionConfig()
    others = genome(0.02).joined(genome(0.0, 30.0)).joined(genome(0.0, 0.0, 2.0))
    np.testing.assert_allclose(genome_distance(genome(0.0), others, config), [1.0, 4.0, 4.0], rtol=1e-9)
    flipped = Genomes(genome(0.0).root * np.array([1, 1, 1, -1, -1, -1, -1]), genome(0.0).joints)
    assert genome_distance(genome(0.0), flipped, config)[0] == 0.0


def test_a_niche_keeps_its_fittest() -> None:
    archive = Archive(EvolutionConfig())
    assert archive.insert(genome(0.0), 0.5, 0)
    assert not archive.insert(genome(0.01), 0.4, 1), "nearer than the threshold, and worse"
    assert archive.insert(genome(0.01), 0.6, 2), "fitter: takes the place"
    assert archive.insert(genome(0.05), 0.1, 3), "another niche"
    assert archive.label == [2, 3]
    np.testing.assert_allclose(archive.fitness, [0.6, 0.1])


def test_crowded_grasps_share_their_fitness() -> None:
    """Two neighbours at squared distance 2.25 of a radius of 4: each counts 1 + 1 - (2.25 / 4)^2."""
    archive = Archive(EvolutionConfig())
    for label, x in enumerate((0.0, 0.03, 0.5)):
        archive.insert(genome(x), 1.0, label)
    crowd = 2.0 - (2.25 / 4.0) ** 2
    np.testing.assert_allclose(archive.shared_fitness(), [1 / crowd, 1 / crowd, 1.0])
    winners = archive.parents(3000, np.random.default_rng(0))
    assert (winners == 2).mean() == pytest.approx(1.0 - (2.0 / 3.0) ** 4, abs=0.05)


def test_children_are_near_their_parents_and_inside_the_limits() -> None:
    archive = Archive(EvolutionConfig(crossover=0.0))
    archive.insert(genome(0.1, 20.0, 0.99), 1.0, 0)
    lower, upper = np.zeros(3), np.ones(3)
    children = children_of(archive, 500, lower, upper, np.random.default_rng(1))
    assert np.std(children.root[:, 1]) == pytest.approx(0.005, rel=0.15)
    assert children.joints.max() <= 1.0
    np.testing.assert_allclose(np.linalg.norm(children.root[:, 3:], axis=1), 1.0)
    archive = Archive(EvolutionConfig(crossover=1.0, position_step=0.0, angle_step=0.0, joint_step=0.0))
    archive.insert(genome(0.0, 0.0, 0.0), 1.0, 0)
    archive.insert(genome(0.2, 40.0, 1.0), 1.0, 1)
    mixed = children_of(archive, 200, lower, upper, np.random.default_rng(1))
    assert 0.0 <= mixed.root[:, 0].min() < mixed.root[:, 0].max() <= 0.2
    angle = np.degrees(2.0 * np.arctan2(mixed.root[:, 5], mixed.root[:, 6]))
    np.testing.assert_allclose(angle, 200.0 * mixed.root[:, 0], atol=1e-6)
    with pytest.raises(ValueError, match="without members"):
        children_of(Archive(EvolutionConfig()), 1, lower, upper, np.random.default_rng(0))


def test_children_leave_the_niches_of_grasps_that_hold() -> None:
    """About half of the mutations of 1 cm stay in their parent's niche; those are drawn again, unless the parent fails."""
    lower, upper = np.zeros(3), np.ones(3)
    near = {}
    for held in (True, False):
        archive = Archive(EvolutionConfig(redraws=50, position_step=0.01))
        archive.insert(genome(0.0, joint=0.5), 1.0, 0, held=held)
        children = children_of(archive, 50, lower, upper, np.random.default_rng(1))
        near[held] = (genome_distance(genome(0.0, joint=0.5), children, archive.config) < 1.0).mean()
    assert near[True] == 0.0
    assert near[False] > 0.3


def test_children_close_their_fingers_again(run: Path) -> None:
    """The contacts of hands that were moved lie on the object afterwards, which settling alone does not achieve."""
    case = load_case(next(run.glob("*.npz")))
    root = np.concatenate([case.grasps.root_position, case.grasps.root_quaternion], axis=1).astype(float)
    root[:, :3] *= 0.8
    genomes = Genomes(root, case.grasps.joint_position.astype(float))
    gap = {}
    for reopen in (0.0, 0.35):
        hands = _Hands(case, EvolutionConfig(batch=len(root), reopen=reopen), "cpu")
        points = hands.grasps(genomes).contact_position.reshape(-1, 3).astype(float)
        gap[reopen] = np.mean([abs(closest_on_mesh(case.model, point)[1]) for point in points])
    assert gap[0.35] < 0.0015
    assert gap[0.0] > 0.003


class HighHands:
    """An engine that lets every grasp hold whose root lies high enough; counts what it is asked."""

    name = "high_hands"

    def __init__(self, workers: int = 0, device: str = "auto") -> None:
        self.asked = 0

    def evaluate(self, scene: Any, targets: Any, *, progress: Any = None) -> Verdict:
        self.asked += len(targets)
        self.squeezed = targets.squeeze_joints
        count, trials = len(targets), len(scene.protocol.trials)
        verdict = Verdict.invalid(count, trials)
        held = targets.grasp_position[:, 2] > float(np.median(targets.grasp_position[:, 2])) - 0.01
        return dataclasses.replace(
            verdict,
            trial_success=np.tile(held[:, None], (1, trials)),
            penetration=np.zeros(count),
            self_penetration=np.zeros(count),
            reason=np.where(held, int(FailureReason.HOLDS), int(FailureReason.SLIP)).astype(np.int32),
        )


def test_torques_are_limited_by_the_drives_of_the_protocol(run: Path) -> None:
    """As in the evaluation: dexgraspbench does not limit Allegro's drives, so that no joint aims beyond its torque."""
    case = load_case(next(run.glob("*.npz")))
    scene = build_scene(case.hand, case.model, convex_pieces(case.model), PROTOCOLS["dexgraspbench"])
    torque = np.tile(case.hand.dof_effort, (len(case.grasps), 1)).astype(np.float32)
    engine = HighHands()
    _simulate(dataclasses.replace(case.grasps, squeeze_torque=torque), scene, engine)
    wanted = case.grasps.joint_position + torque / scene.drives.stiffness
    np.testing.assert_allclose(engine.squeezed, wanted, atol=1e-5)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    config = method_config("graspqp", grasp_count=4, step_count=30, device="cpu")
    (grasps,) = synthesize(load_hand("allegro"), example_objects(1), config)
    folder = tmp_path / "run"
    folder.mkdir()
    grasps.save(folder / f"{example_objects(1)[0].name}.npz")
    return folder


def test_refined_files_are_grasp_files(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At most the budget is simulated; what comes out loads as a case, holds, and keeps its distances."""
    engine = HighHands()
    monkeypatch.setattr(refine, "load_engine", lambda *args, **kw: engine)
    text = io.StringIO()
    out = tmp_path / "out"
    words = [str(run), "--budget", "41", "--out", str(out), "--device", "cpu"]
    assert refine.main(words, console=Console(file=text, width=200)) == 0
    assert engine.asked == 36, "4 of the input and two batches of 16"
    assert "after 36 simulated" in text.getvalue()
    (file,) = sorted(out.glob("*.npz"))
    case = load_case(file)
    grasps = GraspSet.load(file)
    assert len(grasps) >= 4
    assert grasps.metadata["refined"]["method"] == "dexevolve"
    root = np.concatenate([grasps.root_position, grasps.root_quaternion], axis=1).astype(float)
    genomes = Genomes(root, grasps.joint_position.astype(float))
    nearest = [
        np.sort(genome_distance(genomes.select([i]), genomes, EvolutionConfig()))[1]
        for i in range(len(grasps))
    ]
    assert np.mean(np.array(nearest) > 0.99) > 0.7, "one that took a place may lie near another's"
    assert np.all(grasps.joint_position >= case.hand.dof_lower - 1e-5)
    assert file.with_suffix(".usda").exists()
    again = tmp_path / "again"
    assert refine.main([*words[:4], str(again), *words[5:]], console=Console(file=text)) == 0
    np.testing.assert_array_equal(GraspSet.load(again / file.name).root_position, grasps.root_position)


def test_wrong_usage_is_one_sentence(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refine, "load_engine", lambda *args, **kw: HighHands())
    text = io.StringIO()
    console = Console(file=text, width=200)
    assert refine.main([str(run), "--budget", "2", "--out", str(tmp_path / "o")], console=console) == 1
    assert "budget must be at least the 4 grasps" in text.getvalue()
    assert refine.main([str(run), "--out", str(run)], console=console) == 2
    assert refine.main([str(tmp_path / "nothing")], console=console) == 2
