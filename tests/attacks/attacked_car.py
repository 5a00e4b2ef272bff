"""What the attack tests begin with: a server, a car that has updated once and has an order that waits, a thief in between."""
import re

import rig
from ceremony_test import ONLINE, Offline, key_id, make_online_keys
from hostile import FOLDERS, StolenKey, Target, Thief, part_of, with_body
from rig import check, check_equal, step, wait_until

ROOT_KEYS = ("--root-keys", "3", "--root-threshold", "2")  # for `laybyd init`, so that there are roots to change
VIN, OTHER_VIN = "WVWZZZ1JZXW000017", "WVWZZZ1JZXW000025"


class World:
    def __init__(self, r):
        self.r = r
        self.car, self.other = rig.Car(r, VIN, 17), rig.Car(r, OTHER_VIN, 25)
        self.target = Target(r, self.car)
        self.offline = Offline(r)
        with step("a car with a new map of NL installed, and an order for DE that waits"):
            self.publish_releases()
            self.anna = r.account("anna", "owner")
            for car in (self.car, self.other):
                car.register()
            self.target.provision()
            self.other.provision()
            for car in (self.car, self.other):
                car.pair(self.anna)
            self.car.start_vehicle(rig.PARKED)
            self.thief = Thief(self.target.hostile)
            self.first = {name: self.thief.documents(name) for name in FOLDERS}
            self.car.start_agent()
            self.car.wait_for_active(self.anna, [self.anna("order", "map", VIN, "NL")["id"]])
            self.car.set(**rig.DRIVING)
            self.anna("order", "map", VIN, "DE")
            self.target.is_at_peace()
            wait_until("the car holds the order", lambda: self.target.car.status()["orders"])
        self.second = {name: self.thief.documents(name) for name in FOLDERS}

    def publish_releases(self):
        """Both releases of the maps, and a function."""
        r = self.r
        for counter, version in ((1, rig.OLD_MAP), (2, rig.NEW_MAP)):
            r.publish([r.map_image(version, region, counter) for region in rig.REGIONS])
        self.publish("adaptive-cruise", 365)

    def mount(self, error, rules, words="", **more):
        self.target.mount(self.thief, error, rules, words, **more)

    def publish(self, name, expires_days, version="1.0", counter=1, licence_key=None):
        """One more image, so that there are newer targets of the Image repository."""
        server = self.r.server
        package = self.r.package(name, 1000, name if counter == 1 else f"{name} {version}")
        self.r.operator("image", "publish", "--image-root", server.provision("image-root.json"), "--targets-key",
                        server.offline("image-targets.key"), "--passphrase-file", server.offline("passphrase"), "--licence-key",
                        licence_key or server.provision("licence-key.json"), "--expires-days", str(expires_days), "--kind",
                        "function", "--id", name, "--version", version, "--hardware", rig.HARDWARE, "--release-counter",
                        str(counter), "--duration-seconds", "30", package)
        self.r.operator("jobs", "--wait", "--timeout", "300")

    def order_function(self, name, vin=VIN):
        self.r.product(name, f"functions/{name}/1.0.pkg")
        return self.anna("order", "function", vin, name)["id"]

    def stolen_offline(self, name):
        """A key that never was on the server."""
        with open(self.r.server.offline("passphrase"), "rb") as stream:
            return StolenKey(self.r.server.offline(name + ".key"), stream.read().strip())

    def root_keys(self, repository):
        return [self.stolen_offline(f"{repository}-root{suffix}") for suffix in ("", "-2", "-3")]

    def next_root(self, repository):
        with open(self.offline.roots[repository], "rb") as stream:
            part = part_of(stream.read())
        part["version"] += 1
        return part

    def serving_root(self, repository, document):
        return {re.escape(f"{FOLDERS[repository]}{part_of(document)['version']}.root.json"): with_body(document)}

    def rotate(self, *names):
        """The owner's answer: new keys for these roles, named by the next roots. The thief gets the new ones for his next attack."""
        self.target.stop()
        made = make_online_keys(self.r, self.offline, names)
        for repository, roles in ONLINE.items():
            edits = [("rotate", "--role", role, "--old", key_id(self.offline.roots[repository], role), "--new",
                      made[f"{repository}-{role}"]) for role in roles if f"{repository}-{role}" in made]
            if edits:
                self.offline.change(repository, *edits)
        # The next start puts the new keys in the old ones' places.
        check_equal(self.r.server.process.stop(), 0, "exit status of laybyd")
        self.r.server.start()
        self.thief.steal()

    def take_back(self):
        """What the thief has run up, with all that he has left in the car: the car is at peace again, by new roots alone."""
        left = self.target.run_up(self.thief)
        check(left, "there is nothing to take back")
        self.rotate(*[f"{repository}-{role}" for repository in left for role in ONLINE[repository]])
        self.car.start_agent()
        wait_until("nothing in the car is newer than what the server has", lambda: not self.target.run_up(self.thief))
        self.target.is_at_peace()

    def waiting_order(self):
        return next(o for o in self.anna("order", "list", VIN)["orders"] if o["state"] != "active")

    def has_downloaded(self):
        wait_until("the server knows that the order is in the car", lambda: self.waiting_order()["state"] == "downloaded")

    def becomes_active(self):
        """The car does its work: the order that has waited all the time."""
        order = self.waiting_order()["id"]
        self.car.set(**rig.PARKED)
        self.car.wait_for_active(self.anna, [order], 120)
