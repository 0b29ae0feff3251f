"""A hand for users of other simulators; ``python -m warpgrasp.hands.export``."""

from warpgrasp.hands.export.formats import EXPORT_FORMATS, export_hand

__all__ = ["EXPORT_FORMATS", "export_hand"]
