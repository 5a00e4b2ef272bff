#!/usr/bin/env bash
# The car's side and the codec for AArch64, and their tests under qemu-user, on an amd64 Debian 12:
#
#   tests/arm64.sh          the codec and what it stands on, the C interface; payloads go both ways between the machines
#   tests/arm64.sh --long   all tests of base, crypto, manifest, delta and agent
#
# Installs what it lacks (as root or with sudo): the cross compiler, qemu, and the build's own packages. The arm64 libraries
# are unpacked into build/arm64-sysroot; this machine stays amd64. Needs a release build for the payloads.
set -euo pipefail
cd -- "$(dirname -- "$0")/.."
long=${1-}
jobs=${LAYBY_JOBS:-$(nproc)}

as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi; }
missing=()
for package in g++-aarch64-linux-gnu qemu-user-static; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
fi
bash cmake/arm64_sysroot.sh build/arm64-sysroot
[ -x build/release/bin/layby-delta ] || bash build.sh release --target layby-delta

if [ "$long" = --long ]; then
  bash build.sh aarch64 -j"$jobs"
  ctest --preset aarch64 -j"$jobs"
else
  bash build.sh aarch64 -j"$jobs" --target layby-delta test_base test_crypto test_delta layby_c test_agent_c
  ctest --preset aarch64 -R '^(base|crypto|delta|agent_c|agent_c_symbols)$' -j"$jobs"
fi
python3 tests/interop/architectures_test.py build/release/bin build/aarch64/bin build/arm64-sysroot
