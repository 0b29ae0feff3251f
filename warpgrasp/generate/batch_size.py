"""How many grasps are made at once: what pays, and what fits into memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from warpgrasp.base.memory import free_memory
from warpgrasp.kernels.distance_bound import BYTES_PER_OBJECT
from warpgrasp.synthesis.synthesize import SynthesisConfig, bytes_per_grasp

if TYPE_CHECKING:
    from warpgrasp.hands.model import HandModel
    from warpgrasp.objects import ObjectModel

__all__ = ["bytes_for_batch", "bytes_of_batch", "largest_batch", "memory_sentence"]

_CPU_BATCH = 32  # grasps; a larger batch is not faster on a CPU and would lose more when it is killed
_CUDA_BATCH = (
    16384  # the objects of the next batch are read, and the files of the last written, while one runs
)
_MEMORY_SHARE = 0.7  # of the free memory a batch may take
_BYTES_PER_FACE = 400  # BVH, indices, pseudo normals and corners
_BYTES_PER_SAMPLE = 48


def largest_batch(device: Any) -> int:
    """Grasps that a batch has at most on a Warp device."""
    return _CUDA_BATCH if device.is_cuda else _CPU_BATCH


def bytes_for_batch(device: Any) -> int | None:
    """Bytes a batch may take on a Warp device, or ``None`` where that is not known."""
    free = device.free_memory if device.is_cuda else free_memory()
    return None if free is None else int(_MEMORY_SHARE * free)


def bytes_of_batch(
    models: Sequence[ObjectModel], count: int, hand: HandModel, config: SynthesisConfig
) -> int:
    """Estimated bytes of a batch of ``count`` objects, of which ``models`` are known; the others count like their average."""
    faces = sum(len(model.faces) for model in models) / max(len(models), 1)
    per_object = faces * _BYTES_PER_FACE + config.sample_count * _BYTES_PER_SAMPLE + BYTES_PER_OBJECT
    per_object += config.candidate_count * bytes_per_grasp(hand, config)
    return int(count * per_object)


def memory_sentence(model: ObjectModel, needed: int, available: int, config: SynthesisConfig) -> str:
    """Why a batch of one object does not fit into ``available`` bytes, and with how many grasps it would."""
    of = f" of {config.candidate_count} candidates" if config.candidate_count > config.grasp_count else ""
    return (
        f"{model.path.name}: {config.grasp_count} grasps{of} need about {needed / 2**30:.1f} GiB and "
        f"{available / 2**30:.1f} GiB are free; pass --grasps {max(config.grasp_count * available // needed, 1)} or less."
    )
