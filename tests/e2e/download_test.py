#!/usr/bin/env python3
"""A download over a link of 2 Mbit/s and 100 ms that is cut every few seconds, through a proxy."""
import sys
import time

import rig
from rig import check, check_equal, step, wait_until
from shaping_proxy import ShapingProxy

VIN = "WVWZZZ1JZXW000017"
BYTES = 4_000_000
RATE, ROUND_TRIP, CUT_SECONDS = 250_000, 0.1, 4.0
# To the proxy's answer, the end of the TLS handshake, and the first byte of the answer.
ROUND_TRIPS = 3


def test(r):
    car = rig.Car(r, VIN, 17)
    link = ShapingProxy(ROUND_TRIP, RATE, CUT_SECONDS)
    with step("a car that is paired through the proxy"):
        check_equal(r.server.process.stop(), 0, "exit status of laybyd")
        r.server.set_config("poll_seconds", "1", "900")  # polls take their share of the link
        r.server.start()
        r.publish([{"kind": "function", "id": "big", "version": "1.0", "hardware": [rig.HARDWARE], "release_counter": 1,
                    "path": r.package("big", BYTES, 5), "duration_seconds": 30}])
        r.operator("jobs", "--wait", "--timeout", "300")
        r.product("big", "functions/big/1.0.pkg")
        anna = r.account("anna", "owner")
        car.register()
        car.provision()
        car.pair(anna, "--proxy", link.url)
        check(link.connections > 0, "nothing went through the proxy")
        link.begin_to_cut()  # not before: whoever pairs a car sees an error and does it again
        car.start_vehicle(rig.PARKED)
        order = anna("order", "function", VIN, "big")["id"]
    with step("what is missing comes at the speed of the link, and no byte of it twice"):
        car.start_agent("--proxy", link.url)
        wait_until("the download has begun", lambda: (car.order(order) or {}).get("state") == "downloading", pause=0.02)
        begun, cuts, connections, sent = time.monotonic(), link.cuts, link.connections, link.received
        before = car.order(order)["bytesReceived"]
        wait_until("it is downloaded", lambda: car.order(order)["state"] in ("downloaded", "waiting"), 120, pause=0.02)
        seconds, cuts, connections = time.monotonic() - begun, link.cuts - cuts, link.connections - connections
        sent = link.received - sent
        now = car.order(order)
        came = now["bytesReceived"] - before
        missing = now["bytesTotal"] - before
        # What was on its way when the link was cut is lost, wherever it was.
        allowed = sent / RATE + connections * ROUND_TRIPS * ROUND_TRIP
        print(f"       {missing} bytes were missing, {came} came; {seconds:.1f} s, the link allows {allowed:.1f} s "
              f"({sent} bytes sent and {connections} connections); {cuts} cuts")
        check(cuts >= 3, f"{cuts} cuts")
        check(missing <= came <= missing * 1.01, f"{came} bytes for {missing}")
        check(seconds <= allowed * 1.1 * rig.PATIENCE, f"{seconds:.1f} s, {allowed:.1f} s are allowed")
    with step("without the proxy there is no way to the server, and with a wrong one the command line says so"):
        check_equal(car.agent.stop(), 0, "exit status of layby-agent")
        link.stop()
        car.start_agent("--proxy", link.url)

        def is_named():  # not the error of the agent that was ended just now
            error = car.status()["poll"].get("error")
            return error and "interrupted" not in error["text"]
        wait_until("the error is named", is_named, 90)
        check_equal(car.agent.stop(), 0, "exit status of layby-agent")
        car.start_agent("--proxy", "ftp://127.0.0.1:1")
        check_equal(car.agent.popen.wait(20), 1, "exit status with a proxy that is none")


if __name__ == "__main__":
    sys.exit(rig.main(test))
