#!/usr/bin/env python3
"""A small receiver of Layby's webhooks: what one has to do, with Python's standard library alone.

    webhook_receiver.py --secret-file FILE --out EVENTS.jsonl [--port N] [--port-file FILE] [--age-seconds-max 300]

It takes an event only when its signature is right and its timestamp is young, writes it to EVENTS.jsonl, syncs the file, and only
then answers 200: what was answered is not lost. An event is sent at least once, so one whose id is there already is answered and
dropped; the ids are read back from the file at the start. Listens on 127.0.0.1; put a TLS proxy in front of it elsewhere.
"""
import argparse
import hashlib
import hmac
import http.server
import json
import os
import sys
import time

BODY_BYTES_MAX = 1 << 20


def is_signed(secret, timestamp, body, signature):
    wanted = hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest("v1=" + wanted, signature)


class Events:
    """The events that were taken, in a file of one JSON document a line."""

    def __init__(self, path):
        self.ids = set()
        if os.path.exists(path):
            self.read_back(path)
        self.file = open(path, "ab")

    def read_back(self, path):
        with open(path, "rb") as stream:
            text = stream.read()
        whole = text.rfind(b"\n") + 1  # a line that was cut off was never answered
        self.ids.update(json.loads(line)["id"] for line in text[:whole].splitlines())
        if whole < len(text):
            os.truncate(path, whole)

    def take(self, event):
        """False for one that is there already."""
        if event["id"] in self.ids:
            return False
        self.file.write(json.dumps(event, sort_keys=True).encode() + b"\n")
        self.file.flush()
        os.fsync(self.file.fileno())
        self.ids.add(event["id"])
        return True


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, text):
        body = (text + "\n").encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        length = int(self.headers.get("Content-Length", "0"))
        if length > BODY_BYTES_MAX:
            self.close_connection = True
            return self.answer(413, "too long")
        body = self.rfile.read(length)
        timestamp = self.headers.get("Layby-Timestamp", "")
        if not is_signed(self.server.secret, timestamp, body, self.headers.get("Layby-Signature", "")):
            return self.answer(401, "the signature is wrong")
        if abs(time.time() - int(timestamp)) > self.server.age_seconds_max:
            return self.answer(401, "too old: somebody sends it again")
        event = json.loads(body)
        fresh = self.server.events.take(event)
        print(f"event {event['id']} {event['type']} {'taken' if fresh else 'is there already'}", flush=True)
        return self.answer(200, "taken")

    def log_message(self, *_):
        """One line for each event is enough."""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--secret-file", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--port-file")
    parser.add_argument("--age-seconds-max", type=int, default=300)
    options = parser.parse_args()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", options.port), Handler)
    with open(options.secret_file, "rb") as stream:
        server.secret = stream.read().strip()
    server.age_seconds_max = options.age_seconds_max
    server.events = Events(options.out)
    if options.port_file:
        with open(options.port_file + ".new", "w", encoding="ascii") as out:
            out.write(f"{server.server_port}\n")
        os.replace(options.port_file + ".new", options.port_file)
    server.serve_forever()


if __name__ == "__main__":
    sys.exit(main())
