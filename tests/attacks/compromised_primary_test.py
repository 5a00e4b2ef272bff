#!/usr/bin/env python3
"""Somebody has taken the primary over, with its keys and its certificate, and speaks to the car's other ECUs by hand: real
`layby-ecu` processes, one with full and one with partial verification. At worst they stay what they are.

Each step mounts one attack, and checks that the ECU names it, that what is installed has not changed, that the server is told
by the ECU's own signed report where docs/attacks.md says so, and that an honest primary goes on with the ECU afterwards."""
import os
import shutil
import sys

import ecu_wire
import rig
from ceremony_test import Offline, make_online_keys, key_id
from ecu_wire import ACTIVATE, BEGIN, CHECK, KEEP, PIECE, PIECE_BYTES, REVERT, ROOTS, STATUS, Primary, Refused, Wire, message
from ecus import SOFTWARE_BYTES, Ecu, image_name, release_bytes, software_image
from hostile import DIRECTOR, FOLDERS, ROLES, Answer, Hostile, Thief, part_of, sign, with_status
from rig import check, check_equal, step, wait_until
from tuf_repository import Key, utc

VIN, OTHER_VIN = "WVWZZZ1JZXW000017", "WVWZZZ1JZXW000025"
BRAKE, CAMERA = "brake-2", "camera-3"
HAS, NEXT, OLDER = 3, 4, 2  # releases: what both run, what the Director gives them, what the Image repository lists as well


class SavedEcu(Ecu):
    def save(self):
        self.stop()
        shutil.rmtree(self.path("saved"), ignore_errors=True)
        shutil.copytree(self.directory, self.path("saved"))
        self.start()

    def restore(self):
        """As it was, but for the counter of its reports: the server has those."""
        self.stop()
        counter = self.state()["reportCounter"]
        shutil.rmtree(self.directory)
        shutil.copytree(self.path("saved"), self.directory)
        self.change_state(reportCounter=counter)
        self.start()

    def change_state(self, **fields):
        file = os.path.join(self.directory, "state.json")
        state = {**self.state(), **fields}
        if os.path.exists(file + ".copy"):
            os.remove(file + ".copy")
        with open(file, "w", encoding="utf-8") as out:
            rig.json.dump(state, out)

    def forget_metadata(self):
        """Roots are left, as when it was provisioned."""
        self.stop()
        for folder, _, names in os.walk(os.path.join(self.directory, "trust")):
            for name in names:
                if not name.startswith("root."):
                    os.remove(os.path.join(folder, name))
        self.start()


