"""Data sets of many grasps as sharded Parquet files: columns, shards, the folder."""
