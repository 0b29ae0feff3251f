"""Warp kernels, one file per physical concept; they know neither hands nor objects, only the structs these are uploaded to.

A kernel whose name ends in ``_kernel`` is launched where it is needed, by ``wp.launch`` with arguments in the order model,
state, numbers, outputs. A ``launch_*`` function stands for a kernel with several callers, or for more than one kernel. Arrays
that belong together travel as one struct: ``KinematicTree``, ``HandGeometry``, ``HandSpheres``, ``CandidateSet`` of the hand;
``MeshSet``, ``SampleSet``, ``DistanceBound``, ``GraspedObjects`` of the objects; ``Contacts``, ``GeometryPoses`` of the state.
Kernels that are recorded on a tape name the arrays that gradients flow through one by one.
"""
