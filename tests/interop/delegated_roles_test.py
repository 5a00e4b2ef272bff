#!/usr/bin/env python3
"""Suppliers in the real server's Image repository, as tuf-js and layby-tuf see them: delegated roles are followed by their paths,
altered ones are refused, and nobody speaks of what was not delegated to him."""
import re
import sys

import rig
from hostile import StolenKey, Thief, entry, part_of, sign, with_body, with_status
from image_world import World, file_of, one_byte_of_what_is_signed
from npm_packages import install
from rig import check, check_equal, step

ACME, BELOW, OTHER = "acme", "acme-france", "other"
IT, IT_NEW, FR, FR_NEW, NL = (f"maps/{region}/{version}.tar" for region, version in (
    ("IT", rig.OLD_MAP), ("IT", rig.NEW_MAP), ("FR", rig.OLD_MAP), ("FR", rig.NEW_MAP), ("NL", rig.OLD_MAP)))


class Supplier:
    """Signs the targets of a role with a key of his own. `delegator`: whose targets say so."""

    def __init__(self, w, role, delegator="targets"):
        self.w, self.role, self.delegator = w, role, delegator
        self.take_key(role)

    def take_key(self, name):
        self.key, self.public = self.w.offline.new_key(name)

    def let(self, *paths):
        """The delegation to him, as options."""
        return ("--role", self.role, "--key", self.public, "--hardware", rig.HARDWARE,
                *(text for path in paths for text in ("--path", path)))

    def publish_map(self, version, region, counter):
        self.w.r.publish([self.w.r.map_image(version, region, counter)], self.key, self.role)

    def publish_draft(self, draft):
        self.w.offline("targets", "sign", draft, "--delegator", self.w.saved(self.delegator), "--role", self.role, "--key",
                       self.key, "--passphrase-file", self.w.offline.passphrase)
        return self.w.r.operator("targets", "publish", draft, "--role", self.role)["version"]

    def renew(self, days):
        draft = self.w.draft()
        self.w.offline("targets", "renew", self.w.saved(self.role), "-o", draft, "--expires-days", str(days))
        return self.publish_draft(draft)


class Market(World):
    """The operator, who delegates, and suppliers."""

    def __init__(self, r):
        super().__init__(r)
        self.acme, self.other = Supplier(self, ACME), Supplier(self, OTHER)
        self.below = Supplier(self, BELOW, ACME)

    def stolen(self, key_file):
        with open(self.offline.passphrase, "rb") as stream:
            return StolenKey(key_file, stream.read().strip())

    def delegate(self, targets, *delegations):
        """A draft of these targets with delegations in this order."""
        for delegation in delegations:
            draft = self.draft()
            self.offline("targets", "delegate", targets, "-o", draft, *delegation)
            targets = draft
        return targets

    def let_acme(self):
        return self.acme.let("maps/IT/*", "maps/FR/*")


def suppliers(w):
    """Two suppliers, one of whom delegates on. What both clients have after that."""
    r = w.r
    with step("two suppliers are delegated to, one of them delegates on, and each publishes an image"):
        w.publish_draft(w.delegate(w.saved("targets"), w.let_acme(), w.other.let("maps/*/*")))
        first = w.draft()
        w.offline("targets", "init", "-o", first)
        w.acme.publish_draft(w.delegate(first, w.below.let("maps/FR/*")))
        w.acme.publish_map(rig.OLD_MAP, "IT", 1)
        w.below.publish_map(rig.OLD_MAP, "FR", 1)
        w.other.publish_map(rig.OLD_MAP, "NL", 1)
    with step("images are found through delegations, also through two of them, and have equal bytes"):
        pair = w.clients((ACME, BELOW, OTHER))
        versions = pair.takes(r.server.url, IT, FR, NL)
        check_equal([versions.get(role) for role in (ACME, BELOW, OTHER)], [2, 1, 1], "versions of the delegated roles")
        true = {name: w.image(name) for name in (IT, FR, NL)}
        for client in pair.clients:
            check(client.downloaded() == true, f"images of {client.name}")
    return pair


