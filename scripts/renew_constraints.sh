#!/usr/bin/env bash
# Write constraints.txt anew: the newest versions that the package index has, of all that fne-cli and its tests need.
#
#     scripts/renew_constraints.sh          then scripts/test.sh --slow, and commit both or neither
#
# scripts/demo.sh and scripts/test.sh install these versions, so that the same packages are tested tomorrow. Without the
# file the package still installs, with whatever is newest then. Needs Python 3.11 or newer; PYTHON chooses it.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check ".[test]"
version=$("$folder/venv/bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
{
    echo "# The versions that were tested, with Python $version on $(uname -sm). scripts/renew_constraints.sh writes this file."
    "$folder/venv/bin/pip" freeze --disable-pip-version-check --exclude fne-cli
} >constraints.txt