class World:
    def __init__(self, r):
        self.r = r
        self.car, self.other = rig.Car(r, VIN, 17), rig.Car(r, OTHER_VIN, 25)
        self.brake, self.camera = SavedEcu(r, VIN, "BRK-1", BRAKE, "partial"), SavedEcu(r, VIN, "CAM-1", CAMERA, "full")
        self.ecus = self.car.secondaries = [self.brake, self.camera]
        self.thief = Thief(Hostile(r.server, self.car.state))
        self.ahead = 0
        with step("a car whose two ECUs have updated once, and have an update that waits"):
            self.anna = r.account("anna", "owner")
            for ecu in self.ecus:
                ecu.provision()
                ecu.start()
            for car in (self.car, self.other):
                car.register()
                car.provision()
                car.pair(self.anna)
            self.anna("consent", "give", VIN, "--language", "en", "--text-version", "1")
            self.publish(OLDER)
            self.publish(HAS)
            self.car.start_vehicle(rig.PARKED)
            self.car.start_agent()
            order = self.offered(HAS)
            self.before = {name: self.thief.documents(name) for name in FOLDERS}
            self.car.exit_and_lock()
            r.wait_for_state(self.anna, order, "active", 60)
            self.car.set(**rig.DRIVING)
            self.publish(NEXT)
            self.offered(NEXT)
            self.now = {name: self.thief.documents(name) for name in FOLDERS}
            check_equal([ecu.number() for ecu in self.ecus], [HAS, HAS], "what both run")
            self.stop_agent()

    def publish(self, number):
        self.r.publish([software_image(self.r, hardware, number) for hardware in (BRAKE, CAMERA)])
        self.r.operator("jobs", "--wait", "--timeout", "300")

    def offered(self, number):
        names = sorted(image_name(hardware, number) for hardware in (BRAKE, CAMERA))
        self.r.operator("rollout", "start", f"r{number}", "--image", names[0], "--image", names[1])
        wait_until(f"{names} are in the car", lambda: any(
            o["state"] == "downloaded" and sorted(p["image"] for p in o["payloads"]) == names
            for o in self.car.status()["orders"]), 60)
        return next(o["id"] for o in self.anna("order", "list", VIN)["orders"] if sorted(o["images"]) == names)

    def stop_agent(self):
        check_equal(self.car.agent.stop(), 0, "exit status of the agent")

    def bytes_of(self, ecu, number):
        return release_bytes(self.r, ecu.hardware, number)

    def server_has(self, ecu):
        known = self.r.operator("car", "show", VIN)["ecus"]
        return next(e for e in known if e["serial"] == ecu.serial)["report"]["attack"]

    def honest_look(self, ecu, attack):
        """An honest primary again: the server has what the ECU says, and the ECU what the Director gives it."""
        self.car.start_agent()
        wait_until(lambda: f"the server has {attack!r} of {ecu.serial}: {self.server_has(ecu)!r}",
                   lambda: self.server_has(ecu) == attack)
        wait_until(f"{ecu.serial} is told of release {NEXT}",
                   lambda: ecu.state().get("wanted", {}).get("name") == image_name(ecu.hardware, NEXT))
        self.stop_agent()

    def mount(self, ecu, error, attack, also=(), before=None):
        """`attack(primary)` on one ECU, which names `error`, then those of `also`: the first one stays in its reports."""
        ecu.save()
        if before:
            before(ecu)
        hooks = ecu.hooks()
        for named, one in ((error, attack), *also):
            primary = Primary(ecu, self.thief, self.car.state)
            try:
                one(primary)
                check(False, f"{ecu.serial} has refused nothing, and not {named}")
            except Refused as refused:
                check_equal(refused.name, named, f"the error of {ecu.serial}: {refused}")
            primary.close()
        self.is_as_before(ecu, hooks)
        told = self.report_of(ecu)
        check(told.startswith(error + ": "), f"{ecu.serial} reports {told!r} and not {error}")
        self.honest_look(ecu, told)
        ecu.restore()
        self.honest_look(ecu, "")

    def report_of(self, ecu):
        primary = Primary(ecu, self.thief, self.car.state)
        report = primary.report()
        primary.close()
        check_equal(report["ecu"], ecu.serial, "ECU of the report")
        return report["attack"]

    def is_as_before(self, ecu, hooks):
        check_equal(ecu.number(), HAS, f"release that {ecu.serial} runs")
        check_equal(ecu.hooks(), hooks, f"what the firmware of {ecu.serial} was asked")

    def forged(self, edit, signers=None):
        """An attack: the Director's targets, changed and signed with its stolen keys."""
        self.ahead += 1000
        rules = self.thief.forge("director", {"targets": edit}, signers, ahead=self.ahead)
        return lambda primary: primary.hand_on(rules)

    def served(self, repository, documents):
        rules = self.thief.serving(repository, documents)
        return lambda primary: primary.hand_on(rules)


def arbitrary_image(w):
    with step("secondary: other bytes than the signed ones, and images that the Director does not give it"):
        for ecu in w.ecus:
            wanted, installed = w.bytes_of(ecu, NEXT), w.bytes_of(ecu, HAS)
            evil = bytes([wanted[0] ^ 1]) + wanted[1:]

            def under_its_name(primary, wanted=wanted, evil=evil):
                primary.hand_on()
                primary.send_image(wanted, evil)
            cut = lambda primary, wanted=wanted: primary.send_image(wanted, wanted[:-1])
            w.mount(ecu, "wrong-image", under_its_name, (
                ("wrong-image", cut),
                ("wrong-image", lambda primary, evil=evil: primary.begin(evil)),
                ("wrong-image", lambda primary, installed=installed: primary.begin(installed))))
    with step("secondary: targets that a stranger signed, and with full verification an image that the Image repository does not have"):
        for ecu in w.ecus:
            w.mount(ecu, "bad-signature", w.forged(lambda part: None, {"targets": [Key()]}))

        def own_bytes(part):
            for image in part["targets"].values():
                image["hashes"] = {"sha256": "ab" * 32, "sha512": "ab" * 64}
        w.mount(w.camera, "repositories-disagree", w.forged(own_bytes))


