"""Object meshes: load, mend or refuse, mass properties, surface samples, the shipped examples."""

from warpgrasp.objects.error import ObjectError
from warpgrasp.objects.geometry import feature_normals
from warpgrasp.objects.model import (
    ObjectModel,
    example_object_names,
    example_object_path,
    load_object,
    target_scale,
)
from warpgrasp.objects.repair import SignMethod

__all__ = [
    "ObjectError",
    "ObjectModel",
    "SignMethod",
    "example_object_names",
    "example_object_path",
    "feature_normals",
    "load_object",
    "target_scale",
]
