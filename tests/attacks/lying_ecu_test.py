#!/usr/bin/env python3
"""One of a car's ECUs lies to the real agent. It harms nobody but itself: the agent names it and runs on, the honest ECU and the
car report as before, orders go on, and the server is told whose word it has not got."""
import sys

import rig
from ecu_wire import LOOK, REPORT, STATUS, message, DONE, FILE, Wire
from ecus import Ecu
from lying_ecu import LyingEcu
from rig import check, check_equal, step, wait_until
from tuf_repository import Key, utc

VIN = "WVWZZZ1JZXW000017"
ABROAD = {**rig.DRIVING, "bearer": "sim", "roaming": "on"}  # it reports and fetches nothing: any order can be cancelled
CONTROL = "\x1b[2J\x07\r\npaid in full\x00"


class World:
    def __init__(self, r):
        self.r = r
        self.car = rig.Car(r, VIN, 17)
        self.brake = Ecu(r, VIN, "BRK-1", "brake-2", "full")
        self.liar = LyingEcu(r.directory, "CAM-1", "camera-3")
        self.car.secondaries = [self.brake, self.liar]
        self.order = None
        with step("a car with an honest ECU, and with one that is honest as yet"):
            self.anna = r.account("anna", "owner")
            self.brake.provision()
            self.brake.start()
            self.car.register()
            self.car.provision()
            self.car.pair(self.anna)
            for counter, version in ((1, rig.OLD_MAP), (2, rig.NEW_MAP)):
                r.publish([r.map_image(version, region, counter) for region in ("DE", "NL")])
            r.operator("jobs", "--wait", "--timeout", "300")
            self.car.start_vehicle(ABROAD)
            self.car.start_agent()
            wait_until("the server has a report of each",
                       lambda: all("report" in ecu for ecu in self.at_server().values()))

    def at_server(self):
        return {e["serial"]: e for e in self.r.operator("car", "show", VIN)["ecus"]}

    def in_car(self):
        return self.car.status()["ecus"].get("CAM-1", {})

    def news_of_the_car(self):
        """Something that the car has to report for its own part."""
        if self.order:
            gone, self.order = self.order, None
            self.anna("order", "cancel", gone)
            wait_until("the car drops the order", lambda: self.car.order(gone) is None)
        else:
            self.order = self.anna("order", "map", VIN, "NL")["id"]
            wait_until("the car has the order", lambda: self.car.order(self.order))

    def mount(self, error, lies, silent=True, field="error"):
        """The agent names what is wrong with the liar, and reports for everybody else. `silent`: so the server gets no word of
        the liar's, and the reason why."""
        self.liar.lies = lies
        before = self.at_server()
        counter = self.r.operator("car", "show", VIN)["report"]["counter"]
        self.news_of_the_car()
        wait_until(lambda: f"the agent names {error}: {self.in_car()}",
                   lambda: self.in_car().get(field, {}).get("name") == error)
        # For an ECU that has just fallen silent a report waits a minute.
        wait_until("the car reports",
                   lambda: self.r.operator("car", "show", VIN)["report"]["counter"] > counter, 90)
        wait_until(lambda: f"the server knows of {error}: {self.at_server()['CAM-1']}",
                   lambda: self.at_server()["CAM-1"].get("silent", {}).get("reason") == (error if silent else None), 90)
        now = self.at_server()
        check("silent" not in now["BRK-1"], f"the honest ECU is silent: {now['BRK-1']}")
        check_equal(now["CAM-1"]["installed"], before["CAM-1"]["installed"], "what the server has of the liar's software")
        check(self.car.agent.running(), "the agent has ended")
        check("\x1b" not in rig.json.dumps(self.car.status(), ensure_ascii=False), "a terminal would obey it")


def garbage(w):
    with step("lying: bytes that are no message, no JSON, or too many"):
        w.mount("bad-format", {STATUS: lambda body: b"GET / HTTP/1.1\r\n\r\n"})
        w.mount("bad-format", {STATUS: lambda body: message(14)})
        w.mount("bad-json", {STATUS: lambda body: message(DONE, b"{{")})
        w.mount("endless-data", {STATUS: lambda body: message(DONE, length=2 ** 31)})
    with step("while it lies, orders go on and become active"):
        if w.order:
            w.news_of_the_car()
        w.car.set(roaming="off")
        w.car.wait_for_active(w.anna, [w.anna("order", "map", VIN, "DE")["id"]])
        check_equal(w.car.agent.stop(), 0, "exit status of the agent")  # a look that loses its bearer is a failed one
        w.car.set(**ABROAD)
        w.car.start_agent()


def impostor(w):
    with step("lying: another ECU's name, or a key that it was not paired with"):
        w.mount("wrong-ecu", {STATUS: lambda body: w.liar.status(ecu="BRK-1")})
        w.mount("wrong-ecu", {STATUS: lambda body: w.liar.status(key=Key().public["keyval"]["public"])})


def reports(w):
    def mount(error, lie):
        w.mount(error, {REPORT: lambda body: lie()}, field="reportError")
    with step("lying: a report that is none, another's, an old one, too long or from the future"):
        mount("bad-json", lambda: message(DONE, b"all is well"))
        mount("wrong-ecu", lambda: w.liar.report(key=Key()))
        neighbours = Wire(w.brake.socket)
        said = message(DONE, neighbours.ask(REPORT)[1])
        neighbours.close()
        mount("wrong-ecu", lambda: said)
        mount("wrong-ecu", lambda: w.liar.report(ecu="BRK-1"))
        mount("wrong-ecu", lambda: w.liar.report(installed={"software.brake-2": {
            "image": "software/brake-2/9.img", "sha256": "cd" * 32, "length": 1, "releaseCounter": 9}}))
        mount("replay", lambda: w.liar.report(counter=1))
        mount("untrusted-time", lambda: w.liar.report(time=utc(300)))
        mount("endless-data", lambda: w.liar.report(agent="x" * 60_000))
    with step("lying: texts that command a terminal, in an error, a refusal and a report"):
        mount("bad-format", lambda: w.liar.report(attack=CONTROL))
        w.mount("ecu-refused", {STATUS: lambda body: w.liar.error(4, CONTROL)})
        w.mount("bad-format", {STATUS: lambda body: w.liar.status(attack=CONTROL),
                               REPORT: lambda body: w.liar.report(attack=CONTROL)}, field="reportError")
        text = rig.run(rig.os.path.join(rig.BIN, "layby-agent"), "status", "--state", w.car.state)
        check("\x1b" not in text and "\x07" not in text, f"a terminal would obey this: {text!r}")


def wants(w):
    with step("lying: it wants file after file without end, and files that nobody has"):
        for wanted in (w.liar.want("timestamp.json"), w.liar.want("999999999.root.json")):
            w.mount("endless-data", {LOOK: lambda body, wanted=wanted: wanted, FILE: lambda body, wanted=wanted: wanted},
                    silent=False)


def silence(w):
    with step("lying: it says nothing, and an honest word at last is taken as before"):
        w.mount("unavailable", {STATUS: lambda body: None})
        w.liar.lies = {}
        w.car.agent.kill()  # it would ask again after five minutes
        w.car.start_agent()
        w.news_of_the_car()
        wait_until("the server hears it again", lambda: "silent" not in w.at_server()["CAM-1"], 90)


def test(r):
    w = World(r)
    garbage(w)
    impostor(w)
    reports(w)
    wants(w)
    silence(w)


if __name__ == "__main__":
    sys.exit(rig.main(test))
