"""How a grasp is tested in physics: protocols as data, shared by every engine.

A protocol is a scene (masses, friction, drives, solver) and a list of trials. Every trial starts from a fresh reset, closes
the hand, pushes the object and asks whether it stayed. Where the numbers come from stands at each
protocol and in ``docs/howto/evaluate.md``.
"""

from __future__ import annotations

import dataclasses
import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from warpgrasp.base.depth_limits import TOO_DEEP
from warpgrasp.base.ranges import ANY_FINITE, POSITIVE, NumberRange, check_numbers
from warpgrasp.base.user_module import is_reference, load_reference

__all__ = [
    "PROTOCOLS",
    "Drive",
    "Protocol",
    "Push",
    "RootMount",
    "Trial",
    "bodex_paper",
    "dexgraspbench",
    "find_protocol",
    "graspqp",
]

Vector = tuple[float, float, float]


class RootMount(enum.Enum):
    """How the root link of the hand is held."""

    FIXED = "fixed"
    """It does not move at all."""
    WELD = "weld"
    """It is a free body, welded softly to a frame that follows the root targets."""


@dataclass(frozen=True, kw_only=True)
class Push:
    """A constant push on the centre of mass along ``direction`` (world axes = object axes at the reset)."""

    start: float
    """[s] after the reset."""
    end: float
    """[s] after the reset."""
    direction: Vector
    """Unit vector."""

    def __post_init__(self) -> None:
        check_numbers(self, "push", direction=ANY_FINITE)
        if not self.start < self.end:
            raise ValueError(f"push.end must be after push.start (got {self.end:g} s and {self.start:g} s)")


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One run from a fresh reset."""

    name: str
    duration: float
    """[s]."""
    pushes: tuple[Push, ...]

    def __post_init__(self) -> None:
        check_numbers(self, "trial", duration=POSITIVE)


@dataclass(frozen=True, kw_only=True)
class Drive:
    """Position drive of every actuated joint; ``None`` takes the value of the hand asset, joint by joint."""

    stiffness: float | None = None
    """[Nm/rad or N/m]."""
    damping: float | None = None
    """[Nm s/rad or N s/m]."""
    effort: float | None = None
    """Largest torque or force of a joint [Nm or N]."""
    armature: float | None = None
    """Rotor inertia seen at the joint [kg m^2 or kg]."""
    friction: float | None = None
    """Dry friction of a joint [Nm or N]."""

    def __post_init__(self) -> None:
        check_numbers(self, "drive")


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """One way to test a grasp. There is no gravity but what the pushes stand for."""

    name: str
    trials: tuple[Trial, ...]
    force: float | None
    """Size of a push [N]; or ``None`` and ``acceleration`` counts."""
    acceleration: float | None = None
    """Size of a push per mass of the object [m/s^2]."""

    closing_time: float
    """Time of each of the two legs pregrasp -> grasp -> squeeze [s]; 0 starts at the grasp with squeeze targets."""
    closing_jumps: int = 0
    """Targets of a leg change in this many equal jumps, the first at its start; 0 changes them with every time step."""
    check_period: float | None = None
    """The object's place is looked at this often after the hand has closed [s]; ``None`` looks at every step from the reset on,
    closing included."""
    position_limit: float
    """The centre of mass must stay this close to where it was at the reset [m]."""
    angle_limit: float | None = None
    """The object must not turn further than this from where it was at the reset [rad]."""
    start_penetration_limit: float | None = None
    """Hand-object and self penetration at the reset beyond which the grasp fails untested [m]."""

    object_mass: float
    """[kg]; inertia is that of uniform density."""
    friction: float
    """Coulomb coefficient of every contact."""
    torsional_friction: float = 0.0
    """Torsional friction coefficient [m]; counts when ``contact_dimension`` is 4."""
    contact_dimension: int = 3
    """3: sliding friction, 4: torsional as well."""

    root: RootMount
    drive: Drive = field(default_factory=Drive)
    """Drives of hands that ``hand_drives`` does not name."""
    hand_drives: Mapping[str, Drive] = field(default_factory=dict)
    """Drives by hand name."""

    time_step: float
    """[s]."""
    contact_time_constant: float
    """Time constant of a contact of the hand, critically damped [s]."""
    object_time_constant: float | None = None
    """Time constant that the object brings to a contact with the hand [s]: the contact takes the mean of both sides, of their
    impedances too; ``None`` leaves the hand's alone."""
    contact_impedance: tuple[float, float, float] = (0.9, 0.95, 0.001)
    """MuJoCo's impedance of the hand's contacts: least, largest, and the depth in between [m]; the object has MuJoCo's own."""
    impedance_ratio: float
    """Stiffness of friction relative to normal contact."""
    noslip_iterations: int = 0
    """Passes that remove the slip of MuJoCo's soft friction."""

    def __post_init__(self) -> None:
        positive = ("position_limit", "object_mass", "time_step", "contact_time_constant", "impedance_ratio")
        dimension = NumberRange(lower=3.0, upper=4.0)
        ranges = {
            "contact_dimension": dimension,
            "angle_limit": POSITIVE,
            **dict.fromkeys(positive, POSITIVE),
        }
        check_numbers(self, f"protocol {self.name}", **ranges)
        if (self.force is None) == (self.acceleration is None):
            raise ValueError(
                f"protocol {self.name!r} needs a force or an acceleration (got {self.force}, {self.acceleration})"
            )
        object.__setattr__(self, "hand_drives", MappingProxyType(dict(self.hand_drives)))

    @property
    def push_force(self) -> float:
        """Size of a push [N]."""
        return self.force if self.force is not None else self.object_mass * (self.acceleration or 0.0)

    @property
    def trial_names(self) -> tuple[str, ...]:
        """Names of the trials, in order."""
        return tuple(trial.name for trial in self.trials)

    def with_force(self, force: float) -> Protocol:
        """The same protocol with another push [N].

        Raises:
            ValueError: The protocol pushes with an acceleration, which is part of its definition.
        """
        if self.force is None:
            raise ValueError(
                f"protocol {self.name!r} accelerates the object by {self.acceleration:g} m/s^2; "
                f"its push cannot be set to {force:g} N: leave the force out"
            )
        return dataclasses.replace(self, force=float(force))

    @property
    def closed_time(self) -> float:
        """When the hand has been told to be closed [s] after the reset."""
        return 2.0 * self.closing_time

    def at_rest(self, duration: float) -> Protocol:
        """The same without a push: the hand closes and holds for ``duration`` [s].

        Its only trial ends with a push of no size, which tells the engines where the rest ends.
        """
        start = self.closed_time + duration
        end = start + self.time_step
        trial = Trial(
            name="rest", duration=end, pushes=(Push(start=start, end=end, direction=(0.0, 0.0, 1.0)),)
        )
        return dataclasses.replace(self, trials=(trial,), force=0.0, acceleration=None)

    def drive_of(self, hand_name: str) -> Drive:
        """Drive of the joints of a hand."""
        return self.hand_drives.get(hand_name, self.drive)

    def sentence(self) -> str:
        """What must stand beside every number: pushes, mass, friction, limits."""
        push = f"{self.force:g} N" if self.force is not None else f"{self.acceleration:g} m/s^2"
        angle = "" if self.angle_limit is None else f" and {57.29577951308232 * self.angle_limit:.0f} deg"
        limit = self.start_penetration_limit
        start = "" if limit is None else f", starts at most {1000.0 * limit:g} mm deep"
        torsion = f" (torsional {self.torsional_friction:g} m)" if self.contact_dimension == 4 else ""
        return (
            f"{self.name}: {push} along {', '.join(self.trial_names)}; object {self.object_mass:g} kg, "
            f"friction {self.friction:g}{torsion}, holds within {100.0 * self.position_limit:g} cm{angle}{start}, "
            f"root {self.root.value}, {1.0 / self.time_step:.0f} Hz"
        )


