"""Columns of one grasp as USD attributes and back, exactly: names, types, and the order of quaternions."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pxr import Gf, Sdf, Vt

__all__ = [
    "GRASP_ATTRIBUTES",
    "LATER_ATTRIBUTES",
    "WAYPOINT_ATTRIBUTES",
    "attribute_name",
    "column_from_usd",
    "column_to_usd",
    "gf_quatf_wxyz_from_xyzw",
    "stack_column",
    "vec3f_array",
    "xyzw_from_gf_quat_wxyz",
]

_PREFIX = "warpgrasp:"
_TYPES = Sdf.ValueTypeNames

GRASP_ATTRIBUTES: dict[str, Sdf.ValueTypeName] = {
    "root_position": _TYPES.Point3f,
    "root_quaternion": _TYPES.Quatf,
    "joint_position": _TYPES.FloatArray,
    "pregrasp_root_position": _TYPES.Point3f,
    "pregrasp_root_quaternion": _TYPES.Quatf,
    "pregrasp_joint_position": _TYPES.FloatArray,
    "squeeze_root_position": _TYPES.Point3f,
    "squeeze_root_quaternion": _TYPES.Quatf,
    "squeeze_joint_position": _TYPES.FloatArray,
    "squeeze_torque": _TYPES.FloatArray,
    "contact_index": _TYPES.IntArray,
    "contact_position": _TYPES.Point3fArray,
    "contact_normal": _TYPES.Normal3fArray,
    "contact_force": _TYPES.Vector3fArray,
    "energy": _TYPES.Float,
    "energy_terms": _TYPES.FloatArray,
    "status": _TYPES.Int,
    "quality": _TYPES.Float,
    "waypoint_root_position": _TYPES.Point3fArray,
    "waypoint_joint_position": _TYPES.FloatArray,
    "waypoint_clearance": _TYPES.FloatArray,
}
"""Column -> attribute type of what belongs to one grasp."""

WAYPOINT_ATTRIBUTES = tuple(name for name in GRASP_ATTRIBUTES if name.startswith("waypoint_"))
"""Columns that stages lack where nobody asked for waypoints."""
LATER_ATTRIBUTES = ("squeeze_torque", "quality", *WAYPOINT_ATTRIBUTES)
"""Columns that stages may lack: older ones, and those without waypoints."""


def gf_quatf_wxyz_from_xyzw(quaternion: npt.ArrayLike) -> Gf.Quatf:
    """Quaternion xyzw, as everywhere in this package, to ``Gf.Quatf``, which takes the real part first."""
    x, y, z, w = (float(value) for value in np.asarray(quaternion))
    return Gf.Quatf(w, x, y, z)


def xyzw_from_gf_quat_wxyz(quaternion: Gf.Quatf | Gf.Quatd) -> tuple[float, float, float, float]:
    """``Gf.Quatf`` or ``Gf.Quatd`` (real part first) to xyzw."""
    x, y, z = quaternion.GetImaginary()
    return float(x), float(y), float(z), float(quaternion.GetReal())


@functools.cache
def attribute_name(column: str) -> str:
    """Name of a column's attribute: ``root_position`` becomes ``warpgrasp:rootPosition``."""
    first, *rest = column.split("_")
    return _PREFIX + first + "".join(word.capitalize() for word in rest)


def column_to_usd(kind: Sdf.ValueTypeName, value: Any) -> Any:
    """Value of one grasp in a column as an attribute of type ``kind`` takes it."""
    if kind == _TYPES.Quatf:
        return gf_quatf_wxyz_from_xyzw(value)
    if kind == _TYPES.Point3f:
        return Gf.Vec3f(*(float(v) for v in value))
    if kind == _TYPES.Float:
        return float(value)
    if kind == _TYPES.Int:
        return int(value)
    if kind == _TYPES.FloatArray:
        return Vt.FloatArray.FromNumpy(np.ascontiguousarray(value).ravel())
    if kind == _TYPES.IntArray:
        return Vt.IntArray.FromNumpy(np.ascontiguousarray(value))
    return vec3f_array(value)


def vec3f_array(values: npt.NDArray[np.float32]) -> Vt.Vec3fArray:
    """Vectors [..., 3] as USD holds them."""
    return Vt.Vec3fArray.FromNumpy(np.ascontiguousarray(values, dtype=np.float32).reshape(-1, 3))


def column_from_usd(prim: Sdf.PrimSpec, column: str) -> Any:
    """Value of one grasp in a column; quaternions xyzw."""
    value = prim.attributes[attribute_name(column)].default
    return xyzw_from_gf_quat_wxyz(value) if isinstance(value, Gf.Quatf) else np.array(value)


def stack_column(column: str, values: Sequence[Any], lengths: dict[str, int]) -> npt.NDArray[Any]:
    """Stack one column; its row shape comes from the file, so that a set without grasps keeps its columns."""
    kind = GRASP_ATTRIBUTES[column]
    if column in WAYPOINT_ATTRIBUTES:
        widths = {"waypoint_root_position": (3,), "waypoint_joint_position": (lengths["joint"],)}
        width = widths.get(column, ())
        waypoints = np.size(values) // max(len(values) * int(np.prod(width)), 1)
        return np.array(values, dtype=np.float64).reshape(len(values), waypoints, *width)
    if kind in (_TYPES.Float, _TYPES.Int):
        shape: tuple[int, ...] = ()
    elif kind in (_TYPES.FloatArray, _TYPES.IntArray):
        words = {"terms": "terms", "contact": "contact", "joint": "joint", "torque": "joint"}
        word = next(words[word] for word in words if word in column)
        shape = (lengths[word],)
    elif kind in (_TYPES.Quatf, _TYPES.Point3f):
        shape = (4,) if kind == _TYPES.Quatf else (3,)
    else:
        shape = (lengths["contact"], 3)
    return np.array(values, dtype=np.float64).reshape(len(values), *shape)
