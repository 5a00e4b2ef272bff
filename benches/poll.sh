#!/bin/bash
# How many polls with nothing new a server answers: laybyd, for a paired car, against nginx, which serves the same bytes as a
# file over the same TLS with the same certificates. Both on loopback, one after the other, the same load.
#   bash benches/poll.sh [CONNECTIONS] [SECONDS]
# Without nginx only laybyd is measured. Needs curl, jq and openssl, and the programs in build/release/bin.
set -euo pipefail
cd "$(dirname "$0")/.."
connections=${1:-8}
seconds=${2:-5}
bin=$PWD/build/release/bin
dir=$(mktemp -d)
server_pid='' nginx_pid=''
finish() {
  for pid in $server_pid $nginx_pid; do kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null || true; done
  rm -rf "$dir"
}
trap finish EXIT

vin=WVWZZZ1JZXW000017
path=/v1/vehicle/director/timestamp.json
data=$dir/data
"$bin/laybyd" init "$data" --offline-key-cost interactive > /dev/null
"$bin/laybyd" serve --config "$data/laybyd.toml" --port 0 --port-file "$dir/port" 2> "$dir/log" &
server_pid=$!
for _ in $(seq 200); do [ -s "$dir/port" ] && break; sleep 0.1; done
port=$(cat "$dir/port")
url=https://localhost:$port
ca=$data/provision/ca.pem

# call TOKEN METHOD PATH BODY
call() {
  curl -sS --fail-with-body --cacert "$ca" -X "$2" -H "Authorization: Bearer $1" -H 'Content-Type: application/json' \
    -H "Idempotency-Key: $RANDOM$RANDOM" ${4:+-d "$4"} "$url$3"
}
operator=$(cat "$data/operator.token")
owner=$(call "$operator" POST /v1/accounts '{"name":"Owner","role":"owner"}' | jq -r .token)
call "$operator" POST /v1/cars "$(jq -n --arg vin $vin '{vin:$vin, model:"a", model_year:2026, country:"DE", hardware:["hu-4"],
  ecus:[{serial:"HU-1", hardware_id:"hu-4"}]}')" > /dev/null
code=$(call "$owner" POST /v1/pairing-codes '' | jq -r .code)
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$dir/car.key" -subj "/CN=$vin" -out "$dir/car.csr" 2> /dev/null
public_key() { openssl genpkey -algorithm "$1" | openssl pkey -pubout -outform DER | tail -c 32 | od -An -tx1 | tr -d ' \n'; }
jq -n --arg vin $vin --arg code "$code" --rawfile csr "$dir/car.csr" --arg seal "$(public_key X25519)" --arg key "$(public_key ED25519)" \
  '{vin:$vin, code:$code, certificate_request:$csr, seal_key:$seal, primary:"HU-1",
    ecus:[{serial:"HU-1", hardware_id:"hu-4", public_key:$key}]}' > "$dir/pair.json"
curl -sS --fail-with-body --cacert "$ca" -H 'Content-Type: application/json' -d @"$dir/pair.json" "$url/v1/pair" | jq -r .certificate > "$dir/car.pem"

etag_of() { tr -d '\r' < "$1" | sed -n 's/^[Ee][Tt][Aa][Gg]: //p'; }
load() { "$bin/poll_load" --port "$1" --path $path --header "If-None-Match: $2" --certificate "$dir/car.pem" --key "$dir/car.key" \
  --connections "$connections" --seconds "$seconds"; }
curl -sS --fail-with-body --cacert "$ca" --cert "$dir/car.pem" --key "$dir/car.key" -D "$dir/head" -o "$dir/timestamp.json" "$url$path"
ours=$(load "$port" "$(etag_of "$dir/head")")
echo "laybyd  $ours"

nginx=$(command -v nginx || ls /usr/sbin/nginx 2> /dev/null || true)
[ -n "$nginx" ] || { echo "nginx is not installed: nothing to compare with"; exit 0; }
mkdir -p "$dir/www${path%/*}" "$dir/tmp"
cp "$dir/timestamp.json" "$dir/www$path"
chmod -R a+rX "$dir"
free_port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat > "$dir/nginx.conf" <<CONF
daemon off;
worker_processes auto;
pid $dir/nginx.pid;
error_log $dir/nginx.log;
events { worker_connections 1024; }
http {
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path $dir/tmp/a; proxy_temp_path $dir/tmp/b; fastcgi_temp_path $dir/tmp/c;
  uwsgi_temp_path $dir/tmp/d; scgi_temp_path $dir/tmp/e;
  open_file_cache max=100;
  server {
    listen 127.0.0.1:$free_port ssl;
    ssl_protocols TLSv1.3;
    ssl_certificate $data/tls/server.pem;
    ssl_certificate_key $data/tls/server.key;
    ssl_client_certificate $data/tls/vehicle-ca.pem;
    ssl_verify_client on;
    root $dir/www;
  }
}
CONF
"$nginx" -c "$dir/nginx.conf" -p "$dir" 2> /dev/null &
nginx_pid=$!
sleep 1
curl -sS --fail-with-body --cacert "$ca" --cert "$dir/car.pem" --key "$dir/car.key" -D "$dir/head" -o /dev/null "https://localhost:$free_port$path"
theirs=$(load "$free_port" "$(etag_of "$dir/head")")
echo "nginx   $theirs"
awk -v a="${ours%% *}" -v b="${theirs%% *}" 'BEGIN { printf "laybyd / nginx: %.2f\n", a / b }'
