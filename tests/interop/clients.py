"""tuf-js and layby-tuf as two clients that see the same, go through the same, and must say the same."""
import os
import re
import shutil
import subprocess
import urllib.parse

import rig
from hostile import IMAGE, part_of
from npm_packages import node
from rig import check, check_equal
from tuf_repository import PROGRAM, some_days_later

IMAGES = "/v1/repositories/image/targets/"
ORDER = ("root", "timestamp", "snapshot", "targets")

# What both call by their own names: the code of layby-tuf, and what tuf-js says of it.
WORDS = {
    "bad-signature": r"was signed by \d/\d keys",
    "rollback": r"BadVersionError|is less than current version|Missing file \S+ in new snapshot",
    "mix-and-match": r"LengthOrHashMismatchError|Expected (hash|length) \w+ but got",
    "wrong-image": r"LengthOrHashMismatchError: Expected (hash|length) \w+ but got",
    "endless-data": r"Max length reached",
    "freeze": r"is expired",
    "not-found": r"Failed to download( \(404\))?$|: not found$",
    "unavailable": r"Failed to download|fetch failed",
}


class Client:
    """One client with its metadata and what it has downloaded."""

    def __init__(self, home, ca):
        self.home, self.ca = home, ca
        self.metadata, self.targets = (os.path.join(home, name) for name in ("metadata", "targets"))

    def begin(self, root):
        os.makedirs(self.metadata)
        os.makedirs(self.targets)
        shutil.copyfile(root, os.path.join(self.metadata, "root.json"))

    def copy(self, home):
        shutil.copytree(self.home, home)
        return type(self)(home, self.ca)

    def trusted(self):
        """File -> its bytes."""
        return self.files(self.metadata)

    def downloaded(self):
        return self.files(self.targets)

    @staticmethod
    def files(directory):
        found = {}
        for name in sorted(os.listdir(directory)):
            with open(os.path.join(directory, name), "rb") as stream:
                found[urllib.parse.unquote(name)] = stream.read()
        return found

    def versions(self):
        return {name.removesuffix(".json"): part_of(data)["version"] for name, data in self.trusted().items()}


class TufJs(Client):
    name = "tuf-js"

    def run(self, url, names, days):
        """The exit status, and what it said."""
        options, environment = (), {"NODE_EXTRA_CA_CERTS": self.ca or ""}
        if days is not None:
            options = ("--require", os.path.join(rig.SOURCE, "tests", "interop", "shifted_clock.cjs"))
            environment["LAYBY_SHIFT_DAYS"] = str(days)
        done = node("tuf_js_client.mjs", self.metadata, url + IMAGE, self.targets, url + IMAGES, *names, options=options,
                    environment=environment)
        check(done.returncode in (0, 1), f"tuf-js: exit status {done.returncode}: {done.stderr}")
        return done.returncode, done.stderr.strip()


class LaybyTuf(Client):
    name = "layby-tuf"

    def run(self, url, names, days):
        command = [PROGRAM, "--metadata-dir", self.metadata, "--metadata-url", url + IMAGE]
        if self.ca:
            command += ["--ca", self.ca]
        for name in names:
            command += ["--target-name", name]
        command += ["--target-dir", self.targets, "--target-base-url", url + IMAGES, "download"] if names else ["refresh"]
        command, environment = some_days_later(command, days)
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)
        check(done.returncode in (0, 1), f"layby-tuf: exit status {done.returncode}: {done.stderr}")
        return done.returncode, done.stderr.strip()


class Pair:
    """Both clients, with the same past. `published(role, version)` fetches a document as it truly is; `order` is that in which
    clients come to the roles."""

    def __init__(self, directory, published, clients, order):
        self.directory, self.published, self.clients, self.order = directory, published, clients, order

    @classmethod
    def fresh(cls, directory, published, root, ca, delegated=()):
        clients = [kind(os.path.join(directory, "0", kind.name), ca) for kind in (TufJs, LaybyTuf)]
        for client in clients:
            client.begin(root)
        return cls(directory, published, clients, (*ORDER, *delegated))

    def copy(self):
        """Two more that have come as far as these."""
        home = os.path.join(self.directory, str(len(os.listdir(self.directory))))
        clients = [client.copy(os.path.join(home, client.name)) for client in self.clients]
        return Pair(self.directory, self.published, clients, self.order)

    def takes(self, url, *names, days=None):
        """Both refresh and download; afterwards they trust the same, and have the same."""
        for client in self.clients:
            status, said = client.run(url, names, days)
            check_equal(status, 0, f"{client.name}, of {names}: {said}")
        one, other = self.clients
        check(one.trusted() == other.trusted(), f"tuf-js trusts {one.versions()}, layby-tuf {other.versions()}")
        check(one.downloaded() == other.downloaded(), "they have downloaded different things")
        return one.versions()

    def refuses(self, code, role, url, *names, days=None, signed=()):
        """Both refuse, for this reason. What they had stays, but for roles before `role` (None: all of them), which may be new:
        then they are what was published, or the documents `signed`."""
        for client in self.clients:
            trusted, downloaded = client.trusted(), client.downloaded()
            status, said = client.run(url, names, days)
            check_equal(status, 1, f"{client.name} does not see {code}")
            words = f"^layby-tuf: {code}: " if isinstance(client, LaybyTuf) else WORDS[code]
            check(re.search(words, said), f"{client.name} refuses, but not for {code}: {said}")
            check(client.downloaded() == downloaded, f"images of {client.name} have changed")
            self.check_kept(client, role, trusted, signed)

    def check_kept(self, client, role, before, signed):
        after = client.trusted()
        for name in sorted({*before, *after}):
            holder = name.removesuffix(".json")
            if after.get(name) == before.get(name):
                continue
            if name not in after:  # a new root may disown these
                check(holder in ("timestamp", "snapshot") and after["root.json"] != before["root.json"],
                      f"{client.name} has lost {holder}")
                continue
            check(role is None or self.order.index(holder) < self.order.index(role),
                  f"{client.name} has changed what it trusts of {holder}")
            check(after[name] in signed or after[name] == self.published(holder, part_of(after[name])["version"]),
                  f"{client.name} trusts a {holder} that nobody has published")
