#!/usr/bin/env python3
"""Memory and wake-ups of the real daemon: one large update against the real server, then a minute of nothing to do.

    python3 benches/agent_memory.py [MIB]

Prints the daemon's peak resident size (VmHWM) after an update of MIB MiB (1024), and how often it woke up in 60 s in which nothing
happened (voluntary context switches). Needs three times MIB on the disk of the temporary directory.
"""
import os
import random
import sys
import time

os.environ.setdefault("LAYBY_BIN_DIR", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "build", "release", "bin"))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "e2e"))
import rig  # noqa: E402

MIB = int(sys.argv.pop(1)) if len(sys.argv) > 1 else 1024
IDLE_SECONDS = 60


def proc(pid, field):
    with open(f"/proc/{pid}/status", encoding="ascii") as stream:
        for line in stream:
            if line.startswith(field + ":"):
                return int(line.split()[1])
    raise rig.Failed(f"/proc/{pid}/status has no {field}")


def package(r):
    path, noise = os.path.join(r.directory, "large.pkg"), random.Random(1)
    with open(path, "wb") as out:
        for _ in range(MIB):
            out.write(noise.randbytes(1 << 20))
    return path


def test(r):
    r.publish([{"kind": "function", "id": "adaptive-cruise", "version": "1.0", "hardware": [rig.HARDWARE], "release_counter": 1,
                "path": package(r), "duration_seconds": 30}])
    r.operator("jobs", "--wait", "--timeout", "1200")
    r.product("adaptive-cruise", "functions/adaptive-cruise/1.0.pkg")
    anna = r.account("anna", "owner")
    car = rig.Car(r, "WVWZZZ1JZXW000017", 1)
    car.register()
    car.provision()
    car.pair(anna)
    order = anna("order", "function", car.vin, "adaptive-cruise")["id"]
    car.start_vehicle(rig.PARKED)
    begun = time.monotonic()
    car.start_agent()
    rig.wait_until("it is downloaded", lambda: (car.order(order) or {}).get("state") in ("downloaded", "waiting", "active"), 1200, 1)
    downloaded = time.monotonic() - begun
    car.wait_for_active(anna, [order], 600)
    pid = car.agent.popen.pid
    print(f"{MIB} MiB: downloaded in {downloaded:.0f} s, VmHWM {proc(pid, 'VmHWM') / 1024:.1f} MiB, "
          f"VmRSS {proc(pid, 'VmRSS') / 1024:.1f} MiB")
    time.sleep(10)
    before = proc(pid, "voluntary_ctxt_switches")
    time.sleep(IDLE_SECONDS)
    print(f"idle for {IDLE_SECONDS} s: {proc(pid, 'voluntary_ctxt_switches') - before} wake-ups")
    rig.check_equal(car.agent.stop(), 0, "exit status of layby-agent")


if __name__ == "__main__":
    sys.exit(rig.main(test))
