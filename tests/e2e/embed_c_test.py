#!/usr/bin/env python3
"""The host in C of samples/embed-c, from the order of a function to its activation and its bill; and what it says of a directory without a car."""
import os
import subprocess
import sys

import rig
from rig import check, check_equal, step

VIN = "WVWZZZ1JZXW000017"
CRUISE = "adaptive-cruise"
HOST = os.path.join(rig.BIN, "layby-embed-c")


def host(*arguments):
    return subprocess.run([HOST, *arguments], capture_output=True, text=True, timeout=90 * rig.PATIENCE, check=False)


def test(r):
    car = rig.Car(r, VIN, 17)
    with step("a directory that is not provisioned is refused by name"):
        refused = host(car.state)
        check_equal(refused.returncode, 1, "exit status")
        check(car.state in refused.stderr, f"the text names the directory: {refused.stderr}")
        check_equal(host().returncode, 2, "exit status of a wrong command line")

    r.publish([{"kind": "function", "id": CRUISE, "version": "1.0", "hardware": [rig.HARDWARE], "release_counter": 1,
                "path": r.package(CRUISE, 300_000, CRUISE), "duration_seconds": 30}])
    r.operator("jobs", "--wait", "--timeout", "300")
    r.product("cruise", f"functions/{CRUISE}/1.0.pkg")
    owner = r.account("anna", "owner")
    car.register()
    car.provision()
    car.pair(owner)

    with step("what is ordered is downloaded, activated after an exit and lock, and billed once"):
        order = owner("order", "function", VIN, "cruise")["id"]
        done = host(car.state)
        check(done.returncode == 0, f"exit status {done.returncode}\n{done.stdout}{done.stderr}")
        check(f"{order} downloading" in done.stdout, f"the log has the download: {done.stdout}")
        check(f"the car is asked: 1 {CRUISE} " in done.stdout, f"the car is asked to activate: {done.stdout}")
        r.wait_for_state(owner, order, "active")
        check_equal(len(r.events("billing", order)), 1, "bills")


if __name__ == "__main__":
    sys.exit(rig.main(test))
