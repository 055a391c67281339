#!/usr/bin/env bash
# Everything that only a GPU can show, in one command and under ten minutes, on one machine without network:
# the tests that need CUDA, the speed of both trainers, where a step's time goes, the envelope, and eight iterations of
# the loop at profile h100-354m.
#
#     benchmarks/gpu_all.sh [OUT]
#
# Needs a python with torch. Whatever else is missing there is taken from a folder of wheels, WHEELS=DIR, filled on a
# machine with network and the same Python by
#     pip download --no-deps -d DIR annotated-types alembic colorlog hypothesis iniconfig Mako markdown-it-py MarkupSafe \
#         mdurl megatron-core numpy nvidia-ml-py optuna packaging pluggy psutil pydantic pydantic-core Pygments pytest \
#         PyYAML rich sortedcontainers SQLAlchemy tokenizers tqdm typing-extensions typing-inspection watchdog
# (matplotlib and what it needs only for the envelope's picture). CORPUS=DIR uses a corpus prepared before; STEPS="a b"
# takes these steps alone. Rehearsal on a CPU:
#     PROFILE=tiny benchmarks/gpu_all.sh /tmp/rehearsal
set -uo pipefail
OUT=$(realpath -m "${1:-gpu-results}")
cd "$(dirname "$0")/.."
PROFILE=${PROFILE:-h100-354m}
PYTHON=${PYTHON:-python3}
ITERS=${ITERS:-8}
TOTAL_S=${TOTAL_S:-570}
mkdir -p "$OUT"
if [ -n "${WHEELS:-}" ]; then
    site=$(mktemp -d)
    "$PYTHON" -m pip install --quiet --no-index --no-deps --no-compile --target "$site" "$WHEELS"/*.whl || exit 1
    export PYTHONPATH="$PWD:$site${PYTHONPATH:+:$PYTHONPATH}"
else
    export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
fi
began=$SECONDS
failed=()
parallel=()

step() { # NAME SECONDS COMMAND...: keep the output, continue after a failure, end at the smaller of SECONDS and the time left
    local name=$1 limit=$2
    shift 2
    [[ -z ${STEPS:-} || " $STEPS " == *" $name "* ]] || return 0
    local from=$SECONDS left=$((TOTAL_S - SECONDS + began))
    echo "== $name (after $((SECONDS - began)) s)"
    if ! timeout -k 15 "$((limit < left ? limit : left > 5 ? left : 5))" "$@" >"$OUT/$name.txt" 2>"$OUT/$name.log"; then
        failed+=("$name")
        tail -n 5 "$OUT/$name.log"
    fi
    echo "   $((SECONDS - from)) s"
}


{
    date -u +%Y-%m-%dT%H:%M:%SZ
    git log -1 --format=%H 2>/dev/null
    uname -srm
    nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv 2>/dev/null
    "$PYTHON" -m pip list 2>/dev/null | grep -i -E '^(torch|triton|megatron|transformer.engine|numpy|optuna) '
} >"$OUT/machine.txt"

# GPT-2's vocabulary size, learned from the standard library, so that the model has the origin's 354.6 M parameters.
vocab=50257 seq_lens=512,1024
[ "$PROFILE" = tiny ] && vocab=4096 seq_lens=64,128
if [ -z "${CORPUS:-}" ]; then
    CORPUS=$OUT/corpus
    step corpus 120 "$PYTHON" -m autoresearch prepare --stdlib --out "$CORPUS" --tokenizer bpe --vocab-size $vocab --json
fi
with=(--profile "$PROFILE" --corpus "$CORPUS")

# What matters most comes first: what does not fit into the time is cut short.
"$PYTHON" -c 'import xdist' 2>/dev/null && parallel=(-n 4)
step import-threads 40 "$PYTHON" -m benchmarks.import_threads megatron
step tests-gpu 180 "$PYTHON" -m pytest -p no:cacheprovider -p no:benchmark -v -W default --durations 0 "${parallel[@]}" tests/gpu
step loop 200 "$PYTHON" -m autoresearch run "${with[@]}" --dir "$OUT/run" --iters "$ITERS" --set eval.bytes=262144
for trainer in torch megatron; do
    step "kernels-$trainer" 40 "$PYTHON" -m benchmarks.kernels "${with[@]}" --trainer "$trainer"
done
step envelope 100 "$PYTHON" -m autoresearch envelope "${with[@]}" --dir "$OUT/envelope" --batch-size 8,16 \
    --seq-len $seq_lens
step trainers 180 "$PYTHON" -m benchmarks.trainers "${with[@]}" --rounds 2 --set budget.size=40 --set eval.bytes=65536

cp "$OUT"/run/trajectory.jsonl "$OUT"/run/report.* "$OUT"/ 2>/dev/null
cp "$OUT"/envelope/envelope.{jsonl,png} "$OUT"/ 2>/dev/null
echo "all of it took $((SECONDS - began)) s; results in $OUT"
if [ ${#failed[@]} -gt 0 ]; then
    echo "failed: ${failed[*]} (see $OUT/NAME.log)"
    exit 1
fi
