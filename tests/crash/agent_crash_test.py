#!/usr/bin/env python3
"""kill -9 of the agent at random moments of a whole update: it always ends activated exactly once, never a mixture.

One update is a function, three map regions and software; then the owner withdraws from the function, and the kills go on while it is
deactivated. A few kills an update; updates until there are at least 6 kills, 100 with
LAYBY_LONG=1. LAYBY_SEED replays the moments.
"""
import hashlib
import os
import random
import sys
import threading
import time

import rig
from rig import check, check_equal

KILLS = 100 if rig.LONG else 6
KILLS_AN_UPDATE = 10 if rig.LONG else 6
KILLS_A_DEACTIVATION = 4 if rig.LONG else 2
SEED = int(os.environ.get("LAYBY_SEED", "0")) or random.SystemRandom().randrange(1, 2**32)


class Commuter(threading.Thread):
    """Comes and goes: every two seconds somebody opens the car, stays a moment, leaves and locks."""

    def __init__(self, car):
        super().__init__(daemon=True)
        self.car, self.stop = car, threading.Event()

    def run(self):
        while not self.stop.is_set():
            self.car.exit_and_lock()
            self.stop.wait(1.5 * rig.PATIENCE)


def begin_reader(r, car):
    out = os.path.join(car.home, "watch")
    return out, r.begin([sys.executable, os.path.join(rig.SOURCE, "samples", "watch_maps.py"),
                         os.path.join(car.state, "maps", "current"), out, "DE", "IT", "NL"],
                        os.path.join(car.home, "watch.log"))


def kill_at_random(car, moments, done, kills_max):
    """Kills and starts again until the update is over or enough kills hit it; how many there were."""
    for kills in range(kills_max):
        car.start_agent("--rate-bytes-max", "3000000")
        end = time.monotonic() + moments.uniform(0.02, 1.5)
        while time.monotonic() < end:
            check(car.agent.running(), "layby-agent ended by itself")
            time.sleep(0.01)
        car.agent.kill()
        if done():
            return kills + 1
    return kills_max


def withdraw(r, anna, car, function, moments):
    """The function goes off exactly once, whenever the agent is killed; how many kills there were."""
    def is_over():
        return r.order_state(anna, function) == "refunded"
    anna("order", "withdraw", function)
    kills = kill_at_random(car, moments, is_over, KILLS_A_DEACTIVATION)
    car.start_agent()
    rig.wait_until("the function is deactivated", is_over, 120, 0.2)
    check_equal(car.show()["functions"], [], "active functions after the withdrawal")
    check_equal(len(r.events("refund", function)), 1, "refund events")
    history = [h["state"] for h in anna("order", "show", function)["history"]]
    check_equal(history.count("active"), 1, f"activations in {history}")
    return kills


def update(r, anna, number, moments):
    car = rig.Car(r, f"WVWZZZ1JZXW{number:06}", number)
    car.register()
    car.provision()
    car.pair(anna)
    anna("consent", "give", car.vin, "--language", "en", "--text-version", "1")
    function = anna("order", "function", car.vin, "adaptive-cruise")["id"]
    maps = anna("order", "map", car.vin, "DE", "IT", "NL")["id"]
    car.start_vehicle(rig.PARKED)
    watch_out, watch = begin_reader(r, car)
    commuter = Commuter(car)
    commuter.start()

    def states():
        return [o["state"] for o in anna("order", "list", car.vin)["orders"]]
    kills = kill_at_random(car, moments, lambda: len(states()) == 3 and set(states()) == {"active"}, KILLS_AN_UPDATE)
    car.start_agent()
    rig.wait_until("all three orders are active", lambda: len(states()) == 3 and set(states()) == {"active"}, 120, 0.2)
    check_functions(car)
    check_equal(car.agent.stop(), 0, "exit status of layby-agent")
    kills += withdraw(r, anna, car, function, moments)
    commuter.stop.set()
    commuter.join()
    check_equal(car.agent.stop(), 0, "exit status of layby-agent")
    with open(watch_out + ".stop", "w", encoding="ascii"):
        pass
    check_equal(watch.popen.wait(20), 0, "exit status of the reader, which is 1 for a mixture")
    check_end(r, anna, car, function, maps)
    car.vehicle.kill()
    return kills


def check_functions(car):
    check_equal([f["id"] for f in car.show()["functions"]], ["adaptive-cruise"], "active functions")


def check_end(r, anna, car, function, maps):
    for region in ("DE", "IT", "NL"):
        check(rig.same_tree(car.live_map(region), r.region(rig.NEW_MAP, region)), f"{region} is not the new release")
    check(rig.same_tree(car.live_map("FR"), r.region(rig.OLD_MAP, "FR")), "FR is not what it was")
    with open(rig.software(rig.NEW_SOFTWARE), "rb") as stream:
        check_equal(car.show()["software"]["sha256"], hashlib.sha256(stream.read()).hexdigest(), "booted software")
    check_equal(len(r.events("billing", function)), 1, "billing events")
    for order in (function, maps):
        history = [h["state"] for h in anna("order", "show", order)["history"]]
        check_equal(history.count("active"), 1, f"activations in {history}")
    anna("audit", car.vin, "--check", "--limit", "1000")


def test(r):
    print(f"seed {SEED}, at least {KILLS} kills", flush=True)
    moments = random.Random(SEED)
    r.publish_releases(function_bytes=3_000_000)
    r.product("adaptive-cruise", "functions/adaptive-cruise/1.0.pkg")
    r.operator("rollout", "start", "spring", "--image", f"software/hu-4/{rig.NEW_SOFTWARE}.img")
    anna = r.account("anna", "owner")
    kills = updates = 0
    while kills < KILLS:
        updates += 1
        kills += update(r, anna, updates, moments)
        print(f"{updates} updates, {kills} kills", flush=True)
    check_equal(len(r.events("billing")), updates, "billing events of all updates")
    print(f"{kills} kills in {updates} updates: each ended activated exactly once, with one billing event, no mixture seen")


if __name__ == "__main__":
    sys.exit(rig.main(test))
