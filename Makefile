PYTHON ?= python3
export PYTHONPATH := src
.PHONY: setup check test coverage soak bench demo docs lock

setup: .venv/.ready
.venv/.ready: requirements.lock
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || ( [ "$$(id -u)" -eq 0 ] || SUDO=sudo; $$SUDO apt-get update -qq && $$SUDO apt-get install -y -qq --no-install-recommends python3-venv )
	@test -x .venv/bin/python || $(PYTHON) -m venv .venv
	@echo "installing Python packages into .venv (once, about a minute)"
	@.venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock && touch .venv/.ready

check: setup
	.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy && .venv/bin/lint-imports

# Two at a time; a file stays together, so that its servers are started once. What watches this machine, or races on a
# real ERP, has the machine for itself.
test: setup
	tests/packages.sh
	.venv/bin/python -m pytest -n 2 --dist loadfile tests/unit tests/content tests/integration
	.venv/bin/python -m pytest tests/conformance tests/e2e

# The same, with the lines that no test reaches; counting them takes time of its own.
coverage: setup
	tests/packages.sh
	.venv/bin/python -m pytest --cov --cov-report=term:skip-covered

# 1,000 kills (40 rounds of 25) on SQLite; digests on every pair of engines with every kind of key.
soak: setup
	TILLWATCH_SOAK_ROUNDS=40 .venv/bin/python -m pytest tests/integration/test_kill.py -k sqlite
	TILLWATCH_SOAK_ROUNDS=40 .venv/bin/python -m pytest tests/integration/audit/pushdown/test_matrix.py

bench: setup
	tests/packages.sh
	.venv/bin/python -m pytest tests/benchmarks --benchmark-columns=min,median,max,ops,rounds

demo: setup
	.venv/bin/python -m tillwatch demo $(ARGS)

docs: setup
	.venv/bin/python docs/build.py
