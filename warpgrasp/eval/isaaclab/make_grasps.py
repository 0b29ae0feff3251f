"""Make the shipped grasps: ``python -m warpgrasp.eval.isaaclab.make_grasps``; the work is in ``scripts/make_grasps.py``."""

from warpgrasp.eval.isaaclab.scripts.make_grasps import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
