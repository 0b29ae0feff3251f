"""Grasps as data: sets of grasps, files, stages, pictures."""
