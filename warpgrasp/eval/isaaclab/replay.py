"""The replay ablation: ``python -m warpgrasp.eval.isaaclab.replay``; the work is in ``scripts/replay.py``."""

import sys

from warpgrasp.eval.isaaclab.scripts.replay import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
