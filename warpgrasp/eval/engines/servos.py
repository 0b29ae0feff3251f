"""Position servos of a scene: what to command so that the joints of the hand go to a position."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Servos"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Servos:
    """The position servos of a model with U actuators."""

    moment: FloatArray
    """Change of what a servo holds per independent joint of the hand, shape [U, J]."""
    offset: FloatArray
    """What a servo holds when all joints are 0, shape [U]."""
    effort: FloatArray
    """Effort limit of each [Nm or N], shape [U]."""

    def controls(self, joint_position: FloatArray) -> FloatArray:
        """Controls [..., U] that hold independent joints [..., J]."""
        return np.asarray(joint_position @ self.moment.T + self.offset)