def replays(w):
    with step("secondary: the metadata that gave it an image before"):
        for ecu in w.ecus:
            w.mount(ecu, "rollback", w.served("director", w.before["director"]))
        w.mount(w.camera, "rollback", w.served("image", w.before["image"]))
    with step("secondary: an older image that the Image repository still lists, with the Director's stolen keys"):
        def older(part):
            listed = part_of(w.now["image"]["targets"])["targets"]
            for hardware in (BRAKE, CAMERA):
                image = part["targets"].pop(image_name(hardware, NEXT))
                old = listed[image_name(hardware, OLDER)]
                image.update(length=old["length"], hashes=old["hashes"])
                image["custom"]["mustMatch"] = old["custom"]["mustMatch"]
                part["targets"][image_name(hardware, OLDER)] = image
        for ecu in w.ecus:
            w.mount(ecu, "image-rollback", w.forged(older))
    with step("secondary: targets that have expired"):
        for ecu in w.ecus:
            w.mount(ecu, "freeze", w.forged(lambda part: part.update(expires=utc(-1))))


def others(w):
    with step("secondary: another car's metadata, as the server signed it"):
        def of_other(primary):
            def rule(request, forward):
                return Answer(w.thief.hostile.fetch(request.path, w.other.state))
            primary.hand_on({DIRECTOR + r"(timestamp|\d+\.snapshot|\d+\.targets)\.json": rule})
        for ecu in w.ecus:
            w.mount(ecu, "wrong-vehicle", of_other, before=SavedEcu.forget_metadata)
    with step("secondary: the image of another ECU, and metadata that gives it that image or another hardware id"):
        for ecu, neighbour in ((w.brake, w.camera), (w.camera, w.brake)):
            def neighbours_image(primary, neighbour=neighbour):
                primary.hand_on()
                primary.begin(w.bytes_of(neighbour, NEXT))
            w.mount(ecu, "wrong-image", neighbours_image)

            def given(hardware, image):
                def edit(part):
                    part["targets"][image_name(image, NEXT)]["custom"]["ecuIdentifiers"] = {
                        ecu.serial: {"hardwareId": hardware}}
                return w.forged(edit)
            w.mount(ecu, "wrong-ecu", given(ecu.hardware, neighbour.hardware), (
                ("wrong-ecu", given(neighbour.hardware, neighbour.hardware)),
                ("wrong-ecu", given(neighbour.hardware, ecu.hardware))))


def mixtures(w):
    def swapped(primary, first, second):
        """Files of one repository, role by role, where the other's are asked for."""
        def file(repository, name):
            role = next((r for r in ROLES if r in name), None)
            return role and w.now[(first, second)[repository]][role]
        primary.look(ROOTS)
        primary.tell_time()
        primary.look(file=file)
    with step("secondary: files of one repository where the other's belong"):
        for ecu in w.ecus:
            w.mount(ecu, "bad-signature", lambda primary: swapped(primary, "image", "director"))
        w.mount(w.camera, "bad-signature", lambda primary: swapped(primary, "director", "director"))
    with step("secondary: targets of before under the snapshot of now; only full verification sees it"):
        for repository in FOLDERS:
            mixed = {**w.now[repository], "targets": w.before[repository]["targets"]}
            w.mount(w.camera, "mix-and-match", w.served(repository, mixed), before=SavedEcu.forget_metadata)


