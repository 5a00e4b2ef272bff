#!/usr/bin/env python3
"""Orders that must be refused, each with its reason, and what the command line makes of it."""
import sys

import rig
from rig import check, check_equal, step

VIN = "WVWZZZ1JZXW000017"
FIT = {"models": ["borealis"], "countries": ["NL"], "hardware": ["tow-bar"], "model_year_min": 2027}


def test(r):
    with step("a car that is owned, and one that nobody owns"):
        r.publish_releases()
        r.product("adaptive-cruise", "functions/adaptive-cruise/1.0.pkg", fit={"hardware": ["radar-front"]})
        r.product("trailer-assist", "functions/trailer-assist/1.0.pkg", fit=FIT)
        anna, bert, carla = (r.account(name, "owner") for name in ("anna", "bert", "carla"))
        car = rig.Car(r, VIN, 17)
        car.register()
        car.provision()
        car.pair(anna)
    with step("P3.1 more than three regions are refused, with the pointer to a partner"):
        problem = anna.refused("too-many-regions", "order", "map", VIN, *rig.REGIONS)
        check("partner" in problem["detail"].lower(), problem["detail"])
    with step("P1.2 a function that does not fit is refused with every reason named"):
        problem = anna.refused("does-not-fit", "order", "function", VIN, "trailer-assist")
        check_equal(len(problem["reasons"]), 4, f"reasons in {problem['reasons']}")
    with step("P1.1 a secondary user's order is refused and says so"):
        bert("user", "accept", anna("user", "invite", VIN)["code"])
        bert("order", "list", VIN)
        problem = bert.refused("owner-only", "order", "function", VIN, "adaptive-cruise")
        check("owner" in problem["detail"].lower(), problem["detail"])
    with step("somebody else does not learn that the car is there"):
        status, problem, _ = carla.attempt("order", "function", VIN, "adaptive-cruise")
        check_equal((status, problem["status"] in (403, 404)), (1, True), f"{problem}")
        status, problem, _ = carla.attempt("car", "show", VIN)
        check_equal(status, 1, "exit status")
    with step("P2.1 without consent no software is offered"):
        r.operator("rollout", "start", "spring", "--image", f"software/hu-4/{rig.NEW_SOFTWARE}.img")
        check_equal(anna("order", "list", VIN)["orders"], [], "orders")
    with step("the same idempotency key gets the same order, another body is refused"):
        first = anna("order", "map", VIN, "DE", "--idempotency-key", "key-1")
        again = anna("order", "map", VIN, "DE", "--idempotency-key", "key-1")
        check_equal(again["id"], first["id"], "order")
        anna.refused("idempotency-key-reused", "order", "map", VIN, "IT", "--idempotency-key", "key-1")
    with step("a name is used once: other content under a published name is refused on this side"):
        image = r.map_image(rig.NEW_MAP, "DE", 3)
        image["path"] = r.region(rig.OLD_MAP, "DE")
        try:
            r.publish([image])
        except rig.Failed as error:
            check("exit status 5" in str(error), str(error))
        else:
            check(False, "published twice")
        check_equal(r.publish([r.map_image(rig.NEW_MAP, "DE", 2)])["images"], [], "images published again")
    with step("exit statuses: 1 refused, 2 usage, 3 no connection, 5 this machine"):
        nobody = rig.Person(r.server, "/dev/null")
        check_equal(nobody.attempt("product", "list")[0], 1, "without a token")
        check_equal(anna.attempt("order", "map")[0], 2, "without arguments")
        check_equal(rig.Person(r.server, "/nonexistent").attempt("product", "list")[0], 5, "without a token file")
        check_equal(r.server.process.stop(), 0, "laybyd")
        check_equal(anna.attempt("product", "list")[0], 3, "without a server")


if __name__ == "__main__":
    sys.exit(rig.main(test))
