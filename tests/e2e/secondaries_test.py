#!/usr/bin/env python3
"""A car with two ECUs beside the head unit, real processes all of them: software for one, for both together or not at all,
power cuts in the middle of a set, an exchanged part. docs/secondaries.md"""
import os
import subprocess
import sys

import rig
from ecus import Ecu, image_name, pair_refused, software_image
from rig import check, check_equal, step, wait_until

VIN = "WVWZZZ1JZXW000017"
BRAKE, CAMERA = "brake-2", "camera-3"


class World:
    def __init__(self, r):
        self.r = r
        self.car = rig.Car(r, VIN, 17)
        # Partial verification believes the Director alone, full the Image repository as well.
        self.brake, self.camera = Ecu(r, VIN, "BRK-1", BRAKE, "partial"), Ecu(r, VIN, "CAM-1", CAMERA, "full")
        self.car.secondaries = [self.brake, self.camera]
        self.anna = None

    def publish(self, *releases):
        self.r.publish([software_image(self.r, hardware, number) for hardware, number in releases])
        self.r.operator("jobs", "--wait", "--timeout", "300")

    def orders(self):
        return self.anna("order", "list", VIN)["orders"]

    def order_of(self, *releases):
        """The order that a rollout has made, once the car has it downloaded."""
        names = sorted(image_name(*release) for release in releases)
        open_order = wait_until(f"an order of {names}", lambda: next(
            (o["id"] for o in self.orders() if sorted(o["images"]) == names), None))
        wait_until(lambda: f"{names} are in the car: {self.car.status()}",
                   lambda: (self.car.order(open_order) or {}).get("state") == "downloaded", 60)
        return open_order

    def roll_out(self, name, *releases):
        self.publish(*releases)
        images = [text for release in releases for text in ("--image", image_name(*release))]
        self.r.operator("rollout", "start", name, *images)
        return self.order_of(*releases)

    def install(self, order):
        self.car.exit_and_lock()
        self.r.wait_for_state(self.anna, order, "active", 60)

    def numbers(self):
        return self.brake.number(), self.camera.number()

    def at_server(self):
        return {e["serial"]: e for e in self.r.operator("car", "show", VIN)["ecus"]}

    def server_has(self):
        """Image of each ECU but the primary, as the ECU has signed it."""
        return {serial: e["installed"][f"software.{e['hardware_id']}"]["image"]
                for serial, e in self.at_server().items() if serial != self.car.ecu and "installed" in e}

    def wait_for_server(self, brake, camera):
        wanted = {self.brake.serial: brake, self.camera.serial: camera}
        wait_until(lambda: f"the server has {wanted}: {self.server_has()}", lambda: self.server_has() == wanted)

    def bytes_sent(self):
        return sum(t["bytes_sent"] for t in self.r.operator("transfers", VIN)["transfers"])

    def trial_is_held(self):
        """The first ECU of the set runs the new software on trial, the second one is about to."""
        wait_until("the camera goes on trial", self.camera.is_held, 60)
        check_equal((self.brake.state()["phase"], self.camera.state()["phase"]), ("trial", "trial"), "phases")
        check("boot trial" in self.brake.hooks()[-2:], f"the brake's firmware was asked {self.brake.hooks()[-2:]}")


def joining(w):
    r, car = w.r, w.car
    with step("a car of three ECUs is paired: each has shown its key, and the server has a report signed by each"):
        w.anna = r.account("anna", "owner")
        car.register()
        for ecu in car.secondaries:
            ecu.provision()
            ecu.start()
        car.provision()
        car.pair(w.anna)
        w.anna("consent", "give", VIN, "--language", "en", "--text-version", "1")
        car.start_vehicle(rig.PARKED)
        car.start_agent()
        factory = [f"software/{hardware}/factory.img" for hardware in (BRAKE, CAMERA)]
        w.wait_for_server(*factory)
        ecus = w.at_server()
        check_equal(sorted(ecus), sorted([car.ecu, "BRK-1", "CAM-1"]), "ECUs at the server")
        check(all("report" in e for e in ecus.values()), f"an ECU has not reported: {ecus}")
        known = car.status()["ecus"]
        check_equal([known[e.serial]["image"] for e in car.secondaries], factory, "as the agent sees them")


def one_of_them(w):
    with step("software for one ECU comes whole, is its own after exit-and-lock, and the ECU says so to the server itself"):
        order = w.roll_out("brakes-2", (BRAKE, 2))
        whole = w.bytes_sent()
        check(whole > 250_000, f"{whole} bytes were sent")
        check_equal(w.numbers(), (1, 1), "software before exit-and-lock")
        w.install(order)
        check_equal(w.numbers(), (2, 1), "software")
        w.wait_for_server(image_name(BRAKE, 2), "software/camera-3/factory.img")
        check_equal([hook for hook in w.brake.hooks() if hook != "running"], ["boot trial", "check", "boot keep"],
                    "what its firmware was asked")
        check_equal(w.car.status()["ecus"]["BRK-1"]["phase"], "idle", "its phase")
    with step("the next one comes as a delta from it"):
        order = w.roll_out("brakes-3", (BRAKE, 3))
        sent = w.bytes_sent() - whole
        check(sent < whole / 10, f"{sent} bytes were sent for the delta, {whole} for the whole")
        w.install(order)
        check_equal(w.numbers(), (3, 1), "software")


