"""What the end-to-end and crash tests are made of: a server, people at the command line, cars; real processes all of them.

A Rig lives in a temporary directory and ends everything it started, also when the test dies (PR_SET_PDEATHSIG). Calls
go through `layby --json`, as a person's would.
"""
import ctypes
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(HERE))
FIXTURES = os.path.join(SOURCE, "tests", "fixtures")
BIN = os.environ["LAYBY_BIN_DIR"]

LONG = os.environ.get("LAYBY_LONG") == "1"
SLOW = os.environ.get("LAYBY_ASAN") == "1"
# Waits are for a machine that does many things at once; sanitizers make everything several times slower.
PATIENCE = 3.0 if SLOW else 1.0

REGIONS = ("DE", "FR", "IT", "NL")
OLD_MAP, NEW_MAP = "1.1.60", "1.1.61"
OLD_SOFTWARE, NEW_SOFTWARE = "20.19.5", "20.19.6"
HARDWARE = "hu-4"

PARKED = {
    "gear": "P", "power": "off", "parking_brake": "on", "driver": "out", "doors": "closed", "locked": "yes",
    "cable": "off", "soc": "80", "battery": "12.6", "bearer": "wifi", "private_mode": "off", "language": "en",
}
DRIVING = {**PARKED, "gear": "D", "power": "on", "parking_brake": "off", "driver": "in", "locked": "no"}


class Failed(Exception):
    pass


def check(condition, text):
    """A fact that must hold; unlike `assert` it cannot be switched off."""
    if not condition:
        raise Failed(text)


def check_equal(got, wanted, what):
    check(got == wanted, f"{what}: {got!r} and not {wanted!r}")


class step:
    """`with step("what is shown"):` prints it when it held; docs/promises.md refers to these texts."""

    def __init__(self, text):
        self.text = text

    def __enter__(self):
        self.begun = time.monotonic()

    def __exit__(self, kind, error, trace):
        word = "ok    " if kind is None else "FAILED"
        print(f"{word} {self.text} ({time.monotonic() - self.begun:.1f} s)", flush=True)


