#!/usr/bin/env python3
"""Suppliers in the real server's Image repository, as tuf-js and layby-tuf see them: delegated roles are followed by their paths,
altered ones are refused, and nobody speaks of what was not delegated to him."""
import json
import re
import sys

import rig
from hostile import StolenKey, Thief, entry, part_of, sign, with_body, with_status
from image_world import World, file_of, one_byte_of_what_is_signed
from npm_packages import install
from rig import check, check_equal, step
from tuf_repository import Key, utc

ACME, BELOW, OTHER = "acme", "acme-france", "other"
IT, IT_NEW, FR, FR_NEW, NL = (f"maps/{region}/{version}.tar" for region, version in (
    ("IT", rig.OLD_MAP), ("IT", rig.NEW_MAP), ("FR", rig.OLD_MAP), ("FR", rig.NEW_MAP), ("NL", rig.OLD_MAP)))


class Supplier:
    """Signs the targets of a role with a key of his own."""

    def __init__(self, w, role):
        self.w, self.role, self.key = w, role, Key()
        self.part = {"_type": "targets", "spec_version": "1.0.31", "version": 0, "expires": utc(30), "targets": {}}

    def list(self, *names):
        self.part["targets"] = {name: self.w.listed(name) for name in names}

    def delegate(self, *others):
        delegate(self.part, *others)

    def publish(self):
        """The next version; its document."""
        self.part["version"] += 1
        document = sign(self.part, self.key)
        status, answer = self.w.put(f"/v1/repositories/image/delegated/{self.role}", document)
        check_equal(status, 200, f"targets of {self.role}: {answer}")
        return document


def delegate(part, *given):
    """`given`: supplier and paths, in order of priority."""
    part["delegations"] = {
        "keys": {supplier.key.keyid: supplier.key.public for supplier, _ in given},
        "roles": [{"name": supplier.role, "keyids": [supplier.key.keyid], "threshold": 1, "terminating": False, "paths": paths,
                   "hardwareIds": [rig.HARDWARE]} for supplier, paths in given]}


class Market(World):
    """The operator, who delegates, and suppliers."""

    def __init__(self, r):
        super().__init__(r)
        with open(r.server.offline("passphrase"), "rb") as stream:
            self.key = StolenKey(r.server.offline("image-targets.key"), stream.read().strip())
        self.acme, self.below, self.other = (Supplier(self, role) for role in (ACME, BELOW, OTHER))

    def put(self, path, document):
        with open(self.r.operator.token_file, encoding="ascii") as stream:
            headers = {"Authorization": f"Bearer {stream.read().strip()}", "Content-Type": "application/json"}
        answer = self.hostile.exchange("PUT", path, document, headers)
        return answer.status, json.loads(answer.body)

    def publish_top(self, edit):
        part = part_of(self.present()["targets"])
        edit(part)
        part["version"] += 1
        status, answer = self.put("/v1/repositories/image/targets", sign(part, self.key))
        check_equal(status, 200, f"top-level targets: {answer}")

    def give_away(self, *names):
        """From here on only suppliers speak of these."""
        self.publish_top(lambda part: [part["targets"].pop(name) for name in names])


def suppliers(w):
    """Two suppliers, one of whom delegates on. What both clients have after that."""
    r = w.r
    with step("two suppliers are delegated to, one of them delegates on; the operator stops to speak of their images"):
        r.publish([r.map_image(rig.OLD_MAP, region, 1) for region in ("IT", "FR", "NL")])
        w.publish_top(lambda part: delegate(part, (w.acme, ["maps/IT/*", "maps/FR/*"]), (w.other, ["maps/*/*"])))
        w.acme.list(IT)
        w.acme.delegate((w.below, ["maps/FR/*"]))
        w.acme.publish()
        w.below.list(FR)
        w.below.publish()
        w.other.list(NL)
        w.other.publish()
        true = {name: w.image(name) for name in (IT, FR, NL)}
        w.give_away(IT, FR, NL)
    with step("images are found through delegations, also through two of them, and have equal bytes"):
        pair = w.clients((ACME, BELOW, OTHER))
        versions = pair.takes(r.server.url, IT, FR, NL)
        check_equal([versions.get(role) for role in (ACME, BELOW, OTHER)], [1, 1, 1], "versions of the delegated roles")
        for client in pair.clients:
            check(client.downloaded() == true, f"images of {client.name}")
    return pair


