"""The composition root: the only package that knows everybody."""

from tillwatch.app.build import App, build

__all__ = ["App", "build"]
