#!/usr/bin/env python3
"""Owners and users of a car: invitation, hand-over, a partner's pairing, a certificate's renewal and revocation, and an account
that is erased, looked for in the server's files."""
import os
import sys

import rig
from rig import check, check_equal, step, wait_until

VIN = "WVWZZZ1JZXW000017"


def what(person, vin=VIN):
    return [record["what"] for record in person("audit", vin, "--limit", "1000")["records"]]


def refused(person, *arguments):
    status, problem, _ = person.attempt(*arguments)
    check_equal((status, problem["status"]), (1, 404), f"{arguments}: {problem}")


def files_hold(directory, text):
    for folder, _, names in os.walk(directory):
        for name in names:
            try:
                with open(os.path.join(folder, name), "rb") as stream:
                    if text in stream.read():
                        return True
            except FileNotFoundError:  # the store drops its old files meanwhile
                pass
    return False


def test(r):
    check_equal(r.server.process.stop(), 0, "laybyd")
    r.server.set_config("certificate_days", "1825", "4")
    r.server.start()
    anna, bert, nora = (r.account(name, "owner") for name in ("anna", "bert", "nora"))
    partner = r.account("workshop", "partner")
    car = rig.Car(r, VIN, 17)
    with step("an owner and, by invitation, a secondary user"):
        r.publish_releases()
        r.product("adaptive-cruise", "functions/adaptive-cruise/1.0.pkg")
        car.register()
        car.provision()
        car.pair(anna)
        car.start_vehicle(rig.PARKED)
        bert("user", "accept", anna("user", "invite", VIN)["code"])
        check_equal(bert("car", "list")["cars"], [{"vin": VIN, "as": "secondary"}], "bert's cars")
        function = anna("order", "function", VIN, "adaptive-cruise")["id"]
        car.start_agent()
        car.wait_for_active(anna, [function])
    with step("P1.10 handed over, the old owner and all users lose access at once; an unlimited function stays in the car"):
        anna("car", "hand-over", VIN)
        for person in (anna, bert):
            refused(person, "car", "show", VIN)
            refused(person, "messages", VIN)
        check("handed-over" in [e["data"]["message"] for e in anna("messages")["events"]], "anna is told")
        check_equal(car.agent.stop(), 0, "exit status")
        car.pair(nora)
        car.start_agent()
        wait_until("the car reports under its new owner",
                   lambda: "adaptive-cruise" in nora("car", "show", VIN)["functions"])
        check_equal(nora("car", "show", VIN)["functions"]["adaptive-cruise"]["state"], "active", "the function")
    with step("P1.10 the new owner sees nothing of the old one's"):
        for answer in (nora("car", "show", VIN), nora("messages", VIN), nora("audit", VIN)):
            check(anna.id not in str(answer) and bert.id not in str(answer), f"{answer}")
    with step("P2.6 a certificate is renewed before it expires; the old one ends with the first use of the new one"):
        r.operator("simulation", "advance", "--days", "2")
        wait_until("a certificate is issued", lambda: "certificate-issued" in what(r.operator))
        check_equal(car.agent.stop(), 0, "exit status")
        car.start_agent()
        wait_until("it is used", lambda: "certificate-renewed" in what(r.operator))
        r.operator("simulation", "advance", "--days", "3")  # the first one has expired by now
        report = nora("car", "show", VIN)["report"]["counter"]
        check_equal(car.agent.stop(), 0, "exit status")
        car.start_agent()
        wait_until("the car still reports", lambda: nora("car", "show", VIN)["report"]["counter"] > report)
    with step("P2.6 revoked, a certificate shuts the car out on the connection that is open"):
        r.operator("car", "revoke-certificate", VIN)

        def shut_out():
            with open(os.path.join(car.home, "agent.log"), encoding="utf-8") as stream:
                return "answered 401" in stream.read()

        wait_until("the agent is told", shut_out)
        check_equal(car.agent.stop(), 0, "exit status")
    with step("P2.6 a partner enters the owner's code in the workshop, and the owner is told"):
        car.pair(nora, "--partner-token-file", partner.token_file)
        paired = [e for e in nora("messages", VIN)["events"] if e["data"]["message"] == "paired"]
        check_equal(paired[-1]["data"]["partner"], partner.id, "who paired it")
        car.start_agent()
        wait_until("the car reports again", lambda: "report" in nora("car", "show", VIN))
    with step("P2.7 an erased account has no access, and is gone from the server's files; the car's history stays"):
        store = os.path.join(r.server.data, "store")
        check(files_hold(store, b"nora@example.org"), "it was there")
        nora("account", "erase", "me")
        check_equal(nora.attempt("car", "list")[0], 1, "exit status")
        wait_until("the store has dropped it", lambda: not files_hold(store, b"nora@example.org"))
        check("owner" not in r.operator("car", "show", VIN), "the car has no owner")
        r.operator("audit", VIN, "--check", "--limit", "1000")
        check("paired" in what(r.operator), "the history")


if __name__ == "__main__":
    sys.exit(rig.main(test))
