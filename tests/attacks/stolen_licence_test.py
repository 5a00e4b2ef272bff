#!/usr/bin/env python3
"""What a thief can do with the licence key and the two certificate authorities, which lie on the server as the other online
keys do. At worst he switches on and off what the Image repository signed; never code of his own, and no car speaks for another."""
import base64
import ctypes
import datetime
import ipaddress
import os
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import rig
from attacked_car import OTHER_VIN, ROOT_KEYS, VIN, World
from ceremony_test import make_online_keys
from hostile import DIRECTOR, PAYLOADS, part_of, sign
from rig import check, check_equal, step, wait_until
from tuf_repository import Key, utc

CRUISE, TRAILER = "adaptive-cruise", "trailer-assist"


def sealed(car, document):
    """To the car's key, which the server knows."""
    sodium = ctypes.CDLL("libsodium.so.23")
    with open(os.path.join(car.state, "keys", "seal.key"), "rb") as stream:
        secret = stream.read()
    public, box = ctypes.create_string_buffer(32), ctypes.create_string_buffer(len(document) + 48)
    sodium.crypto_scalarmult_base(public, secret)
    sodium.crypto_box_seal(box, document, ctypes.c_ulonglong(len(document)), public)
    return base64.b64encode(box.raw).decode()


class Licences:
    """The thief's, and the Director's answers that carry them: licences come no other way."""

    def __init__(self, w):
        self.w, self.orders = w, 0

    def licence(self, key=None, **fields):
        part = {"_type": "licence", "vin": VIN, "function": CRUISE, "order": "ord_01M845H6EG2KZ08F375D4PG5DS", "counter": 1,
                "state": "active", "issued": utc(0), **fields}
        return sealed(self.w.car, sign(part, key or self.w.thief.keys["licence"]))

    def carried(self, action, licence, image=None):
        """Rules that serve one order of the thief's beside what is honest."""
        self.orders += 1
        listed = part_of(self.w.thief.documents("image")["targets"])["targets"]

        def edit(part):
            order = {"id": f"ord_01M845{self.orders:020}", "action": action, "images": [], "licence": licence}
            if image:
                order["images"] = [image]
                part["targets"][image] = {**listed[image], "custom": {
                    "ecuIdentifiers": {self.w.car.ecu: {"hardwareId": rig.HARDWARE}}, "mustMatch": listed[image]["custom"]["mustMatch"],
                    "payloads": self.payloads(image)}}
            part["custom"]["orders"].append(order)
        # The server gives this car no payload that it has not ordered: the thief does.
        def payload(handler, forward):
            return self.w.target.hostile.exchange("GET", handler.path, None, {"Range": handler.headers["Range"]}, self.w.other.state)
        return {**self.w.thief.forge("director", {"targets": edit}), PAYLOADS: payload}

    def payloads(self, image):
        """As the server lists them for whoever has ordered the function."""
        director = part_of(self.w.trailer_offer["targets"])["targets"]
        return director[image]["custom"]["payloads"]


def functions(w):
    return {f["id"]: f for f in w.car.status()["functions"]}


def functions_on(w):
    return {f["id"] for f in w.car.show()["functions"]}


def under(w, rules):
    w.target.stop()
    w.target.hostile.rules = rules
    w.car.start_agent()


def begin(w):
    with step("a car with a function that was bought and is on"):
        w.publish(TRAILER, 365)
        # Another car has ordered the other function: so the thief sees how it is listed, and gets its payload.
        w.order_function(TRAILER, OTHER_VIN)
        w.trailer_offer = w.thief.documents("director", w.other.state)
        cruise = w.order_function(CRUISE)
        w.car.wait_for_active(w.anna, [cruise])
        check_equal(functions_on(w), {CRUISE}, "functions that are on")
        w.car.set(**rig.DRIVING)
        w.target.is_at_peace()


