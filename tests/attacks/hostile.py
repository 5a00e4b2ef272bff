"""A man in the middle with stolen keys: a proxy between the real agent and the real server, and the hand that forges metadata.

The proxy shows the server's own certificate, so TLS is broken for these tests; it speaks to the server with the car's
certificate. `rules` say what it answers instead of what the server said. A Thief has the server's online keys, read from
their files, and signs what nobody should.
"""
import copy
import ctypes
import hashlib
import http.client
import http.server
import json
import os
import re
import shutil
import ssl
import threading
import time

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

import rig
from rig import check, wait_until
from tuf_repository import Key, canonical, digests, utc

DIRECTOR, IMAGE = "/v1/vehicle/director/", "/v1/repositories/image/metadata/"
FOLDERS = {"director": DIRECTOR, "image": IMAGE}
PAYLOADS = r"/v1/payloads/[0-9a-f]{64}"
ROLES = ("timestamp", "snapshot", "targets")


class Answer:
    def __init__(self, body=b"", status=200, headers=()):
        self.body, self.status, self.headers = body, status, dict(headers)


def attack_in(manifest):
    """What the car's report says of an attack."""
    ecus = json.loads(manifest)["signed"]["ecus"]
    said = [report["signed"].get("attack", "") for report in ecus.values()]
    return next(filter(None, said), "")


