#!/usr/bin/env bash
# The main job, end to end, on real data: what a newcomer runs first.
#
#   demo.sh [--interactive]
#
# With --interactive server, agent and a car stay when all is done: the car's head unit is a page whose address is
# printed, with controls to click; Ctrl-C ends it all.
#
# From a clean clone on Debian 12, as root or with sudo: installs what is missing, builds, fetches real map data and
# a real 97 MB executable, starts the server and two cars on loopback, and walks thirteen steps. Every step says what it
# does and checks what came of it; exit status 0 only if all of them did what they should. Everything it writes is
# below build/; LAYBY_DEMO_KEEP=1 keeps the state of a good run too, a failed one is always kept.
set -euo pipefail
export LC_ALL=C.UTF-8
cd -- "$(dirname -- "$0")/.."
source samples/demo_lib.sh

interactive=no
case ${1-} in
  '') ;;
  --interactive) interactive=yes ;;
  *)
    echo "usage: demo.sh [--interactive]" >&2
    exit 2
    ;;
esac

readonly payloads=$PWD/build/payloads
readonly vin=WVWZZZ1JZXW000017 vin2=WVWZZZ1JZXW000025
readonly old_map=1.1.60 new_map=1.1.61 old_software=20.19.5 new_software=20.19.6

step 1 "Packages and build"
bash build.sh release --target laybyd layby layby-agent layby-car
ok "programs in build/release/bin"
bin=$PWD/build/release/bin

step 2 "Real payloads: map data and a head-unit image"
bash samples/fetch_payloads.sh "$payloads"
for region in DE FR IT NL; do
  for version in $old_map $new_map; do
    rows=$(sqlite_rows "$payloads/maps/$version/$region/places.sqlite")
    [ "$rows" -gt 1000 ] || die "region $region of $version has only $rows places"
  done
  ok "map $region: $rows places, $(du -sk "$payloads/maps/$new_map/$region" | cut -f1) KiB"
done
for version in $old_software $new_software; do
  ok "head-unit software $version: $(stat -c %s "$payloads/software/$version/node") bytes"
done

# All state of this run; the socket of a car must have a short path.
mkdir -p build/demo
state=$(mktemp -d "$PWD/build/demo/run.XXXXXX")
data=$state/server

step 3 "The server: keys, authorities, roots and tokens; TLS 1.3 on loopback"
run "$bin/laybyd" init "$data" --simulation # step 9 and those after it need a clock that can be moved
start_server
offline=$data/offline
say "offline keys would now be moved to a safe; this demo signs images with $(basename "$offline")/image-targets.key"
expect_refused 401 "a call without a token" layby_as /dev/null product list
ok "the server is ready on $server"

step 4 "The operator publishes; the server makes the deltas; a car is registered and paired"
for product in adaptive-cruise trailer-assist trailer-assist-monthly; do
  operator product put "$product" --file "samples/catalogue/$product.product.json" >/dev/null
done
[ "$(operator product list | jq '.products | length')" -eq 3 ] ||
  die "the catalogue does not hold three products"
ok "catalogue: adaptive-cruise, trailer-assist, trailer-assist-monthly"
image_list 1 $old_map $old_software functions >"$state/first.json"
image_list 2 $new_map $new_software >"$state/second.json"
publish "$state/first.json"
publish "$state/second.json"
say "the server makes a full payload of each image and a delta from each release to the next; this takes some minutes"
wait_for_jobs
for name in maps/DE maps/FR maps/IT maps/NL software/hu-4; do
  has_delta "$name" || die "there is no delta for $name"
done
ok "deltas for four map regions and the software are published"

new_account anna owner
new_account bert owner
expect_refused any "a VIN with the letter O" operator car register --vin WVWZZZ1JZXWO00017 --model aurora \
  --model-year 2026 --country DE --ecu HU-000017=hu-4
expect_refused any "a VIN without its check digit where the market demands one" operator car register --vin $vin \
  --model aurora --model-year 2026 --country US --ecu HU-000017=hu-4
operator car register --vin $vin --model aurora --model-year 2026 --country DE --hardware radar-front \
  --hardware camera-front --ecu HU-000017=hu-4 >/dev/null
