"""Grasp files for tests of the export: random poses, a different one at each stage."""

from __future__ import annotations

import dataclasses
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from eval_factory import grasps_of, offset_box

from warpgrasp.grasps.grasp_set import GraspSet
from warpgrasp.hands import HandModel

__all__ = ["COUNT", "read_torch", "stage_of", "write_grasps"]

COUNT = 3


def write_grasps(
    folder: Path, hand: HandModel, *, name: str = "cube", count: int = COUNT, **changes: Any
) -> GraspSet:
    """Random grasps with a different pose at each stage."""
    rng = np.random.default_rng(3)
    folder.mkdir(parents=True, exist_ok=True)
    model = offset_box(folder, (0.03, 0.02, 0.01), (0.01, 0.0, 0.002))
    columns: dict[str, Any] = {}
    for prefix in ("", "pregrasp_", "squeeze_"):
        quaternion = rng.normal(size=(count, 4))
        columns[f"{prefix}root_quaternion"] = quaternion / np.linalg.norm(quaternion, axis=1, keepdims=True)
        columns[f"{prefix}root_position"] = rng.normal(0.0, 0.1, (count, 3))
        columns[f"{prefix}joint_position"] = rng.uniform(
            hand.dof_lower, hand.dof_upper, (count, hand.dof_count)
        )
    columns["energy"] = np.arange(count, dtype=np.float64)[::-1]
    base = grasps_of(
        hand,
        model,
        root_position=columns["root_position"],
        root_quaternion=columns["root_quaternion"],
        joint_position=columns["joint_position"],
    )
    grasps = dataclasses.replace(base, **{**columns, **changes})
    grasps.save(folder / f"{name}.npz")
    return grasps


def stage_of(grasps: GraspSet, stage: str, row: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Root position, root quaternion and joints of one grasp at a stage."""
    prefix = "" if stage == "grasp" else f"{stage}_"
    names = ("root_position", "root_quaternion", "joint_position")
    position, quaternion, joints = (getattr(grasps, prefix + name)[row].astype(np.float64) for name in names)
    return position, quaternion, joints


def read_torch(path: Path) -> Any:
    """An independent reader of torch's zip format: the pickle module with stand-ins for torch's functions."""
    kinds = {"FloatStorage": "<f4", "DoubleStorage": "<f8", "LongStorage": "<i8", "IntStorage": "<i4"}
    with zipfile.ZipFile(path) as archive:
        prefix = archive.namelist()[0].split("/")[0]
        assert archive.read(f"{prefix}/version").strip() == b"3"
        assert archive.read(f"{prefix}/byteorder") == b"little"
        assert all(entry.compress_type == zipfile.ZIP_STORED for entry in archive.infolist())

        class Reader(pickle.Unpickler):
            def find_class(self, module: str, name: str) -> Any:
                if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
                    return rebuild
                if module == "torch":
                    return kinds[name]
                return super().find_class(module, name)

            def persistent_load(self, pid: Any) -> Any:
                tag, kind, key, device, count = pid
                assert (tag, device) == ("storage", "cpu")
                data = np.frombuffer(archive.read(f"{prefix}/data/{key}"), kind)
                assert len(data) == count
                return data

        def rebuild(storage: Any, offset: int, size: Any, stride: Any, grad: bool, hooks: Any) -> Any:
            assert (offset, grad, len(hooks)) == (0, False, 0)
            array = storage.reshape(size)
            assert array.size == 0 or tuple(s // array.itemsize for s in array.strides) == tuple(stride)
            return array

        with archive.open(f"{prefix}/data.pkl") as file:
            return Reader(file).load()