def wait_until(what, test, seconds=30, pause=0.05):
    """The first true value of `test()`; `what`, a text or what makes one at the end, is in the failure's."""
    limit = time.monotonic() + seconds * PATIENCE
    while True:
        value = test()
        if value:
            return value
        if time.monotonic() > limit:
            raise Failed(f"not true after {seconds * PATIENCE:.0f} s: {what() if callable(what) else what}")
        time.sleep(pause)


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Process:
    """One program in the background, its output in a file."""

    def __init__(self, arguments, log):
        self.arguments, self.log = arguments, log
        with open(log, "ab") as out:
            self.popen = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                          preexec_fn=die_with_parent)

    def running(self):
        return self.popen.poll() is None

    def kill(self):
        self.popen.kill()
        self.popen.wait()

    def stop(self, seconds=20):
        """SIGTERM, and the exit status; one that does not end is a failure."""
        self.popen.terminate()
        try:
            return self.popen.wait(seconds * PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failed(f"{self.arguments[0]} did not end on SIGTERM") from None


def run(*arguments):
    """A program that must succeed; its standard output."""
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=300, check=False)
    check(done.returncode == 0, f"{' '.join(arguments)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


class Server:
    def __init__(self, directory, init=()):
        self.data = os.path.join(directory, "server")
        self.log = os.path.join(directory, "laybyd.log")
        self.port_file = os.path.join(directory, "port")
        self.port = 0
        self.process = None
        run(os.path.join(BIN, "laybyd"), "init", self.data, "--simulation", "--offline-key-cost", "interactive",
            *init)
        self.config = os.path.join(self.data, "laybyd.toml")
        self.set_config("poll_seconds", "900", "1")

    def set_config(self, key, before, after):
        with open(self.config, encoding="utf-8") as stream:
            text = stream.read()
        check(f"{key} = {before}" in text, f"laybyd.toml has no {key} = {before}")
        with open(self.config, "w", encoding="utf-8") as out:
            out.write(text.replace(f"{key} = {before}", f"{key} = {after}"))

    def provision(self, name):
        return os.path.join(self.data, "provision", name)

    def offline(self, name):
        return os.path.join(self.data, "offline", name)

    @property
    def url(self):
        return f"https://127.0.0.1:{self.port}"

    def start(self):
        """On a port of its own; after the first time always on the same one, as cars know it."""
        if os.path.exists(self.port_file):
            os.remove(self.port_file)
        self.process = Process([os.path.join(BIN, "laybyd"), "serve", "--config", self.config, "--port",
                                str(self.port), "--port-file", self.port_file], self.log)

        def port():
            check(self.process.running(), f"laybyd ended by itself, see {self.log}")
            try:
                with open(self.port_file, encoding="ascii") as stream:
                    return int(stream.read() or 0)
            except FileNotFoundError:
                return 0

        self.port = wait_until("laybyd says its port", port, pause=0.01)


class Person:
    """Somebody with a token at the command line."""

    def __init__(self, server, token_file):
        self.server, self.token_file = server, token_file

    def command(self, *arguments):
        return [os.path.join(BIN, "layby"), "--json", "--server", self.server.url, "--ca", self.server.provision("ca.pem"),
                "--token-file", self.token_file, *arguments]

    def attempt(self, *arguments):
        """Exit status, the JSON that was printed (or None), and what stood on standard error."""
        done = subprocess.run(self.command(*arguments), capture_output=True, text=True, timeout=300, check=False)
        return done.returncode, json.loads(done.stdout) if done.stdout.strip() else None, done.stderr

    def __call__(self, *arguments):
        status, answer, errors = self.attempt(*arguments)
        check(status == 0, f"layby {' '.join(arguments)}: exit status {status}: {errors}")
        return answer

    def refused(self, code, *arguments):
        """The server must say no with this code; the problem document."""
        status, problem, errors = self.attempt(*arguments)
        check(status == 1, f"layby {' '.join(arguments)}: exit status {status} and not a refusal: {errors}")
        check_equal(problem["code"], code, f"layby {' '.join(arguments)}")
        check(problem["detail"] in errors, "the refusal's text is not printed")
        for reason in problem.get("reasons", []):
            check(reason["text"] in errors, f"a reason is not printed: {reason}")
        return problem


class Car:
    """An agent with its state directory, and the simulated car behind it."""

    def __init__(self, rig, vin, number):
        self.rig, self.vin = rig, vin
        self.ecu = f"HU-{number:06}"
        self.home = os.path.join(rig.directory, f"car{number}")
        self.state = os.path.join(self.home, "agent")
        self.socket = os.path.join(self.home, "car.sock")
        self.agent = self.vehicle = None
        self.secondaries = []  # ecus.Ecu
        os.makedirs(self.home)

    def register(self, **facts):
        facts = {"model": "aurora", "model-year": "2026", "country": "DE", "hardware": "radar-front", **facts}
        arguments = [text for key, value in facts.items() for text in (f"--{key}", value)]
        for ecu in self.secondaries:
            arguments += ["--ecu", f"{ecu.serial}={ecu.hardware}"]
        return self.rig.operator("car", "register", "--vin", self.vin, "--ecu", f"{self.ecu}={HARDWARE}", *arguments)

    def provision(self):
        server = self.rig.server
        maps = [text for region in REGIONS for text in ("--map", f"{region}={self.rig.region(OLD_MAP, region)}")]
        others = [text for ecu in self.secondaries for text in ("--secondary", ecu.socket)]
        run(os.path.join(BIN, "layby-agent"), "provision", "--state", self.state, "--vin", self.vin, "--ecu", self.ecu,
            "--hardware", HARDWARE, "--director-root", server.provision("director-root.json"), "--image-root",
            server.provision("image-root.json"), "--ca", server.provision("ca.pem"), "--server", server.url, *maps,
            "--software", software(OLD_SOFTWARE), *others)

    def pair(self, owner, *options):
        code = owner("pairing-code", "create")["code"]
        run(os.path.join(BIN, "layby-agent"), "pair", "--state", self.state, "--code", code, *options)
        return code

    def start_vehicle(self, signals, *options):
        if os.path.exists(self.socket):  # of one that was killed: nobody listens there
            os.unlink(self.socket)
        self.vehicle = self.rig.begin([os.path.join(BIN, "layby-car"), "serve", "--socket", self.socket, "--state",
                                       os.path.join(self.home, "car.json"), *options], os.path.join(self.home, "vehicle.log"))
        wait_until("the simulated car listens", lambda: os.path.exists(self.socket))
        self.set(**signals)

    def set(self, **signals):
        run(os.path.join(BIN, "layby-car"), "set", "--socket", self.socket, *(f"{k}={v}" for k, v in signals.items()))

    def exit_and_lock(self):
        """Somebody comes, stays a moment, leaves and locks (P4.2)."""
        self.set(driver="in", locked="no")
        time.sleep(0.5 * PATIENCE)
        self.set(**PARKED)

    def wait_for_active(self, person, orders, seconds=90):
        self.wait_for(person, orders, "active", seconds)

    def wait_for(self, person, orders, state, seconds=90):
        """Lives on, with an exit-and-lock every few seconds, until the server has all orders in this state."""
        limit = time.monotonic() + seconds * PATIENCE
        while True:
            self.exit_and_lock()
            pause = time.monotonic() + 3
            while time.monotonic() < pause:
                states = {self.rig.order_state(person, order) for order in orders}
                if states == {state}:
                    return
                check("failed" not in states, f"an order has failed: {self.status()['orders']}")
                time.sleep(0.1)
            check(time.monotonic() < limit, f"not {state} after {seconds * PATIENCE:.0f} s: {self.status()['orders']}")

    def show(self):
        return json.loads(run(os.path.join(BIN, "layby-car"), "show", "--socket", self.socket, "--json"))

    def start_agent(self, *options):
        self.agent = self.rig.begin([os.path.join(BIN, "layby-agent"), "run", "--state", self.state, "--vehicle",
                                     f"unix:{self.socket}", "--language", "en", *options],
                                    os.path.join(self.home, "agent.log"))

    def status(self):
        return json.loads(run(os.path.join(BIN, "layby-agent"), "status", "--state", self.state, "--json"))

    def order(self, order_id):
        """The agent's view of an order, or None."""
        return next((o for o in self.status()["orders"] if o["id"] == order_id), None)

    def head_unit(self):
        return " / ".join(self.show()["headUnit"]["lines"])

    def live_map(self, region):
        return os.path.join(self.state, "maps", "current", region)


class Rig:
    def __init__(self, init=()):
        self.directory = tempfile.mkdtemp(prefix="layby-")
        self.processes = []
        self.server = Server(self.directory, init)
        self.operator = Person(self.server, os.path.join(self.server.data, "operator.token"))
        self.cut_regions()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        for process in self.processes + [self.server.process]:
            if process and process.running():
                process.kill()
        if kind is None or os.environ.get("LAYBY_KEEP") != "1":
            if kind is not None:
                self.print_logs()
            shutil.rmtree(self.directory, ignore_errors=True)
        else:
            print(f"kept: {self.directory}")

    def print_logs(self):
        for folder, _, names in os.walk(self.directory):
            for name in sorted(names):
                if name.endswith(".log") and "store" not in folder:
                    with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as stream:
                        lines = stream.readlines()[-25:]
                    print(f"--- the end of {name} in {os.path.basename(folder)}\n{''.join(lines)}", end="")

    def begin(self, arguments, log):
        process = Process(arguments, log)
        self.processes.append(process)
        return process

    def cut_regions(self):
        for version in (OLD_MAP, NEW_MAP):
            run(sys.executable, os.path.join(SOURCE, "samples", "cut_regions.py"),
                os.path.join(FIXTURES, "cities", f"cities-{version}.json"),
                os.path.join(self.directory, "maps", version), *REGIONS)

    def region(self, version, region):
        return os.path.join(self.directory, "maps", version, region)

    def account(self, name, role):
        token_file = os.path.join(self.directory, f"{name}.token")
        made = self.operator("account", "create", name, "--role", role, "--email", f"{name}@example.org",
                             "--token-out", token_file)
        check("token" not in made, "the token is in its file only")
        person = Person(self.server, token_file)
        person.id = made["id"]
        return person

    def product(self, name, image, price_cents=49900, term=None, fit=None, **more):
        file = os.path.join(self.directory, f"{name}.product.json")
        with open(file, "w", encoding="utf-8") as out:
            json.dump({"title": {"en": name}, "description": {"en": f"About {name}."}, "image": image,
                       "price_cents": price_cents, "currency": "EUR", "term": term or {"kind": "unlimited"},
                       "fit": fit or {}, **more}, out)
        return self.operator("product", "put", name, "--file", file)

    def package(self, name, size, seed):
        """A function's data package: bytes that do not compress, the same for the same seed."""
        path = os.path.join(self.directory, f"{name}.pkg")
        with open(path, "wb") as out:
            out.write(random.Random(seed).randbytes(size))
        return path

    def publication(self, images, key=None, role=None):
        """The command that publishes them, signed by the operator's offline key, or by that of a supplier for his role."""
        file = os.path.join(self.directory, "images.json")
        with open(file, "w", encoding="utf-8") as out:
            json.dump({"images": images}, out)
        return ("image", "publish", "--image-root", self.server.provision("image-root.json"), "--targets-key",
                key or self.server.offline("image-targets.key"), *(("--role", role) if role else ()), "--passphrase-file",
                self.server.offline("passphrase"), "--licence-key", self.server.provision("licence-key.json"), "--images", file)

    def publish(self, *images_and_key):
        return self.operator(*self.publication(*images_and_key))

    def map_image(self, version, region, counter):
        return {"kind": "map", "region": region, "version": version, "hardware": [HARDWARE], "release_counter": counter,
                "path": self.region(version, region), "duration_seconds": 60, "battery_percent_min": 20,
                "notes": {"en": f"New roads and places of {version}.", "de": f"Neue Straßen und Orte von {version}."}}

    def publish_releases(self, function_bytes=100_000):
        """Two functions, both map releases, both software releases; waits until the payloads are made."""
        functions = [{"kind": "function", "id": name, "version": "1.0", "hardware": [HARDWARE], "release_counter": 1,
                      "path": self.package(name, size, name), "duration_seconds": 30}
                     for name, size in (("adaptive-cruise", function_bytes), ("trailer-assist", 20_000))]
        for counter, maps, node in ((1, OLD_MAP, OLD_SOFTWARE), (2, NEW_MAP, NEW_SOFTWARE)):
            images = [self.map_image(maps, region, counter) for region in REGIONS]
            images.append({"kind": "software", "version": node, "hardware": [HARDWARE], "release_counter": counter,
                           "path": software(node), "duration_seconds": 120, "battery_percent_min": 40})
            self.publish(images + (functions if counter == 1 else []))
        self.operator("jobs", "--wait", "--timeout", "300")

    def order_state(self, person, order_id):
        return person("order", "show", order_id)["state"]

    def wait_for_state(self, person, order_id, state, seconds=60):
        wait_until(f"order {order_id} is {state}", lambda: self.order_state(person, order_id) == state, seconds, 0.2)

    def events(self, kind, order_id=None):
        found, after = [], 0
        while True:
            page = self.operator("events", "--limit", "1000", "--after", str(after))["events"]
            if not page:
                return found
            after = page[-1]["id"]
            found += [e for e in page if e["type"] == kind and order_id in (None, e.get("order"))]


def software(version):
    return os.path.join(FIXTURES, "head-unit", f"node-{version}.slice")


def same_tree(a, b):
    names = sorted(os.listdir(a))
    if names != sorted(os.listdir(b)):
        return False
    for name in names:
        with open(os.path.join(a, name), "rb") as one, open(os.path.join(b, name), "rb") as other:
            if one.read() != other.read():
                return False
    return True


def main(test, init=()):
    """Runs one test with a rig of its own, `init` for `laybyd init`. Exit status 0 if every step held."""
    try:
        with Rig(init) as rig:
            rig.server.start()
            test(rig)
    except Failed as error:
        print(f"FAILED: {error}", flush=True)
        return 1
    return 0