def times(w):
    def signed(primary, *keys, **changed):
        own = primary.nonce()
        part = {**part_of(primary.signed_time([own])), **changed}
        primary.hand_time([own], sign(part, *keys))

    def twice(primary):
        own = primary.nonce()
        document = primary.signed_time([own])
        primary.hand_time([own], document)
        primary.hand_time([own], document)

    def after_another_question(primary):
        own = primary.nonce()
        document = primary.signed_time([own])
        primary.nonce()
        primary.hand_time([own], document)

    def of_others(primary):
        primary.nonce()
        strange = os.urandom(16)
        primary.hand_time([strange], primary.signed_time([strange]))

    def of_fewer(primary):
        own, strange = primary.nonce(), os.urandom(16)
        primary.hand_time([own, strange], primary.signed_time([own]))

    def back(primary):
        primary.tell_time()
        signed(primary, w.thief.keys["director-timestamp"], time=utc(-1))
    with step("secondary: a signed time again, or one that answers no question of this ECU"):
        for ecu in w.ecus:
            w.mount(ecu, "replay", twice, (("replay", after_another_question), ("replay", of_others), ("replay", of_fewer)))
    with step("secondary: a time that a stranger signed, or the stolen timestamp key sets back or ahead"):
        for ecu in w.ecus:
            w.mount(ecu, "bad-signature", lambda primary: signed(primary, Key()), (
                ("rollback", back),
                ("freeze", lambda primary: signed(primary, w.thief.keys["director-timestamp"], time=utc(5000)))))


def messages(w):
    def raw(ecu, data):
        wire = Wire(ecu.socket)
        try:
            wire.send(data)
            wire.receive()
        finally:
            check(wire.is_closed(), "the connection is still open")
            wire.close()
    with step("secondary: a longer message than there is, and messages that are none"):
        for ecu in w.ecus:
            def sends(*arguments, ecu=ecu, **more):
                return lambda primary: raw(ecu, message(*arguments, **more))
            w.mount(ecu, "endless-data", sends(PIECE, length=PIECE_BYTES + 9), (
                ("endless-data", sends(STATUS, length=2 ** 32 - 1)), ("bad-format", sends(STATUS, magic=b"EL")),
                ("bad-format", sends(14)), ("unsupported", sends(STATUS, version=2))))
    with step("secondary: a body that is not what its message says"):
        def says(*arguments):
            return lambda primary: primary.ask(*arguments)
        for ecu in w.ecus:
            w.mount(ecu, "bad-format", says(BEGIN, b"short"), (
                ("bad-format", says(PIECE, bytes(8))), ("bad-format", says(ecu_wire.LOOK, b"\x02")),
                ("bad-format", says(ecu_wire.TIME, b"\x00")), ("bad-format", says(ecu_wire.FILE, b"\x02")),
                ("bad-format", says(ecu_wire.DONE))))
    with step("secondary: a file that is longer than what was asked for"):
        def too_long(primary, rest):
            primary.look(ROOTS)
            primary.tell_time()
            primary.look(file=lambda _, name: rest if "root" in name else b" " * (5 << 20))
        for ecu in w.ecus:
            w.mount(ecu, "endless-data", lambda primary: too_long(primary, b" " * (1 << 20)))
        w.mount(w.camera, "endless-data", lambda primary: too_long(primary, None))


def torn_messages(w):
    with step("secondary: a torn message says nothing and stops nobody"):
        for ecu in w.ecus:
            for count in (1, 7, 20):
                wire = Wire(ecu.socket)
                wire.send(message(BEGIN, bytes(32))[:count])
                wire.close()
        waiting = [Wire(ecu.socket) for ecu in w.ecus]
        for wire in waiting:  # and now they hold the line
            wire.send(message(BEGIN, bytes(32))[:20])
        for ecu, wire in zip(w.ecus, waiting):
            primary = Primary(ecu, w.thief, w.car.state)
            check_equal(primary.status()["attack"], "", f"what {ecu.serial} says")
            primary.close()
            check(wire.is_closed(), "the torn connection is still open")
            wire.close()


