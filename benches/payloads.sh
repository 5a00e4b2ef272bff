#!/bin/bash
# Payload sizes beside those of other tools, on real pairs.
#
#   benches/payloads.sh PAIRS_DIR [PAIR...]
#
# PAIRS_DIR holds directories with two files each, `old` and `new`. Peers that are not installed are left out
# (apt-get install zstd xdelta3 bsdiff). Times are CPU seconds, memory is the peak resident set.
set -euo pipefail

pairs_dir=${1:?usage: payloads.sh PAIRS_DIR [PAIR...]}
shift
layby_delta=${LAYBY_DELTA:-$(dirname "$0")/../build/release/bin/layby-delta}
[[ -x $layby_delta ]] || { echo "$layby_delta is missing: build it first" >&2; exit 1; }
[[ -x /usr/bin/time ]] || { echo "/usr/bin/time is missing: apt-get install time" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# measure NAME COMMAND...: leaves "CPU-seconds MiB" in $work/NAME.cost
measure() {
  local name=$1
  shift
  /usr/bin/time -f '%U %S %M' -o "$work/$name.time" "$@" >"$work/$name.log" 2>&1 || {
    cat "$work/$name.log" >&2
    return 1
  }
  awk '{printf "%.1f %.1f\n", $1 + $2, $3 / 1024}' "$work/$name.time" >"$work/$name.cost"
}

# row PAIR TOOL PAYLOAD NEW: one line of the table
row() {
  local equal=DIFFERENT
  cmp -s "$work/out" "$4" && equal=equal
  read -r make_seconds make_mib <"$work/make.cost"
  read -r apply_seconds apply_mib <"$work/apply.cost"
  printf '%-14s %-26s %12d %9s %9s %9s %9s  %s\n' "$1" "$2" "$(stat -c %s "$3")" \
    "$make_seconds" "$make_mib" "$apply_seconds" "$apply_mib" "$equal"
  rm -f "$work/p" "$work/out"
}

printf '%-14s %-26s %12s %9s %9s %9s %9s\n' pair tool bytes 'make s' 'MiB' 'apply s' 'MiB'
[[ $# -gt 0 ]] || mapfile -t names < <(cd "$pairs_dir" && ls -d -- */ | tr -d /)
[[ $# -eq 0 ]] || names=("$@")
for pair in "${names[@]}"; do
  old=$pairs_dir/$pair/old new=$pairs_dir/$pair/new
  [[ -f $old && -f $new ]] || continue
  for effort in "" --fast; do
    measure make "$layby_delta" diff $effort "$old" "$new" -o "$work/p"
    measure apply "$layby_delta" apply --base "$old" "$work/p" -o "$work/out"
    row "$pair" "layby-delta $effort" "$work/p" "$new"
  done
  if command -v zstd >/dev/null; then
    measure make zstd -q -19 --long=31 --patch-from="$old" "$new" -o "$work/p"
    measure apply zstd -q -d --long=31 --memory=2048MB --patch-from="$old" "$work/p" -o "$work/out"
    row "$pair" "zstd -19 --patch-from" "$work/p" "$new"
  fi
  if command -v xdelta3 >/dev/null; then
    measure make xdelta3 -9 -e -f -s "$old" "$new" "$work/p"
    measure apply xdelta3 -d -f -s "$old" "$work/p" "$work/out"
    row "$pair" "xdelta3 -9" "$work/p" "$new"
  fi
  if command -v bsdiff >/dev/null; then
    measure make bsdiff "$old" "$new" "$work/p"
    measure apply bspatch "$old" "$work/out" "$work/p"
    row "$pair" bsdiff "$work/p" "$new"
  fi
done
