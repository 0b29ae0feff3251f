"""Kernels of the Markov chains: proposals, acceptance, resets, random numbers."""
