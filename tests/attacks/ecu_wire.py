"""The protocol of docs/secondaries.md, spoken by hand: a primary that says what it likes to a real `layby-ecu`."""
import hashlib
import json
import os
import re
import socket
import struct
import types

import rig
from hostile import DIRECTOR, IMAGE, part_of

STATUS, NONCE, TIME, LOOK, FILE, BEGIN, PIECE, END, ACTIVATE, CHECK, KEEP, REVERT, REPORT = range(1, 14)
DONE, WANT, ERROR = 128, 129, 255
ROOTS, EVERYTHING = b"\x00", b"\x01"
SEND = b"\x00"
PIECE_BYTES = 256 * 1024


def error_names():
    """By number, as docs/error-codes.md has them."""
    with open(os.path.join(rig.SOURCE, "docs", "error-codes.md"), encoding="utf-8") as page:
        return {int(number): name for number, name in re.findall(r"^\| (\d+) \| `([a-z-]+)` \|", page.read(), re.MULTILINE)}


NAMES = error_names()


def message(kind, body=b"", magic=b"LE", version=1, length=None):
    return magic + struct.pack("<BBI", version, kind, len(body) if length is None else length) + body


def sha256(data):
    return hashlib.sha256(data).digest()


def joined(nonces):
    """The one nonce for which the server is asked, for all of them."""
    return sha256(b"layby time nonces 1\x00" + b"".join(sorted(set(nonces))))[:16]


class Refused(Exception):
    def __init__(self, name, text):
        super().__init__(f"{name}: {text}")
        self.name, self.text = name, text


class Wire:
    """One connection to an ECU."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60 * rig.PATIENCE)
        self.socket.connect(path)

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def read(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise EOFError("the ECU has closed the connection")
            data += more
        return data

    def receive(self):
        magic, version, kind, length = struct.unpack("<2sBBI", self.read(8))
        rig.check_equal((magic, version), (b"LE", 1), "magic and version of an answer")
        body = self.read(length)
        if kind == ERROR:
            raise Refused(NAMES[struct.unpack("<H", body[:2])[0]], body[2:].decode())
        return kind, body

    def is_closed(self):
        """It is, or will be: nothing more comes."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionError:
            return True

    def ask(self, kind, body=b""):
        self.send(message(kind, body))
        return self.receive()


class Primary(Wire):
    """Has taken the primary over: its keys, its certificate, and whatever the server tells it. `rules` are those of a Thief."""

    def __init__(self, ecu, thief, state):
        super().__init__(ecu.socket)
        self.thief, self.state, self.rules = thief, state, {}

    def status(self):
        return json.loads(self.ask(STATUS)[1])

    def nonce(self):
        return self.ask(NONCE)[1]

    def report(self):
        return part_of(self.ask(REPORT)[1])

    # ---- time and metadata

    def fetch(self, path):
        """What the rules say, else the server; None where there is no such file."""
        rule = next((rule for pattern, rule in self.rules.items() if re.fullmatch(pattern, path)), None)
        answer = rule(types.SimpleNamespace(path=path), None) if rule else self.thief.hostile.exchange("GET", path, state=self.state)
        return answer.body if answer.status == 200 else None

    def signed_time(self, nonces):
        return self.fetch(f"/v1/vehicle/time?nonce={joined(nonces).hex()}")

    def hand_time(self, nonces, document):
        self.ask(TIME, bytes([len(nonces)]) + b"".join(nonces) + document)

    def file(self, repository, name):
        folder = (DIRECTOR, IMAGE)[repository]
        if name != "targets.json":
            return self.fetch(folder + name)
        # Who verifies in part asks for the current ones, without their number.
        snapshot = part_of(self.fetch(folder + "timestamp.json"))["meta"]["snapshot.json"]["version"]
        version = part_of(self.fetch(f"{folder}{snapshot}.snapshot.json"))["meta"]["targets.json"]["version"]
        return self.fetch(f"{folder}{version}.targets.json")

    def look(self, what=EVERYTHING, file=None):
        kind, body = self.ask(LOOK, what)
        while kind == WANT:
            data = (file or self.file)(body[0], body[5:].decode())
            kind, body = self.ask(FILE, b"\x00" if data is None else b"\x01" + data)

    def tell_time(self):
        own = self.nonce()
        self.hand_time([own], self.signed_time([own]))

    def hand_on(self, rules=None):
        """What an honest primary does with each look at the server, but for the rules."""
        self.rules = rules or {}
        self.look(ROOTS)
        self.tell_time()
        self.look()

    # ---- an image

    def begin(self, image):
        return self.ask(BEGIN, sha256(image))[1]

    def piece(self, offset, data):
        self.ask(PIECE, struct.pack("<Q", offset) + data)

    def send_image(self, claimed, content=None):
        """`content` as the image that it is said to be."""
        content = claimed if content is None else content
        rig.check_equal(self.begin(claimed), SEND, "answer to begin")
        for offset in range(0, len(content), PIECE_BYTES):
            self.piece(offset, content[offset:offset + PIECE_BYTES])
        self.ask(END, sha256(claimed))

    def command(self, kind, image):
        self.ask(kind, sha256(image))
