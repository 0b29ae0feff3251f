"""Learning from a written teacher with rsl_rl's distillation runner.

The runner takes a network as the teacher and waits for its checkpoint. Here the teacher's action is an observation of the
environment (:func:`~warpgrasp.eval.isaaclab.mdp.tracking_action`), so that there is neither network nor checkpoint. The
student acts and the teacher says what it would have done instead (DAgger, Ross et al. 2011).
"""

from __future__ import annotations

from typing import Any

import torch
from rsl_rl.algorithms import Distillation
from rsl_rl.models import MLPModel

__all__ = ["TeacherInObservations", "WrittenTeacherDistillation"]


class TeacherInObservations(MLPModel):
    """A teacher whose action [W, A] is the observation that it is handed."""

    def forward(self, obs: Any, *_: Any, **__: Any) -> torch.Tensor:
        """The action, shape [W, A]."""
        action: torch.Tensor = self.get_latent(obs)
        return action


class WrittenTeacherDistillation(Distillation):
    """Distillation from a teacher that needs no checkpoint."""

    teacher_loaded = True
