#!/usr/bin/env bash
# Everything that must hold, in a fresh virtual environment: linters, types, import rules, tests, and the demo.
#
#     scripts/test.sh           the fast tests
#     scripts/test.sh --slow    all tests (what CI runs)
#
# Needs Python 3.11 or newer with pip, and a package index. PYTHON chooses the interpreter.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=.venv-test
echo "== a fresh virtual environment in $venv, with fne-cli and what its tests need"
rm -rf "$venv"
"${PYTHON:-python3}" -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check --constraint constraints.txt ".[test]"
export PATH="$PWD/$venv/bin:$PATH"

echo "== ruff, mypy, import-linter"
ruff check .
ruff format --check .
mypy
lint-imports

echo "== tests"
# The tests run against the installed package, not against this folder.
# pytest ends a test that hangs; the outer limit is for what it cannot end, such as a fixture that is closed.
limited() {
    if command -v timeout >/dev/null; then timeout --foreground --kill-after=60 "$@"; else shift && "$@"; fi
}
limited 2000 python -P -m pytest -m "not slow" --numprocesses 2 --dist loadfile
if [ "${1:-}" = "--slow" ]; then
    # Many of these wait for processes of their own, and nearly all hold for events instead of for time.
    limited 3900 python -P -m pytest -m slow --numprocesses 2 --dist loadfile --durations 15
fi

echo "== the demo"
scripts/demo.sh "$venv"
