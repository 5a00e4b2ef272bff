"""A real laybyd with people who publish, clients of both kinds, and a proxy between them that alters what it is told to."""
import os
import re

from ceremony_test import Offline
from clients import IMAGE, IMAGES, Pair
from hostile import Hostile, part_of
from rig import check


class World:
    """A server with operators, somebody in its way, and clients."""

    def __init__(self, r):
        self.r, self.offline = r, Offline(r)
        self.ca = r.server.provision("ca.pem")
        self.hostile = Hostile(r.server, os.path.join(r.directory, "nobody"))
        self.root = r.server.provision("image-root.json")  # the one that clients are given
        self.pairs = os.path.join(r.directory, "clients")
        os.mkdir(self.pairs)

    def metadata(self, role, version):
        return self.hostile.fetch(IMAGE + ("timestamp.json" if role == "timestamp" else f"{version}.{role}.json"))

    def clients(self, delegated=()):
        directory = os.path.join(self.pairs, str(len(os.listdir(self.pairs))))
        return Pair.fresh(directory, self.metadata, self.root, self.ca, delegated)

    def present(self):
        """Role -> the document that is published now; without roots."""
        found = {"timestamp": self.metadata("timestamp", 0)}
        for parent in ("timestamp", "snapshot"):
            for file, entry in part_of(found[parent])["meta"].items():
                role = file.removesuffix(".json")
                found[role] = self.metadata(role, entry["version"])
        return found

    def listed(self, name):
        """What the repository says of an image, whichever role does."""
        parts = [part_of(document) for document in self.present().values()]
        return next(part["targets"][name] for part in parts if name in part.get("targets", {}))

    def image_path(self, name):
        folder, _, file = name.rpartition("/")
        return f"{IMAGES}{folder}/{self.listed(name)['hashes']['sha256']}.{file}"

    def image(self, name):
        return self.hostile.fetch(self.image_path(name))

    def publish_map(self, version, region, counter):
        self.r.publish([self.r.map_image(version, region, counter)])

    def saved(self, role):
        """The file of what a role says now."""
        path = self.offline.path(f"present-{role}.json")
        with open(path, "wb") as out:
            out.write(self.present()[role])
        return path

    def draft(self):
        return self.offline.path(f"draft-{len(os.listdir(self.offline.home))}.json")

    def publish_draft(self, draft):
        """Top-level targets, signed offline; their version."""
        self.offline("targets", "sign", draft, "--root", self.offline.roots["image"], "--key",
                     self.r.server.offline("image-targets.key"), "--passphrase-file", self.offline.passphrase)
        return self.r.operator("targets", "publish", draft)["version"]

    def renew_targets(self, days):
        """The same targets with another end; the new version."""
        draft = self.draft()
        self.offline("targets", "renew", self.saved("targets"), "-o", draft, "--expires-days", str(days))
        return self.publish_draft(draft)

    def altered(self, rules):
        self.hostile.rules = rules
        return self.hostile.url

    def survives(self, pair, code, role, rules, *names):
        """Clients that have come as far as `pair` refuse this, and go on once it is over."""
        shown = pair.copy()
        shown.refuses(code, role, self.altered(rules), *names)
        shown.takes(self.altered({}), *names)


def one_byte_of_what_is_signed(handler, forward):
    """The last digit of the year in which it ends."""
    answer = forward()
    head, mark, tail = answer.body.partition(b'"expires":"')
    check(mark and answer.body.count(mark) == 1, "a document without one end")
    answer.body = head + mark + tail[:3] + (b"8" if tail[3:4] != b"8" else b"9") + tail[4:]
    return answer


def file_of(role, version):
    """The pattern of its path."""
    return re.escape(IMAGE + ("timestamp.json" if role == "timestamp" else f"{version}.{role}.json"))