def endless_image(w):
    with step("secondary: more pieces than the image has bytes"):
        for ecu in w.ecus:
            wanted = w.bytes_of(ecu, NEXT)

            def one_byte_more(primary, wanted=wanted):
                primary.hand_on()
                primary.send_image(wanted, wanted + b"x")

            def beyond(primary, wanted=wanted):
                primary.begin(wanted)
                primary.piece(SOFTWARE_BYTES, b"x")

            def far_beyond(primary, wanted=wanted):
                primary.begin(wanted)
                primary.piece(2 ** 64 - 1, b"x")
            w.mount(ecu, "endless-data", one_byte_more, (("conflict", beyond), ("conflict", far_beyond)))
            spare = ecu.slot("b" if ecu.state()["kept"] == "a" else "a")
            check(os.path.getsize(spare) <= SOFTWARE_BYTES, "it has written more than the image is long")


def switches(w):
    with step("secondary: nothing is switched to what is not staged, and nothing is kept that has not passed its check"):
        for ecu in w.ecus:
            ecu.save()
            primary = Primary(ecu, w.thief, w.car.state)
            wanted, hooks = w.bytes_of(ecu, NEXT), ecu.hooks()

            def refused(kind, image):
                try:
                    primary.command(kind, image)
                    check(False, f"{ecu.serial} has done {kind}")
                except Refused as error:
                    check_equal(error.name, "conflict", f"the answer to {kind}")
            primary.hand_on()
            for image in (wanted, w.bytes_of(ecu, OLDER)):
                for kind in (ACTIVATE, CHECK, KEEP):
                    refused(kind, image)
            primary.send_image(wanted)
            for kind in (CHECK, KEEP):
                refused(kind, wanted)
            refused(ACTIVATE, w.bytes_of(ecu, OLDER))
            w.is_as_before(ecu, hooks)
            primary.command(ACTIVATE, wanted)
            refused(KEEP, wanted)
            ecu.be_unwell()
            try:
                primary.command(CHECK, wanted)
                check(False, "it is unwell, and has passed its check")
            except Refused as error:
                check_equal(error.name, "health-check-failed", "the answer to the check")
            refused(KEEP, wanted)
            ecu.be_unwell(False)
            primary.command(REVERT, wanted)
            w.is_as_before(ecu, ecu.hooks())
            check_equal(primary.report()["attack"], "", f"what {ecu.serial} reports")
            primary.close()
            ecu.restore()


def withheld_root(w):
    with step("secondary: a withheld root; what its new keys sign is not believed, and all goes on when it comes"):
        offline = Offline(w.r)
        made = make_online_keys(w.r, offline, ["director-timestamp"])
        offline.change("director", ("rotate", "--role", "timestamp", "--old", key_id(offline.roots["director"], "timestamp"),
                                    "--new", made["director-timestamp"]))
        def withheld(primary):
            primary.hand_on({DIRECTOR + r"2\.root\.json": with_status(404)})
        w.camera.save()
        w.mount(w.brake, "bad-signature", withheld)
        w.camera.restore()  # the honest primary has brought it to both
        w.mount(w.camera, "bad-signature", withheld)
        def root_version(ecu):
            with open(os.path.join(ecu.directory, "trust", "director", "root.json"), "rb") as stream:
                return part_of(stream.read())["version"]
        w.car.start_agent()
        for ecu in w.ecus:
            wait_until(f"{ecu.serial} has root 2", lambda: root_version(ecu) == 2)
    with step("what each ECU has refused stands in the car's trail, under the ECU's name"):
        refused = [x["data"] for x in w.anna("audit", VIN, "--limit", "1000")["records"] if x["what"] == "attack-reported"]
        for ecu in w.ecus:
            check(len([data for data in refused if data.get("ecu") == ecu.serial]) > 10, f"{ecu.serial}: {refused}")


def test(r):
    w = World(r)
    arbitrary_image(w)
    replays(w)
    others(w)
    mixtures(w)
    times(w)
    messages(w)
    torn_messages(w)
    endless_image(w)
    switches(w)
    withheld_root(w)


if __name__ == "__main__":
    sys.exit(rig.main(test, ("--root-keys", "3", "--root-threshold", "2")))
