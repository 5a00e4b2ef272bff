"""A TUF repository that tests change at will, served over HTTP on loopback, and the client that is tested against it.

The repository is a set of files and a list of the requests that came. What its owner says stands in `parts` (the signed parts,
plain dicts) and `keys` (who signs a role); `publish` signs a role at its next version and files it where it belongs, right or
wrong: nothing here keeps a test from lying.
"""
import copy
import datetime
import hashlib
import http.server
import json
import os
import resource
import shutil
import ssl
import subprocess
import tempfile
import threading
import time
import urllib.parse

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

PROGRAM = os.path.join(os.environ["LAYBY_BIN_DIR"], "layby-tuf")
TOP_ROLES = ("root", "timestamp", "snapshot", "targets")
# Keys are made once: making RSA keys takes long.
_pool = {}


def canonical(value):
    """OLPC canonical JSON, written anew here: the client's own writer must not be its own judge."""
    if isinstance(value, dict):
        return b"{" + b",".join(canonical(k) + b":" + canonical(value[k]) for k in sorted(value)) + b"}"
    if isinstance(value, list):
        return b"[" + b",".join(canonical(v) for v in value) + b"]"
    if isinstance(value, str):
        return b'"' + value.replace("\\", "\\\\").replace('"', '\\"').encode() + b'"'
    if value is None or isinstance(value, bool):
        return {None: b"null", True: b"true", False: b"false"}[value]
    return str(value).encode()


class Key:
    """A private key with the public part as TUF writes it. `extra` goes into the KEY, `keyid` may be any text."""

    def __init__(self, scheme="ed25519", keytype=None, bits=2048, keyid=None, extra=None):
        self.scheme = scheme
        if scheme == "ed25519":
            self.private = ed25519.Ed25519PrivateKey.generate()
            public = self.private.public_key().public_bytes(
                serialization.Encoding.Raw, serialization.PublicFormat.Raw).hex()
        else:
            if scheme == "ecdsa-sha2-nistp256":
                self.private = ec.generate_private_key(ec.SECP256R1())
            else:
                self.private = rsa.generate_private_key(65537, bits)
            public = self.private.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
        names = {"ed25519": "ed25519", "ecdsa-sha2-nistp256": "ecdsa", "rsassa-pss-sha256": "rsa"}
        self.public = {"keytype": keytype or names[scheme], "scheme": scheme, "keyval": {"public": public}, **(extra or {})}
        self.keyid = keyid or hashlib.sha256(canonical(self.public)).hexdigest()

    def sign(self, message):
        if self.scheme == "ed25519":
            return self.private.sign(message).hex()
        if self.scheme == "ecdsa-sha2-nistp256":
            return self.private.sign(message, ec.ECDSA(hashes.SHA256())).hex()
        pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=padding.PSS.DIGEST_LENGTH)
        return self.private.sign(message, pss, hashes.SHA256()).hex()


def new_key(scheme="ed25519"):
    """One that this test has not had yet."""
    fresh = _pool.setdefault(scheme, {"keys": [], "next": 0})
    if fresh["next"] == len(fresh["keys"]):
        fresh["keys"].append(Key(scheme))
    fresh["next"] += 1
    return fresh["keys"][fresh["next"] - 1]


def utc(days_from_now):
    when = datetime.datetime.utcnow() + datetime.timedelta(days=days_from_now)
    return when.replace(microsecond=0).isoformat() + "Z"


def digests(data, algorithms=("sha256",)):
    return {name: hashlib.new(name, data).hexdigest() for name in algorithms}


def quoted(role):
    return urllib.parse.quote(role, "")


