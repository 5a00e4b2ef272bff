#!/usr/bin/env python3
"""A month that renews, one that ends, an inclusive period, a withdrawal, and a car that is reported stolen: money, messages, and what the car does.

The server's clock is moved; the car learns the time as the server signs it, with each poll.
"""
import calendar
import datetime
import sys
import time

import rig
from rig import check, check_equal, step, wait_until

VIN = "WVWZZZ1JZXW000017"
DAY = 86_400
CRUISE, TRAILER, TRACKER, PARKING = "adaptive-cruise", "trailer-assist", "tracker", "parking-pilot"


def seconds_of(text):
    return calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))


def server_time(r):
    return seconds_of(r.operator("simulation", "advance", "--seconds", "1")["now"])


def go_to(r, moment):
    """The server's clock only; cars ask for the time by themselves."""
    ahead = moment - server_time(r)
    check(ahead > 0, f"{ahead} s: the clock does not go back")
    r.operator("simulation", "advance", "--seconds", str(ahead))


def knows_time(car, moment):
    wait_until("the car has heard the server's time", lambda: seconds_of(car.status()["trustedTime"]) >= moment)


def messages(person, order, word):
    return [m for m in person("messages", VIN, "--limit", "1000")["events"]
            if m.get("order") == order and m["data"]["message"] == word]


def offer(person, product):
    return next(o for o in person("offers", VIN)["products"] if o["product"]["id"] == product)


def functions_on(car):
    return {f["id"] for f in car.show()["functions"]}


def licence(car, function):
    return next(f for f in car.status()["functions"] if f["id"] == function)


def publish(r):
    r.publish([{"kind": "function", "id": name, "version": "1.0", "hardware": [rig.HARDWARE], "release_counter": 1,
                "path": r.package(name, 20_000, name), "duration_seconds": 30} for name in (CRUISE, TRAILER, TRACKER, PARKING)])
    r.operator("jobs", "--wait", "--timeout", "300")
    r.product("cruise", f"functions/{CRUISE}/1.0.pkg")
    r.product("trailer-month", f"functions/{TRAILER}/1.0.pkg", 999, {"kind": "subscription"})
    r.product("tracker-20", f"functions/{TRACKER}/1.0.pkg", 1900, {"kind": "fixed", "days": 20, "from": "acceptance"},
              protects=True, withdrawal_days=28)
    r.product("parking-5", f"functions/{PARKING}/1.0.pkg", 0, {"kind": "inclusive", "days": 5})


def billed_periods(r, order):
    return [e["data"]["period"] for e in r.events("billing", order)]


def withdrawal(r, anna, car, cruise):
    with step("P1.7 withdrawn from while it is active: the money goes back at once, the car is told to switch it off"):
        car.set(**rig.DRIVING)
        check_equal(anna("order", "withdraw", cruise)["state"], "cancelling", "state")
        check_equal(len(r.events("refund", cruise)), 1, "refund events")
        wait_until("the deactivation is in the car", lambda: (car.order(cruise) or {}).get("action") == "deactivate")
        time.sleep(2)
        check(CRUISE in functions_on(car), "a function went off while driving")
    with step("P1.7 P1.9 after exit-and-lock it is off, the order is refunded, with one refund event for one billing event"):
        car.wait_for(anna, [cruise], "refunded")
        check(CRUISE not in functions_on(car), "the function is still on")
        check_equal((len(r.events("billing", cruise)), len(r.events("refund", cruise))), (1, 1), "billing, refund")
        for word in ("withdrawn", "refunded", "ended"):
            check_equal(len(messages(anna, cruise, word)), 1, f"messages `{word}`")
        check_equal(anna("order", "show", cruise)["money"], "refunded", "money")


def inclusive_end(r, anna, car, trial):
    end = seconds_of(anna("order", "show", trial)["active_until"])
    with step("P1.4 an inclusive period turns into nothing by itself: off after exit-and-lock, and no money moved"):
        go_to(r, end - 60)
        check_equal(r.order_state(anna, trial), "active", "state a minute before the end")
        go_to(r, end + 60)
        car.wait_for(anna, [trial], "ended")
        check(PARKING not in functions_on(car), "the function is still on")
        for kind in ("authorisation", "billing", "refund"):
            check_equal(r.events(kind, trial), [], f"events `{kind}`")


