#!/usr/bin/env bash
# How large the programs are, stripped: the car's side in the preset `minsize` if none is named, the server in `release`;
# with the share of each library.
#
#   benches/size.sh [PRESET]
#
# Of the car's side: the shared library liblayby, the daemon layby-agent as a distribution has it, and the daemon with its
# libraries inside, as far as Debian has them as archives. Shares come from the linker's map of the last. Ends with 1 if our own
# code is above 1.5 MB.
set -euo pipefail
cd -- "$(dirname -- "$0")/.."
preset=${1:-minsize}
bash build.sh "$preset" --target layby_c layby-agent >/dev/null
bash build.sh release --target laybyd >/dev/null
build=build/$preset
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

strip -o "$out/liblayby.so" "$build/agent/liblayby.so.0.1.0"
strip -o "$out/layby-agent" "$build/bin/layby-agent"
strip -o "$out/laybyd" build/release/bin/laybyd

# Why a library stays shared, although the rest goes inside; nothing for those that do not.
why_shared() {
  case $1 in
    libcurl) echo "Kerberos and LDAP, which it needs, are not there as archives" ;;
    libsystemd | libp11-kit | libdivsufsort) echo "Debian has no archive of it" ;;
    libarchive) [ -f "$2/libnettle.a" ] || echo "nettle, which it needs, is not installed as an archive" ;;
    libc | libm | ld-linux*) echo "the system's" ;;
  esac
}

# The link command as Ninja has it, with archives in the place of shared libraries. What becomes of an order of archives
# does not matter inside a group. fmt's own code is ours to compile: Debian has it as a shared library only.
command=$(ninja -C "$build" -t commands bin/layby-agent | tail -1 | sed 's/^: && //; s/ && :$//')
ninja -C "$build" base/CMakeFiles/layby_formatting.dir/formatting.cc.o >/dev/null
libraries=()
for word in $command; do
  case $word in
    */libfmt.so*) ;;
    */lib*.so*)
      name=$(basename "${word%%.so*}") archive=${word%%.so*}.a
      if [ -f "$archive" ] && [ -z "$(why_shared "$name" "$(dirname "$archive")")" ]; then
        libraries+=("$archive")
        [ "$name" != libarchive ] || libraries+=("$(dirname "$archive")/libnettle.a")
      else
        libraries+=("$word")
      fi ;;
  esac
done
objects=$(tr ' ' '\n' <<<"$command" | grep -E '\.o$|liblayby[a-z_]*\.a$' | sort -u)
(cd "$build" && c++ -static-libstdc++ -static-libgcc -Wl,--gc-sections -Wl,--as-needed -Wl,-Map="$out/map" -o "$out/static" \
  -Wl,--start-group $objects base/CMakeFiles/layby_formatting.dir/formatting.cc.o "${libraries[@]}" -ldivsufsort -Wl,--end-group)
strip -o "$out/layby-agent-static" "$out/static"

report() { printf '%9d  %s\n' "$(stat -c %s "$out/$1")" "$2"; }
report laybyd "laybyd (release)"
report liblayby.so "liblayby.so ($preset), with the C++ runtime that it needs inside"
report layby-agent "layby-agent ($preset)"
report layby-agent-static "layby-agent ($preset) with its libraries inside; shared are still"
readelf -d "$out/static" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' | while read -r needed; do
  name=${needed%%.so*}
  echo "           $needed: $(why_shared "$name" /usr/lib)"
done
echo "What the last consists of, by the linker's map:"
python3 benches/size_shares.py "$out/map"