def altered(w, pair):
    """The suppliers publish again, and each of the two documents of a chain is altered."""
    r, before = w.r, w.present()
    late = pair.copy()
    r.publish([r.map_image(rig.NEW_MAP, region, 2) for region in ("IT", "FR")])
    w.acme.list(IT, IT_NEW)
    w.acme.publish()
    w.below.list(FR, FR_NEW)
    w.below.publish()
    w.give_away(IT_NEW, FR_NEW)
    with step("the suppliers publish again: found by clients that have the older roles"):
        check_equal(pair.takes(r.server.url, IT_NEW, FR_NEW)[BELOW], 2, "version of the role below")
    for role, name in ((ACME, IT_NEW), (ACME, FR_NEW), (BELOW, FR_NEW)):
        for what, code, rule in (("one byte of what is signed", "mix-and-match", one_byte_of_what_is_signed),
                                 ("the older one in its place", "mix-and-match", with_body(before[role])),
                                 ("not there", "not-found", with_status(404))):
            with step(f"{role}, on the way to {name}: {what}"):
                w.survives(late, code, role, {file_of(role, 2): rule}, name)
    path, body = w.image_path(IT_NEW), w.image(IT_NEW)
    for what, code, rule in (("one byte", "wrong-image", with_body(body[:-1] + bytes([body[-1] ^ 1]))),
                             ("a byte short", "wrong-image", with_body(body[:-1])),
                             ("a byte longer", "endless-data", with_body(body + b"\0"))):
        with step(f"a supplier's image: {what}"):
            w.survives(late, code, None, {re.escape(path): rule}, IT_NEW)


def expired(w, pair):
    with step("a supplier's targets, expired under a snapshot that is not"):
        w.acme.part["expires"] = utc(2)
        w.acme.publish()
        late = pair.copy()
        late.refuses("freeze", ACME, w.altered({}), IT_NEW, days=3)
        late.refuses("freeze", ACME, w.altered({}), FR_NEW, days=3)
        w.acme.part["expires"] = utc(30)
        w.acme.publish()
        late.takes(w.r.server.url, IT_NEW, FR_NEW, days=3)
        pair.takes(w.r.server.url, IT_NEW, FR_NEW)


def paths(w, pair):
    with step("the server publishes nothing of a supplier outside of his paths"):
        listed = dict(w.acme.part["targets"])
        stray = {**w.acme.part, "version": w.acme.part["version"] + 1, "targets": {**listed, NL: w.listed(NL)}}
        status, problem = w.put(f"/v1/repositories/image/delegated/{ACME}", sign(stray, w.acme.key))
        check_equal((status, problem["code"]), (403, "forbidden"), "the answer")
    with step("an image that no role lists on its path is not found"):
        pair.refuses("not-found", None, w.r.server.url, "maps/IT/9.9.9.tar")
        pair.refuses("not-found", None, w.r.server.url, "software/hu-4/1.0.img")
    thief = Thief(w.hostile)

    def forged(supplier, targets):
        """Rules that show this role with these targets, by the supplier's key and the stolen online ones."""
        part = {**supplier.part, "version": supplier.part["version"] + 1, "targets": targets}
        document = sign(part, supplier.key)
        rules = thief.forge("image", {"snapshot": lambda snapshot: snapshot["meta"].update(
            {f"{supplier.role}.json": entry(part["version"], document)})})
        return {**rules, file_of(supplier.role, part["version"]): with_body(document)}
    with step("a supplier with stolen online keys, outside of his paths: nobody believes him"):
        absent = "maps/DE/1.0.tar"
        rules = forged(w.acme, {**listed, absent: w.listed(IT)})
        pair.copy().refuses("not-found", None, w.altered(rules), absent, signed=[r(None, None).body for r in rules.values()])
    with step("a supplier with stolen online keys, on the paths of one who comes first: the first one has the word"):
        rules = forged(w.other, {IT_NEW: w.listed(NL)})
        fresh = w.clients((ACME, BELOW, OTHER))
        fresh.takes(w.altered(rules), IT_NEW)
        for client in fresh.clients:
            check(client.downloaded() == {IT_NEW: w.image(IT_NEW)}, f"images of {client.name}")
    with step("an older role, or none any more, under a newer snapshot with stolen keys"):
        def older(part):
            part["meta"][f"{ACME}.json"]["version"] -= 1

        def gone(part):
            del part["meta"][f"{ACME}.json"]
        for edit in (older, gone):
            rules = thief.forge("image", {"snapshot": edit})
            pair.copy().refuses("rollback", "snapshot", w.altered(rules), IT_NEW,
                                signed=[r(None, None).body for r in rules.values()])


def other_key(w, pair):
    with step("a supplier's key is taken away: what it signed is not believed, also by who has it stored"):
        late = pair.copy()
        w.acme.key = Key()
        w.publish_top(lambda part: delegate(part, (w.acme, ["maps/IT/*", "maps/FR/*"]), (w.other, ["maps/*/*"])))
        late.refuses("bad-signature", ACME, w.altered({}), IT_NEW)
        w.clients((ACME, BELOW, OTHER)).refuses("bad-signature", ACME, w.altered({}), FR_NEW)
    with step("he signs with the new one, and is believed again"):
        w.acme.publish()
        late.takes(w.r.server.url, IT_NEW, FR_NEW)


def test(r):
    w = Market(r)
    pair = suppliers(w)
    altered(w, pair)
    expired(w, pair)
    paths(w, pair)
    other_key(w, pair)


if __name__ == "__main__":
    install()
    sys.exit(rig.main(test))
