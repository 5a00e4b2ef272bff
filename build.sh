#!/usr/bin/env bash
# Installs the Debian packages that are missing (apt-packages.txt; as root or with sudo), then configures and
# builds a preset:
#
#   build.sh [PRESET [CMAKE_BUILD_ARGUMENT...]]      PRESET is release if not given
#
# Programs are in build/PRESET/bin afterwards. ccache is used where it is installed.
set -euo pipefail
cd -- "$(dirname -- "$0")"
preset=${1:-release}
[ $# -eq 0 ] || shift

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# The packages of apt-packages.txt that are not installed.
missing_packages() {
  local package
  while read -r package; do
    case $package in '' | '#'*) continue ;; esac
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' || echo "$package"
  done <apt-packages.txt
}

mapfile -t missing < <(missing_packages)
if [ ${#missing[@]} -gt 0 ]; then
  echo "build.sh: installing ${missing[*]}"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
fi

if command -v ccache >/dev/null; then
  export CMAKE_C_COMPILER_LAUNCHER=${CMAKE_C_COMPILER_LAUNCHER-ccache}
  export CMAKE_CXX_COMPILER_LAUNCHER=${CMAKE_CXX_COMPILER_LAUNCHER-ccache}
  # Where the checkout lies makes no difference to what comes out.
  export CCACHE_BASEDIR=${CCACHE_BASEDIR-$PWD} CCACHE_NOHASHDIR=1
fi
[ -f "build/$preset/build.ninja" ] || echo "build.sh: configuring $preset"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
cmake --preset "$preset" >"$log" 2>&1 || {
  cat "$log" >&2
  exit 1
}
echo "build.sh: building $preset"
cmake --build "build/$preset" "$@"
