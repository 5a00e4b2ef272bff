#!/usr/bin/env python3
"""The main job: function, three map regions and software, from the order to active in the car, with a kill in between."""
import hashlib
import json
import os
import subprocess
import sys

import rig
from rig import check, check_equal, step, wait_until

VIN = "WVWZZZ1JZXW000017"


def digest_of(path):
    with open(path, "rb") as stream:
        return hashlib.sha256(stream.read()).hexdigest()


UNPLUG = {"de": "Bitte Ladekabel abziehen.", "en": "Please unplug the charging cable.",
          "fr": "Veuillez débrancher le câble de charge.", "it": "Scollegare il cavo di ricarica.",
          "nl": "Koppel de laadkabel los."}


def waits_for(car, condition, said):
    def named():
        return any(condition in order.get("waitingFor", []) for order in car.status()["orders"])

    def other_text():  # the journal comes first, the head unit a moment later
        text = car.head_unit()
        return text if text not in said else ""
    wait_until(f"the agent waits for {condition}", named)
    said.append(wait_until(f"the head unit says why ({condition})", other_text))


def verified_bytes(car):
    return {p["sha256"]: p["bytesVerified"] for o in car.status()["orders"] for p in o.get("payloads", [])
            if p.get("bytesVerified", 0) > 0}


def ranges(r):
    transfers = r.operator("transfers", VIN)["transfers"]
    return {t["payload"]: [(s["offset"], s["length"]) for s in t["ranges"]] for t in transfers}


def asked_later(before, after):
    """What is in `after` and not in `before`; complete neighbours are joined, so the last range may have grown."""
    if not before:
        return after
    check_equal(after[: len(before) - 1], before[:-1], "the record of what was sent before")
    (offset, length), (now_offset, now_length) = before[-1], after[len(before) - 1]
    check(now_offset == offset and now_length >= length, "the record of what was sent before has changed")
    grown = [(offset + length, now_length - length)] if now_length > length else []
    return grown + after[len(before):]


def audit_export(r, anna, orders):
    """The file, after a look at what is in it."""
    file = os.path.join(r.directory, "audit.json")
    with step("P5.4 the trail is exported as one signed file that names all of it"):
        anna("audit", "export", VIN, "-o", file, "--key", r.server.provision("audit-key.json"))
        anna("audit", "export", VIN, "-o", os.path.join(r.directory, "part.json"), "--after", "3")
        fetched = os.path.join(r.directory, "fetched-key.json")
        anna("audit", "key", "-o", fetched)
        with open(fetched, encoding="utf-8") as one, open(r.server.provision("audit-key.json"), encoding="utf-8") as other:
            check_equal(json.load(one), json.load(other), "the key by the server and the one that init wrote")
        with open(file, encoding="utf-8") as stream:
            trail = json.load(stream)["signed"]["records"]

        def said(what, order=None):
            found = [x["data"] for x in trail if x["what"] == what and order in (None, x.get("order"))]
            check(found, f"no record `{what}` of {order or 'the car'}")
            return found
        consent = said("consent-given")[0]
        check_equal((consent["who"], consent["language"], consent["text_version"]), (anna.id, "en", "1"), "the consent")
        offered = {o["id"]: o for x in said("offered") for o in x["orders"]}
        for order in orders:
            said("order-ordered", order)
            check(all(image["sha256"] for image in offered[order]["images"]), f"{order} was offered without its images")
            check_equal(said("order-downloaded", order)[0]["cause"], "reported-downloaded", f"the download of {order}")
            active = said("order-active", order)[0]["details"]
            check_equal(active["reported"], "active", f"the result of {order}")
            check("Vehicle.Powertrain.Transmission.SelectedGear" in active["conditions"], f"no conditions of {order}")
        software = [x for x in said("installed") if x["before"]["installed"].get("software") != x["after"]["installed"]["software"]]
        check_equal([software[-1][when]["installed"]["software"]["sha256"] for when in ("before", "after")],
                    [digest_of(rig.software(v)) for v in (rig.OLD_SOFTWARE, rig.NEW_SOFTWARE)], "software before and after")
    return file


