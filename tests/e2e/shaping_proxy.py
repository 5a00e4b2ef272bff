"""An HTTP proxy (CONNECT) in this process, over a link of its own: delay, rate, and cuts every few seconds.

    link = ShapingProxy(delay=0.1, rate=250_000, cut_every=3)
    ... --proxy http://127.0.0.1:PORT ...
    link.begin_to_cut()
    link.received, link.connections, link.seconds_down

What is asked for is there at once, what is answered comes at `rate` bytes a second, each byte half a round trip after it
was sent. A cut resets all connections; new ones are taken at once.
"""
import select
import socket
import struct
import threading
import time

PIECE = 4096


class ShapingProxy:
    def __init__(self, delay, rate, cut_every):
        self.delay, self.rate, self.cut_every = delay, rate, cut_every
        self.received = self.connections = self.cuts = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.lock, self.open, self.stopping = threading.Lock(), set(), False
        self.free_at = 0.0  # when the link has sent what it took
        threading.Thread(target=self.accept, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def stop(self):
        self.stopping = True
        self.listener.shutdown(socket.SHUT_RDWR)  # closed alone, a thread in `accept` would take one more
        self.listener.close()
        self.reset_all()

    def reset_all(self):
        with self.lock:
            pairs = list(self.open)
        for pair in pairs:
            for one in pair:
                try:  # no goodbye: a reset, as when a bearer is gone
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    one.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        return len(pairs)

    def begin_to_cut(self):
        threading.Thread(target=self.cut, daemon=True).start()

    def cut(self):
        while not self.stopping:
            time.sleep(self.cut_every)
            if self.reset_all():
                self.cuts += 1

    def accept(self):
        while not self.stopping:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        try:
            head = b""
            while b"\r\n\r\n" not in head:
                piece = client.recv(PIECE)
                if not piece:
                    return
                head += piece
            method, where, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
            if method != "CONNECT":
                client.sendall(b"HTTP/1.1 405 Method Not Allowed\r\n\r\n")
                return
            host, port = where.rsplit(":", 1)
            server = socket.create_connection((host, int(port)))
            server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            time.sleep(self.delay)  # the round trip of the connection
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            self.connections += 1
            self.relay(client, server)
        except OSError:
            pass
        finally:
            client.close()

    def relay(self, client, server):
        pair = (client, server)
        with self.lock:
            self.open.add(pair)
        late = []  # [when, bytes, to]
        try:
            while True:
                now = time.monotonic()
                while late and late[0][0] <= now:
                    _, data, to = late.pop(0)
                    to.sendall(data)
                wait = max(0.0, late[0][0] - now) if late else 1.0
                # No more on the link than a router would keep for it.
                sources = [client] + ([server] if self.free_at - now < 0.2 else [])
                for one in select.select(sources, [], [], min(wait, 0.02))[0]:
                    data = one.recv(PIECE)
                    if not data:
                        return
                    if one is client:
                        self.put(late, time.monotonic() + self.delay / 2, data, server)
                        continue
                    self.received += len(data)
                    self.free_at = max(self.free_at, time.monotonic()) + len(data) / self.rate
                    self.put(late, self.free_at + self.delay / 2, data, client)
        except OSError:
            pass
        finally:
            with self.lock:
                self.open.discard(pair)
            server.close()

    @staticmethod
    def put(late, when, data, to):
        late.append((when, data, to))
        late.sort(key=lambda entry: entry[0])
