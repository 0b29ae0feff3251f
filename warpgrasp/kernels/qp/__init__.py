"""The box-constrained quadratic program of force closure: solvers and adjoints."""
