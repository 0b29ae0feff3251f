"""What a controller is told beside the grasp: balanced contact forces and the opening of the hand."""