class Repository:
    def __init__(self, scheme="ed25519", consistent=True):
        for fresh in _pool.values():
            fresh["next"] = 0
        self.scheme = scheme
        self.with_hashes = False  # and lengths, in snapshot and timestamp
        self.indent = 1           # any white space will do
        self.files = {}           # path -> bytes, or a function of the handler that answers itself
        self.requests = []        # paths that were asked for
        self.keys = {role: [new_key(scheme)] for role in TOP_ROLES}
        common = {"spec_version": "1.0.31", "version": 0, "expires": utc(30)}
        self.parts = {
            "targets": {"_type": "targets", "targets": {}, **common},
            "snapshot": {"_type": "snapshot", "meta": {}, **common},
            "timestamp": {"_type": "timestamp", "meta": {}, **common},
            "root": {"_type": "root", "consistent_snapshot": consistent, "keys": {}, "roles": {}, **common},
        }
        for role in TOP_ROLES:
            self.assign(role)
        self.publish("targets", "snapshot", "timestamp", "root")

    # ---- who may sign -----------------------------------------------------------------------------------------------

    def assign(self, role, threshold=1):
        """The root names exactly keys[role]."""
        root = self.parts["root"]
        root["keys"].update({key.keyid: key.public for key in self.keys[role]})
        root["roles"][role] = {"keyids": [key.keyid for key in self.keys[role]], "threshold": threshold}

    def rotate(self, role, scheme=None):
        self.keys[role] = [new_key(scheme or self.scheme)]
        self.assign(role)

    def delegate(self, delegator, role, paths=("*",), **more):
        part = self.parts[delegator]
        delegations = part.setdefault("delegations", {"keys": {}, "roles": []})
        key = new_key(self.scheme)
        self.keys.setdefault(role, []).append(key)
        delegations["keys"][key.keyid] = key.public
        entry = {"name": role, "keyids": [key.keyid], "threshold": 1, "terminating": False, "paths": list(paths), **more}
        if "path_hash_prefixes" in more:
            del entry["paths"]
        delegations["roles"].append(entry)
        self.parts.setdefault(role, {"_type": "targets", "spec_version": "1.0.31", "version": 0, "expires": utc(30),
                                     "targets": {}})
        return entry

    # ---- what is published ------------------------------------------------------------------------------------------

    def signed(self, role, signers=None):
        part = self.parts[role]
        message = canonical(part)
        signatures = [{"keyid": key.keyid, "sig": key.sign(message)} for key in signers or self.keys[role]]
        return json.dumps({"signatures": signatures, "signed": part}, indent=self.indent).encode()

    def file_name(self, role, version):
        numbered = role == "root" or (self.parts["root"]["consistent_snapshot"] and role != "timestamp")
        return f"metadata/{version}.{quoted(role)}.json" if numbered else f"metadata/{quoted(role)}.json"

    def publish(self, *roles, signers=None, at=None):
        """Each a version up, in this order. `at`: filed under this version, whatever the file says."""
        for role in roles:
            part = self.parts[role]
            part["version"] += 1
            data = self.signed(role, signers)
            self.files[self.file_name(role, at or part["version"])] = data
            entry = {"version": part["version"]}
            if self.with_hashes:
                entry.update({"length": len(data), "hashes": digests(data)})
            if role == "snapshot":
                self.parts["timestamp"]["meta"]["snapshot.json"] = entry
            elif role not in TOP_ROLES or role == "targets":
                self.parts["snapshot"]["meta"][role + ".json"] = entry
        return self

    def publish_all(self):
        """Every role but the root."""
        return self.publish(*[role for role in self.parts if role not in TOP_ROLES], "targets", "snapshot", "timestamp")

    def add_target(self, role, path, data, algorithms=("sha256",)):
        self.parts[role]["targets"][path] = {"length": len(data), "hashes": digests(data, algorithms)}
        folder, slash, name = path.rpartition("/")
        for value in digests(data, algorithms).values():
            self.files[f"targets/{folder}{slash}{value}.{name}"] = data
        self.files[f"targets/{path}"] = data

    def target_file(self, path):
        """The file that a client asks for."""
        folder, slash, name = path.rpartition("/")
        for part in self.parts.values():
            if path in part.get("targets", {}):
                value = next(iter(part["targets"][path]["hashes"].values()))
                return f"targets/{folder}{slash}{value}.{name}"
        raise KeyError(path)

    def edit(self, path, change):
        """Changes a signed document and not its signatures."""
        document = json.loads(self.files[path])
        change(document)
        self.files[path] = json.dumps(document).encode()

    def asked(self, folder="metadata/"):
        return [path[len(folder):] for path in self.requests if path.startswith(folder)]


class _Handler(http.server.BaseHTTPRequestHandler):
    def handle(self):
        try:
            super().handle()
        except OSError:
            pass  # a client that hangs up, or shakes no hands

    def do_GET(self):
        repository = self.server.repository
        path = self.path[len(self.server.prefix):] if self.path.startswith(self.server.prefix) else self.path
        repository.requests.append(path)
        answer = repository.files.get(path, repository.files.get(urllib.parse.unquote(path)))
        if callable(answer):
            answer(self)
            return
        if answer is None:
            self.send_error(404)
            return
        self.reply(answer)

    def reply(self, data, status=200, length=None, headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data) if length is None else length))
        self.end_headers()
        try:
            self.wfile.write(data)
        except OSError:
            pass  # the client has seen enough

    def log_message(self, *_):
        pass


