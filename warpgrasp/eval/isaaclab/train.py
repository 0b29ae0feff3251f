"""Train a policy: ``python -m warpgrasp.eval.isaaclab.train``; the work is in ``scripts/train.py``."""

import sys

from warpgrasp.eval.isaaclab.scripts.train import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
