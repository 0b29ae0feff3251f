"""What moves and couples the joints of a compiled MJCF: actuators, equalities, tendons and closed loops."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from warpgrasp.hands.convert.mjcf_loops import Loop, solve_loops
from warpgrasp.hands.convert.source import SourceMimic

__all__ = ["JointMotion", "read_motion"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class JointMotion:
    """Drives, couplings and ranges of the joints by their index in the model, and notes for the report."""

    drives: dict[int, dict[str, float]]
    couplings: dict[int, SourceMimic]
    held: dict[int, float]
    """Joints that do not move, and the value at which they stand."""
    ranges: dict[int, tuple[float, float]]
    """Ranges that a closed loop narrows."""
    linkages: frozenset[int]
    """Bodies that begin a bar which only holds another finger's pad."""
    notes: list[str] = field(default_factory=list)


def read_motion(mujoco: Any, model: Any, path: Path) -> JointMotion:
    """Read everything that moves or couples joints.

    Raises:
        ValueError: Joints are coupled in a way that cannot be converted; the message names the joint or body.
    """
    return _Reader(mujoco, model, path).read()


class _Reader:
    def __init__(self, mujoco: Any, model: Any, path: Path) -> None:
        self.mujoco, self.model, self.path = mujoco, model, path
        self.notes: list[str] = []
        self.held: dict[int, float] = {}
        self.ranges: dict[int, tuple[float, float]] = {}
        self.linkages: set[int] = set()

    def read(self) -> JointMotion:
        leaders = self._leaders()
        followers = {joint: self._mimic(*row) for joint, row in leaders.items()}
        drives = self._drives(leaders)
        return JointMotion(drives, followers, self.held, self.ranges, frozenset(self.linkages), self.notes)

    def _mimic(self, leader: int, multiplier: float, offset: float) -> SourceMimic:
        return SourceMimic(self._name("JOINT", leader), multiplier, offset)

    def _drives(self, leaders: dict[int, tuple[int, float, float]]) -> dict[int, dict[str, float]]:
        """Position gains and force limits of actuators, each at the independent joint that it moves in the end.

        An actuator that pulls several coupled joints works on their leader with the sum of its arms.
        """
        model, kinds = self.model, self.mujoco.mjtTrn
        drives: dict[int, dict[str, float]] = {}
        for actuator in range(model.nu):
            target = int(model.actuator_trnid[actuator][0])
            transmission = int(model.actuator_trntype[actuator])
            if transmission == int(kinds.mjTRN_JOINT):
                rows = [(target, float(model.actuator_gear[actuator][0]))]
            elif transmission == int(kinds.mjTRN_TENDON):
                rows = self._tendon(target)
            else:
                continue
            arms: dict[int, float] = {}
            for joint, arm in rows:
                joint, factor, _ = _resolved(joint, leaders)
                arms[joint] = arms.get(joint, 0.0) + abs(factor * arm)
            for joint, arm in arms.items():
                drives[joint] = self._drive(actuator, arm)
        for joint in range(model.njnt):
            if model.jnt_actfrclimited[joint]:
                most = float(np.abs(model.jnt_actfrcrange[joint]).max())
                drive = drives.setdefault(joint, {})
                drive["effort"] = min(drive.get("effort", math.inf), most)
        return drives

    def _drive(self, actuator: int, arm: float) -> dict[str, float]:
        model = self.model
        stiffness = max(0.0, -float(model.actuator_biasprm[actuator][1]))
        damping = max(0.0, -float(model.actuator_biasprm[actuator][2]))
        effort = math.inf
        if model.actuator_forcelimited[actuator]:
            effort = float(np.abs(model.actuator_forcerange[actuator]).max())
        elif not stiffness and model.actuator_ctrllimited[actuator]:  # a motor: gain times control
            effort = float(
                model.actuator_gainprm[actuator][0] * np.abs(model.actuator_ctrlrange[actuator]).max()
            )
        values = {"stiffness": arm**2 * stiffness, "damping": arm**2 * damping, "effort": arm * effort}
        return {k: v for k, v in values.items() if math.isfinite(v) and v > 0.0}

    def _tendon(self, tendon: int) -> list[tuple[int, float]]:
        """Joints and coefficients of a fixed tendon; empty for a spatial one."""
        model = self.model
        start, count = int(model.tendon_adr[tendon]), int(model.tendon_num[tendon])
        rows = range(start, start + count)
        if any(int(model.wrap_type[row]) != int(self.mujoco.mjtWrap.mjWRAP_JOINT) for row in rows):
            note = f"Tendon '{self._name('TENDON', tendon)}' is spatial; its coupling is not converted."
            if note not in self.notes:
                self.notes.append(note)
            return []
        return [(int(model.wrap_objid[row]), float(model.wrap_prm[row])) for row in rows]

    def _leaders(self) -> dict[int, tuple[int, float, float]]:
        """Follower to ``(leader, multiplier, offset)``; the leader may follow another joint in turn."""
        model, kinds = self.model, self.mujoco.mjtEq
        found: dict[int, tuple[int, float, float]] = {}
        loops: list[Loop] = []
        for equality in range(model.neq):
            if not model.eq_active0[equality]:
                continue
            kind = int(model.eq_type[equality])
            first, second = int(model.eq_obj1id[equality]), int(model.eq_obj2id[equality])
            terms = np.array(model.eq_data[equality][:5])
            if kind == int(kinds.mjEQ_JOINT):
                self._joint_equality(found, first, second, terms)
            elif kind == int(kinds.mjEQ_TENDON):
                self._tendon_equality(found, first, second, terms)
            elif kind == int(kinds.mjEQ_CONNECT):
                loops.append(self._loop(equality))
            elif kind != int(kinds.mjEQ_WELD) or not self._holds_the_hand(equality):
                where = self._name("BODY" if self._of_bodies(equality) else "SITE", first)
                raise ValueError(
                    f"equality {equality} at '{where}' closes a kinematic loop ({kinds(kind).name[5:].lower()}); remove it "
                    "and couple the moving joints with <equality><joint .../></equality>"
                )
        pulled = [
            self._tendon(int(model.actuator_trnid[a][0]))
            for a in range(model.nu)
            if int(model.actuator_trntype[a]) == int(self.mujoco.mjtTrn.mjTRN_TENDON)
        ]
        driven = {joint for rows in pulled for joint, _ in rows}
        driven |= {
            int(model.actuator_trnid[a][0])
            for a in range(model.nu)
            if int(model.actuator_trntype[a]) == int(self.mujoco.mjtTrn.mjTRN_JOINT)
        }
        if loops:
            solution = solve_loops(self.mujoco, model, loops, driven, found)
            found |= solution.followers
            self.held |= solution.held
            self.ranges |= solution.ranges
            self.linkages |= solution.linkages
            self.notes += solution.notes
        for actuator in range(model.nu):
            if int(model.actuator_trntype[actuator]) == int(self.mujoco.mjtTrn.mjTRN_TENDON):
                self._pulled_tendon(found, int(model.actuator_trnid[actuator][0]))
        return found

    def _of_bodies(self, equality: int) -> bool:
        return int(self.model.eq_objtype[equality]) == int(self.mujoco.mjtObj.mjOBJ_BODY)

    def _body_of(self, equality: int, end: str) -> int:
        index = int(getattr(self.model, f"eq_obj{end}id")[equality])
        return index if self._of_bodies(equality) else int(self.model.site_bodyid[index])

    def _holds_the_hand(self, equality: int) -> bool:
        """A weld to the world or to a mocap body only holds the hand in place, and a hand is free by itself."""
        model = self.model
        bodies = [self._body_of(equality, end) for end in "12"]
        outside = [body for body in bodies if body == 0 or model.body_mocapid[body] >= 0]
        if not outside:
            return False
        held = next((body for body in bodies if body not in outside), outside[0])
        self.notes.append(
            f"The weld of '{self._name('BODY', held)}' to '{self._name('BODY', outside[0])}' only holds the hand in place; "
            "it is left out."
        )
        return True

    def _loop(self, equality: int) -> Loop:
        model = self.model
        first, second = self._body_of(equality, "1"), self._body_of(equality, "2")
        if self._of_bodies(equality):
            points = np.array(model.eq_data[equality][:3]), np.array(model.eq_data[equality][3:6])
        else:
            sites = int(model.eq_obj1id[equality]), int(model.eq_obj2id[equality])
            points = np.array(model.site_pos[sites[0]]), np.array(model.site_pos[sites[1]])
        return Loop(first, second, *points)

    def _joint_equality(
        self, found: dict[int, tuple[int, float, float]], follower: int, leader: int, terms: FloatArray
    ) -> None:
        name = self._name("JOINT", follower)
        model = self.model
        rest = float(model.qpos0[model.jnt_qposadr[follower]])
        if leader < 0:
            self.held[follower] = rest + float(terms[0])
            self.notes.append(
                f"Joint '{name}' is held at {rest + terms[0]:g} by an equality; it is fixed there."
            )
            return
        if np.any(terms[2:]):
            self.notes.append(
                f"Joint '{name}' follows '{self._name('JOINT', leader)}' by a polynomial; only its linear part is kept."
            )
        base = float(model.qpos0[model.jnt_qposadr[leader]])  # MuJoCo couples the deviations from qpos0
        found[follower] = leader, float(terms[1]), rest + float(terms[0]) - float(terms[1]) * base

    def _tendon_equality(
        self, found: dict[int, tuple[int, float, float]], first: int, second: int, terms: FloatArray
    ) -> None:
        """Tendon length against its rest value (and another's): linear among its joints; two joints can be solved."""
        weight: dict[int, float] = dict(self._tendon(first))
        constant = float(terms[0]) + float(self.model.tendon_length0[first])
        if second >= 0:
            constant -= float(terms[1]) * float(self.model.tendon_length0[second])
            for joint, coefficient in self._tendon(second):
                weight[joint] = weight.get(joint, 0.0) - float(terms[1]) * coefficient
        if len(weight) != 2:
            raise ValueError(
                f"the equality of tendon '{self._name('TENDON', first)}' couples {len(weight)} joints; only two can be "
                "converted: write joint equalities instead"
            )
        (leader, a), (follower, b) = weight.items()
        found[follower] = leader, -a / b, constant / b

    def _pulled_tendon(self, found: dict[int, tuple[int, float, float]], tendon: int) -> None:
        joints = self._tendon(tendon)
        if len(joints) < 2:
            return
        leader, unit = joints[0]
        for follower, coefficient in joints[1:]:
            if follower in found or follower in self.held or _resolved(leader, found)[0] == follower:
                continue
            found[follower] = leader, coefficient / unit, 0.0
            self.notes.append(
                f"Joints '{self._name('JOINT', leader)}' and '{self._name('JOINT', follower)}' are pulled by one tendon "
                f"('{self._name('TENDON', tendon)}'); they are coupled in proportion to its coefficients."
            )

    def _name(self, kind: str, index: int) -> str:
        found = self.mujoco.mj_id2name(self.model, getattr(self.mujoco.mjtObj, f"mjOBJ_{kind}"), index)
        return found or f"{kind.lower()}_{index}"


def _resolved(joint: int, leaders: dict[int, tuple[int, float, float]]) -> tuple[int, float, float]:
    """The independent joint at the end of a chain of couplings, with multiplier and offset."""
    multiplier, offset = 1.0, 0.0
    for _ in range(len(leaders) + 1):
        if joint not in leaders:
            break
        leader, factor, shift = leaders[joint]
        offset += multiplier * shift
        multiplier *= factor
        joint = leader
    return joint, multiplier, offset
