# shellcheck shell=bash disable=SC2154 # variables of demo.sh
# What the steps of demo.sh are made of. Sourced, not run.
#
# Printing; the processes of the demo, which all end with it; calls of the API as somebody; the cars and what they
# say of themselves. Functions whose names end in a state (order_is, licence_is) are tests for wait_until.

# --- printing --------------------------------------------------------------------------------------------------

if [ -t 1 ]; then
  bold=$'\e[1m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'
else
  bold='' green='' red='' plain=''
fi
SECONDS=0
timeline=()

step() {
  printf '\n%s[%2d/13] %s%s\n' "$bold" "$1" "$2" "$plain"
  timeline+=("$(printf '%4d s  step %2d: %s' "$SECONDS" "$1" "$2")")
}
say() { printf '        %s\n' "$*"; }
ok() { printf '     %sok%s %s\n' "$green" "$plain" "$*"; }
die() {
  printf '%sFAILED%s %s\n' "$red" "$plain" "$*" >&2
  exit 1
}

# --- processes -------------------------------------------------------------------------------------------------

declare -A pid_of=()
watcher=''

# Runs a program whose output matters only if it fails.
run() {
  "$@" >"$state/last.out" 2>&1 || {
    cat "$state/last.out" >&2
    die "$(basename "$1") ${2-} failed"
  }
}

# begin NAME COMMAND...: in the background, its output in NAME.log.
begin() {
  local name=$1
  shift
  "$@" >>"$state/$name.log" 2>&1 &
  pid_of[$name]=$!
}

# end NAME [SIGNAL]: and waits for it; an end that we ask for is no failure.
end() {
  local pid=${pid_of[$1]-}
  [ -n "$pid" ] || return 0
  kill -s "${2-TERM}" "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
  unset "pid_of[$1]"
}

