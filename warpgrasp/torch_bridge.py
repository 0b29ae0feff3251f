"""The energies on torch tensors; the documented place of :mod:`warpgrasp.synthesis.torch_bridge`."""

from warpgrasp.synthesis.torch_bridge import *  # noqa: F403
from warpgrasp.synthesis.torch_bridge import __all__  # noqa: F401
