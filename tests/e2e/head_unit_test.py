#!/usr/bin/env python3
"""The head unit's page in headless Chromium: a whole update and a failed one, clicked through in two languages.

With LAYBY_SCREENSHOTS=DIRECTORY the pictures that the README shows are left there. Without Chromium it fails, as these
steps prove promises; with LAYBY_WITHOUT_BROWSER=1 it is then skipped.
"""
import os
import sys
import time

import browser
import rig
from rig import check, check_equal, step, wait_until
from shaping_proxy import ShapingProxy

VIN = "WVWZZZ1JZXW000017"
CARD = "article.update"
WIDTH, HEIGHT = 1440, 1150
# Bytes a second: what is downloaded takes longer than any look at the page, until it has been seen.
SLOW, FAST = 1_000, 10_000_000


def control(name, value):
    return f"button[data-control={name}][data-value={value}]"


def press(page, name, value):
    page.click(control(name, value))
    wait_until(f"{name} is {value}",
               lambda: page.js(f"document.querySelector('{control(name, value)}').getAttribute('aria-pressed')") == "true")


def states(page):
    return page.js("[...document.querySelectorAll('article.update')].map(e => e.dataset.state)")


def picture(page, r, name):
    check_equal(page.js("document.documentElement.scrollHeight"), HEIGHT, "the page's height: nothing is cut off")
    page.screenshot(os.path.join(os.environ.get("LAYBY_SCREENSHOTS", r.directory), name + ".png"))


def whole_update(r, page, car, anna, link):
    with step("the page shows a car that is up to date, in its language"):
        page.wait_for_text("Everything is up to date.")
        check_equal(page.js("document.documentElement.lang"), "en", "the page's language")
        missing = page.js("""Object.entries(TEXTS).flatMap(([language, texts]) => [...Object.keys(TEXTS.en).filter(
            (name) => !texts[name]), ...Object.keys(TEXTS.en.states).filter((name) => !texts.states[name])].map(
            (name) => language + ': ' + name))""")
        check_equal((missing, page.js("Object.keys(TEXTS).sort().join()")), ([], "de,en,fr,it,nl"), "the page's texts")
        small = page.js("[...document.querySelectorAll('button')].filter(e => e.getBoundingClientRect().height < 44).length")
        check_equal(small, 0, "keys too small for a finger")
        unnamed = page.js("[...document.querySelectorAll('button, input')].filter(e => !(e.innerText || e.ariaLabel ||"
                          " (e.labels && e.labels.length))).length")
        check_equal(unnamed, 0, "controls without a name")
    with step("P4.2 an update is downloaded while the car drives; the head unit says what it waits for"):
        page.click("#drive")
        wait_until("the car drives", lambda: car.show()["signals"]["Vehicle.LowVoltageSystemState"] == "ON")
        order = anna("order", "map", VIN, "DE", "NL")["id"]
        page.wait_for_text("The download waits for Wi-Fi.", CARD, 60)
        link.rate = SLOW
        press(page, "bearer", "wifi")
        wait_until("it is being downloaded", lambda: "downloading" in states(page), 60)
        page.wait_for_text("Downloading", CARD)
        link.rate = FAST
        page.wait_for_text("Starts when you get out and lock the car.", CARD, 120)
        page.wait_for_text("The installation takes about 1 minute.", CARD)
        picture(page, r, "head-unit-driving")
    with step("P4.2 its release notes are there to be read, and stay open"):
        page.click("summary")
        page.wait_for_text(f"New roads and places of {rig.NEW_MAP}.", CARD)
        time.sleep(2)
        page.wait_for_text(f"New roads and places of {rig.NEW_MAP}.", CARD)
    with step("P4.3 every missing condition stands on the update"):
        press(page, "cable", "on")
        for name, value in (("gear", "P"), ("parking_brake", "on"), ("power", "off"), ("driver", "out"), ("locked", "yes")):
            press(page, name, value)
        page.wait_for_text("Please unplug the charging cable.", CARD)
        check("Please select P." not in page.text(CARD), "a condition that holds is named")
        picture(page, r, "head-unit-waiting")
    with step("P2.2 private mode is shown"):
        press(page, "private_mode", "on")
        page.wait_for_text("Private mode is on: no download, no reports.")
        press(page, "private_mode", "off")
    with step("P4.2 with the last condition it installs, and is done"):
        press(page, "cable", "off")
        r.wait_for_state(anna, order, "active", 60)
        page.wait_for_text("Everything is up to date.", seconds=60)
        check(rig.same_tree(car.live_map("DE"), r.region(rig.NEW_MAP, "DE")), "the map is not the new one")


