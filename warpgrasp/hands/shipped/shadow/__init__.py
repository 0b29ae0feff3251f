"""The Shadow Dexterous Hand: shadow/hand.usda and the script that writes it."""
