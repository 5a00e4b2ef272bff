#!/usr/bin/env python3
"""kill -9 of the server during orders: every order that was answered 201 is there after the restart, none is doubled.

Owners order and cancel in a loop, each order under a fresh Idempotency-Key; laybyd is killed with SIGKILL at random moments and
started again. Who gets no answer asks again under the same key. 10 kills, 200 with LAYBY_LONG=1; LAYBY_SEED replays
the moments.
"""
import http.client
import json
import os
import random
import ssl
import sys
import threading
import time
import uuid

import rig
from rig import check, check_equal

KILLS = 200 if rig.LONG else 10
CARS = 3
SEED = int(os.environ.get("LAYBY_SEED", "0")) or random.SystemRandom().randrange(1, 2**32)


class Client(threading.Thread):
    """An owner who orders one function for one car and cancels it, again and again."""

    def __init__(self, r, owner, vin, stop):
        super().__init__(daemon=True)
        self.server, self.vin, self.stop = r.server, vin, stop
        with open(owner.token_file, encoding="ascii") as stream:
            self.token = stream.read().strip()
        self.tls = ssl.create_default_context(cafile=r.server.provision("ca.pem"))
        self.connection = None
        self.acknowledged = {}  # key -> order id, as answered with 201
        self.cancelled = set()
        self.lost = 0  # requests without an answer
        self.wrong = []

    def once(self, method, path, body, key):
        if self.connection is None:
            self.connection = http.client.HTTPSConnection("127.0.0.1", self.server.port, timeout=20, context=self.tls)
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json", "Idempotency-Key": key}
        self.connection.request(method, path, json.dumps(body), headers)
        answer = self.connection.getresponse()
        return answer.status, json.loads(answer.read() or b"null")

    def until_answered(self, method, path, body, key):
        while True:
            try:
                return self.once(method, path, body, key)
            except (OSError, http.client.HTTPException):
                self.lost += 1
                self.connection.close()
                self.connection = None
                time.sleep(0.02)

    def run(self):
        try:
            while not self.stop.is_set():
                self.order_and_cancel()
        except Exception as error:  # a thread's failure is the test's
            self.wrong.append(repr(error))

    def order_and_cancel(self):
        key = uuid.uuid4().hex
        order = {"vin": self.vin, "kind": "function", "product": "adaptive-cruise"}
        status, answer = self.until_answered("POST", "/v1/orders", order, key)
        if status != 201:
            self.wrong.append(f"order {key}: {status} {answer}")
            self.stop.set()
            return
        self.acknowledged[key] = answer["id"]
        status, answer = self.until_answered("POST", f"/v1/orders/{answer['id']}/cancel", {}, uuid.uuid4().hex)
        # 409: an attempt whose answer was lost had already done it.
        if status == 200 or (status == 409 and self.state_of(self.acknowledged[key]) == "cancelled"):
            self.cancelled.add(self.acknowledged[key])
            return
        self.wrong.append(f"cancel of {self.acknowledged[key]}: {status} {answer}")
        self.stop.set()

    def state_of(self, order):
        return self.until_answered("GET", f"/v1/orders/{order}", None, "")[1]["state"]


def orders_of(owner, vin):
    found, after = [], ""
    while True:
        arguments = ["--limit", "1000"] + (["--after", after] if after else [])
        page = owner("order", "list", vin, *arguments)["orders"]
        if not page:
            return found
        found += page
        after = page[-1]["id"]


def check_all(r, clients, owner):
    for client in clients:
        check_equal(client.wrong, [], "what must not happen")
        orders = orders_of(owner, client.vin)
        ids = [o["id"] for o in orders]
        check_equal(len(ids), len(set(ids)), f"different orders of {client.vin}")
        missing = set(client.acknowledged.values()) - set(ids)
        check(not missing, f"{client.vin}: answered with 201 and gone: {missing}")
        doubled = set(ids) - set(client.acknowledged.values())
        check(not doubled, f"{client.vin}: never answered, and there although every key was repeated: {doubled}")
        for order in orders:
            check_equal(order["state"], "cancelled", f"state of {order['id']}")
        owner("audit", client.vin, "--check", "--limit", "1000")
    events = r.events("authorisation") + r.events("refund")
    for kind in ("authorisation", "refund"):
        of_orders = [e["order"] for e in events if e["type"] == kind]
        check_equal(len(of_orders), len(set(of_orders)), f"one {kind} event an order")
        check_equal(set(of_orders), {o for c in clients for o in c.acknowledged.values()}, f"orders with a {kind} event")
    ids = [e["id"] for e in events]
    check_equal(len(ids), len(set(ids)), "different event ids")


def test(r):
    print(f"seed {SEED}, {KILLS} kills", flush=True)
    moments = random.Random(SEED)
    # One owner orders and cancels as fast as it goes.
    check_equal(r.server.process.stop(), 0, "laybyd")
    r.server.set_config("writes_per_minute", "12", "0")
    r.server.start()
    r.publish([{"kind": "function", "id": "adaptive-cruise", "version": "1.0", "hardware": [rig.HARDWARE],
                "release_counter": 1, "path": r.package("adaptive-cruise", 10_000, SEED)}])
    r.product("adaptive-cruise", "functions/adaptive-cruise/1.0.pkg")
    r.operator("jobs", "--wait", "--timeout", "60")
    anna = r.account("anna", "owner")
    cars = [rig.Car(r, f"WVWZZZ1JZXW00000{n}", n) for n in range(1, CARS + 1)]
    for car in cars:
        car.register()
        car.provision()
        car.pair(anna)
    stop = threading.Event()
    clients = [Client(r, anna, car.vin, stop) for car in cars]
    for client in clients:
        client.start()
    for kill in range(KILLS):
        time.sleep(moments.uniform(0.02, 0.6))
        check(r.server.process.running(), "laybyd ended by itself")
        r.server.process.kill()
        r.server.start()
        if stop.is_set():
            break
        if (kill + 1) % 20 == 0:
            print(f"{kill + 1} kills, {sum(len(c.acknowledged) for c in clients)} orders", flush=True)
    time.sleep(0.3)
    stop.set()
    for client in clients:
        client.join(60 * rig.PATIENCE)
        check(not client.is_alive(), "a client hangs")
    check_all(r, clients, anna)
    orders, lost = sum(len(c.acknowledged) for c in clients), sum(c.lost for c in clients)
    check(orders > 0 and lost > 0, f"{orders} orders, {lost} requests without an answer: the kills hit nothing")
    print(f"{KILLS} kills, {orders} orders answered with 201, {lost} requests without an answer: none lost, none doubled")


if __name__ == "__main__":
    sys.exit(rig.main(test))