class Hostile:
    """Forwards everything, but for paths that a rule matches: `rules[pattern] = function(handler, forward)`, which gives an
    Answer, or None where it has answered by itself."""

    def __init__(self, server, state):
        self.server, self.state = server, state
        self.rules, self.manifests, self.asked = {}, [], []
        self.last_attack = ""  # of the last report that the server took
        self.news, self.let_go = threading.Event(), threading.Event()
        self.let_go.set()
        self.listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self.listener.daemon_threads = True
        self.listener.hostile = self
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.show_certificate("server")
        self.listener.socket = self.context.wrap_socket(self.listener.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"https://127.0.0.1:{self.listener.server_address[1]}"
        threading.Thread(target=self.listener.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def show_certificate(self, name):
        """From now on, of the server's directory `tls`."""
        path = os.path.join(self.server.data, "tls", name)
        self.context.load_cert_chain(path + ".pem", path + ".key")

    def close(self):
        self.listener.shutdown()
        self.listener.server_close()

    def hold_next_news(self):
        """The car's next report that tells of another attack is taken by the server, and its answer waits: whoever waits for
        `news` can look at both sides in peace, and end the attack between two looks of the car."""
        self.news.clear()
        self.let_go.clear()

    def note_report(self, manifest):
        before, self.last_attack = self.last_attack, attack_in(manifest)
        if self.last_attack in ("", before) or self.let_go.is_set():
            return
        self.news.set()
        self.let_go.wait(60)

    def exchange(self, method, path, body=None, headers=(), state=None):
        """One request to the real server, as the car."""
        keys = os.path.join(state or self.state, "keys")
        context = ssl.create_default_context(cafile=self.server.provision("ca.pem"))
        if os.path.exists(os.path.join(keys, "certificate.pem")):
            context.load_cert_chain(os.path.join(keys, "certificate.pem"), os.path.join(keys, "tls.key"))
        connection = http.client.HTTPSConnection("127.0.0.1", self.server.port, context=context, timeout=60)
        try:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            return Answer(response.read(), response.status, response.getheaders())
        finally:
            connection.close()

    def fetch(self, path, state=None):
        answer = self.exchange("GET", path, state=state)
        check(answer.status == 200, f"{path}: status {answer.status}: {answer.body[:200]}")
        return answer.body


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 120

    def handle(self):
        try:
            super().handle()
        except OSError:
            pass  # a car that hangs up, or shakes no hands

    def do_GET(self):
        self.answer("GET", None)

    def do_POST(self):
        self.answer("POST", self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def answer(self, method, body):
        hostile = self.server.hostile
        hostile.asked.append(self.path)
        if self.path == "/v1/vehicle/manifest":
            hostile.manifests.append(body)
        dropped = ("host", "connection", "if-none-match", "content-length")
        headers = {k: v for k, v in self.headers.items() if k.lower() not in dropped}

        def forward():
            return hostile.exchange(method, self.path, body, headers)
        rule = next((rule for pattern, rule in hostile.rules.items() if re.fullmatch(pattern, self.path)), None)
        try:
            answer = rule(self, forward) if rule else forward()
        except OSError:
            answer = Answer(status=502)
        if answer and answer.status == 200 and self.path == "/v1/vehicle/manifest":
            hostile.note_report(body)
        if answer is None:
            self.close_connection = True
        else:
            self.reply(answer)

    def reply(self, answer):
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            # No ETag: what a car has seen in an attack must not be known by it later.
            if name.lower() in ("content-type", "content-range", "retry-after", "accept-ranges"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, *_):
        pass


def with_body(body):
    return lambda handler, forward: Answer(body)


def with_status(status):
    return lambda handler, forward: Answer(status=status)


def begin_body(handler, headers):
    """The beginning of an answer that fits the question: of a range where one was asked for."""
    wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", handler.headers.get("Range", ""))
    handler.send_response(206 if wanted else 200)
    if wanted:
        handler.send_header("Content-Range", f"bytes {wanted[1]}-{wanted[2]}/*")
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.end_headers()


def write_without_end(handler, piece):
    for _ in range(20_000):  # 80 MB, far above every limit
        handler.wfile.write(piece)


def endless(handler, forward):
    """Says no length."""
    begin_body(handler, {})
    write_without_end(handler, b" " * 4096)


def endless_chunked(handler, forward):
    begin_body(handler, {"Transfer-Encoding": "chunked"})
    write_without_end(handler, b"1000\r\n" + b" " * 4096 + b"\r\n")


def endless_with_length(handler, forward):
    """Says a length that nobody has room for, and begins to send it."""
    begin_body(handler, {"Content-Length": str(1 << 40)})
    write_without_end(handler, b" " * 4096)


ENDLESS = (endless, endless_chunked, endless_with_length)


def longer_than_said(handler, forward):
    """Says half of the length, and sends it all."""
    body = forward().body
    begin_body(handler, {"Content-Length": str(len(body) // 2)})
    handler.wfile.write(body)


def shorter_than_said(handler, forward):
    body = forward().body
    begin_body(handler, {"Content-Length": str(len(body) + 100)})
    handler.wfile.write(body)


def stalled(handler, forward):
    """Begins well, and then says nothing more."""
    begin_body(handler, {"Content-Length": "4000"})
    handler.wfile.write(b'{"signatures":[')
    handler.wfile.flush()
    threading.Event().wait(100)


def drip(bytes_per_second):
    """What the server says, byte for byte and without end in sight."""
    def rule(handler, forward):
        body = forward().body
        begin_body(handler, {"Content-Length": str(len(body))})
        for at in range(0, len(body), bytes_per_second):
            handler.wfile.write(body[at:at + bytes_per_second])
            handler.wfile.flush()
            time.sleep(1)
    return rule


def of_chunks(rule):
    """Only for what comes after the head of a payload."""
    def with_head(handler, forward):
        return forward() if handler.headers.get("Range", "").startswith("bytes=0-") else rule(handler, forward)
    return with_head


def hang_up(handler, forward):
    return None


# ---- keys -------------------------------------------------------------------------------------------------------------

def read_seed(path, passphrase):
    """A key file (docs/formats.md): what a thief does who has the passphrase as well."""
    sodium = ctypes.CDLL("libsodium.so.23")
    with open(path, "rb") as stream:
        data = stream.read()
    check(data[:9] == b"LAYBYKEY\x01", f"{path} is no key file")
    salt, nonce, box = data[10:26], data[26:50], data[50:]
    operations, memory = ((2, 64 << 20), (4, 1 << 30))[data[9]]
    key, seed = ctypes.create_string_buffer(32), ctypes.create_string_buffer(32)
    status = sodium.crypto_pwhash(key, ctypes.c_ulonglong(32), passphrase, ctypes.c_ulonglong(len(passphrase)), salt,
                                  ctypes.c_ulonglong(operations), ctypes.c_size_t(memory), 2)
    check(status == 0, "no memory for Argon2id")
    status = sodium.crypto_secretbox_open_easy(seed, box, ctypes.c_ulonglong(len(box)), nonce, key)
    check(status == 0, f"{path}: wrong passphrase")
    return seed.raw


class StolenKey(Key):
    def __init__(self, path, passphrase):
        super().__init__()
        self.private = ed25519.Ed25519PrivateKey.from_private_bytes(read_seed(path, passphrase))
        raw = self.private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self.public["keyval"]["public"] = raw.hex()
        self.keyid = hashlib.sha256(canonical(self.public)).hexdigest()


def sign(part, *keys):
    message = canonical(part)
    return json.dumps({"signatures": [{"keyid": key.keyid, "sig": key.sign(message)} for key in keys], "signed": part},
                      separators=(",", ":")).encode()


def part_of(document):
    return json.loads(document)["signed"]


class Thief:
    """Has the keys of the server's online roles."""

    def __init__(self, hostile):
        self.hostile, self.ahead = hostile, 0
        self.steal()

    def steal(self):
        folder = os.path.join(self.hostile.server.data, "keys")
        with open(os.path.join(folder, "passphrase"), "rb") as stream:
            passphrase = stream.read().strip()
        names = [f"{r}-{role}" for r in FOLDERS for role in ROLES if (r, role) != ("image", "targets")] + ["licence"]

        def newest(name):  # that the present root names
            following = os.path.join(folder, name + ".next.key")
            return following if os.path.exists(following) else os.path.join(folder, name + ".key")
        self.keys = {name: StolenKey(newest(name), passphrase) for name in names}

    def documents(self, repository, state=None):
        """What the server publishes now, role by role."""
        folder = FOLDERS[repository]
        found = {"timestamp": self.hostile.fetch(folder + "timestamp.json", state)}
        version = part_of(found["timestamp"])["meta"]["snapshot.json"]["version"]
        found["snapshot"] = self.hostile.fetch(f"{folder}{version}.snapshot.json", state)
        version = part_of(found["snapshot"])["meta"]["targets.json"]["version"]
        found["targets"] = self.hostile.fetch(f"{folder}{version}.targets.json", state)
        return found

    def signs(self, repository, role):
        return f"{repository}-{role}" in self.keys

    def forge(self, repository, edits, signers=None, base=None, ahead=None):
        """The rules that serve the repository with `edits[role](part)`, all that he can sign signed anew, `ahead` versions later:
        without a number later than everything that he has signed before. An edit may give the bytes of the whole document
        instead. `signers[role]`: other keys."""
        signers = signers or {}
        self.ahead += 1000
        present = base or self.documents(repository)
        parts = {role: part_of(document) for role, document in present.items()}
        made = dict(present)
        for role in reversed(ROLES):
            part = parts[role]
            if role not in edits and role not in signers and not self.signs(repository, role):
                continue
            if self.signs(repository, role):  # what is another's to sign stays what the honest ones will go on from
                part["version"] += ahead or self.ahead
            if role == "snapshot":
                part["meta"]["targets.json"] = entry(parts["targets"]["version"], made["targets"])
            if role == "timestamp":
                part["meta"]["snapshot.json"] = entry(parts["snapshot"]["version"], made["snapshot"])
            outcome = edits[role](part) if role in edits else None
            keys = signers.get(role) or [self.keys[f"{repository}-{role}"]]
            made[role] = outcome if isinstance(outcome, bytes) else sign(part, *keys)
        return self.serving(repository, made)

    def over(self, repository, kept):
        """The rules that serve documents as they were once signed, `kept[role]`, and above them what is newer than all that the car
        has seen."""
        self.ahead += 1000
        made = {**self.documents(repository), **kept}
        for role, child in (("snapshot", "targets"), ("timestamp", "snapshot")):
            if role in kept:
                continue
            part = part_of(made[role])
            part.update(version=part["version"] + self.ahead, expires=utc(300))
            part["meta"][child + ".json"] = entry(part_of(made[child])["version"], made[child])
            made[role] = sign(part, self.keys[f"{repository}-{role}"])
        return self.serving(repository, made)

    def serving(self, repository, made):
        folder = FOLDERS[repository]
        return {
            re.escape(folder + "timestamp.json"): with_body(made["timestamp"]),
            re.escape(folder) + r"\d+\.snapshot\.json": with_body(made["snapshot"]),
            re.escape(folder) + r"\d+\.targets\.json": with_body(made["targets"]),
        }


def entry(version, data):
    return {"version": version, "length": len(data), "hashes": digests(data, ("sha256", "sha512"))}


# ---- the car that is attacked -----------------------------------------------------------------------------------------

class Target:
    """A car whose agent speaks through the proxy."""

    def __init__(self, r, car):
        self.r, self.car = r, car
        self.hostile = Hostile(r.server, car.state)
        self.saved = os.path.join(car.home, "trust-before")

    def provision(self):
        r, car = self.r, self.car
        maps = [text for region in rig.REGIONS for text in ("--map", f"{region}={r.region(rig.OLD_MAP, region)}")]
        rig.run(os.path.join(rig.BIN, "layby-agent"), "provision", "--state", car.state, "--vin", car.vin, "--ecu", car.ecu,
                "--hardware", rig.HARDWARE, "--director-root", r.server.provision("director-root.json"), "--image-root",
                r.server.provision("image-root.json"), "--ca", r.server.provision("ca.pem"), "--server", self.hostile.url,
                *maps, "--software", rig.software(rig.OLD_SOFTWARE))

    def trust(self, *parts):
        return os.path.join(self.car.state, "trust", *parts)

    def version(self, repository, role, absent=0):
        """Of what the car trusts; `absent` where it has nothing, as between a new root and what follows."""
        try:
            with open(self.trust(repository, role + ".json"), encoding="utf-8") as stream:
                return part_of(stream.read())["version"]
        except FileNotFoundError:
            return absent

    def stop(self):
        self.hostile.let_go.set()
        if self.car.agent and self.car.agent.running():
            rig.check_equal(self.car.agent.stop(), 0, "exit status of the agent")

    def save(self):
        self.stop()
        shutil.rmtree(self.saved, ignore_errors=True)
        shutil.copytree(self.trust(), self.saved)

    def restore(self):
        self.stop()
        shutil.rmtree(self.trust())
        shutil.copytree(self.saved, self.trust())

    def attack(self):
        return self.car.status().get("attack") or ""

    def names(self, error, seconds=30):
        return wait_until(f"the car names {error}", lambda: self.attack().startswith(error + ": ") and self.attack(), seconds)

    def is_told(self, words, seconds=30):
        wait_until(f"the server knows of {words!r}",
                   lambda: words in self.r.operator("car", "show", self.car.vin)["report"]["attack"], seconds)

    def is_at_peace(self):
        def holds():
            status = self.car.status()
            return not status.get("attack") and "error" not in status["poll"]
        wait_until(lambda: f"the car polls and has no complaint: {self.car.status()}", holds)

    def run_up(self, thief):
        """Repositories of which the thief has left the car newer versions than the server has."""
        def is_ahead(repository):
            honest = thief.documents(repository)
            return any(self.version(repository, role) > part_of(honest[role])["version"] for role in ROLES)
        return [repository for repository in FOLDERS if is_ahead(repository)]

    def as_before(self, thief, rules):
        """The same, and the thief goes on as the repositories where he has been: so the car comes to what these are about."""
        for repository in self.run_up(thief):
            rules = {**rules, **{k: v for k, v in thief.forge(repository, {}).items() if k not in rules}}
        return rules

    def begin(self, rules, seconds):
        """The attack, on a car that starts into it with all that was left in it by the last one; what it tells the server."""
        self.stop()
        self.hostile.rules = rules
        self.hostile.hold_next_news()
        self.car.start_agent()
        if not self.hostile.news.wait(seconds * rig.PATIENCE):
            raise rig.Failed(f"the car tells of no attack: {self.car.status()}")
        return self.hostile.last_attack

    def strike(self, thief, error, rules, words="", is_over=False, seconds=40):
        """One attack, which goes on unless it `is_over` then: the car names it, the server is told, nothing that is installed has changed."""
        installed = copy.deepcopy(self.car.status()["slots"])
        named = self.begin(self.as_before(thief, rules), seconds)
        check(named.startswith(error + ": ") and words in named, f"{error} {words!r} is not in {named!r}")
        check(self.attack().startswith(named[:100]), f"the car says {self.attack()!r}, its report {named!r}")
        self.is_told(named)
        if is_over:
            self.hostile.rules = {}  # for the car's next look, which comes as soon as its report is answered
        self.hostile.let_go.set()
        rig.check_equal(self.car.status()["slots"], installed, "what is installed")
        return named

    def mount(self, thief, error, rules, words="", restore=None, seconds=40):
        """One attack and its end. Nothing is put in order afterwards: the car goes on with what the attack has left in it. Where
        that are versions that the server has not reached, it says so and keeps what it has, until the root is changed
        (World.take_back). `restore`: why the step must put the car's trust back to what it was."""
        if restore:
            self.save()
        named = self.strike(thief, error, rules, words, is_over=True, seconds=seconds)
        if restore:
            self.restore()
            self.car.start_agent()
        self.goes_on(thief, named)

    def goes_on(self, thief, named=""):
        """After the attack that was `named`."""
        if self.run_up(thief):
            wait_until(lambda: f"what is honest is older, and it says so: {self.car.status()}",
                       lambda: self.hostile.last_attack.startswith("rollback: ") and self.hostile.last_attack != named
                       and "error" in self.car.status()["poll"])
        else:
            self.is_at_peace()
            wait_until("the server hears that it is over", lambda: not self.hostile.last_attack)