def some_days_later(command, days):
    """The command and its environment, for a clock that is so far ahead; None: for the machine's."""
    if days is None:
        return command, dict(os.environ)
    # faketime preloads a library, and AddressSanitizer insists on being the first one otherwise.
    options = ":".join([*filter(None, [os.environ.get("ASAN_OPTIONS")]), "verify_asan_link_order=0"])
    return ["faketime", "-f", f"{days:+d}d", *command], {**os.environ, "ASAN_OPTIONS": options}


class World:
    """A repository, its server and a client with directories of its own."""

    def __init__(self, prefix="/", **options):
        self.repository = Repository(**options)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self.server.daemon_threads = True
        self.server.repository = self.repository
        self.server.prefix = prefix
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}{prefix}"
        self.home = tempfile.mkdtemp(prefix="layby-tuf-")
        self.metadata_dir = os.path.join(self.home, "metadata")
        self.target_dir = os.path.join(self.home, "targets")
        os.mkdir(self.metadata_dir)
        os.mkdir(self.target_dir)
        self.reason = ""

    def encrypt(self, certificate, key):
        """From now on the repository is under https://."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = self.url.replace("http:", "https:", 1)

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        shutil.rmtree(self.home)

    def run(self, *arguments, days=None, memory_max=None):
        """The exit status; the line on standard error is in `reason`. `days`: so far in the future. `memory_max` in bytes."""
        command, environment = some_days_later([PROGRAM, *arguments], days)

        def limit():
            # AddressSanitizer reserves terabytes of addresses for its shadow: memory is bounded in the release build.
            if memory_max is not None and "LAYBY_ASAN" not in os.environ:
                resource.setrlimit(resource.RLIMIT_AS, (memory_max, memory_max))
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, preexec_fn=limit, env=environment)
        self.reason = done.stderr
        assert done.returncode in (0, 1), f"exit status {done.returncode}: {done.stderr}"
        assert done.stderr.count("\n") == done.returncode, f"one line when it fails, none else: {done.stderr}"
        return done.returncode

    def init(self, root=None):
        path = os.path.join(self.home, "initial_root.json")
        with open(path, "wb") as file:
            file.write(self.repository.files["metadata/1.root.json"] if root is None else root)
        return self.run("--metadata-dir", self.metadata_dir, "init", path)

    def refresh(self, days=None, options=()):
        return self.run("--metadata-url", self.url + "metadata/", "--metadata-dir", self.metadata_dir, *options, "refresh",
                        days=days)

    def download(self, *names, days=None, memory_max=None):
        wanted = [argument for name in names for argument in ("--target-name", name)]
        return self.run("--metadata-url", self.url + "metadata/", "--metadata-dir", self.metadata_dir, *wanted,
                        "--target-dir", self.target_dir, "--target-base-url", self.url + "targets/", "download", days=days,
                        memory_max=memory_max)

    def trusted(self):
        """What the client believes: role -> version, for every file of its directory."""
        found = {}
        for name in sorted(os.listdir(self.metadata_dir)):
            assert name.endswith(".json"), name
            with open(os.path.join(self.metadata_dir, name), "rb") as file:
                found[urllib.parse.unquote(name[:-5])] = json.loads(file.read())["signed"]["version"]
        return found

    def stored(self, name):
        with open(os.path.join(self.metadata_dir, name), "rb") as file:
            return file.read()

    def downloaded(self):
        found = {}
        for name in sorted(os.listdir(self.target_dir)):
            with open(os.path.join(self.target_dir, name), "rb") as file:
                found[urllib.parse.unquote(name)] = file.read()
        return found


def drip(handler, seconds=60):
    """A body that comes slower than anybody should wait for."""
    handler.send_response(200)
    handler.send_header("Content-Length", "10000")
    handler.end_headers()
    try:
        for _ in range(seconds * 10):
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.1)
    except OSError:
        pass


def endless(handler):
    handler.send_response(200)
    handler.end_headers()
    try:
        for _ in range(100_000):
            handler.wfile.write(b" " * 4096)
    except OSError:
        handler.server.repository.requests.append("the client hung up")


def status(code, headers=()):
    return lambda handler: handler.reply(b"", code, headers=headers)


def deep_copy(value):
    return copy.deepcopy(value)
