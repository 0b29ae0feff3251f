"""The command line of the synthesis run in this process, on random grasps instead of optimised ones."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import trimesh
from grasp_factory import make_grasp_set
from rich.console import Console

import warpgrasp.generate.__main__ as generate
import warpgrasp.generate.batch as batch
from warpgrasp.base.stage_clock import StageClock
from warpgrasp.generate.terminal import Report
from warpgrasp.grasps.grasp_set import GraspSet
from warpgrasp.hands import HandModel
from warpgrasp.objects import ObjectModel
from warpgrasp.synthesis.synthesize import Progress, SynthesisConfig

__all__ = ["SMALL", "FakeSynthesis", "Shell", "make_shell"]

SMALL = ("--grasps", "3", "--steps", "6", "--out", "out")


class FakeSynthesis:
    """Stands for the synthesis: random grasps keyed by seed and mesh; records what it was asked for."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.configs: list[SynthesisConfig] = []
        self.before: Callable[[Sequence[ObjectModel]], None] = lambda models: None

    @property
    def names(self) -> list[str]:
        return [name for batch in self.batches for name in batch]

    def __call__(
        self,
        hand: HandModel,
        objects: Sequence[ObjectModel],
        config: SynthesisConfig,
        *,
        progress: Callable[[Progress], None] | None = None,
        clock: StageClock | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> list[GraspSet]:
        self.before(objects)
        self.batches.append([model.name for model in objects])
        self.configs.append(config)
        assert progress is not None
        for step in range(1, config.step_count + 1, max(config.step_count // 3, 1)):
            progress(Progress(step, config.step_count, 3.0, 1.0, 0.5))
        sets = [self._grasps(hand, model, config) for model in objects]
        if stop is None or not stop():
            return sets
        return [dataclasses.replace(one, metadata={**one.metadata, "stopped_at_step": 2}) for one in sets]

    def _grasps(self, hand: HandModel, model: ObjectModel, config: SynthesisConfig) -> GraspSet:
        grasps = make_grasp_set(
            count=config.grasp_count,
            joint_names=hand.joint_names,
            contact_count=config.contact_count,
            seed=config.seed + int(model.mesh_hash[:6], 16),
        )
        entry = {
            "name": model.name,
            "path": str(model.path),
            "file_hash": model.file_hash,
            "mesh_hash": model.mesh_hash,
        }
        return dataclasses.replace(grasps, metadata={"seed": config.seed, "object": entry})


class Shell:
    """Runs the command line in this process and keeps what it printed."""

    def __init__(self, folder: Path, synthesis: FakeSynthesis) -> None:
        self.folder = folder
        self.synthesis = synthesis
        self.output = ""

    def __call__(self, *arguments: str) -> int:
        console = Console(record=True, width=500, file=io.StringIO())
        code = generate.main(
            [*arguments, "--device", "cpu", "--workers", "1"], report=Report(console, console)
        )
        self.output = console.export_text()
        return code

    def mesh(self, name: str, radius: float = 0.03) -> str:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        trimesh.creation.icosphere(subdivisions=1, radius=radius).export(path)
        return str(path)


def make_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A command line in an empty folder, with the fake synthesis and no pictures."""
    synthesis = FakeSynthesis()
    monkeypatch.setattr(batch, "synthesize", synthesis)
    monkeypatch.setattr(generate, "write_gallery", lambda path, tiles: path.touch() or path)
    monkeypatch.chdir(tmp_path)
    return Shell(tmp_path, synthesis)
