"""Results of an evaluation: arrays, rows, files, agreement of engines."""
