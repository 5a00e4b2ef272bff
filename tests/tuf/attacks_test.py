"""The attacks of TUF 1.0.34, section 1.5.2, over HTTP: what is refused, what it is called, and what stays as it was."""
import json
import os
import unittest

from tuf_repository import World, canonical, drip, endless, new_key, status, utc

ALL = {"root": 1, "timestamp": 1, "snapshot": 1, "targets": 1}


class Base(unittest.TestCase):
    def ready(self, **options):
        made = World(**options)
        self.addCleanup(made.close)
        self.assertEqual(made.init(), 0)
        self.assertEqual(made.refresh(), 0, made.reason)
        made.repository.requests.clear()
        return made

    def refused(self, world, code, trusted=None):
        before = {name: world.stored(name) for name in os.listdir(world.metadata_dir)}
        self.assertEqual(world.refresh(), 1)
        self.assertIn(f"layby-tuf: {code}: ", world.reason)
        if trusted is None:
            self.assertEqual({name: world.stored(name) for name in os.listdir(world.metadata_dir)}, before)
        else:
            self.assertEqual(world.trusted(), trusted)


class ArbitrarySoftware(Base):
    def test_each_role_signed_by_nobody_who_may(self):
        for role, trusted in (("timestamp", ALL), ("snapshot", {**ALL, "timestamp": 2}),
                              ("targets", {**ALL, "timestamp": 2, "snapshot": 2})):
            with self.subTest(role):
                world = self.ready()
                for name in ("targets", "snapshot", "timestamp"):
                    world.repository.publish(name, signers=[new_key()] if name == role else None)
                self.refused(world, "bad-signature", trusted)

    def test_a_document_of_another_role(self):
        world = self.ready()
        repository = world.repository
        repository.keys["snapshot"] = list(repository.keys["timestamp"])
        repository.assign("snapshot")
        repository.parts["snapshot"]["meta"] = {"snapshot.json": {"version": 1}, "targets.json": {"version": 1}}
        repository.publish("root", "snapshot")
        repository.files["metadata/timestamp.json"] = repository.files["metadata/2.snapshot.json"]
        self.assertEqual(world.refresh(), 1)
        self.assertIn("bad-format", world.reason)
        self.assertEqual(world.trusted(), {"root": 2, "targets": 1})


class Rollback(Base):
    def test_an_older_timestamp(self):
        world = self.ready()
        old = world.repository.files["metadata/timestamp.json"]
        world.repository.publish("timestamp")
        self.assertEqual(world.refresh(), 0)
        world.repository.files["metadata/timestamp.json"] = old
        self.refused(world, "rollback")

    def test_an_older_snapshot_with_and_without_hashes(self):
        for with_hashes in (False, True):
            with self.subTest(with_hashes):
                world = self.ready()
                world.repository.with_hashes = with_hashes
                world.repository.publish("snapshot", "timestamp")
                self.assertEqual(world.refresh(), 0)
                world.repository.parts["snapshot"]["version"] = 0
                world.repository.publish("snapshot", "timestamp")
                world.repository.requests.clear()
                self.refused(world, "rollback")
                self.assertEqual(world.repository.asked()[-1], "timestamp.json")

    def test_older_targets_with_and_without_hashes(self):
        for with_hashes in (False, True):
            with self.subTest(with_hashes):
                world = self.ready()
                world.repository.with_hashes = with_hashes
                world.repository.publish_all()
                self.assertEqual(world.refresh(), 0)
                world.repository.parts["targets"]["version"] = 0
                world.repository.publish_all()
                self.refused(world, "rollback", {**ALL, "timestamp": 3, "snapshot": 2, "targets": 2})

    def test_an_expired_snapshot_still_guards_against_rollback(self):
        world = self.ready()
        world.repository.parts["snapshot"]["expires"] = utc(1)
        world.repository.publish_all()
        self.assertEqual(world.refresh(), 0)
        world.repository.parts["snapshot"]["expires"] = utc(30)
        world.repository.parts["targets"]["version"] = 0
        world.repository.publish_all()
        self.assertEqual(world.refresh(days=2), 1)
        self.assertIn("rollback", world.reason)

    def test_a_delegated_role_goes_back_or_vanishes(self):
        for change in (lambda meta: meta["role.json"].update(version=1), lambda meta: meta.pop("role.json")):
            world = self.ready()
            world.repository.delegate("targets", "role")
            world.repository.publish_all()
            world.repository.publish_all()
            self.assertEqual(world.refresh(), 0, world.reason)
            change(world.repository.parts["snapshot"]["meta"])
            world.repository.publish("snapshot", "timestamp")
            self.refused(world, "rollback", {**ALL, "timestamp": 4, "snapshot": 3, "targets": 3})

    def test_an_older_root(self):
        world = self.ready()
        world.repository.files["metadata/2.root.json"] = world.repository.files["metadata/1.root.json"]
        self.refused(world, "rollback")


