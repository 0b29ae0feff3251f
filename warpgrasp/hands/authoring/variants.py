"""Variant sets of a hand's USD file: annotation shown or not, a root that is free or fixed, physics on or off."""

from __future__ import annotations

from pxr import Sdf, Usd, UsdPhysics

from warpgrasp.hands.usd import schema

__all__ = ["write_annotation_variants", "write_physics_variants", "write_root_variants"]

_BODY_SCHEMAS = ("PhysicsRigidBodyAPI", "PhysicsMassAPI", "PhysicsArticulationRootAPI")


def write_annotation_variants(layer: Sdf.Layer, root: Sdf.Path) -> None:
    """Move patches, spheres and grasp types into the variant ``grasp`` of the set ``annotation``; ``none`` is selected.

    Simulators import every mesh and sphere below a rigid body as a shape, whatever its purpose.

    Args:
        layer: The file's layer, in which the hand has no such variant set yet.
        root: Path of the hand.
    """
    found: list[Sdf.Path] = []
    layer.Traverse(root, found.append)
    moved = [path for path in found if path.IsPrimPath() and _is_annotation(layer.GetPrimAtPath(path))]
    hand = layer.GetPrimAtPath(root)
    hand.variantSetNameList.prependedItems.append(schema.ANNOTATION_SET)
    variants = Sdf.VariantSetSpec(hand, schema.ANNOTATION_SET)
    for name in (schema.NO_ANNOTATION, schema.GRASP_ANNOTATION):
        Sdf.VariantSpec(variants, name)
    hand.variantSelections[schema.ANNOTATION_SET] = schema.NO_ANNOTATION
    inside = root.AppendVariantSelection(schema.ANNOTATION_SET, schema.GRASP_ANNOTATION)
    order = {path: number for number, path in enumerate(_in_order(layer.GetPrimAtPath(root)))}
    for path in sorted(moved, key=order.__getitem__):
        target = path.ReplacePrefix(root, inside)
        Sdf.CreatePrimInLayer(layer, target)
        Sdf.CopySpec(layer, path, layer, target)
    for path in moved:
        del layer.GetPrimAtPath(path.GetParentPath()).nameChildren[path.name]


def _is_annotation(prim: Sdf.PrimSpec) -> bool:
    names = set(prim.attributes.keys())
    return bool({schema.FINGER, schema.SELF_COLLISION, schema.GRASP_TYPE} & names)


def _in_order(prim: Sdf.PrimSpec) -> list[Sdf.Path]:
    return [prim.path, *(path for child in prim.nameChildren for path in _in_order(child))]


def write_root_variants(stage: Usd.Stage, prim: Usd.Prim, root_link: Sdf.Path) -> None:
    """``floating``: the root link is the articulation's root; ``fixed``: a joint holds it to the world.

    A fixed articulation has its root on an ancestor of the joint, as UsdPhysics asks for.

    Args:
        stage: The stage.
        prim: The hand's default prim.
        root_link: Path of the root link.
    """
    variants = prim.GetVariantSets().AddVariantSet("root")
    for name in ("floating", "fixed"):
        variants.AddVariant(name)
        variants.SetVariantSelection(name)
        with variants.GetVariantEditContext():
            if name == "floating":
                UsdPhysics.ArticulationRootAPI.Apply(stage.GetPrimAtPath(root_link))
                continue
            UsdPhysics.ArticulationRootAPI.Apply(prim)
            joint = UsdPhysics.FixedJoint.Define(stage, prim.GetPath().AppendPath("joints/world_joint"))
            joint.CreateBody1Rel().SetTargets([root_link])
    variants.SetVariantSelection("floating")


def write_physics_variants(stage: Usd.Stage, prim: Usd.Prim) -> None:
    """``off``: no bodies, colliders and joints; the asset is a picture, to be posed by whoever shows it.

    To be called first: of several variant sets the first is the strongest, and this one takes away the articulation that
    the root's variants bring.

    Args:
        stage: The stage.
        prim: The hand's default prim.
    """
    variants = prim.GetVariantSets().AddVariantSet("physics")
    links = [each for each in Usd.PrimRange(prim) if each.HasAPI(UsdPhysics.RigidBodyAPI)]
    scopes = {each.GetParent().GetPath() for each in Usd.PrimRange(prim) if _is_physics(each)}
    applied = {link.GetPath(): _take_schemas(stage, link) for link in links}
    for name in ("on", "off"):
        variants.AddVariant(name)
        variants.SetVariantSelection(name)
        with variants.GetVariantEditContext():
            for path, schemas in applied.items():
                link = stage.GetPrimAtPath(path)
                if name == "off":
                    link.RemoveAPI(UsdPhysics.ArticulationRootAPI)
                for applied_schema in schemas if name == "on" else ():
                    link.AddAppliedSchema(applied_schema)
            if name == "off":
                prim.RemoveAPI(UsdPhysics.ArticulationRootAPI)
                for scope in sorted(scopes):
                    stage.GetPrimAtPath(scope).SetActive(False)
    variants.SetVariantSelection("on")


def _take_schemas(stage: Usd.Stage, link: Usd.Prim) -> list[str]:
    """Take the schemas that make a body of a link from its own opinions, which are stronger than those of a variant."""
    spec = stage.GetRootLayer().GetPrimAtPath(link.GetPath())
    listed = list(spec.GetInfo("apiSchemas").GetAppliedItems())
    spec.SetInfo("apiSchemas", Sdf.TokenListOp.Create([name for name in listed if name not in _BODY_SCHEMAS]))
    if not any(name not in _BODY_SCHEMAS for name in listed):
        spec.ClearInfo("apiSchemas")
    return [name for name in listed if name in _BODY_SCHEMAS]


def _is_physics(prim: Usd.Prim) -> bool:
    return bool(prim.HasAPI(UsdPhysics.CollisionAPI) or prim.IsA(UsdPhysics.Joint))
