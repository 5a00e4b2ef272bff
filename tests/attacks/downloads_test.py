#!/usr/bin/env python3
"""Bytes that never end or never come, parts that are held back, reports that are sent again."""
import itertools
import json
import sys
import time

import rig
from attacked_car import ROOT_KEYS, VIN, World
from hostile import (
    ENDLESS, FOLDERS, PAYLOADS, Answer, endless, endless_chunked, endless_with_length, hang_up, longer_than_said,
    of_chunks, part_of, shorter_than_said, with_status,
)
from rig import check, check_equal, step, wait_until


def role_path(repository, role):
    return FOLDERS[repository] + (r"timestamp\.json" if role == "timestamp" else rf"\d+\.{role}\.json")


def endless_data(w):
    ways = itertools.cycle(ENDLESS)
    with step("endless data: each role of both repositories, and the time; without a length, with a false one, in chunks"):
        for repository in FOLDERS:
            for role in ("root", "timestamp"):
                w.mount("endless-data", {role_path(repository, role): next(ways)}, role)
            for role in ("snapshot", "targets"):
                honest = w.thief.documents(repository)
                kept = {"targets": honest["targets"].replace(b'"', b' "', 1)} if role == "targets" else {}
                w.mount("endless-data", {**w.thief.over(repository, kept), role_path(repository, role): next(ways)}, role)
        for way in ENDLESS:
            w.mount("endless-data", {r"/v1/vehicle/time\?.*": way})
    with step("endless data: a body that is longer than its Content-Length is cut there, and no document"):
        for repository in FOLDERS:
            w.mount("bad-json", {role_path(repository, "timestamp"): longer_than_said})
    with step("endless data: with all that it has left in the car, new roots bring it back"):
        w.take_back()
    with step("endless data: a body that ends before its Content-Length is none"):
        for repository in FOLDERS:
            withheld(w, role_path(repository, "timestamp"), shorter_than_said)


def withheld(w, path, rule, words=""):
    """What is only withheld is no attack that a car could name: it says what it has not got, keeps what it has, and goes on by
    itself when it comes."""
    slots = w.car.status()["slots"]
    w.target.stop()
    w.target.hostile.rules = {path: rule}
    w.car.start_agent()
    error = wait_until(f"the car says that {path} does not come", lambda: w.car.status()["poll"].get("error"))
    check(words in json.dumps(error), f"{words!r} is not in {error}")
    w.target.hostile.rules = {}
    check_equal(w.car.status()["slots"], slots, "what is installed")
    w.target.is_at_peace()


def dropped_requests(w):
    w.car.set(**rig.DRIVING)
    w.order_function("adaptive-cruise")  # it waits: so there is something for which the Image repository is asked
    w.target.is_at_peace()
    with step("drop-request: the time alone, and each role of both repositories alone that the car asks for every time"):
        for path in (r"/v1/vehicle/time\?.*", role_path("director", "root"), role_path("director", "timestamp"),
                     role_path("image", "root"), role_path("image", "timestamp")):
            withheld(w, path, hang_up)
    with step("drop-request: a new snapshot and new targets of each repository alone, and it has them afterwards"):
        news = {"image": lambda name: w.publish(name, 100), "director": w.order_function}
        for repository in news:
            for role, name in (("snapshot", "parking-pilot"), ("targets", "trailer-assist")):
                w.target.stop()
                news[repository](name)
                withheld(w, role_path(repository, role), hang_up)
                honest = part_of(w.thief.documents(repository)["targets"])["version"]
                check_equal(w.target.version(repository, "targets"), honest, "version of the targets that came")
    with step("drop-request: the report alone; the server sees that the last one is old, and gets the next"):
        for what in (hang_up, with_status(503)):
            w.target.stop()
            w.target.hostile.rules = {"/v1/vehicle/manifest": what}
            before = w.r.operator("car", "show", VIN)["report"]
            asked = len(w.target.hostile.manifests)
            w.car.start_agent()
            wait_until("the car has reported in vain", lambda: len(w.target.hostile.manifests) > asked)
            check_equal(w.r.operator("car", "show", VIN)["report"]["counter"], before["counter"], "the last report that came")
            w.target.hostile.rules = {}
            wait_until("the report comes", lambda: w.r.operator("car", "show", VIN)["report"]["counter"] > before["counter"])
            w.target.is_at_peace()
    with step("drop-request: a car that is cut off says so, keeps what it has, and comes back by itself"):
        for what in (hang_up, with_status(404), with_status(503)):
            received = w.r.operator("car", "show", VIN)["report"]["received"]
            withheld(w, r"/v1/(vehicle|repositories)/.*", what)
            check(w.r.operator("car", "show", VIN)["report"]["received"] >= received, "an older report is there")


