"""Random draws on the device: contacts without replacement.

Every chain has its own generator, seeded by (seed, mesh, grasp) and the step, so that what else is in the batch changes
nothing. A contact is a *slot* with a range of candidates: all of the hand's, or those of one finger that must touch.
"""

from __future__ import annotations

import warp as wp

__all__ = ["draw_contact"]

wp.set_module_options({"enable_backward": False})


@wp.func
def draw_contact(
    contact_index: wp.array2d(dtype=wp.int32), grasp: int, slot: int, start: int, count: int, draw: int
) -> int:
    """First candidate of a slot's range, counted from a random one, that no contact of the grasp holds yet."""
    result = contact_index[grasp, slot]
    found = int(0)
    for k in range(count):
        if found == 0:
            candidate = start + (draw + k) % count
            taken = int(0)
            for other in range(contact_index.shape[1]):
                if contact_index[grasp, other] == candidate:
                    taken = int(1)
            if taken == 0:
                result = candidate
                found = int(1)
    return result
