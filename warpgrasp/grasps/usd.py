"""Grasps as one USD stage per object: opens in usdview and Omniverse with the best grasp shown.

Layout::

    /World                     variant sets "grasp": grasp_0000, grasp_0001, ...; the best one is selected; "ground"
      /Object                  reference to the object asset
      /Hand                    reference to the hand asset, its root fixed to the world; the variant poses its links, sets
                               joint states (grasp) and drive targets (squeeze)
      /Physics, /Sky, /Lamp    gravity along -z, and light: the stage plays and is seen as it opens
      /Contacts, /Forces       from the variant: points in the colour of their finger, contact forces as lines
      /Grasps                  names of joints and energy terms
        /grasp_0000            Xform at the pose of the hand root, all columns of this grasp as attributes

There is one hand at a time, so the stage can be loaded into a physics engine as it is, and it opens as fast with a
thousand grasps as with one. To look at another grasp, select ``/World`` and choose another variant.
Joint states are ``PhysicsJointStateAPI`` attributes, which Isaac Lab and PhysX read by themselves; Newton reads them
with ``add_usd(path, schema_resolvers=[SchemaResolverNewton(), SchemaResolverPhysx()])``.
Everything referenced lies in the folder ``assets`` beside the stage. Angles in the attributes of
``/World/Grasps`` are radians; those of the UsdPhysics joints are degrees, as USD wants them.
"""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pxr import Gf, Sdf, Tf, Vt

from warpgrasp.base.atomic_file import OutputError, replace_file
from warpgrasp.base.json_text import json_mapping
from warpgrasp.base.status import GraspStatus
from warpgrasp.base.usd_error import usd_reason
from warpgrasp.grasps.gallery import fingers_of_contacts
from warpgrasp.grasps.grasp_set import GraspSet
from warpgrasp.grasps.usd_assets import LinkPrim, asset_prims, hand_asset, object_asset
from warpgrasp.grasps.usd_columns import (
    GRASP_ATTRIBUTES,
    LATER_ATTRIBUTES,
    WAYPOINT_ATTRIBUTES,
    attribute_name,
    column_from_usd,
    column_to_usd,
    gf_quatf_wxyz_from_xyzw,
    stack_column,
    vec3f_array,
    xyzw_from_gf_quat_wxyz,
)
from warpgrasp.grasps.usd_surroundings import FIXED_JOINT, fix_root, hold_root, write_surroundings
from warpgrasp.hands.finger_colors import finger_color

if TYPE_CHECKING:
    from warpgrasp.hands.model import HandModel
    from warpgrasp.objects import ObjectModel

__all__ = [
    "VARIANT_SET",
    "gf_quatf_wxyz_from_xyzw",
    "read_grasp_usd",
    "write_grasp_usd",
    "xyzw_from_gf_quat_wxyz",
]

VARIANT_SET = "grasp"
"""Name of the variant set on ``/World`` that chooses the grasp."""

_METADATA = "warpgrasp"
_TYPES = Sdf.ValueTypeNames
_DOUBLE3, _QUATD, _TOKENS, _FLOAT = _TYPES.Double3, _TYPES.Quatd, _TYPES.TokenArray, _TYPES.Float
_ORDER = ("xformOp:translate", "xformOp:orient", "xformOp:scale")
_ORDERS = {count: Vt.TokenArray(list(_ORDER[:count])) for count in (2, 3)}
_UNIT_SCALE = 1.0e-5  # a scale nearer to 1 is rounding
_FORCE_LENGTH = 0.03  # m, of the line that shows the largest contact force


def write_grasp_usd(
    path: Path | str, grasp_set: GraspSet, hand: HandModel, object_model: ObjectModel
) -> Path:
    """Write a stage with all grasps, whole or not at all, and return its path.

    Args:
        path: ``.usda`` (text) or ``.usdc`` (binary, for very many grasps). Assets go to ``assets`` beside it.
        grasp_set: Grasps of ``hand`` on ``object_model``; may be empty.
        hand: Hand model with a USD asset.
        object_model: Object; any file format.

    Raises:
        ValueError: The suffix is another, or the joints are not those of the hand.
        OutputError: A file cannot be written.
    """
    path = Path(path)
    if path.suffix not in (".usda", ".usdc"):
        raise ValueError(f"path must end in .usda or .usdc (got {path.name!r})")
    if grasp_set.joint_names != tuple(hand.joint_names):
        raise ValueError(
            f"joint_names of the grasps must be those of hand {hand.name!r}: {tuple(hand.joint_names)} "
            f"(got {grasp_set.joint_names})"
        )
    assets = path.parent / "assets"
    hand_path, object_path = hand_asset(hand, assets), object_asset(object_model, assets)
    layer = Sdf.Layer.CreateAnonymous(f"grasps{path.suffix}")
    with Sdf.ChangeBlock():
        references = _relative(hand_path, path), _relative(object_path, path)
        lowest = float(np.min(np.asarray(object_model.vertices)[:, 2]))
        _fill(layer, grasp_set, hand, *references, hand_path, lowest)
    with replace_file(path) as temporary:
        try:
            written = layer.Export(str(temporary))
        except Tf.ErrorException as error:
            raise OutputError(f"cannot write {path}: {error}.") from error
        if not written:
            raise OutputError(f"cannot write {path}: OpenUSD could not export it; is the disk full?")
    return path


