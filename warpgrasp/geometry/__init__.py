"""Rotations and shapes in plain NumPy; knows nothing else of the package."""
