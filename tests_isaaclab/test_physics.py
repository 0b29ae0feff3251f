"""What the environments simulate: good grasps hold, empty ones drop, equal worlds stay together, tables carry."""

import dataclasses

import numpy as np
import pytest
import torch

from warpgrasp.eval.isaaclab.pool import shipped_grasps
from warpgrasp.grasps.grasp_set import GraspSet
from warpgrasp.hands import load_hand


@pytest.fixture(scope="module")
def mug():
    """Shipped grasps of the mug, best first."""
    path = next(path for path in shipped_grasps("allegro") if path.stem == "mug")
    return GraspSet.load(path)


def _mixed(file, force):
    """Six shipped grasps on whose verdicts MuJoCo does not change its mind, and six pulled off the object."""
    from warpgrasp.eval.engines.mujoco import MujocoEngine
    from warpgrasp.eval.engines.mujoco_scene import build_scene
    from warpgrasp.eval.isaaclab.pool import load_pool
    from warpgrasp.eval.protocol.drives import joint_drives
    from warpgrasp.eval.protocol.protocols import PROTOCOLS
    from warpgrasp.objects.convex_pieces import convex_pieces

    hand, protocol = load_hand("allegro"), PROTOCOLS["graspqp"].with_force(force)
    grasps = GraspSet.load(file)
    drives = joint_drives(hand, protocol)

    def verdicts(way):
        pool = load_pool(
            hand, [_moved(grasps, way)], device="cpu", stiffness=drives.stiffness, effort=drives.effort
        )
        scene = build_scene(hand, pool.models[0], convex_pieces(pool.models[0]), protocol)
        return MujocoEngine(workers=2).evaluate(scene, pool.targets).trial_success

    decided = np.flatnonzero((verdicts(np.zeros(3)) == verdicts(np.full(3, 6e-5))).all(axis=1))
    clear = grasps.select(decided[:6])
    outward = clear.root_position / np.linalg.norm(clear.root_position, axis=1, keepdims=True)
    return GraspSet.concatenate([clear, _moved(clear, 0.08 * outward)])


def _moved(grasps, way):
    stages = ("root_position", "pregrasp_root_position", "squeeze_root_position")
    moved = {name: (getattr(grasps, name) + way).astype(np.float32) for name in stages}
    return dataclasses.replace(grasps, **moved)


def test_verdicts_agree_with_the_mujoco_engine(make):
    """At least 85 % of the grasps get MuJoCo's verdict on a small set of which a third to two thirds hold.

    The cases are clear, so that one that flips is a fault: ``benchmarks/engine_agreement.py`` measures undecided ones too.
    """
    from warpgrasp.eval.engines.mujoco import MujocoEngine
    from warpgrasp.eval.results.agreement import Agreement

    bottle = next(path for path in shipped_grasps("allegro") if path.stem == "bottle")
    environment = make("WarpGrasp-Evaluate-Allegro", num_envs=12, grasps=[_mixed(bottle, 15.0)], force=15.0)
    verdict = environment.evaluate()
    reference = MujocoEngine(workers=2).evaluate(environment.scenes[0], environment.targets)
    for measure in ("success_any", "success_all"):
        agreement = Agreement.of(getattr(reference, measure), getattr(verdict, measure))
        assert agreement.meaningful, (measure, agreement)
        assert agreement.observed >= 0.85, (measure, agreement)
        assert agreement.kappa >= 0.6, (measure, agreement)
    assert not environment.adapter.overflow()
    assert verdict.effort_ratio.max() <= 1.0
    np.testing.assert_allclose(verdict.penetration, reference.penetration, atol=1e-6)


