"""Grasps as one USD stage per object: opens in usdview and Omniverse with the best grasp shown.

Layout::

    /World                     variant sets "grasp": grasp_0000, grasp_0001, ...; the best one is selected; "ground"
      /Object                  reference to the object asset
      /Hand                    reference to the hand asset, its root fixed to the world, with what all variants share (order of
                               link transforms, schemas of joint states); the variant poses its links, sets joint states
                               (grasp) and drive targets (squeeze)
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

import json
import os
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
from pxr import Gf, Sdf, Tf, Vt

from warpgrasp.base.atomic_file import OutputError, replace_file
from warpgrasp.base.json_text import json_mapping
from warpgrasp.base.status import GraspStatus
from warpgrasp.base.usd_error import usd_reason
from warpgrasp.grasps.grasp_set import GraspSet
from warpgrasp.grasps.usd_assets import hand_asset, object_asset
from warpgrasp.grasps.usd_columns import (
    GRASP_ATTRIBUTES,
    LATER_ATTRIBUTES,
    WAYPOINT_ATTRIBUTES,
    attribute_name,
    column_from_usd,
    column_to_usd,
    gf_quatf_wxyz_from_xyzw,
    stack_column,
    xyzw_from_gf_quat_wxyz,
)
from warpgrasp.grasps.usd_surroundings import fix_root, write_surroundings
from warpgrasp.grasps.usd_variants import GraspVariants, set_pose

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
        # Links are placed in the world, whatever transform the asset's own root has.
        _set(
            world.nameChildren["Hand"],
            "xformOpOrder",
            _TYPES.TokenArray,
            Vt.TokenArray(),
            custom=False,
            uniform=True,
        )
        shown = GraspVariants(grasps, hand, asset, fixed=fixed)
        shown.write_common(world.nameChildren["Hand"])
        for index, name in enumerate(names):
            shown.write(Sdf.VariantSpec(variants, name).primSpec, index)


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
    set_pose(prim, position, quaternion)
    for name, kind in GRASP_ATTRIBUTES.items():
        if name in WAYPOINT_ATTRIBUTES and not grasps.waypoint_clearance.size:
            continue
        _set(prim, attribute_name(name), kind, column_to_usd(kind, getattr(grasps, name)[index]))
    status = GraspStatus(int(grasps.status[index]))
    prim.SetInfo("comment", f"{status.name}: {status.sentence}")


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