def failed_update(r, page, car, anna):
    with step("P4.3 the page speaks German at once"):
        press(page, "language", "de")
        page.wait_for_text("Alles ist auf dem neuesten Stand.")
        check_equal(page.js("document.documentElement.lang"), "de", "the page's language")
    with step("P4.3 so it does where the car says a language of a region, and English where it has none of them"):
        for tag, language in (("de-CH", "de"), ("zh, IT-ch, en", "it"), ("constructor", "en"), ("de", "de")):
            car.set(language=tag)
            wait_until(f"{tag} is {language}", lambda: page.js("document.documentElement.lang") == language)
            pressed = f"document.querySelector('{control('language', language)}').getAttribute('aria-pressed')"
            wait_until(f"the key {language} is pressed", lambda: page.js(pressed) == "true")
    with step("P2.3 every bearer that the agent knows has its key"):
        for bearer in ("sim", "inserted-sim", "hotspot", "none", "wifi"):
            press(page, "bearer", bearer)
            check_equal(car.show()["signals"]["Vehicle.Layby.Bearer"], bearer, "the car's bearer")
    with step("what the car does not take is said"):
        for name, value in (("gear", "X"), ("soc", "1-2"), ("speed", "1.2.3"), ("battery", "-")):
            page.js(f"turn({{ {name}: '{value}' }})")
            page.wait_for_text(f"Das Fahrzeug nimmt das nicht an: {name} does not take the value {value}", "#trouble")
            check("400" in page.errors.pop() and not page.errors, "the browser tells of other errors")
        press(page, "gear", "P")
        wait_until("it is gone", lambda: page.text("#trouble") == "")
    with step("P4.2 the owner's time is set and taken back, in the car's local time"):
        # Berlin's offset now, which the page has told the car: the agent's lines have it too.
        signals = car.show()["signals"]
        check(signals["Vehicle.Layby.UtcOffset"] in ("60", "120"), f"the offset {signals['Vehicle.Layby.UtcOffset']}")
        # With none the page tells its own again only after the next connection.
        for offset, utc in (("none", "03:04"), ("-210", "06:34"), ("60", "02:04")):
            car.set(utc_offset=offset)
            told = "" if offset == "none" else offset
            wait_until("the page knows the offset", lambda: page.js("values[SIGNAL.utc_offset]") == told)
            page.js("document.querySelector('#at').value = '2030-01-02T03:04'")
            page.click("#at-set")
            wait_until("the car knows it", lambda: car.show()["signals"]["Vehicle.Layby.ActivateAt"] == f"2030-01-02T{utc}:00Z")
            # In the car's time. Until the page has heard of it, the time before stands there in the new offset.
            page.wait_for_text("03:04", "#at-note")
            check("Gewählt: " in page.text("#at-note"), "the page does not say that it is the chosen time")
        page.click("#at-clear")
        page.wait_for_text("Beginnt nach dem nächsten Verriegeln.", "#at-note")
    with step("P4.5 an update that fails stays listed, with its code, in German"):
        page.click("button[data-control=fail_activate]")
        page.click("#drive")
        order = anna("order", "function", VIN, "adaptive-cruise")["id"]
        page.wait_for_text("Download fertig", CARD, 60)
        page.click("#leave")
        page.wait_for_text("Nicht gelungen (Code 403)", CARD, 60)
        page.wait_for_text("Nicht gelungen", CARD + " .state")
        picture(page, r, "head-unit-failed")
        check_equal(car.show()["functions"], [], "active functions")
    with step("P4.5 it works after the next locking"):
        page.click("button[data-control=fail_activate]")
        page.click("#drive")
        wait_until("the car drives", lambda: car.show()["signals"]["Vehicle.LowVoltageSystemState"] == "ON")
        page.click("#leave")
        r.wait_for_state(anna, order, "active", 60)
        page.wait_for_text("Aktiv ohne zeitliche Grenze: adaptive-cruise", "#functions")
        picture(page, r, "head-unit-done")


def test(r):
    car = rig.Car(r, VIN, 17)
    with step("a paired car with its head unit in a browser"):
        r.publish_releases()
        r.product("adaptive-cruise", "functions/adaptive-cruise/1.0.pkg")
        anna = r.account("anna", "owner")
        car.register()
        car.provision()
        car.pair(anna)
        port_file = os.path.join(car.home, "port")
        car.start_vehicle(rig.PARKED, "--port", "0", "--port-file", port_file)
        link = ShapingProxy(delay=0, rate=FAST, cut_every=0)
        car.start_agent("--proxy", link.url)
        page = browser.Browser(r, WIDTH, HEIGHT)
        with open(port_file, encoding="ascii") as stream:
            page.goto(f"http://127.0.0.1:{stream.read()}/")
    whole_update(r, page, car, anna, link)
    failed_update(r, page, car, anna)
    link.stop()
    check_equal(page.errors, [], "errors of the page")


if __name__ == "__main__":
    if not browser.CHROMIUM:
        print("there is no chromium (Debian: apt-get install chromium; LAYBY_WITHOUT_BROWSER=1 does without)")
        sys.exit(browser.SKIPPED if os.environ.get("LAYBY_WITHOUT_BROWSER") == "1" else 1)
    sys.exit(rig.main(test))
