PYTHON ?= python3
.PHONY: setup check test

setup: .venv/.ready
.venv/.ready: requirements.lock pyproject.toml
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	.venv/bin/python -m pip install -q --require-hashes -r requirements.lock && touch .venv/.ready

check: setup
	.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy && PYTHONPATH=src .venv/bin/lint-imports

test: setup
	.venv/bin/python -m pytest --cov --cov-report=term
