"""Distances between posed hands and objects: object samples to exact shapes, and hand corners to the exact mesh."""

from __future__ import annotations

import dataclasses

import numpy as np
from cases import example_objects
from numpy.typing import NDArray
from oracle_geometry import closest_on_mesh, geometry_depth
from scipy.spatial.transform import Rotation

from warpgrasp.hands import GeometryType, HandModel
from warpgrasp.objects import ObjectModel

FloatArray = NDArray[np.float64]


def outside_distance(hand: HandModel, geometry: int, points: FloatArray) -> FloatArray:
    """Distance [N] of points (link frame) to a geometry; exact outside within 2 cm, minus the depth inside, inf far away."""
    turn = Rotation.from_quat(hand.geometry_quaternion[geometry])
    local = turn.inv().apply(points - hand.geometry_position[geometry])
    bound = -geometry_depth(hand, geometry, local)[0]
    if hand.geometry_type[geometry] == GeometryType.CAPSULE:
        return bound
    if hand.geometry_type[geometry] == GeometryType.BOX:
        over = np.maximum(np.abs(local) - hand.geometry_size[geometry], 0.0)
        return np.where(bound > 0.0, np.linalg.norm(over, axis=1), bound)
    result = np.where(bound > 0.02, np.inf, bound)
    mesh = hand.geometry_mesh[geometry]
    surface = dataclasses.replace(example_objects(1)[0], vertices=mesh.vertices, faces=mesh.faces)
    for i in np.flatnonzero((bound > 0.0) & (bound <= 0.02)):
        result[i] = abs(closest_on_mesh(surface, points[i])[1])
    return result


def exact_clearance(hand: HandModel, model: ObjectModel, pose: FloatArray, joints: FloatArray) -> float:
    """Smallest distance [m] between the object's samples and the hand's geometry."""
    position, quaternion = hand.forward_kinematics(pose[:3], pose[3:], joints)
    samples = model.surface_samples(2500)[0]
    smallest = np.inf
    for g in range(len(hand.geometry_type)):
        link = hand.geometry_link[g]
        local = Rotation.from_quat(quaternion[link]).inv().apply(samples - position[link])
        smallest = min(smallest, float(outside_distance(hand, g, local).min()))
    return smallest


def corner_clearance(hand: HandModel, model: ObjectModel, pose: FloatArray, joints: FloatArray) -> float:
    """Smallest signed distance [m] of 150 vertices of the hand's meshes to the object's exact surface."""
    position, quaternion = hand.forward_kinematics(pose[:3], pose[3:], joints)
    corners = [
        position[link] + Rotation.from_quat(quaternion[link]).apply(mesh.vertices)
        for link, mesh in zip(hand.geometry_link, hand.geometry_mesh, strict=True)
    ]
    points = np.concatenate(corners)
    # The nearest to the samples first: only they can decide.
    samples = model.surface_samples(2500)[0]
    coarse = np.array([np.min(np.sum((samples - p) ** 2, axis=1)) for p in points])
    return min(closest_on_mesh(model, points[i])[1] for i in np.argsort(coarse)[:20])
