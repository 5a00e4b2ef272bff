#!/usr/bin/env python3
"""The real server's Image repository, as an independent client of TUF sees it: tuf-js, and beside it layby-tuf.

A real laybyd is filled by the real command line and its offline ceremony; between it and the clients stands a proxy that alters
one thing at a time. Both clients must refuse, for the same reason, and keep what they had.
"""
import os
import re
import sys

import rig
from ceremony_test import key_id, make_online_keys
from clients import Pair
from hostile import Thief, part_of, with_body, with_status
from image_world import World, file_of, one_byte_of_what_is_signed
from npm_packages import install
from rig import check, check_equal, step
from tuf_repository import utc

DE_OLD, DE_NEW, FR_NEW = (f"maps/{region}/{version}.tar" for region, version in
                          (("DE", rig.OLD_MAP), ("DE", rig.NEW_MAP), ("FR", rig.NEW_MAP)))


def first_trust(w, pair):
    with step("a fresh client comes from the root that it was given to an empty repository"):
        check_equal(pair.takes(w.r.server.url), {"root": 1, "timestamp": 1, "snapshot": 1, "targets": 1}, "trusted versions")
    with step("a client that does not know the server's authority gets nothing"):
        stranger = Pair.fresh(os.path.join(w.pairs, "strangers"), w.metadata, w.root, None)
        stranger.refuses("unavailable", "root", w.r.server.url)


def publications(w, pair):
    with step("published: a map is found at the path with its hash, and downloaded with equal bytes"):
        w.publish_map(rig.OLD_MAP, "DE", 1)
        check_equal(pair.takes(w.r.server.url, DE_OLD)["targets"], 2, "version of targets")
        for client in pair.clients:
            check(client.downloaded()[DE_OLD] == w.image(DE_OLD), f"{client.name} has other bytes")
    with step("published again: the second refresh finds the new targets, a fresh client as well"):
        w.r.publish([{"kind": "function", "id": "trailer-assist", "version": "1.0", "hardware": [rig.HARDWARE],
                      "release_counter": 1, "path": w.r.package("trailer-assist", 5_000, 1), "duration_seconds": 30}])
        check_equal(pair.takes(w.r.server.url)["targets"], 3, "version of targets")
        w.clients().takes(w.r.server.url, DE_OLD)
    with step("an image that no targets list is refused, and so is one that is not for everybody"):
        pair.refuses("not-found", None, w.r.server.url, "maps/DE/9.9.9.tar")
        pair.refuses("not-found", None, w.r.server.url, DE_NEW)
        pair.refuses("unavailable", None, w.r.server.url, next(
            name for name in part_of(w.present()["targets"])["targets"] if "trailer-assist" in name))


def roots(w, pair):
    """`pair` trusts root 1; afterwards the repository is at root 3, and so is `pair`."""
    offline = w.offline
    with step("the server publishes root 2, with another timestamp key, which ends soon"):
        made = make_online_keys(w.r, offline, ["image-timestamp"])
        old = key_id(offline.roots["image"], "timestamp")
        version = offline.change("image", ("rotate", "--role", "timestamp", "--old", old, "--new", made["image-timestamp"],
                                           "--expires-days", "3"))
        check_equal(version, 2, "version")
    with open(w.root, "rb") as stream:
        first = stream.read()
    for what, code, role, rule in (
            ("one byte of what is signed", "bad-signature", "root", one_byte_of_what_is_signed),
            ("root 1 in its place", "rollback", "root", with_body(first)),
            ("withheld: the timestamp is of a key that nobody knows", "bad-signature", "timestamp", with_status(404)),
            ("an error of the server is not the end of the chain", "unavailable", "root", with_status(500))):
        with step(f"root 2: {what}"):
            w.survives(pair, code, role, {file_of("root", 2): rule})
    with step("root 2: expired, it is the last one"):
        pair.copy().refuses("freeze", "timestamp", w.altered({}), days=4)
    with step("both follow to root 2"):
        check_equal(pair.takes(w.r.server.url)["root"], 2, "trusted root")
    with step("both follow to root 3, and a fresh client all the way, past the root that ends soon"):
        check_equal(offline.change("image", ("renew",)), 3, "version")
        check_equal(pair.takes(w.r.server.url)["root"], 3, "trusted root")
        w.clients().takes(w.r.server.url, DE_OLD, days=4)


