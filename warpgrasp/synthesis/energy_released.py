"""The force-closure term as GraspQP's released program computes it, beside ours (``energy_terms.ForceClosure``)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import warp as wp

from warpgrasp.base.ranges import POSITIVE, NumberRange, check_numbers
from warpgrasp.kernels.energies.released_closure import released_closure_kernel
from warpgrasp.kernels.energies.singular_values import SingularValueForm
from warpgrasp.kernels.qp.dual_newton import QpConfig
from warpgrasp.kernels.spatial import vec6
from warpgrasp.synthesis.energy_closure import ContactTerm

if TYPE_CHECKING:
    from warpgrasp.synthesis.problem import GraspProblem
    from warpgrasp.synthesis.state import GraspState

__all__ = ["ReleasedClosure"]

_EDGE_COUNT = 4


def _released_qp() -> QpConfig:
    return QpConfig(upper=21.0)


@dataclass(frozen=True, kw_only=True)
class ReleasedClosure(ContactTerm):
    """GraspQP's energy with the released program's friction pyramid, and a value that leaves the ridge out.

    Source: Zurbrügg et al. 2025, released program.
    """

    weight: float = 1.0
    """Factor in the total energy."""
    friction: float = 0.2
    """Coefficient mu of the four edges, whose tangents are not of unit length."""
    torque_weight: float = 5.0
    """Scale s of torques against forces [1/m]."""
    gain: float = 2.0
    """g."""
    offset: float = 0.01
    """e0."""
    factor: SingularValueForm = SingularValueForm.GEOMETRIC_MEAN
    """S(W), as in ``ForceClosure``."""
    decay: float = 0.1
    """v."""
    qp: QpConfig = field(default_factory=_released_qp)
    """Quadratic program; always solved by dual Newton steps."""

    def __post_init__(self) -> None:
        check_numbers(
            self,
            "released_closure",
            friction=NumberRange(upper=1.0),
            torque_weight=POSITIVE,
            gain=POSITIVE,
        )

    def launch_contacts(
        self, problem: GraspProblem, state: GraspState, energy: wp.array, position_gradient: wp.array
    ) -> None:
        shape = (problem.batch_size, problem.contact_count * _EDGE_COUNT)
        wp.launch(
            released_closure_kernel,
            dim=problem.batch_size,
            inputs=[
                self.friction,
                self.torque_weight,
                self.gain,
                self.offset,
                self.decay,
                int(self.factor),
                self.qp.constants(),
                problem.grasped_objects,
                state.contacts,
            ],
            outputs=[
                state.qp_dual,
                state.buffer("released_closure.columns", shape, vec6),
                state.buffer("released_closure.force", shape, wp.float32),
                energy,
                position_gradient,
            ],
            device=problem.device,
            record_tape=False,
        )
