"""Evaluation of grasps: protocols, physics engines and metrics. Nothing heavy is imported here."""