def altered(w, pair):
    """The suppliers publish again, and each of the two documents of a chain is altered."""
    before = w.present()
    late = pair.copy()
    w.acme.publish_map(rig.NEW_MAP, "IT", 2)
    w.below.publish_map(rig.NEW_MAP, "FR", 2)
    versions = {role: part_of(w.present()[role])["version"] for role in (ACME, BELOW)}
    with step("the suppliers publish again: found by clients that have the older roles"):
        check_equal(pair.takes(w.r.server.url, IT_NEW, FR_NEW)[BELOW], 2, "version of the role below")
    for role, name in ((ACME, IT_NEW), (ACME, FR_NEW), (BELOW, FR_NEW)):
        for what, code, rule in (("one byte of what is signed", "mix-and-match", one_byte_of_what_is_signed),
                                 ("the older one in its place", "mix-and-match", with_body(before[role])),
                                 ("not there", "not-found", with_status(404))):
            with step(f"{role}, on the way to {name}: {what}"):
                w.survives(late, code, role, {file_of(role, versions[role]): rule}, name)
    path, body = w.image_path(IT_NEW), w.image(IT_NEW)
    for what, code, rule in (("one byte", "wrong-image", with_body(body[:-1] + bytes([body[-1] ^ 1]))),
                             ("a byte short", "wrong-image", with_body(body[:-1])),
                             ("a byte longer", "endless-data", with_body(body + b"\0"))):
        with step(f"a supplier's image: {what}"):
            w.survives(late, code, None, {re.escape(path): rule}, IT_NEW)


def expired(w, pair):
    with step("a supplier's targets, expired under a snapshot that is not"):
        w.acme.renew(2)
        late = pair.copy()
        late.refuses("freeze", ACME, w.altered({}), IT_NEW, days=3)
        late.refuses("freeze", ACME, w.altered({}), FR_NEW, days=3)
        w.acme.renew(30)
        late.takes(w.r.server.url, IT_NEW, FR_NEW, days=3)
        pair.takes(w.r.server.url, IT_NEW, FR_NEW)


def paths(w, pair):
    with step("the server publishes nothing of a supplier outside of his paths"):
        stray = [w.r.map_image(rig.NEW_MAP, "NL", 2)]
        w.r.operator.refused("forbidden", *w.r.publication(stray, w.acme.key, ACME))
    with step("an image that no role lists on its path is not found"):
        pair.refuses("not-found", None, w.r.server.url, "maps/IT/9.9.9.tar")
        pair.refuses("not-found", None, w.r.server.url, "software/hu-4/1.0.img")
    thief = Thief(w.hostile)

    def forged(supplier, name, target):
        """Rules that show the role with one target more, by the supplier's key and the stolen online ones."""
        part = part_of(w.present()[supplier.role])
        part["version"] += 1
        part["targets"][name] = target
        document = sign(part, w.stolen(supplier.key))
        rules = thief.forge("image", {"snapshot": lambda snapshot: snapshot["meta"].update(
            {f"{supplier.role}.json": entry(part["version"], document)})})
        return {**rules, file_of(supplier.role, part["version"]): with_body(document)}
    with step("a supplier with stolen online keys, outside of his paths: nobody believes him"):
        absent = "maps/DE/1.0.tar"
        rules = forged(w.acme, absent, w.listed(IT))
        pair.copy().refuses("not-found", None, w.altered(rules), absent, signed=[r(None, None).body for r in rules.values()])
    with step("a supplier with stolen online keys, on the paths of one who comes first: the first one has the word"):
        rules = forged(w.other, IT_NEW, w.listed(NL))
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
        w.acme.take_key("acme-2")
        w.publish_draft(w.delegate(w.saved("targets"), w.let_acme()))
        late.refuses("bad-signature", ACME, w.altered({}), IT_NEW)
        w.clients((ACME, BELOW, OTHER)).refuses("bad-signature", ACME, w.altered({}), FR_NEW)
    with step("he signs with the new one, and is believed again"):
        w.acme.renew(30)
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
