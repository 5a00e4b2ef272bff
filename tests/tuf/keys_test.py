"""Keys and signatures (TUF 1.0.34, section 4.2): the three schemes, thresholds, and what must not count."""
import hashlib
import json
import unittest

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from tuf_repository import Key, World, canonical

SCHEMES = ("ed25519", "ecdsa-sha2-nistp256", "rsassa-pss-sha256")


class Base(unittest.TestCase):
    def world(self, **options):
        made = World(**options)
        self.addCleanup(made.close)
        self.assertEqual(made.init(), 0, made.reason)
        return made


class Schemes(Base):
    def test_a_whole_repository_of_each(self):
        for scheme in SCHEMES:
            with self.subTest(scheme):
                world = self.world(scheme=scheme)
                world.repository.delegate("targets", "role")
                world.repository.add_target("role", "file", b"content")
                world.repository.publish_all()
                self.assertEqual(world.download("file"), 0, world.reason)
                world.repository.edit("metadata/timestamp.json", lambda d: d["signed"].update(version=9))
                self.assertEqual(world.refresh(), 1)
                self.assertIn("bad-signature", world.reason)

    def test_a_second_root_key_of_each_is_needed_and_checked(self):
        for scheme in SCHEMES:
            with self.subTest(scheme):
                world = self.world()
                repository = world.repository
                second = Key(scheme)
                repository.keys["root"].append(second)
                repository.assign("root", threshold=2)
                repository.publish("root")
                self.assertEqual(world.refresh(), 0, world.reason)
                self.assertEqual(world.trusted()["root"], 2)
                repository.publish("root")
                wrong = Key(scheme).sign(b"something else")
                repository.edit("metadata/3.root.json", lambda d: d["signatures"][1].update(sig=wrong))
                self.assertEqual(world.refresh(), 1)
                self.assertIn("bad-signature", world.reason)
                self.assertEqual(world.trusted()["root"], 2)

    def test_the_older_key_type_of_ecdsa(self):
        world = self.world()
        world.repository.keys["timestamp"] = [Key("ecdsa-sha2-nistp256", keytype="ecdsa-sha2-nistp256")]
        world.repository.assign("timestamp")
        world.repository.publish("root", "timestamp")
        self.assertEqual(world.refresh(), 0, world.reason)

    def test_rsa_salts_of_any_length(self):
        world = self.world()
        key = Key("rsassa-pss-sha256")
        world.repository.keys["timestamp"] = [key]
        world.repository.assign("timestamp")
        for salt in (padding.PSS.MAX_LENGTH, 0, 20):
            pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=salt)
            key.sign = lambda message, pss=pss: key.private.sign(message, pss, hashes.SHA256()).hex()
            world.repository.publish("root", "timestamp")
            self.assertEqual(world.refresh(), 0, world.reason)
        key.sign = lambda message: key.private.sign(message, padding.PKCS1v15(), hashes.SHA256()).hex()
        world.repository.publish("timestamp")
        self.assertEqual(world.refresh(), 1)

    def test_weak_rsa_counts_for_nothing(self):
        world = self.world()
        world.repository.keys["timestamp"] = [Key("rsassa-pss-sha256", bits=1024)]
        world.repository.assign("timestamp")
        world.repository.publish("root", "timestamp")
        self.assertEqual(world.refresh(), 1)
        self.assertIn("bad-signature", world.reason)
        self.assertEqual(world.trusted(), {"root": 2})

    def test_unknown_and_unreadable_keys_are_passed_over(self):
        world = self.world()
        root = world.repository.parts["root"]
        odd = {
            "a": {"keytype": "pigeon", "scheme": "post", "keyval": {"public": "coo"}},
            "b": {"keytype": "ecdsa", "scheme": "ecdsa-sha2-nistp384", "keyval": {"public": "x"}},
            "c": {"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": "too short"}},
            "d": {"keytype": "rsa", "scheme": "rsassa-pss-sha256", "keyval": {"public": "-----BEGIN"}},
            "e": {"keytype": "sigstore-oidc", "scheme": "Fulcio", "keyval": {"identity": "x", "issuer": "y"}},
        }
        root["keys"].update(odd)
        root["roles"]["timestamp"]["keyids"] += list(odd)
        world.repository.publish("root", "timestamp")
        self.assertEqual(world.refresh(), 0, world.reason)

    def test_a_key_id_may_be_any_text(self):
        world = self.world()
        world.repository.keys["timestamp"] = [Key(keyid="the timestamp's \u00fc key")]
        world.repository.assign("timestamp")
        world.repository.publish("root", "timestamp")
        self.assertEqual(world.refresh(), 0, world.reason)

    def test_extra_fields_of_a_key_do_not_matter(self):
        world = self.world()
        world.repository.keys["snapshot"] = [Key(extra={"keyid_hash_algorithms": "md5", "x": {"a": 1}})]
        world.repository.assign("snapshot")
        world.repository.publish("root", "snapshot", "timestamp")
        self.assertEqual(world.refresh(), 0, world.reason)

    def test_hexadecimal_in_capitals(self):
        world = self.world()
        world.repository.edit("metadata/timestamp.json",
                              lambda d: d["signatures"][0].update(sig=d["signatures"][0]["sig"].upper()))
        self.assertEqual(world.refresh(), 0, world.reason)


