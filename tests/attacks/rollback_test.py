#!/usr/bin/env python3
"""What is older, or too old: metadata and images that the car had before, and what was kept from it until it expired. As in
metadata_test.py, over the wire on the real agent."""
import json
import sys

import rig
from attacked_car import ROOT_KEYS, World
from hostile import DIRECTOR, FOLDERS, IMAGE, ROLES, part_of, sign, with_body, with_status
from rig import check, step, wait_until
from terms_test import DAY
from tuf_repository import utc

NL_OLD = f"maps/NL/{rig.OLD_MAP}.tar"


def setting(role, **fields):
    """An edit that sets fields of a role."""
    return {role: lambda part: part.update(fields)}


def older_targets(w, repository):
    """As the repository signed them, and older than what the car trusts."""
    version = w.target.version(repository, "targets") - 1
    older = w.first["director"]["targets"] if repository == "director" else w.target.hostile.fetch(f"{IMAGE}{version}.targets.json")
    check(part_of(older)["version"] <= version, "they are not older")
    return {"targets": older}


def rollbacks(w):
    with step("rollback: root 1 as root 2"):
        for repository, folder in FOLDERS.items():
            with open(w.r.server.provision(f"{repository}-root.json"), "rb") as stream:
                w.mount("rollback", {folder + r"2\.root\.json": with_body(stream.read())})
    with step("rollback: older targets of each repository, as they were signed, under a newer snapshot and timestamp"):
        for repository in FOLDERS:
            w.mount("rollback", w.thief.over(repository, older_targets(w, repository)), "targets.json goes from version")
    with step("rollback: an older timestamp of each repository"):
        for repository, folder in FOLDERS.items():
            w.mount("rollback", {folder + r"timestamp\.json": with_body(w.first[repository]["timestamp"])}, "timestamp: version")
    with step("rollback: a newer timestamp that names an older snapshot"):
        for repository in FOLDERS:
            def older(part):
                part["meta"]["snapshot.json"]["version"] = w.target.version(repository, "snapshot") - 1
            w.mount("rollback", w.thief.forge(repository, {"timestamp": older}), "names snapshot")
    with step("rollback: a newer snapshot that names older targets, or leaves an entry out"):
        for repository in FOLDERS:
            def older(part):
                part["meta"]["targets.json"]["version"] = w.target.version(repository, "targets") - 1
            w.mount("rollback", w.thief.forge(repository, {"snapshot": older}), "targets.json goes from version")
            w.mount("bad-format", w.thief.forge(repository, {"snapshot": lambda part: part["meta"].clear()}))
    with step("rollback: targets of an older version under a newer snapshot"):
        w.mount("mix-and-match", w.thief.forge("director", {"targets": lambda part: sign(
            {**part, "version": 1}, w.thief.keys["director-targets"])}))
    with step("image rollback: stolen Director keys offer an older image that the Image repository still lists"):
        def older(part):
            image = part["targets"].pop(f"maps/DE/{rig.NEW_MAP}.tar")
            listed = part_of(w.thief.documents("image")["targets"])["targets"][NL_OLD]
            image.update(length=listed["length"], hashes=listed["hashes"])
            image["custom"].update(mustMatch=listed["custom"]["mustMatch"])
            part["targets"][NL_OLD] = image
            for order in part["custom"]["orders"]:
                order["images"] = [NL_OLD]
        w.mount("image-rollback", w.thief.forge("director", {"targets": older}))
    with step("rollback: older targets of each repository to a car that has just dropped its snapshot and timestamp, since their keys were stolen"):
        for repository in FOLDERS:
            w.rotate(f"{repository}-snapshot", f"{repository}-timestamp")
            w.mount("rollback", w.thief.over(repository, older_targets(w, repository)), "is trusted already")
    with step("rollback: with all that is left of it in the car, new roots alone bring it back"):
        w.take_back()


def freezes(w):
    with step("freeze: a failure is not the end of the root chain"):
        w.target.stop()
        w.target.hostile.rules = {DIRECTOR + r"\d+\.root\.json": with_status(500)}
        w.car.start_agent()
        wait_until("the car says so", lambda: "answered 500" in json.dumps(w.car.status()["poll"]))
        w.target.hostile.rules = {}
        w.target.is_at_peace()
    with step("freeze: each role of both repositories, signed anew with a date that is past"):
        for repository in FOLDERS:
            for role in ROLES:
                if w.thief.signs(repository, role):
                    w.mount("freeze", w.thief.forge(repository, setting(role, expires=utc(-1))), role)
        w.take_back()
    with step("freeze: the car is shown nothing new for a month, and targets of the Image repository run out sooner"):
        w.publish("short-lived", 20)
        w.target.is_at_peace()
        wait_until("the car has them", lambda: not is_behind(w, "image"))
        w.has_downloaded()  # an order that is not yet there when its window ends, after 28 days, is taken back
        kept = {repository: w.thief.documents(repository) for repository in FOLDERS}
        w.target.stop()
        w.r.operator("simulation", "advance", "--seconds", str(29 * DAY))
        w.publish("long-lived", 365)
    for repository in ("director", "image"):
        with step(f"freeze: the timestamp, snapshot and targets that were kept from before, expired by the car's time ({repository})"):
            frozen = kept[repository]
            w.target.strike(w.thief, "freeze", w.thief.over(repository, frozen), "timestamp")
            w.target.strike(w.thief, "freeze", w.thief.over(repository, {k: frozen[k] for k in ("snapshot", "targets")}), "snapshot")
            w.mount("freeze", w.thief.over(repository, {"targets": frozen["targets"]}), "targets")
    with step("freeze: it is over, and the car takes what it has missed"):
        w.take_back()
        wait_until("nothing is kept from it", lambda: not any(is_behind(w, repository) for repository in FOLDERS))


def is_behind(w, repository):
    honest = w.thief.documents(repository)
    return any(w.target.version(repository, role) < part_of(honest[role])["version"] for role in ROLES)


def test(r):
    w = World(r)
    rollbacks(w)
    freezes(w)
    with step("after all of it the car does its work: the order becomes active"):
        w.becomes_active()


if __name__ == "__main__":
    sys.exit(rig.main(test, ROOT_KEYS))
