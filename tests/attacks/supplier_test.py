#!/usr/bin/env python3
"""A supplier whose key was stolen, by a thief who has everything that is online too. The operator's offline targets have
delegated some paths, for some hardware, to the supplier's role: nothing else of it reaches a car, and nothing at all once
the operator has taken it back."""
import copy
import os
import re
import sys

import rig
from attacked_car import World
from hostile import IMAGE, endless, entry, part_of, sign, with_body, with_status
from privilege_test import forged_image
from rig import check, check_equal, step, wait_until
from tuf_repository import Key, utc

ROLE, IMAGE_NAME = "supplier-de", "maps/DE/9.9.9.tar"
ROLE_FILES = re.escape(IMAGE) + r"\d+\." + ROLE + r"\.json"


class Supplier:
    def __init__(self, w):
        self.w, self.key = w, Key()
        self.operator = w.stolen_offline("image-targets")
        listed = part_of(w.second["image"]["targets"])["targets"]
        self.image = {**copy.deepcopy(listed[f"maps/DE/{rig.NEW_MAP}.tar"]), **forged_image()}

    def role(self, version, *keys):
        part = {"_type": "targets", "spec_version": "1.0.34", "version": version, "expires": utc(30),
                "targets": {IMAGE_NAME: self.image}}
        return sign(part, *(keys or (self.key,)))

    def delegation(self, paths, hardware=None, key=None):
        key = key or self.key
        limits = {"hardwareIds": hardware} if hardware else {}
        return {"keys": {key.keyid: key.public},
                "roles": [{"name": ROLE, "keyids": [key.keyid], "threshold": 1, "terminating": True, "paths": paths, **limits}]}

    def rules(self, delegations, named, served=None, length=None):
        """The Director orders the supplier's image; the operator's targets have these delegations; the snapshot names the
        role `named`, by another `length` where one is given, and `served` is what comes."""
        def delegating(part):
            part["version"] += 1000  # nothing that the operator has published
            part.pop("delegations", None)
            if delegations:
                part["delegations"] = delegations

        def listing(part):
            part["meta"][ROLE + ".json"] = {**entry(part_of(named)["version"], named), "length": length or len(named)}

        def ordering(part):
            image = next(iter(part["targets"].values()))
            image["custom"]["payloads"] = []
            part["targets"] = {IMAGE_NAME: {**image, "length": self.image["length"], "hashes": self.image["hashes"]}}
            order = part["custom"]["orders"][0]
            order.update(id=order["id"][:-4] + "0000", images=[IMAGE_NAME])
            part["custom"]["orders"] = [order]
        thief = self.w.thief
        return {**thief.forge("director", {"targets": ordering}),
                **thief.forge("image", {"targets": delegating, "snapshot": listing}, {"targets": [self.operator]}),
                ROLE_FILES: with_body(served or named)}

    def mount(self, error, rules, words=""):
        self.w.mount(error, rules, words, restore="the operator's offline key has signed targets that the server does not have")

    def asked(self):
        return sum(bool(re.fullmatch(ROLE_FILES, path)) for path in self.w.target.hostile.asked)


def limits(w, supplier):
    refused = "repositories-disagree"
    with step("supplier: an image outside its paths"):
        for paths in (["maps/AT/*"], ["maps/*"], ["software/*/*", "functions/*/*"]):
            supplier.mount(refused, supplier.rules(supplier.delegation(paths), supplier.role(1)), "its path is delegated to nobody")
    with step("supplier: an image for hardware that was not delegated to it"):
        rules = supplier.rules(supplier.delegation(["maps/DE/*"], ["gw-1", "brake-2"]), supplier.role(1))
        supplier.mount(refused, rules, "its path is delegated, but for other hardware")
    with step("supplier: a delegation that the operator has taken back, while its role is still published"):
        supplier.mount(refused, supplier.rules(None, supplier.role(1)), "nobody else may speak")
    with step("supplier: of a role that may not speak of the image a car does not even ask"):
        check_equal(supplier.asked(), 0, "requests for the role")


def keys_and_files(w, supplier):
    good = supplier.delegation(["maps/DE/*"], [rig.HARDWARE])
    with step("supplier: another key in its place; what the old one signs is signed by nobody"):
        supplier.mount("bad-signature", supplier.rules(supplier.delegation(["maps/DE/*"], key=Key()), supplier.role(1)))
        supplier.mount("bad-signature", supplier.rules(good, supplier.role(1, *w.thief.keys.values())))
    with step("supplier: the role of before under the snapshot of now, and a role that expired"):
        supplier.mount("mix-and-match", supplier.rules(good, supplier.role(2), supplier.role(1)))
        expired = part_of(supplier.role(1))
        expired["expires"] = utc(-1)
        supplier.mount("freeze", supplier.rules(good, sign(expired, supplier.key)))


def no_file(w, supplier):
    good = supplier.delegation(["maps/DE/*"], [rig.HARDWARE])
    with step("supplier: a role that is held back, while those above it come, is told when it is missing again"):
        supplier.mount("not-found", {**supplier.rules(good, supplier.role(1)), ROLE_FILES: with_status(404)}, ROLE + ".json")
    with step("supplier: a role of more bytes than a car reads is not even asked for"):
        before = supplier.asked()
        supplier.mount("too-large", supplier.rules(good, supplier.role(1), length=(5 << 20) + 1), "its parent says 5242881 bytes")
        check_equal(supplier.asked(), before, "requests for the role")
    with step("supplier: a role of more bytes than the snapshot says"):
        supplier.mount("endless-data", {**supplier.rules(good, supplier.role(1)), ROLE_FILES: endless})


def within_limits(w, supplier):
    with step("supplier: within its paths and its hardware it is believed, and a role that is kept is not asked for again"):
        w.target.stop()
        before = supplier.asked()
        w.target.hostile.rules = supplier.rules(supplier.delegation(["maps/DE/*"], [rig.HARDWARE]), supplier.role(1))
        w.car.start_agent()
        wait_until("the car has the offer", lambda: any(o["id"].endswith("0000") for o in w.car.status()["orders"]))
        check_equal(w.target.attack(), "", "attack")
        check_equal(supplier.asked(), before + 1, "requests for the role")
        check(os.path.exists(w.target.trust("image", "delegated", ROLE + ".json")), "the role is not kept")
        w.target.stop()
        polls = len(w.target.hostile.asked)
        w.car.start_agent()
        wait_until("the car has looked again",
                   lambda: any(path == IMAGE + "timestamp.json" for path in w.target.hostile.asked[polls:]))
        w.target.is_at_peace()
        check_equal(supplier.asked(), before + 1, "requests for the role")


def test(r):
    w = World(r)
    supplier = Supplier(w)
    limits(w, supplier)
    keys_and_files(w, supplier)
    no_file(w, supplier)
    within_limits(w, supplier)


if __name__ == "__main__":
    sys.exit(rig.main(test))
