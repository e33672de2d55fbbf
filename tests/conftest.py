"""Every module in tests/support is a pytest plugin: its fixtures are known to all tests."""

from pathlib import Path

import pytest

pytest_plugins = [
    f"tests.support.{path.stem}" for path in sorted((Path(__file__).parent / "support").glob("[a-z]*.py"))
]
# They import one another, so all are announced before the first is loaded.
pytest.register_assert_rewrite(*pytest_plugins)