clean_up() {
  local status=$? name
  trap - EXIT
  [ -z "$watcher" ] || touch "$watcher.stop"
  for name in "${!pid_of[@]}"; do
    kill -s TERM "${pid_of[$name]}" 2>/dev/null || true
  done
  for name in "${!pid_of[@]}"; do
    # What does not end within 10 s is killed.
    local waited=0
    while kill -0 "${pid_of[$name]}" 2>/dev/null && [ $waited -lt 100 ]; do
      sleep 0.1
      waited=$((waited + 1))
    done
    kill -s KILL "${pid_of[$name]}" 2>/dev/null || true
    wait "${pid_of[$name]}" 2>/dev/null || true
  done
  if [ $status -ne 0 ] && [ -n "${state-}" ]; then
    for name in "$state"/*.log; do
      [ -s "$name" ] || continue
      printf -- '--- the end of %s\n' "$name" >&2
      tail -n 15 "$name" >&2
    done
    printf 'the state of this run is kept in %s\n' "$state" >&2
  elif [ -n "${state-}" ] && [ "${LAYBY_DEMO_KEEP-}" != 1 ]; then
    rm -rf "$state"
  fi
  exit $status
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# wait_until SECONDS WHAT TEST...: tries the test again and again.
wait_until() {
  local limit=$1 what=$2 begun=$SECONDS
  shift 2
  until "$@"; do
    [ $((SECONDS - begun)) -lt "$limit" ] || die "after $limit s not true: $what"
    alive
    sleep 0.2
  done
}

# A process that ended by itself would make every wait a long one.
alive() {
  local name
  for name in "${!pid_of[@]}"; do
    kill -0 "${pid_of[$name]}" 2>/dev/null || die "$name has ended by itself; see $name.log"
  done
}

# --- the server ------------------------------------------------------------------------------------------------

start_server() {
  # Cars ask every two seconds instead of every quarter of an hour.
  sed -i 's/^poll_seconds = 900 /poll_seconds = 2   /' "$data/laybyd.toml"
  run "$bin/laybyd" check-config --config "$data/laybyd.toml"
  begin server "$bin/laybyd" serve --config "$data/laybyd.toml" --port 0 --port-file "$state/port"
  wait_until 30 "the server says its port" test -s "$state/port"
  server=https://127.0.0.1:$(cat "$state/port")
  "$bin/layby" --server "$server" --ca "$data/provision/ca.pem" ready --timeout 30
}

layby_as() {
  local token_file=$1
  shift
  "$bin/layby" --json --server "$server" --ca "$data/provision/ca.pem" --token-file "$token_file" "$@"
}
operator() { layby_as "$data/operator.token" "$@"; }
anna() { layby_as "$state/anna.token" "$@"; }
bert() { layby_as "$state/bert.token" "$@"; }

new_account() {
  operator account create "$1" --role "$2" --email "$1@example.org" --token-out "$state/$1.token" >/dev/null
  ok "account $1 ($2)"
}

# expect_refused STATUS WHAT COMMAND...: the command must end with exit status 1, refused with this HTTP status
# (or any). What the server said is in refusal.json and refusal.txt.
expect_refused() {
  local status=$1 what=$2 got=0
  shift 2
  "$@" >"$state/refusal.json" 2>"$state/refusal.txt" || got=$?
  [ $got -eq 1 ] || die "$what: exit status $got and not a refusal: $(cat "$state/refusal.txt")"
  [ "$status" = any ] || [ "$(jq .status "$state/refusal.json")" = "$status" ] ||
    die "$what: refused with $(jq .status "$state/refusal.json"), not $status"
  ok "refused: $what"
  sed 's/^/          /' "$state/refusal.txt"
}

# image_list RELEASE_COUNTER MAP_VERSION SOFTWARE_VERSION [functions]: what publish signs at once.
image_list() {
  jq -n --argjson counter "$1" --arg map "$2" --arg software "$3" --arg dir "$payloads" --arg functions "${4-}" \
    --arg catalogue "$PWD/samples/catalogue" '
    {images: (
      [("DE", "FR", "IT", "NL") | {kind: "map", region: ., version: $map, hardware: ["hu-4"],
        release_counter: $counter, path: "\($dir)/maps/\($map)/\(.)", duration_seconds: 120, battery_percent_min: 20,
        notes: {en: "New roads and places for \(.).", de: "Neue Straßen und Orte für \(.)."}}]
      + [{kind: "software", version: $software, hardware: ["hu-4"], release_counter: $counter,
          path: "\($dir)/software/\($software)/node", duration_seconds: 300, battery_percent_min: 40,
          notes: {en: "The head unit answers faster.", de: "Das Anzeigesystem reagiert schneller."}}]
      + (if $functions == "" then [] else
          [("adaptive-cruise", "trailer-assist") | {kind: "function", id: ., version: "1.0", hardware: ["hu-4"],
            release_counter: 1, path: "\($catalogue)/\(.).package.json", duration_seconds: 60}] end))}'
}

publish() {
  operator image publish --image-root "$data/provision/image-root.json" --targets-key "$offline/image-targets.key" \
    --passphrase-file "$offline/passphrase" --licence-key "$data/provision/licence-key.json" --images "$1" \
    >"$state/published.json"
  ok "targets version $(jq .version "$state/published.json"): $(jq '.images | length' "$state/published.json") images," \
    "$(jq '[.images[].uploaded] | add' "$state/published.json") bytes uploaded, signed offline"
}

wait_for_jobs() {
  local begun=$SECONDS text='' last=''
  while :; do
    alive
    operator jobs >"$state/jobs.json"
    text=$(jq -r '[.jobs[].state] | group_by(.)
      | map("\(length) \(.[0])") | join(", ")' "$state/jobs.json")
    if [ -t 1 ]; then
      printf '\r\e[K        payload jobs: %s (%d s)' "$text" $((SECONDS - begun))
    elif [ "$text" != "$last" ]; then
      say "payload jobs: $text ($((SECONDS - begun)) s)"
    fi
    last=$text
    case $text in
      *failed*)
        [ ! -t 1 ] || echo
        jq -c '.jobs[] | select(.state == "failed")' "$state/jobs.json" >&2
        die "a payload job failed"
        ;;
      *queued* | *running*) ;;
      *) break ;;
    esac
    [ $((SECONDS - begun)) -lt 2700 ] || die "the payload jobs are not done after 45 minutes"
    sleep 1
  done
  [ ! -t 1 ] || echo
}

# has_delta PREFIX: a payload with a base was made for an image whose name begins so.
has_delta() {
  jq -e --arg name "$1/" 'any(.jobs[]; .kind == "delta" and .state == "done" and (.image | startswith($name)))' \
    "$state/jobs.json" >/dev/null
}

# order WHO KIND VIN WHAT...: places it and prints its id.
order() {
  local who=$1 kind=$2
  shift 2
  "$who" order "$kind" "$@" | jq -er .id
}

order_state() { operator order show "$1" | jq -r .state; }
order_is() { [ "$(order_state "$1")" = "$2" ]; }

# events_of ORDER TYPE: how many outgoing events of this type there are.
events_of() {
  operator events --limit 1000 |
    jq --arg order "$1" --arg type "$2" '[.events[] | select(.order == $order and .type == $type)] | length'
}
billing_events_are() { [ "$(events_of "$1" billing)" -eq "$2" ]; }

# periods_are ORDER N: for which money was asked or paid so far.
periods_are() { [ "$(operator order show "$1" | jq '.periods | length')" -eq "$2" ]; }

# server_goes_to SECONDS: since 1970, on the server's simulated clock. Cars ask for the time by themselves.
server_goes_to() {
  local now
  now=$(operator simulation advance --seconds 1 | jq -er .now)
  now=$(date -u -d "$now" +%s)
  [ "$1" -gt "$now" ] || die "the server's clock does not go back"
  operator simulation advance --seconds $(($1 - now)) >/dev/null
}

# transfers_settled VIN: the server has written down what it had sent when the car went away.
transfers_settled() {
  local before
  before=$(operator transfers "$1")
  sleep 0.5
  [ "$(operator transfers "$1")" = "$before" ]
}

# --- cars ------------------------------------------------------------------------------------------------------

# new_car NAME VIN ECU: as it leaves the factory.
new_car() {
  local maps=() region
  for region in DE FR IT NL; do maps+=(--map "$region=$payloads/maps/$old_map/$region"); done
  mkdir -p "$state/$1"
  run "$bin/layby-agent" provision --state "$state/$1/agent" --vin "$2" --ecu "$3" --hardware hu-4 \
    --director-root "$data/provision/director-root.json" --image-root "$data/provision/image-root.json" \
    --ca "$data/provision/ca.pem" --server "$server" "${maps[@]}" --software "$payloads/software/$old_software/node"
  ok "car $2 has left the factory with maps $old_map and software $old_software"
}

# pair_car NAME OWNER
pair_car() {
  local code
  code=$("$2" pairing-code create | jq -er .code)
  [ ${#code} -eq 8 ] || die "the pairing code $code does not have 8 characters"
  run "$bin/layby-agent" pair --state "$state/$1/agent" --code "$code"
  ok "paired with the code $code"
}

socket_of() { printf '%s/%s/car.sock' "$state" "$1"; }
start_vehicle() {
  begin "vehicle-$1" "$bin/layby-car" serve --socket "$(socket_of "$1")" --state "$state/$1/car.json"
  wait_until 10 "the simulated car listens" test -S "$(socket_of "$1")"
}
# The car again, with its head unit as a page; its address is in `page`.
start_vehicle_with_page() {
  rm -f "$state/$1/port"
  begin "vehicle-$1" "$bin/layby-car" serve --socket "$(socket_of "$1")" --state "$state/$1/car.json" --port 0 \
    --port-file "$state/$1/port"
  wait_until 10 "the simulated car says its port" test -s "$state/$1/port"
  page=http://127.0.0.1:$(cat "$state/$1/port")/
}
vehicle_set() {
  local name=$1
  shift
  "$bin/layby-car" set --socket "$(socket_of "$name")" "$@" >/dev/null
}
vehicle_show() { "$bin/layby-car" show --socket "$(socket_of "$1")" --json; }
head_unit() { vehicle_show "$1" | jq -r '.headUnit.lines | join(" / ")'; }
head_unit_says() {
  local name=$1
  shift
  head_unit "$name" | grep -q "$@"
}

drive() {
  vehicle_set "$1" gear=D power=on parking_brake=off driver=in doors=closed locked=no cable=off soc=80 battery=12.6 \
    bearer=wifi language=en private_mode=off
}
# park NAME [NAME=VALUE...]: P, brake on, off, driver out, locked, unplugged, charged, but for what follows. Each signal
# is set once: for a car that is parked but for the cable there must be no instant without the cable.
park() {
  local name=$1 signal
  local -A signals=([gear]=P [power]=off [parking_brake]=on [driver]=out [doors]=closed [locked]=yes [cable]=off
    [soc]=80 [battery]=12.6 [bearer]=wifi [language]=en)
  shift
  for signal in "$@"; do signals[${signal%%=*}]=${signal#*=}; done
  local arguments=()
  for signal in "${!signals[@]}"; do
    [ "$signal" = locked ] || arguments+=("$signal=${signals[$signal]}")
  done
  vehicle_set "$name" "${arguments[@]}" "locked=${signals[locked]}"
}

# exit_and_lock NAME: somebody comes to a parked car, leaves again and locks.
exit_and_lock() {
  vehicle_set "$1" driver=in locked=no
  sleep 1
  park "$1"
}

start_agent() {
  local name=$1
  shift
  begin "agent-$name" "$bin/layby-agent" run --state "$state/$name/agent" --vehicle "unix:$(socket_of "$name")" \
    --language en "$@"
}
stop_agent() { end "agent-$1" TERM; }
kill_agent() { end "agent-$1" KILL; }
agent_status() { "$bin/layby-agent" status --state "$state/$1/agent" --json; }

# verified_chunks_at_least NAME SLOT N
verified_chunks_at_least() {
  agent_status "$1" | jq -e --arg slot "$2" --argjson n "$3" '
    [.orders[].payloads[]? | select(.slot == $slot) | .chunksVerified // 0] | max // 0 | . >= $n' >/dev/null
}

progress_until_downloaded() {
  local begun=$SECONDS percent=0 last=-1 bar
  while :; do
    alive
    agent_status "$1" >"$state/progress.json"
    percent=$(jq '[.orders[].bytesDone // 0] as $done | [.orders[].bytesTotal // 0] as $all
      | (($all | add) // 0) as $sum | if $sum == 0 then 0 else ($done | add) * 100 / $sum | floor end' \
      "$state/progress.json")
    printf -v bar '%*s' $((percent / 4)) ''
    if [ -t 1 ]; then
      printf '\r\e[K        [%-25s] %3d %%' "${bar// /#}" "$percent"
    elif [ $((percent / 25)) -ne $((last / 25)) ] || [ "$last" -lt 0 ]; then
      printf '        [%-25s] %3d %%\n' "${bar// /#}" "$percent"
      last=$percent
    fi
    if jq -e '(.orders | length) == 3 and all(.orders[]; .state == "waiting" or .state == "downloaded")' \
      "$state/progress.json" >/dev/null; then
      break
    fi
    [ $((SECONDS - begun)) -lt 300 ] || die "the download does not come to its end"
    sleep 0.3
  done
  [ ! -t 1 ] || echo
  ok "everything is downloaded and verified"
}

waits_for_condition() {
  agent_status "$1" | jq -e --arg condition "$2" 'any(.orders[]; (.waitingFor // []) | index($condition))' >/dev/null
}
# waits_for NAME CONDITION WHAT: the agent names the condition, and the head unit shows why.
waits_for() {
  wait_until 30 "the agent waits for $2" waits_for_condition "$1" "$2"
  wait_until 10 "the head unit says something" head_unit_says "$1" .
  if agent_status "$1" | jq -e 'any(.orders[]; .state == "active" or .state == "activating" or .state == "installing")' \
    >/dev/null; then
    die "something was activated although $3"
  fi
  ok "$3: the head unit says \"$(head_unit "$1")\""
}

licence_is() {
  agent_status "$1" | jq -e --arg id "$2" --arg state "$3" 'any(.functions[]; .id == $id and .state == $state)' >/dev/null
}

# licence_runs_until NAME FUNCTION TIME
licence_runs_until() {
  agent_status "$1" | jq -e --arg id "$2" --arg until "$3" 'any(.functions[]; .id == $id and .until == $until)' >/dev/null
}
function_is_on() { vehicle_show "$1" | jq -e --arg id "$2" 'any(.functions[]; .id == $id)' >/dev/null; }
# is_to_switch_off NAME ORDER: the agent knows that it is to.
is_to_switch_off() {
  agent_status "$1" | jq -e --arg id "$2" 'any(.orders[]; .id == $id and .action == "deactivate")' >/dev/null
}

last_poll() { agent_status "$1" | jq -r '.poll.last // ""'; }
# has_polled_since NAME TIME: without an error, after the poll that was the last one then.
has_polled_since() {
  [ "$(last_poll "$1")" != "$2" ] && [ "$(agent_status "$1" | jq '.poll.error == null')" = true ]
}

car_refused_chunk() {
  agent_status "$1" | jq -e '[.attack, (.orders[].error.name?)] | map(select(. != null)) | any(test("wrong-chunk"))' >/dev/null
}
refusal_of() {
  agent_status "$1" | jq -r '[.attack, (.orders[].error | select(. != null) | "\(.name): \(.text)")]
    | map(select(. != null and . != "")) | .[0]'
}

# --- files -----------------------------------------------------------------------------------------------------

sha256_of() { sha256sum "$1" | cut -d' ' -f1; }
sqlite_rows() {
  python3 -c 'import sqlite3, sys
print(sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True).execute("select count(*) from place").fetchone()[0])' "$1"
}
same_tree() { diff -r -q "$1" "$2" >/dev/null || die "$1 is not what was to be there ($2)"; }

# flip_a_byte IMAGE: late in the delta that leads to it. The server's disk names payloads by their digest, so the file
# is the one whose digest was that of its name and is not any more.
flip_a_byte() {
  local length file where byte
  length=$(operator jobs | jq -er --arg image "$1" \
    '[.jobs[] | select(.kind == "delta" and .image == $image and .state == "done")][0].payload_bytes')
  mapfile -t files < <(find "$data" -type f -size "${length}c" -not -path "*/store/*")
  [ ${#files[@]} -eq 1 ] || die "${#files[@]} files of $length bytes on the server's disk"
  file=${files[0]}
  where=$((length - 100))
  byte=$(od -An -tu1 -j "$where" -N 1 "$file")
  chmod u+w "$file"
  # shellcheck disable=SC2059 # the format is the octal escape of one byte
  printf "\\$(printf '%03o' $((byte ^ 1)))" | dd of="$file" bs=1 seek="$where" conv=notrunc status=none
  [ "$(sha256_of "$file")" != "$(basename "$file")" ] || die "nothing was changed in $file"
  ok "byte $where of payload $(basename "$file" | cut -c1-16)... flipped on the server's disk"
}

# watch_maps NAME REGION...: a reader that resolves maps/current once per round and notes what it saw.
watch_maps() {
  local name=$1
  shift
  watcher=$state/watch
  begin watch python3 samples/watch_maps.py "$state/$name/agent/maps/current" "$watcher" "$@"
  local tries
  for tries in {1..200}; do
    [ -e "$watcher.ready" ] && return
    sleep 0.05
  done
  die "the reader of the maps did not begin to look within 10 s"
}
stop_watching_maps() {
  touch "$watcher.stop"
  wait "${pid_of[watch]}" || die "a reader saw a mixture of map releases: see $watcher.json"
  unset 'pid_of[watch]'
  [ "$(jq '.seen | length' "$watcher.json")" -eq 2 ] || die "the reader did not see the old set and then the new one"
}

# billed_after_report ORDER: the audit trail has the activation's report no later than the billing event.
billed_after_report() {
  local billed reported
  billed=$(operator events --limit 1000 |
    jq -r --arg order "$1" '[.events[] | select(.order == $order and .type == "billing")][0].at')
  reported=$(operator order show "$1" | jq -r '[.history[] | select(.state == "active")][0].at')
  [[ ! $billed < $reported ]] || die "billed at $billed, before the activation was reported at $reported"
}

finish() {
  printf '\n%s== the demo, second by second ==%s\n' "$bold" "$plain"
  printf '%s\n' "${timeline[@]}" "$(printf '%4d s  done' "$SECONDS")"
  printf '\n%sEverything did what it should.%s\n' "$green" "$plain"
}

# stay_with_car NAME OWNER VIN: with an order to watch, until somebody presses Ctrl-C.
stay_with_car() {
  local name=$1 owner=$2 car=$3 map_order
  stop_agent "$name"
  end "vehicle-$name"
  start_vehicle_with_page "$name"
  drive "$name"
  map_order=$(order "$owner" map "$car" DE NL)
  start_agent "$name" --rate-bytes-max 100000
  grep -q "<title>Layby" <<<"$(curl -fsS --noproxy '*' "$page")" || die "the head unit's page is not there"
  printf '\n%sThe head unit of %s: %s%s\n' "$bold" "$car" "$page" "$plain"
  say "map order $map_order is on its way; park the car, get out and lock it, and it installs"
  say "more orders: $bin/layby --server $server --ca $data/provision/ca.pem --token-file $state/$owner.token order --help"
  say "Ctrl-C ends server, agent and car"
  trap 'exit 0' INT TERM
  while sleep 1; do alive; done
}
