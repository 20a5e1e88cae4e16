#!/bin/bash
# fne extract as a Slurm job array: task I of N takes every N-th image.
#
#     sbatch --array=1-8 scripts/extract_array.sh photos/ photos --model vgg16 --batch-size 64
#
# writes photos-1-of-8.h5 ... photos-8-of-8.h5; fne merge photos-?-of-8.h5 photos.h5 joins them. To run some tasks again:
# SHARDS=8 sbatch --array=3,5 ... with the same words. A task whose time is up is requeued and goes on where it was.
#SBATCH --job-name=fne-extract
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@120
if [ $# -lt 2 ] || [ -z "$SLURM_ARRAY_TASK_ID" ]; then
    echo "extract_array.sh: should be a job array with two words at least: sbatch --array=1-8 extract_array.sh IMAGES" \
        "OUTPUT. Found: $([ -z "$SLURM_ARRAY_TASK_ID" ] && echo "no --array" || echo "$# words")." >&2
    exit 2
fi
images=$1 output=$2
shift 2
shards=${SHARDS:-$SLURM_ARRAY_TASK_COUNT}
task=$SLURM_ARRAY_TASK_ID
if [ -z "$SHARDS" ] && [ "$SLURM_ARRAY_TASK_MIN-$SLURM_ARRAY_TASK_MAX" != "1-$SLURM_ARRAY_TASK_COUNT" ]; then
    echo "extract_array.sh: --array should be 1-N, or SHARDS should say how many shards there are in all:" \
        "SHARDS=8 sbatch --array=3,5 ... Found: $SLURM_ARRAY_TASK_COUNT tasks from $SLURM_ARRAY_TASK_MIN to" \
        "$SLURM_ARRAY_TASK_MAX, and no SHARDS." >&2
    exit 2
fi

fne extract "$images" "$output-$task-of-$shards.h5" --shard "$task/$shards" "$@" &
child=$!

# Slurm sends SIGUSR1 to this shell two minutes before the time is up. fne commits what it has and ends with 143.
requeue=
trap 'requeue=yes; kill -USR1 $child' USR1
trap 'kill -TERM $child' TERM
wait $child
while kill -0 $child 2>/dev/null; do # a trap ends `wait` too
    wait $child
done
wait $child # the child's own code, which the shell has kept
code=$?
if [ "$requeue" ] && [ $code = 143 ]; then
    scontrol requeue "${SLURM_ARRAY_JOB_ID}_$task"
fi
exit $code
