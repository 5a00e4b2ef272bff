#!/usr/bin/env python3
"""Metadata that a car must not believe, served by somebody who has the server's certificate and all its online keys.

Each step mounts one attack on the real agent, and checks that the agent names it, that the server is told, that nothing
that is installed has changed, and that the car goes on once the attack is over. docs/attacks.md refers to these texts."""
import copy
import re
import sys

import rig
from attacked_car import OTHER_VIN, ROOT_KEYS, VIN, World
from hostile import DIRECTOR, FOLDERS, ROLES, Answer, part_of, sign, with_body
from rig import check, check_equal, step, wait_until
from tuf_repository import Key, utc

NL_NEW = f"maps/NL/{rig.NEW_MAP}.tar"


def changed(document):
    """One byte of what is signed; it is a document all the same."""
    other = re.sub(rb'("(?:expires|time)":")2', rb"\g<1>3", document, count=1)
    check(other != document, f"nothing was changed in {document}")
    return other


def arbitrary_software(w):
    stranger = Key()
    with step("arbitrary software: targets of a stranger's key, bound by stolen snapshot and timestamp keys"):
        for repository in FOLDERS:
            w.mount("bad-signature", w.thief.forge(repository, {}, {"targets": [stranger]}))
    with step("arbitrary software: each role signed by a stranger"):
        for repository in FOLDERS:
            for role in ("snapshot", "timestamp"):
                w.mount("bad-signature", w.thief.forge(repository, {}, {role: [stranger]}))
    with step("arbitrary software: an image that the Image repository does not have"):
        def swap(part):
            for image in part["targets"].values():
                image["hashes"] = {"sha256": "ab" * 32, "sha512": "ab" * 64}
        w.mount("repositories-disagree", w.thief.forge("director", {"targets": swap}))


def changed_bytes(w):
    with step("arbitrary software: without any key, a changed byte of a snapshot and of targets that are new to the car"):
        news = {"director": lambda region: w.anna("order", "map", VIN, region), "image": lambda name: w.publish(name, 100)}
        for repository, folder in FOLDERS.items():
            for role, name in (("snapshot", "FR"), ("targets", "IT")):
                w.target.stop()
                news[repository](name)
                w.mount("mix-and-match", {folder + rf"\d+\.{role}\.json": lambda handler, forward: Answer(changed(forward().body))},
                        role)
    with step("arbitrary software: a changed byte in the next root of each repository"):
        for repository in FOLDERS:
            root = sign(w.next_root(repository), *w.root_keys(repository)[:2])
            w.mount("bad-signature", w.serving_root(repository, changed(root)), "root")
    with step("arbitrary software: a changed byte of each role of both repositories, its parents signed anew, and of the time"):
        for repository in FOLDERS:
            present = w.thief.documents(repository)
            for role in ROLES:
                w.mount("bad-signature", w.thief.over(repository, {role: changed(present[role])}), role)
        w.mount("bad-signature", {r"/v1/vehicle/time\?.*": lambda handler, forward: Answer(changed(forward().body))}, "time")


