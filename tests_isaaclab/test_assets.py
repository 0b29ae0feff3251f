"""Frames, assets and pools: what is made from a hand, an object and a grasp file."""

from pathlib import Path

import numpy as np
import pytest
import torch
from pxr import Usd, UsdPhysics

from warpgrasp.eval.isaaclab.adapter import rotate
from warpgrasp.eval.isaaclab.assets import CARRIER_JOINTS, CarrierConfig, ObjectBody, hand_usd, object_usds
from warpgrasp.eval.isaaclab.frames import carrier_from_pose, compose, inverse, pose_from_carrier
from warpgrasp.eval.isaaclab.pool import load_pool, shipped_grasps
from warpgrasp.hands import load_hand
from warpgrasp.objects import example_object_names, example_object_path, load_object


def _poses(count, seed):
    generator = torch.Generator().manual_seed(seed)
    pose = torch.randn(count, 7, generator=generator, dtype=torch.float64)
    pose[:, 3:] = torch.nn.functional.normalize(pose[:, 3:], dim=1)
    return pose


def test_rotation_matches_scipy():
    from scipy.spatial.transform import Rotation

    pose = _poses(20, 0)
    expected = Rotation.from_quat(pose[:, 3:].numpy()).apply(pose[:, :3].numpy())
    np.testing.assert_allclose(rotate(pose[:, 3:], pose[:, :3]).numpy(), expected, atol=1e-12)


def test_carrier_joints_reach_the_pose():
    base, pose = _poses(50, 1), _poses(50, 2)
    reached = pose_from_carrier(base, carrier_from_pose(base, pose))
    np.testing.assert_allclose(reached[:, :3].numpy(), pose[:, :3].numpy(), atol=1e-9)
    same = (reached[:, 3:] * pose[:, 3:]).sum(dim=1).abs()
    np.testing.assert_allclose(same.numpy(), 1.0, atol=1e-9)
    identity = compose(inverse(pose), pose)
    np.testing.assert_allclose(identity[:, :6].numpy(), 0.0, atol=1e-9)


def test_the_hand_on_a_carrier_has_one_root_and_six_more_joints(tmp_path):
    hand = load_hand("allegro")
    stage = Usd.Stage.Open(str(hand_usd(hand, carrier=CarrierConfig(), folder=tmp_path)))
    roots = [prim for prim in stage.Traverse() if prim.HasAPI(UsdPhysics.ArticulationRootAPI)]
    assert [prim.GetName() for prim in roots] == ["carrier_base"]
    names = {prim.GetName() for prim in stage.Traverse() if prim.IsA(UsdPhysics.Joint)}
    assert set(CARRIER_JOINTS) < names
    assert len(names) == 6 + sum(1 for path in hand.joint_paths if path)


def test_objects_of_a_scene_have_the_same_number_of_pieces(tmp_path):
    models = [load_object(example_object_path(name)) for name in example_object_names()]
    bodies = [ObjectBody.from_model(model, 0.1) for model in models]
    counts = []
    for path in object_usds(bodies, folder=tmp_path):
        stage = Usd.Stage.Open(str(path))
        counts.append(sum(prim.HasAPI(UsdPhysics.CollisionAPI) for prim in stage.Traverse()))
        assert UsdPhysics.MassAPI(stage.GetDefaultPrim()).GetMassAttr().Get() == pytest.approx(0.1)
    assert len(set(counts)) == 1
    assert counts[0] == max(len(body.pieces) for body in bodies)


@pytest.mark.parametrize("root", ["floating", "fixed"])
def test_a_shipped_object_spawns_in_every_world_and_may_be_fixed(root):
    """Isaac Lab's own spawner on our file: under gravity for 0.1 s a free mug falls as Newton says, a fixed one stays."""
    import isaaclab.sim as sim_utils
    from isaaclab.assets import RigidObjectCfg
    from isaaclab.scene import InteractiveScene, InteractiveSceneCfg
    from isaaclab.sim import SimulationCfg, SimulationContext

    from warpgrasp.eval.isaaclab.adapter import physics_config

    spawn = sim_utils.UsdFileCfg(usd_path=str(example_object_path("mug")), variants={"root": root})
    config = InteractiveSceneCfg(num_envs=2, env_spacing=1.0)
    config.mug = RigidObjectCfg(prim_path="{ENV_REGEX_NS}/Mug", spawn=spawn)
    simulation = SimulationContext(SimulationCfg(dt=0.005, device="cpu", physics=physics_config("newton")))
    try:
        scene = InteractiveScene(config)
        simulation.reset()
        before = scene["mug"].data.root_pos_w.torch[:, 2].clone()
        for _ in range(20):
            scene.write_data_to_sim()
            simulation.step(render=False)
            scene.update(0.005)
        fallen = before - scene["mug"].data.root_pos_w.torch[:, 2]
    finally:
        SimulationContext.clear_instance()
    expected = 9.81 * 0.005**2 * 20 * 21 / 2 if root == "floating" else 0.0  # semi-implicit Euler
    np.testing.assert_allclose(fallen.cpu().numpy(), expected, rtol=1e-3, atol=1e-6)


def test_a_scene_gives_back_the_body_it_was_built_from():
    from warpgrasp.eval.engines.mujoco_scene import build_scene
    from warpgrasp.eval.isaaclab.envs.evaluate import body_of_scene
    from warpgrasp.eval.protocol.protocols import graspqp
    from warpgrasp.objects.convex_pieces import convex_pieces

    model = load_object(example_object_path("mug"))
    scene = build_scene(load_hand("robotiq_2f140"), model, convex_pieces(model), graspqp)
    body, expected = body_of_scene(scene), ObjectBody.from_model(model, graspqp.object_mass)
    assert body.mass == pytest.approx(expected.mass)
    np.testing.assert_allclose(body.inertia, expected.inertia, rtol=1e-5, atol=1e-9)
    for own, other in zip(body.pieces, expected.pieces, strict=True):
        np.testing.assert_allclose(own.vertices.min(axis=0), other.vertices.min(axis=0), atol=1e-6)
        np.testing.assert_allclose(own.vertices.max(axis=0), other.vertices.max(axis=0), atol=1e-6)


@pytest.mark.parametrize("name", ["allegro", "robotiq_2f140"])
def test_starts_on_the_table_are_clear_of_it(name):
    from warpgrasp.eval.isaaclab.table import table_starts

    hand = load_hand(name)
    pool = load_pool(hand, shipped_grasps(name), device="cpu")
    assert len(pool.models) == 3
    starts = table_starts(hand, pool)
    assert len(starts.grasp) >= 5
    for row in range(0, len(starts.grasp), max(len(starts.grasp) // 5, 1)):
        grasp = int(starts.grasp[row])
        turn = torch.as_tensor(starts.quaternion[row])
        root = torch.as_tensor(pool.targets.grasp_position[grasp])
        assert rotate(turn, root)[2] + starts.height[row] > 0.0


def test_shipped_grasps_are_of_shipped_objects_wherever_they_are_used(tmp_path, monkeypatch):
    """The README's example, for one, leaves a ``mug.usda`` in the working directory."""
    monkeypatch.chdir(tmp_path)
    paths = [path for path in shipped_grasps("robotiq_2f140") if path.stem == "mug"]
    Path("mug.usda").write_text("no shipped mug")
    assert len(load_pool(load_hand("robotiq_2f140"), paths, device="cpu")) > 0


def test_missing_grasps_are_named():
    with pytest.raises(ValueError, match="no grasps are shipped for hand 'nobody'"):
        shipped_grasps("nobody")
