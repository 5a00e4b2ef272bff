#!/usr/bin/env bash
# How large the car's side is: stripped, in the preset `minsize` if none is named, with the share of each library.
#
#   benches/size.sh [PRESET]
#
# Three things: the shared library liblayby, the daemon layby-agent as a distribution has it, and the daemon with its
# libraries inside, as far as Debian has them as archives (its libcurl needs Kerberos and LDAP, which it has not: that one stays
# shared). Shares come from the linker's map of the last. Ends with 1 if our own code is above 1.5 MiB.
set -euo pipefail
cd -- "$(dirname -- "$0")/.."
preset=${1:-minsize}
bash build.sh "$preset" --target layby_c layby-agent >/dev/null
build=build/$preset
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

strip -o "$out/liblayby.so" "$build/agent/liblayby.so.0.1.0"
strip -o "$out/layby-agent" "$build/bin/layby-agent"
# The link command as Ninja has it, with archives in the place of shared libraries. What becomes of an order of archives
# does not matter inside a group.
command=$(ninja -C "$build" -t commands bin/layby-agent | tail -1 | sed 's/^: && //; s/ && :$//')
archives=()
shared=()
for word in $command; do
  case $word in
    */lib*.so)
      archive=${word%.so}.a
      if [ -f "$archive" ] && [[ $archive != */libcurl.a && $archive != */libarchive.a ]]; then
        archives+=("$archive")
      else
        shared+=("$word")
      fi ;;
  esac
done
objects=$(tr ' ' '\n' <<<"$command" | grep -E '\.o$|liblayby[a-z_]*\.a$|agent/lib[a-z_]*\.a$' | sort -u)
(cd "$build" && c++ -static-libstdc++ -static-libgcc -Wl,--gc-sections -Wl,--as-needed -Wl,-Map="$out/map" -o "$out/static" \
  -Wl,--start-group $objects base/CMakeFiles/layby_formatting.dir/formatting.cc.o "${archives[@]}" "${shared[@]}" -ldivsufsort -Wl,--end-group)
strip -o "$out/layby-agent-static" "$out/static"

size() { stat -c %s "$1"; }
printf '%9d  liblayby.so, stripped, with the C++ runtime that it needs inside\n' "$(size "$out/liblayby.so")"
printf '%9d  layby-agent, stripped\n' "$(size "$out/layby-agent")"
printf '%9d  layby-agent with its libraries inside, stripped; shared are still: %s\n' "$(size "$out/layby-agent-static")" \
  "$(readelf -d "$out/static" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' | tr '\n' ' ')"
echo "of which, by the linker's map:"
python3 benches/size_shares.py "$out/map"
