"""Sphinx configuration: ``python -m sphinx -W --keep-going -b html docs docs/_build/html`` builds the site."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

from warpgrasp.base.version import VERSION

project = "warpgrasp"
author = "the warpgrasp authors"
release = version = VERSION

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinxcontrib.bibtex",
    "mathml",
    "generated_reference",
]
exclude_patterns = ["_build", "_extensions"]
myst_enable_extensions = ["amsmath", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4
# Short names in signatures: the same name in several modules is no mistake.
suppress_warnings = ["ref.python"]

# Docstrings: Google sections, fields described below themselves, types as written.
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_type_aliases = {"FloatArray": "FloatArray", "IntArray": "IntArray", "Vector": "Vector"}
autodoc_default_options = {"members": True, "undoc-members": True}
toc_object_entries_show_parents = "hide"
# What the reference imports but a machine that builds it need not have.
autodoc_mock_imports = [
    "gymnasium",
    "isaaclab",
    "isaaclab_newton",
    "isaaclab_physx",
    "isaaclab_rl",
    "rsl_rl",
    "skrl",
    "torch",
]
python_use_unqualified_type_names = True
python_display_short_literal_types = True
maximum_signature_line_length = 100

bibtex_bibfiles = ["references.bib"]
bibtex_reference_style = "author_year"
bibtex_default_style = "plain"

html_theme = "furo"
html_title = f"warpgrasp {release}"
html_static_path = ["_static"]
html_css_files = ["warpgrasp.css"]
html_theme_options = {"top_of_page_buttons": ["view"], "navigation_with_keys": True}
html_copy_source = False
html_show_sphinx = False
math_numfig = True
math_eqref_format = "Eq. {number}"