def read_grasp_usd(path: Path | str) -> GraspSet:
    """Read back the grasps of a stage written by :func:`write_grasp_usd`; every column is exact.

    The metadata names the files of hand and object without their folders.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is no such stage.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no such file: {path}")
    try:
        layer = Sdf.Layer.OpenAsAnonymous(str(path))
        metadata = json_mapping(layer.customLayerData[_METADATA])
        scope = layer.GetPrimAtPath("/World/Grasps")
        names: dict[str, Any] = {
            name: tuple(scope.attributes[attribute_name(name)].default)
            for name in ("joint_names", "energy_term_names")
        }
        prims = list(scope.nameChildren)
        columns = {
            name: [column_from_usd(prim, name) for prim in prims]
            for name in GRASP_ATTRIBUTES
            if name not in LATER_ATTRIBUTES or all(attribute_name(name) in p.attributes for p in prims)
        }
        contact_count = int(scope.attributes[attribute_name("contact_count")].default)
        lengths = {
            "joint": len(names["joint_names"]),
            "contact": contact_count,
            "terms": len(names["energy_term_names"]),
        }
        shaped: dict[str, Any] = {
            name: stack_column(name, values, lengths) for name, values in columns.items()
        }
        return GraspSet(**shaped, **names, metadata=metadata)
    except Exception as error:  # OpenUSD and damaged values raise whatever they like
        raise ValueError(
            f"{path} is not a grasp stage of warpgrasp ({usd_reason(error)}); generate it again."
        ) from error


def _fill(
    layer: Sdf.Layer,
    grasps: GraspSet,
    hand: HandModel,
    hand_reference: str,
    object_reference: str,
    asset: Path,
    lowest: float,
) -> None:
    layer.documentation = (
        f"{len(grasps)} grasps by warpgrasp. The variant set '{VARIANT_SET}' on /World chooses the one that is shown; "
        "the attributes of /World/Grasps hold all of them."
    )
    layer.defaultPrim = "World"
    layer.customLayerData = {_METADATA: json.dumps(_portable(grasps.metadata), sort_keys=True)}
    root = layer.pseudoRoot
    root.SetInfo("upAxis", "Z")
    root.SetInfo("metersPerUnit", 1.0)
    root.SetInfo("kilogramsPerUnit", 1.0)
    world = Sdf.PrimSpec(root, "World", Sdf.SpecifierDef, "Xform")
    world.kind = "assembly"
    for name, reference in (("Object", object_reference), ("Hand", hand_reference)):
        prim = Sdf.PrimSpec(world, name, Sdf.SpecifierDef, "Xform")
        prim.referenceList.prependedItems = [Sdf.Reference(reference)]
    fixed = fix_root(world.nameChildren["Hand"], asset)
    write_surroundings(world, lowest)
    scope = Sdf.PrimSpec(world, "Grasps", Sdf.SpecifierDef, "Scope")
    _set(scope, attribute_name("joint_names"), _TYPES.StringArray, Vt.StringArray(list(grasps.joint_names)))
    _set(
        scope,
        attribute_name("energy_term_names"),
        _TYPES.StringArray,
        Vt.StringArray(list(grasps.energy_term_names)),
    )
    _set(scope, attribute_name("contact_count"), _TYPES.Int, int(grasps.contact_index.shape[1]))
    names = [f"grasp_{i:04d}" for i in range(len(grasps))]
    for index, name in enumerate(names):
        _write_grasp(Sdf.PrimSpec(scope, name, Sdf.SpecifierDef, "Xform"), grasps, index)
    if names:
        world.variantSetNameList.prependedItems = [VARIANT_SET, *world.variantSetNameList.prependedItems]
        world.variantSelections[VARIANT_SET] = names[int(grasps.order()[0])]
        variants = Sdf.VariantSetSpec(world, VARIANT_SET)
        links, joints = asset_prims(asset)
        # Links are placed in the world, whatever transform the asset's own root has.
        _set(
            world.nameChildren["Hand"],
            "xformOpOrder",
            _TYPES.TokenArray,
            Vt.TokenArray(),
            custom=False,
            uniform=True,
        )
        shown = _Shown(grasps, hand, links, joints)
        for index, name in enumerate(names):
            variant = Sdf.VariantSpec(variants, name).primSpec
            hand_over = _pose_hand(variant, shown, index)
            if fixed:
                joint = _over(hand_over, FIXED_JOINT)
                hold_root(joint, shown.positions[index][0].tolist(), shown.quaternions[index][0].tolist())
            _show_contacts(variant, grasps, index, shown.fingers[index])


class _Shown:
    """What the variants show of all grasps: computed for all of them at once."""

    def __init__(
        self,
        grasps: GraspSet,
        hand: HandModel,
        links: dict[str, LinkPrim],
        joints: dict[str, tuple[str, str]],
    ) -> None:
        self.positions, self.quaternions = hand.link_poses(
            grasps.root_position, grasps.root_quaternion, grasps.joint_position
        )
        self.fingers = fingers_of_contacts(grasps.contact_position, self.positions, self.quaternions, hand)
        self.links = [(links[name], _is_identity(links[name])) for name in hand.link_names]
        own = set(hand.joint_names)
        self.joints = []
        grasp, squeeze = (
            hand.expand_joint_positions(values)
            for values in (grasps.joint_position, grasps.squeeze_joint_position)
        )
        for name, (path, kind) in joints.items():
            if name in grasp:
                unit = float(np.degrees(1.0)) if kind == "angular" else 1.0
                target = unit * squeeze[name] if name in own else None
                self.joints.append((path, kind, unit * grasp[name], target))


def _is_identity(link: LinkPrim) -> bool:
    """Whether the pose of a link in the world is the one to be written below its parent prim."""
    _, group, scale = link
    same = np.allclose(np.array(group), np.eye(4), rtol=0.0, atol=1.0e-12)
    return bool(same and np.allclose(np.array(scale), 1.0, rtol=0.0, atol=_UNIT_SCALE))


def _portable(metadata: dict[str, Any]) -> dict[str, Any]:
    """Metadata for a file that is handed on: of hand and object the file's name, not where it lay on this machine."""
    short = dict(metadata)
    for key in ("hand", "object"):
        entry = short.get(key)
        if isinstance(entry, dict) and isinstance(entry.get("path"), str):
            short[key] = {**entry, "path": PurePath(entry["path"]).name}
    return short


