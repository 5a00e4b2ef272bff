#!/usr/bin/env python3
"""Bytes that never end or never come, parts that are held back, reports that are sent again."""
import sys
import time

import rig
from attacked_car import VIN, World
from hostile import DIRECTOR, FOLDERS, Answer, endless, hang_up, stalled, with_status
from rig import check, check_equal, step, wait_until

PAYLOADS = r"/v1/payloads/[0-9a-f]{64}"


def endless_data(w):
    with step("endless data: each kind of metadata, and the time"):
        for repository, folder in FOLDERS.items():
            w.mount("endless-data", {folder + r"2\.root\.json": endless})
            w.mount("endless-data", {folder + r"timestamp\.json": endless})
            rules = w.thief.forge(repository, {"snapshot": lambda part: None})
            w.mount("endless-data", {**rules, next(p for p in rules if "snapshot" in p): endless})
        w.mount("endless-data", {r"/v1/vehicle/time\?.*": endless})


def slow_retrieval(w):
    with step("slow retrieval: a timestamp whose body stalls"):
        begun = time.monotonic()
        w.mount("slow-retrieval", {DIRECTOR + r"timestamp\.json": stalled})
        check(time.monotonic() - begun < 90 * rig.PATIENCE, "it took longer than any deadline")


def fresh_order(w, regions):
    order = w.anna("order", "map", VIN, *regions)["id"]
    return order


def payloads(w):
    def order_state(order):
        return next((o["state"] for o in w.car.status()["orders"] if o["id"] == order), None)

    def under(rule, order):
        w.target.stop()
        w.target.hostile.rules = {PAYLOADS: rule}
        w.car.start_agent()

    def spoiled(handler, forward):
        answer = forward()
        if answer.status in (200, 206):
            answer.body = bytes([answer.body[0] ^ 1]) + answer.body[1:]
        return answer

    order = fresh_order(w, ["IT", "FR"])
    maps = {region: w.car.live_map(region) for region in ("IT", "FR")}
    with step("arbitrary software: changed bytes of a payload are refused before anything is made of them"):
        under(spoiled, order)
        kinds = ("wrong-chunk", "bad-payload", "mix-and-match", "wrong-image")

        def named():  # not what an earlier step may have left there
            kind = (w.target.attack() or "").split(":")[0]
            return kind if kind in kinds else None
        w.target.is_told(wait_until("the car names it", named, 60))
        check(order_state(order) != "downloaded", "the order counts as downloaded")
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


def dropped_requests(w):
    with step("drop-request: a car that is cut off says so, keeps what it has, and comes back by itself"):
        for what in (hang_up, with_status(404), with_status(503)):
            w.target.save()
            slots = w.car.status()["slots"]
            w.target.hostile.rules = {r"/v1/(vehicle|repositories)/.*": what}
            received = w.r.operator("car", "show", VIN)["report"]["received"]
            w.car.start_agent()
            wait_until("the car says so", lambda: "error" in w.car.status()["poll"])
            check_equal(w.car.status()["slots"], slots, "what is installed")
            check_equal(w.r.operator("car", "show", VIN)["report"]["received"], received, "the last report that came")
            w.target.hostile.rules = {}
            w.target.stop()
            w.car.start_agent()
            w.target.is_at_peace()


def test(r):
    w = World(r)
    endless_data(w)
    slow_retrieval(w)
    reports(w)
    dropped_requests(w)
    payloads(w)


if __name__ == "__main__":
    sys.exit(rig.main(test))
