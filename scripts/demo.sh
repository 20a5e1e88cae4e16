#!/usr/bin/env bash
# The main job on real data, offline: 1,797 handwritten digits -> activations of every layer of the embedded network
# -> moments -> ternary codes -> accuracy of a linear SVM, with the fc2 layer alone beside it.
#
#     scripts/demo.sh [VENV]    VENV: an environment that has fne-cli already; else one is made in .venv-demo
#
# Needs Python 3.11 or newer with pip, and a package index. Writes to demo/.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=${1:-.venv-demo}
if [ ! -x "$venv/bin/fne" ]; then
    echo "== a virtual environment in $venv, with fne-cli"
    "${PYTHON:-python3}" -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --constraint constraints.txt .
fi
export PATH="$PWD/$venv/bin:$PATH"

run() {
    echo "\$ $*"
    "$@"
}

rm -rf demo
mkdir demo
cd demo
run fne sample digits digits
run fne extract digits activations.h5 --model mini
run fne normalize activations.h5 moments.h5
run fne discretize activations.h5 moments.h5 codes.h5
echo "== the full-network embedding"
run fne evaluate codes.h5 results.json
echo "== the usual way, one layer, for comparison"
run fne evaluate activations.h5 fc2.json --layers fc2
echo "== the same commands again: nothing is left to do"
run fne extract digits activations.h5 --model mini
run fne evaluate codes.h5 results.json
