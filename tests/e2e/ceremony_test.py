#!/usr/bin/env python3
"""Keys that are rotated, lost, stolen or too old: the offline ceremony, the server that hands out the next root, and cars
that follow, also after three roots that they have missed."""
import json
import os
import pty
import signal
import subprocess
import sys
import termios

import rig
from rig import check, check_equal, step, wait_until

VIN, AWAY_VIN = "WVWZZZ1JZXW000017", "WVWZZZ1JZXW000025"
ONLINE = {"director": ("targets", "snapshot", "timestamp"), "image": ("snapshot", "timestamp")}


class Offline:
    """A machine without a network: files in a directory, and `layby` without --server."""

    def __init__(self, r):
        self.r, self.home = r, os.path.join(r.directory, "offline")
        os.mkdir(self.home)
        self.passphrase = r.server.offline("passphrase")
        self.roots = {name: r.server.provision(f"{name}-root.json") for name in ONLINE}
        self.root_keys = {name: [r.server.offline(f"{name}-root{suffix}.key") for suffix in ("", "-2", "-3")]
                          for name in ONLINE}

    def path(self, name):
        return os.path.join(self.home, name)

    def attempt(self, *arguments):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("LAYBY_")}
        return subprocess.run([os.path.join(rig.BIN, "layby"), *arguments], capture_output=True, text=True, timeout=300,
                              stdin=subprocess.DEVNULL, env=environment, check=False)

    def __call__(self, *arguments):
        done = self.attempt(*arguments)
        check_equal(done.returncode, 0, f"layby {' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def refused(self, words, *arguments):
        done = self.attempt(*arguments)
        check_equal(done.returncode, 5, f"exit status of layby {' '.join(arguments)}")
        check(words in done.stderr, f"{words!r} is not in {done.stderr!r}")
        with open(self.passphrase, encoding="ascii") as stream:
            check(stream.read().strip() not in done.stdout + done.stderr, "a passphrase was printed")

    def new_key(self, name):
        self("key", "create", self.path(name + ".key"), "--passphrase-file", self.passphrase, "--public",
             self.path(name + ".json"), "--cost", "interactive")
        return self.path(name + ".key"), self.path(name + ".json")

    def public(self, key):
        out = self.path(os.path.basename(key) + ".json")
        self("key", "public", "--key", key, "--passphrase-file", self.passphrase, "-o", out)
        return out

    def sign(self, repository, draft, keys):
        for key in keys:
            self("root", "sign", draft, "--previous", self.roots[repository], "--key", key, "--passphrase-file",
                 self.passphrase)

    def publish(self, repository, draft):
        version = self.r.operator("root", "publish", repository, draft)["version"]
        self.roots[repository] = draft
        return version

    def change(self, repository, *edits, keys=None):
        """Edits of one draft, signed by two keys and published; the new version."""
        draft = self.path(f"{repository}-{len(os.listdir(self.home))}.json")
        source = self.roots[repository]
        for edit in edits:
            self("root", edit[0], source, "-o", draft, *edit[1:])
            source = draft
        self.sign(repository, draft, keys or self.root_keys[repository][:2])
        return self.publish(repository, draft)


def signed_part(path):
    with open(path, encoding="utf-8") as stream:
        return json.load(stream)["signed"]


def key_id(root, role):
    return signed_part(root)["roles"][role]["keyids"][0]


def trusted(car, repository, role="root"):
    return os.path.join(car.state, "trust", repository, role + ".json")


def trusted_version(car, repository, role="root"):
    try:
        return signed_part(trusted(car, repository, role))["version"]
    except FileNotFoundError:
        return 0


def signers(path):
    with open(path, encoding="utf-8") as stream:
        return {s["keyid"] for s in json.load(stream)["signatures"]}


def follows(car, repository, version):
    wait_until(f"the car trusts root {version} of the {repository} repository",
               lambda: trusted_version(car, repository) == version)


def settled(car, offline, repository):
    """All that the car trusts is signed by keys of the last root."""
    def holds():
        root = signed_part(offline.roots[repository])
        for role in ("timestamp", "snapshot", "targets"):
            try:
                if not signers(trusted(car, repository, role)) & set(root["roles"][role]["keyids"]):
                    return False
            except FileNotFoundError:
                return False
        return True
    wait_until(f"the car has all of the {repository} repository under its last root", holds)


def make_online_keys(r, offline, names):
    """Made by the server's program, taken up with the next start."""
    made = {}
    for name in names:
        made[name] = offline.path(name + ".json")
        rig.run(os.path.join(rig.BIN, "laybyd"), "make-key", "--config", r.server.config, name, "-o", made[name])
    check_equal(r.server.process.stop(), 0, "exit status of laybyd")
    r.server.start()
    return made


def from_nothing(offline):
    with step("a first root is made with no server: keys, draft, two of three signatures"):
        made = [offline.new_key(f"first-{n}") for n in range(3)]
        publics = [public for _, public in made]
        draft = offline.path("first.json")
        roles = [text for role in ("targets", "snapshot", "timestamp") for text in (f"--{role}", publics[0])]
        roots = [text for public in publics for text in ("--root", public)]
        offline("root", "init", "-o", draft, *roots, *roles, "--root-threshold", "2")
        with_key = ("--passphrase-file", offline.passphrase)
        check("1 of 2 signatures, not enough" in offline("root", "sign", draft, "--key", made[0][0], *with_key), "half")
        check("2 of 2 signatures\n" in offline("root", "sign", draft, "--key", made[1][0], *with_key), "whole")
        check_equal(signed_part(draft)["version"], 1, "version")
    with step("mistakes are named, and leave every file as it was"):
        with open(draft, "rb") as stream:
            before = stream.read()
        stranger, stranger_public = offline.new_key("stranger")
        offline.refused("is there already", "key", "create", stranger, *with_key)
        offline.refused("no root key of this root", "root", "sign", draft, "--key", stranger, *with_key)
        wrong = offline.path("wrong")
        with open(wrong, "w", encoding="ascii") as out:
            out.write("not the passphrase\n")
        offline.refused("wrong passphrase", "root", "sign", draft, "--key", made[2][0], "--passphrase-file", wrong)
        offline.refused("no terminal", "root", "sign", draft, "--key", made[2][0])
        offline.refused("would have 0 keys", "root", "revoke", draft, "-o", draft, "--role", "timestamp", "--old", publics[0])
        offline.refused("is no key of the root role", "root", "revoke", draft, "-o", draft, "--old", stranger_public)
        offline.refused("is a key of the root role already", "root", "add", draft, "-o", draft, "--new", publics[1])
        offline.refused("would have 3 keys and need 4", "root", "threshold", draft, "-o", draft, "4")
        offline.refused("0 keys of the root", "root", "revoke", draft, "-o", draft, "--old", "0123456789abcdef0")
        with open(draft, "rb") as stream:
            check_equal(stream.read(), before, "the document")
    with step("first targets are made and signed in the same way"):
        targets = offline.path("first-targets.json")
        offline("targets", "init", "-o", targets)
        offline.refused("does not name", "targets", "sign", targets, "--root", draft, "--key", stranger, *with_key)
        offline("targets", "sign", targets, "--root", draft, "--key", made[0][0], *with_key)
        check("1 of 1 signatures" in offline("targets", "show", targets, "--root", draft), "signed targets")


def refusals(r, offline):
    with step("the server takes no root that cars would refuse"):
        draft = offline.path("half.json")
        offline("root", "renew", offline.roots["image"], "-o", draft)
        offline.sign("image", draft, offline.root_keys["image"][:1])
        r.operator.refused("bad-signature", "root", "publish", "image", draft)
        offline.sign("image", draft, offline.root_keys["image"][1:2])
        r.operator.refused("bad-signature", "root", "publish", "director", draft)
        skipped = offline.path("skipped.json")
        offline("root", "renew", draft, "-o", skipped)
        for key in offline.root_keys["image"][:2]:
            offline("root", "sign", skipped, "--key", key, "--passphrase-file", offline.passphrase)
        r.operator.refused("mix-and-match", "root", "publish", "image", skipped)
        _, stranger = offline.new_key("nobodys")
        other = offline.path("other.json")
        old = key_id(offline.roots["director"], "timestamp")
        offline("root", "rotate", offline.roots["director"], "-o", other, "--role", "timestamp", "--old", old, "--new", stranger)
        offline.sign("director", other, offline.root_keys["director"][:2])
        r.operator.refused("conflict", "root", "publish", "director", other)
        lost = offline.path("lost-targets.json")
        offline("targets", "rotate", offline.roots["image"], "-o", lost, "--old", key_id(offline.roots["image"], "targets"),
                "--new", stranger)
        offline.sign("image", lost, offline.root_keys["image"][:2])
        r.operator.refused("bad-signature", "root", "publish", "image", lost)


def asked_at_a_terminal(offline):
    with step("a passphrase is asked for at a terminal that does not show it, and that shows again what is typed after Ctrl-C"):
        key = offline.path("asked.key")
        pid, terminal = pty.fork()
        if pid == 0:
            os.execv(os.path.join(rig.BIN, "layby"), ["layby", "key", "create", key])
        shows = lambda: bool(termios.tcgetattr(terminal)[3] & termios.ECHO)
        wait_until("the terminal shows nothing", lambda: not shows())
        os.write(terminal, b"half a passphr")
        os.write(terminal, b"\x03")
        ended = wait_until("Ctrl-C ends it", lambda: [s for p, s in [os.waitpid(pid, os.WNOHANG)] if p == pid])
        check_equal(os.waitstatus_to_exitcode(ended[0]), -signal.SIGINT, "what ended it")
        check(shows(), "the terminal hides what is typed")
        check(b"half" not in os.read(terminal, 4096), "the passphrase was shown")
        check(not os.path.exists(key), "a key without a passphrase")
        os.close(terminal)


def online_roles(r, offline, car):
    with step("the keys of all five online roles are replaced while a car follows"):
        names = [f"{repository}-{role}" for repository, roles in ONLINE.items() for role in roles]
        made = make_online_keys(r, offline, names)
        for repository, roles in ONLINE.items():
            old = offline.roots[repository]
            edits = [("rotate", "--role", role, "--old", key_id(old, role), "--new", made[f"{repository}-{role}"])
                     for role in roles]
            check_equal(offline.change(repository, *edits), 2, "version")
        for repository in ONLINE:
            follows(car, repository, 2)
            settled(car, offline, repository)
    with step("the new keys take their places with the next start, and the old ones are gone"):
        check_equal(r.server.process.stop(), 0, "exit status of laybyd")
        r.server.start()
        keys = os.listdir(os.path.join(r.server.data, "keys"))
        check(not [name for name in keys if ".next" in name], f"keys: {keys}")
        for repository in ONLINE:
            before = trusted_version(car, repository, "timestamp")
            r.operator("simulation", "advance", "--days", "4")
            wait_until("a timestamp that the new key signed after the start",
                       lambda: trusted_version(car, repository, "timestamp") > before)


def root_keys(r, offline, car):
    with step("a root key is lost: the other two put a new one in its place"):
        for repository in ONLINE:
            lost = offline.public(offline.root_keys[repository][0])
            fresh, fresh_public = offline.new_key(f"{repository}-root-4")
            version = offline.change(repository, ("rotate", "--old", lost, "--new", fresh_public),
                                     keys=offline.root_keys[repository][1:])
            offline.root_keys[repository] = offline.root_keys[repository][1:] + [fresh]
            follows(car, repository, version)
    with step("a root key is stolen: revoked, it counts for nothing, though the threshold is lower"):
        thief = offline.root_keys["director"][0]
        version = offline.change("director", ("threshold", "1"), ("revoke", "--old", offline.public(thief)),
                                 keys=offline.root_keys["director"])
        follows(car, "director", version)
        forged = offline.path("forged.json")
        offline("root", "renew", offline.roots["director"], "-o", forged)
        offline.refused("no root key", "root", "sign", forged, "--previous", offline.roots["director"], "--key", thief,
                        "--passphrase-file", offline.passphrase)
        offline.root_keys["director"] = offline.root_keys["director"][1:]


def targets_key(r, offline, car):
    with step("the offline targets key is replaced: named beside the old one, used, then alone"):
        old = r.server.offline("image-targets.key")
        fresh, fresh_public = offline.new_key("image-targets-2")
        offline.change("image", ("add", "--role", "targets", "--new", fresh_public))
        draft = offline.path("targets.json")
        offline("targets", "renew", trusted(car, "image", "targets"), "-o", draft, "--expires-days", "90")
        for signing_key, good in ((old, 1), (fresh, 1)):
            offline("targets", "sign", draft, "--root", offline.roots["image"], "--key", signing_key, "--passphrase-file",
                    offline.passphrase)
        published = r.operator("targets", "publish", draft)["version"]
        version = offline.change("image", ("revoke", "--role", "targets", "--old", offline.public(old)))
        follows(car, "image", version)
        settled(car, offline, "image")
        check_equal(trusted_version(car, "image", "targets"), published, "version of targets")
        late = offline.path("late.json")
        offline("targets", "renew", draft, "-o", late)
        offline.refused("does not name", "targets", "sign", late, "--root", offline.roots["image"], "--key", old,
                        "--passphrase-file", offline.passphrase)
        return fresh


def three_versions(r, offline, away):
    with step("a car that was away for more than three roots of both repositories comes back"):
        for repository in ONLINE:
            last = signed_part(offline.roots[repository])["version"]
            check(last - trusted_version(away, repository) >= 3, f"{repository}: only root {last}")
        away.start_agent()
        for repository in ONLINE:
            follows(away, repository, signed_part(offline.roots[repository])["version"])
            settled(away, offline, repository)


def expired_roots(r, offline, car, order, targets_key_file):
    with step("expired roots: the car takes nothing new and says why, and the server is told"):
        for repository in ONLINE:
            follows(car, repository, offline.change(repository, ("renew", "--expires-days", "100"),
                                                    keys=offline.root_keys[repository][:2]))
        r.operator("simulation", "advance", "--days", "110")
        wait_until("the car names it", lambda: "freeze" in (car.status().get("attack") or ""))
        wait_until("the server knows", lambda: "freeze" in json.dumps(r.operator("car", "show", VIN)))
        check(order(), "an order can be placed")
    with step("the next roots are the way out, with targets that had expired as well"):
        days = ("--expires-days", "3000")
        for repository in ONLINE:
            offline.change(repository, ("renew", *days), keys=offline.root_keys[repository][:2])
        draft = offline.path("renewed.json")
        offline("targets", "renew", trusted(car, "image", "targets"), "-o", draft, *days)
        offline("targets", "sign", draft, "--root", offline.roots["image"], "--key", targets_key_file, "--passphrase-file",
                offline.passphrase)
        r.operator("targets", "publish", draft)
        for repository in ONLINE:
            follows(car, repository, signed_part(offline.roots[repository])["version"])
            settled(car, offline, repository)
        wait_until("the car no longer complains", lambda: "freeze" not in (car.status().get("attack") or ""))


def test(r):
    offline = Offline(r)
    from_nothing(offline)
    asked_at_a_terminal(offline)
    car, away = rig.Car(r, VIN, 17), rig.Car(r, AWAY_VIN, 25)
    with step("two cars with an order each; one of them drives away"):
        r.publish_releases()
        anna = r.account("anna", "owner")
        for each in (car, away):
            each.register()
            each.provision()
            each.pair(anna)
            each.start_vehicle(rig.DRIVING)
            anna("order", "map", each.vin, "NL")
            each.start_agent()
            for repository in ONLINE:
                settled(each, offline, repository)
        check_equal(away.agent.stop(), 0, "exit status")
    refusals(r, offline)
    online_roles(r, offline, car)
    root_keys(r, offline, car)
    fresh = targets_key(r, offline, car)
    three_versions(r, offline, away)
    expired_roots(r, offline, car, lambda: anna("order", "map", VIN, "IT")["id"], fresh)


if __name__ == "__main__":
    sys.exit(rig.main(test, ("--root-keys", "3", "--root-threshold", "2")))
