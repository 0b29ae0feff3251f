"""Assets the USD reader refuses: each by the path of its prim, with the remedy."""

from __future__ import annotations

from pathlib import Path

import pytest
from hand_prims import FINGER, HINGE, NEWTON_MIMIC, PALM, second_finger, write

from warpgrasp.hands import load_hand

NESTED = PALM.rstrip().removesuffix("}") + FINGER + "}"
NO_BALL = (
    FINGER.rstrip().removesuffix("}")
    + """
    def Sphere "ball"
    {
        custom bool warpgrasp:selfCollision = true
        double radius = nan
    }
}
"""
)
CYCLE = (
    FINGER.replace('"finger"', '"second"'),
    HINGE.replace('"hinge"', '"hinge_b"').replace("/hand/finger", "/hand/second"),
    HINGE.replace('"hinge"', '"hinge_c"').replace("/hand/palm", "/hand/second"),
)
BAD = {
    "no limits": (
        (PALM, FINGER, HINGE.replace("float physics:lowerLimit = -30", "")),
        r"/hand/hinge has no limits.*author physics:lowerLimit",
    ),
    "limits swapped": (
        (PALM, FINGER, HINGE.replace("-30", "120")),
        r"/hand/hinge has lower limit 120 above.*90",
    ),
    "no stiffness": (
        (PALM, FINGER, HINGE.replace("float drive:angular:physics:stiffness = 2", "")),
        r"/hand/hinge has no usable drive: its stiffness must be positive and finite \(got 0\); author drive:angular",
    ),
    "no drive": (
        (PALM, FINGER, HINGE.replace('"PhysicsDriveAPI:angular"', '"PhysicsJointStateAPI:angular"')),
        r"/hand/hinge has no usable drive.*under PhysicsDriveAPI:angular, or let it follow",
    ),
    "unlimited effort": (
        (PALM, FINGER, HINGE.replace("maxForce = 1.5", "maxForce = inf")),
        r"/hand/hinge has no usable drive: its maxForce must be positive and finite \(got inf\)",
    ),
    "effort not a number": (
        (PALM, FINGER, HINGE.replace("maxForce = 1.5", "maxForce = nan")),
        r"/hand/hinge has no usable drive: its maxForce must be positive and finite \(got nan\)",
    ),
    "negative damping": (
        (PALM, FINGER, HINGE.replace("damping = 0.5", "damping = -0.5")),
        r"/hand/hinge has no usable drive: its damping must be finite and not negative",
    ),
    "sphere not a number": (
        (PALM, NO_BALL, HINGE),
        r"/hand/finger/ball is a self-collision sphere with centre .* and radius nan m; write finite numbers",
    ),
    "loop": ((PALM, FINGER, HINGE, *CYCLE), r"/hand/hinge.* closes a loop at .*NewtonMimicAPI"),
    "two roots": ((PALM, FINGER), r"two roots, /hand/palm and /hand/finger.*fixed joint"),
    "zero mass": (
        (PALM.replace("0.5", "0"), FINGER, HINGE),
        r"/hand/palm has no mass \(got 0 kg\); author physics:mass",
    ),
    "spherical joint": (
        (PALM, FINGER, HINGE.replace("PhysicsRevoluteJoint", "PhysicsSphericalJoint")),
        r"/hand/hinge is a PhysicsSphericalJoint, which is not supported; use revolute",
    ),
    "nested": (
        (NESTED, HINGE.replace("/hand/finger", "/hand/palm/finger")),
        r"/hand/palm/finger is nested in.*siblings",
    ),
    "no bodies": (('def Xform "palm"\n{\n}',), r"no prim with PhysicsRigidBodyAPI"),
    "missing target": (
        (PALM, FINGER, HINGE.replace("/hand/finger", "/hand/thumb")),
        r"/hand/hinge targets /hand/thumb, which does not exist",
    ),
    "world hinge": (
        (PALM, FINGER, HINGE.replace("rel physics:body0 = </hand/palm>", "")),
        r"/hand/hinge moves /hand/finger against the world",
    ),
    "concave mesh": (
        (
            PALM.replace('def Cube "body"', 'def Mesh "body"').replace("double size = 2", ""),
            FINGER,
            HINGE,
        ),
        r"/hand/palm/body has approximation 'none'; split it into convex pieces",
    ),
    "cylinder": (
        (PALM, FINGER.replace("def Capsule", "def Cylinder"), HINGE),
        r"/hand/finger/body is a Cylinder, which is not supported; use Capsule",
    ),
    "scaled capsule": (
        (
            PALM,
            FINGER.replace(
                "double radius = 0.01",
                "double radius = 0.01\nfloat3 xformOp:scale = (1, 2, 1)\n"
                'uniform token[] xformOpOrder = ["xformOp:scale"]',
            ),
            HINGE,
        ),
        r"/hand/finger/body is a Capsule under the non-uniform scale",
    ),
    "mimic of nothing": (
        (PALM, FINGER, HINGE, *second_finger(NEWTON_MIMIC.replace("/hand/hinge", "/hand/nothing"))),
        r"/hand/follower mimics /hand/nothing, which is no moving joint",
    ),
    "opening outside": (
        (
            PALM,
            FINGER,
            HINGE.replace("uniform token", "custom double warpgrasp:openingPosition = 3\nuniform token"),
        ),
        r"/hand/hinge opens at 3, outside its limits",
    ),
    "bad region": (
        (
            PALM.rstrip().removesuffix("}")
            + """def Mesh "pad"
    {
        custom string warpgrasp:finger = "palm"
        custom token warpgrasp:region = "elbow"
    }
}""",
            FINGER,
            HINGE,
        ),
        r"/hand/palm/pad has region 'elbow'; use one of tip, middle, palm",
    ),
}


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.replace(" ", "_"))
def test_bad_assets_are_refused_by_name(tmp_path: Path, case: str) -> None:
    prims, message = BAD[case]
    path = write(tmp_path, *prims)
    with pytest.raises(ValueError, match=message):
        load_hand(path)


def test_not_a_usd_file(tmp_path: Path) -> None:
    path = tmp_path / "hand.usda"
    path.write_text("this is no USD")
    with pytest.raises(ValueError, match="not a USD file that can be read"):
        load_hand(path)
