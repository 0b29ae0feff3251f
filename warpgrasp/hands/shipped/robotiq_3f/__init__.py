"""The Robotiq 3-Finger gripper: robotiq_3f/hand.usda and the script that writes it."""
