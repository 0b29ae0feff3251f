"""Runs of a given batch over the shipped objects, with seeds that repeat a few: what the measurements of a device step."""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import trimesh

from warpgrasp.hands import load_hand
from warpgrasp.objects import ObjectModel, example_object_names, example_object_path, load_object
from warpgrasp.synthesis.optimizer import MalaState
from warpgrasp.synthesis.problem import GraspProblem
from warpgrasp.synthesis.seeds import SeedGrasps, seed_grasps
from warpgrasp.synthesis.synthesize import SynthesisConfig

__all__ = ["STEPS", "make_problem", "make_run", "write_meshes"]

STEPS = 7000
"""Steps of a whole run, by which speeds are stated."""
_SEEDS = 32


@lru_cache
def _objects() -> list[ObjectModel]:
    return [load_object(example_object_path(name)) for name in example_object_names()]


def make_problem(hand_name: str, batch: int, device: str) -> tuple[GraspProblem, SeedGrasps]:
    """A problem of about ``batch`` grasps over at most 256 copies of the shipped objects, and seeds that repeat a few."""
    models = _objects()
    count = min(max(batch // _SEEDS, len(models)), 256, batch)
    per_object, hand = batch // count, load_hand(hand_name)
    config = SynthesisConfig()
    own = {"contact_count": 12, "terms": config.energy.active_terms()}
    few = GraspProblem(hand, models, grasp_count=min(per_object, _SEEDS), device="cpu", **own)
    seeds = seed_grasps(few, config.initialize, seed=0)
    problem = GraspProblem(
        hand, [models[i % len(models)] for i in range(count)], grasp_count=per_object, device=device, **own
    )
    rows = np.arange(per_object) % few.grasp_count
    index = np.concatenate([rows + few.grasp_count * (i % len(models)) for i in range(count)])
    columns = {entry.name: getattr(seeds, entry.name)[index] for entry in dataclasses.fields(SeedGrasps)}
    keys = np.random.default_rng(0).integers(0, 2**32, len(index), dtype=np.uint32)
    return problem, SeedGrasps(**{**columns, "random_key": keys})


def make_run(
    hand_name: str, batch: int, device: str, step_count: int = STEPS
) -> tuple[GraspProblem, MalaState, SynthesisConfig]:
    """A run that has not begun."""
    config = SynthesisConfig(step_count=step_count)
    problem, seeds = make_problem(hand_name, batch, device)
    resets = [seeds] * config.optimizer.reset_count(step_count)
    state: Any = config.optimizer.init(problem, seeds, resets, step_count=step_count)
    return problem, state, config


def write_meshes(folder: Path, count: int) -> list[Path]:
    """The shipped objects in sizes from 90 to 110 %, as files."""
    paths = []
    for index, scale in enumerate(np.linspace(0.9, 1.1, count)):
        model = _objects()[index % len(_objects())]
        path = folder / f"{model.name}_{index:03d}.obj"
        trimesh.Trimesh(scale * model.vertices, model.faces, process=False).export(path)
        paths.append(path)
    return paths
