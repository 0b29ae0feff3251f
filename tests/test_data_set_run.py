"""Making a data set: files appear whole, nothing is lost or doubled, and what is written reads back."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="data sets need pyarrow (extra scale)")

import pyarrow.dataset as ds
import pyarrow.parquet as pq
from data_set_factory import SMALL, contents, make

from warpgrasp.dataset.generations import read_generations
from warpgrasp.dataset.items import work_items
from warpgrasp.dataset.making import Maker
from warpgrasp.dataset.status import read_status
from warpgrasp.dataset.worker import Worker, forget_failures, set_aside_items
from warpgrasp.grasps.grasp_set import GraspSet
from warpgrasp.grasps.sharded.columns import Columns
from warpgrasp.grasps.sharded.folder import DataSetFolder
from warpgrasp.grasps.sharded.rows import list_values, read_grasps


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "set"
    assert make(folder) == 0
    return folder


def test_shards_in_any_order_give_the_same_files(made: Path, tmp_path: Path) -> None:
    for number in (2, 0, 1):
        assert make(tmp_path, shard=f"{number}/3") == 0
    assert contents(tmp_path) == contents(made)


def test_resume_writes_nothing_again(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made.parent)
    before = {path: path.stat().st_mtime_ns for path in made.rglob("*.parquet") if "grasps" in path.parts}
    assert make(Path(made.name)) == 0  # named from the working directory, as people do
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_rows_groups_partitions_and_units(made: Path) -> None:
    table = ds.dataset(made / "grasps", partitioning="hive").to_table()
    assert len(table) == 2 * 6 * 4
    assert len(set(table["grasp_id"].to_pylist())) == len(table)
    assert set(table["hand"].to_pylist()) == {"allegro"}
    assert set(table["grasp_type"].to_pylist()) == {"power", "pinch"}
    shard = DataSetFolder(made).shards()[0]
    file = shard.open()
    assert file.num_row_groups == 2
    for number in range(file.num_row_groups):
        assert len(set(file.read_row_group(number)["object"].to_pylist())) == 1
    field = file.schema_arrow.field("joint_position")
    assert field.type.list_size == 16
    assert field.metadata[b"unit"] == b"rad or m"
    assert json.loads(field.metadata[b"names"]) == list(shard.columns().joint_names)
    assert shard.footer()["schema_version"] == 1
    assert str(file.schema_arrow.field("contact_position").type).count("fixed_size_list") == 2
    objects = pq.read_table(made / "objects.parquet").to_pylist()
    assert {row["object"] for row in objects} == set(table["object"].to_pylist())
    assert all((made / row["asset"]).is_file() for row in objects)
    assert "48 grasps of 1 hands on 6 objects" in (made / "DATASHEET.md").read_text()
    assert json.loads((made / "croissant.json").read_text())["@type"] == "sc:Dataset"


def test_hand_is_found_among_its_layers(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shipped hand that has changed since: its copy in the data set is taken, whatever other layers lie beside it."""
    from warpgrasp.grasps.sharded import folder

    (row,) = pq.read_table(made / "hands.parquet").to_pylist()
    assert Path(row["asset"]).name == "hand.usda"
    (made / row["asset"]).with_name("a_mesh.usda").write_text('#usda 1.0\ndef Mesh "surface"\n{\n}\n')
    monkeypatch.setattr(folder, "hand_names", tuple)
    hand = DataSetFolder(made).hand("allegro", row["asset_hash"])
    assert hand.path == made / row["asset"]
    assert hand.asset_hash == row["asset_hash"]
    with pytest.raises(ValueError, match="neither shipped nor among the assets"):
        DataSetFolder(made).hand("leap", "")
    (made / row["asset"]).with_name("a_mesh.usda").unlink()


