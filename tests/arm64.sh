#!/usr/bin/env bash
# The car's side and the codec for AArch64, and their tests under qemu-user, on an amd64 Debian 12:
#
#   tests/arm64.sh          base, crypto, manifest, the codec's most telling tests, the C interface, the daemon's command line;
#                           payloads go both ways between the machines
#   tests/arm64.sh --long   all tests of base, crypto, manifest, delta and agent, and the replays of the fuzz targets
#
# Installs what it lacks (as root or with sudo): the cross compiler, qemu, and the build's own packages. The arm64 libraries
# are unpacked into build/arm64-sysroot; this machine stays amd64. Needs a release build for the payloads.
# Exit status 77, with SKIPPED and the reason: the machine is no amd64, or the packages cannot be had (no root, no network);
# with LAYBY_REQUIRE_ARM64=1 this is a failure, 1.
set -euo pipefail
cd -- "$(dirname -- "$0")/.."
long=${1-}
jobs=${LAYBY_JOBS:-$(nproc)}
sysroot=build/arm64-sysroot

skip() {
  printf '\n*** arm64: SKIPPED, nothing was tested on AArch64: %s ***\n\n' "$*" >&2
  [ "${LAYBY_REQUIRE_ARM64-}" != 1 ] || exit 1
  exit 77
}
as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi; }

[ "$(dpkg --print-architecture 2>/dev/null)" = amd64 ] || skip "this machine is no amd64 Debian"
missing=()
for package in g++-aarch64-linux-gnu qemu-user-static; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  { as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q &&
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"; } ||
    skip "${missing[*]} cannot be installed"
fi
bash cmake/arm64_sysroot.sh "$sysroot" || skip "Debian's arm64 libraries cannot be had"
[ -x build/release/bin/layby-delta ] || bash build.sh release --target layby-delta

if [ "$long" = --long ]; then
  bash build.sh aarch64 -j"$jobs"
  ctest --preset aarch64 -j"$jobs"
else
  export RC_PARAMS=max_success=20  # of each property
  bash build.sh aarch64 -j"$jobs" --target layby-delta layby-agent test_base test_crypto test_manifest test_delta layby_c \
    test_agent_c
  ctest --preset aarch64 -R '^(base|crypto|manifest|agent_c|agent_c_symbols)$' -j"$jobs" &
  others=$!
  # What looks the same on every machine, and takes a minute here.
  without='~"what is encoded and applied*"~"the same base and target*"~"an output that fills up*"~"any mutation*"'
  without+='~"apply(diff*"~"*tree that changed a little*"~"files of a squashfs*"~"*small windows*"~"*every level of gzip*"'
  without+='~"*every level of zip*"~"*what no recipe makes*"~"*copies anywhere*"'
  qemu-aarch64-static -L "$sysroot" build/aarch64/bin/test_delta "$without" || status=$?
  wait "$others"
  [ "${status:-0}" -eq 0 ]
fi
# The agent's own tests take as long again, to build and to run: they are of the long form. The daemon starts, and says that
# this is no car (3).
status=0
qemu-aarch64-static -L "$sysroot" build/aarch64/bin/layby-agent run --state build/aarch64/no-car --vehicle unix:/no/car || status=$?
[ "$status" -eq 3 ]
python3 tests/interop/architectures_test.py build/release/bin build/aarch64/bin "$sysroot"