def refused(w, thief):
    before = functions(w)
    with step("stolen licence key: a licence for another car, and one for a function that this car does not have"):
        w.mount("licence-refused", thief.carried("licence", thief.licence(vin=OTHER_VIN, counter=9)), "for the car")
        w.mount("licence-refused", thief.carried("install", thief.licence(function=CRUISE, counter=9), f"functions/{TRAILER}/1.0.pkg"),
                "for the function")
    with step("stolen licence key: an older licence than the car has, and the same number with other content"):
        w.mount("licence-refused", thief.carried("licence", thief.licence(counter=0)), "counter")
        w.mount("licence-refused", thief.carried("licence", thief.licence(counter=before[CRUISE]["counter"], until=utc(9))), "counter")
    with step("without the licence key: a licence of every other online key, and a changed byte of the honest one"):
        for name, key in w.thief.keys.items():
            if name != "licence":
                w.mount("bad-signature", thief.carried("licence", thief.licence(key, counter=9)))
        w.mount("bad-signature", thief.carried("deactivate", thief.licence(Key(), counter=9, state="revoked")))
        honest = bytearray(base64.b64decode(thief.licence(counter=9)))
        honest[len(honest) // 2] ^= 1
        w.mount("licence-refused", thief.carried("licence", base64.b64encode(honest).decode()), "not sealed to this car")
    check_equal(functions(w), before, "functions, after all that was refused")


def reached(w, thief):
    package = os.path.join(w.r.directory, f"{TRAILER}.pkg")
    with step("stolen licence key and Director: at worst a longer term of what is installed"):
        slots = w.car.status()["slots"]
        under(w, thief.carried("licence", thief.licence(counter=20, until="2099-01-01T00:00:00Z")))
        wait_until("the car has taken it", lambda: functions(w)[CRUISE].get("until") == "2099-01-01T00:00:00Z")
        check_equal(w.car.status()["slots"], slots, "what is installed")
    with step("stolen licence key and Director: at worst a function that nobody bought, as the Image repository signed it"):
        rules = thief.carried("install", thief.licence(function=TRAILER), f"functions/{TRAILER}/1.0.pkg")
        under(w, {k: v for k, v in rules.items() if k != PAYLOADS})
        wait_until("the server has not given it", lambda: any(o["state"] == "refused" for o in w.car.status()["orders"]))
        under(w, thief.carried("install", thief.licence(function=TRAILER), f"functions/{TRAILER}/1.0.pkg"))
        wait_until(lambda: f"it is downloaded: {w.car.status()}", lambda: any(o["state"] == "downloaded" for o in w.car.status()["orders"]))
        check_equal(functions_on(w), {CRUISE}, "functions that are on before exit-and-lock")
        w.car.exit_and_lock()
        wait_until("it is on", lambda: functions_on(w) == {CRUISE, TRAILER})
        w.car.set(**rig.DRIVING)
        slot = wait_until("it says so", lambda: w.car.status()["slots"].get(f"function.{TRAILER}"))
        with open(package, "rb") as signed, open(os.path.join(w.car.state, slot["path"]), "rb") as live:
            check_equal(live.read(), signed.read(), "the package")
    with step("stolen licence key and Director: at worst what was bought is off after the next exit-and-lock"):
        under(w, thief.carried("deactivate", thief.licence(counter=21, state="revoked")))
        wait_until("the car holds it", lambda: any(o["action"] == "deactivate" for o in w.car.status()["orders"]))
        check_equal(functions_on(w), {CRUISE, TRAILER}, "functions that are on while it drives")
        w.car.exit_and_lock()
        wait_until("it is off", lambda: functions_on(w) == {TRAILER})
        w.car.set(**rig.DRIVING)
    with step("stolen licence key: the server sees what the car runs, and no order follows from it"):
        before = {o["id"]: o["state"] for o in w.anna("order", "list", VIN)["orders"]}

        def said():
            told = w.r.operator("car", "show", VIN)["functions"]
            return {name: (f["state"], f["counter"]) for name, f in told.items()}
        wait_until(lambda: f"it knows: {said()}", lambda: said() == {CRUISE: ("revoked", 21), TRAILER: ("active", 1)})
        check_equal({o["id"]: o["state"] for o in w.anna("order", "list", VIN)["orders"]}, before, "orders at the server")


def exchanged(w, thief):
    before = {o["id"]: o["state"] for o in w.anna("order", "list", VIN)["orders"]}
    with step("with the next licence key what is honest counts again: what he has switched off comes back"):
        next_key = make_online_keys(w.r, w.offline, ["licence"])["licence"]
        w.publish(CRUISE, 365, "2.0", 2, next_key)
        wait_until(lambda: f"the car has the release that names it: {w.car.status()}",
                   lambda: any(o["state"] == "downloaded" for o in w.car.status()["orders"]), 120)
        check(functions(w)[CRUISE]["counter"] == 21, "until then the old key's licence counts")
        w.car.exit_and_lock()
        wait_until("it is on", lambda: functions_on(w) == {CRUISE, TRAILER})
        counter = functions(w)[CRUISE]["counter"]
        check(counter < 20, f"the licence is the server's: {counter}")
        wait_until("the server knows", lambda: w.r.operator("car", "show", VIN)["functions"][CRUISE]["counter"] == counter)
        wait_until("nothing is left to do", lambda: not w.car.status()["orders"])
        check_equal({o["id"]: o["state"] for o in w.anna("order", "list", VIN)["orders"]}, before, "orders at the server")
        w.car.set(**rig.DRIVING)
        w.target.is_at_peace()
    with step("a licence of the stolen key is none any more, whatever its counter"):
        w.mount("bad-signature", thief.carried("deactivate", thief.licence(counter=10**9, state="revoked")))
        check_equal(functions_on(w), {CRUISE, TRAILER}, "functions that are on")


# ---- the certificate authorities --------------------------------------------------------------------------------------

def certificate(w, authority, name, out):
    """A certificate of the stolen authority, and its key: `out`.pem and `out`.key in the server's directory `tls`."""
    folder = os.path.join(w.r.server.data, "tls")
    with open(os.path.join(folder, authority + ".pem"), "rb") as pem, open(os.path.join(folder, authority + ".key"), "rb") as key:
        issuer, stolen = x509.load_pem_x509_certificate(pem.read()), serialization.load_pem_private_key(key.read(), None)
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.utcnow()
    builder = x509.CertificateBuilder(issuer.subject, x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]),
                                      key.public_key(), x509.random_serial_number(), now - datetime.timedelta(1),
                                      now + datetime.timedelta(30))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
    builder = builder.add_extension(x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.CLIENT_AUTH, x509.ExtendedKeyUsageOID.SERVER_AUTH]), False)
    with open(os.path.join(folder, out + ".pem"), "wb") as stream:
        stream.write(builder.sign(stolen, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    with open(os.path.join(folder, out + ".key"), "wb") as stream:
        stream.write(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return os.path.join(folder, out)


def stolen_authorities(w):
    hostile = w.target.hostile
    w.target.stop()  # so that nobody but the thief speaks
    counter = w.r.operator("car", "show", VIN)["report"]["counter"]
    report, as_json = hostile.manifests[-1], {"Content-Type": "application/json"}
    with step("stolen vehicle authority: a certificate for this car's VIN that was not given out in a pairing opens nothing"):
        made = certificate(w, "vehicle-ca", VIN, "thief")
        keys = os.path.join(w.r.directory, "thief", "keys")
        os.makedirs(keys)
        os.rename(made + ".pem", os.path.join(keys, "certificate.pem"))
        os.rename(made + ".key", os.path.join(keys, "tls.key"))
        state = os.path.dirname(keys)
        for answer in (hostile.exchange("GET", DIRECTOR + "timestamp.json", state=state),
                       hostile.exchange("POST", "/v1/vehicle/manifest", report, as_json, state)):
            check_equal(answer.status, 401, "status")
            check(b"unauthenticated" in answer.body, f"{answer.body}")
    with step("nor does the car's own connection speak for its ECUs: a report under another key is refused"):
        part = part_of(report)
        answer = hostile.exchange("POST", "/v1/vehicle/manifest", sign(part, Key()), as_json)
        check_equal(answer.status, 422, "status")
        check(b"bad-manifest" in answer.body, f"{answer.body}")
        check_equal(w.r.operator("car", "show", VIN)["report"]["counter"], counter, "the last report that was taken")
    with step("stolen vehicle authority: a server that shows a certificate of it is none to the car"):
        slots = w.car.status()["slots"]
        certificate(w, "vehicle-ca", "127.0.0.1", "thief")
        hostile.show_certificate("thief")
        w.car.start_agent()
        wait_until("the car says so", lambda: w.car.status()["poll"].get("error", {}).get("name") == "unauthenticated")
        check_equal(w.car.status()["slots"], slots, "what is installed")
        hostile.show_certificate("server")
        w.target.is_at_peace()
    with step("stolen server authority: who shows a certificate of it stands in between, and signs nothing"):
        certificate(w, "ca", "127.0.0.1", "thief")
        hostile.show_certificate("thief")
        w.mount("bad-signature", w.thief.forge("director", {}, {"timestamp": [Key()]}))


def test(r):
    w = World(r)
    begin(w)
    stolen_authorities(w)
    thief = Licences(w)
    refused(w, thief)
    reached(w, thief)
    with step("with the next roots he is out: what he ordered is gone, and nothing honest undoes what his licences have done"):
        w.target.hostile.rules = {}
        w.take_back()
        wait_until("his orders are gone", lambda: not w.car.status()["orders"])
        w.car.exit_and_lock()
        wait_until("the car has settled", lambda: not w.car.status()["orders"])
        check_equal(functions_on(w), {TRAILER}, "functions that are on")
    exchanged(w, thief)


if __name__ == "__main__":
    sys.exit(rig.main(test, ROOT_KEYS))
