"""A car's other ECUs: real `layby-ecu` processes, each with a small firmware that its hook programs are."""
import json
import os
import random
import signal
import socket
import subprocess

import rig
from rig import wait_until

# Boots what it is told, and writes that down as a boot loader's environment has it. `hold`: the trial takes its time.
FIRMWARE = """#!/bin/sh
cd {home} || exit 1
echo "$@" >> hook.log
case "$1" in
boot)
  if [ "$2" = trial ] && [ -e hold ]; then
    echo $$ > holding.new && mv holding.new holding
    n=0
    while [ -e hold ] && [ $n -lt 1200 ]; do sleep 0.05; n=$((n+1)); done
  fi
  echo "$3" > booted ;;
running) [ "$2" = "$(cat booted)" ] ;;
check) [ ! -e unwell ] || {{ echo "no answer on the bus"; exit 1; }} ;;
esac
"""
SOFTWARE_BYTES = 300_000


def release(r, hardware, number):
    """A file with the software of this number: each differs from the one before in a few places."""
    path = os.path.join(r.directory, f"{hardware}-{number}.img")
    content = bytearray(random.Random(hardware).randbytes(SOFTWARE_BYTES))
    for n in range(2, number + 1):
        change = random.Random(n)
        for _ in range(8):
            at = change.randrange(SOFTWARE_BYTES - 64)
            content[at:at + 64] = change.randbytes(64)
    with open(path, "wb") as out:
        out.write(content)
    return path


def release_bytes(r, hardware, number):
    with open(release(r, hardware, number), "rb") as stream:
        return stream.read()


def image_name(hardware, number):
    return f"software/{hardware}/{number}.img"


def software_image(r, hardware, number):
    """For Rig.publish."""
    return {"kind": "software", "version": str(number), "hardware": [hardware], "slot": f"software.{hardware}",
            "release_counter": number, "path": release(r, hardware, number), "duration_seconds": 60}


class Ecu:
    def __init__(self, r, vin, serial, hardware, verification):
        self.rig, self.vin, self.serial, self.hardware, self.verification = r, vin, serial, hardware, verification
        self.home = os.path.join(r.directory, serial)
        self.directory = os.path.join(self.home, "state")
        self.socket = os.path.join(self.home, "ecu.sock")
        self.firmware = os.path.join(self.home, "firmware")
        self.process = None
        os.makedirs(self.home)
        with open(self.firmware, "w", encoding="utf-8") as out:
            out.write(FIRMWARE.format(home=self.home))
        os.chmod(self.firmware, 0o755)

    def provision(self, number=1):
        server = self.rig.server
        roots = ["--director-root", server.provision("director-root.json")]
        if self.verification == "full":
            roots += ["--image-root", server.provision("image-root.json")]
        rig.run(os.path.join(rig.BIN, "layby-ecu"), "provision", "--state", self.directory, "--vin", self.vin, "--serial",
                self.serial, "--hardware", self.hardware, "--verification", self.verification, "--software",
                release(self.rig, self.hardware, number), *roots)

    def start(self):
        """As after any start the boot loader has booted what is kept."""
        self.write("booted", self.slot(self.state()["kept"]) + "\n")
        if os.path.exists(self.socket):
            os.remove(self.socket)
        self.process = self.rig.begin([os.path.join(rig.BIN, "layby-ecu"), "run", "--state", self.directory, "--socket",
                                       self.socket, "--boot-hook", self.firmware, "--running-hook", self.firmware,
                                       "--check-hook", self.firmware], os.path.join(self.home, "ecu.log"))
        wait_until(f"{self.serial} listens", self.listens)

    def listens(self):
        rig.check(self.process.running(), f"{self.serial} ended by itself")
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(self.socket) == 0

    def stop(self):
        rig.check_equal(self.process.stop(), 0, f"exit status of {self.serial}")

    def cut_power(self):
        """Process and hook at once."""
        self.process.kill()
        if self.is_held():
            os.killpg(int(self.read("holding")), signal.SIGKILL)
        self.release()

    # ---- its firmware

    def path(self, name):
        return os.path.join(self.home, name)

    def write(self, name, text=""):
        with open(self.path(name), "w", encoding="utf-8") as out:
            out.write(text)

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as stream:
            return stream.read()

    def remove(self, name):
        if os.path.exists(self.path(name)):
            os.remove(self.path(name))

    def be_unwell(self, is_unwell=True):
        self.write("unwell") if is_unwell else self.remove("unwell")

    def hold(self):
        """The next trial does not begin before `release`."""
        self.write("hold")

    def is_held(self):
        return os.path.exists(self.path("holding"))

    def release(self):
        self.remove("hold")
        self.remove("holding")

    def hooks(self):
        """What its firmware was asked, without the paths: `boot trial`, `check`, …"""
        if not os.path.exists(self.path("hook.log")):
            return []
        return [" ".join(line.split()[:-1]) for line in self.read("hook.log").splitlines()]

    # ---- what it has

    def slot(self, letter):
        return os.path.join(self.directory, "software", f"{letter}.img")

    def state(self):
        with open(os.path.join(self.directory, "state.json"), encoding="utf-8") as stream:
            return json.load(stream)

    def software(self):
        """The bytes of the slot that is kept."""
        with open(self.slot(self.state()["kept"]), "rb") as stream:
            return stream.read()

    def number(self):
        """Of the release that it keeps, by its bytes; 0: none of them."""
        content = self.software()
        return next((n for n in range(1, 10) if content == release_bytes(self.rig, self.hardware, n)), 0)


def pair_refused(car, owner):
    """The text with which the server does not let the car's ECUs in."""
    code = owner("pairing-code", "create")["code"]
    done = subprocess.run([os.path.join(rig.BIN, "layby-agent"), "pair", "--state", car.state, "--code", code],
                          capture_output=True, text=True, timeout=300, check=False)
    rig.check_equal(done.returncode, 5, f"exit status of `layby-agent pair`: {done.stderr}")
    return done.stderr
