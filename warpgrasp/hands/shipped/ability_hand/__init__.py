"""The Psyonic Ability Hand: ability_hand/hand.usda and the script that writes it."""