def _write_grasp(prim: Sdf.PrimSpec, grasps: GraspSet, index: int) -> None:
    position = Gf.Vec3d(*(float(v) for v in grasps.root_position[index]))
    quaternion = Gf.Quatd(gf_quatf_wxyz_from_xyzw(grasps.root_quaternion[index]))
    _set_pose(prim, position, quaternion)
    for name, kind in GRASP_ATTRIBUTES.items():
        if name in WAYPOINT_ATTRIBUTES and not grasps.waypoint_clearance.size:
            continue
        _set(prim, attribute_name(name), kind, column_to_usd(kind, getattr(grasps, name)[index]))
    status = GraspStatus(int(grasps.status[index]))
    prim.SetInfo("comment", f"{status.name}: {status.sentence}")


def _pose_hand(variant: Sdf.PrimSpec, shown: _Shown, index: int) -> Sdf.PrimSpec:
    """Override link poses, joint states and drive targets of ``/World/Hand`` inside one variant; return the override."""
    over = Sdf.PrimSpec(variant, "Hand", Sdf.SpecifierOver)
    positions, quaternions = shown.positions[index].tolist(), shown.quaternions[index].tolist()
    for (link, identity), position, (x, y, z, w) in zip(shown.links, positions, quaternions, strict=True):
        path, group, scale = link
        prim = _over(over, path)
        if identity:
            _set_pose(prim, Gf.Vec3d(*position), Gf.Quatd(w, x, y, z))
            continue
        rigid = Gf.Matrix4d(Gf.Rotation(Gf.Quatd(w, x, y, z)), Gf.Vec3d(*position))
        local = Gf.Matrix4d().SetScale(scale) * rigid * group.GetInverse()
        own = np.linalg.norm(np.array(local)[:3, :3], axis=1)
        if np.allclose(own, 1.0, rtol=0.0, atol=_UNIT_SCALE):
            _set_pose(prim, local.ExtractTranslation(), local.ExtractRotationQuat())
            continue
        turn = (Gf.Matrix4d().SetScale(_vec3d(1.0 / own)) * local).ExtractRotationQuat()
        _set_pose(prim, local.ExtractTranslation(), turn, _vec3d(own))
    for path, kind, state, target in shown.joints:
        prim = _over(over, path)
        prim.SetInfo("apiSchemas", Sdf.TokenListOp.Create(prependedItems=[f"PhysicsJointStateAPI:{kind}"]))
        _set(prim, f"state:{kind}:physics:position", _FLOAT, float(state[index]), custom=False)
        if target is not None:
            _set(prim, f"drive:{kind}:physics:targetPosition", _FLOAT, float(target[index]), custom=False)
    return over