class MixAndMatch(Base):
    def test_other_versions_than_the_parent_names(self):
        for role, trusted in (("snapshot", {**ALL, "timestamp": 2}), ("targets", {**ALL, "timestamp": 2, "snapshot": 2})):
            with self.subTest(role):
                world = self.ready()
                world.repository.publish_all()
                name = world.repository.file_name(role, 2)
                world.repository.files[name] = world.repository.files[world.repository.file_name(role, 1)]
                self.refused(world, "mix-and-match", trusted)

    def test_the_whole_repository_of_yesterday_under_a_new_timestamp_name(self):
        world = self.ready()
        world.repository.with_hashes = True
        world.repository.publish_all()
        world.repository.files["metadata/2.targets.json"] = world.repository.files["metadata/1.targets.json"]
        self.refused(world, "mix-and-match", {**ALL, "timestamp": 2, "snapshot": 2})


class Freeze(Base):
    def test_each_role_expired_when_it_comes(self):
        for role, trusted in (("timestamp", ALL), ("snapshot", {**ALL, "timestamp": 2}),
                              ("targets", {**ALL, "timestamp": 2, "snapshot": 2})):
            with self.subTest(role):
                world = self.ready()
                world.repository.parts[role]["expires"] = utc(-5)
                world.repository.publish_all()
                self.refused(world, "freeze", trusted)

    def test_each_role_expired_since_it_came_and_nothing_is_wedged(self):
        for role in ("root", "timestamp", "snapshot", "targets"):
            with self.subTest(role):
                world = self.ready()
                world.repository.parts[role]["expires"] = utc(7)
                world.repository.publish("root")
                world.repository.publish_all()
                self.assertEqual(world.refresh(days=6), 0, world.reason)
                self.assertEqual(world.refresh(days=8), 1)
                self.assertIn("freeze", world.reason)
                world.repository.parts[role]["expires"] = utc(21)
                world.repository.publish("root")
                world.repository.publish_all()
                self.assertEqual(world.refresh(days=18), 0, world.reason)
                self.assertEqual(world.trusted(), {"root": 3, "timestamp": 3, "snapshot": 3, "targets": 3})

    def test_an_error_of_the_server_does_not_hide_a_new_root(self):
        world = self.ready()
        world.repository.publish("root")
        world.repository.files["metadata/2.root.json"] = status(500)
        self.refused(world, "unavailable")
        self.assertEqual(world.repository.asked(), ["2.root.json"])


class FastForward(Base):
    def test_rotated_keys_start_versions_anew(self):
        for rotated in (("timestamp",), ("snapshot",), ("timestamp", "snapshot")):
            with self.subTest(rotated):
                world = self.ready()
                stolen = {"timestamp": ("timestamp",), "snapshot": ("snapshot", "targets", "timestamp")}
                for role in {name for key in rotated for name in stolen[key]}:
                    world.repository.parts[role]["version"] = 2**53 - 2 if role != "timestamp" else 98
                world.repository.publish_all()
                self.assertEqual(world.refresh(), 0, world.reason)
                for role in rotated:
                    world.repository.rotate(role)
                if "snapshot" in rotated:  # who vouches for the snapshot's version is its timestamp
                    world.repository.parts["snapshot"]["version"] = 1
                    world.repository.parts["targets"]["version"] = 1
                if "timestamp" in rotated:
                    world.repository.parts["timestamp"]["version"] = 1
                world.repository.publish("root")
                world.repository.publish_all()
                self.assertEqual(world.refresh(), 0, world.reason)
                if "snapshot" in rotated:
                    self.assertEqual((world.trusted()["snapshot"], world.trusted()["targets"]), (2, 2))
                if "timestamp" in rotated:
                    self.assertEqual(world.trusted()["timestamp"], 2)

    def test_files_of_rotated_keys_are_gone_even_if_the_refresh_fails_then(self):
        for rotated in ("timestamp", "snapshot"):
            world = self.ready()
            world.repository.rotate(rotated)
            world.repository.publish("root")
            del world.repository.files["metadata/timestamp.json"]
            self.refused(world, "not-found", {"root": 2, "targets": 1})

    def test_a_key_that_is_added_starts_nothing_anew(self):
        world = self.ready()
        world.repository.publish_all()
        self.assertEqual(world.refresh(), 0)
        world.repository.keys["timestamp"].append(new_key())
        world.repository.assign("timestamp")
        world.repository.parts["timestamp"]["version"] = 0
        world.repository.publish("root", "timestamp")
        self.refused(world, "rollback", {"root": 2, "timestamp": 2, "snapshot": 2, "targets": 2})


