"""Robotiq 2F-140 adaptive gripper, one degree of freedom."""
