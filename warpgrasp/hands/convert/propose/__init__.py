"""Proposals for a hand's annotation: fingers, palm frame, patches, opening pose."""
