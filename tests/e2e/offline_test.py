#!/usr/bin/env python3
"""A partner's package: five regions into a car without any connection, and every way in which a package can be wrong."""
import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile

import rig
from rig import check, check_equal, step, wait_until

VIN, OTHER_VIN = "WVWZZZ1JZXW000017", "WVWZZZ1JZXW000025"
NEW_REGION = "BE"  # the car has no map of it: it comes whole
FIVE = (*rig.REGIONS, NEW_REGION)
BLOCK = 512


def publish_fifth(r):
    """A region that the releases do not have: the south of the Netherlands, under another name."""
    for counter, version in ((1, rig.OLD_MAP), (2, rig.NEW_MAP)):
        with open(os.path.join(rig.FIXTURES, "cities", f"cities-{version}.json"), encoding="utf-8") as stream:
            places = [{**place, "country": NEW_REGION} for place in json.load(stream)
                      if place["country"] == "NL" and float(place["lat"]) < 51.7]
        cities = os.path.join(r.directory, f"cities-{version}.json")
        with open(cities, "w", encoding="utf-8") as out:
            json.dump(places, out)
        rig.run(sys.executable, os.path.join(rig.SOURCE, "samples", "cut_regions.py"), cities,
                os.path.join(r.directory, "maps", version), NEW_REGION)
        r.publish([r.map_image(version, NEW_REGION, counter)])
    r.operator("jobs", "--wait", "--timeout", "300")


def install(car, path):
    """Exit status, what was printed, what stood on standard error."""
    done = subprocess.run([os.path.join(rig.BIN, "layby-agent"), "install-offline", "--state", car.state, path, "--json"],
                          capture_output=True, text=True, timeout=300, check=False)
    return done.returncode, json.loads(done.stdout) if done.stdout.strip() else None, done.stderr


def everything(car):
    """Each file of the state directory but the lock, with its digest."""
    found = {}
    for folder, folders, names in os.walk(car.state):
        for name in names + folders:
            path = os.path.join(folder, name)
            if os.path.islink(path):
                found[path] = os.readlink(path)
            elif os.path.isfile(path):
                with open(path, "rb") as stream:
                    found[path] = hashlib.sha256(stream.read()).hexdigest()
            else:
                found[path] = "directory"
    found.pop(os.path.join(car.state, "lock"), None)
    return found


def refused(car, path, words):
    before = everything(car)
    status, answer, errors = install(car, path)
    check_equal((status, answer), (1, None), f"{path}: {errors}")
    check(words in errors, f"{path}: not for the reason {words!r}: {errors}")
    check_equal(everything(car), before, f"{path}: a trace is left")


class Archive:
    """A package as a list of [header, contents with padding], to be bent."""

    def __init__(self, path):
        with open(path, "rb") as stream:
            data = stream.read()
        self.members, at = [], 0
        while data[at] != 0:
            size = int(data[at + 124:at + 135], 8)
            end = at + BLOCK + (size + BLOCK - 1) // BLOCK * BLOCK
            self.members.append([bytearray(data[at:at + BLOCK]), bytearray(data[at + BLOCK:end])])
            at = end
        self.end = data[at:]

    def names(self):
        return [bytes(header[:100]).rstrip(b"\0").decode() for header, _ in self.members]

    def bytes(self):
        return b"".join(bytes(part) for member in self.members for part in member) + self.end

    def change(self, index, offset, value):
        """Bytes of a header, with a checksum that fits again."""
        header = self.members[index][0]
        header[offset:offset + len(value)] = value
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)


