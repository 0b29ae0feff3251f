"""The Barrett BH8: barrett/hand.usda and the script that writes it."""
