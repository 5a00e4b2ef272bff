#!/usr/bin/env python3
"""Keys in a token (SoftHSM2 behind PKCS#11): the ceremony signs with them, and the server."""
import os
import sys

import rig
from ceremony_test import VIN, Offline, follows, key_id, settled
from rig import check, check_equal, step

MODULE = "/usr/lib/softhsm/libsofthsm2.so"
PIN = "314159"


class Token:
    def __init__(self, r):
        home = os.path.join(r.directory, "token")
        os.makedirs(os.path.join(home, "tokens"))
        config = os.path.join(home, "softhsm2.conf")
        with open(config, "w", encoding="ascii") as out:
            out.write(f"directories.tokendir = {home}/tokens\n")
        os.environ["SOFTHSM2_CONF"] = config  # of all programs that follow
        rig.run("softhsm2-util", "--init-token", "--free", "--label", "keys", "--so-pin", "1234", "--pin", PIN)
        self.pin_file = os.path.join(home, "pin")
        with open(self.pin_file, "w", encoding="ascii") as out:
            out.write(PIN + "\n")

    def make(self, label, kind):
        rig.run("pkcs11-tool", "--module", MODULE, "--token-label", "keys", "--login", "--pin", PIN, "--keypairgen",
                "--key-type", kind, "--label", label, "--id", label.encode().hex())
        return f"pkcs11:token=keys;object={label}?module-path={MODULE}"


def test(r):
    offline = Offline(r)
    token = Token(r)
    car = rig.Car(r, VIN, 17)
    with step("a car follows both repositories"):
        r.publish_releases()
        anna = r.account("anna", "owner")
        car.register()
        car.provision()
        car.pair(anna)
        car.start_vehicle(rig.DRIVING)
        anna("order", "map", VIN, "NL")
        car.start_agent()
        for repository in offline.roots:
            settled(car, offline, repository)

    def public(uri, name):
        offline("key", "public", "--key", uri, "--passphrase-file", token.pin_file, "-o", offline.path(name))
        return offline.path(name)

    with step("a root key moves into the token, an Ed25519 key there signs the next root"):
        uri = token.make("image-root", "EC:edwards25519")
        first = r.server.offline("image-root.key")
        draft = offline.path("with-token.json")
        offline("root", "rotate", offline.roots["image"], "-o", draft, "--old", offline.public(first), "--new",
                public(uri, "hsm-root.json"))
        offline.sign("image", draft, [first])
        offline("root", "sign", draft, "--previous", offline.roots["image"], "--key", uri, "--passphrase-file", token.pin_file)
        version = offline.publish("image", draft)
        follows(car, "image", version)
    with step("what goes wrong with a token is named, and its PIN never is"):
        wrong = offline.path("wrong-pin")
        with open(wrong, "w", encoding="ascii") as out:
            out.write("999999\n")
        done = offline.attempt("root", "sign", draft, "--key", uri, "--passphrase-file", wrong)
        check(done.returncode == 5 and "log in" in done.stderr, done.stderr)
        done = offline.attempt("root", "sign", draft, "--key", uri.replace("image-root", "nothing"), "--passphrase-file",
                               token.pin_file)
        check(done.returncode == 5 and "no private keys" in done.stderr and PIN not in done.stderr, done.stderr)
    with step("the targets key lies in the token, as a P-256 key: images are published with it"):
        uri_targets = token.make("image-targets", "EC:prime256v1")
        following = offline.path("targets-in-token.json")
        offline("targets", "add", offline.roots["image"], "-o", following, "--new", public(uri_targets, "hsm-targets.json"))
        offline("root", "sign", following, "--previous", offline.roots["image"], "--key", uri, "--passphrase-file",
                token.pin_file)
        follows(car, "image", offline.publish("image", following))
        targets = offline.path("targets.json")
        offline("targets", "renew", os.path.join(car.state, "trust", "image", "targets.json"), "-o", targets)
        offline("targets", "sign", targets, "--root", offline.roots["image"], "--key", uri_targets, "--passphrase-file",
                token.pin_file)
        r.operator("targets", "publish", targets)
        settled(car, offline, "image")
    with step("the server signs with keys in the token: the Director's timestamp Ed25519, its snapshot P-256"):
        keys = os.path.join(r.server.data, "keys")
        with open(os.path.join(keys, "passphrase"), encoding="ascii") as stream:
            passphrase = stream.read().strip()
        rig.run("softhsm2-util", "--init-token", "--free", "--label", "server", "--so-pin", "1234", "--pin", passphrase)
        edits = []
        for role, kind in (("timestamp", "EC:edwards25519"), ("snapshot", "EC:prime256v1")):
            rig.run("pkcs11-tool", "--module", MODULE, "--token-label", "server", "--login", "--pin", passphrase,
                    "--keypairgen", "--key-type", kind, "--label", role, "--id", role.encode().hex())
            made = f"pkcs11:token=server;object={role}?module-path={MODULE}"
            with open(os.path.join(keys, f"director-{role}.next.uri"), "w", encoding="ascii") as out:
                out.write(made + "\n")
            offline("key", "public", "--key", made, "--passphrase-file", os.path.join(keys, "passphrase"), "-o",
                    offline.path(f"{role}.json"))
            edits.append(("rotate", "--role", role, "--old", key_id(offline.roots["director"], role), "--new",
                          offline.path(f"{role}.json")))
        check_equal(r.server.process.stop(), 0, "exit status of laybyd")
        r.server.start()
        version = offline.change("director", *edits, keys=[r.server.offline("director-root.key")])
        follows(car, "director", version)
        settled(car, offline, "director")
    with step("after the next start they are the only ones, and an order goes its way"):
        check_equal(r.server.process.stop(), 0, "exit status of laybyd")
        r.server.start()
        names = os.listdir(keys)
        check("director-timestamp.uri" in names and "director-timestamp.key" not in names, f"keys: {names}")
        order = anna("order", "map", VIN, "DE")["id"]
        car.set(**rig.PARKED)
        car.wait_for_active(anna, [order], 120)


if __name__ == "__main__":
    sys.exit(rig.main(test))