def _show_contacts(variant: Sdf.PrimSpec, grasps: GraspSet, index: int, fingers: list[str]) -> None:
    """Points and force lines of one grasp; only what is finite can be drawn."""
    position = grasps.contact_position[index]
    force = grasps.contact_force[index]
    shown = np.isfinite(position).all(axis=1) & np.isfinite(force).all(axis=1)
    if not shown.any():
        return
    colors = Vt.Vec3fArray([_linear_color(finger) for finger, own in zip(fingers, shown, strict=True) if own])
    position, force = position[shown], force[shown]
    points = Sdf.PrimSpec(variant, "Contacts", Sdf.SpecifierDef, "Points")
    _set(points, "points", _TYPES.Point3fArray, vec3f_array(position), custom=False)
    _set(points, "widths", _TYPES.FloatArray, Vt.FloatArray(len(position), 0.006), custom=False)
    _set_extent(points, position, 0.006)
    _set_colors(points, colors)
    largest = float(np.linalg.norm(force, axis=1).max())
    if largest <= 0.0:
        return
    # A force on the object starts outside it and ends at the contact.
    tail = position - force * (_FORCE_LENGTH / largest)
    lines = Sdf.PrimSpec(variant, "Forces", Sdf.SpecifierDef, "BasisCurves")
    ends = np.stack([tail, position], axis=1).reshape(-1, 3)
    _set(lines, "type", _TYPES.Token, "linear", custom=False, uniform=True)
    _set(lines, "points", _TYPES.Point3fArray, vec3f_array(ends), custom=False)
    _set(lines, "curveVertexCounts", _TYPES.IntArray, Vt.IntArray(len(position), 2), custom=False)
    _set(lines, "widths", _TYPES.FloatArray, Vt.FloatArray(2 * len(position), 0.0015), custom=False)
    _set_extent(lines, ends, 0.0015)
    _set_colors(lines, colors)


@functools.cache
def _linear_color(finger: str) -> Gf.Vec3f:
    return Gf.Vec3f(*(float((v / 255) ** 2.2) for v in finger_color(finger)))


def _vec3d(values: npt.ArrayLike) -> Gf.Vec3d:
    return Gf.Vec3d(*(float(value) for value in np.asarray(values)))


def _over(parent: Sdf.PrimSpec, path: str) -> Sdf.PrimSpec:
    for name in path.split("/"):
        child = parent.nameChildren.get(name)
        parent = child if child is not None else Sdf.PrimSpec(parent, name, Sdf.SpecifierOver)
    return parent


def _set_pose(
    prim: Sdf.PrimSpec, position: Gf.Vec3d, quaternion: Gf.Quatd, scale: Gf.Vec3d | None = None
) -> None:
    _set(prim, _ORDER[0], _DOUBLE3, position, custom=False)
    _set(prim, _ORDER[1], _QUATD, quaternion, custom=False)
    if scale is not None:
        _set(prim, _ORDER[2], _DOUBLE3, scale, custom=False)
    order = _ORDERS[2 if scale is None else 3]
    _set(prim, "xformOpOrder", _TOKENS, order, custom=False, uniform=True)


def _set_extent(prim: Sdf.PrimSpec, points: npt.NDArray[np.float32], width: float) -> None:
    """Bounding box [m] of points that are drawn ``width`` wide."""
    box = np.stack([points.min(axis=0) - 0.5 * width, points.max(axis=0) + 0.5 * width])
    _set(prim, "extent", _TYPES.Float3Array, vec3f_array(box), custom=False)


def _set_colors(prim: Sdf.PrimSpec, colors: Vt.Vec3fArray) -> None:
    """One colour for each point or line, every colour written once."""
    distinct = list(dict.fromkeys(colors))
    indices = Vt.IntArray([distinct.index(color) for color in colors])
    _set(prim, "primvars:displayColor", _TYPES.Color3fArray, Vt.Vec3fArray(distinct), custom=False)
    _set(prim, "primvars:displayColor:indices", _TYPES.IntArray, indices, custom=False)
    interpolation = "uniform" if prim.typeName == "BasisCurves" else "vertex"
    prim.attributes["primvars:displayColor"].SetInfo("interpolation", interpolation)


def _set(
    prim: Sdf.PrimSpec,
    name: str,
    kind: Sdf.ValueTypeName,
    value: Any,
    *,
    custom: bool = True,
    uniform: bool = False,
) -> None:
    variability = Sdf.VariabilityUniform if uniform else Sdf.VariabilityVarying
    Sdf.AttributeSpec(prim, name, kind, variability, custom).default = value


def _relative(asset: Path, stage: Path) -> str:
    return "./" + Path(os.path.relpath(asset, stage.parent)).as_posix()
