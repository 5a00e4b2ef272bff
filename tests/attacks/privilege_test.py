#!/usr/bin/env python3
"""A thief who has everything that is online: the server's certificate, all online keys and their passphrase, the car's
connection. What he can reach in a car at worst is to withhold, and to offer what the offline targets key signed."""
import copy
import hashlib
import os
import sys

import rig
from attacked_car import ROOT_KEYS, World
from hostile import FOLDERS, hang_up, part_of, sign, with_body
from rig import check, check_equal, step, wait_until


def forged_image():
    data = b"software of the thief"
    hashes = {"sha256": hashlib.sha256(data).hexdigest(), "sha512": hashlib.sha512(data).hexdigest()}
    return {"length": len(data), "hashes": hashes}


def all_online_keys(w):
    with step("the thief has each key that lies on the server, and no other"):
        folder = os.path.join(w.r.server.data, "keys")
        there = sorted(name[:-4] for name in os.listdir(folder) if name.endswith(".key"))
        check_equal(there, sorted([*w.thief.keys, "audit"]), "keys on the server")


def own_software(w):
    facts = forged_image()
    with step("privilege: his own bytes under a listed image's name are what the Image repository does not have"):
        def swap(part):
            next(iter(part["targets"].values())).update(facts)
        w.mount("repositories-disagree", w.thief.forge("director", {"targets": swap}))
    with step("privilege: an image under a new name is none that the Image repository has"):
        def added(part):
            old, image = next(iter(part["targets"].items()))
            part["targets"] = {"maps/DE/9.9.9.tar": {**image, **facts}}
            for order in part["custom"]["orders"]:
                order["images"] = ["maps/DE/9.9.9.tar"]
        forged = w.thief.forge("director", {"targets": added})
        w.mount("repositories-disagree", forged)
    with step("privilege: the Image repository's targets signed by every online key are signed by nobody"):
        def listed(part):
            part["targets"]["maps/DE/9.9.9.tar"] = {**copy.deepcopy(part["targets"][f"maps/DE/{rig.NEW_MAP}.tar"]), **facts}
        for key in w.thief.keys.values():
            w.mount("bad-signature", {**forged, **w.thief.forge("image", {"targets": listed}, {"targets": [key]})})
    with step("privilege: nor do all online keys together make a root"):
        for repository, folder in FOLDERS.items():
            with open(w.r.server.provision(f"{repository}-root.json"), "rb") as stream:
                part = part_of(stream.read())
            part["version"] += 1
            part["roles"]["root"] = {"keyids": [w.thief.keys["licence"].keyid], "threshold": 1}
            part["keys"][w.thief.keys["licence"].keyid] = w.thief.keys["licence"].public
            w.mount("bad-signature", {folder + r"2\.root\.json": with_body(sign(part, *w.thief.keys.values()))})


def conditions_and_counters(w):
    with step("privilege: he changes no condition, threshold or counter that the image was signed with"):
        for field, value in (("batteryPercentMin", 0), ("releaseCounter", 99), ("durationSeconds", 1), ("slot", "map.FR")):
            def eased(part):
                next(iter(part["targets"].values()))["custom"]["mustMatch"][field] = value
            w.mount("repositories-disagree", w.thief.forge("director", {"targets": eased}))
    with step("privilege: nothing older than what is installed"):
        def older(part):
            listed = part_of(w.second["image"]["targets"])["targets"]
            image = part["targets"].pop(f"maps/DE/{rig.NEW_MAP}.tar")
            name = f"maps/NL/{rig.OLD_MAP}.tar"
            image.update(length=listed[name]["length"], hashes=listed[name]["hashes"])
            image["custom"]["mustMatch"] = listed[name]["custom"]["mustMatch"]
            part["targets"][name] = image
            for order in part["custom"]["orders"]:
                order["images"] = [name]
        w.mount("image-rollback", w.thief.forge("director", {"targets": older}))


def what_is_left_to_him(w):
    with step("privilege: at worst he withholds"):
        slots = w.car.status()["slots"]
        w.target.stop()
        w.target.hostile.rules = {r"/v1/.*": hang_up}
        w.car.start_agent()
        wait_until("the car says so", lambda: "error" in w.car.status()["poll"])
        check_equal(w.car.status()["slots"], slots, "what is installed")
        w.target.hostile.rules = {}
        w.target.is_at_peace()
    with step("privilege: at worst he offers what the offline key signed: the owner ordered DE, the car is offered IT"):
        listed = part_of(w.second["image"]["targets"])["targets"]
        fresh = f"maps/IT/{rig.NEW_MAP}.tar"

        def offered(part):
            old, image = next(iter(part["targets"].items()))
            image.update(length=listed[fresh]["length"], hashes=listed[fresh]["hashes"])
            image["custom"]["mustMatch"] = listed[fresh]["custom"]["mustMatch"]
            image["custom"]["payloads"] = []
            part["targets"] = {fresh: image}
            order = part["custom"]["orders"][0]
            order.update(id=order["id"][:-4] + "0000", images=[fresh])
            part["custom"]["orders"] = [order]
        w.target.stop()
        w.target.hostile.rules = w.thief.forge("director", {"targets": offered})
        w.car.start_agent()
        wait_until("the car has the offer", lambda: any(o["id"].endswith("0000") for o in w.car.status()["orders"]))
        check_equal(w.target.attack(), "", "attack")
        check(rig.same_tree(w.car.live_map("IT"), w.r.region(rig.OLD_MAP, "IT")), "the map has changed")
        w.target.hostile.rules = {}
    with step("privilege: with the next roots he is out: the offer is gone, and what the owner ordered becomes active"):
        w.take_back()
        wait_until("the offer is gone", lambda: not any(o["id"].endswith("0000") for o in w.car.status()["orders"]))
        w.becomes_active()


def test(r):
    w = World(r)
    all_online_keys(w)
    own_software(w)
    conditions_and_counters(w)
    w.take_back()
    what_is_left_to_him(w)


if __name__ == "__main__":
    sys.exit(rig.main(test, ROOT_KEYS))
