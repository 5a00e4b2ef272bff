#!/usr/bin/env python3
"""A supplier is brought in, signs and publishes its own images, is limited to what it was given, changes its key and is
revoked (Uptane 2.1.0, 5.3.1): the operator's and the supplier's commands, and a real server."""
import json
import os
import ssl
import subprocess
import sys
import urllib.request

import rig
from rig import check, check_equal, step


class Signers:
    """The operator's and the supplier's machines without a network."""

    def __init__(self, r):
        self.r, self.home = r, os.path.join(r.directory, "signers")
        os.mkdir(self.home)
        self.passphrase = r.server.offline("passphrase")
        self.targets, self.version = None, 0

    def path(self, name):
        return os.path.join(self.home, name)

    def __call__(self, *arguments):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("LAYBY_")}
        done = subprocess.run([os.path.join(rig.BIN, "layby"), *arguments], capture_output=True, text=True, timeout=300,
                              env=environment, check=False)
        check_equal(done.returncode, 0, f"layby {' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def new_key(self, name):
        self("key", "create", self.path(name + ".key"), "--passphrase-file", self.passphrase, "--public",
             self.path(name + ".json"), "--cost", "interactive")
        return self.path(name + ".key"), self.path(name + ".json")

    def published(self, file):
        """A metadata file as anybody gets it."""
        context = ssl.create_default_context(cafile=self.r.server.provision("ca.pem"))
        url = f"{self.r.server.url}/v1/repositories/image/metadata/{file}"
        with urllib.request.urlopen(url, context=context, timeout=30) as answer:
            path = self.path("published-" + file)
            with open(path, "wb") as out:
                out.write(answer.read())
            return path

    def change_targets(self, command, *arguments):
        """The next top-level targets, signed and published; the server's answer."""
        self.version += 1
        draft = self.path(f"{self.version + 1}.targets.json")
        self("targets", command, self.published(f"{self.version}.targets.json"), "-o", draft, *arguments)
        self("targets", "sign", draft, "--root", self.r.server.provision("image-root.json"), "--key",
             self.r.server.offline("image-targets.key"), "--passphrase-file", self.passphrase)
        self.targets = draft
        return self.r.operator("targets", "publish", draft)

    def image_publish(self, role, key, *images):
        file = self.path("images.json")
        with open(file, "w", encoding="utf-8") as out:
            json.dump({"images": images}, out)
        return ("image", "publish", "--image-root", self.r.server.provision("image-root.json"), "--targets-key", key,
                "--role", role, "--passphrase-file", self.passphrase, "--images", file)


def listed(r):
    images = r.operator("image", "list", "--image-root", r.server.provision("image-root.json"))["images"]
    return {image["image"]: image["role"] for image in images}


def test(r):
    signers = Signers(r)
    key, public = signers.new_key("acme")
    scope = ("--role", "acme", "--path", "maps/*/*", "--hardware", rig.HARDWARE)
    with step("nobody has let the supplier sign: it is refused"):
        image = r.map_image(rig.OLD_MAP, "NL", 1)
        r.operator.refused("not-found", *signers.image_publish("acme", key, image))
    with step("the operator lets it; nothing of it is published yet, which the server says"):
        answer = signers.change_targets("delegate", "--key", public, *scope)
        check_equal(len(answer["warnings"]), 1, "warnings")
        check("acme" in answer["warnings"][0], f"{answer['warnings']}")
    with step("the first file of the role, made and signed by hand"):
        draft = signers.path("acme-1.json")
        signers("targets", "init", "-o", draft)
        signers("targets", "sign", draft, "--delegator", signers.targets, "--role", "acme", "--key", key,
                "--passphrase-file", signers.passphrase)
        check("1 of 1" in signers("targets", "show", draft, "--delegator", signers.targets, "--role", "acme"), "show")
        answer = r.operator("targets", "publish", "--role", "acme", draft)
        check_equal((answer["version"], answer["warnings"]), (1, []), "the answer")
    with step("the supplier publishes a map, which the server then offers"):
        published = r.operator(*signers.image_publish("acme", key, image))
        check_equal(published["version"], 2, "version")
        r.operator("jobs", "--wait", "--timeout", "300")
        name = published["images"][0]["image"]
        with open(signers.published("2.acme.json"), encoding="utf-8") as stream:
            check(name in json.load(stream)["signed"]["targets"], f"{name} is not in the role's targets")
        check_equal(listed(r), {name: "acme"}, "images, by whose word")
    with step("outside of its paths and for other hardware it is refused"):
        function = {"kind": "function", "id": "cruise", "version": "1.0", "hardware": [rig.HARDWARE], "release_counter": 1,
                    "path": r.package("cruise", 1000, 1)}
        problem = r.operator.refused("forbidden", *signers.image_publish("acme", key, function), "--licence-key",
                                     r.server.provision("licence-key.json"))
        check("functions/cruise/1.0.pkg" in problem["detail"] and "acme" in problem["detail"], problem["detail"])
        other = dict(r.map_image(rig.NEW_MAP, "NL", 2), hardware=[rig.HARDWARE, "another"])
        r.operator.refused("forbidden", *signers.image_publish("acme", key, other))
    with step("another key: what the old one signed is withdrawn until the new one has signed it"):
        fresh, fresh_public = signers.new_key("acme-2")
        answer = signers.change_targets("delegate", "--key", fresh_public, *scope)
        check_equal(answer["withdrawn"], [name], "withdrawn")
        draft = signers.path("acme-3.json")
        signers("targets", "renew", signers.published("2.acme.json"), "-o", draft)
        signers("targets", "sign", draft, "--delegator", signers.targets, "--role", "acme", "--key", fresh,
                "--passphrase-file", signers.passphrase)
        answer = r.operator("targets", "publish", "--role", "acme", draft)
        check_equal((answer["listed_again"], answer["warnings"]), ([name], []), "listed again")
    with step("the supplier withdraws an image by leaving it out, and brings it back"):
        draft = signers.path("acme-4.json")
        signers("targets", "renew", signers.published("3.acme.json"), "-o", draft, "--without", name)
        signers("targets", "sign", draft, "--delegator", signers.targets, "--role", "acme", "--key", fresh,
                "--passphrase-file", signers.passphrase)
        check_equal(r.operator("targets", "publish", "--role", "acme", draft)["withdrawn"], [name], "withdrawn")
        check_equal(listed(r), {}, "images")
        r.operator(*signers.image_publish("acme", fresh, image))
        check_equal(listed(r), {name: "acme"}, "images, by whose word")
    with step("revoked: its image is withdrawn, and it signs nothing more"):
        answer = signers.change_targets("undelegate", "--role", "acme")
        check_equal(answer["withdrawn"], [name], "withdrawn")
        check_equal(listed(r), {}, "images")
        r.operator.refused("not-found", *signers.image_publish("acme", fresh, r.map_image(rig.NEW_MAP, "NL", 2)))


if __name__ == "__main__":
    sys.exit(rig.main(test))