def sets(w):
    r, car = w.r, w.car
    with step("two images that go together become active together"):
        w.install(w.roll_out("both-4", (BRAKE, 4), (CAMERA, 2)))
        check_equal(w.numbers(), (4, 2), "software")
        w.wait_for_server(image_name(BRAKE, 4), image_name(CAMERA, 2))
    with step("one of a set fails its check: both run what they ran before, and the server has the code"):
        w.camera.be_unwell()
        order = w.roll_out("both-5", (BRAKE, 5), (CAMERA, 3))
        before = len(w.brake.hooks())
        car.exit_and_lock()
        error = wait_until("the server knows", lambda: w.anna("order", "show", order).get("error"), 60)
        check_equal((error["code"], error["name"]), (404, "health-check-failed"), "the order's error")
        wait_until("it waits for the next exit-and-lock", lambda: car.order(order)["state"] == "downloaded")
        check_equal(w.numbers(), (4, 2), "software")
        check_equal([e.state()["phase"] for e in car.secondaries], ["staged", "staged"], "phases")
        asked = [hook for hook in w.brake.hooks()[before:] if hook.startswith("boot")]
        check_equal(asked, ["boot trial", "boot revert"], "the brake's firmware was asked")
        w.wait_for_server(image_name(BRAKE, 4), image_name(CAMERA, 2))
        w.camera.be_unwell(False)
    with step("P4.7 an ECU's power fails in the middle of the set: the car goes on reporting, and names the silent one"):
        w.camera.hold()
        car.exit_and_lock()
        w.trial_is_held()
        w.camera.cut_power()
        check_equal(w.numbers(), (4, 2), "software that the next start boots")
        # The agent asks once more after a minute before it says so.
        silent = wait_until("the server knows", lambda: w.at_server()["CAM-1"].get("silent"), 120)
        check_equal(silent["reason"], "unavailable", "why the server has no report of it")
        check("silent" not in w.at_server()["BRK-1"], "the other one is silent, too")
        check_equal(car.status()["ecus"]["CAM-1"]["error"]["name"], "unavailable", "as the agent sees it")
        check_equal(w.server_has(), {"BRK-1": image_name(BRAKE, 4), "CAM-1": image_name(CAMERA, 2)}, "what the server has")
    with step("P4.7 the power is back: the set ends with both new, and the server hears it again"):
        w.camera.start()
        r.wait_for_state(w.anna, order, "active", 60)
        check_equal(w.numbers(), (5, 3), "software")
        check_equal(w.camera.hooks().count("boot keep"), 2, "times that the camera was told to keep it")
        check("silent" not in w.at_server()["CAM-1"], "it is silent for the server")
    with step("P4.7 the agent is killed in the middle of a set: it ends with both new"):
        order = w.roll_out("both-6", (BRAKE, 6), (CAMERA, 4))
        w.camera.hold()
        car.exit_and_lock()
        w.trial_is_held()
        car.agent.kill()
        w.camera.release()
        check_equal(w.numbers(), (5, 3), "software that the next start boots")
        car.start_agent()
        r.wait_for_state(w.anna, order, "active", 60)
        check_equal(w.numbers(), (6, 4), "software")
        w.wait_for_server(image_name(BRAKE, 6), image_name(CAMERA, 4))
    with step("nobody was billed for any of it"):
        check_equal(r.events("billing"), [], "billing events")


def name_ecus(car):
    return subprocess.run([os.path.join(rig.BIN, "layby-agent"), "ecus", "--state", car.state], capture_output=True, text=True,
                          timeout=60, check=False)


def exchange(w):
    r, car = w.r, w.car
    with step("another ECU in a known one's place is given nothing, and the agent names it"):
        old, new = w.camera, Ecu(r, VIN, "CAM-2", CAMERA, "full")
        old.stop()
        new.socket = old.socket
        new.provision()
        new.start()
        wait_until(lambda: f"the agent names it: {car.status()['ecus']}",
                   lambda: car.status()["ecus"]["CAM-1"].get("error", {}).get("name") == "wrong-ecu", 90)
        state = new.state()
        check_equal((state["time"], state["phase"], "wanted" in state), (0, "idle", False), "what it was given")
        check_equal(new.hooks(), [], "what its firmware was asked")
    with step("the server does not let it in until somebody has authorised that"):
        check_equal(car.agent.stop(), 0, "exit status of the agent")
        check("wrong-ecus" in pair_refused(car, w.anna), "the refusal has no name")
        done = name_ecus(car)
        check_equal(done.returncode, 5, "exit status of `ecus`")
        check("wrong-ecus" in done.stderr and "CAM-2" in done.stderr, f"the refusal: {done.stderr}")
        r.operator("car", "replace-ecu", VIN, "CAM-1", "CAM-2")
        done = name_ecus(car)
        check_equal((done.returncode, done.stdout), (0, "CAM-2 is let in for CAM-1\n"), "what `ecus` says")
        done = name_ecus(car)
        check_equal((done.returncode, done.stdout), (0, "the server knows these ECUs\n"), "what `ecus` says again")
    with step("then it belongs to the car: it reports, gets what the old one had, and the trail and the owner have it"):
        w.camera = new
        car.secondaries = [w.brake, new]
        car.start_agent()
        w.install(w.order_of((CAMERA, 4)))
        check_equal(w.numbers(), (6, 4), "software")
        w.wait_for_server(image_name(BRAKE, 6), image_name(CAMERA, 4))
        trail = [x["what"] for x in w.anna("audit", VIN, "--limit", "1000")["records"]]
        for what in ("ecu-replacement-authorised", "ecu-replaced"):
            check(what in trail, f"no record `{what}`")
        told = [m["data"] for m in w.anna("messages", VIN)["events"] if m["data"]["message"] == "ecu-replaced"]
        check_equal([(m["ecu"], m["serial"]) for m in told], [("CAM-1", "CAM-2")], "what the owner is told")


def test(r):
    w = World(r)
    joining(w)
    one_of_them(w)
    sets(w)
    exchange(w)


if __name__ == "__main__":
    sys.exit(rig.main(test))
