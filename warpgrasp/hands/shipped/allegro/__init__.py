"""Wonik Allegro hand, right, 16 degrees of freedom."""