def metadata(w, pair):
    """Each role altered, for clients that come from the publication before."""
    before = w.present()
    late = pair.copy()
    w.publish_map(rig.NEW_MAP, "DE", 2)
    w.publish_map(rig.NEW_MAP, "FR", 2)
    after = w.present()
    versions = {role: part_of(document)["version"] for role, document in after.items()}

    def refused(code, role, rule):
        w.survives(late, code, role, {file_of(role, versions[role]): rule}, DE_NEW)

    # What comes at the path of a version is not that version: its parent's hash says so before anybody looks at signatures.
    for role, code in (("timestamp", "bad-signature"), ("snapshot", "mix-and-match"), ("targets", "mix-and-match")):
        with step(f"{role}: one byte of what is signed"):
            refused(code, role, one_byte_of_what_is_signed)
        with step(f"{role}: not there"):
            refused("not-found", role, with_status(404))
    for role in ("snapshot", "targets"):
        with step(f"{role}: an older one in the place of the new one"):
            refused("mix-and-match", role, with_body(before[role]))
    check_equal(pair.takes(w.r.server.url, DE_NEW)["targets"], versions["targets"], "version of targets")
    with step("timestamp: an older one, for who has seen a newer one"):
        w.survives(pair, "rollback", "timestamp", {file_of("timestamp", 0): with_body(before["timestamp"])}, DE_NEW)
    with step("timestamp: expired"):
        pair.copy().refuses("freeze", "timestamp", w.altered({}), days=8)
    return late


def stolen_online_keys(w, pair):
    """What only somebody with the server's online keys can show."""
    check_equal(w.r.server.process.stop(), 0, "exit status of laybyd")
    w.r.server.start()  # now the timestamp key that was rotated in has its place among the files
    thief = Thief(w.hostile)

    def shown(code, role, edits, days=None):
        rules = thief.forge("image", edits)
        signed = [rule(None, None).body for rule in rules.values()]
        pair.copy().refuses(code, role, w.altered(rules), DE_NEW, days=days, signed=signed)

    def older(role):
        version = part_of(w.present()[role])["version"] - 1
        return lambda part: part["meta"][f"{role}.json"].update(version=version)
    with step("a newer timestamp that names an older snapshot"):
        shown("rollback", "timestamp", {"timestamp": older("snapshot")})
    with step("a newer snapshot that names older targets"):
        shown("rollback", "snapshot", {"snapshot": older("targets")})
    with step("snapshot: expired, under a timestamp that is not"):
        shown("freeze", "snapshot", {"timestamp": lambda part: part.update(expires=utc(60))}, days=29)


def expired_targets(w, pair):
    with step("targets: expired, under timestamp and snapshot that are not"):
        late = pair.copy()
        version = w.renew_targets(2)
        late.refuses("freeze", "targets", w.altered({}), DE_NEW, days=3)
    with step("renewed targets: both go on, days later too"):
        check_equal(w.renew_targets(365), version + 1, "version")
        check_equal(late.takes(w.r.server.url, DE_NEW, days=3)["targets"], version + 1, "version of targets")
        pair.takes(w.r.server.url)


def images(w, late):
    """`late` has the old map, and downloads the new one."""
    path, body = w.image_path(DE_NEW), w.image(DE_NEW)
    middle = len(body) // 2
    other = w.image(FR_NEW)[:len(body)].ljust(len(body), b"\0")
    for what, code, rule in (
            ("one byte", "wrong-image", with_body(body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1:])),
            ("a byte short", "wrong-image", with_body(body[:-1])),
            ("a byte longer", "endless-data", with_body(body + b"\0")),
            ("nothing", "wrong-image", with_body(b"")),
            ("another image of that length", "wrong-image", with_body(other)),
            ("not there", "not-found", with_status(404))):
        with step(f"an image: {what}"):
            w.survives(late, code, None, {re.escape(path): rule}, DE_NEW)
    with step("untouched it is taken, and the older one is still there"):
        late.takes(w.altered({}), DE_NEW)
        for client in late.clients:
            check(client.downloaded() == {DE_OLD: w.image(DE_OLD), DE_NEW: body}, f"images of {client.name}")


def test(r):
    w = World(r)
    pair = w.clients()
    first_trust(w, pair)
    publications(w, pair)
    roots(w, pair)
    late = metadata(w, pair)
    stolen_online_keys(w, pair)
    expired_targets(w, pair)
    images(w, late)


if __name__ == "__main__":
    install()
    sys.exit(rig.main(test, ("--root-keys", "3", "--root-threshold", "2")))
