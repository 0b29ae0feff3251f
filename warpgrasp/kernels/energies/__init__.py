"""Kernels of the energy terms, one file per term."""
