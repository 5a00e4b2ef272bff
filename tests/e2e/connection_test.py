#!/usr/bin/env python3
"""Bearers, roaming, calls, data budget, polls, who is signed in, and maps that the car asks for by itself."""
import sys
import time

import rig
from rig import check, check_equal, step, wait_until

VIN = "WVWZZZ1JZXW000017"
PACKAGE = 9_000_000  # three chunks


def sent(r):
    return sum(t["bytes_sent"] for t in r.operator("transfers", VIN)["transfers"])


def waits_for(car, order, what):
    wait_until(f"{order} waits for {what}", lambda: what in ((car.order(order) or {}).get("waitingFor") or []))


def restart_with(r, key, before, after):
    r.server.process.stop()
    r.server.set_config(key, before, after)
    r.server.start()


def test(r):
    restart_with(r, "poll_seconds", "1", "600")
    car = rig.Car(r, VIN, 17)
    with step("a car far from home, with the server's interval of ten minutes"):
        r.publish_releases(function_bytes=PACKAGE)
        for name in ("adaptive-cruise", "trailer-assist"):
            r.product(name, f"functions/{name}/1.0.pkg")
        anna = r.account("anna", "owner")
        car.register()
        car.provision()
        car.pair(anna)
        car.start_vehicle({**rig.PARKED, "bearer": "sim", "roaming": "on"})
        car.start_agent("--data-budget-mib", "1", "--rate-bytes-max", "3000000")
        wait_until("the first poll", lambda: car.status().get("poll", {}).get("last"))
        time.sleep(2)
    with step("P2.4 an order is not known before the interval is over, and is at the next power-on"):
        big = anna("order", "function", VIN, "adaptive-cruise")["id"]
        time.sleep(3)
        check_equal(car.status()["orders"], [], "orders in the car")
        car.set(power="on")
        wait_until("the order is known", lambda: car.order(big))
        car.set(power="off")
    with step("P2.3 while roaming there are reports but no payloads, and the head unit says why"):
        waits_for(car, big, "roaming")
        check("roaming" in car.head_unit(), f"head unit: {car.head_unit()}")
        check_equal(r.operator("transfers", VIN)["transfers"], [], "transfers")
    with step("P2.3 on 2G nothing comes during a call"):
        car.set(radio="2G", in_call="on", roaming="off")
        waits_for(car, big, "call")
        check("during the call" in car.head_unit(), f"head unit: {car.head_unit()}")
        check_equal(r.operator("transfers", VIN)["transfers"], [], "transfers")
    with step("P2.3 the month's data budget holds to a chunk; Wi-Fi does not count"):
        car.set(in_call="off")
        waits_for(car, big, "data-budget")
        check("data volume" in car.head_unit(), f"head unit: {car.head_unit()}")
        over_sim = sent(r)
        check(1 << 20 <= over_sim < PACKAGE, f"{over_sim} bytes over the SIM")
        check_equal(car.status()["meteredData"]["bytes"], over_sim, "what the car counted")
        car.set(private_mode="on", bearer="wifi", user="guest")
        waits_for(car, big, "private-mode")
        check_equal(sent(r), over_sim, "bytes in private mode")
    with step("P2.2 it goes on from its byte, and no byte is sent twice"):
        car.set(private_mode="off")
        wait_until("all of it is here", lambda: car.order(big)["state"] == "downloaded")
        transfers = r.operator("transfers", VIN)["transfers"]
        check_equal(sum(t["bytes_sent"] for t in transfers), car.order(big)["bytesTotal"], "bytes sent")
        check_equal(car.status()["meteredData"]["bytes"], over_sim, "metered bytes")
    with step("P2.5 who is signed in makes no difference: a guest, nobody"):
        car.set(user="none")
        car.wait_for_active(anna, [big])
        check_equal([f["id"] for f in car.show()["functions"]], ["adaptive-cruise"], "active functions")
    with step("P1.13 the head unit shows the same term as the server: none"):
        wait_until("it is shown", lambda: "without a time limit: adaptive-cruise" in car.head_unit())
    with step("P2.4 after a restart with a connection an order is known"):
        car.agent.stop()
        small = anna("order", "function", VIN, "trailer-assist")["id"]
        car.start_agent()
        wait_until("the order is known", lambda: car.order(small))
        car.wait_for_active(anna, [small])
    with step("P3.2 the car looks by itself and only announces what it found: the owner orders"):
        car.agent.stop()
        car.start_agent("--map-regions", "announce", "--home-region", "DE")
        wait_until("it says what there is", lambda: "can be ordered: DE, " in car.head_unit())
        check_equal([o for o in anna("order", "list", VIN)["orders"] if o["kind"] == "map"], [], "map orders")
    with step("P3.2 the car asks by itself for home, where it was and what it has, and announces what it found"):
        car.agent.stop()
        car.set(region="FR", bearer="sim")
        car.start_agent("--map-regions", "auto", "--home-region", "DE")
        wait_until("it says what it found", lambda: "found newer maps: DE, FR" in car.head_unit())
        found = [o for o in anna("order", "list", VIN)["orders"] if o["kind"] == "map"]
        check_equal([o["regions"] for o in found], [["DE", "FR", "IT"]], "map orders")
        messages = [m for m in anna("messages", VIN)["events"] if m.get("order") == found[0]["id"]]
        check_equal([m["data"]["message"] for m in messages], ["ordered"], "messages to the owner")
        trail = [a for a in r.operator("audit", VIN)["records"] if a.get("order") == found[0]["id"]]
        check_equal(trail[0]["who"], VIN, "who ordered, in the audit trail")
        waits_for(car, found[0]["id"], "wifi")
    with step("P3.2 P2.3 once there is Wi-Fi they come, and become active together"):
        car.set(bearer="wifi")
        car.wait_for_active(anna, [found[0]["id"]])
        check(rig.same_tree(car.live_map("FR"), r.region(rig.NEW_MAP, "FR")), "the map of FR is another")
        check(rig.same_tree(car.live_map("DE"), r.region(rig.NEW_MAP, "DE")), "the map of DE is another")


if __name__ == "__main__":
    sys.exit(rig.main(test))