def fresh_order(w, regions):
    order = w.anna("order", "map", VIN, *regions)["id"]
    return order


def spoiled(handler, forward):
    answer = forward()
    if answer.status in (200, 206):
        answer.body = bytes([answer.body[0] ^ 1]) + answer.body[1:]
    return answer


def payloads(w):
    def order_state(order):
        return next((o["state"] for o in w.car.status()["orders"] if o["id"] == order), None)

    def strike(error, rule):
        w.target.strike(w.thief, error, {PAYLOADS: rule})
        check(order_state(order) in ("offered", "downloading"), f"the order is {order_state(order)}")

    order = fresh_order(w, ["IT", "FR"])
    maps = {region: w.car.live_map(region) for region in ("IT", "FR")}
    with step("drop-request: the payload alone; the car says that it waits for a connection"):
        w.target.stop()
        w.target.hostile.rules = {PAYLOADS: hang_up}
        w.car.start_agent()
        wait_until("it waits for a connection", lambda: "connection" in (w.car.order(order) or {}).get("waitingFor", []))
        check("error" not in w.car.status()["poll"], "the rest goes on")
    with step("arbitrary software: changed bytes of a payload's head and of its chunks are refused before anything is made of them"):
        strike("wrong-chunk", spoiled)
        strike("wrong-chunk", of_chunks(spoiled))
    with step("endless data: the head of a payload and its chunks; without a length, with a false one, in chunks of HTTP"):
        strike("endless-data", endless)
        strike("endless-data", of_chunks(endless_chunked))
        strike("endless-data", of_chunks(endless_with_length))
    with step("partial bundle: with one of two images held back, neither becomes visible"):
        seen = []

        def half(handler, forward):
            if handler.path not in seen:
                seen.append(handler.path)
            return forward() if handler.path == seen[0] else Answer(status=503)
        w.target.stop()
        w.target.hostile.rules = {PAYLOADS: half}
        w.car.start_agent()
        wait_until("one image came, the other is asked for in vain", lambda: len(seen) >= 2, 60)
        w.car.exit_and_lock()
        time.sleep(4 * rig.PATIENCE)
        check(order_state(order) in ("offered", "downloading"), order_state(order))
        for region, path in maps.items():
            check(rig.same_tree(path, w.r.region(rig.OLD_MAP, region)), f"the map of {region} has changed")
        check(w.r.order_state(w.anna, order) not in ("active", "downloaded"), "the server believes more than was reported")
    with step("the attack is over: both become visible together"):
        w.target.stop()
        w.target.hostile.rules = {}
        w.car.start_agent()
        w.car.wait_for_active(w.anna, [order], 120)
        for region, path in maps.items():
            check(rig.same_tree(path, w.r.region(rig.NEW_MAP, region)), f"the map of {region} is not the new one")


def reports(w):
    with step("replayed manifest: an earlier report, well signed, moves nothing on the server"):
        old = w.target.hostile.manifests[0]
        before = w.r.operator("car", "show", VIN)["report"]["counter"]
        answer = w.target.hostile.exchange("POST", "/v1/vehicle/manifest", old, {"Content-Type": "application/json"})
        check_equal(answer.status, 409, "status")
        check(b'"replay"' in answer.body, f"{answer.body}")
        check(w.r.operator("car", "show", VIN)["report"]["counter"] >= before, "the counter went back")
    with step("replayed manifest: another car's report, over this car's connection"):
        answer = w.target.hostile.exchange("POST", "/v1/vehicle/manifest", old, {"Content-Type": "application/json"},
                                           state=w.other.state)
        check_equal(answer.status, 422, "status")
        check(b"bad-manifest" in answer.body, f"{answer.body}")


def test(r):
    w = World(r)
    endless_data(w)
    payloads(w)
    dropped_requests(w)
    reports(w)


if __name__ == "__main__":
    sys.exit(rig.main(test, ROOT_KEYS))
