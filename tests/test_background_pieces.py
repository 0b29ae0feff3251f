"""Convex pieces that are cut while other work goes on: by whom, how often, and what becomes of a child that is not needed."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trimesh
from eval_factory import offset_box, pad_grasps, pad_hand

from warpgrasp.eval.config import EvaluationConfig
from warpgrasp.eval.protocol.protocols import PROTOCOLS
from warpgrasp.evaluate.ahead import read_ahead
from warpgrasp.generate import valid_grasps
from warpgrasp.objects import ObjectError, ObjectModel, background_pieces, decomposition, load_object
from warpgrasp.objects.background_pieces import BackgroundPieces
from warpgrasp.synthesis.synthesize import SynthesisConfig


def angle(folder: Path) -> ObjectModel:
    """Two bars that cross: not convex."""
    bars = [trimesh.creation.box((0.1, 0.02, 0.02)), trimesh.creation.box((0.02, 0.1, 0.02))]
    trimesh.util.concatenate(bars).export(folder / "angle.stl")
    return load_object(folder / "angle.stl")


def test_a_child_ends_with_the_context_that_began_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("coacd", reason="CoACD is not installed (extra 'sim')")
    model = angle(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    told = tmp_path / "process"
    script = tmp_path / "child.py"
    script.write_text(
        "import os, time\n"
        f"open({str(told) + '_'!r}, 'w').write(str(os.getpid()))\n"
        f"os.rename({str(told) + '_'!r}, {str(told)!r})\n"
        "time.sleep(60)\n"
    )
    monkeypatch.setattr(decomposition, "_CHILD", script)
    with BackgroundPieces(workers=1) as pieces:
        pieces.begin(model)
        while not told.exists():
            time.sleep(0.01)
    with pytest.raises(ProcessLookupError):
        os.kill(int(told.read_text()), 0)
    convex = tmp_path / "cache" / "warpgrasp" / "convex"
    assert not list(convex.glob("*"))  # neither pieces nor a failure to be remembered


def test_a_mesh_is_cut_once_and_a_failure_is_told_where_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def cut(model: ObjectModel, config: Any, *, stop: Any) -> tuple[str]:
        seen.append(model.name)
        if model.name == "angle":
            raise ObjectError("angle: cannot be cut")
        return (model.name,)

    monkeypatch.setattr(background_pieces, "convex_pieces", cut)
    box = offset_box(tmp_path, (0.01, 0.02, 0.03))
    with BackgroundPieces(workers=1) as pieces:
        for model in (box, box, angle(tmp_path)):
            pieces.begin(model)
        assert pieces.pieces(box) == (box.name,)
        with pytest.raises(ObjectError, match="cannot be cut"):
            pieces.pieces(angle(tmp_path))
    assert seen == [box.name, "angle"]


def test_files_are_read_ahead_in_order_and_errors_wait_for_their_turn(tmp_path: Path) -> None:
    files = [Path(f"{index}.npz") for index in range(9)]
    finished = tmp_path / "finished"
    finished.touch()
    begun: list[str] = []

    def load(path: Path) -> Any:
        if path.stem == "4":
            raise ValueError("4 is damaged")
        return SimpleNamespace(model=path.stem)

    pieces: Any = SimpleNamespace(workers=1, begin=begun.append)
    got: list[str] = []
    for path, case in read_ahead(
        files, load, pieces, result=lambda path: finished if path.stem == "2" else tmp_path / path.stem
    ):
        if path.stem == "4":
            with pytest.raises(ValueError, match="4 is damaged"):
                case()
        else:
            got.append(str(case().model))
        if path.stem == "0":
            assert begun == ["0", "1"]  # two for the worker; the result of 2 is there
    assert got == ["0", "1", "2", "3", "5", "6", "7", "8"]
    assert begun == ["0", "1", "3", "5", "6", "7", "8"]


def test_the_judge_begins_with_the_objects_before_grasps_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mujoco", reason="MuJoCo is not installed (extra 'sim')")
    box = offset_box(tmp_path, (0.02, 0.02, 0.02))
    events: list[str] = []

    class Watched(BackgroundPieces):
        def begin(self, model: ObjectModel) -> None:
            events.append("begin")
            super().begin(model)

    monkeypatch.setattr(valid_grasps, "BackgroundPieces", Watched)

    def one_round(number: int, models: list[ObjectModel], config: SynthesisConfig) -> list[Any]:
        events.append("round")
        return [pad_grasps(model, gap=[0.02], squeeze=0.0) for model in models]

    engine: Any = SimpleNamespace(name="none", evaluate=lambda scene, targets: pytest.fail("asked"))
    judge = valid_grasps.Judge(1, 1, EvaluationConfig(protocol=PROTOCOLS["graspqp"]), engine)
    monkeypatch.setattr(valid_grasps.Judge, "_judge_round", lambda *_: events.append("judged"))
    monkeypatch.setattr(valid_grasps.Judge, "_finished", lambda self, entry, hand: entry)
    judge.valid_grasps(one_round, pad_hand(), [box], SynthesisConfig(grasp_count=1))
    assert events == ["begin", "round", "judged"]
