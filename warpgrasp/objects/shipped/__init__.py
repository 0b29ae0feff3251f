"""Shipped example objects (``objects/*.usda``) and the script that authors them."""
