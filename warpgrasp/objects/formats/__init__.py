"""Readers, one per file format: from a file to the triangles that it holds, nothing mended."""