def audit_offline(r, file, count):
    with step("P5.4 with no server the export verifies; a flipped byte, a dropped record and another key are found"):
        def verify(name, *more, key=r.server.provision("audit-key.json")):
            done = subprocess.run([os.path.join(rig.BIN, "layby"), "audit", "verify", name, "--key", key, *more],
                                  capture_output=True, text=True, check=False, timeout=60)
            return done.returncode, done.stdout + done.stderr
        status, text = verify(file, "--vin", VIN)
        check_equal(status, 0, f"exit status of audit verify: {text}")
        check(text.startswith(f"{VIN}: records 1 to ") and int(text.split()[4].rstrip(",")) >= count, text)
        check_equal(verify(file, "--after", file)[0], 0, "an export goes on from itself")
        check_equal(verify(file, "--vin", "WVWZZZ1JZXW000025")[0], 1, "another car")
        check_equal(verify(file, key=r.server.provision("licence-key.json"))[0], 1, "another key")
        check_equal(verify(file + ".missing")[0], 5, "no such file")
        part = os.path.join(r.directory, "part.json")
        check_equal(verify(part)[0], 1, "a part, where the whole was expected")
        check_equal(verify(part, "--part")[0], 0, "a part that is meant to be one")
        check_equal(verify(file, "--vin", "")[0], 2, "an empty VIN is no check")
        with open(file, "rb") as stream:
            whole = stream.read()
        changed = os.path.join(r.directory, "changed.json")
        for at in (whole.index(b'"language":"en"') + 12, len(whole) // 2, len(whole) - 30):
            with open(changed, "wb") as out:
                out.write(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:])
            check_equal(verify(changed)[0], 1, f"byte {at} was flipped")
        document = json.loads(whole)
        gone = document["signed"]["records"].pop(4)["seq"]
        with open(changed, "w", encoding="utf-8") as out:
            json.dump(document, out)
        status, text = verify(changed)
        check(status == 1 and f"record {gone} is missing" in text and "not signed" in text, text)


