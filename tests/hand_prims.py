"""Prims of a palm, a finger and their hinge as USD text, and the assets and hands made of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from warpgrasp.hands import HandModel, load_hand

__all__ = [
    "FINGER",
    "HINGE",
    "IDENTITY",
    "NEWTON_MIMIC",
    "PALM",
    "PHYSX_MIMIC",
    "ZERO",
    "load",
    "second_finger",
    "write",
]

ZERO = np.zeros(3)
IDENTITY = (0.0, 0.0, 0.0, 1.0)

HEADER = """#usda 1.0
(
    defaultPrim = "hand"
    metersPerUnit = {meters}
    kilogramsPerUnit = 1
    upAxis = "{up}"
)
"""

PALM = """
def Xform "palm" (prepend apiSchemas = ["PhysicsRigidBodyAPI", "PhysicsMassAPI"])
{
    float physics:mass = 0.5
    def Cube "body" (prepend apiSchemas = ["PhysicsCollisionAPI"])
    {
        double size = 2
        float3 xformOp:scale = (0.01, 0.02, 0.03)
        uniform token[] xformOpOrder = ["xformOp:scale"]
    }
}
"""

FINGER = """
def Xform "finger" (prepend apiSchemas = ["PhysicsRigidBodyAPI", "PhysicsMassAPI"])
{
    float physics:mass = 0.1
    double3 xformOp:translate = (0, 0, 0.05)
    uniform token[] xformOpOrder = ["xformOp:translate"]
    def Capsule "body" (prepend apiSchemas = ["PhysicsCollisionAPI"])
    {
        uniform token axis = "X"
        double height = 0.04
        double radius = 0.01
    }
}
"""

HINGE = """
def PhysicsRevoluteJoint "hinge" (prepend apiSchemas = ["PhysicsDriveAPI:angular"])
{
    uniform token physics:axis = "Y"
    rel physics:body0 = </hand/palm>
    rel physics:body1 = </hand/finger>
    point3f physics:localPos0 = (0, 0, 0.03)
    quatf physics:localRot0 = (0.9238795, 0.3826834, 0, 0)
    point3f physics:localPos1 = (0, 0, -0.02)
    quatf physics:localRot1 = (1, 0, 0, 0)
    float physics:lowerLimit = -30
    float physics:upperLimit = 90
    float drive:angular:physics:stiffness = 2
    float drive:angular:physics:damping = 0.5
    float drive:angular:physics:maxForce = 1.5
}
"""

NEWTON_MIMIC = """NewtonMimicAPI
rel newton:mimicJoint = </hand/hinge>
float newton:mimicCoef0 = 10
float newton:mimicCoef1 = -0.5"""
PHYSX_MIMIC = """PhysxMimicJointAPI:rotY
rel physxMimicJoint:rotY:referenceJoint = </hand/hinge>
float physxMimicJoint:rotY:offset = -10
float physxMimicJoint:rotY:gearing = 0.5"""


def write(folder: Path, *prims: str, meters: float = 1.0, up: str = "Z", around: str = "") -> Path:
    """One asset with the given prims under /hand."""
    path = folder / "hand.usda"
    body = HEADER.format(meters=meters, up=up) + 'def Xform "hand"\n{\n' + around + "\n".join(prims) + "\n}\n"
    path.write_text(body)
    return path


def load(folder: Path, *prims: str, meters: float = 1.0, up: str = "Z", around: str = "") -> HandModel:
    return load_hand(write(folder, *prims, meters=meters, up=up, around=around))


def second_finger(coupling: str) -> tuple[str, str]:
    """A second finger whose hinge carries the given coupling."""
    finger = FINGER.replace('"finger"', '"second"')
    hinge = HINGE.replace('"hinge"', '"follower"').replace("/hand/finger", "/hand/second")
    schema, _, text = coupling.partition("\n")
    hinge = hinge.replace('"PhysicsDriveAPI:angular"', f'"{schema}"').rstrip().removesuffix("}")
    return finger, f"{hinge}{text}\n}}"
