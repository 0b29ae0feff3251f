"""Synthesis of grasps: state, problem, energies, seeds, optimiser, controller targets."""