_UNLIMITED = 1000.0  # Nm, more than a joint of a hand ever gets
_AXES: tuple[Vector, ...] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


def _negative(axis: Vector) -> Vector:
    return (0.0 - axis[0], 0.0 - axis[1], 0.0 - axis[2])


def _axis_pairs() -> tuple[Trial, ...]:
    """Forth along an axis from 0.25 to 0.75 s and back from 1.0 to 1.5 s, for three axes (Zurbrügg et al. 2025, Sec. 8.1)."""
    return tuple(
        Trial(
            name=name,
            duration=1.5,
            pushes=(
                Push(start=0.25, end=0.75, direction=axis),
                Push(start=1.0, end=1.5, direction=_negative(axis)),
            ),
        )
        for name, axis in zip("xyz", _AXES, strict=True)
    )


def _six_directions(closing_time: float, push_time: float) -> tuple[Trial, ...]:
    """One push per direction once the hand has closed."""
    start, end = 2.0 * closing_time, 2.0 * closing_time + push_time
    return tuple(
        Trial(name=sign + name, duration=end, pushes=(Push(start=start, end=end, direction=direction),))
        for name, axis in zip("xyz", _AXES, strict=True)
        for sign, direction in (("+", axis), ("-", _negative(axis)))
    )


graspqp = Protocol(
    name="graspqp",
    trials=_axis_pairs(),
    force=5.0,
    closing_time=0.0,
    position_limit=0.03,
    start_penetration_limit=TOO_DEEP,
    object_mass=0.2,
    friction=1.0,
    root=RootMount.FIXED,
    hand_drives={
        "allegro": Drive(stiffness=100.0, damping=0.22, effort=1.6, armature=0.003, friction=0.15),
        "barrett": Drive(stiffness=100.0, damping=0.2),
        "leap": Drive(stiffness=100.0, damping=0.2),
    },
    time_step=0.005,
    contact_time_constant=0.01,
    impedance_ratio=10.0,
)
"""GraspQP (Zurbrügg et al. 2025, Sec. 5, 8.1, 8.3 and its published code): 0.2 kg, friction 1, +-force on three axes, 3 cm.
Its simulator has rigid contacts; here they are as stiff as 200 Hz allow, with friction ten times stiffer. The limit of
the start is ours, that of ``dexgraspbench``: a fixed hand deep inside an object would hold it."""

