#!/usr/bin/env bash
# Installs the .deb files in a clean Debian, starts what they bring, and takes them away again:
#
#   deb_root.sh ROOT DEB_DIRECTORY          as root
#
# ROOT is a directory made by `debootstrap bookworm`, with /proc and /dev mounted and a resolv.conf; it is changed, so give
# a copy. No systemd runs in it: programs are started by the command lines of their units, as the units' users.
set -euo pipefail
[ $# -eq 2 ] || { echo "usage: $0 ROOT DEB_DIRECTORY" >&2; exit 2; }
root=$1 source=$(cd -- "$(dirname -- "$0")/../.." && pwd)
in_root() { env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C DEBIAN_FRONTEND=noninteractive chroot "$root" bash -euc "$*"; }

rm -rf "$root"/var/tmp/layby "$root"/var/lib/laybyd "$root"/var/lib/layby-agent && mkdir -p "$root/var/tmp/layby"
cp "$2"/*.deb "$source/samples/embed-c/main.c" "$root/var/tmp/layby/"
in_root 'apt-get -q update && apt-get -q -y --no-install-recommends install man-db systemd curl gcc libc6-dev pkg-config cmake make g++ /var/tmp/layby/*.deb' >"$root/var/tmp/layby/apt.log" 2>&1 ||
  { tail -20 "$root/var/tmp/layby/apt.log" >&2; exit 1; }
echo "installed: $(in_root 'dpkg-query -W -f "\${Package} \${Version}, " laybyd layby-agent layby-tools liblayby0 liblayby-dev')"

# The server, as its unit starts it.
in_root '
runuser -u laybyd -- laybyd init /var/lib/laybyd/fleet >/dev/null
command=$(sed -n "s/^ExecStart=//p" /usr/lib/systemd/system/laybyd.service)
setpriv --reuid laybyd --regid laybyd --init-groups $command --port 0 --port-file /var/lib/laybyd/port & server=$!
trap "kill $server 2>/dev/null || true" EXIT
for i in $(seq 100); do [ -s /var/lib/laybyd/port ] && break; sleep 0.1; done
url=https://localhost:$(cat /var/lib/laybyd/port) data=/var/lib/laybyd/fleet
layby --server $url --ca $data/provision/ca.pem --token-file $data/operator.token ready
cd /var/tmp/layby
layby-agent provision --state car --vin WVWZZZ1JZXW000017 --ecu HU-1 --hardware hu-4 --server $url --ca $data/provision/ca.pem \
  --director-root $data/provision/director-root.json --image-root $data/provision/image-root.json
cp -a car/. /var/lib/layby-agent/ && chown -R layby-agent: /var/lib/layby-agent
runuser -u layby-agent -- layby-agent status --state /var/lib/layby-agent --json | grep -q "\"paired\":false"
command=$(sed -n "s/^ExecStart=//p" /usr/lib/systemd/system/layby-agent.service)
status=0; LAYBY_VEHICLE=unix:/run/layby/car.sock LAYBY_AGENT_OPTIONS= bash -c "exec setpriv --reuid layby-agent --regid layby-agent --init-groups $command" || status=$?
[ $status -eq 3 ] # not paired: the documented status
layby-delta diff --full main.c -o main.payload && layby-delta apply main.payload -o main.again && cmp main.c main.again
kill -TERM $server; wait $server
'
echo "started: laybyd answers, layby-agent is provisioned, layby-delta applies"

in_root 'cd /var/tmp/layby && cc -std=c11 -D_POSIX_C_SOURCE=200809L -Wall -Werror main.c -o embed-c $(pkg-config --cflags --libs layby) &&
  { status=0; ./embed-c /var/tmp/layby/car 2>embed.log || status=$?; [ $status -eq 1 ] && grep -q "paired" embed.log; }'
mkdir -p "$root/var/tmp/layby/consumer" && cp "$source"/tests/package/consumer/* "$root/var/tmp/layby/consumer/"
in_root 'cd /var/tmp/layby && cmake -S consumer -B build >/dev/null && cmake --build build >/dev/null && build/in_c && build/in_cxx /var/tmp/layby'
echo "built: samples/embed-c with pkg-config, the consumer project with CMake"

in_root "systemd-analyze verify /usr/lib/systemd/system/laybyd.service /usr/lib/systemd/system/layby-agent.service layby-ecu@brakes.service"
echo "units: nothing to find fault with"
in_root 'for unit in laybyd layby-agent layby-ecu@; do systemd-analyze security --offline=true --threshold=20 --no-pager $unit.service | tail -1; done'

in_root 'apt-get -q -y purge laybyd layby-agent layby-tools liblayby0 liblayby-dev >/dev/null 2>&1; ! command -v laybyd; [ -f /var/lib/laybyd/fleet/keys/passphrase ]'
echo "purged: the programs are gone, the keys are not"
