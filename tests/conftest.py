"""Every module in tests/support is a pytest plugin: its fixtures are known to all tests."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

pytest_plugins = [
    f"tests.support.{path.stem}" for path in sorted((Path(__file__).parent / "support").glob("[a-z]*.py"))
]
# They import one another, so all are announced before the first is loaded.
pytest.register_assert_rewrite(*pytest_plugins)

# The gate judges a change by the same examples every time; everybody else's runs look for new ones.
# Time never decides a test: a loaded machine is no defect of the product.
settings.register_profile("here", deadline=None)
settings.register_profile("ci", derandomize=True, print_blob=True, deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "here")
