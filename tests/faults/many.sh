#!/bin/sh
# tests/faults/many.sh FOLDER: a thousand kills over all binaries, tools/reproduce and tools/tune, and
# ten thousand command lines and TOMLs, at idle priority; progress in FOLDER/full_kills.log and
# FOLDER/full_lines.log.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
folder=$(cd "$1" && pwd)
python=${PYTHON:-$root/.venv/bin/python}
# From a copy: code that is edited while it runs is not what is tried.
rm -rf "$folder/full_code" && mkdir "$folder/full_code"
cp -r "$root/repro" "$root/configs" "$root/tests" "$root/tools" "$root/setup.cfg" "$folder/full_code"
mkdir -p "$folder/full_code/outputs/reference/figures"
cd "$folder/full_code"
export REPRO_FAULTS=many TF_CPP_MIN_LOG_LEVEL=3
idle="nice -n 19"
command -v chrt > /dev/null && idle="chrt --idle 0 $idle"
run() { $idle "$python" -u -m pytest -p no:xdist -v -s -m "slow or not slow" "$@"; }
run tests/faults/test_what_users_type.py > "$folder/full_lines.log" 2>&1 &
echo "lines: process $!"
run tests/faults/test_kills.py > "$folder/full_kills.log" 2>&1 &
echo "kills: process $!"
wait
