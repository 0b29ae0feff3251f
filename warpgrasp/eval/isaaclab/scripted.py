"""Success of scripted policies: ``python -m warpgrasp.eval.isaaclab.scripted``; the work is in ``scripts/scripted.py``."""

import sys

from warpgrasp.eval.isaaclab.scripts.scripted import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