def stolen(r, anna, car, tracker):
    end = seconds_of(anna("order", "show", tracker)["active_until"])
    with step("P1.12 reported stolen, what protects the car is neither cancelled, withdrawn nor sold"):
        anna("car", "stolen", VIN)
        for verb in ("cancel", "withdraw"):
            anna.refused("reported-stolen", "order", verb, tracker)
        anna.refused("reported-stolen", "order", "function", VIN, "tracker-20")
        check("stolen" in [x["rule"] for x in offer(anna, "tracker-20")["reasons"]], "the list of offers says why")
    with step("P1.12 its term is over, and in the car it goes on: the licence is extended"):
        go_to(r, end - DAY + 60)  # a day's notice, as for a renewal: the car is not without a licence for a second
        wait_until("the car has an extended licence", lambda: seconds_of(licence(car, TRACKER)["until"]) > end)
        go_to(r, end + DAY)
        knows_time(car, end + DAY)
        car.exit_and_lock()
        time.sleep(3)
        check(TRACKER in functions_on(car), "what protects a stolen car went off")
        check_equal(r.order_state(anna, tracker), "active", "state")
        check_equal(billed_periods(r, tracker), [1], "the extension costs nothing")
    with step("P1.12 the report is lifted: the term ends, the car switches it off, and it can be bought again"):
        anna("car", "found", VIN)
        car.wait_for(anna, [tracker], "ended")
        check(TRACKER not in functions_on(car), "the function is still on")
        again = anna("order", "function", VIN, "tracker-20")["id"]
        # The car may have it downloaded by now, or not; it was not left since, so it is not active.
        state = anna("order", "withdraw", again)["state"]
        check(state in ("cancelled", "cancelling"), f"withdrawn from, the new order is {state}")


def renewal(r, anna, car, month):
    end = seconds_of(anna("order", "show", month)["active_until"])
    with step("P1.8 P1.4 a day before the month's end it renews: the car takes the licence while driving, nothing is activated"):
        car.set(**rig.DRIVING)
        go_to(r, end - DAY - 600)
        time.sleep(2)
        check_equal(billed_periods(r, month), [1], "billed before it is renewed")
        check_equal(seconds_of(licence(car, TRAILER)["until"]), end, "the licence before the renewal")
        activations = car.show()["activations"]
        go_to(r, end - DAY + 60)
        wait_until("the car has the new licence", lambda: seconds_of(licence(car, TRAILER)["until"]) > end)
        check_equal(car.show()["activations"], activations, "activations")
        check_equal(r.order_state(anna, month), "active", "state")
    with step("P1.5 P1.8 the second month is billed once, when the car has reported its licence"):
        wait_until("the second month is billed", lambda: 2 in billed_periods(r, month))
        go_to(r, end + DAY)
        knows_time(car, end + DAY)
        car.exit_and_lock()
        time.sleep(2)
        check(TRAILER in functions_on(car), "the function stopped with the first month")
        check_equal(billed_periods(r, month), [1, 2], "billed periods")
        check_equal(r.events("refund", month), [], "refund events")
        check_equal(len(messages(anna, month, "renewed")), 1, "messages `renewed`")


