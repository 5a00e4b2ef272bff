#!/usr/bin/env python3
"""Memory and wake-ups of the real daemon: one large update against the real server, and what it does while there is nothing to do.

    python3 benches/agent_memory.py [--mib N] [--whole] [--idle-seconds N] [--no-update]

The update is one software image of N MiB (1024): the car has one that differs in scattered places and lacks a 64th of it, so it comes
as a delta; with --whole the car has none that fits, and it comes as a whole. Much of it repeats itself, so that making the payloads takes
minutes. Printed are the daemon's peaks: VmHWM as the
kernel keeps it, and the highest RssAnon (its own) and RssFile (code of the program and its libraries) that were seen.

Before and after it: wake-ups (voluntary context switches of all threads) in N seconds (120) in which nothing happens, while nothing is
ordered, while an order waits for Wi-Fi, and while a downloaded one waits for exit-and-lock; each with a car that sends its signals once a
second, and with one that says nothing. The server asks for a poll every 900 s. Needs seven times N MiB in the temporary directory.
"""
import argparse
import os
import random
import signal
import sys
import time

os.environ.setdefault("LAYBY_BIN_DIR", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "build", "release", "bin"))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "e2e"))
import rig  # noqa: E402

MIB = 1 << 20
VIN = "WVWZZZ1JZXW000017"
# Bytes of few values, as text or tables have: they pack to about two thirds.
FEW = bytes(b"0123456789abcdef ,;:.-\n{}[]()ETIA"[i % 32] for i in range(256))


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--idle-seconds", type=int, default=120)
    parser.add_argument("--no-update", action="store_true")
    return parser.parse_args()


def proc(pid, *fields):
    with open(f"/proc/{pid}/status", encoding="ascii") as stream:
        found = dict(line.split(":", 1) for line in stream)
    return [int(found[field].split()[0]) for field in fields]


def switches(pid):
    return sum(proc(f"{pid}/task/{task}", "voluntary_ctxt_switches")[0] for task in os.listdir(f"/proc/{pid}/task"))


