"""Data sets to npz files and other tools' layouts, and back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="data sets need pyarrow (extra scale)")

from data_set_factory import make
from export_runs import write_grasps
from scipy.spatial.transform import Rotation

from warpgrasp.dataset.convert import from_npz, to_npz
from warpgrasp.export import export_grasps
from warpgrasp.grasps.case import load_case
from warpgrasp.grasps.grasp_set import _SHAPES, GraspSet
from warpgrasp.grasps.sharded.folder import DataSetFolder
from warpgrasp.hands import load_hand


def test_npz_to_parquet_and_back_changes_no_bit(tmp_path: Path) -> None:
    quality = [0.25, np.nan, 0.75]
    written = write_grasps(tmp_path / "run", load_hand("allegro"), quality=quality)
    assert from_npz([tmp_path / "run"], tmp_path / "set") == 3
    (shard,) = DataSetFolder(tmp_path / "set").shards()
    assert shard.open().read()["quality"].to_pylist() == [0.25, None, 0.75]
    (path,) = to_npz(tmp_path / "set", tmp_path / "again")
    again = GraspSet.load(path)
    for name in _SHAPES:
        np.testing.assert_array_equal(getattr(again, name), getattr(written, name), err_msg=name)
    case = load_case(path)  # its object and hand are found
    original = load_case(tmp_path / "run" / "cube.npz")
    assert case.model.mesh_hash == original.model.mesh_hash
    assert case.grasp_type == original.grasp_type
    assert from_npz([tmp_path / "run"], tmp_path / "set") == 3  # replaces, does not double
    assert len(DataSetFolder(tmp_path / "set").shards()) == 1


@pytest.mark.parametrize("format", ["graspqp", "mjcf", "isaac_grasp"])
def test_exports_read_data_sets(tmp_path: Path, format: str) -> None:
    plan = ["--primitives", "2", "--methods", "simulated", "--grasps", "2", "--grasp-types", "power", "pinch"]
    assert make(tmp_path / "set", plan=plan) == 0
    result = export_grasps([tmp_path / "set"], tmp_path / "out", format=format)
    assert result.failures == {}
    assert result.grasp_count == 8
    assert len({path.parent for path in result.paths}) == 2  # both grasp types have objects of these names


# DexGraspNet's Shadow Hand: chain of every finger from the palm to the frame of its last link. Offsets [m] and axes are
# facts of its model file (shadow_hand_wrist_free.xml).
_FINGER = (("J3", (0, 1, 0)), ("J2", (1, 0, 0)), (0.045,), ("J1", (1, 0, 0)), (0.025,), ("J0", (1, 0, 0)))
_THUMB = (
    ("J4", (0, 0, -1)), ("J3", (1, 0, 0)), (0.038,), ("J2", (1, 0, 0)), ("J1", (0, 1, 0)), (0.032,), ("J0", (0, 1, 0)),
)  # fmt: skip
_BASES = {"FF": (0.033, 0, 0.095), "MF": (0.011, 0, 0.099), "RF": (-0.011, 0, 0.095)}


def _tip(qpos: dict[str, float], finger: str) -> np.ndarray:
    """Last link of a finger in the object frame, by DexGraspNet's own kinematics."""
    root = Rotation.from_euler("xyz", [qpos[f"WRJR{axis}"] for axis in "xyz"])
    rotation, position = Rotation.identity(), np.zeros(3)
    if finger == "TH":
        position = np.array([0.034, -0.009, 0.029])
        rotation = Rotation.from_quat([0, 0.382499, 0, 0.923956])
        chain: tuple = _THUMB
    else:
        position, chain = np.array(_BASES[finger]), _FINGER
    for step in chain:
        if len(step) == 1:
            position = position + rotation.apply([0, 0, step[0]])
        else:
            rotation = rotation * Rotation.from_rotvec(np.array(step[1]) * qpos[f"robot0:{finger}{step[0]}"])
    return root.apply(position) + [qpos[f"WRJT{axis}"] for axis in "xyz"]


@pytest.mark.parametrize("name", ["shadow", "shadow_wristless"])
def test_dexgraspnet_puts_the_fingers_where_they_are(tmp_path: Path, name: str) -> None:
    """Tolerance 1 mm: its thumb begins 0.4 mm beside that of the model here."""
    hand = load_hand(name)
    grasps = write_grasps(tmp_path / "run", hand)
    export_grasps([tmp_path / "run"], tmp_path / "out", format="dexgraspnet", every_status=True)
    entries = list(np.load(tmp_path / "out" / "cube.npy", allow_pickle=True))
    assert len(entries) == 3
    for entry, row in zip(entries, grasps.order(), strict=True):
        for prefix, key in (("", "qpos"), ("pregrasp_", "qpos_st")):
            position, _ = hand.forward_kinematics(
                *(
                    getattr(grasps, f"{prefix}{part}")[row].astype(np.float64)
                    for part in ("root_position", "root_quaternion", "joint_position")
                )
            )
            for finger in (*_BASES, "TH"):
                own = position[hand.link_index(f"{finger.lower()}distal")]
                assert np.linalg.norm(_tip(entry[key], finger) - own) < 1e-3, (finger, key)
        assert entry["energy"] == pytest.approx(float(grasps.energy[row]))


def test_dexlearn_finds_its_files(tmp_path: Path) -> None:
    """By the patterns its loader uses: types, objects, grasps, scene, point clouds, splits."""
    plan = ["--primitives", "3", "--methods", "simulated", "--grasps", "3", "--grasp-types", "power", "pinch"]
    assert make(tmp_path / "set", plan=plan) == 0
    result = export_grasps([tmp_path / "set"], tmp_path / "out", format="dexlearn")
    assert result.failures == {}
    objects = tmp_path / "out" / "object"
    split = {
        name: json.loads((objects / "valid_split" / f"{name}.json").read_text())
        for name in ("all", "train", "test")
    }
    assert sorted(split["train"] + split["test"]) == split["all"]
    assert len(split["all"]) == 3
    described = DataSetFolder(tmp_path / "set").table("objects").to_pylist()
    for side in ("train", "test"):
        assert split[side] == sorted(row["object"] for row in described if row["split"] == side) != []
    kinds = sorted((tmp_path / "out" / "grasp").iterdir())
    assert [kind.name for kind in kinds] == ["1_power", "3_pinch"]
    kind = kinds[0]
    models = {
        model.name: model
        for model in (load().model for load in DataSetFolder(tmp_path / "set").cases().values())
    }
    for name in split["all"]:
        (path,) = (kind / name).glob("**/*.npy")
        grasp = np.load(path, allow_pickle=True).item()
        poses = np.stack([grasp[f"{stage}_qpos"] for stage in ("pregrasp", "grasp", "squeeze")], axis=-2)
        assert poses.shape == (3, 3, 7 + 16)
        scene = np.load(grasp["scene_path"], allow_pickle=True).item()
        thing = scene["scene"][scene["task"]["obj_name"]]
        for key in ("file_path", "xml_path", "urdf_path", "info_path"):
            assert (Path(grasp["scene_path"]).parent / thing[key]).is_file(), key
        clouds = sorted(
            (objects / "vision_data" / "azure_kinect_dk" / scene["scene_id"]).glob("partial_pc*.npy")
        )
        assert len(clouds) == 5
        points = np.load(clouds[0])
        assert points.dtype == np.float32
        assert 100 < len(points) <= 4096
        assert len(models) == 3
