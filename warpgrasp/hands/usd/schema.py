"""Names of the grasp annotation in a hand's USD file; the author writes them and the reader looks for them.

All values are SI (radians, not degrees): they are read by people and programs that never see the UsdPhysics units.
"""

from __future__ import annotations

__all__ = [
    "ANNOTATION_SET",
    "EARLIER_HASHES",
    "FINGER",
    "FRAME",
    "GRASP_ANNOTATION",
    "GRASP_TYPE",
    "IDLE_JOINTS",
    "IDLE_POSITIONS",
    "NO_ANNOTATION",
    "OPENING_POSITION",
    "PATCHES",
    "REGION",
    "REGIONS",
    "REQUIRED_FINGERS",
    "RESET_THRESHOLD",
    "SEED_PLACE",
    "SELF_COLLISION",
    "VENDOR_NAME",
    "WRIST",
]

FINGER = "warpgrasp:finger"
"""On a Mesh under a link: it is a contact patch of this finger (string)."""
REGION = "warpgrasp:region"
"""On a contact patch: one of :data:`REGIONS` (token)."""
SELF_COLLISION = "warpgrasp:selfCollision"
"""On a Sphere under a link: it stands for the link in self-collision (bool)."""
FRAME = "warpgrasp:frame"
"""On an Xform under a link: name of the frame (string); :data:`WRIST` under the root link is the wrist frame."""
GRASP_TYPE = "warpgrasp:graspType"
"""On any prim: it is the grasp type of this name (string)."""
PATCHES = "warpgrasp:patches"
"""On a grasp type: relationship to the patches that take part."""
IDLE_JOINTS = "warpgrasp:idleJoints"
"""On a grasp type: relationship to the joints of fingers that take no part."""
IDLE_POSITIONS = "warpgrasp:idlePositions"
"""On a grasp type: where those joints stay, rad or m (double[])."""
REQUIRED_FINGERS = "warpgrasp:requiredFingers"
"""On a grasp type: fingers that must touch (string[]); by default all that take part, but for a type named power."""
SEED_PLACE = "warpgrasp:seedPlace"
"""On a grasp type: what a seed grasp holds in front of the object, wrist or fingertips (token); by default the fingertips
for a type named pinch."""
RESET_THRESHOLD = "warpgrasp:resetThreshold"
"""On a grasp type: quantile of a batch's energies above which a grasp starts anew, 0.5 to 1 (double); by default 0.5 for a
type named pinch, otherwise 0.8413."""
OPENING_POSITION = "warpgrasp:openingPosition"
"""On a joint: its value in the opening pose, rad or m (double)."""
VENDOR_NAME = "warpgrasp:vendorName"
"""On a joint or a link: the vendor's name where it is not a legal prim name (string)."""

ANNOTATION_SET = "annotation"
"""Variant set on the default prim; in its variant :data:`GRASP_ANNOTATION` are patches, spheres and grasp types."""
GRASP_ANNOTATION, NO_ANNOTATION = "grasp", "none"
EARLIER_HASHES = "earlierHashes"
"""In the layer's metadata, below ``warpgrasp``: hashes of earlier files whose grasps are those of this one (string[])."""

REGIONS = ("tip", "middle", "palm")
WRIST = "wrist"
