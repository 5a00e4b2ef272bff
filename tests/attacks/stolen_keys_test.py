#!/usr/bin/env python3
"""Keys that were stolen and used: versions run up to the end, a clock set ahead, licences for nothing. What the thief reached
in the car, and that the ceremony's next root takes it back from him. As in metadata_test.py, over the wire on the real agent."""
import sys

import rig
from attacked_car import ROOT_KEYS, World
from ceremony_test import ONLINE
from hostile import FOLDERS, Answer, part_of, sign, with_body
from rig import check, step, wait_until

FAR = 2 ** 31


def fast_forward(w):
    for repository in FOLDERS:
        roles = ONLINE[repository]
        with step(f"fast-forward: stolen keys run the versions of the {repository} repository up to 2^31"):
            edits = {role: lambda part: None for role in roles}
            w.target.stop()
            w.target.hostile.rules = w.thief.forge(repository, edits, ahead=FAR)
            w.car.start_agent()
            wait_until("the car has taken them", lambda: all(w.target.version(repository, r) > FAR for r in roles))
        with step(f"fast-forward: what is honest is older from then on, and the car says so ({repository})"):
            w.target.stop()
            w.target.hostile.rules = {}
            w.car.start_agent()
            w.target.names("rollback")
            w.target.is_told("rollback")
        with step(f"fast-forward: the next root names other keys, and the car takes the honest versions again ({repository})"):
            revoked = dict(w.thief.keys)
            w.rotate(*[f"{repository}-{role}" for role in roles])
            w.car.start_agent()
            wait_until("honest versions", lambda: all(w.target.version(repository, r, absent=FAR) < FAR for r in roles))
            w.target.is_at_peace()
        with step(f"what the revoked keys sign counts for nothing ({repository})"):
            w.mount("bad-signature", w.thief.forge(repository, {}, {role: [revoked[f"{repository}-{role}"]] for role in roles}))


def poisoned_clock(w):
    def ahead(years):
        def rule(handler, forward):
            part = part_of(forward().body)
            part["time"] = str(int(part["time"][:4]) + years) + part["time"][4:]
            return Answer(sign(part, w.thief.keys["director-timestamp"]))
        return {r"/v1/vehicle/time\?.*": rule}

    before = w.car.status()["trustedTime"]
    with step("poisoned clock: no time leaps past the expiry of the root that vouches for its key"):
        w.mount("freeze", ahead(10), "past the expiry of root")
        check(w.car.status()["trustedTime"][:4] <= str(int(before[:4]) + 1), w.car.status()["trustedTime"])
    with step("poisoned clock: a stolen timestamp key tells a time a year ahead"):
        w.target.stop()
        w.target.hostile.rules = ahead(1)
        w.car.start_agent()
        w.target.names("freeze")  # all that is honest seems expired
        check(int(w.car.status()["trustedTime"][:4]) >= int(before[:4]) + 1, "the car's time is not the thief's")
        check(w.car.status()["slots"], "something is installed")
    with step("poisoned clock: the server takes no report from that future, and says so in its log"):
        def refused():
            with open(w.r.server.log, encoding="utf-8") as stream:
                return "manifest refused" in stream.read()
        wait_until("the report is refused", refused)
    with step("poisoned clock: the honest time is older than the signed one: refused, and nothing is lost"):
        w.target.stop()
        w.target.hostile.rules = {}
        w.car.start_agent()
        w.target.names("rollback")
        check(w.car.status()["slots"], "something is installed")
    with step("poisoned clock: with the thief's key gone from the root, the car is back in the present"):
        w.rotate("director-timestamp")
        w.car.start_agent()
        w.target.is_at_peace()
        check(w.car.status()["trustedTime"][:4] <= str(int(before[:4]) + 1), w.car.status()["trustedTime"])
    with step("time: an answer to another question, or signed by nobody known, moves no clock"):
        old = w.target.hostile.fetch("/v1/vehicle/time?nonce=" + "00" * 16)
        w.mount("replay", {r"/v1/vehicle/time\?.*": with_body(old)})

        def strange(handler, forward):
            part = part_of(forward().body)
            return Answer(sign(part, w.thief.keys["image-timestamp"]))
        w.mount("bad-signature", {r"/v1/vehicle/time\?.*": strange})


def test(r):
    w = World(r)
    fast_forward(w)
    poisoned_clock(w)
    with step("after all of it the car does its work: the order becomes active"):
        w.becomes_active()


if __name__ == "__main__":
    sys.exit(rig.main(test, ROOT_KEYS))
