"""The Shadow hand from the palm on; ``python -m warpgrasp.hands.shipped.shadow_wristless.build`` writes ``hand.usda``.

For arms whose own wrist carries the hand: forearm and the two wrist joints of :mod:`warpgrasp.hands.shipped.shadow` are
left out.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from warpgrasp.hands.authoring.description import HandDescription
from warpgrasp.hands.shipped.shadow.build import describe as describe_shadow

__all__ = ["describe"]


def describe() -> HandDescription:
    """The hand without forearm and wrist."""
    return replace(
        describe_shadow(wrist=False),
        earlier_hashes=("552b8e1b586b8aa4955b8997c5290462fdcddbbaca47c2f8c553d6736cc53de4",),
    )


if __name__ == "__main__":
    from warpgrasp.hands.authoring.author import write_hand

    write_hand(describe(), Path(__file__).with_name("hand.usda"), fixed_mesh_name=True)
