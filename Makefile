# Two commands: `make study` runs a real study to its report, `make test` runs every test.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: install study test lint clean

install: .venv/installed

study: .venv/installed
	$(BIN)/kdsearch study run studies/temp_alpha.yaml

test: .venv/installed-dev
	$(BIN)/python -m pytest -n auto

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyrefly check
	$(BIN)/lint-imports

clean:
	rm -rf .venv

# pip older than 25.1 knows no dependency groups, so the environment gets its own.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group dev
	touch $@
