"""A headless Chromium, driven over the DevTools protocol with nothing but the standard library."""
import base64
import json
import os
import shutil
import socket
import struct
import tempfile
import time
import urllib.parse
import urllib.request

import rig

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SKIPPED = 77  # as CTest's SKIP_RETURN_CODE
ANSWER_SECONDS = 30


class WebSocket:
    """The client's end of RFC 6455, as far as DevTools needs it."""

    def __init__(self, url):
        parts = urllib.parse.urlsplit(url)
        self.stream = socket.create_connection((parts.hostname, parts.port), timeout=ANSWER_SECONDS * rig.PATIENCE)
        key = base64.b64encode(os.urandom(16)).decode()
        self.stream.sendall((f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\n"
                             f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n").encode())
        self.rest = b""
        while b"\r\n\r\n" not in self.rest:
            self.rest += self.stream.recv(4096)
        head, self.rest = self.rest.split(b"\r\n\r\n", 1)
        rig.check(b" 101 " in head, f"no WebSocket: {head!r}")

    def take(self, count):
        while len(self.rest) < count:
            more = self.stream.recv(65536)
            rig.check(more, "the browser is gone")
            self.rest += more
        taken, self.rest = self.rest[:count], self.rest[count:]
        return taken

    def send(self, text):
        body, mask = text.encode(), os.urandom(4)
        length = len(body)
        size = bytes([0x80 | length]) if length < 126 else (
            struct.pack("!BH", 0x80 | 126, length) if length < 65536 else struct.pack("!BQ", 0x80 | 127, length))
        self.stream.sendall(b"\x81" + size + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(body)))

    def receive(self):
        text = b""
        while True:
            first, second = self.take(2)
            length = second & 0x7F
            if length == 126:
                length = struct.unpack("!H", self.take(2))[0]
            elif length == 127:
                length = struct.unpack("!Q", self.take(8))[0]
            body = self.take(length)
            if first & 0x0F in (0, 1):
                text += body
                if first & 0x80:
                    return text.decode()


class Browser:
    """One page of `width` by `height`; ends with the rig."""

    def __init__(self, r, width=1440, height=960):
        self.directory = tempfile.TemporaryDirectory(prefix="layby-browser-", ignore_cleanup_errors=True)
        self.profile = self.directory.name
        r.begin([CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                 "--disable-background-networking", "--disable-component-update", "--disable-sync", "--lang=en",
                 "--hide-scrollbars", "--remote-debugging-port=0", f"--user-data-dir={self.profile}", "about:blank"],
                os.path.join(r.directory, "chromium.log"))
        port_file = os.path.join(self.profile, "DevToolsActivePort")
        rig.wait_until("the browser listens", lambda: os.path.exists(port_file) and os.path.getsize(port_file) > 0, 60)
        with open(port_file, encoding="ascii") as stream:
            port = stream.readline().strip()
        targets = rig.wait_until("the browser has a page", lambda: [
            t for t in json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=10)) if t["type"] == "page"])
        self.socket = WebSocket(targets[0]["webSocketDebuggerUrl"])
        self.last_id = 0
        self.errors = []
        self.call("Page.enable")
        self.call("Runtime.enable")
        self.call("Log.enable")
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setTimezoneOverride", timezoneId="Europe/Berlin")

    def call(self, method, **parameters):
        self.last_id += 1
        self.socket.send(json.dumps({"id": self.last_id, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.receive())
            if message.get("method") == "Runtime.exceptionThrown":
                self.errors.append(json.dumps(message["params"]))
            if message.get("method") == "Log.entryAdded" and message["params"]["entry"]["level"] == "error":
                self.errors.append(message["params"]["entry"]["text"])
            if message.get("id") == self.last_id:
                rig.check("error" not in message, f"{method}: {message.get('error')}")
                return message["result"]

    def js(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        rig.check("exceptionDetails" not in result, f"{expression}: {result.get('exceptionDetails')}")
        return result["result"].get("value")

    def goto(self, url):
        self.call("Page.navigate", url=url)
        rig.wait_until(f"{url} is there", lambda: self.js("document.readyState") == "complete")

    def text(self, selector="body"):
        return self.js(f"[...document.querySelectorAll({json.dumps(selector)})].map(e => e.innerText).join('\\n')")

    def wait_for_text(self, text, selector="body", seconds=30):
        rig.wait_until(lambda: f"{selector} says {text!r}; it says {self.text(selector)!r}",
                       lambda: text in self.text(selector), seconds)

    def click(self, selector):
        """With the mouse, in the middle of what is seen."""
        box = self.js(f"""(() => {{ const e = document.querySelector({json.dumps(selector)});
            if (!e) return null; e.scrollIntoView({{block: 'center'}}); const b = e.getBoundingClientRect();
            const x = b.x + b.width / 2, y = b.y + b.height / 2, top = document.elementFromPoint(x, y);
            return {{x, y, width: b.width, height: b.height, hit: e === top || e.contains(top)}}; }})()""")
        rig.check(box, f"there is no {selector}")
        rig.check(box["hit"], f"something covers {selector}")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=box["x"], y=box["y"], button="left", clickCount=1)
        return box

    def screenshot(self, path):
        self.js("window.scrollTo(0, 0)")
        time.sleep(0.6)  # what glides has arrived
        shot = base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
        rig.check(shot.startswith(b"\x89PNG") and len(shot) > 10_000, "the screenshot is empty")
        with open(path, "wb") as out:
            out.write(shot)
