"""Play a policy: ``python -m warpgrasp.eval.isaaclab.play``; the work is in ``scripts/play.py``."""

import sys

from warpgrasp.eval.isaaclab.scripts.play import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
