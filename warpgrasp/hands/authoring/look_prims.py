"""The look of a hand as USD prims: materials, and instances of meshes below every link."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from pxr import Gf, Sdf, Usd, UsdGeom, UsdPhysics, UsdShade

from warpgrasp.hands.authoring.description import HandDescription
from warpgrasp.hands.authoring.look import link_visuals, visual_finishes
from warpgrasp.hands.authoring.prims import set_smooth_mesh

__all__ = ["bind_material", "write_materials", "write_visuals"]


def write_materials(stage: Usd.Stage, root: Sdf.Path, hand: HandDescription) -> None:
    """Materials below ``/<hand>/materials``; those of collision parts have friction too."""
    UsdGeom.Scope.Define(stage, root.AppendChild("materials"))
    for name, (color, finish) in visual_finishes(hand).items():
        path = root.AppendPath(f"materials/{name}")
        material = UsdShade.Material.Define(stage, path)
        shader = UsdShade.Shader.Define(stage, path.AppendChild("surface"))
        shader.CreateIdAttr("UsdPreviewSurface")
        shader.CreateInput("diffuseColor", Sdf.ValueTypeNames.Color3f).Set(Gf.Vec3f(*color))
        shader.CreateInput("roughness", Sdf.ValueTypeNames.Float).Set(finish.roughness)
        shader.CreateInput("metallic", Sdf.ValueTypeNames.Float).Set(finish.metallic)
        shader.CreateOutput("surface", Sdf.ValueTypeNames.Token)
        material.CreateSurfaceOutput().ConnectToSource(shader.ConnectableAPI(), "surface")
        if name not in hand.materials:
            continue
        physics = UsdPhysics.MaterialAPI.Apply(material.GetPrim())
        physics.CreateStaticFrictionAttr(1.0)
        physics.CreateDynamicFrictionAttr(1.0)
        physics.CreateRestitutionAttr(0.0)


def bind_material(prim: Usd.Prim, root: Sdf.Path, material: str) -> None:
    """Bind one of the hand's materials to a prim."""
    binding = UsdShade.MaterialBindingAPI.Apply(prim)
    binding.Bind(UsdShade.Material.Get(prim.GetStage(), root.AppendPath(f"materials/{material}")))


def write_visuals(
    stage: Usd.Stage, root: Sdf.Path, hand: HandDescription, links: Mapping[str, Sdf.Path]
) -> None:
    """Meshes below the abstract prim ``/<hand>/visual_meshes``, and an instance of one per link and material.

    Links of the same shape, such as those of several fingers, share a mesh.

    Args:
        stage: The stage.
        root: Path of the hand.
        hand: Its description.
        links: Path of every link by name.
    """
    known: dict[bytes, Sdf.Path] = {}
    finishes = visual_finishes(hand)
    folder = root.AppendChild("visual_meshes")
    stage.CreateClassPrim(folder)
    for link in hand.links:
        visuals = link_visuals(hand, link)
        if visuals:
            UsdGeom.Scope.Define(stage, links[link.name].AppendChild("visuals"))
        for material, mesh in visuals.items():
            key = np.round(mesh.vertices, 6).tobytes() + mesh.faces.tobytes()
            shared = known.setdefault(key, folder.AppendChild(f"{links[link.name].name}_{material}"))
            if not stage.GetPrimAtPath(shared):
                UsdGeom.Xform.Define(stage, shared)
                set_smooth_mesh(UsdGeom.Mesh.Define(stage, shared.AppendChild("mesh")), mesh)
            prim = UsdGeom.Xform.Define(stage, links[link.name].AppendPath(f"visuals/{material}")).GetPrim()
            prim.GetReferences().AddInternalReference(shared)
            prim.SetInstanceable(True)
            bind_material(prim, root, material)
            color = UsdGeom.PrimvarsAPI(prim).CreatePrimvar(
                "displayColor", Sdf.ValueTypeNames.Color3fArray, UsdGeom.Tokens.constant
            )
            color.Set([Gf.Vec3f(*finishes[material][0])])
