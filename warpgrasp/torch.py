"""Data sets of grasps for training with torch; the documented place of :mod:`warpgrasp.dataset.loading`."""

from warpgrasp.dataset.loading import *  # noqa: F403
from warpgrasp.dataset.loading import __all__  # noqa: F401