dexgraspbench = Protocol(
    name="dexgraspbench",
    trials=_six_directions(0.4, 2.0),
    force=None,
    acceleration=10.0,
    closing_time=0.4,
    closing_jumps=10,
    check_period=0.2,
    position_limit=0.05,
    angle_limit=0.2617993877991494,
    start_penetration_limit=TOO_DEEP,
    object_mass=0.1,
    friction=0.6,
    torsional_friction=0.02,
    contact_dimension=4,
    root=RootMount.WELD,
    drive=Drive(stiffness=5.0, damping=0.1, friction=0.0),
    hand_drives={
        "allegro": Drive(stiffness=5.0, damping=0.1, effort=_UNLIMITED, armature=0.0, friction=0.0),
        "leap": Drive(stiffness=3.0, damping=0.04, effort=_UNLIMITED, armature=0.0, friction=0.001),
        **dict.fromkeys(
            ("shadow", "shadow_wristless"),
            Drive(stiffness=5.0, damping=0.05, effort=3.0, armature=0.0002, friction=0.01),
        ),
    },
    time_step=0.004,
    contact_time_constant=0.005,
    object_time_constant=0.02,
    contact_impedance=(0.5, 0.99, 0.0001),
    impedance_ratio=10.0,
    noslip_iterations=2,
)
"""DexGraspBench: 0.1 kg, friction 0.6, 10 m/s^2 for 2 s in six directions, 5 cm and 15 deg. Drives, contacts, jumps of targets
and looks at the object are those of its program and its hand models (Allegro, Shadow, LEAP); how the verdicts agree and what
still differs: ``docs/howto/evaluate.md``."""

bodex_paper = dataclasses.replace(
    dexgraspbench,
    name="bodex-paper",
    trials=_six_directions(0.4, 3.0),
    acceleration=9.8,
    object_mass=0.03,
)
"""The setting of the figures in the BODex paper: 30 g, 9.8 m/s^2 for 3 s."""

PROTOCOLS: Mapping[str, Protocol] = MappingProxyType(
    {protocol.name: protocol for protocol in (graspqp, dexgraspbench, bodex_paper)}
)
"""Protocols by name."""


def find_protocol(name: str) -> Protocol:
    """The protocol called ``name``, or the one that ``my_module:MY_PROTOCOL`` names.

    Raises:
        ValueError: There is no such protocol, or it shares its name, and so its results, with another.
    """
    if not is_reference(name):
        if name not in PROTOCOLS:
            raise ValueError(
                f"--protocol must be one of {', '.join(PROTOCOLS)}, or my_module:MY_PROTOCOL (got {name!r})"
            )
        return PROTOCOLS[name]
    value = load_reference(name, "--protocol")
    if not isinstance(value, Protocol):
        raise ValueError(
            f"--protocol {name} must be a warpgrasp.eval.protocol.protocols.Protocol (got {value!r}); "
            "dataclasses.replace(graspqp, name=..., ...) makes one"
        )
    if value.name in PROTOCOLS or not re.fullmatch(r"\w[\w.-]*", value.name):
        raise ValueError(
            f"--protocol {name}: the name {value.name!r} stands in the names of folders; it must be one word, and not one "
            f"of {', '.join(PROTOCOLS)}"
        )
    return value
