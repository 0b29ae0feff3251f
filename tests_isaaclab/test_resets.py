"""The event term that puts a hand and an object of anybody's task into a grasp, and maps to other assets of a hand."""

import re

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

import warpgrasp.eval.isaaclab  # noqa: F401
from warpgrasp.eval.isaaclab.hand_map import HandMap, fit_hand_map, map_by_name
from warpgrasp.eval.isaaclab.pool import load_pool, shipped_grasps
from warpgrasp.hands import load_hand


class StandIn:
    """The Allegro hand as another asset: other frames of the root and of every link, some joints the other way round."""

    def __init__(self):
        self.hand = load_hand("allegro")
        rng = np.random.default_rng(1)
        self.turn, self.way = Rotation.random(random_state=1), np.array([0.1, -0.05, 0.3])
        self.sign = rng.choice([-1.0, 1.0], self.hand.dof_count)
        self.names = [f"finger_{index}" for index in range(self.hand.dof_count)]
        self.links = list(self.hand.link_names)
        self._axes = Rotation.random(len(self.links), random_state=2)

    def poses(self, values):
        position, quaternion = self.hand.forward_kinematics(
            np.zeros(3), np.array([0.0, 0.0, 0.0, 1.0]), self.sign * values
        )
        axes = self.turn * Rotation.from_quat(quaternion) * self._axes
        return np.concatenate([self.turn.apply(position) + self.way, axes.as_quat()], axis=1)


def test_a_map_is_fitted_to_another_asset_of_the_hand():
    other = StandIn()
    found = fit_hand_map(other.hand, other.names, "palm", other.poses, other.links)
    assert (found.joint_names, found.link) == (tuple(other.names), "palm")
    np.testing.assert_array_equal(found.sign, other.sign)
    np.testing.assert_allclose(found.pose[:3], other.way, atol=1e-9)
    np.testing.assert_allclose(np.abs(np.dot(found.pose[3:], other.turn.as_quat())), 1.0, atol=1e-9)


def test_another_hand_is_not_fitted():
    other, leap = StandIn(), load_hand("leap")
    assert leap.dof_count == other.hand.dof_count
    with pytest.raises(ValueError, match=r"the links of the asset are up to .* mm from those of hand 'leap'"):
        fit_hand_map(leap, other.names, "palm", other.poses, leap.link_names)


def test_a_joint_below_which_no_link_is_named_is_told():
    """Without the thumb's links nobody sees the thumb's joints."""
    other = StandIn()
    kept = other.links[:-4]
    names = ", ".join(other.names[-4:])
    with pytest.raises(ValueError, match=rf"no link moves with the joints {names}; name one below each"):
        fit_hand_map(other.hand, other.names, "palm", lambda values: other.poses(values)[: len(kept)], kept)


def test_a_map_by_name_says_what_is_missing():
    hand = load_hand("robotiq_2f140")
    found = map_by_name(hand, ["elbow", "knuckle"], link="base", names={hand.joint_names[0]: "knuckle"})
    assert (found.joint_names, found.link) == (("knuckle",), "base")
    with pytest.raises(ValueError, match=r"the asset lacks the joints .* it has elbow"):
        map_by_name(hand, ["elbow"], link="base")
    with pytest.raises(ValueError, match="must have one entry per joint"):
        HandMap(("a", "b"), "base", (1.0,), (0.0,))


@pytest.fixture
def scene():
    """``scene(**params)``: a manager-based environment of somebody else's with our hand, an object and the event term."""
    from isaaclab.envs import ManagerBasedEnv, ManagerBasedEnvCfg, mdp
    from isaaclab.managers import EventTermCfg, ObservationGroupCfg, ObservationTermCfg, SceneEntityCfg
    from isaaclab.utils import configclass

    from warpgrasp.eval.isaaclab.envs.configs import make_config
    from warpgrasp.eval.isaaclab.envs.grasp import GraspEnv
    from warpgrasp.eval.isaaclab.resets import reset_to_grasp

    opened = []

    def make(**params):
        path = next(path for path in shipped_grasps("robotiq_2f140") if path.stem == "mug")
        built = GraspEnv.__new__(GraspEnv)
        own = make_config("Grasp", "robotiq_2f140", num_envs=4, device="cpu", grasps=[path])
        built._prepare(own)
        entities = {"asset_cfg": SceneEntityCfg("hand"), "object_cfg": SceneEntityCfg("object")}
        given = {"hand": "robotiq_2f140", "grasps": [path], "object_frame": "center_of_mass", **params}

        @configclass
        class Observed(ObservationGroupCfg):
            joints = ObservationTermCfg(func=mdp.joint_pos, params={"asset_cfg": SceneEntityCfg("hand")})

        @configclass
        class Observations:
            policy: Observed = Observed()

        @configclass
        class Actions:
            pass

        @configclass
        class Events:
            back = EventTermCfg(func=mdp.reset_scene_to_default, mode="reset")
            grasp = EventTermCfg(func=reset_to_grasp, mode="reset", params={**entities, **given})

        cfg = ManagerBasedEnvCfg(
            sim=own.sim,
            scene=own.scene,
            decimation=2,
            observations=Observations(),
            actions=Actions(),
            events=Events(),
        )
        cfg.seed = 0
        environment = ManagerBasedEnv(cfg)
        opened.append(environment)
        return environment, load_pool(load_hand("robotiq_2f140"), [path], device="cpu")

    yield make
    for environment in opened:
        environment.close()


