"""Colours of fingers in pictures, pages and stages."""

from __future__ import annotations

__all__ = ["FINGER_COLORS", "finger_color"]

FINGER_COLORS: dict[str, tuple[int, int, int]] = {
    "thumb": (235, 64, 52),
    "index": (32, 145, 255),
    "middle": (40, 200, 90),
    "ring": (250, 200, 30),
    "little": (200, 90, 240),
    "palm": (0, 205, 205),
    "left": (32, 145, 255),
    "right": (235, 64, 52),
}
"""sRGB of the contact spheres per finger; other finger names take the remaining colours in turn."""


_OTHER_COLORS = ((255, 120, 0), (150, 220, 40), (240, 90, 160), (120, 120, 255))


def finger_color(finger: str) -> tuple[int, int, int]:
    """Return the sRGB colour of a finger's contacts, in [0, 255]."""
    if finger in FINGER_COLORS:
        return FINGER_COLORS[finger]
    return _OTHER_COLORS[sum(finger.encode()) % len(_OTHER_COLORS)]
