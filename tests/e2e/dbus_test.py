#!/usr/bin/env python3
"""The agent on a private D-Bus: what the head unit shows as properties and signals, what the owner wants as methods; silence while nothing changes;
who may ask, by the policy that is installed with it.

The server asks cars to come every 900 seconds: whatever is on time here came by CheckNow, or by the server's answers to reports.
"""
import grp
import os
import re
import subprocess
import sys
import time

import rig
from rig import check, check_equal, step, wait_until

VIN = "WVWZZZ1JZXW000017"
CRUISE = "adaptive-cruise"
NAME, PATH = "org.layby.Agent1", "/org/layby/Agent1"
CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path=SOCKET</listen><listen>unix:abstract=SOCKET</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy>
INCLUDED
</busconfig>
"""
POLICY = os.path.join(rig.SOURCE, "packaging", "dbus", "org.layby.Agent1.conf")
IS_ROOT = os.geteuid() == 0  # the policy lets nobody else be the agent
STRANGER = 65534
MEMBERS = grp.getgrnam("games")  # stands for the group of the policy, which only an installed package makes


class Bus:
    def __init__(self, r):
        socket = os.path.join(r.directory, "bus")
        config = os.path.join(r.directory, "bus.conf")
        with open(config, "w", encoding="utf-8") as out:
            out.write(CONFIG.replace("SOCKET", socket).replace("INCLUDED", f"<include>{self.policy(r)}</include>" if IS_ROOT else ""))
        self.rig, self.socket, self.config = r, socket, config
        self.start()
        self.address = f"unix:path={socket}"
        self.heard = os.path.join(r.directory, "monitor.log")
        r.begin(["dbus-monitor", "--address", self.address, f"type='signal',path='{PATH}'"], self.heard)

    @staticmethod
    def policy(r):
        with open(POLICY, encoding="utf-8") as stream:
            text = stream.read()
        check('<policy group="layby-agent">' in text, "the policy names no group")
        path = os.path.join(r.directory, "policy.conf")
        with open(path, "w", encoding="utf-8") as out:
            out.write(text.replace('group="layby-agent"', f'group="{MEMBERS.gr_name}"'))
        return path

    def start(self):
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        self.daemon = self.rig.begin(["dbus-daemon", f"--config-file={self.config}", "--nofork"], os.path.join(self.rig.directory, "bus.log"))
        wait_until("the bus listens", lambda: os.path.exists(self.socket))

    def attempt(self, method, *arguments):
        member = method if "." in method else f"{NAME}.{method}"
        return subprocess.run(["dbus-send", f"--bus={self.address}", "--print-reply", "--reply-timeout=20000",
                               f"--dest={NAME}", PATH, member, *arguments], capture_output=True, text=True, timeout=60, check=False)

    def attempt_of_stranger(self, method, *arguments, groups=()):
        """As another user, who cannot look into our directory."""
        return subprocess.run(["dbus-send", f"--bus=unix:abstract={self.socket}", "--print-reply", "--reply-timeout=20000", f"--dest={NAME}", PATH,
                               method, *arguments], capture_output=True, text=True, timeout=60, check=False, cwd="/", env={"PATH": os.environ["PATH"]},
                              user=STRANGER, group=STRANGER, extra_groups=list(groups))

    def call(self, method, *arguments):
        done = self.attempt(method, *arguments)
        check(done.returncode == 0, f"{method}: {done.stderr}")
        return done.stdout

    def get(self, name):
        return self.call("org.freedesktop.DBus.Properties.Get", f"string:{NAME}", f"string:{name}")

    def refused(self, method, *arguments):
        done = self.attempt(method, *arguments)
        check(done.returncode != 0 and "InvalidArgs" in done.stderr, f"{method} {arguments}: {done.stdout}{done.stderr}")

    def signals(self):
        with open(self.heard, encoding="utf-8") as stream:
            return stream.read()


def wait_for_text(bus, name, text, seconds=30):
    wait_until(f"{name} says {text}", lambda: text in bus.get(name), seconds, 0.2)


def test(r):
    bus = Bus(r)
    r.publish([{"kind": "function", "id": CRUISE, "version": "1.0", "hardware": [rig.HARDWARE], "release_counter": 1,
                "path": r.package(CRUISE, 100_000, CRUISE), "duration_seconds": 30}])
    r.operator("jobs", "--wait", "--timeout", "300")
    r.product("cruise", f"functions/{CRUISE}/1.0.pkg")
    owner = r.account("anna", "owner")
    car = rig.Car(r, VIN, 17)
    car.register()
    car.provision()
    car.pair(owner)
    car.start_vehicle(rig.PARKED)
    with step("without a bus the agent says so and ends"):
        refused = subprocess.run([os.path.join(rig.BIN, "layby-agent"), "run", "--state", car.state, "--vehicle", f"unix:{car.socket}",
                                  "--dbus", "unix:path=/nonexistent/bus"], capture_output=True, text=True, timeout=60, check=False)
        check_equal(refused.returncode, 1, "exit status")
        check("D-Bus unix:path=/nonexistent/bus" in refused.stderr, refused.stderr)
    car.start_agent("--dbus", bus.address)

    with step("the interface describes itself"):
        wait_until("the agent is on the bus", lambda: bus.attempt("org.freedesktop.DBus.Peer.Ping").returncode == 0)
        described = bus.call("org.freedesktop.DBus.Introspectable.Introspect")
        for word in ('method name="CheckNow"', 'method name="InstallAt"', 'method name="Postpone"', 'method name="SetLanguage"',
                     'signal name="StateChanged"', 'property name="Updates" type="a(sssuiasss)"'):
            check(word in described, f"{word} is missing:\n{described}")

    with step("by the installed policy everybody may look, the group may ask, and a stranger may not"):
        if IS_ROOT:
            for method, arguments in (("org.freedesktop.DBus.Properties.Get", (f"string:{NAME}", "string:Updates")),
                                      ("org.freedesktop.DBus.Introspectable.Introspect", ())):
                done = bus.attempt_of_stranger(method, *arguments)
                check(done.returncode == 0, f"{method}: {done.stderr}")
            for method, arguments in ((f"{NAME}.SetLanguage", ("string:en",)), (f"{NAME}.CheckNow", ()), (f"{NAME}.InstallAt", ("string:",))):
                done = bus.attempt_of_stranger(method, *arguments)
                check(done.returncode != 0 and "AccessDenied" in done.stderr, f"{method}: {done.stdout}{done.stderr}")
                done = bus.attempt_of_stranger(method, *arguments, groups=[MEMBERS.gr_gid])
                check(done.returncode == 0, f"{method}, of the group: {done.stderr}")
        else:
            print("SKIPPED: who may ask on the system bus is tried by root only: this test does not run as root", flush=True)

    with step("nothing is sent while nothing changes"):
        wait_until("the first poll", lambda: "last" in car.status()["poll"])
        time.sleep(2 * rig.PATIENCE)
        before = bus.signals()
        time.sleep(4)
        check_equal(bus.signals(), before, "signals")

    with step("the owner's language is the screen's; a language that is none is refused"):
        wait_for_text(bus, "Language", '"en"')
        bus.refused("SetLanguage", "string:tlh")
        bus.call("SetLanguage", "string:de")
        wait_for_text(bus, "Language", '"de"')
        bus.call("SetLanguage", "string:")
        wait_for_text(bus, "Language", '"en"')

    with step("CheckNow brings the order at once; properties and signals follow it"):
        order = owner("order", "function", VIN, "cruise")["id"]
        time.sleep(2)
        check(order not in bus.get("Updates"), "the car had it already")
        bus.call("CheckNow")
        wait_for_text(bus, "Updates", order)
        wait_until("the signal of its download", lambda: f'string "{order}"\n   string "downloaded"' in bus.signals())

    with step("a time that is none is refused; an order waits for the owner's time, and begins when there is none any more"):
        for wrong in ("string:tomorrow", "string:2026-13-01T00:00:00Z", "string:9999-12-31T23:59:59Z"):
            bus.refused("InstallAt", wrong)
        bus.refused("Postpone", "uint32:0")
        said = re.search(r'string "(\S+Z)"', bus.call("Postpone", "uint32:36000")).group(1)
        wait_for_text(bus, "ActivateAt", said)
        check("ActivateAt" in bus.signals(), "a signal says so")
        bus.call("InstallAt", "string:" + time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 86_400)))
        car.exit_and_lock()
        wait_until("it waits for the time", lambda: "owner-time" in (car.order(order) or {}).get("waitingFor", []))
        bus.call("InstallAt", "string:")
        car.wait_for(owner, [order], "active")
        wait_until("the signal of its end", lambda: f'string "{order}"\n   string "active"' in bus.signals()
                   or f'string "{order}"\n   string ""' in bus.signals())
        wait_until("the function is listed", lambda: CRUISE in bus.get("Functions"))

    with step("when the bus goes away the car goes on without it, and finds it again"):
        car.agent.stop()
        car.start_agent("--dbus", bus.address)
        wait_until("the agent is on the bus again", lambda: bus.attempt("org.freedesktop.DBus.Peer.Ping").returncode == 0)
        bus.daemon.stop()
        time.sleep(1)
        check(car.agent.running(), "it ended with the bus")
        check_equal(car.status()["running"], True, "running")
        bus.start()
        wait_until("the agent is on the new bus", lambda: bus.attempt("org.freedesktop.DBus.Peer.Ping").returncode == 0)
        wait_for_text(bus, "Functions", CRUISE)
        with open(car.agent.log, encoding="utf-8") as stream:
            said = stream.read()
        for text in ("the connection is gone", "the connection is there again"):
            check(text in said, f"the agent does not say: {text}\n{said}")

    with step("a car that cannot be reached is told of, and one that is there again"):
        check_equal(car.status()["vehicle"]["connected"], True, "connected")
        car.vehicle.kill()
        wait_until("status says why", lambda: car.status()["vehicle"].get("nextTry"))
        lost = car.status()["vehicle"]
        check(not lost["connected"] and lost["error"], f"{lost}")
        text = rig.run(os.path.join(rig.BIN, "layby-agent"), "status", "--state", car.state)
        check("car: not reached since" in text, text)
        car.start_vehicle(rig.PARKED)
        wait_until("the car is reached", lambda: car.status()["vehicle"]["connected"], 60)
        with open(car.agent.log, encoding="utf-8") as stream:
            said = stream.read()
        check("the car is not reached: " in said and "the car is reached" in said, said)


def main():
    try:
        with rig.Rig() as r:
            r.server.set_config("poll_seconds", "1", "900")
            r.server.start()
            test(r)
    except rig.Failed as error:
        print(f"FAILED: {error}", flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