def test_grasp_sets_survive_the_table(made: Path) -> None:
    """Against the grasp set itself, bit by bit."""
    generations = read_generations(made)
    item = next(work_items(generations))
    maker = Maker(made, generations, device="cpu")
    rows = maker.grasps(item)
    from warpgrasp.dataset.simulated import simulated_grasps
    from warpgrasp.hands import load_hand

    assert item.cell is not None
    model = maker.model(item.objects[0])
    expected = simulated_grasps(
        load_hand("allegro"), model, item.cell.config(generations[0].settings, device="cpu")
    )
    grasps = read_grasps(rows.tables[0], rows.columns)
    for name in (
        "root_position",
        "root_quaternion",
        "joint_position",
        "contact_position",
        "energy_terms",
        "status",
    ):
        np.testing.assert_array_equal(getattr(grasps, name), getattr(expected, name), err_msg=name)
    assert grasps.energy_term_names == expected.energy_term_names


def test_arrays_are_those_of_pyarrow() -> None:
    """Against ``pyarrow.array``, also with nulls, no rows and letters beyond ASCII."""
    import pyarrow as pa

    from warpgrasp.grasps.sharded.rows import _Arrays

    arrays, mask = _Arrays(pa), np.array([True, False, False, True, False])
    for count in (0, 1, 5):
        unknown, values = mask[:count], np.arange(6 * count, dtype=np.float64).reshape(count, 2, 3)
        words = ["ö", "", "ö", "a", "ö"][:count]
        nested = pa.array(values.tolist(), type=pa.list_(pa.list_(pa.float32(), 3), 2))
        pairs = [
            (arrays.lists(values, pa.float32()), nested),
            (
                arrays.flat(values[:, 0, 0], pa.int64(), unknown),
                pa.array(values[:, 0, 0], pa.int64(), mask=unknown),
            ),
            (arrays.flat(unknown, pa.bool_(), ~unknown), pa.array(unknown, pa.bool_(), mask=~unknown)),
            (arrays.texts(words), pa.array(words, pa.string())),
            (arrays.words(words, unknown).cast(pa.string()), pa.array(words, pa.string(), mask=unknown)),
        ]
        for ours, theirs in pairs:
            ours.validate(full=True)
            assert ours.type == theirs.type
            assert ours.to_pylist() == theirs.to_pylist()


def test_contacts_are_padded(made: Path, tmp_path: Path) -> None:
    plan = ["--primitives", "1", "--methods", "simulated", "--grasps", "2", "--contacts", "4", "9"]
    assert make(tmp_path, plan=plan) == 0
    folder = DataSetFolder(tmp_path)
    widths = {shard.open().schema_arrow.field("contact_index").type.list_size for shard in folder.shards()}
    assert widths == {9}
    cases = folder.cases()
    assert {len(load().grasps.contact_index[0]) for load in cases.values()} == {4, 9}
    with pytest.raises(ValueError, match="rows with 4 and 9 contacts"):
        read_grasps(folder.read(folder.shards()), folder.shards()[0].columns())


def test_columns_refuse_other_joints() -> None:
    from warpgrasp.grasps.sharded.rows import Lineage, grasp_table

    grasps = GraspSet(
        **{
            f"{stage}{name}": value
            for stage in ("", "pregrasp_", "squeeze_")
            for name, value in {
                "root_position": np.zeros((1, 3)),
                "root_quaternion": [[0, 0, 0, 1]],
                "joint_position": [[0.0]],
            }.items()
        },
        joint_names=("a",), contact_index=np.zeros((1, 2)), contact_position=np.zeros((1, 2, 3)),
        contact_normal=np.zeros((1, 2, 3)), contact_force=np.zeros((1, 2, 3)), energy=[0.0],
        energy_terms=np.zeros((1, 0)), energy_term_names=(), status=[0],
    )  # fmt: skip
    lineage = Lineage(object="o", object_hash="h", scale=1.0, split="", method="m", config_hash="c", task="t")
    with pytest.raises(ValueError, match="the grasps have joints"):
        grasp_table(grasps, Columns(("b",), 2), lineage, seed=np.zeros(1, np.int64))
    with pytest.raises(ValueError, match="grasps of 2 contacts"):
        grasp_table(grasps, Columns(("a",), 1), lineage, seed=np.zeros(1, np.int64))