class Counting(Base):
    def two_keys(self, world, threshold):
        world.repository.keys["timestamp"] += [Key()]
        world.repository.assign("timestamp", threshold=threshold)
        world.repository.publish("root", "timestamp")

    def test_threshold_minus_one(self):
        world = self.world()
        self.two_keys(world, 2)
        self.assertEqual(world.refresh(), 0, world.reason)
        world.repository.publish("timestamp", signers=world.repository.keys["timestamp"][1:])
        self.assertEqual(world.refresh(), 1)
        self.assertIn("bad-signature", world.reason)

    def test_more_signatures_than_there_are_keys_cannot_be(self):
        world = self.world()
        self.two_keys(world, 3)
        self.assertEqual(world.refresh(), 1)
        self.assertEqual(world.trusted(), {"root": 2})

    def test_invalid_signatures_beside_enough_good_ones(self):
        world = self.world()
        self.two_keys(world, 1)
        for wrong in ("00" * 64, "", "not hexadecimal", "abc"):
            world.repository.publish("timestamp")
            world.repository.edit("metadata/timestamp.json", lambda d: d["signatures"][0].update(sig=wrong))
            self.assertEqual(world.refresh(), 0, world.reason)

    def test_one_signature_twice_is_refused(self):
        world = self.world()
        world.repository.edit("metadata/1.snapshot.json", lambda d: d["signatures"].append(d["signatures"][0]))
        self.assertEqual(world.refresh(), 1)
        self.assertIn("bad-format", world.reason)
        self.assertEqual(world.trusted(), {"root": 1, "timestamp": 1})

    def test_nine_copies_under_nine_entries_of_one_key(self):
        world = self.world()
        root = world.repository.parts["root"]
        root["roles"]["snapshot"]["keyids"] *= 9
        root["roles"]["snapshot"]["threshold"] = 6
        world.repository.publish("root", "snapshot", "timestamp")
        self.assertEqual(world.refresh(), 1)
        self.assertNotIn("snapshot", world.trusted())

    def test_one_key_under_many_ids_counts_once(self):
        for scheme in SCHEMES:
            with self.subTest(scheme):
                world = self.world()
                repository = world.repository
                key = Key(scheme)
                aliases = []
                for number in range(3):
                    alias = Key.__new__(Key)
                    alias.private, alias.scheme = key.private, scheme
                    alias.public = {**key.public, "x": number}
                    if number == 2 and scheme != "ed25519":  # another spelling of the same PEM
                        alias.public["keyval"] = {"public": key.public["keyval"]["public"].replace("\n", "\r\n")}
                    alias.keyid = hashlib.sha256(canonical(alias.public)).hexdigest()
                    aliases.append(alias)
                repository.keys["snapshot"] = aliases
                repository.assign("snapshot", threshold=2)
                repository.publish("root", "snapshot", "timestamp")
                self.assertEqual(len(json.loads(repository.files["metadata/2.snapshot.json"])["signatures"]), 3)
                self.assertEqual(world.refresh(), 1)
                self.assertIn("1 good signatures of its role, 2 are needed", world.reason)


if __name__ == "__main__":
    unittest.main()