def test_evaluate_has_the_drives_and_limits_of_the_protocol(make, mug):
    """What runs in Newton, joint by joint: gains, inertia, effort, friction, limits; and MuJoCo's contacts."""
    from isaaclab_newton.physics import NewtonManager

    environment = make(
        "WarpGrasp-Evaluate-Allegro", num_envs=1, grasps=[mug.best(1)], protocol="dexgraspbench"
    )
    environment.reset()
    environment._advance(torch.zeros(1, 16))
    drives, robot = environment.scenes[0].drives, environment.scene["hand"]
    order = environment.adapter._driven
    for name, expected in (
        ("joint_stiffness", drives.stiffness),
        ("joint_damping", drives.damping),
        ("joint_armature", drives.armature),
        ("joint_effort_limits", drives.effort),
        ("joint_friction_coeff", drives.friction),
    ):
        np.testing.assert_allclose(
            getattr(robot.data, name).torch[0, order], expected, rtol=1e-5, err_msg=name
        )
    model = NewtonManager._solver.mjw_model
    hinges = model.jnt_solref.numpy()[0, :16]
    np.testing.assert_allclose(hinges, np.tile([0.02, 1.0], (16, 1)), rtol=1e-6)
    assert model.opt.run_collision_detection
    assert model.is_sparse  # dense Jacobians and elliptic cones cost three times as much on the CPU
    assert np.unique(model.geom_solref.numpy()[..., 0]) == pytest.approx(0.005)


def test_a_hand_that_does_not_touch_drops(make, mug):
    """A hand far away holds nothing, and the object flies as Newton's second law says."""
    few = mug.best(2)
    moved = _moved(few, np.array([0.0, 0.0, 20.0]))
    environment = make("WarpGrasp-Evaluate-Allegro", num_envs=2, grasps=[moved], force=2.0)
    verdict = environment.evaluate()
    assert not verdict.trial_success.any()
    assert (verdict.contact_count == 0).all()
    # 2 N on 0.2 kg: half a second forth, a quarter at 5 m/s, half a second until it stands.
    way = 0.5 * 10.0 * 0.5**2 + 5.0 * 0.25 + 0.5 * 10.0 * 0.5**2
    np.testing.assert_allclose(verdict.displacement, way, rtol=0.01)


def test_equal_worlds_stay_together(make, mug):
    """Two worlds with the same reset and the same actions; the CPU gives them the same numbers."""
    twice = GraspSet.concatenate([mug.best(1), mug.best(1)])
    environment = make("WarpGrasp-Evaluate-Allegro", num_envs=2, grasps=[twice], force=2.0)
    environment.reset()
    still = torch.zeros(2, 16)
    for _ in range(60):
        environment._advance(still)
    body, joints = environment.adapter.body_pose(), environment.adapter.joint_position()
    # World origins differ, so float32 rounds positions differently: what is left after 60 steps.
    assert (body[0] - body[1]).abs().max() < 1e-3
    assert (joints[0] - joints[1]).abs().max() < 1e-3


def test_links_follow_the_hand_model(make):
    environment = make("WarpGrasp-Grasp-Robotiq2f140", num_envs=2)
    environment.reset()
    hand = load_hand("robotiq_2f140")
    poses = environment.adapter.link_pose().numpy()
    for world in range(2):
        position, _ = hand.forward_kinematics(
            poses[world, 0, :3],
            poses[world, 0, 3:],
            environment.pool.pregrasp_joints[environment.grasp[world]].numpy(),
        )
        np.testing.assert_allclose(poses[world, :, :3], position, atol=1e-4)


def test_grasp_rewards_are_the_energies_of_the_synthesis(make):
    """Distance and force closure of a reward step equal the bridge's at the same contacts."""
    from warpgrasp.synthesis.torch_bridge import contact_distance

    environment = make("WarpGrasp-Grasp-Allegro", num_envs=3)
    environment.reset()
    environment.step(torch.zeros(environment.action_space.shape))
    contact = environment.contact
    expected = contact_distance(
        contact.position, contact.hand_normal, contact.closest_point, contact.object_normal
    )
    torch.testing.assert_close(environment.geometry.distance(contact), expected)
    log = environment.extras["log"]
    assert log["Reward/distance"].item() == pytest.approx(
        -environment.cfg.distance_weight * expected.clamp(max=1.0).mean().item(), rel=1e-4
    )


