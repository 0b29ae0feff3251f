"""The gymnasium environments of Isaac Lab: evaluation, grasp and lift tasks."""
