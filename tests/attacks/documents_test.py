#!/usr/bin/env python3
"""Documents that are signed wrongly, or are signed and are no documents: too few signatures, one key for two, names that
lead elsewhere, JSON that two readers read differently. As in metadata_test.py, over the wire on the real agent."""
import copy
import json
import sys

import rig
from attacked_car import World
from hostile import DIRECTOR, FOLDERS, StolenKey, part_of, sign, with_body
from rig import check, step, wait_until
from tuf_repository import canonical


def passphrase(w):
    with open(w.r.server.offline("passphrase"), "rb") as stream:
        return stream.read().strip()


def root_keys(w, repository):
    return [StolenKey(w.r.server.offline(f"{repository}-root{suffix}.key"), passphrase(w)) for suffix in ("", "-2", "-3")]


def next_root(w, repository):
    with open(w.r.server.provision(f"{repository}-root.json"), "rb") as stream:
        part = part_of(stream.read())
    part["version"] += 1
    return part


def serving_root(repository, document):
    return {FOLDERS[repository] + r"2\.root\.json": with_body(document)}


def signatures(w):
    for repository in FOLDERS:
        keys = root_keys(w, repository)
        part = next_root(w, repository)
        with step(f"threshold minus one: a root of the {repository} repository with one of two signatures"):
            w.mount("bad-signature", serving_root(repository, sign(part, keys[0])), "1 good signatures")
        with step(f"key under two ids: one root key's signature under another's id ({repository})"):
            document = json.loads(sign(part, keys[0]))
            document["signatures"].append({**document["signatures"][0], "keyid": keys[1].keyid})
            w.mount("bad-signature", serving_root(repository, json.dumps(document).encode()), "1 good signatures")
        with step(f"nine copies of one signature are one, and no document ({repository})"):
            document = json.loads(sign(part, keys[0]))
            document["signatures"] *= 9
            w.mount("bad-format", serving_root(repository, json.dumps(document).encode()), "two signatures")
    with step("key under two ids: a root that names one key twice makes no two signers of it"):
        part = next_root(w, "director")
        key = w.thief.keys["director-timestamp"]
        part["keys"]["another-name"] = copy.deepcopy(key.public)
        part["roles"]["timestamp"] = {"keyids": [key.keyid, "another-name"], "threshold": 2}
        twice = copy.copy(key)
        twice.keyid = "another-name"
        rules = w.thief.forge("director", {}, {"timestamp": [key, twice]})
        rules.update(serving_root("director", sign(part, *root_keys(w, "director")[:2])))
        w.mount("bad-signature", rules, "1 good signatures")


def spelled(w, change):
    """Targets of the Director with a well-made signature over text that `change` has spoiled."""
    def edit(part):
        text = canonical(part).decode()
        spoiled = change(text)
        check(spoiled != text, "nothing was changed")
        key = w.thief.keys["director-targets"]
        message = spoiled.encode("utf-8", "surrogateescape")
        return b'{"signatures":[{"keyid":"%s","sig":"%s"}],"signed":%s}' % (
            key.keyid.encode(), key.sign(message).encode(), message)
    return w.thief.forge("director", {"targets": edit})


def spellings(w):
    offline = {"targets": [StolenKey(w.r.server.offline("image-targets.key"), passphrase(w))]}
    with step("path traversal: names that lead out of their directory, in the Director alone and in both repositories"):
        for name in ("../../etc/passwd", "/etc/passwd", "maps/../../x/1.tar", "maps/DE/..", "maps//1.tar", "maps/DE/%2e%2e",
                     "maps/DE/1\x00.tar", "maps/" + "D" * 300 + "/1.tar"):
            def renamed(part):
                old, image = next(iter(part["targets"].items()))
                part["targets"] = {name: image}
                for order in part["custom"].get("orders", []):
                    order["images"] = [name if i == old else i for i in order["images"]]

            def listed(part):
                part["targets"][name] = part["targets"][f"maps/DE/{rig.NEW_MAP}.tar"]
            one = w.thief.forge("director", {"targets": renamed})
            w.mount("repositories-disagree", one)
            w.mount("bad-format", {**one, **w.thief.forge("image", {"targets": listed}, offline)})
    with step("duplicate JSON keys: two readers would read two things"):
        w.mount("bad-json", spelled(w, lambda t: t.replace('"version":', '"version":99999,"version":', 1)))
    with step("deep nesting"):
        w.mount("bad-json", spelled(w, lambda t: t.replace('"custom":', '"x":' + "[" * 5000 + "]" * 5000 + ',"custom":', 1)))
    with step("huge numbers: integers that not every reader can hold, and versions that end the counting"):
        for number in ("9007199254740993", "99999999999999999999999999", "-0", "1e400"):
            w.mount("bad-json", spelled(w, lambda t: t.replace('"length":', f'"x":{number},"length":', 1)))
    with step("non-canonical bytes: floats, bad UTF-8, lone surrogates, a mark in front, bytes behind"):
        w.mount("bad-json", spelled(w, lambda t: t.replace('"length":', '"x":1.0,"length":', 1)))
        w.mount("bad-json", spelled(w, lambda t: t.replace('"custom":', '"x":"\udcff","custom":', 1)))
        w.mount("bad-json", spelled(w, lambda t: t.replace('"custom":', '"x":"\\ud800","custom":', 1)))
        timestamp = w.thief.documents("director")["timestamp"]
        for document in (b"\xef\xbb\xbf" + timestamp, timestamp + b"{}", timestamp[:-1], b"", b"null"):
            error = "bad-format" if document == b"null" else "bad-json"
            w.mount(error, {DIRECTOR + r"timestamp\.json": with_body(document)})
    with step("non-canonical bytes: another spelling of what is signed is the same document, and its hash is not"):
        pretty = json.dumps(json.loads(w.thief.documents("director")["timestamp"]), indent=2).encode()
        w.target.save()
        w.target.hostile.rules = {DIRECTOR + r"timestamp\.json": with_body(pretty)}
        w.car.start_agent()
        w.target.is_at_peace()
        w.target.restore()

        made = {}

        def reordered(part):
            document = json.loads(sign(part, w.thief.keys["director-targets"]))
            made["signed"] = document
            return json.dumps(document, separators=(",", ":")).encode()
        rules = w.thief.forge("director", {"targets": reordered})
        pattern = next(p for p in rules if "targets" in p)
        turned = {"signed": made["signed"]["signed"], "signatures": made["signed"]["signatures"]}
        w.mount("mix-and-match", {**rules, pattern: with_body(json.dumps(turned, separators=(",", ":")).encode())})
        w.mount("endless-data", {**rules, pattern: with_body(json.dumps(turned, indent=2).encode())})


def test(r):
    w = World(r)
    signatures(w)
    spellings(w)
    wait_until("the order is still there", lambda: w.car.status()["orders"])


if __name__ == "__main__":
    sys.exit(rig.main(test, ("--root-keys", "3", "--root-threshold", "2")))
