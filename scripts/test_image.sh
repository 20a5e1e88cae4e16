#!/usr/bin/env bash
# Build the image of Dockerfile and run the whole job in it, where a container engine runs:
#
#     bash scripts/test_image.sh [docker|podman]
set -euo pipefail
cd "$(dirname "$0")/.."

engine=${1:-docker}
"$engine" build --quiet --tag fne-test .
"$engine" run --rm --entrypoint sh fne-test -c "fne sample digits d && fne try d --model mini" | grep "embedding, SVM"
