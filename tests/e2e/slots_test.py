#!/usr/bin/env python3
"""Software slots on block devices, chosen by a boot loader that reads U-Boot's environment: trial, counter, health check."""
import os
import subprocess
import sys

import rig
from rig import check, check_equal, step, wait_until

VIN = "WVWZZZ1JZXW000017"
DEVICE_BYTES = 8 << 20
COPY_BYTES = 0x4000


def quiet(*arguments):
    return subprocess.run(arguments, capture_output=True, text=True, check=False)


class Devices:
    """Loop devices where that is permitted, else files in their place."""

    def __init__(self, directory):
        self.loops, self.paths = [], {}
        for slot in "ab":
            image = os.path.join(directory, f"slot-{slot}.img")
            with open(image, "wb") as out:
                out.truncate(DEVICE_BYTES)
            made = quiet("losetup", "--find", "--show", image)
            if made.returncode == 0:
                self.loops.append(made.stdout.strip())
            self.paths[slot] = made.stdout.strip() if made.returncode == 0 else image
        if len(self.loops) < 2:
            print("skipped: loop devices are not permitted here; the slots are files behind links")

    def release(self):
        for loop in self.loops:
            quiet("losetup", "--detach", loop)

    def holds(self, slot, path):
        with open(path, "rb") as wanted, open(self.paths[slot], "rb") as held:
            content = wanted.read()
            return held.read(len(content)) == content


class HeadUnit:
    """The boot loader's part: what docs/embedding.md has as a script for U-Boot, here with libubootenv's tools."""

    def __init__(self, r, car):
        self.car = car
        self.command_line = os.path.join(r.directory, "cmdline")
        self.config = os.path.join(r.directory, "fw_env.config")
        self.environment = os.path.join(r.directory, "env.img")
        defaults = os.path.join(r.directory, "defaults.txt")
        with open(self.environment, "wb") as out:
            out.truncate(2 * COPY_BYTES)
        with open(self.config, "w", encoding="ascii") as out:
            out.write(f"{self.environment} 0x0 {COPY_BYTES:#x}\n{self.environment} {COPY_BYTES:#x} {COPY_BYTES:#x}\n")
        with open(defaults, "w", encoding="ascii") as out:
            out.write("layby_slot=a\nbootdelay=2\n")
        rig.run("fw_setenv", "-c", self.config, "-f", defaults, "board", "hu-4")
        self.restarts = 0

    def get(self, name):
        found = quiet("fw_printenv", "-c", self.config, "-n", name)
        return found.stdout.strip() if found.returncode == 0 else ""

    def choose(self):
        trial, left = self.get("layby_trial"), int(self.get("layby_trial_left") or 0)
        if not trial or left == 0:
            return self.get("layby_slot")
        rig.run("fw_setenv", "-c", self.config, "layby_trial_left", str(left - 1))
        return trial

    def boot(self):
        slot = self.choose()
        with open(self.command_line, "w", encoding="ascii") as out:
            out.write(f"console=ttyS0 layby.slot={slot} quiet\n")
        self.car.set(software=os.path.join(self.car.state, "software", f"{slot}.img"))
        self.car.start_agent("--boot-control", f"uboot:{self.config}", "--kernel-command-line", self.command_line)
        return slot

    def wait_for_restart(self):
        """The agent has asked for it: everything on the head unit ends."""
        wait_until("the agent asks for a restart", lambda: self.car.show()["restarts"] > self.restarts, 60)
        self.restarts = self.car.show()["restarts"]
        self.car.agent.kill()


def provision(r, car, devices):
    server = r.server
    maps = [text for region in rig.REGIONS for text in ("--map", f"{region}={r.region(rig.OLD_MAP, region)}")]
    rig.run(os.path.join(rig.BIN, "layby-agent"), "provision", "--state", car.state, "--vin", car.vin, "--ecu", car.ecu,
            "--hardware", rig.HARDWARE, "--director-root", server.provision("director-root.json"), "--image-root",
            server.provision("image-root.json"), "--ca", server.provision("ca.pem"), "--server", server.url, *maps,
            "--software", rig.software(rig.OLD_SOFTWARE), "--software-slot-a", devices.paths["a"], "--software-slot-b",
            devices.paths["b"])


