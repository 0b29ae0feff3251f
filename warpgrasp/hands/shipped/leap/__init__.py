"""The LEAP hand: leap/hand.usda and the script that writes it."""
