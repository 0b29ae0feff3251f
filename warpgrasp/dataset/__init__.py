"""Data sets at scale: one plan, many workers, sharded Parquet files."""
