"""The Newton engine against the same closed forms as the MuJoCo engine, on the CPU: Coulomb's limit, rest, free flight."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import warp as wp
from eval_factory import EFFORT, closing_pads, offset_box, pad_grasps, pad_hand

from warpgrasp.base.status import GraspStatus
from warpgrasp.eval.engines import newton as newton_engine
from warpgrasp.eval.engines import registry as engines
from warpgrasp.eval.engines.mujoco import MujocoEngine
from warpgrasp.eval.engines.mujoco_scene import Scene, build_scene
from warpgrasp.eval.engines.newton import NewtonEngine
from warpgrasp.eval.protocol.protocols import PROTOCOLS, Protocol
from warpgrasp.eval.protocol.squeeze_rules import HandTargets, hand_targets
from warpgrasp.eval.protocol.verdict import FailureReason, Verdict
from warpgrasp.grasps.grasp_set import GraspSet
from warpgrasp.objects import ObjectModel
from warpgrasp.objects.convex_pieces import convex_pieces

pytest.importorskip("newton", reason="Newton is not installed (extra 'sim')")

GRASPQP = PROTOCOLS["graspqp"]
SHORT = dataclasses.replace(
    GRASPQP, trials=tuple(dataclasses.replace(trial, duration=0.4) for trial in GRASPQP.trials)
)
"""The first push only, and less of it: 0.28 m of a free object."""
HALF = (0.02, 0.02, 0.02)
DEEP = 0.05  # m; a squeeze this deep saturates the drives


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> ObjectModel:
    return offset_box(tmp_path_factory.mktemp("box"), HALF)


@pytest.fixture(scope="module")
def engine() -> NewtonEngine:
    return NewtonEngine(device="cpu")


def prepared(model: ObjectModel, grasps: GraspSet, protocol: Protocol) -> tuple[Scene, HandTargets]:
    scene = build_scene(pad_hand(), model, convex_pieces(model), protocol)
    return scene, hand_targets(pad_hand(), grasps, stiffness=scene.drives.stiffness)


def columns(verdict: Verdict) -> dict[str, np.ndarray]:
    return {entry.name: getattr(verdict, entry.name) for entry in dataclasses.fields(verdict)}


def test_box_between_pads_holds_up_to_the_coulomb_limit(box: ObjectModel, engine: NewtonEngine) -> None:
    friction = 0.4
    limit = 2.0 * friction * EFFORT  # two contacts, each pressed with the effort limit
    protocol = dataclasses.replace(GRASPQP, friction=friction)
    scene, targets = prepared(box, pad_grasps(box, gap=[HALF[0]], squeeze=DEEP), protocol)
    # The same worlds with another push.
    below, above = (
        engine.evaluate(dataclasses.replace(scene, protocol=protocol.with_force(share * limit)), targets)
        for share in (0.9, 1.1)
    )
    assert below.trial_success[0, 1:].all()  # along y and z; along x the pads give way
    assert not above.trial_success[0, 1:].any()
    assert below.displacement[0, 1:].max() < 0.005
    assert above.reason[0] == FailureReason.SLIP
    assert above.effort_ratio[0] == pytest.approx(1.0, abs=1.0e-6)


def test_batches_change_nothing_and_verdicts_repeat(box: ObjectModel) -> None:
    # No contact, at rest, squeezed, broken: what a grasp does depends on itself alone.
    grasps = pad_grasps(box, gap=[0.05, HALF[0], HALF[0] - 0.001, HALF[0], 0.05], squeeze=0.001)
    position = grasps.root_position.copy()
    position[3, 0] = np.nan
    status = np.where(np.isfinite(position).all(axis=1), 0, int(GraspStatus.NONFINITE_ENERGY))
    scene, targets = prepared(box, dataclasses.replace(grasps, root_position=position, status=status), SHORT)
    heard: list[int] = []
    whole = NewtonEngine(device="cpu").evaluate(scene, targets, progress=heard.append)
    again = NewtonEngine(device="cpu").evaluate(scene, targets)
    parts = NewtonEngine(device="cpu", worlds=9).evaluate(scene, targets, progress=heard.append)
    for name, value in columns(whole).items():
        np.testing.assert_array_equal(value, columns(again)[name], err_msg=name)
        np.testing.assert_array_equal(value, columns(parts)[name], err_msg=name)
    assert heard == [4, 3, 4]
    assert whole.reason[[0, 3, 4]].tolist() == [
        FailureReason.NO_CONTACT,
        FailureReason.INVALID,
        FailureReason.NO_CONTACT,
    ]
    reference = MujocoEngine(workers=1).evaluate(scene, targets)
    np.testing.assert_array_equal(whole.trial_success, reference.trial_success)
    np.testing.assert_array_equal(whole.reason, reference.reason)
    np.testing.assert_array_equal(whole.penetration, reference.penetration)
    np.testing.assert_allclose(whole.displacement[0], reference.displacement[0], rtol=1.0e-3)


def test_object_at_rest_keeps_still(box: ObjectModel, engine: NewtonEngine) -> None:
    scene, targets = prepared(box, pad_grasps(box, gap=[HALF[0]], squeeze=0.0), GRASPQP.with_force(0.0))
    verdict = engine.evaluate(scene, targets)
    assert verdict.displacement.max() < 1.0e-5
    assert verdict.rotation.max() < 1.0e-3  # float32: the angle of a unit quaternion that is off by 1e-7


def test_free_object_flies_as_newton_says(tmp_path: Path, engine: NewtonEngine) -> None:
    model = offset_box(tmp_path, (0.02, 0.015, 0.01), (0.01, -0.02, 0.015))
    scene, targets = prepared(model, pad_grasps(model, gap=[0.09], squeeze=0.0), GRASPQP.with_force(0.01))
    verdict = engine.evaluate(scene, targets)
    acceleration = 0.01 / GRASPQP.object_mass
    # 0.5 s under force, 0.25 s of coasting, 0.5 s of braking
    way = 0.5 * acceleration * 0.5**2 + acceleration * 0.5 * 0.25 + 0.5 * acceleration * 0.5**2
    np.testing.assert_allclose(verdict.displacement, way, rtol=0.01)
    assert verdict.success_any.all()  # it drifts by 2 cm only


def test_dexgraspbench_closes_on_a_free_object_and_holds_it(box: ObjectModel, engine: NewtonEngine) -> None:
    hand, grasps = closing_pads(box, HALF[0])
    scene = build_scene(hand, box, convex_pieces(box), PROTOCOLS["dexgraspbench"])
    verdict = engine.evaluate(scene, hand_targets(hand, grasps, stiffness=scene.drives.stiffness))
    # Along x two drives of 5 N/m give way to 1 N by 10 cm; friction holds 2 * 0.6 * 3 N across.
    np.testing.assert_array_equal(verdict.trial_success[0], [False, False, True, True, True, True])


def test_contacts_that_do_not_fit_get_more_room(box: ObjectModel, monkeypatch: pytest.MonkeyPatch) -> None:
    scene, targets = prepared(box, pad_grasps(box, gap=[HALF[0]], squeeze=DEEP), SHORT)
    plenty = NewtonEngine(device="cpu").evaluate(scene, targets)
    monkeypatch.setattr(newton_engine, "_CONTACTS", 2)
    tight = NewtonEngine(device="cpu")
    mended = tight.evaluate(scene, targets)
    assert tight._batch is not None
    assert tight._batch.contact_limit > 2
    np.testing.assert_array_equal(mended.trial_success, plenty.trial_success)
    monkeypatch.setattr(newton_engine, "_MOST_CONTACTS", 2)
    lost = NewtonEngine(device="cpu").evaluate(scene, targets)
    assert lost.reason[0] == FailureReason.BLOW_UP  # contacts were dropped: no verdict of a hold


def test_auto_takes_newton_where_there_is_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wp, "is_cuda_available", lambda: True)
    assert engines.automatic_engine() == "newton"
    monkeypatch.setattr(wp, "is_cuda_available", lambda: False)
    assert engines.automatic_engine() == "mujoco"


def test_a_device_chooses_the_engine_and_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wp, "is_cuda_available", lambda: True)
    assert engines.automatic_engine("cpu") == "mujoco"
    monkeypatch.setattr(wp, "is_cuda_available", lambda: False)
    assert engines.automatic_engine("cuda:0") == "newton"
    assert str(engines.load_engine("newton", device="cpu").device) == "cpu"  # type: ignore[attr-defined]
    assert engines.load_engine("auto", device="cpu").name == "mujoco"
    with pytest.raises(ValueError, match=r"device 'tpu' is not available here; available: auto, cpu"):
        engines.load_engine("newton", device="tpu")
    monkeypatch.setattr(engines, "choose_device", lambda device: None)  # as where there is CUDA
    with pytest.raises(ValueError, match=r"engine mujoco runs on the CPU \(got device 'cuda:0'\)"):
        engines.load_engine("mujoco", device="cuda:0")


def test_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "newton.solvers", None)
    with pytest.raises(ImportError, match=r"pip install -e '\.\[sim\]'"):
        newton_engine.import_mujoco_warp()
