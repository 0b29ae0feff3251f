"""Figures that papers print, and what was different when they were measured; set beside ours by ``paper_tables.py``.

Percentages unless a unit stands there. An absent entry is a figure that is not known here.
"""

from __future__ import annotations

__all__ = ["BODEX", "DEVIATIONS", "FAST_GRASPD", "GRASPQP", "GRASPQP_ABLATIONS"]

GRASPQP: dict[tuple[str, str, int], str] = {
    ("allegro", "power", 12): "UGR 76, H 3.6, D 1.4 mm",
    ("shadow", "power", 12): "UGR 63",
    ("allegro", "precision", 12): "UGR 55",
    ("allegro", "pinch", 12): "UGR 49",
    ("shadow", "precision", 12): "UGR 29",
    ("shadow", "pinch", 12): "UGR 17",
    ("allegro", "power", 4): "UGR 74",
    ("shadow", "power", 4): "UGR 49",
}
"""Zurbrügg et al. 2025, Tables 1, 3 and 4, at 5 N, by hand, grasp type and contacts."""

GRASPQP_ABLATIONS: dict[str, str] = {
    "graspqp-paper": "0",
    "graspqp-no-factor": "-0.3 / 0.0 / -0.1",
    "graspqp-constrained": "-4.8 / -0.1 / -0.2",
    "graspqp-softmax": "-10.1 / -0.3 / -0.3",
    "graspqp-barrier": "-10.0 / -0.2 / +0.1",
    "graspqp-no-resets": "-4.8",
    "graspqp-no-scaling": "-4.5",
    "graspqp-mala": "-5.4",
}
"""Zurbrügg et al. 2025, Table 2: change of UGR [%], H and D [mm] against the whole method, Allegro, 5 N."""

BODEX: dict[tuple[str, str], str] = {
    ("bodex", "allegro"): "79.9 % at 61.5 grasps/s",
    ("bodex", "shadow_wristless"): "75.8 % at 49.8 grasps/s",
}
"""Chen et al. 2025: success of the whole system and its speed on an RTX 3090, by method and hand."""

FAST_GRASPD: dict[str, str] = {
    "allegro": "49.2 cm2, 5.62 cm3, 0.18, 3.42, 1.66 cm",
    "shadow_wristless": "58.6 cm2, 6.34 cm3, 0.18, 3.42, 2.42 cm",
    "barrett": "55.7 cm2, 4.70 cm3, 0.23, 5.09, 1.40 cm",
}
"""Turpin et al. 2023: contact area, intersection volume, epsilon, volume, displacement by hand."""

DEVIATIONS: dict[str, str] = {
    "graspqp": "Published: PhysX in Isaac Lab, 32 grasps each on 5,700 objects of DexGraspNet for the data set, other hand "
    "geometry. Here: MuJoCo, the named objects, our hands.",
    "bodex": "Published: 30 g, 9.8 m/s2 in six directions for 3 s, DexGraspBench's hands, 2,397 objects at several scales. "
    "Here: 100 g, 10 m/s2, 2 s (protocol dexgraspbench), our hands, the named objects.",
    "fast_graspd": "Published: the ten grasps of largest epsilon on each YCB object, contact within 5 mm, duration of the "
    "displacement not stated. Here: all grasps of the named objects, 1 s without gravity.",
}
"""What differs from the published settings, by the family of tables."""
