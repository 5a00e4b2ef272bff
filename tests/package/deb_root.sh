#!/usr/bin/env bash
# Installs the .deb files in a clean Debian, starts what they bring as the man pages say, installs them once more over what
# runs, takes them away, and brings them back:
#
#   deb_root.sh ROOT DEB_DIRECTORY          as root
#
# ROOT is a directory made by `debootstrap bookworm`, with /proc and /dev mounted and a resolv.conf; it is changed, so give
# a copy. No systemd runs in it: programs are started by the command lines of their units, as the units' users.
set -euo pipefail
[ $# -eq 2 ] || { echo "usage: $0 ROOT DEB_DIRECTORY" >&2; exit 2; }
root=$1 source=$(cd -- "$(dirname -- "$0")/../.." && pwd)

# For what runs in ROOT. `!` before a command, and a pipe without pipefail, would hide a failure.
functions='
cd /var/tmp/layby
server_data=/var/lib/laybyd/fleet agent_data=/var/lib/layby-agent
fails() { echo "deb_root.sh: $*" >&2; exit 1; }
refused() { if "$@" >refused.log 2>&1; then fails "this was to be refused: $*"; fi; }
setting() { sed -n "s/^$2=//p" "/usr/lib/systemd/system/$1.service"; }
# unit NAME [ARGUMENT...]: what systemd starts for it, with further arguments.
unit() {
  local name=$1 user; shift; user=$(setting $name User)
  exec env $(setting $name Environment) bash -c "exec setpriv --reuid $user --regid $user --init-groups $(setting $name ExecStart) $*"
}
as_operator() { layby --json --server $(cat url) --ca $server_data/provision/ca.pem --token-file $server_data/operator.token "$@"; }
# start_server [PORT]
start_server() {
  rm -f /var/lib/laybyd/port
  unit laybyd --port ${1:-0} --port-file /var/lib/laybyd/port & server=$!
  for i in $(seq 100); do [ ! -s /var/lib/laybyd/port ] || break; sleep 0.1; done
  echo https://localhost:$(cat /var/lib/laybyd/port) >url
  as_operator ready >/dev/null
}
stop_server() { kill -TERM $server; wait $server; }
stop_all() { for child in $(jobs -p); do kill $child 2>/dev/null || true; done; }
trap stop_all EXIT
# The paired car runs, until it is told to end.
agent_runs() {
  unit layby-agent >agent.log 2>&1 & agent=$!
  for i in $(seq 100); do
    runuser -u layby-agent -- layby-agent status --state $agent_data --json >status
    if grep -q "\"paired\":true.*\"running\":true" status; then kill -TERM $agent; wait $agent; return; fi
    sleep 0.1
  done
  cat agent.log status >&2; fails "the agent does not run"
}
state() { find /var/lib/laybyd /var/lib/layby-agent /etc/default/layby-agent -printf "%p %m %u:%g %s\n" | sort; }
'
in_root() {
  env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C DEBIAN_FRONTEND=noninteractive \
    chroot "$root" bash -euo pipefail -c "$functions$*"
}

rm -rf "$root"/var/tmp/layby "$root"/var/lib/laybyd "$root"/var/lib/layby-agent && mkdir -p "$root/var/tmp/layby"
cp "$2"/*.deb "$source/samples/embed-c/main.c" "$root/var/tmp/layby/"
in_root 'apt-get -q update && apt-get -q -y --no-install-recommends install man-db systemd curl gcc libc6-dev pkg-config cmake make g++ ./*.deb' \
  >"$root/var/tmp/apt.log" 2>&1 || { tail -20 "$root/var/tmp/apt.log" >&2; exit 1; }
echo "installed: $(in_root 'dpkg-query -W -f "\${Package} \${Version}, " laybyd layby-agent layby-tools liblayby0 liblayby-dev')"

# The server and the agent, as their man pages say (FIRST START) and their units start them.
in_root '
for page in laybyd layby-agent; do zcat /usr/share/man/man8/$page.8.gz | sed "s/\\\\-/-/g"; done >pages
said() { grep -qF -- "$*" pages || fails "no page says: $*"; "$@"; }

said runuser -u laybyd -- laybyd init /var/lib/laybyd/fleet --name ota.example.com >/dev/null
start_server
as_operator car register --vin WVWZZZ1JZXW000017 --ecu HU-1=hu-4 --model aurora --model-year 2026 --country DE >/dev/null
as_operator account create anna --role owner --email anna@example.org --token-out anna.token >/dev/null
code=$(layby --json --server $(cat url) --ca $server_data/provision/ca.pem --token-file anna.token pairing-code create | sed "s/.*\"code\":\"\([^\"]*\)\".*/\1/")
mkdir factory && cp $server_data/provision/ca.pem $server_data/provision/*-root.json factory/ && chmod -R a+rX factory

said install -d -m 0700 -o layby-agent -g layby-agent /var/lib/layby-agent
grep -qF "runuser -u layby-agent -- layby-agent provision --state /var/lib/layby-agent --vin VIN ..." pages
provision="layby-agent provision --state $agent_data --vin WVWZZZ1JZXW000017 --ecu HU-1 --hardware hu-4 --server $(cat url)
  --ca factory/ca.pem --director-root factory/director-root.json --image-root factory/image-root.json"
refused $provision  # root, in a directory of somebody else
grep -q "runuser -u layby-agent" refused.log
runuser -u layby-agent -- $provision >/dev/null
status=0; (unit layby-agent) 2>agent.log || status=$?
[ $status -eq 3 ] || fails "not paired is 3, and not $status"
[[ " $(setting layby-agent SuccessExitStatus) " == *" 3 "* ]]
grep -qF "runuser -u layby-agent -- layby-agent pair --state /var/lib/layby-agent --code CODE" pages
touch before
runuser -u layby-agent -- layby-agent pair --state $agent_data --code $code >/dev/null
# What the path unit waits for.
watched=$(sed -n "s/^PathChanged=//p" /usr/lib/systemd/system/layby-agent.path)
[ "$watched" -nt before ] || fails "pairing does not write $watched"
[ -z "$(find $agent_data -newer "$watched")" ] || fails "pairing goes on after $watched: $(find $agent_data -newer "$watched")"
agent_runs
[ -z "$(find $agent_data ! -user layby-agent)" ]
layby-delta diff --full main.c -o main.payload && layby-delta apply main.payload -o main.again && cmp main.c main.again

# The same packages once more, while the server runs: it goes on, and nothing of what it and the car have changes.
echo "LAYBY_AGENT_OPTIONS=--roaming nothing" >/etc/default/layby-agent
state | grep -v "/store/\|/lock " >state.before
dpkg -i ./*.deb >dpkg.log 2>&1 || fails "$(cat dpkg.log)"
state | grep -v "/store/\|/lock " >state.after
diff state.before state.after
as_operator ready >/dev/null
agent_runs
stop_server
'
echo "started: laybyd answers, a car is provisioned and paired, layby-agent runs, layby-delta applies; installed once more over that"

in_root 'cc -std=c11 -D_POSIX_C_SOURCE=200809L -Wall -Werror main.c -o embed-c $(pkg-config --cflags --libs layby)
  mkdir -p car; status=0; ./embed-c /var/tmp/layby/car 2>embed.log || status=$?; [ $status -eq 1 ]; grep -q "car.json" embed.log'
mkdir -p "$root/var/tmp/layby/consumer" && cp "$source"/tests/package/consumer/* "$root/var/tmp/layby/consumer/"
in_root 'cmake -S consumer -B build >/dev/null; cmake --build build >/dev/null; build/in_c; build/in_cxx /var/tmp/layby'
echo "built: samples/embed-c with pkg-config, the consumer project with CMake"

in_root 'cd /usr/lib/systemd/system; systemd-analyze verify laybyd.service layby-agent.service layby-agent.path layby-ecu@brakes.service'
echo "units: nothing to find fault with"
in_root 'for unit in laybyd layby-agent layby-ecu@; do systemd-analyze security --offline=true --threshold=20 --no-pager $unit.service | tail -1; done'

in_root '
programs=$(for package in laybyd layby-agent layby-tools; do dpkg -L $package; done | sed -n "s,^/usr/bin/,,p")
[ $(wc -w <<<"$programs") -eq 6 ]
state >state.before
apt-get -q -y purge laybyd layby-agent layby-tools liblayby0 liblayby-dev >/dev/null 2>&1
for program in $programs; do refused command -v $program; done
[ -f /var/lib/laybyd/fleet/keys/passphrase ]
state >state.after
diff state.before state.after
'
echo "purged: the programs are gone, the keys and what was set are not"

in_root '
apt-get -q -y --no-install-recommends install ./*.deb >/dev/null 2>&1
start_server $(sed "s/.*://" url)
agent_runs
stop_server
'
echo "installed again: the server goes on with its data, and the car is still paired"
