"""Warp kernels, one file per physical concept; every kernel has one launch function, its only caller."""
