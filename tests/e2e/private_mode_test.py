#!/usr/bin/env python3
"""Private mode, and an order that is not downloaded within 28 days."""
import sys
import time

import rig
from rig import check, check_equal, step, wait_until

VIN = "WVWZZZ1JZXW000017"
DAY = 86_400


def test(r):
    car = rig.Car(r, VIN, 17)
    with step("a car in private mode"):
        r.publish_releases()
        r.product("adaptive-cruise", "functions/adaptive-cruise/1.0.pkg")
        anna = r.account("anna", "owner")
        car.register()
        car.provision()
        car.pair(anna)
        car.start_vehicle({**rig.PARKED, "private_mode": "on"})
        car.start_agent()
        late = anna("order", "function", VIN, "adaptive-cruise")["id"]
    with step("P2.2 in private mode nothing is downloaded or reported, and the head unit says that this is why"):
        wait_until("the head unit says so", lambda: "rivate" in car.head_unit())
        time.sleep(3)
        check_equal(r.operator("transfers", VIN)["transfers"], [], "transfers")
        check_equal(r.order_state(anna, late), "staged", "state")
    with step("P1.6 a day before the end nothing happens"):
        r.operator("simulation", "advance", "--days", "27")
        time.sleep(2)
        check_equal(r.order_state(anna, late), "staged", "state")
    with step("P1.6 after 28 days the order cancels itself, with exactly one refund, and the owner is told"):
        r.operator("simulation", "advance", "--days", "1", "--seconds", "60")
        r.wait_for_state(anna, late, "cancelled", 30)
        check_equal(len(r.events("refund", late)), 1, "refund events")
        messages = [m["data"]["message"] for m in anna("messages", VIN)["events"] if m.get("order") == late]
        check("cancelled" in messages and "refunded" in messages, f"messages: {messages}")
    with step("P1.6 the car that comes back gets nothing"):
        car.set(private_mode="off")
        car.agent.stop()
        car.start_agent()
        wait_until("the car has asked", lambda: car.status().get("poll", {}).get("last"))
        time.sleep(3)
        check_equal(car.status()["orders"], [], "orders in the car")
        check_equal(car.show()["functions"], [], "active functions")
        check_equal(r.operator("transfers", VIN)["transfers"], [], "transfers")
        check_equal(len(r.events("refund", late)), 1, "refund events")
        check_equal(r.events("billing"), [], "billing events")
    with step("P2.2 once the mode is off an order arrives by itself, also a month later"):
        car.set(private_mode="on")
        again = anna("order", "function", VIN, "adaptive-cruise")["id"]
        time.sleep(2)
        check_equal(r.order_state(anna, again), "staged", "state")
        car.set(private_mode="off")
        car.wait_for_active(anna, [again])
        check_equal(len(r.events("billing", again)), 1, "billing events")
        check_equal(len(r.events("billing")), 1, "billing events of all orders")


if __name__ == "__main__":
    sys.exit(rig.main(test))
