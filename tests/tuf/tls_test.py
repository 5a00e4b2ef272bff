"""Repositories under https://: whose word a client takes for the server's name."""
import datetime
import ipaddress
import os
import ssl
import unittest

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tuf_repository import World


def certificate(directory, name):
    """Files of a key and of its own certificate for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.utcnow()
    made = x509.CertificateBuilder().subject_name(who).issuer_name(who).public_key(key.public_key())
    made = made.serial_number(x509.random_serial_number())
    made = made.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=30))
    made = made.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
    paths = [os.path.join(directory, f"{name}.{ending}") for ending in ("pem", "key")]
    with open(paths[0], "wb") as out:
        out.write(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    with open(paths[1], "wb") as out:
        out.write(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                    serialization.NoEncryption()))
    return paths


class Authorities(unittest.TestCase):
    def setUp(self):
        self.world = World()
        self.addCleanup(self.world.close)
        self.own, key = certificate(self.world.home, "own")
        self.other, _ = certificate(self.world.home, "other")
        self.world.encrypt(self.own, key)
        self.assertEqual(self.world.init(), 0)

    def refused(self, code, *options):
        self.assertEqual(self.world.refresh(options=options), 1)
        self.assertIn(f"layby-tuf: {code}: ", self.world.reason)
        self.assertEqual(self.world.repository.requests, [])
        self.assertEqual(self.world.trusted(), {"root": 1})

    def test_the_authority_that_is_named_is_believed(self):
        self.assertEqual(self.world.refresh(options=("--ca", self.own)), 0, self.world.reason)

    def test_nobody_else_is(self):
        self.refused("unavailable")
        self.refused("unavailable", "--ca", self.other)

    def test_what_holds_no_authority_is_named(self):
        empty = os.path.join(self.world.home, "empty.pem")
        with open(empty, "w", encoding="ascii"):
            pass
        for path in (empty, empty + ".gone"):
            self.refused("invalid-argument", "--ca", path)
            self.assertIn(path, self.world.reason)


if __name__ == "__main__":
    unittest.main()