def test(r):
    car = rig.Car(r, VIN, 17)
    with step("publish"):
        r.publish_releases(function_bytes=9_000_000)
        r.product("adaptive-cruise", "functions/adaptive-cruise/1.0.pkg", fit={"hardware": ["radar-front"]})
        anna = r.account("anna", "owner")
    with step("P2.6 a car joins by a pairing code of 8 characters, good for one use"):
        car.register()
        car.provision()
        code = car.pair(anna)
        check_equal(len(code), 8, "characters of the code")
        other = rig.Car(r, "WVWZZZ1JZXW000025", 25)
        other.register()
        other.provision()
        again = rig.subprocess.run([os.path.join(rig.BIN, "layby-agent"), "pair", "--state", other.state, "--code", code],
                                   capture_output=True, check=False)
        check_equal(again.returncode, 5, "exit status of a second pairing with the same code")
        messages = [m["data"]["message"] for m in anna("messages", VIN)["events"]]
        check("paired" in messages, f"the owner is told: {messages}")
    with step("order"):
        function = anna("order", "function", VIN, "adaptive-cruise")["id"]
        maps = anna("order", "map", VIN, "DE", "IT", "NL")["id"]
        anna("consent", "give", VIN, "--language", "en", "--text-version", "1")
        r.operator("rollout", "start", "spring", "--image", f"software/hu-4/{rig.NEW_SOFTWARE}.img")
    with step("P4.7 the agent is killed in the middle of the download and goes on; no verified chunk is sent twice"):
        car.start_vehicle(rig.DRIVING)
        car.start_agent("--rate-bytes-max", "3000000")
        wait_until("a part is verified", lambda: sum(verified_bytes(car).values()) > 4_000_000)
        car.agent.kill()
        at_kill = verified_bytes(car)
        settled = ranges(r)
        wait_until("the server has noticed", lambda: ranges(r) == settled)
        before = ranges(r)
        car.start_agent()

        def all_waiting():
            orders = car.status()["orders"]
            return len(orders) == 3 and all(o["state"] in ("waiting", "downloaded") for o in orders)
        wait_until("three orders are downloaded", all_waiting, 90)
        after = ranges(r)
        check(sum(at_kill.values()) > 0, "something was verified at the kill")
        for payload, verified in at_kill.items():
            for offset, _ in asked_later(before.get(payload, []), after.get(payload, [])):
                check(offset >= verified, f"{payload}: byte {offset} was sent again, {verified} were verified")
    software = next(o["id"] for o in car.status()["orders"] if o["id"] not in (function, maps))
    orders = (function, maps, software)
    with step("P4.1 P4.3 while a condition is missing nothing is activated, and the head unit names it"):
        said = []
        waits_for(car, "gear", said)
        car.set(**{**rig.PARKED, "locked": "no"})
        waits_for(car, "doors-locked", said)
        car.set(**{**rig.PARKED, "cable": "on"})
        waits_for(car, "charging-cable", said)
        check_equal(len(set(said)), 3, f"different texts in {said}")
    with step("P4.3 it names it in each of the five languages"):
        for language, text in UNPLUG.items():
            car.set(language=language)
            wait_until(f"the head unit says so in {language}", lambda t=text: t in car.head_unit())
        car.set(language="en")
        check_equal(car.show()["activations"], 0, "activations")
        check_equal(r.events("billing"), [], "billing events before the activation")
    with step("P4.2 P3.3 after exit-and-lock everything activates by itself, three regions at one instant"):
        watch_out = os.path.join(r.directory, "watch")
        watch = r.begin([sys.executable, os.path.join(rig.SOURCE, "samples", "watch_maps.py"),
                         os.path.join(car.state, "maps", "current"), watch_out, "DE", "IT", "NL"],
                        os.path.join(r.directory, "watch.log"))
        car.set(**rig.PARKED)
        for order in orders:
            r.wait_for_state(anna, order, "active", 90)
        with open(watch_out + ".stop", "w", encoding="ascii"):
            pass
        check_equal(watch.popen.wait(20), 0, "exit status of the reader, which is 1 for a mixture")
        for region in ("DE", "IT", "NL"):
            check(rig.same_tree(car.live_map(region), r.region(rig.NEW_MAP, region)), f"{region} is not the new release")
        check(rig.same_tree(car.live_map("FR"), r.region(rig.OLD_MAP, "FR")), "FR is not what it was")
        check_equal(car.show()["software"]["sha256"], digest_of(rig.software(rig.NEW_SOFTWARE)), "booted software")
        functions = car.show()["functions"]
        check_equal([f["id"] for f in functions], ["adaptive-cruise"], "active functions")
    with step("P1.5 exactly one billing event, after the car's report"):
        wait_until("the function is billed", lambda: r.events("billing", function))
        check_equal(len(r.events("billing", function)), 1, "billing events")
        check_equal(len(r.events("authorisation", function)), 1, "authorisation events")
        check_equal(r.events("refund"), [], "refund events")
    with step("P1.11 the owner has a message for each step"):
        messages = [m["data"]["message"] for m in anna("messages", VIN)["events"] if m.get("order") == function]
        for word in ("ordered", "downloaded", "activated", "invoiced"):
            check_equal(messages.count(word), 1, f"messages `{word}` in {messages}")
    with step("P5.4 the audit trail is complete and unbroken, with the conditions at the installation"):
        records = anna("audit", VIN, "--check", "--limit", "1000")["records"]
        for order in orders:
            check(any(x.get("order") == order for x in records), f"order {order} is not in the audit trail")
        check("Vehicle." in str(records), "no conditions of the installation in the audit trail")
    export = audit_export(r, anna, orders)
    with step("an agent with nothing to do ends on SIGTERM with 0, and so does the server"):
        check_equal(car.agent.stop(), 0, "exit status of layby-agent")
        check_equal(r.server.process.stop(), 0, "exit status of laybyd")
    audit_offline(r, export, len(records))


if __name__ == "__main__":
    sys.exit(rig.main(test))
