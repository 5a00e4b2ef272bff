#!/usr/bin/env python3
"""Who sends as slowly as he may: metadata and payloads that drip, to three cars at once, since each takes a minute to be noticed."""
import sys
import time

import rig
from attacked_car import World
from hostile import DIRECTOR, PAYLOADS, Target, drip, of_chunks, stalled
from rig import check, check_equal, step, wait_until

NOTICED_SECONDS = 90  # a minute of deadline or window, and what a busy machine adds


def order_error(target, order):
    return ((target.car.order(order) or {}).get("error") or {}).get("name")


def another_car(w, vin, number):
    target = Target(w.r, rig.Car(w.r, vin, number))
    target.car.register()
    target.provision()
    target.car.pair(w.anna)
    target.car.start_vehicle(rig.PARKED)
    return target


def slow_retrieval(w):
    with step("two more cars, each with an order that waits for its payload"):
        head, chunks = another_car(w, "WVWZZZ1JZXW000041", 41), another_car(w, "WVWZZZ1JZXW000033", 33)
        orders = {target: w.anna("order", "map", target.car.vin, "DE")["id"] for target in (head, chunks)}
        head.hostile.rules = {PAYLOADS: drip(2)}
        chunks.hostile.rules = {PAYLOADS: of_chunks(drip(4))}
        installed = {target: target.car.status()["slots"] for target in orders}
        for target in orders:
            target.car.start_agent()
    with step("slow retrieval: a timestamp that drips, faster than a byte a second, is over at its deadline"):
        w.mount("slow-retrieval", {DIRECTOR + r"timestamp\.json": drip(2)}, "timestamp.json", seconds=NOTICED_SECONDS)
    for target, what in ((head, "head"), (chunks, "chunks")):
        with step(f"slow retrieval: the {what} of a payload, slower than the slowest that is allowed, broken off after a minute"):
            wait_until(lambda: f"the order says so: {target.car.status()['orders']}",
                       lambda: order_error(target, orders[target]) == "slow-retrieval",
                       NOTICED_SECONDS)
            wait_until("the server is told", lambda: w.anna("order", "show", orders[target]).get("error", {}).get("name") == "slow-retrieval")
            check_equal(target.car.status()["slots"], installed[target], "what is installed")
    with step("slow retrieval: a timestamp whose body stalls"):
        begun = time.monotonic()
        w.mount("slow-retrieval", {DIRECTOR + r"timestamp\.json": stalled})
        check(time.monotonic() - begun < 60 * rig.PATIENCE, "it took as long as one that drips")
    with step("slow retrieval: it is over, and all three orders become active by themselves"):
        for target in orders:
            target.hostile.rules = {}
        w.becomes_active()
        for target, order in orders.items():
            target.car.wait_for_active(w.anna, [order], 120)


def test(r):
    slow_retrieval(World(r))


if __name__ == "__main__":
    sys.exit(rig.main(test))
