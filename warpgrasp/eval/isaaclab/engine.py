"""The engine ``isaaclab`` of ``python -m warpgrasp.evaluate``: Newton inside Isaac Lab, one world per grasp.

The scene it simulates is taken from the compiled MuJoCo scene it is given, piece by piece, so both engines see the same
object; the hand is the USD asset of both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from warpgrasp.eval.engines.screening import screen
from warpgrasp.eval.isaaclab import require_isaaclab
from warpgrasp.eval.isaaclab.first_start import without_adjoints

if TYPE_CHECKING:
    from warpgrasp.eval.engines.mujoco_scene import Scene
    from warpgrasp.eval.protocol.squeeze_rules import HandTargets
    from warpgrasp.eval.protocol.verdict import Verdict

__all__ = ["IsaacLabEngine"]

_WORLDS = 64  # on the CPU; more do not run faster and need more memory
_CUDA_WORLDS = 4096
_CONTACTS = 56  # per world, to begin with
_MOST_CONTACTS = 1792


class IsaacLabEngine:
    """Runs protocols in the Evaluate environment.

    Args:
        workers: Accepted for symmetry with the other engines; Newton uses the device as it sees fit.
        device: Device of the simulation: auto, cpu, cuda:0.
        worlds: Grasps simulated together; 0 chooses by device. Memory and speed, not what is simulated.

    Raises:
        ImportError: Isaac Lab 3 is not installed.
    """

    name = "isaaclab"

    def __init__(self, *, workers: int = 0, device: str = "auto", worlds: int = 0) -> None:
        require_isaaclab()
        if workers < 0 or worlds < 0:
            raise ValueError(f"workers and worlds must be at least 0 (got {workers}, {worlds})")
        self._device = device
        self._worlds = worlds
        self._contact_limit = _CONTACTS

    def evaluate(
        self, scene: Scene, targets: HandTargets, *, progress: Callable[[int], None] | None = None
    ) -> Verdict:
        """Verdict of every grasp; ``progress`` hears the number of grasps done so far."""
        screening = screen(scene, targets)
        valid = screening.index
        parts: list[Verdict] = []
        width = self._width()
        for start in range(0, len(valid), width):
            index = valid[start : start + width]
            parts.append(self._evaluate_batch(scene, targets.select(index)))
            if progress is not None:
                progress(start + len(index))
        return screening.complete(parts)

    def _width(self) -> int:
        import torch

        if self._worlds:
            return self._worlds
        on_cuda = self._device.startswith("cuda") or (self._device == "auto" and torch.cuda.is_available())
        return _CUDA_WORLDS if on_cuda else _WORLDS

    def _evaluate_batch(self, scene: Scene, targets: HandTargets) -> Verdict:
        with without_adjoints():
            verdict, overflow = self._run(scene, targets)
        if overflow and 2 * self._contact_limit <= _MOST_CONTACTS:
            self._contact_limit *= 2
            return self._evaluate_batch(scene, targets)
        return verdict

    def _run(self, scene: Scene, targets: HandTargets) -> tuple[Verdict, bool]:
        """Verdict of grasps that are simulated together, and whether contacts were lost."""
        from warpgrasp.eval.isaaclab.envs.evaluate import EvaluateEnv, EvaluateEnvCfg
        from warpgrasp.eval.isaaclab.pool import pool_of_targets

        cfg: Any = EvaluateEnvCfg()
        cfg.contact_limit = self._contact_limit
        cfg.hand = str(scene.hand.path)
        cfg.protocol, cfg.scenes = scene.protocol, [scene]
        cfg.pool = pool_of_targets(targets, [scene.center_of_mass])
        cfg.scene.num_envs, cfg.sim.device = len(targets), self._device
        environment = EvaluateEnv(cfg)
        try:
            verdict = environment.evaluate()
            return verdict, environment.adapter.overflow()
        finally:
            environment.close()
