#!/bin/bash
# Payload sizes beside those of other tools, on real pairs.
#
#   benches/payloads.sh [--chart FILE.svg] PAIRS_DIR [PAIR...]
#
# PAIRS_DIR holds directories with two files each, `old` and `new`. Peers that are not installed are left out
# (apt-get install zstd xdelta3 bsdiff; gnuplot for the chart). Times are CPU seconds, memory is the peak resident
# set; "equal" means that what was applied is the new file, byte for byte.
set -euo pipefail

usage='usage: payloads.sh [--chart FILE.svg] PAIRS_DIR [PAIR...]'
chart=
if [[ ${1:-} == --chart ]]; then
  chart=${2:?$usage}
  shift 2
fi
pairs_dir=${1:?$usage}
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
  local bytes
  bytes=$(stat -c %s "$3")
  printf '%-14s %-24s %12d %9s %9s %9s %9s  %s\n' "$1" "$2" "$bytes" \
    "$make_seconds" "$make_mib" "$apply_seconds" "$apply_mib" "$equal"
  printf '%s\t%s\t%s\n' "$1" "$2" "$bytes" >>"$work/sizes"
  rm -f "$work/p" "$work/out"
}

printf '%-14s %-24s %12s %9s %9s %9s %9s\n' pair tool bytes 'make s' 'MiB' 'apply s' 'MiB'
[[ $# -gt 0 ]] || mapfile -t names < <(cd "$pairs_dir" && ls -d -- */ | tr -d /)
[[ $# -eq 0 ]] || names=("$@")
for pair in "${names[@]}"; do
  old=$pairs_dir/$pair/old new=$pairs_dir/$pair/new
  [[ -f $old && -f $new ]] || continue
  for profile in small fast; do
    measure make "$layby_delta" diff --profile "$profile" "$old" "$new" -o "$work/p"
    measure apply "$layby_delta" apply --base "$old" "$work/p" -o "$work/out"
    row "$pair" "layby-delta $profile" "$work/p" "$new"
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
  if command -v zstd >/dev/null; then
    measure make zstd -q -19 "$new" -o "$work/p"
    measure apply zstd -q -d "$work/p" -o "$work/out"
    row "$pair" "zstd -19, whole file" "$work/p" "$new"
  fi
done

# Bytes of each tool as parts of the best peer's with a base, pair by pair.
if [[ -n $chart ]]; then
  command -v gnuplot >/dev/null || { echo "gnuplot is missing: apt-get install gnuplot-nox" >&2; exit 1; }
  awk -F'\t' '
    $2 ~ /whole/ { next }
    !($1 in seen) { seen[$1] = 1; pairs[++n] = $1 }
    { bytes[$1, $2] = $3 }
    $2 !~ /layby/ && (!($1 in best) || $3 < best[$1]) { best[$1] = $3 }
    END {
      for (i = 1; i <= n; ++i)
        if (best[pairs[i]] > 0)
          printf "%s\t%.4f\t%.4f\n", pairs[i], bytes[pairs[i], "layby-delta small"] / best[pairs[i]],
                 bytes[pairs[i], "layby-delta fast"] / best[pairs[i]]
    }' "$work/sizes" >"$work/parts"
  gnuplot <<GNUPLOT
set terminal svg size 900,420 font "sans-serif,12"
set output "$chart"
set datafile separator "\t"
set style data histogram
set style histogram clustered gap 1
set style fill solid 0.9 noborder
set ylabel "payload, best of zstd, xdelta3 and bsdiff = 1"
set yrange [0:*]
set grid ytics
set xtics rotate by -30
plot "$work/parts" using 2:xtic(1) title "small" lc rgb "#1f6f8b", "" using 3 title "fast" lc rgb "#99a8b2", 1 notitle lc rgb "#444444"
GNUPLOT
fi