new_car one $vin HU-000017
pair_car one anna
for key in "$state"/one/agent/keys/*.key; do
  [ "$(stat -c %a "$key")" = 600 ] || die "$key is not private"
done
ok "car $vin is paired; its keys lie in its own directory, mode 0600, and only there"

step 5 "The owner orders; what may not be is refused with every reason"
function_order=$(order anna function $vin adaptive-cruise)
ok "function ordered: $function_order"
anna consent give $vin --language en --text-version 2026-01 >/dev/null
ok "consent to software updates given"
expect_refused any "four map regions in one update" anna order map $vin DE FR IT NL
grep -qi partner "$state/refusal.txt" || die "the refusal does not point to a partner"
map_order=$(order anna map $vin DE IT NL)
ok "map update of DE, IT and NL ordered: $map_order"
expect_refused any "a function that does not fit the car" anna order function $vin trailer-assist
[ "$(jq -c '[.reasons[].rule] | sort' "$state/refusal.json")" = '["hardware","model"]' ] || die "not every reason was named"
expect_refused any "an order by a second person" bert order function $vin adaptive-cruise
operator rollout start hu-4-$new_software --image software/hu-4/$new_software.img >/dev/null
ok "rollout of the head-unit software started"

step 6 "The car downloads, is killed in the middle, and goes on where it was"
start_vehicle one
drive one
start_agent one --rate-bytes-max 150000
wait_until 60 "the software download has passed five chunks" verified_chunks_at_least one software 5
kill_agent one
agent_status one >"$state/at-kill.json"
wait_until 30 "the server has noticed" transfers_settled $vin
operator transfers $vin >"$state/transfers-at-kill.json"
verified=$(jq '[.orders[].payloads[]?.bytesVerified] | add' "$state/at-kill.json")
ok "killed with SIGKILL after $verified verified payload bytes"
billing_events_are "$function_order" 0
start_agent one
progress_until_downloaded one
operator transfers $vin >"$state/transfers-at-end.json"
python3 samples/check_transfers.py "$state/at-kill.json" "$state/transfers-at-kill.json" "$state/transfers-at-end.json" ||
  die "a verified chunk was sent twice"
ok "the server's count shows that no verified chunk was sent twice"

step 7 "The car drives, stands unlocked, hangs on the cable; then everything activates by itself"
software_order=$(agent_status one | jq -r --arg f "$function_order" --arg m "$map_order" \
  '.orders[] | select(.id != $f and .id != $m) | .id')
waits_for one gear "it drives"
park one locked=no
waits_for one doors-locked "it stands unlocked"
park one locked=yes cable=on
waits_for one charging-cable "it hangs on the charging cable"
watch_maps one DE IT NL
billing_events_are "$function_order" 0
park one
for id in "$function_order" "$map_order" "$software_order"; do
  wait_until 180 "order $id is active at the server" order_is "$id" active
done
stop_watching_maps
ok "three regions became visible at one instant: no reader ever saw a mixture"
for region in DE IT NL; do
  same_tree "$state/one/agent/maps/current/$region" "$payloads/maps/$new_map/$region"
done
same_tree "$state/one/agent/maps/current/FR" "$payloads/maps/$old_map/FR"
[ "$(vehicle_show one | jq -r .software.sha256)" = "$(sha256_of "$payloads/software/$new_software/node")" ] ||
  die "the head unit did not boot the new software"
ok "the head unit booted software $new_software from its other slot"
[ "$(agent_status one | jq -r '.functions[] | select(.id == "adaptive-cruise") | .state')" = active ] ||
  die "the licence of adaptive-cruise is not valid"
ok "adaptive-cruise is active by its licence"
wait_until 30 "one billing event after the report" billing_events_are "$function_order" 1
billed_after_report "$function_order"
ok "exactly one billing event, after the car's signed report"

step 8 "A flipped byte is refused; a copied licence does nothing"
stop_agent one
byte_order=$(order anna map $vin FR)
wait_until 60 "the update of FR is offered" order_is "$byte_order" staged
flip_a_byte maps/FR/$new_map.tar
start_agent one
wait_until 60 "the car refuses the damaged chunk" car_refused_chunk one
say "the car says: $(refusal_of one)"
same_tree "$state/one/agent/maps/current/FR" "$payloads/maps/$old_map/FR"
for region in DE IT NL; do
  same_tree "$state/one/agent/maps/current/$region" "$payloads/maps/$new_map/$region"
done
ok "the car keeps what it has"
stop_agent one
operator car register --vin $vin2 --model borealis --model-year 2025 --country NL --hardware tow-bar \
  --ecu HU-000025=hu-4 >/dev/null
new_car two $vin2 HU-000025
pair_car two anna
mkdir -p "$state/two/agent/licences" "$state/two/agent/functions"
cp "$state/one/agent/licences/"* "$state/two/agent/licences/"
cp "$state/one/agent/functions/"* "$state/two/agent/functions/"
start_vehicle two
park two
start_agent two
wait_until 30 "the second car has looked at the licence" licence_is two adaptive-cruise refused
[ "$(vehicle_show two | jq '.functions | length')" -eq 0 ] || die "the copied licence switched a function on"
ok "the copied licence is refused: $(agent_status two | jq -r '.functions[0].reason')"

step 9 "28 days in private mode: the order cancels itself and the money goes back"
vehicle_set two private_mode=on
late_order=$(order anna function $vin2 trailer-assist)
wait_until 30 "the head unit says that private mode is why" head_unit_says two -i privat
say "the head unit says: $(head_unit two)"
[ "$(operator transfers $vin2 | jq '.transfers | length')" -eq 0 ] ||
  die "something was downloaded in private mode"
order_is "$late_order" staged || die "the order is $(order_state "$late_order"), not staged"
say "on the server's simulated clock 28 days pass"
operator simulation advance --days 28 --seconds 3600 >/dev/null
wait_until 30 "the order cancels itself" order_is "$late_order" cancelled
[ "$(events_of "$late_order" refund)" -eq 1 ] || die "not exactly one refund event"
ok "cancelled by itself, one refund event"
stop_agent two
polled=$(last_poll two)
vehicle_set two private_mode=off
start_agent two
wait_until 60 "the car that comes back has asked the server" has_polled_since two "$polled"
sleep 3
[ "$(agent_status two | jq '.orders | length')" -eq 0 ] || die "the car still has the order"
[ "$(vehicle_show two | jq '.functions | length')" -eq 0 ] || die "the function is active"
[ "$(operator transfers $vin2 | jq '.transfers | length')" -eq 0 ] ||
  die "the car was sent something"
[ "$(events_of "$late_order" billing)" -eq 0 ] || die "the cancelled order was billed"
[ "$(events_of "$late_order" refund)" -eq 1 ] || die "refunded more than once"
ok "the car that comes back gets nothing"

step 10 "A withdrawal: the money goes back at once, the function when the car is left"
trial_order=$(order anna function $vin2 trailer-assist)
wait_until 60 "the car has it downloaded" waits_for_condition two exit-and-lock
exit_and_lock two
wait_until 60 "order $trial_order is active at the server" order_is "$trial_order" active
function_is_on two trailer-assist || die "trailer-assist is not on"
[ "$(events_of "$trial_order" billing)" -eq 1 ] || die "not exactly one billing event"
ok "trailer-assist is active and billed"
drive two
anna order withdraw "$trial_order" >/dev/null
[ "$(events_of "$trial_order" refund)" -eq 1 ] || die "not exactly one refund event"
wait_until 60 "the car is told to switch it off" is_to_switch_off two "$trial_order"
sleep 2
function_is_on two trailer-assist || die "the function went off while driving"
ok "refunded at once; while the car drives the function stays on"
park two
wait_until 60 "order $trial_order is refunded" order_is "$trial_order" refunded
! function_is_on two trailer-assist || die "the function is still on"
[ "$(events_of "$trial_order" refund)" -eq 1 ] || die "refunded more than once"
ok "left and locked, it is off; one billing event, one refund event"

step 11 "A subscription: the second month comes as a licence alone, while the car drives"
month_order=$(order anna function $vin2 trailer-assist-monthly)
wait_until 60 "the car has it downloaded" waits_for_condition two exit-and-lock
exit_and_lock two
wait_until 60 "order $month_order is active at the server" order_is "$month_order" active
anna order show "$month_order" >"$state/month.json"
first_end=$(jq -er .active_until "$state/month.json")
wait_until 30 "the car has the licence for the month" licence_runs_until two trailer-assist "$first_end"
ok "active until $first_end; next charge $(jq -r '.next_charge | "\(.amount_cents) cents at \(.at)"' "$state/month.json")"
wait_until 30 "the head unit shows it" head_unit_says two "Active until $(date -u -d "$first_end" '+%-d %B %Y')"
say "the head unit says: $(head_unit two)"
drive two
switched=$(vehicle_show two | jq .activations)
say "on the server's simulated clock it is a day before the month's end"
server_goes_to "$(date -u -d "$first_end - 1 day + 1 minute" +%s)"
wait_until 30 "it is renewed" periods_are "$month_order" 2
second_end=$(anna order show "$month_order" | jq -er .active_until)
wait_until 30 "the car has the licence for the next month" licence_runs_until two trailer-assist "$second_end"
wait_until 30 "the second month is billed" billing_events_are "$month_order" 2
[ "$(vehicle_show two | jq .activations)" -eq "$switched" ] || die "something was activated while the car drove"
function_is_on two trailer-assist || die "the function stopped between two months"
ok "renewed until $second_end; nothing was switched, and each month is billed once"

step 12 "The car is sold: the term runs on for the new owner, and renews no more"
anna car hand-over $vin2 >/dev/null
expect_refused 404 "the old owner looks at the car" anna car show $vin2
stop_agent two
pair_car two bert
start_agent two
bert order show "$month_order" >"$state/inherited.json"
jq -e '.state == "active" and (has("amount_cents") or has("history") | not)' "$state/inherited.json" >/dev/null ||
  die "the new owner does not see the running term, or sees more than that"
jq -e '.events | all(.data.message == "paired")' <(bert messages $vin2) >/dev/null ||
  die "the new owner sees messages of the old one"
expect_refused 409 "the new owner withdraws from the old one's order" bert order withdraw "$month_order"
ok "the new owner sees the running term, and nothing of the old owner's"
say "on the server's simulated clock the second month ends"
server_goes_to "$(date -u -d "$second_end + 1 minute" +%s)"
wait_until 30 "the term is over" order_is "$month_order" expired
wait_until 60 "the car is told to switch it off" is_to_switch_off two "$month_order"
function_is_on two trailer-assist || die "the function went off while driving"
park two
wait_until 60 "order $month_order has ended" order_is "$month_order" ended
! function_is_on two trailer-assist || die "the function is still on"
[ "$(events_of "$month_order" billing)" -eq 2 ] || die "the old owner paid for a third month"
[ "$(events_of "$month_order" refund)" -eq 0 ] || die "a month that was used was refunded"
operator audit $vin2 --check --limit 1000 >/dev/null
ok "it ended with its month: two months, two bills"

step 13 "Timeline and bytes"
operator audit $vin --check --limit 1000 >"$state/audit.json"
operator order list $vin >"$state/orders.json"
operator image list --image-root "$data/provision/image-root.json" >"$state/images.json"
ok "the audit chain of $vin is unbroken"
operator audit export $vin -o "$state/audit-export.json" --key "$data/provision/audit-key.json" >/dev/null
env -u LAYBY_SERVER -u LAYBY_CA -u LAYBY_TOKEN "$bin/layby" audit verify "$state/audit-export.json" \
  --key "$data/provision/audit-key.json" --vin $vin || die "the export of the audit trail does not verify"
sed '0,/"seq":7,/s//"seq":8,/' "$state/audit-export.json" >"$state/audit-altered.json"
! "$bin/layby" audit verify "$state/audit-altered.json" --key "$data/provision/audit-key.json" 2>/dev/null ||
  die "an altered export of the audit trail verifies"
ok "exported as one signed file it verifies with no server, and altered it does not"
python3 samples/report.py "$state" "$vin"
finish
[ $interactive = no ] || stay_with_car two bert $vin2
