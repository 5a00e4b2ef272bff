#!/usr/bin/env python3
"""Events leave by webhook to the receiver of samples/: in order, none lost by kill -9 of the server or of the receiver, none twice,
while another endpoint hangs; what was given up is sent again."""
import json
import os
import random
import socket
import sys
import time

import rig
from rig import check, check_equal, step, wait_until

KILLS = 40 if rig.LONG else 6
VIN = "WVWZZZ1JZXW000017"


class Receiver:
    def __init__(self, r):
        self.rig = r
        self.secret = os.path.join(r.directory, "webhook.secret")
        self.out = os.path.join(r.directory, "received.jsonl")
        self.port_file = os.path.join(r.directory, "receiver.port")
        self.port = 0
        self.process = None

    def start(self):
        if os.path.exists(self.port_file):
            os.remove(self.port_file)
        self.process = self.rig.begin(
            [sys.executable, os.path.join(rig.SOURCE, "samples", "webhook_receiver.py"), "--secret-file", self.secret,
             "--out", self.out, "--port", str(self.port), "--port-file", self.port_file],
            os.path.join(self.rig.directory, "receiver.log"))
        wait_until("the receiver listens", lambda: os.path.exists(self.port_file))
        with open(self.port_file, encoding="ascii") as stream:
            self.port = int(stream.read())

    def ids(self):
        with open(self.out, encoding="utf-8") as stream:
            return [json.loads(line)["id"] for line in stream]


def all_ids(r):
    found, after = [], 0
    while True:
        page = r.operator("events", "--limit", "1000", "--after", str(after))["events"]
        if not page:
            return found
        found += [event["id"] for event in page]
        after = found[-1]


def order_and_cancel(anna):
    order = anna("order", "function", VIN, "adaptive-cruise")["id"]
    anna("order", "cancel", order)


def post_badly(receiver, signature, timestamp):
    import http.client
    connection = http.client.HTTPConnection("127.0.0.1", receiver.port, timeout=10)
    connection.request("POST", "/", b'{"id":999999,"type":"billing"}',
                       {"Layby-Timestamp": timestamp, "Layby-Signature": signature})
    return connection.getresponse().status


def sign(receiver, timestamp):
    import hashlib
    import hmac
    with open(receiver.secret, "rb") as stream:
        secret = stream.read().strip()
    return "v1=" + hmac.new(secret, timestamp.encode() + b'.{"id":999999,"type":"billing"}', hashlib.sha256).hexdigest()


def test(r):
    moments = random.Random(int(os.environ.get("LAYBY_SEED", "7")))
    r.server.process.stop()
    r.server.set_config("attempts_max", "20", "3")
    r.server.start()
    r.publish([{"kind": "function", "id": "adaptive-cruise", "version": "1.0", "hardware": [rig.HARDWARE],
                "release_counter": 1, "path": r.package("adaptive-cruise", 10_000, 1)}])
    r.product("adaptive-cruise", "functions/adaptive-cruise/1.0.pkg")
    r.operator("jobs", "--wait", "--timeout", "60")
    anna = r.account("anna", "owner")
    car = rig.Car(r, VIN, 17)
    car.register()
    car.provision()
    car.pair(anna)
    receiver = Receiver(r)
    with open(receiver.secret, "w", encoding="ascii"):
        pass
    receiver.start()
    receiver.process.kill()  # it has its port now; the secret comes with the webhook
    silent = socket.create_server(("127.0.0.1", 0))  # takes connections and never answers
    with step("two endpoints, one of which hangs"):
        r.operator("webhook", "create", f"http://127.0.0.1:{silent.getsockname()[1]}/", "--after", "0")
        hook = r.operator("webhook", "create", f"http://127.0.0.1:{receiver.port}/layby", "--after", "0", "--secret-out",
                          receiver.secret)
        check("secret" not in hook, "the secret is in its file only")
        receiver.start()
    with step("events arrive in order, none lost and none twice, whoever is killed with SIGKILL"):
        for kill in range(KILLS):
            order_and_cancel(anna)
            time.sleep(moments.uniform(0, 0.3))
            if kill % 3 == 2:
                receiver.process.kill()
                receiver.start()
            else:
                r.server.process.kill()
                r.server.start()
        order_and_cancel(anna)
        wait_until("all have arrived", lambda: len(receiver.ids()) >= len(all_ids(r)), 60)
        check_equal(receiver.ids(), all_ids(r), "ids received")
    with step("what is forged or too old is refused by the receiver"):
        now = str(int(time.time()))
        check_equal(post_badly(receiver, "v1=" + "0" * 64, now), 401, "a wrong signature")
        check_equal(post_badly(receiver, sign(receiver, now), str(int(now) + 1)), 401, "another timestamp")
        old = str(int(now) - 3600)
        check_equal(post_badly(receiver, sign(receiver, old), old), 401, "an old one")
        check(999999 not in receiver.ids(), "nothing of it was taken")
    with step("what was given up is in the dead letters, and arrives when it is sent again"):
        receiver.process.kill()
        order_and_cancel(anna)
        dead = wait_until("there are dead letters",
                          lambda: r.operator("webhook", "dead-letters", hook["id"])["dead_letters"], 60)
        check_equal(dead[0]["attempts"], 3, "attempts")
        receiver.start()

        def arrived():
            r.operator("webhook", "retry", hook["id"])
            return sorted(receiver.ids()) == all_ids(r)

        wait_until("all have arrived", arrived, 90, 0.5)
        check_equal(r.operator("webhook", "dead-letters", hook["id"])["dead_letters"], [], "dead letters")
    silent.close()


if __name__ == "__main__":
    sys.exit(rig.main(test))
