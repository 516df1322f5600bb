# `make study` runs a real study to its report, `make test` runs every test, `make quick` those of seconds.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: install study test quick lint site docs reports pictures wheel clean

install: .venv/installed

study: .venv/installed
	$(BIN)/kdsearch study run studies/temp_alpha.yaml

test: .venv/installed-dev
	$(BIN)/python -m pytest -n auto

quick: .venv/installed-dev
	$(BIN)/python -m pytest -n auto -m "not slow"

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyrefly check
	$(BIN)/lint-imports

# The pages of docs/, with every link checked, in site/; `docs` serves them and follows what you write.
site: .venv/installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

docs: .venv/installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs serve --strict --dev-addr 127.0.0.1:8000

# Every report in the repository that has its study beside it, as today's code writes it.
reports: .venv/installed-dev
	$(BIN)/python -m benchmarks.committed_reports

# docs/images/, from the reports in the repository, by the Chromium of the system.
pictures: .venv/installed-dev
	$(BIN)/python -m docs.pictures

# Builds dist/, installs it with all it needs into an empty environment, and runs a study from there.
# (Whether the wheel holds what it must is one of the tests; this one downloads.)
wheel: .venv/installed-dev
	rm -rf build dist .wheel
	$(BIN)/python -m build --outdir dist
	$(PYTHON) -m venv .wheel/env
	.wheel/env/bin/python -m pip install --quiet --constraint constraints.txt dist/*.whl
	cp studies/smoke.yaml .wheel
	cd .wheel && env/bin/kdsearch --version && env/bin/kdsearch study run smoke.yaml

clean:
	rm -rf .venv .wheel build dist site

# pip older than 25.1 knows no dependency groups, so the environment gets its own.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group dev
	touch $@
