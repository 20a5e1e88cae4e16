#!/usr/bin/env bash
# Caltech-101 with SqueezeNet v1.1: the full-network embedding and two single layers (docs/benchmarks.md has the numbers).
#
#     scripts/caltech101.sh IMAGES MANIFEST NETWORK OUTPUT
#
# IMAGES: the folder with the 101 class folders. MANIFEST: a CSV with path, label, split (30 training images per class).
# NETWORK: squeezenet_v1_1.keras. OUTPUT: a folder for the results; everything in it is resumed or reused.
set -euo pipefail
[ $# = 4 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 2; }
images=$1 manifest=$2 network=$3 output=$4

mkdir -p "$output"
fne extract "$manifest" "$output/activations.h5" --root "$images" \
    --model "$network" --preprocess caffe --layers 'conv*,fire*' --batch-size 50
fne normalize "$output/activations.h5" "$output/moments.h5"
fne discretize "$output/activations.h5" "$output/moments.h5" "$output/codes.h5"
fne evaluate "$output/codes.h5" "$output/embedding.json"
fne evaluate "$output/activations.h5" "$output/layers.json" --layers fire9_expand3x3,conv10