def update(r, anna, car, unit, devices):
    with step("software comes into the slot that does not run"):
        check_equal(unit.boot(), "a", "slot that is booted first")
        wait_until("it is downloaded", lambda: [o["state"] for o in car.status()["orders"]] == ["downloaded"], 120)
        check(devices.holds("b", rig.software(rig.NEW_SOFTWARE)), "slot b is not the new software")
        check(devices.holds("a", rig.software(rig.OLD_SOFTWARE)), "slot a is not what it was")
    order = car.status()["orders"][0]["id"]
    with step("P4.5 a trial that never comes up: the counter runs out, the old software runs, the code is known"):
        car.exit_and_lock()
        unit.wait_for_restart()
        check_equal((unit.get("layby_slot"), unit.get("layby_trial"), unit.get("layby_trial_left")), ("a", "b", "3"),
                    "U-Boot's environment")
        for _ in range(3):
            check_equal(unit.choose(), "b", "slot on trial")  # and the power fails in it
        check_equal(unit.boot(), "a", "slot after three boots")
        wait_until("it is put off", lambda: (car.order(order) or {}).get("state") == "downloaded", 60)
        check_equal(car.order(order)["error"]["code"], 403, "error code")
        check_equal((unit.get("layby_slot"), unit.get("layby_trial")), ("a", ""), "U-Boot's environment")
    with step("P4.7 a later exit-and-lock: the trial comes up after a power cut in it, proves itself and is kept"):
        car.exit_and_lock()
        unit.wait_for_restart()
        check_equal(unit.choose(), "b", "slot on trial")  # the power fails
        check_equal(unit.boot(), "b", "slot on trial")
        wait_until("it is active", lambda: (car.order(order) or {"state": "active"})["state"] == "active", 60)
        check_equal((unit.get("layby_slot"), unit.get("layby_trial"), unit.get("board")), ("b", "", "hu-4"),
                    "U-Boot's environment")
        r.wait_for_state(anna, order, "active", 30)
        check_equal(car.agent.stop(), 0, "exit status of layby-agent")
        check_equal(unit.choose(), "b", "slot that is booted from now on")


def lose_environment(r, car, unit):
    """The last slot that was kept is B; orders for software must not be written anywhere."""
    with open(unit.environment, "rb") as kept:
        sound = kept.read()
    with step("P4.7 a boot environment that cannot be read: the agent runs on, and says why there is no software"):
        with open(unit.environment, "r+b") as out:
            for at in (0, COPY_BYTES):
                out.seek(at + 64)
                out.write(b"damaged")
        car.start_agent("--boot-control", f"uboot:{unit.config}", "--kernel-command-line", unit.command_line)
        wait_until("it says so", lambda: car.status().get("bootControl", {}).get("error", {}).get("name") == "corrupt", 30)
        polled = car.status()["poll"]["last"]
        wait_until("it asks for news", lambda: car.status()["poll"]["last"] > polled, 30)
        check(car.agent.running(), "the agent has ended")
        check_equal(car.agent.stop(), 0, "exit status of layby-agent")
    with step("P4.7 a boot environment that was lost: the slot that its defaults boot is not the journal's"):
        with open(unit.environment, "wb") as out:
            out.write(sound)
        rig.run("fw_setenv", "-c", unit.config, "layby_slot", "a")
        check_equal(unit.boot(), "a", "slot of the defaults")
        wait_until("it says so", lambda: car.status().get("bootControl", {}).get("error", {}).get("code") == 407, 30)
        check_equal(car.agent.stop(), 0, "exit status of layby-agent")
    with step("P4.7 written anew, it is as before"):
        rig.run("fw_setenv", "-c", unit.config, "layby_slot", "b")
        check_equal(unit.boot(), "b", "slot that is kept")
        wait_until("nothing is wrong", lambda: "bootControl" not in car.status(), 30)
        check_equal(car.agent.stop(), 0, "exit status of layby-agent")


def test(r):
    if quiet("fw_setenv", "-V").returncode not in (0, 1) or quiet("sh", "-c", "command -v fw_setenv").returncode != 0:
        print("skipped: fw_setenv (libubootenv-tool) is not installed")
        return
    car = rig.Car(r, VIN, 17)
    devices = Devices(r.directory)
    try:
        anna = r.account("anna", "owner")
        car.register()
        provision(r, car, devices)
        car.pair(anna)
        for counter, version in ((1, rig.OLD_SOFTWARE), (2, rig.NEW_SOFTWARE)):
            r.publish([{"kind": "software", "version": version, "hardware": [rig.HARDWARE], "release_counter": counter,
                        "path": rig.software(version), "duration_seconds": 120, "battery_percent_min": 40}])
        r.operator("jobs", "--wait", "--timeout", "300")
        anna("consent", "give", VIN, "--language", "en", "--text-version", "1")
        r.operator("rollout", "start", "spring", "--image", f"software/{rig.HARDWARE}/{rig.NEW_SOFTWARE}.img")
        car.start_vehicle(rig.DRIVING)
        unit = HeadUnit(r, car)
        update(r, anna, car, unit, devices)
        lose_environment(r, car, unit)
    finally:
        if car.agent and car.agent.running():
            car.agent.kill()
        devices.release()


if __name__ == "__main__":
    sys.exit(rig.main(test))