def mixtures(w):
    with step("mix-and-match: another snapshot, other targets than the parent names"):
        for repository in FOLDERS:
            part = part_of(w.thief.documents(repository)["snapshot"])
            part["expires"] = utc(20)
            rules = w.thief.forge(repository, {})
            rules[next(p for p in rules if "snapshot" in p)] = with_body(sign(part, w.thief.keys[f"{repository}-snapshot"]))
            w.mount("mix-and-match", rules, "snapshot")
            honest = w.thief.documents(repository)["targets"]
            other = w.thief.forge("director", {}) if repository == "director" else w.thief.over("image", {
                "targets": honest.replace(b'"', b' "', 1)})
            w.mount("mix-and-match", {**other, re.escape(FOLDERS[repository]) + r"\d+\.targets\.json": with_body(honest)}, "targets")
    with step("mix-and-match: the same version of targets with other content"):
        def same_version(part):
            part["version"] = w.target.version("director", "targets")
            part["expires"] = utc(3)
        w.mount("mix-and-match", w.thief.forge("director", {"targets": same_version}))
    with step("mixed bundle: two releases of one slot in one answer"):
        def both(part):
            listed = part_of(w.second["image"]["targets"])["targets"]
            fresh = f"maps/DE/{rig.NEW_MAP}.tar"
            stale = f"maps/DE/{rig.OLD_MAP}.tar"
            part["targets"][stale] = copy.deepcopy(part["targets"][fresh])
            part["targets"][stale].update(length=listed[stale]["length"], hashes=listed[stale]["hashes"])
            part["targets"][stale]["custom"]["mustMatch"] = listed[stale]["custom"]["mustMatch"]
            for order in part["custom"]["orders"]:
                if fresh in order["images"]:
                    order["images"] = [stale, fresh]
        w.mount("wrong-ecu", w.thief.forge("director", {"targets": both}))
    with step("mixed bundle: an image of one order in another's as well, or instead of its own"):
        def in_both(part):
            one, other = part["custom"]["orders"][:2]
            one["images"] += other["images"]
        w.mount("bad-format", w.thief.forge("director", {"targets": in_both}), "ordered twice")

        def instead(part):
            one, other = part["custom"]["orders"][:2]
            one["images"], part["custom"]["orders"] = other["images"], [one]
        w.mount("bad-format", w.thief.forge("director", {"targets": instead}), "belongs to no order")
    with step("mixed bundle: half of one order put into another with the Director's keys is an offer, whole or not at all"):
        offered = {}

        def mixed(part):
            one, other = part["custom"]["orders"][:2]
            one["images"] += other["images"]
            part["custom"]["orders"].remove(other)
            offered.update(one)
        slots = w.car.status()["slots"]
        w.target.stop()
        w.target.hostile.rules = w.target.as_before(w.thief, w.thief.forge("director", {"targets": mixed}))
        w.car.start_agent()

        def has_all():
            order = w.car.order(offered["id"]) or {}
            complete = {p["image"] for p in order.get("payloads", []) if p.get("chunksVerified", 0) == p.get("chunkCount")}
            return order.get("state") == "downloaded" and complete == set(offered["images"])
        wait_until(lambda: f"the order holds both: {w.car.status()['orders']}", has_all)
        check_equal(w.car.status()["slots"], slots, "what is installed")
        for region in ("DE", "FR", "IT"):
            check(rig.same_tree(w.car.live_map(region), w.r.region(rig.OLD_MAP, region)), f"the map of {region} has changed")
        w.target.hostile.rules = {}
        w.target.goes_on(w.thief)
    with step("extraneous dependency: an image that no order of this car asked for"):
        def more(part):
            part["targets"][NL_NEW] = copy.deepcopy(next(iter(part["targets"].values())))
            listed = part_of(w.second["image"]["targets"])["targets"][NL_NEW]
            part["targets"][NL_NEW].update(length=listed["length"], hashes=listed["hashes"])
            part["targets"][NL_NEW]["custom"]["mustMatch"] = listed["custom"]["mustMatch"]
        w.mount("bad-format", w.thief.forge("director", {"targets": more}))


def wrong_software(w):
    with step("wrong software: for an ECU that this car does not have, or with other hardware"):
        def ecus(value):
            def edit(part):
                for image in part["targets"].values():
                    image["custom"]["ecuIdentifiers"] = value
            return w.thief.forge("director", {"targets": edit})
        w.mount("wrong-ecu", ecus({"HU-999999": {"hardwareId": rig.HARDWARE}}))
        w.mount("wrong-ecu", ecus({w.car.ecu: {"hardwareId": "hu-9"}}))
    with step("wrong software: for another VIN, or for none"):
        def vin(value):
            return w.thief.forge("director", {"targets": lambda part: part["custom"].update(vin=value)})
        w.mount("wrong-vehicle", vin(OTHER_VIN))
        w.mount("wrong-vehicle", w.thief.forge("director", {"targets": lambda part: part.pop("custom") and None}))
    with step("another car's empty metadata, as the server signed it"):
        def of_other():
            def rule(handler, forward):
                return Answer(w.target.hostile.fetch(handler.path, w.other.state))
            return {DIRECTOR + r"(timestamp|\d+\.snapshot|\d+\.targets)\.json": rule}
        w.take_back()
        w.rotate(*[f"director-{role}" for role in ROLES])  # a car that has dropped what it had
        w.mount("wrong-vehicle", of_other())
    with step("another car's metadata whose versions are higher: refused before any of it counts"):
        def versions(state):
            return [part_of(document)["version"] for document in w.thief.documents("director", state).values()]
        while not all(a > b for a, b in zip(versions(w.other.state), versions(w.car.state))):
            order = w.order_function("adaptive-cruise", OTHER_VIN)
            w.thief.documents("director", w.other.state)
            w.anna("order", "cancel", order)
        w.anna("order", "map", OTHER_VIN, "FR")
        check(part_of(w.thief.documents("director", w.other.state)["targets"])["targets"], "the other car is offered a map")
        w.mount("wrong-vehicle", of_other())
        check_equal(w.target.run_up(w.thief), [], "what is newer in the car")


def test(r):
    w = World(r)
    changed_bytes(w)
    arbitrary_software(w)
    mixtures(w)
    wrong_software(w)
    with step("with all that these attacks have left in the car, the order becomes active"):
        w.becomes_active()


if __name__ == "__main__":
    sys.exit(rig.main(test, ROOT_KEYS))