def month_end(r, anna, car, month):
    with step("P1.13 the owner switches the renewal off, and sees that nothing will be charged and until when it is active"):
        before = anna("order", "show", month)
        check_equal(before["next_charge"]["amount_cents"], 999, "the next charge")
        off = anna("order", "renewal", month, "off")
        check_equal((off["auto_renew"], "next_charge" in off, "note" in off), (False, False, False), "after the switch")
        check_equal(off["active_until"], before["active_until"], "active until")
    end = seconds_of(off["active_until"])
    with step("P1.11 the owner is told 7, 2 and 1 days before a term ends"):
        check_equal(messages(anna, month, "expiring"), [], "messages before that")
        for said, days in enumerate((7, 2, 1), 1):
            # Days are local ones: a clock change between may make it an hour more or less.
            go_to(r, end - days * DAY + 7200)
            wait_until(f"the message of {days} days", lambda: len(messages(anna, month, "expiring")) == said)
    with step("P1.8 the month is over: a deactivation is sent, it waits for exit-and-lock, and the order is ended"):
        car.set(**rig.DRIVING)
        go_to(r, end - 60)
        time.sleep(1)
        check_equal(r.order_state(anna, month), "active", "state a minute before the end")
        go_to(r, end + 60)
        r.wait_for_state(anna, month, "expired", 30)
        wait_until("the deactivation is in the car", lambda: (car.order(month) or {}).get("action") == "deactivate")
        time.sleep(2)
        check(TRAILER in functions_on(car), "a function went off while driving")
        car.wait_for(anna, [month], "ended")
        check_equal(functions_on(car), set(), "functions that are on")
        check_equal(billed_periods(r, month), [1, 2], "billed periods")
        check_equal(r.events("refund", month), [], "refund events")
        for word in ("expired", "ended"):
            check_equal(len(messages(anna, month, word)), 1, f"messages `{word}`")


def test(r):
    anna = r.account("anna", "owner")
    car = rig.Car(r, VIN, 17)
    with step("a month, an unlimited function, a protecting one and an inclusive period are ordered and active"):
        publish(r)
        car.register()
        car.provision()
        car.pair(anna)
        car.start_vehicle(rig.PARKED)
        month, cruise, tracker, trial = (anna("order", "function", VIN, product)["id"]
                                         for product in ("trailer-month", "cruise", "tracker-20", "parking-5"))
        car.start_agent()
        car.wait_for(anna, [month, cruise, tracker, trial], "active")
    with step("P1.4 P1.5 each is billed once; a month runs from the activation, a term from the acceptance where it says so"):
        for order in (month, cruise, tracker):
            check_equal(billed_periods(r, order), [1], "billed periods")
        shown = anna("order", "show", month)
        active_at = next(h["at"] for h in shown["history"] if h["state"] == "active")
        days = (seconds_of(shown["active_until"]) - seconds_of(active_at)) / DAY
        check(27.9 < days < 31.1, f"a month of {days} days")
        term = anna("order", "show", tracker)
        days = (seconds_of(term["active_until"]) - seconds_of(term["ordered"])) / DAY
        check(19.9 < days < 20.1, f"20 days from the acceptance are {days}")
        check("active_until" not in anna("order", "show", cruise), "an unlimited function has no end")
        wait_until("the car has the final end",
                   lambda: licence(car, TRAILER)["until"] == shown["active_until"])
    with step("P1.13 the owner sees state, since when, until when, the renewal switch, the next charge and past events"):
        check_equal({(o["id"], o["state"]) for o in anna("order", "list", VIN)["orders"]},
                    {(order, "active") for order in (month, cruise, tracker, trial)}, "the car's orders")
        check_equal((shown["since"], shown["auto_renew"]), (active_at, True), "since, auto_renew")
        charge = shown["next_charge"]
        check_equal((charge["amount_cents"], charge["currency"]), (999, "EUR"), "the next charge")
        check(abs(seconds_of(shown["active_until"]) - seconds_of(charge["at"]) - DAY) <= 3600, f"{charge}")
        offered = offer(anna, "trailer-month")
        check_equal((offered["active"], offered["active_until"]), (True, shown["active_until"]), "in the list of offers")
        for word in ("ordered", "downloaded", "activated", "invoiced"):
            check_equal(len(messages(anna, month, word)), 1, f"messages `{word}`")
        head_unit = car.head_unit()
        end = datetime.date.fromisoformat(shown["active_until"][:10])
        day = f"{end.day} {end:%B} {end.year}"
        check(f"Active until {day}" in head_unit and " left)" in head_unit, f"the head unit shows: {head_unit}")
    withdrawal(r, anna, car, cruise)
    inclusive_end(r, anna, car, trial)
    stolen(r, anna, car, tracker)
    renewal(r, anna, car, month)
    month_end(r, anna, car, month)
    with step("the audit trail is unbroken"):
        r.operator("audit", VIN, "--check", "--limit", "1000")


if __name__ == "__main__":
    sys.exit(rig.main(test))
