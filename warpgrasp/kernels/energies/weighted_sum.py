"""The weighted sum of the energy terms of every grasp."""

from __future__ import annotations

import warp as wp

__all__ = ["launch_add_scaled", "weighted_sum_kernel"]

wp.set_module_options({"enable_backward": True})


@wp.kernel(enable_backward=False)
def weighted_sum_kernel(
    term_weight: wp.array(dtype=wp.float32),  # [K]
    energy_terms: wp.array2d(dtype=wp.float32),  # [K, B]
    # outputs
    energy: wp.array(dtype=wp.float32),  # [B]
):
    """Total energy ``E = sum_k w_k E_k`` of every grasp, shape [B], of terms [K, B]."""
    grasp = wp.tid()
    total = float(0.0)
    for term in range(term_weight.shape[0]):
        total += term_weight[term] * energy_terms[term, grasp]
    energy[grasp] = total


@wp.kernel
def _add_scaled(
    weight: float,
    term: wp.array(dtype=wp.float32),  # [B]
    # outputs
    total: wp.array(dtype=wp.float32),  # [B]
):
    grasp = wp.tid()
    wp.atomic_add(total, grasp, weight * term[grasp])


def launch_add_scaled(weight: float, term: wp.array, *, total: wp.array) -> None:
    """Add one weighted term [B] to the total energy [B]; taped."""
    wp.launch(_add_scaled, dim=total.shape[0], inputs=[weight, term], outputs=[total], device=total.device)
