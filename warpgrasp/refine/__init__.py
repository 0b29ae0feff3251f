"""Refinement of grasps by evolution in simulation (Zurbrügg et al. 2026): ``python -m warpgrasp.refine``."""