def test_objects_rest_on_the_table_and_the_wrist_rises(make):
    environment = make("WarpGrasp-Lift-Allegro", num_envs=3, closing_time=10.0)
    environment.reset()
    action = torch.zeros(environment.action_space.shape)
    for _ in range(6):
        environment.step(action)
    assert environment._rise().abs().max() < 5e-3  # resting poses rest
    before = environment.adapter.link_pose()[:, 0, 2].clone()
    action[:, 16 + 2] = 1.0
    for _ in range(6):
        environment.step(action)
    risen = environment.adapter.link_pose()[:, 0, 2] - before
    assert (risen > 0.5 * 6 * environment.cfg.wrist_position_scale).all()


def test_event_terms_randomise_the_table_task(make):
    """Friction, mass and gains differ between worlds, the pose between resets; without the term it does not."""
    environment = make("WarpGrasp-Lift-Robotiq2f140", num_envs=6, closing_time=10.0)
    environment.reset()
    first = environment.place[:, :2].clone()
    assert first.abs().max() <= 0.05 + 1e-6
    assert (first[0] - first[1]).abs().max() > 1e-4
    environment.reset()
    assert (environment.place[:, :2] - first).abs().max() > 1e-4
    robot, thing = environment.scene["hand"], environment.scene["object"]
    for values in (
        thing.data.body_mass.torch,
        robot.data.joint_stiffness.torch[:, robot.joint_names.index("carrier_x")],
    ):
        assert values.flatten().std() > 0.0
    assert set(environment.event_manager.active_terms["reset"]) == {"place"}


def test_fingers_pressed_into_the_table_stay_whole(make):
    """Newton's own joint limits let them fly apart, at thousands of rad/s and more."""
    environment = make("WarpGrasp-Lift-Allegro", num_envs=6, closing_time=10.0)
    environment.reset()
    generator = torch.Generator().manual_seed(2)
    fastest = 0.0
    for _ in range(16):
        action = 2.0 * torch.rand(6, environment.action_size, generator=generator) - 1.0
        action[:, 16 + 2] = -1.0
        environment.step(action)
        fastest = max(fastest, float(environment.adapter.joint_velocity().abs().max()))
    assert environment.divergence_count == 0
    assert fastest < 60.0


def test_grasps_whose_hand_goes_through_the_object_are_left_out():
    """One of the shipped grasps of the duck is 29 mm inside it; trimesh agrees about the grasps that stay."""
    import trimesh
    from scipy.spatial.transform import Rotation

    from warpgrasp.eval.isaaclab.pool import load_pool
    from warpgrasp.eval.isaaclab.ways import DEEPEST, way_depth

    hand = load_hand("allegro")
    path = next(path for path in shipped_grasps("allegro") if path.stem == "duck")
    pool = load_pool(hand, [path], device="cpu")
    depth = way_depth(hand, pool)
    assert (depth > DEEPEST).sum() == 1
    model = pool.models[0]
    mesh = trimesh.Trimesh(model.vertices, model.faces, process=False)
    for grasp in (int(depth.argmax()), int(depth.argmin())):
        place, turn = hand.forward_kinematics(
            *(getattr(pool.targets, f"grasp_{name}")[grasp] for name in ("position", "quaternion", "joints"))
        )
        deepest = 0.0
        for index, own in enumerate(hand.geometry_mesh):
            link = int(hand.geometry_link[index])
            points = Rotation.from_quat(turn[link]).apply(np.asarray(own.vertices)[::4]) + place[link]
            deepest = max(deepest, float(trimesh.proximity.signed_distance(mesh, points).max()))
        assert (deepest > 0.01) == (depth[grasp] > DEEPEST)
    kept = pool.select(np.flatnonzero(depth <= DEEPEST))
    assert len(kept) == len(pool) - 1
    assert len(kept.targets) == len(kept.pregrasp_joints) == len(kept)
