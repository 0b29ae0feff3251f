"""Commands around the environments: training, playing, making the shipped grasps."""
