#!/usr/bin/env python3
"""A byte that is flipped on the server's disk, and a licence that is copied into another car."""
import os
import shutil
import sys
import time

import rig
from rig import check, check_equal, step, wait_until

VIN, OTHER_VIN = "WVWZZZ1JZXW000017", "WVWZZZ1JZXW000025"


def payload_file(r, image):
    """The delta that leads to the image, as it lies on the server's disk."""
    job = next(j for j in r.operator("jobs")["jobs"]
               if j["kind"] == "delta" and j["image"] == image and j["state"] == "done")
    found = []
    for folder, _, names in os.walk(r.server.data):
        found += [os.path.join(folder, n) for n in names
                  if len(n) == 64 and os.path.getsize(os.path.join(folder, n)) == job["payload_bytes"]]
    check_equal(len(found), 1, f"files of {job['payload_bytes']} bytes")
    return found[0]


def flip(path, offset):
    os.chmod(path, 0o600)
    with open(path, "r+b") as stream:
        stream.seek(offset)
        byte = stream.read(1)[0]
        stream.seek(offset)
        stream.write(bytes([byte ^ 1]))


def refused_chunk(car):
    status = car.status()
    texts = [status.get("attack") or ""] + [str(o.get("error") or "") for o in status["orders"]]
    return any("wrong-chunk" in text for text in texts)


def test(r):
    one, two = rig.Car(r, VIN, 17), rig.Car(r, OTHER_VIN, 25)
    with step("two cars, one with an active function"):
        r.publish_releases()
        r.product("adaptive-cruise", "functions/adaptive-cruise/1.0.pkg")
        anna = r.account("anna", "owner")
        for car in (one, two):
            car.register()
            car.provision()
            car.pair(anna)
            car.start_vehicle(rig.PARKED)
        function = anna("order", "function", VIN, "adaptive-cruise")["id"]
        one.start_agent()
        one.wait_for_active(anna, [function])
        check_equal(one.agent.stop(), 0, "exit status")
    with step("P5.1 a flipped byte of a payload is refused and named, and the car keeps what it has"):
        path = payload_file(r, f"maps/NL/{rig.NEW_MAP}.tar")
        flip(path, os.path.getsize(path) - 100)
        order = anna("order", "map", VIN, "NL")["id"]
        one.start_agent()
        wait_until("the car refuses the chunk", lambda: refused_chunk(one))
        check(rig.same_tree(one.live_map("NL"), r.region(rig.OLD_MAP, "NL")), "the map has changed")
        check(r.order_state(anna, order) != "active", "the order is active")
    with step("P4.5 the payload is whole again: the car goes on by itself"):
        flip(path, os.path.getsize(path) - 100)
        if r.order_state(anna, order) == "failed":
            order = anna("order", "map", VIN, "NL")["id"]
        one.wait_for_active(anna, [order], 180)
        check(rig.same_tree(one.live_map("NL"), r.region(rig.NEW_MAP, "NL")), "the map is not the new one")
    with step("P1.3 a licence and a package that are copied into another car do nothing there"):
        for folder in ("licences", "functions"):
            shutil.copytree(os.path.join(one.state, folder), os.path.join(two.state, folder), dirs_exist_ok=True)
        two.start_agent()

        def verdict():
            return next((f for f in two.status()["functions"] if f["id"] == "adaptive-cruise"), None)
        refused = wait_until("the second car has judged the licence", verdict)
        check_equal(refused["state"], "refused", "state of the copied licence")
        time.sleep(2)
        check_equal(two.show()["functions"], [], "active functions of the second car")
        check_equal(len(r.events("billing")), 1, "billing events")


if __name__ == "__main__":
    sys.exit(rig.main(test))
