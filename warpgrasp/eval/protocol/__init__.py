"""What a trial does and when a grasp holds: protocols as data, squeeze rules, drives, forces, the verdict."""