def cpu_ms(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stream:
        fields = stream.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * 1000 // os.sysconf("SC_CLK_TCK")


class Peaks:
    """The highest of what is seen of a process, every 20 ms at the most often."""

    def __init__(self, pid):
        self.pid, self.anon, self.file = pid, 0, 0

    def look(self):
        anon, file = proc(self.pid, "RssAnon", "RssFile")
        self.anon, self.file = max(self.anon, anon), max(self.file, file)

    def __str__(self):
        hwm, rss = proc(self.pid, "VmHWM", "VmRSS")
        return (f"VmHWM {hwm / 1024:.1f} MiB (highest RssAnon {self.anon / 1024:.1f}, highest RssFile {self.file / 1024:.1f}), "
                f"VmRSS afterwards {rss / 1024:.1f} MiB")


def images(r, mib):
    """The car's image and the new one, a piece of memory at a time."""
    noise, old, new = random.Random(1), os.path.join(r.directory, "old.img"), os.path.join(r.directory, "new.img")
    with open(old, "wb") as old_out, open(new, "wb") as new_out:
        for out, version in ((old_out, rig.OLD_SOFTWARE), (new_out, rig.NEW_SOFTWARE)):  # what a head unit would boot
            with open(rig.software(version), "rb") as start:
                out.write(start.read())
        for i in range(mib):
            if i % 64 >= 63:  # only in the new one: what packs, and what does not
                piece = noise.randbytes(MIB)
                new_out.write(piece.translate(FEW) if i % 128 > 64 else piece)
                continue
            piece = noise.randbytes(4096) * 256
            old_out.write(piece)
            changed = bytearray(piece)
            for _ in range(16):
                at = noise.randrange(MIB - 4)
                changed[at:at + 4] = noise.randbytes(4)
            new_out.write(changed)
    return old, new


def image(version, counter, path):
    return {"kind": "software", "version": version, "hardware": [rig.HARDWARE], "release_counter": counter, "path": path,
            "duration_seconds": 600, "battery_percent_min": 40}


def idle(car, seconds, what):
    pid = car.agent.popen.pid
    for said in ("its signals every second", "nothing"):
        if said == "nothing":
            car.vehicle.popen.send_signal(signal.SIGSTOP)
        time.sleep(20)  # what is under way ends; signals grow old
        before, cpu, begun = switches(pid), cpu_ms(pid), time.monotonic()
        time.sleep(seconds)
        minutes = (time.monotonic() - begun) / 60
        print(f"{what}, the car says {said}: {(switches(pid) - before) / minutes:.1f} wake-ups and {(cpu_ms(pid) - cpu) / minutes:.0f} ms "
              "of CPU a minute", flush=True)
    car.vehicle.popen.send_signal(signal.SIGCONT)


def waits(car, order, condition):
    rig.wait_until(f"{order} waits for {condition}", lambda: condition in (car.order(order) or {}).get("waitingFor", []), 60)


def prepare(r, car, options):
    """Everything is published; the owner."""
    functions = [{"kind": "function", "id": name, "version": "1.0", "hardware": [rig.HARDWARE], "release_counter": 1,
                  "path": r.package(name, 100_000, name), "duration_seconds": 30, **more}
                 for name, more in (("adaptive-cruise", {}), ("trailer-assist", {"network": "unmetered"}))]
    r.publish(functions)
    old, new = None, None
    if not options.no_update:
        old, new = images(r, options.mib)
        r.publish([image("1.0", 1, old)])
        r.publish([image("2.0", 2, new)])
    begun = time.monotonic()
    wait_for_jobs(r)
    print(f"payloads made in {time.monotonic() - begun:.0f} s", flush=True)
    for name in ("adaptive-cruise", "trailer-assist"):
        r.product(name, f"functions/{name}/1.0.pkg")
    anna = r.account("anna", "owner")
    car.register()
    provision(r, car, rig.software(rig.OLD_SOFTWARE) if old is None or options.whole else old)
    car.pair(anna)
    return anna


def wait_for_jobs(r):
    def done():
        return r.operator.attempt("jobs", "--wait", "--timeout", "240")[0] == 0
    rig.wait_until("the payloads are made", done, 4 * 3600, 1)


def provision(r, car, software):
    server = r.server
    rig.run(os.path.join(rig.BIN, "layby-agent"), "provision", "--state", car.state, "--vin", car.vin, "--ecu", car.ecu, "--hardware",
            rig.HARDWARE, "--director-root", server.provision("director-root.json"), "--image-root",
            server.provision("image-root.json"), "--ca", server.provision("ca.pem"), "--server", server.url, "--software", software)


def update(r, car, anna):
    """From consent to active; the peaks of the daemon's whole life."""
    anna("consent", "give", VIN, "--language", "en", "--text-version", "1")
    r.operator("rollout", "start", "spring", "--image", f"software/{rig.HARDWARE}/2.0.img")
    peaks, begun, last = Peaks(car.agent.popen.pid), time.monotonic(), 0.0
    car.set(power="on")
    car.set(power="off")

    def software():
        nonlocal last
        peaks.look()
        if time.monotonic() < last + 1:
            return None
        last = time.monotonic()
        return next((o for o in car.status()["orders"] if o["bytesTotal"] > MIB), None)

    def is_here():
        order = software()
        return order if order and order["state"] in ("downloaded", "waiting", "active") else None
    here = rig.wait_until("it is downloaded", is_here, 3600, 0.02)
    print(f"{here['bytesTotal'] / MIB:.1f} MiB of payload downloaded and applied in {time.monotonic() - begun:.0f} s: {peaks}", flush=True)
    car.exit_and_lock()

    def is_active():
        peaks.look()
        return r.order_state(anna, here["id"]) == "active"
    rig.wait_until("it is active", is_active, 600, 0.2)
    print(f"active after {time.monotonic() - begun:.0f} s: {peaks}", flush=True)


def test(r, options):
    car = rig.Car(r, VIN, 1)
    anna = prepare(r, car, options)
    car.start_vehicle(rig.PARKED)
    car.start_agent()
    rig.wait_until("the car has looked for news", lambda: car.status()["poll"].get("last"), 60)
    if options.idle_seconds:
        idle(car, options.idle_seconds, "nothing is ordered")
    if not options.no_update:
        update(r, car, anna)
    if options.idle_seconds:
        car.set(bearer="sim", power="on", driver="in", locked="no")
        waiting = anna("order", "function", VIN, "trailer-assist")["id"]
        car.set(power="off")
        car.set(power="on")
        waits(car, waiting, "wifi")
        idle(car, options.idle_seconds, "an order waits for Wi-Fi")
        anna("order", "cancel", waiting)
        downloaded = anna("order", "function", VIN, "adaptive-cruise")["id"]
        car.set(power="off")
        car.set(power="on")
        waits(car, downloaded, "power")
        idle(car, options.idle_seconds, "a downloaded order waits for exit-and-lock")
    rig.check_equal(car.agent.stop(), 0, "exit status of layby-agent")


def main():
    options = arguments()
    try:
        with rig.Rig() as r:
            r.server.set_config("poll_seconds", "1", "900")
            r.server.start()
            test(r, options)
    except rig.Failed as error:
        print(f"FAILED: {error}", flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
