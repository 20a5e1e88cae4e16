#!/usr/bin/env bash
# The SHA-256 of every kind of output for a fixed set of commands, on the digits and the network that ship with fne.
#
#     scripts/hash_outputs.sh FOLDER > before.txt      # then change the code, and again into another folder:
#     scripts/hash_outputs.sh OTHER > after.txt; diff before.txt after.txt
#
# Needs fne-cli[dask,report,parquet] on the PATH. FOLDER must not exist; it takes 200 MB, and some minutes on two cores.
# Files of fne depend on the versions of the software that made them: compare two runs in one environment. Names in the
# messages on standard output are part of what is compared (stdout/); records (.run.json) have times and are not.
set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
folder=${1:?a folder that does not exist}
mkdir "$folder"
cd "$folder"
mkdir stdout

# say NAME COMMAND...: run a command, keep what it prints
say() {
    local name=$1
    shift
    "$@" -q >"stdout/$name" || { echo "failed: $*" >&2; exit 1; }
}

fne sample digits digits -q
fne extract digits a.h5 --model mini -q
fne extract digits half.h5 --model mini --dtype float16 --batch-size 8 -q
fne extract digits grid.h5 --model mini --pool 'max,block3*=avg:2' -q
fne extract digits a-cluster.h5 --model mini --cluster local:2 --shard-rows 300 -q
for shard in 1 2 3; do fne extract digits "s$shard.h5" --model mini --shard "$shard/3" -q; done
fne merge s3.h5 s1.h5 s2.h5 merged.h5 -q
fne split digits list.csv --per-class 10 --seed 1 -q
fne extract list.csv crops.h5 --root digits --model mini --crops 5 --layers 'block2*,fc1' -q

fne normalize a.h5 m.h5 --standardized z.h5 -q
fne normalize s2.h5 s3.h5 s1.h5 m-shards.h5 --rows all -q
fne normalize a.h5 m-cluster.h5 --standardized z-cluster.h5 --cluster local:2 -q
fne normalize crops.h5 m-crops.h5 -q
fne analyze a.h5 b.h5 --random-classes 20 -q
fne analyze a.h5 b-cluster.h5 --random-classes 20 --cluster local:2 -q
fne discretize a.h5 m.h5 c.h5 -q
fne discretize a.h5 m.h5 packed.h5 --packed -q
fne discretize a.h5 m.h5 cuts.h5 --thresholds b.h5 -q
fne discretize s1.h5 s2.h5 s3.h5 m.h5 c-shards.h5 -q
fne discretize a.h5 m.h5 c-cluster.h5 --packed --cluster local:2 -q
fne discretize crops.h5 m-crops.h5 c-crops.h5 -q

say codes fne evaluate c.h5 codes.json --predictions codes.csv --model codes.npz
say packed fne evaluate packed.h5 packed.json --seed 3
say layers fne evaluate a.h5 layers.json --layers 'block5*,fc*'
say crops fne evaluate c-crops.h5 crops.json --aggregate sum
for kind in fne standardized clipped l2 raw balanced unit,depth:2 length,pca:16,whiten; do
    say "$kind" fne evaluate a.h5 "$kind.json" --embedding "$kind" --model "$kind.npz"
done
say ridge fne evaluate a.h5 ridge.json --embedding standardized --classifier ridge --model ridge.npz
say cv-ridge fne evaluate c.h5 cv-ridge.json --cv 3 --classifier ridge --predictions cv-ridge.csv
for classifier in lda logistic knn centroid; do
    say "$classifier" fne evaluate a.h5 "$classifier.json" --embedding standardized --classifier "$classifier" \
        --model "$classifier.npz"
    say "cv-$classifier" fne evaluate c.h5 "cv-$classifier.json" --cv 3 --classifier "$classifier"
done
say relative fne evaluate c.h5 relative.json -C 1,10 --relative-cost
say shrinkage fne evaluate c.h5 shrinkage.json --classifier lda --shrinkage 0.01,0.1,1
say thresholds fne evaluate a.h5 thresholds.json --embedding fne --thresholds b.h5 --each-layer --layers 'fc*'
say cv fne evaluate a.h5 cv.json --embedding fne --cv 3 --layers 'block4*,fc1'
say cv-codes fne evaluate c.h5 cv-codes.json --cv 3 -C 0.01,1 --predictions cv-codes.csv
say curve fne evaluate c.h5 curve.json --per-class 1,5,10 --draws 2
say curve-fne fne evaluate s1.h5 s2.h5 s3.h5 curve-fne.json --embedding fne --per-class 2,8 --draws 2 -C 0.1,1
say liblinear fne evaluate c.h5 liblinear.json --solver liblinear --layers fc2
say on-cluster fne evaluate a.h5 on-cluster.json --embedding fne --cv 3 --layers 'fc*' --cluster local:2 \
    --predictions on-cluster.csv
for kind in codes fne standardized clipped l2 raw ridge lda logistic knn centroid balanced unit,depth:2 length,pca:16,whiten; do
    say "predict-$kind" fne predict "$kind.npz" "$([ $kind = codes ] && echo c.h5 || echo a.h5)" "predict-$kind.csv"
done

fne export c.h5 x.npy -q
fne export packed.h5 x.npz --layers 'fc*' -q
fne export a.h5 x.csv --layers fc1 -q
fne export c.h5 x.svm --layers fc1 -q
fne export z.h5 x.parquet --layers fc1 -q
fne export c.h5 x.faiss -q
fne export a.h5 x.copy --embedding z,root -q >x.sql
say features fne features b.h5 --class 3 --top 5 --activations a.h5 --json
say prototypes fne features c.h5 --class 3 --distances --json
fne plot b.h5 figures --activations a.h5 --images digits -q
find . -maxdepth 1 -name '*.run.json' -delete  # with times: not for info and the page to show
for file in a m b c packed z; do
    say "info-$file" fne info "$file.h5" --json
    say "verify-$file" fne verify "$file.h5"
done
say rank fne rank a.h5 c.h5 z.h5 --cka --csv ranking.csv --json

say layers-mini fne layers mini --json

cp "$here/configs/digits.toml" .
say run fne run digits.toml --json
say run-cluster fne run digits.toml --set experiment.output=run-cluster --cluster local:2 --json
find . -name '*.run.json' -delete
fne report codes.json cv.json curve.json page.html --latex page.tex -q
fne report digits-results page-run.html -q

find . -type f ! -path './digits/*' ! -path '*/images/*' ! -name '*.run.json' ! -name 'stamps.json' -print0 |
    LC_ALL=C sort -z | xargs -0 sha256sum
