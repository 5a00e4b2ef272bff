"""An ECU that lies: it answers at the socket of a real agent as a secondary does, but for what its `lies` say."""
import datetime
import json
import os
import socket
import struct
import threading

import ecu_wire
from ecu_wire import DONE, ERROR, NONCE, REPORT, STATUS, TIME, LOOK, FILE, message
from hostile import sign
from tuf_repository import Key


def now():
    return datetime.datetime.utcnow().replace(microsecond=0).isoformat() + "Z"


class LyingEcu:
    """`lies[kind] = function(body)` gives the bytes of the answer to this kind of question, or None for none at all."""

    def __init__(self, directory, serial, hardware):
        self.serial, self.hardware = serial, hardware
        self.key, self.counter, self.lies = Key(), 0, {}
        self.installed = {"name": f"software/{hardware}/factory.img", "sha256": "ab" * 32, "length": 1000, "releaseCounter": 0}
        os.makedirs(os.path.join(directory, serial))
        self.socket = os.path.join(directory, serial, "ecu.sock")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.socket)
        self.listener.listen()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            peer, _ = self.listener.accept()
            threading.Thread(target=self.talk, args=(peer,), daemon=True).start()

    def talk(self, peer):
        with peer:
            try:
                while True:
                    kind, body = self.read(peer)
                    answer = self.lies[kind](body) if kind in self.lies else self.honest(kind)
                    if answer is not None:
                        peer.sendall(answer)
            except (OSError, EOFError):
                pass  # the agent has hung up

    @staticmethod
    def read(peer):
        def exactly(count):
            data = b""
            while len(data) < count:
                more = peer.recv(count - len(data))
                if not more:
                    raise EOFError
                data += more
            return data
        _, _, kind, length = struct.unpack("<2sBBI", exactly(8))
        return kind, exactly(length)

    # ---- what it would say if it were honest

    def honest(self, kind):
        if kind == STATUS:
            return self.status()
        if kind == NONCE:
            return message(DONE, os.urandom(16))
        if kind == REPORT:
            return self.report()
        if kind in (TIME, LOOK, FILE):
            return message(DONE)
        return self.error(8, "it takes no software")

    def status(self, **changed):
        said = {"ecu": self.serial, "hardware": self.hardware, "key": self.key.public["keyval"]["public"],
                "verification": "full", "phase": "idle", "attack": "", "installed": self.installed, **changed}
        return message(DONE, json.dumps(said).encode())

    def report(self, key=None, **changed):
        self.counter += 1
        image = {"image": self.installed["name"], **{k: v for k, v in self.installed.items() if k != "name"}}
        part = {"_type": "ecu-report", "ecu": self.serial, "counter": self.counter, "time": now(), "agent": "layby-ecu/0",
                "installed": {f"software.{self.hardware}": image}, "functions": {}, "attack": "", "orders": [], **changed}
        return message(DONE, sign(part, key or self.key))

    @staticmethod
    def error(code, text):
        return message(ERROR, struct.pack("<H", code) + text.encode())

    @staticmethod
    def want(name, repository=0):
        return message(ecu_wire.WANT, struct.pack("<BI", repository, 1 << 20) + name.encode())
