"""Robot hands: :class:`HandModel`, the shipped hands and the USD reader.

Importing this package loads neither OpenUSD nor Warp; :func:`load_hand` imports the reader when it is called.
"""

from __future__ import annotations

from warpgrasp.hands.contact_sampling import ContactCandidates
from warpgrasp.hands.grasp_type import GraspType, SeedPlace, make_grasp_type
from warpgrasp.hands.library import hand_names, hand_path, load_hand
from warpgrasp.hands.model import (
    ContactPatch,
    GeometryType,
    HandModel,
    JointType,
    LinkFrame,
    TriMesh,
)

__all__ = [
    "ContactCandidates",
    "ContactPatch",
    "GeometryType",
    "GraspType",
    "HandModel",
    "JointType",
    "LinkFrame",
    "SeedPlace",
    "TriMesh",
    "hand_names",
    "hand_path",
    "load_hand",
    "make_grasp_type",
]
