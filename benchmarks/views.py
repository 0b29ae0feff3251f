"""Milliseconds per picture of a data set: ``python benchmarks/views.py``.

Times the rays alone and everything that is written (pictures as PNG, partial cloud, noise) for generated objects, with one
thread. Milliseconds are CPU milliseconds of this process, per view, of all objects together, after one object to warm up.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from machine import machine_name

from warpgrasp.dataset.primitives import write_primitives
from warpgrasp.dataset.views import view_table
from warpgrasp.objects import load_object
from warpgrasp.objects.views import ViewConfig, object_views


def main() -> None:
    """Print a row for every size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=10)
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 256])
    options = parser.parse_args()
    print(f"{machine_name()}; {options.objects} objects, 5 views of each")
    print("| pixels | rays [ms] | all [ms] | all with noise [ms] |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        paths = write_primitives(Path(folder), options.objects + 1)
        models = [load_object(path) for path in paths]
        for size in options.sizes:
            spent = []
            for written, noise in ((False, False), (True, False), (True, True)):
                config = ViewConfig(size=size, noise=noise)
                started = 0.0
                for number, model in enumerate(models):
                    if number == 1:
                        started = time.process_time()
                    views = object_views(model, config)
                    if written:
                        view_table(model.name, model.mesh_hash, "", views, config)
                spent.append(1e3 * (time.process_time() - started) / (options.objects * config.count))
            print(f"| {size} x {size} | " + " | ".join(f"{value:.2f}" for value in spent) + " |")


if __name__ == "__main__":
    main()
