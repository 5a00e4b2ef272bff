#!/usr/bin/env python3
"""Documents that are signed wrongly, or are signed and are no documents: too few signatures, one key for two, names that
lead elsewhere, JSON that two readers read differently. As in metadata_test.py, over the wire on the real agent."""
import copy
import json
import re
import sys

import rig
from attacked_car import ROOT_KEYS, World
from hostile import DIRECTOR, FOLDERS, sign, with_body
from rig import check, step
from tuf_repository import canonical


def signatures(w):
    for repository in FOLDERS:
        keys = w.root_keys(repository)
        part = w.next_root(repository)
        with step(f"threshold minus one: a root of the {repository} repository with one of two signatures"):
            w.mount("bad-signature", w.serving_root(repository, sign(part, keys[0])), "1 good signatures")
        with step(f"key under two ids: one root key's signature under another's id ({repository})"):
            document = json.loads(sign(part, keys[0]))
            document["signatures"].append({**document["signatures"][0], "keyid": keys[1].keyid})
            w.mount("bad-signature", w.serving_root(repository, json.dumps(document).encode()), "1 good signatures")
        with step(f"nine copies of one signature are one, and no document ({repository})"):
            document = json.loads(sign(part, keys[0]))
            document["signatures"] *= 9
            w.mount("bad-format", w.serving_root(repository, json.dumps(document).encode()), "two signatures")
    with step("key under two ids: a root that names one key twice makes no two signers of it"):
        part = w.next_root("director")
        key = w.thief.keys["director-timestamp"]
        part["keys"]["another-name"] = copy.deepcopy(key.public)
        part["roles"]["timestamp"] = {"keyids": [key.keyid, "another-name"], "threshold": 2}
        twice = copy.copy(key)
        twice.keyid = "another-name"
        rules = w.thief.forge("director", {}, {"timestamp": [key, twice]})
        rules.update(w.serving_root("director", sign(part, *w.root_keys("director")[:2])))
        w.mount("bad-signature", rules, "1 good signatures",
                restore="the thief has used the root keys themselves: only the owner's root 3 could follow that root 2")


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
    offline = {"targets": [w.stolen_offline("image-targets")]}
    with step("path traversal: names that lead out of their directory, in the Director alone and in both repositories"):
        for name in ("../../etc/passwd", "/etc/passwd", "maps/../../x/1.tar", "maps/DE/..", "maps//1.tar", "maps/DE/%2e%2e",
                     "maps/DE/1\x00.tar", "maps/" + "D" * 300 + "/1.tar"):
            def renamed(part):
                old, image = next(iter(part["targets"].items()))
                part["targets"] = {name: image}
                for order in part["custom"].get("orders", []):
                    order["images"] = [name if i == old else i for i in order["images"]]

            def listed(part):
                part["version"] += 1
                part["targets"][name] = part["targets"][f"maps/DE/{rig.NEW_MAP}.tar"]
            one = w.thief.forge("director", {"targets": renamed})
            w.mount("repositories-disagree", one)
            w.mount("bad-format", {**one, **w.thief.forge("image", {"targets": listed}, offline)},
                    restore="the thief has used the offline key of the Image repository's targets, which no online key takes back")
    with step("duplicate JSON keys: two readers would read two things"):
        w.mount("bad-json", spelled(w, lambda t: t.replace('"version":', '"version":99999,"version":', 1)))
    with step("deep nesting"):
        w.mount("bad-json", spelled(w, lambda t: t.replace('"custom":', '"x":' + "[" * 5000 + "]" * 5000 + ',"custom":', 1)))
    with step("huge numbers: integers that not every reader can hold, as versions too"):
        for version in ("9007199254740992", "1e3", "18446744073709551617"):
            w.mount("bad-json", spelled(w, lambda t: re.sub(r'"version":\d+', f'"version":{version}', t, count=1)))
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
        def pretty(part):
            return json.dumps(json.loads(sign(part, w.thief.keys["director-timestamp"])), indent=2).encode()
        before = w.target.version("director", "timestamp")
        w.target.stop()
        w.target.hostile.rules = w.target.as_before(w.thief, w.thief.forge("director", {"timestamp": pretty}))
        w.car.start_agent()
        w.target.is_at_peace()
        check(w.target.version("director", "timestamp") > before, "the car has not taken it")

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
    with step("with all that these documents have left in the car, new roots bring it back, and the order becomes active"):
        w.take_back()
        w.becomes_active()


if __name__ == "__main__":
    sys.exit(rig.main(test, ROOT_KEYS))
