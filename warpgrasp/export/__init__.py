"""Grasps for other tools, one module per format; ``python -m warpgrasp.export``."""

from warpgrasp.export.formats import EXPORT_FORMATS, ExportResult, export_grasps

__all__ = ["EXPORT_FORMATS", "ExportResult", "export_grasps"]
