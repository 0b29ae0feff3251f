"""The Shadow Dexterous Hand without its wrist: shadow_wristless/hand.usda and the script that writes it."""
