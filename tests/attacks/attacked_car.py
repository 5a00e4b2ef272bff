"""What the attack tests begin with: a server, a car that has updated once and has an order that waits, a thief in between."""
import rig
from hostile import FOLDERS, Target, Thief
from rig import step, wait_until

VIN, OTHER_VIN = "WVWZZZ1JZXW000017", "WVWZZZ1JZXW000025"


class World:
    def __init__(self, r):
        self.r = r
        self.car, self.other = rig.Car(r, VIN, 17), rig.Car(r, OTHER_VIN, 25)
        self.target = Target(r, self.car)
        with step("a car with a new map of NL installed, and an order for DE that waits"):
            r.publish_releases()
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

    def mount(self, *arguments, **more):
        self.target.mount(*arguments, **more)