class EndlessData(Base):
    def test_bodies_without_end(self):
        for name in ("2.root.json", "timestamp.json", "2.snapshot.json", "2.targets.json"):
            with self.subTest(name):
                world = self.ready()
                world.repository.publish_all()
                world.repository.files["metadata/" + name] = endless
                self.assertEqual(world.refresh(), 1)
                self.assertIn("endless-data", world.reason)

    def test_a_length_that_is_too_much_is_not_even_read(self):
        world = self.ready()
        world.repository.files["metadata/timestamp.json"] = lambda handler: handler.reply(b" " * 100, length=10**12)
        self.assertEqual(world.refresh(), 1)
        self.assertIn("endless-data", world.reason)

    def test_longer_than_the_parent_says(self):
        world = self.ready()
        world.repository.with_hashes = True
        world.repository.publish_all()
        world.repository.files["metadata/2.snapshot.json"] += b" "
        self.refused(world, "endless-data", {**ALL, "timestamp": 2})

    def test_an_endless_answer_that_there_is_no_file_is_no_obstacle(self):
        world = self.ready()

        def absent(handler):
            handler.send_response(404)
            handler.end_headers()
            try:
                for _ in range(10_000):
                    handler.wfile.write(b"x" * 4096)
            except OSError:
                pass
        world.repository.files["metadata/2.root.json"] = absent
        self.assertEqual(world.refresh(), 0, world.reason)

    def test_endless_headers(self):
        world = self.ready()
        world.repository.files["metadata/timestamp.json"] = lambda handler: handler.reply(
            b"", headers=[(f"X-{i}", "y" * 1000) for i in range(200)])
        self.assertEqual(world.refresh(), 1)


class SlowRetrieval(Base):
    def test_a_trickle_is_given_up(self):
        world = self.ready()
        world.repository.publish_all()
        world.repository.files["metadata/timestamp.json"] = drip
        self.refused(world, "slow-retrieval")


class Nonsense(Base):
    def broken(self, data):
        world = self.ready()
        world.repository.publish_all()
        world.repository.files["metadata/timestamp.json"] = data
        self.assertEqual(world.refresh(), 1)
        self.assertEqual(world.trusted(), ALL)
        return world.reason

    def test_what_is_no_strict_json(self):
        world = self.ready()
        good = world.repository.publish("timestamp").files["metadata/timestamp.json"]
        version = b'"version": 2'
        for bad in (b"", b"null", b"[]", b"{}", b"\xff\xfe", good[:-2], good + b"x", b"\xef\xbb\xbf" + good,
                    good.replace(version, version + b', "version": 3', 1), good.replace(version, b'"version": 2.0'),
                    good.replace(version, b'"version": 1e400'), good.replace(version, b'"version": ' + b"9" * 5000),
                    good.replace(version, version + b', "deep": ' + b"[" * 5000 + b"]" * 5000),
                    good.replace(version, b'"version": "2"'), good.replace(version, b'"version": -2'),
                    good.replace(b"signatures", b"signatories"), b"[" * 16000):
            self.assertIn("bad-", self.broken(bad), bad[:60])

    def test_signed_nonsense(self):
        def sign(part, world):
            key = world.repository.keys["timestamp"][0]
            signature = {"keyid": key.keyid, "sig": key.sign(canonical(part))}
            return json.dumps({"signatures": [signature], "signed": part}).encode()

        changes = (("version", 0), ("version", 2**53), ("version", None), ("expires", "tomorrow"), ("expires", 0),
                   ("expires", "2030-02-30T00:00:00Z"), ("spec_version", "2.0.0"), ("spec_version", 1), ("meta", {}),
                   ("meta", {"snapshot.json": {"version": -1}}), ("meta", {"snapshot.json": {"version": 2, "length": "1"}}),
                   ("meta", {"snapshot.json": {"version": 2, "hashes": {"md5": "00"}}}), ("_type", "snapshot"))
        for field, value in changes:
            with self.subTest((field, value)):
                world = self.ready()
                world.repository.publish_all()
                world.repository.files["metadata/timestamp.json"] = sign(
                    {**world.repository.parts["timestamp"], field: value}, world)
                self.assertEqual(world.refresh(), 1)
                self.assertEqual(world.trusted(), ALL)

    def test_damaged_files_of_ours_are_fetched_again(self):
        for role in ("timestamp", "snapshot", "targets"):
            world = self.ready()
            with open(os.path.join(world.metadata_dir, role + ".json"), "wb") as file:
                file.write(b"\x00" * 100)
            self.assertEqual(world.refresh(), 0, world.reason)
            self.assertEqual(world.trusted(), ALL)


if __name__ == "__main__":
    unittest.main()