def made(name, kind=tarfile.REGTYPE, link="", form=tarfile.USTAR_FORMAT, pax=None, data=b""):
    """A member as other programs write it."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.pax_headers, info.size = kind, link, pax or {}, len(data)
    return [bytearray(info.tobuf(form)), bytearray(data + b"\0" * (-len(data) % BLOCK))]


def hostile(good):
    """What can be done to a package: name, bytes, and why it is refused."""
    def bent(change):
        archive = Archive(good)
        change(archive)
        return archive.bytes()

    def name(index, text):
        return lambda a: a.change(index, 0, text.encode().ljust(100, b"\0"))

    def kind(letter, link=b""):
        def change(archive):
            archive.change(-1, 157, link.ljust(100, b"\0"))
            archive.change(-1, 156, letter)
        return change

    def swap(archive):
        archive.members[1], archive.members[2] = archive.members[2], archive.members[1]

    with open(good, "rb") as stream:
        data = stream.read()
    plain = "no plain ustar header"
    link = "a link, directory or device"
    place = "in a wrong place"
    yield "traversal", bent(name(-1, "payloads/../../../../etc/passwd")), "not the name of a member"
    yield "absolute", bent(name(-1, "/etc/passwd")), "not the name of a member"
    yield "unknown", bent(name(0, "hello.json")), "not the name of a member"
    yield "symlink", bent(kind(b"2", b"/etc/passwd")), link
    yield "hard link", bent(kind(b"1", b"time.json")), link
    yield "character device", bent(kind(b"3")), link
    yield "block device", bent(kind(b"4")), link
    yield "directory", bent(kind(b"5")), link
    yield "fifo", bent(kind(b"6")), link
    yield "twice", bent(lambda a: a.members.append(a.members[-1])), place
    yield "twice the time", bent(lambda a: a.members.insert(0, a.members[0])), place
    yield "wrong order", bent(swap), place
    yield "without a timestamp", bent(lambda a: a.members.pop(1)), place
    yield "only the time", bent(lambda a: a.members.__delitem__(slice(1, None))), "ends too early"
    yield "sparse", bent(kind(b"S")), ""
    yield "long name", bent(lambda a: a.members.insert(1, made("x" * 150, form=tarfile.GNU_FORMAT))), plain
    yield "extended header", bent(lambda a: a.members.insert(1, made("a", form=tarfile.PAX_FORMAT, pax={"path": "/etc/x"}))), plain
    yield "global header", bent(lambda a: a.members.insert(0, made("a", kind=b"g"))), ""
    yield "a bomb", bent(lambda a: a.change(-1, 124, b"77777777777 ")), "cut off"
    yield "binary size", bent(lambda a: a.change(-1, 124, b"\x80" + b"\0" * 3 + b"\x7f" * 8)), ""
    yield "large metadata", bent(lambda a: a.change(1, 124, b"00100000000 ")), "more than"
    yield "another owner", bent(lambda a: a.change(-1, 108, b"000777 ")), "its header is not as it has to be"
    yield "full padding", bent(lambda a: a.members[0][1].__setitem__(-1, 1)), "padding"
    yield "truncated", data[:len(data) * 2 // 3], "cut off"
    yield "without an end", data[:-1024], "cut off"
    yield "half an end", data[:-512], "cut off"
    yield "more behind it", data + b"\0" * 512, "behind its end"
    yield "two in one", data + data, "behind its end"
    yield "compressed", gzip.compress(data, 1), plain
    yield "empty", b"", "cut off"
    yield "a flipped payload", bent(lambda a: a.members[-1][1].__setitem__(100, a.members[-1][1][100] ^ 1)), "wrong-image"
    yield "a flipped time", bent(lambda a: a.members[0][1].__setitem__(40, a.members[0][1][40] ^ 1)), ""
    stray = b"nobody ordered this"
    stray_name = "payloads/" + hashlib.sha256(stray).hexdigest()

    def add_stray(archive):
        header = bytearray(archive.members[-1][0])
        archive.members.append([header, bytearray(stray.ljust(BLOCK, b"\0"))])
        archive.change(-1, 124, b"%011o " % len(stray))
        archive.change(-1, 0, stray_name.encode().ljust(100, b"\0"))
        payloads = [i for i, n in enumerate(archive.names()) if n.startswith("payloads/")]
        archive.members[payloads[0]:] = sorted(archive.members[payloads[0]:], key=lambda m: bytes(m[0][:100]))
    yield "a payload that nobody ordered", bent(add_stray), "which no order names"


def test(r):
    car, other = rig.Car(r, VIN, 17), rig.Car(r, OTHER_VIN, 25)
    with step("two cars with a map of four regions, and a partner"):
        r.publish_releases()
        publish_fifth(r)
        anna, paul = r.account("anna", "owner"), r.account("paul", "partner")
        for one in (car, other):
            one.register()
            one.provision()
            one.pair(anna)
            one.start_vehicle(rig.DRIVING)
        car.start_agent()
        wait_until("the server knows what the car has", lambda: paul("car", "show", VIN).get("installed"))
    path, later, others, earlier = (os.path.join(r.directory, name) for name in ("one.tar", "later.tar", "other.tar", "earlier"))
    with step("P3.1 only a partner may deliver offline, and any number of regions"):
        anna.refused("forbidden", "offline-package", VIN, "--regions", ",".join(FIVE), "-o", path)
        anna.refused("forbidden", "offline-package", VIN, "-o", path)
        paul.refused("conflict", "offline-package", VIN, "-o", path)
        check(not os.path.exists(path) and not os.path.exists(path + ".part"), "a refused package left a file")
        package = paul("offline-package", VIN, "--regions", ",".join(FIVE), "-o", path)
        check_equal((package["vin"], package["bytes"], len(package["orders"])), (VIN, os.path.getsize(path), 1), "package")
        order = package["orders"][0]
        check_equal(anna("order", "show", order)["delivery"], "offline", "the owner sees the order")
        paul.refused("already-ordered", "offline-package", VIN, "--regions", "DE", "-o", later)
    with step("the archive is a plain one, and holds deltas for what the car has and whole images"):
        with tarfile.open(path, "r:") as archive:
            names = archive.getnames()
        check_equal(names[0], "time.json", "the first member")
        check_equal(sum(name.startswith("payloads/") for name in names), 9, "payloads: four deltas and five whole images")
        slim = paul("offline-package", VIN, "--deltas-only", "-o", later)
        check(slim["bytes"] < package["bytes"], "fewer bytes without whole images")
    with step("P5.4 who prepared it, when and for which orders stands in the audit trail"):
        records = [x for x in paul("audit", VIN, "--check", "--limit", "1000")["records"] if x["what"] == "offline-package"]
        check_equal([(x["who"], x["data"]["orders"]) for x in records], [(paul.id, [order])] * 2, "records")
    with step("P3.1 over the air such an order waits for the partner, and nothing of it is fetched"):
        wait_until("the agent waits for the package",
                   lambda: (car.order(order) or {}).get("waitingFor") == ["partner-package"])
        wait_until("the head unit says so", lambda: "service partner" in car.head_unit())
        check_equal(r.operator("transfers", VIN)["transfers"], [], "transfers")
    with step("a running daemon is not disturbed: exit status 4, and what to do"):
        status, _, errors = install(car, later)
        check_equal(status, 4, errors)
        check("stop the daemon" in errors, errors)
        check_equal(car.agent.stop(), 0, "exit status of layby-agent")
    with step("P5.3 hostile packages are refused without a trace"):
        bad, count = os.path.join(r.directory, "bad.tar"), 0
        for what, data, words in hostile(later):
            with open(bad, "wb") as out:
                out.write(data)
            try:
                refused(car, bad, words)
            except rig.Failed as error:
                raise rig.Failed(f"{what}: {error}") from None
            count += 1
        print(f"       {count} packages")
    with step("P5.3 another car's package is refused"):
        paul("offline-package", OTHER_VIN, "--regions", ",".join(FIVE), "-o", others)
        refused(car, others, "wrong-vehicle")
    with step("P3.1 P5.3 without any connection five regions are taken, and become active after exit-and-lock"):
        check_equal(r.server.process.stop(), 0, "exit status of laybyd")
        shutil.copytree(r.server.data, earlier)
        car.set(**{**rig.DRIVING, "bearer": "none", "private_mode": "on"})
        status, answer, errors = install(car, later)
        check_equal(status, 0, errors)
        check_equal([(o["id"], o["state"]) for o in answer["orders"]], [(order, "downloaded")], "taken")
        status, answer, errors = install(car, later)
        check_equal((status, answer["orders"][0]["state"]), (0, "downloaded"), f"a second time: {errors}")
        refused(car, path, "rollback")
        car.start_agent()
        limit = rig.time.monotonic() + 60 * rig.PATIENCE
        while car.order(order)["state"] != "active":
            check(rig.time.monotonic() < limit, f"not active: {car.status()['orders']}")
            car.exit_and_lock()
            car.set(bearer="none", private_mode="on")
            rig.time.sleep(1)
        for region in FIVE:
            check(rig.same_tree(car.live_map(region), r.region(rig.NEW_MAP, region)), f"{region} is not the new release")
    with step("the report waits, and reaches the server with the next connection"):
        r.server.start()
        check_equal(r.order_state(paul, order), "staged", "before the report")
        car.set(bearer="wifi", private_mode="off")
        r.wait_for_state(paul, order, "active")
        check_equal(r.operator("transfers", VIN)["transfers"], [], "transfers")
        check_equal(anna("order", "show", order)["state"], "active", "as the owner sees it")
    with step("P5.3 P5.1 an expired package is refused"):
        for _ in range(5):  # each has a newer timestamp than the one before
            paul("offline-package", OTHER_VIN, "-o", others)
        # The server as it was before, a week later: the car learns the time from it, and has seen no newer timestamp.
        check_equal(r.server.process.stop(), 0, "exit status of laybyd")
        shutil.rmtree(r.server.data)
        os.rename(earlier, r.server.data)
        r.server.start()
        r.operator("simulation", "advance", "--days", "8")
        other.start_agent("--until-idle")
        check_equal(other.agent.popen.wait(60), 0, "exit status of layby-agent")
        refused(other, others, "freeze")


if __name__ == "__main__":
    sys.exit(rig.main(test))
