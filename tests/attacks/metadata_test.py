#!/usr/bin/env python3
"""Metadata that a car must not believe, served by somebody who has the server's certificate and all its online keys.

Each step mounts one attack on the real agent, and checks that the agent names it, that the server is told, that nothing
that is installed has changed, and that the car goes on once the attack is over. docs/attacks.md refers to these texts."""
import copy
import json
import os
import sys

import rig
from attacked_car import OTHER_VIN, World
from hostile import DIRECTOR, FOLDERS, ROLES, Answer, part_of, sign, with_body, with_status
from rig import check, step, wait_until
from tuf_repository import Key, utc

NL_OLD = f"maps/NL/{rig.OLD_MAP}.tar"
NL_NEW = f"maps/NL/{rig.NEW_MAP}.tar"


def setting(role, **fields):
    """An edit that sets fields of a role."""
    return {role: lambda part: part.update(fields)}


def custom_of(part, image):
    return part["targets"][image]["custom"]


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
    with step("arbitrary software: a changed byte of what is signed"):
        for repository, folder in FOLDERS.items():
            document = w.thief.documents(repository)["timestamp"].replace(b'"expires":"2', b'"expires":"3', 1)
            w.mount("bad-signature", {folder + "timestamp.json": with_body(document)})


def rollbacks(w):
    with step("rollback: an older timestamp of each repository"):
        for repository, folder in FOLDERS.items():
            older = dict(w.second[repository])
            rules = w.thief.forge(repository, setting("timestamp"))
            w.target.save()
            w.target.hostile.rules = rules  # the car takes a newer one, well signed
            w.car.start_agent()
            wait_until("the newer timestamp is trusted", lambda: w.target.version(repository, "timestamp") > 1000)
            w.target.stop()
            w.target.hostile.rules = {folder + "timestamp.json": with_body(older["timestamp"])}
            w.car.start_agent()
            w.target.names("rollback")
            w.target.is_told("rollback")
            w.target.hostile.rules = {}
            w.target.stop()
            w.target.restore()
            w.car.start_agent()
            w.target.is_at_peace()
    with step("rollback: a newer timestamp that names an older snapshot"):
        for repository in FOLDERS:
            def older(part):
                part["meta"]["snapshot.json"]["version"] -= 1
            w.mount("rollback", w.thief.forge(repository, {"timestamp": older}))
    with step("rollback: a newer snapshot that names older targets, or leaves an entry out"):
        for repository in FOLDERS:
            def older(part):
                part["meta"]["targets.json"]["version"] -= 1
            w.mount("rollback", w.thief.forge(repository, {"snapshot": older}))
            w.mount("bad-format", w.thief.forge(repository, {"snapshot": lambda part: part["meta"].clear()}))
    with step("rollback: targets of an older version under a newer snapshot"):
        w.mount("mix-and-match", w.thief.forge("director", {"targets": lambda part: sign(
            {**part, "version": 1}, w.thief.keys["director-targets"])}))
    with step("rollback: root 1 as root 2"):
        for repository, folder in FOLDERS.items():
            with open(w.r.server.provision(f"{repository}-root.json"), "rb") as stream:
                w.mount("rollback", {folder + r"2\.root\.json": with_body(stream.read())})
    with step("image rollback: stolen Director keys offer an older image that the Image repository still lists"):
        def older(part):
            image = part["targets"].pop(f"maps/DE/{rig.NEW_MAP}.tar")
            listed = part_of(w.second["image"]["targets"])["targets"][NL_OLD]
            image.update(length=listed["length"], hashes=listed["hashes"])
            image["custom"].update(mustMatch=listed["custom"]["mustMatch"])
            part["targets"][NL_OLD] = image
            for order in part["custom"]["orders"]:
                order["images"] = [NL_OLD]
        w.mount("image-rollback", w.thief.forge("director", {"targets": older}))


def freezes(w):
    with step("freeze: each role of both repositories, expired"):
        for repository in FOLDERS:
            for role in ROLES:
                if (repository, role) != ("image", "targets"):
                    w.mount("freeze", w.thief.forge(repository, setting(role, expires=utc(-1))))
    with step("freeze: a failure is not the end of the root chain"):
        w.target.save()
        w.target.hostile.rules = {DIRECTOR + r"2\.root\.json": with_status(500)}
        w.car.start_agent()
        wait_until("the car says so", lambda: "answered 500" in json.dumps(w.car.status()["poll"]))
        w.target.hostile.rules = {}
        w.target.restore()
        w.car.start_agent()
        w.target.is_at_peace()


def mixtures(w):
    with step("mix-and-match: another snapshot, other targets than the parent names"):
        for repository, folder in FOLDERS.items():
            snapshot = w.thief.documents(repository)["snapshot"]
            key = [w.thief.keys[f"{repository}-snapshot"]]
            part = part_of(snapshot)
            part["expires"] = utc(20)
            rules = w.thief.forge(repository, setting("timestamp"))
            rules[next(p for p in rules if "snapshot" in p)] = with_body(sign(part, *key))
            w.target.save()
            # A car that has nothing of that snapshot yet.
            w.target.stop()
            for role in ("snapshot", "targets"):
                os.remove(w.target.trust(repository, role + ".json"))
            w.target.hostile.rules = rules
            w.car.start_agent()
            w.target.names("mix-and-match")
            w.target.is_told("mix-and-match")
            w.target.hostile.rules = {}
            w.target.restore()
            w.car.start_agent()
            w.target.is_at_peace()
    with step("mix-and-match: the same version of targets with other content"):
        def same_version(part):
            part["version"] = part_of(w.thief.documents("director")["targets"])["version"]
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
                order["images"] = [stale, fresh]
        w.mount("wrong-ecu", w.thief.forge("director", {"targets": both}))
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
    with step("another car's empty metadata, and its valid metadata, as the server signed them"):
        def of_other():
            def rule(handler, forward):
                return Answer(w.target.hostile.fetch(handler.path, w.other.state))
            return {DIRECTOR + r"(timestamp|\d+\.snapshot|\d+\.targets)\.json": rule}

        def shown():
            w.target.save()
            for role in ROLES:  # else the other car's versions would be older ones
                os.remove(w.target.trust("director", role + ".json"))
            w.target.hostile.rules = of_other()
            w.car.start_agent()
            w.target.names("wrong-vehicle")
            w.target.is_told("wrong-vehicle")
            w.target.hostile.rules = {}
            w.target.restore()
            w.car.start_agent()
            w.target.is_at_peace()
        shown()
        w.anna("order", "map", OTHER_VIN, "FR")
        check(part_of(w.thief.documents("director", w.other.state)["targets"])["targets"], "the other car is offered a map")
        shown()


def test(r):
    w = World(r)
    arbitrary_software(w)
    rollbacks(w)
    freezes(w)
    mixtures(w)
    wrong_software(w)


if __name__ == "__main__":
    sys.exit(rig.main(test))
