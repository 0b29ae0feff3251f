"""Physics engines that judge grasps, loaded by name: MuJoCo, Newton's MuJoCo-Warp solver, Isaac Lab."""
