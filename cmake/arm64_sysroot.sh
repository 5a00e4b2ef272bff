#!/usr/bin/env bash
# Makes a directory with Debian's arm64 libraries that the agent, the codec and their tests are built against:
#
#   arm64_sysroot.sh DIRECTORY
#
# As a foreign architecture of this machine some -dev packages would put out their amd64 twins; so apt gets a
# state of its own, downloads, and the packages are unpacked, not installed. Sources and keys are the machine's.
# A DIRECTORY that is complete for the same packages is left as it is.
set -euo pipefail
packages=(catch2 libarchive-dev libc6-dev libcli11-dev libcurl4-openssl-dev libdivsufsort-dev libexpected-dev
  libfmt-dev liblzma-dev libp11-kit-dev librapidcheck-dev libsodium-dev libsqlite3-dev libssl-dev libstdc++-12-dev
  libsystemd-dev libtomlplusplus-dev libzstd-dev nlohmann-json3-dev zlib1g-dev)
[ $# -eq 1 ] || { echo "usage: $0 DIRECTORY" >&2; exit 2; }
mkdir -p "$1"
root=$(cd -- "$1" && pwd)
mark="${packages[*]}"
[ "$(cat "$root/.complete" 2>/dev/null)" != "$mark" ] || exit 0

state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT
mkdir -p "$state"/lists/partial "$state"/archives/partial
: >"$state/status"
# Downloading as the caller: apt's own user may not look into our directory.
options=(-q -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o Dir::State="$state"
  -o Dir::State::lists="$state/lists" -o Dir::State::status="$state/status" -o Dir::Cache="$state"
  -o Dir::Cache::archives="$state/archives" -o APT::Sandbox::User="$(id -un)" -o Debug::NoLocking=1
  -o APT::Update::Post-Invoke= -o APT::Update::Post-Invoke-Success= -o DPkg::Post-Invoke=
  -o Acquire::Languages=none)
apt-get "${options[@]}" update
apt-get "${options[@]}" install -y --download-only --no-install-recommends "${packages[@]}"
rm -rf "${root:?}"/* "$root/.complete"
for package in "$state"/archives/*.deb; do dpkg-deb -x "$package" "$root"; done
# Links into / would leave the directory.
find "$root" -type l -lname '/*' | while read -r link; do
  ln -sfnr "$root$(readlink "$link")" "$link"
done
echo "$mark" >"$root/.complete"