def test_item_that_fails_three_times_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert make(tmp_path, shard="999999/1000000") == 0  # plans, and works on nothing
    bad = next(work_items(read_generations(tmp_path))).id
    real = Maker.grasps

    def sometimes(self: Maker, item: object) -> object:
        if item.id == bad:  # type: ignore[attr-defined]
            raise RuntimeError("the moon is full")
        return real(self, item)  # type: ignore[arg-type]

    monkeypatch.setattr(Maker, "grasps", sometimes)
    assert make(tmp_path) == 1
    failures = set_aside_items(tmp_path)
    assert list(failures) == [bad]
    assert "the moon is full" in failures[bad]["sentence"]
    status = read_status(tmp_path, read_generations(tmp_path))
    assert (status.finished, status.open, len(status.set_aside)) == (5, 0, 1)
    monkeypatch.undo()
    assert make(tmp_path) == 1  # still set aside
    assert make(tmp_path, "--retry-failed") == 0
    assert set_aside_items(tmp_path) == {}


def test_deaths_are_counted_and_bounded(tmp_path: Path) -> None:
    make(tmp_path, shard="999999/1000000")
    item = next(work_items(read_generations(tmp_path)))
    attempts = tmp_path / "work" / "attempts" / f"{item.id}.json"
    attempts.parent.mkdir(parents=True)
    worker = Worker(tmp_path, device="cpu")
    attempts.write_text(json.dumps({"deaths": 9, "errors": 0}))
    assert worker.run(item).state == "written"
    assert not attempts.exists()
    item.path(tmp_path).unlink()
    attempts.write_text(json.dumps({"deaths": 10, "errors": 0}))
    outcome = worker.run(item)
    assert outcome.state == "set aside"
    assert "ended 10 times" in outcome.sentence
    forget_failures(tmp_path, [item.id])
    assert worker.run(item).state == "written"


def test_object_that_cannot_be_loaded_is_said_and_the_others_are_made(tmp_path: Path) -> None:
    from warpgrasp.dataset.primitives import write_primitives

    good = write_primitives(tmp_path / "meshes", 1)[0]
    bad = tmp_path / "meshes" / "flat.obj"
    bad.write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    plan = ["--objects", str(good), str(bad), "--methods", "simulated", "--grasps", "2"]
    assert make(tmp_path / "out", plan=plan) == 1
    status = read_status(tmp_path / "out", read_generations(tmp_path / "out"))
    assert status.failures == {"load": 1}
    assert status.rows == 2
    assert "flat" in (tmp_path / "out" / "DATASHEET.md").read_text()


def test_killed_processes_lose_nothing(made: Path, tmp_path: Path) -> None:
    """Killed while it writes: before the rename, and before the bytes are on the disk."""
    code = (
        "import os, sys, pathlib\n"
        "real, count = os.replace, 0\n"
        "def replace(a, b):\n"
        "    global count\n"
        "    count += str(b).endswith('.parquet')\n"
        "    if count == int(sys.argv[1]): os.kill(os.getpid(), 9)\n"
        "    real(a, b)\n"
        "os.replace = replace\n"
        "from warpgrasp.dataset.__main__ import main\n"
        "main(sys.argv[2:])\n"
    )
    for stop in (2, 3):
        arguments = [sys.executable, "-c", code, str(stop), *SMALL, "--out", str(tmp_path), "--shard", "0/1"]
        result = subprocess.run(arguments, capture_output=True, timeout=120, check=False)
        assert result.returncode == -signal.SIGKILL
        assert len(list((tmp_path / "work" / "attempts").iterdir())) == 1
    left = os.listdir(tmp_path / "work" / "incoming")
    assert left
    assert make(tmp_path) == 0
    assert os.listdir(tmp_path / "work" / "incoming") == []
    assert contents(tmp_path) == contents(made)


def test_target_goes_on_with_further_seeds(tmp_path: Path) -> None:
    plan = ["--primitives", "1", "--methods", "simulated", "--grasps", "3", "--target", "7"]
    assert make(tmp_path, plan=plan) == 0
    (shard,) = DataSetFolder(tmp_path).shards()
    table = shard.open().read()
    assert len(table) == 9  # all simulated grasps are OK: three rounds of three
    seeds = list_values(table["seed"])
    assert seeds[0] == 0
    assert len(set(seeds.tolist())) == 3
    assert len(set(table["grasp_id"].to_pylist())) == 9


