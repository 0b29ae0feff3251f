"""Writers of other tools' formats, one module each; ``python -m warpgrasp.export`` chooses."""
