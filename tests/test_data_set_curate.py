"""Curation: rows are chosen as said, against plain NumPy, and what comes out is a data set."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="data sets need pyarrow (extra scale)")

import pyarrow.parquet as pq
from data_set_factory import make
from scipy.spatial.transform import Rotation

from warpgrasp.dataset.__main__ import main
from warpgrasp.dataset.choosing import PoseDistance, best_first, distinct, farthest
from warpgrasp.grasps.sharded.folder import DataSetFolder
from warpgrasp.grasps.sharded.rows import list_values

PLAN = ["--primitives", "3", "--methods", "simulated", "--objects-per-item", "2"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("curate") / "set"
    assert make(path, plan=[*PLAN, "--grasps", "40", "--seeds", "2"]) == 0
    return path


def _ids(folder: Path) -> list[str]:
    data = DataSetFolder(folder)
    return sorted(str(value) for value in data.read(data.shards(), ["grasp_id"])["grasp_id"].to_pylist())


def _object_table(folder: Path) -> object:
    data = DataSetFolder(folder)
    table = data.read(data.shards())
    chosen = np.array(table["object"].to_pylist()) == table["object"][0].as_py()
    return table.filter(chosen)


def _apart(table: object) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distances [m], angles [rad] and joint differences between all pairs, float64."""
    position, quaternion, joints = (
        list_values(table[name]).astype(np.float64)  # type: ignore[index]
        for name in ("root_position", "root_quaternion", "joint_position")
    )
    rotation = Rotation.from_quat(quaternion)
    angle = np.array([(one.inv() * rotation).magnitude() for one in rotation])
    far = np.linalg.norm(position[:, None] - position[None], axis=-1)
    return far, angle, np.sqrt(((joints[:, None] - joints[None]) ** 2).mean(axis=-1))


