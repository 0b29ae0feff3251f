"""Writing a hand asset: description, geometry, spheres, USD."""
