"""Methods of papers: energy, optimiser, seeds, contacts and targets of one system together, by name.

A method is a ``Method``: one line that says what it is, its source, and a ``SynthesisConfig``. The modules of this folder
declare them in a constant ``METHODS``; a new module with one is found by itself. A method of your own is a ``Method`` in
any module of yours, named ``my_module:MY_METHOD``.

``method_config("tdg", grasp_count=8)`` gives the configuration for ``synthesize``; on the command line the name goes to
``python -m warpgrasp.generate --method``.
"""

from __future__ import annotations

from warpgrasp.synthesis.methods.registry import (
    DEFAULT_METHOD,
    Method,
    exchange_closure,
    find_method,
    method_config,
    method_names,
)

__all__ = [
    "DEFAULT_METHOD",
    "Method",
    "exchange_closure",
    "find_method",
    "method_config",
    "method_names",
]