def _seen(environment, pool):
    """Pose of the hand's root in the object's mesh frame, and its driven joint, [W, 7] and [W]."""
    from warpgrasp.eval.isaaclab.adapter import SceneAdapter
    from warpgrasp.eval.isaaclab.frames import compose, inverse

    adapter = SceneAdapter(
        environment.scene, load_hand("robotiq_2f140"), pool.center_of_mass.expand(environment.num_envs, 3)
    )
    return compose(inverse(adapter.object_pose()), adapter.link_pose()[:, 0]), adapter.joint_position()[:, 0]


@pytest.mark.parametrize("move", ["object", "hand"])
def test_worlds_start_in_grasps_of_the_file(scene, move):
    environment, pool = scene(stage="grasp", move=move)
    environment.reset()
    root, joint = _seen(environment, pool)
    for world in range(environment.num_envs):
        apart = (root[world, :3] - pool.grasp_root[:, :3]).norm(dim=1)
        nearest = int(apart.argmin())
        assert apart[nearest] < 1e-4
        assert (root[world, 3:] * pool.grasp_root[nearest, 3:]).sum().abs() > 1.0 - 1e-5
        assert joint[world] == pytest.approx(float(pool.grasp_joints[nearest, 0]), abs=1e-4)
    height = environment.scene["object"].data.root_link_pos_w.torch[:, 2].clone()
    for _ in range(12):
        environment.step(torch.zeros(environment.num_envs, 0))
    moved = environment.scene["object"].data.root_link_pos_w.torch[:, 2] - height
    assert (moved.abs() < 0.03).float().mean() >= 0.5  # held; some grasps of the file need stiffer couplings
    assert torch.isfinite(moved).all()


def test_worlds_without_a_clear_grasp_keep_what_other_terms_did(scene):
    """All are below a ground that is too high; nobody is below one that is far away."""
    environment, pool = scene(stage="pregrasp", move="hand", ground=10.0)
    environment.reset()
    root, _ = _seen(environment, pool)
    apart = torch.cdist(root[:, :3], pool.pregrasp_root[:, :3]).amin(dim=1)
    assert (apart > 1e-3).all()
    environment.event_manager.get_term_cfg("grasp").params.update(ground=-10.0)
    environment.reset()
    root, _ = _seen(environment, pool)
    apart = torch.cdist(root[:, :3], pool.pregrasp_root[:, :3]).amin(dim=1)
    assert (apart < 1e-4).all()


def test_unknown_stages_are_named(scene):
    with pytest.raises(ValueError, match="stage must be one of pregrasp, grasp, lifted"):
        scene(stage="thrown")


def test_the_simulation_tells_where_links_are(scene):
    """Against the forward kinematics of the hand model, of which the base and the link of the driven joint are compared."""
    from warpgrasp.eval.isaaclab.assets import driven_joint_names
    from warpgrasp.eval.isaaclab.resets import simulated_poses

    environment, _ = scene()
    hand = load_hand("robotiq_2f140")
    moved = int(
        np.flatnonzero((hand.joint_dof == 0) & (hand.joint_multiplier == 1.0) & (hand.joint_offset == 0.0))[0]
    )
    names = [path.rsplit("/", 1)[-1] for path in hand.link_paths]
    joints = [driven_joint_names(hand)[0]]
    poses = simulated_poses(environment, "hand", joints, names[0], [names[0], names[moved]])
    for value in (0.0, 0.2, 0.5):
        position, quaternion = hand.forward_kinematics(
            np.zeros(3), np.array([0.0, 0.0, 0.0, 1.0]), np.array([value])
        )
        seen = poses(np.array([value]))
        np.testing.assert_allclose(seen[:, :3], position[[0, moved]], atol=1e-5)  # single precision at 1 m
        turned = Rotation.from_quat(seen[:, 3:]) * Rotation.from_quat(quaternion[[0, moved]]).inv()
        assert turned.magnitude().max() < 1e-3
    with pytest.raises(ValueError, match="'hand' lacks elbow; it has"):
        simulated_poses(environment, "hand", ["elbow"], names[0], names[:1])


def test_the_core_lift_task_takes_the_term():
    """As the page shows it; its assets are not at hand, so that it is configured and not run."""
    from isaaclab.managers import EventTermCfg, SceneEntityCfg
    from isaaclab.sim import UsdFileCfg
    from isaaclab_tasks.core.lift.config.kuka_allegro.kuka_allegro_env_cfg import KukaAllegroLiftEnvCfg

    from warpgrasp.eval.isaaclab.resets import reset_to_grasp

    cfg = KukaAllegroLiftEnvCfg()
    mesh = next(path for path in shipped_grasps("allegro") if path.stem == "mug")
    cfg.scene.object.spawn = UsdFileCfg(usd_path=str(mesh))
    params = {
        "asset_cfg": SceneEntityCfg("robot"),
        "object_cfg": SceneEntityCfg("object"),
        "hand": "allegro",
        "grasps": [mesh],
    }
    cfg.events.grasp = EventTermCfg(func=reset_to_grasp, mode="reset", params=params)
    resets = [name for name, term in vars(cfg.events).items() if getattr(term, "mode", "") == "reset"]
    assert resets.index("grasp") > resets.index("conditional_reset")
    names = [
        f"{finger}_joint_{number}" for finger in ("index", "middle", "ring", "thumb") for number in range(4)
    ]
    patterns = [name for actuator in cfg.scene.robot.actuators.values() for name in actuator.joint_names_expr]
    for name in names:
        assert any(re.fullmatch(pattern, name) for pattern in patterns), name
    links = {f"link_{number}_0" for number in range(16)}
    assert links <= set(load_hand("allegro").link_names)