def test_merge_packs_and_writes_every_row_once(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    assert (
        make(other, plan=["--primitives", "5", "--methods", "simulated", "--grasps", "3", "--contacts", "15"])
        == 0
    )
    out = tmp_path / "out"
    assert main(["merge", str(folder), str(other), str(folder), "--out", str(out)]) == 0
    assert _ids(out) == sorted(_ids(folder) + _ids(other))
    (shard,) = DataSetFolder(out).shards()
    file = shard.open()
    assert file.num_row_groups == 5  # all grasps of an object are one row group
    assert file.schema_arrow.field("contact_index").type.list_size == 15
    before = DataSetFolder(folder)
    table, old = file.read(), before.read(before.shards())
    rows = {value: number for number, value in enumerate(table["grasp_id"].to_pylist())}
    order = [rows[value] for value in old["grasp_id"].to_pylist()]
    for name in ("joint_position", "energy", "contact_count"):
        np.testing.assert_array_equal(list_values(table[name])[order], list_values(old[name]))
    np.testing.assert_array_equal(
        list_values(table["contact_normal"])[order][:, :12], list_values(old["contact_normal"])
    )
    assert len(pq.read_table(out / "objects.parquet")) == 5
    assert (
        len(DataSetFolder(out).cases()) == 3 * 2 + 2
    )  # objects of both methods' contact counts have two names
    assert main(["merge", str(folder), "--out", str(out)]) == 2  # never into a data set that is there


def test_nothing_is_left_of_a_merge_that_fails(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full at the second file; a folder of unfinished files, as a killed process leaves it, is no data set."""
    from warpgrasp.base.atomic_file import OutputError
    from warpgrasp.dataset import rewriting
    from warpgrasp.grasps.sharded.folder import is_data_set

    real, out = rewriting.write_table_file, tmp_path / "out"

    def full(path: Path, *arguments: object) -> int:
        if path.name == "part_00001.parquet":
            raise OutputError(f"cannot write {path}: the disk is full.")
        return real(path, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(rewriting, "LARGEST_SHARD", 1)
    monkeypatch.setattr(rewriting, "write_table_file", full)
    assert main(["merge", str(folder), "--out", str(out)]) == 1
    assert not is_data_set(out)
    assert not list(tmp_path.rglob("*.parquet"))
    monkeypatch.setattr(rewriting, "write_table_file", real)
    (out / "unfinished").mkdir(parents=True)
    (out / "unfinished" / "part_00009.parquet").write_text("torn")
    assert main(["merge", str(folder), "--out", str(out)]) == 0
    assert len(DataSetFolder(out).shards()) == 3
    assert _ids(out) == _ids(folder)
    assert not (out / "unfinished").exists()


def test_filter(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert (
        main(
            [
                "filter",
                str(folder),
                "--out",
                str(out),
                "--where",
                "energy < 0.25",
                "--objects",
                "box*",
                "sph*",
            ]
        )
        == 0
    )
    kept = DataSetFolder(out).read(DataSetFolder(out).shards())
    every = DataSetFolder(folder).read(DataSetFolder(folder).shards())
    names = np.array(every["object"].to_pylist())
    expected = (list_values(every["energy"]) < 0.25) & np.isin(names, ["box_0_00000", "sphere_0_00000"])
    assert sorted(kept["grasp_id"].to_pylist()) == sorted(
        np.array(every["grasp_id"].to_pylist())[expected].tolist()
    )
    assert json.loads((out / "curation.json").read_text())["where"] == ["energy < 0.25"]
    for arguments, sentence in (
        (["--where", "energy"], "COLUMN < NUMBER"),
        (["--where", "weight < 1"], "no column 'weight'"),
        (["--held", "graspqp_5n"], "no column 'held_graspqp_5n'"),
        (["--status", "SLIPPED"], "none of the 240 grasps is left"),
    ):
        assert main(["filter", str(folder), "--out", str(tmp_path / "no"), *arguments]) == 2
        assert sentence in capsys.readouterr().err


def test_best_first_orders_as_grasp_sets_do() -> None:
    """Grasps that nobody tested: the same order as that of the grasp set, by quality before energy."""
    import pyarrow as pa

    quality = [0.2, None, 0.9, 0.9, 0.99]
    status = ["OK", "OK", "OK", "OK", "NOT_CLOSED"]
    table = pa.table({"status": status, "energy": [1.0, 0.0, 5.0, 4.0, 0.0], "quality": quality})
    assert best_first(table).tolist() == [3, 2, 0, 1, 4]
    held = table.append_column("held_graspqp_5n", [[None, True, None, False, None]])
    assert best_first(held).tolist() == [1, 3, 2, 0, 4]


def test_distinct_is_the_greedy_choice(folder: Path) -> None:
    """Against the same greedy choice in float64; limits so wide that many of the random poses are near."""
    table = _object_table(folder)
    distance = PoseDistance(position=0.2, angle=90.0, joint=0.6)
    far, angle, joint = _apart(table)
    near = (far <= 0.2) & (angle <= np.pi / 2) & (joint <= 0.6)
    kept: list[int] = []
    for row in best_first(table):
        if not near[row, kept].any():
            kept.append(int(row))
    assert 10 < len(kept) < 70
    assert distinct(table, distance, device="cpu").tolist() == sorted(kept)


def test_farthest_points(folder: Path) -> None:
    table = _object_table(folder)
    distance = PoseDistance(position=0.05, angle=30.0, joint=0.3)
    far, angle, joint = _apart(table)
    apart = np.sqrt((far / 0.05) ** 2 + (angle / np.radians(30.0)) ** 2 + (joint / 0.3) ** 2)
    chosen = [int(best_first(table)[0])]
    while len(chosen) < 12:
        chosen.append(int(np.argmax(apart[chosen].min(axis=0))))
    assert farthest(table, 12, distance, device="cpu").tolist() == sorted(chosen)
    assert len(farthest(table, 1000, distance, device="cpu")) == len(table)  # type: ignore[arg-type]


def test_dedup_and_select_commands(folder: Path, tmp_path: Path) -> None:
    assert (
        main(["select", str(folder), "--out", str(tmp_path / "few"), "--count", "5", "--device", "cpu"]) == 0
    )
    assert len(_ids(tmp_path / "few")) == 3 * 5
    arguments = [
        "dedup",
        str(folder),
        "--out",
        str(tmp_path / "dedup"),
        "--device",
        "cpu",
        "--position",
        "0.3",
    ]
    assert main([*arguments, "--angle", "180", "--joint", "10"]) == 0
    # Roots lie on a sphere of 0.15 m: with these limits all grasps of an object are the same.
    assert len(_ids(tmp_path / "dedup")) == 3
    assert main(["select", str(folder), "--out", str(tmp_path / "none"), "--count", "0"]) == 2


def test_statistics_count_what_the_files_hold(folder: Path, tmp_path: Path) -> None:
    from warpgrasp.dataset.stats import object_statistics

    rows = object_statistics(DataSetFolder(folder))
    assert [(row["object"], row["rows"], row["ok"]) for row in rows] == [
        ("box_0_00000", 80, 80),
        ("cylinder_0_00000", 80, 80),
        ("sphere_0_00000", 80, 80),
    ]


def test_page_shows_what_is_covered(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib", reason="pictures need matplotlib (extra sim)")
    assert main(["stats", str(folder), "--heat-maps", "1"]) == 0
    assert "allegro, power: 240 rows of 240 made, 240 OK" in capsys.readouterr().out
    page = (folder / "stats.html").read_text()
    assert page.count("<svg") == 3
    assert page.count("<img") == 1
    assert len(pq.read_table(folder / "object_statistics.parquet")) == 3


def test_principal_components_and_palms_by_hand() -> None:
    from warpgrasp.dataset.coverage import palm_directions, principal_components
    from warpgrasp.hands import load_hand

    line = np.outer(np.linspace(-1.0, 1.0, 9), [3.0, 0.0, 4.0])
    points, shares = principal_components({"a": line, "b": line + np.array([0.0, 1e-9, 0.0])})
    assert shares[0] == pytest.approx(1.0)
    np.testing.assert_allclose(np.abs(points["a"][:, 0]), np.abs(np.linspace(-5.0, 5.0, 9)), atol=1e-8)
    hand = load_hand("allegro")
    palm = Rotation.from_quat(hand.wrist_quaternion).as_matrix()[:, 2]
    turn = Rotation.from_euler("xyz", [0.3, -0.7, 1.1])
    np.testing.assert_allclose(
        palm_directions(hand, turn.as_quat()[None])[0], turn.as_matrix() @ palm, atol=1e-12
    )
