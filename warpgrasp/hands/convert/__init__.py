"""A robot description (URDF, MJCF, USD) becomes a hand that grasps; ``python -m warpgrasp.hands.convert``."""

from warpgrasp.hands.convert.conversion import Conversion, ConvertConfig
from warpgrasp.hands.convert.make_hand import convert_hand

__all__ = ["Conversion", "ConvertConfig", "convert_hand"]