def test_real_grasps_with_a_protocol(tmp_path: Path) -> None:
    pytest.importorskip("mujoco", reason="protocols need MuJoCo (extra sim)")
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        "objects: [{primitives: 1, kinds: [cylinder], primitive_seed: 2}]\nhands: [robotiq_2f140]\ngrasps: 8\nsteps: 200\n"
        "samples: 200\nprotocols: [{name: graspqp, forces: [5, 1]}]\nmethods: [graspqp]\n"
    )
    assert make(tmp_path / "out", plan=[str(plan), "--device", "cpu"]) == 0
    folder = DataSetFolder(tmp_path / "out")
    (shard,) = folder.shards()
    table = shard.open().read()
    ok = np.array(table["status"].to_pylist()) == "OK"
    assert ok.any()
    for label in ("graspqp_1n", "graspqp_5n"):
        held = table[f"held_{label}"].to_pylist()
        assert [value is not None for value in held] == ok.tolist()
        trials = list_values(table[f"trial_held_{label}"])
        assert [bool(value) for value in held] == trials.all(axis=1).tolist()
    assert np.isfinite(np.array(table["penetration_depth"].to_pylist(), float)[ok]).all()
    (case,) = [load() for load in folder.cases().values()]
    assert isinstance(case.grasps, GraspSet)
    assert case.model.mesh_hash == table["object_hash"][0].as_py()
    # The same grasps as synthesize gives for the asset: what is in the file is what the synthesis made.
    from warpgrasp import synthesize
    from warpgrasp.synthesis.methods import method_config

    config = method_config(grasp_count=8, candidates=1, step_count=200, sample_count=200, device="cpu")
    (again,) = synthesize(case.hand, [case.model], config)
    np.testing.assert_array_equal(again.joint_position, case.grasps.joint_position)


def test_status_and_dry_run_write_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from warpgrasp.dataset.__main__ import main

    assert main(["--status", "--out", str(tmp_path)]) == 2
    plan = [*SMALL, "--out", str(tmp_path / "x"), "--dry-run", "--device", "cpu"]
    assert main(plan) == 0
    said = capsys.readouterr().out
    assert "items     6 open (6 in all)" in said
    assert "grasps    48" in said
    assert "an object that is seen for the first time:" in said
    assert not (tmp_path / "x").exists()
    assert main([*SMALL, "--out", str(tmp_path / "x"), "--workers", "0"]) == 2
    assert "--workers must be at least 1" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_dry_run_measures_what_a_step_costs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """However short the run: the time is that of the steps, not a difference of two whole runs."""
    from warpgrasp.dataset.__main__ import main

    plan = tmp_path / "plan.yaml"
    plan.write_text("objects: [bottle]\ngrasps: 4\nsteps: 3\nsamples: 200\n")
    assert main([str(plan), "--out", str(tmp_path / "x"), "--dry-run", "--device", "cpu"]) == 0
    found = re.search(r"graspqp: ([0-9.e+-]+) ms per grasp and step", capsys.readouterr().out)
    assert found
    assert float(found[1]) > 0.0


def test_engine_that_is_not_there_is_said_before_any_synthesis(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text("objects: [{primitives: 1}]\nprotocols: [graspqp]\nengine: nothing_of_that_name:Engine\n")
    assert make(tmp_path / "x", plan=[str(plan)]) == 2
    assert "nothing_of_that_name" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_mujoco_tests_on_the_cpu_beside_a_gpu() -> None:
    """The engine refuses another device than the CPU, whatever the synthesis runs on."""
    from warpgrasp.dataset.making import engine_device

    assert engine_device("mujoco", "cuda:0") == "cpu"
    assert engine_device("newton", "cuda:0") == "cuda:0"


@pytest.mark.parametrize("shard", ["3/3", "a/b", "2", "-1/2"])
def test_refused_shards(shard: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert make(tmp_path / "x", f"--shard={shard}") == 2
    assert "--shard must be i/n" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
