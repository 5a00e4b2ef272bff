"""The client workflow of TUF 1.0.34, section 5, over HTTP: what is asked for, what is believed, what lies on the disk."""
import json
import os
import subprocess
import unittest

from tuf_repository import PROGRAM, World, quoted, status, utc


class Base(unittest.TestCase):
    def world(self, **options):
        made = World(**options)
        self.addCleanup(made.close)
        return made

    def ready(self, **options):
        """A client that has refreshed once, with its requests forgotten."""
        made = self.world(**options)
        self.assertEqual(made.init(), 0)
        self.assertEqual(made.refresh(), 0, made.reason)
        made.repository.requests.clear()
        return made


class Refreshing(Base):
    def test_a_first_refresh_asks_for_each_file_once_in_order(self):
        world = self.world()
        self.assertEqual(world.init(), 0)
        self.assertEqual(world.repository.requests, [])
        self.assertEqual(world.refresh(), 0, world.reason)
        self.assertEqual(world.repository.asked(), ["2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"])
        self.assertEqual(world.trusted(), {"root": 1, "timestamp": 1, "snapshot": 1, "targets": 1})

    def test_bytes_lie_on_the_disk_as_they_came(self):
        world = self.world()
        world.repository.files["metadata/timestamp.json"] += b"  \n"
        self.assertEqual(world.init(), 0)
        self.assertEqual(world.refresh(), 0, world.reason)
        for role, path in (("root", "1.root"), ("timestamp", "timestamp"), ("snapshot", "1.snapshot"), ("targets", "1.targets")):
            self.assertEqual(world.stored(role + ".json"), world.repository.files[f"metadata/{path}.json"])

    def test_nothing_new_is_two_requests(self):
        world = self.ready()
        self.assertEqual(world.refresh(), 0)
        self.assertEqual(world.repository.asked(), ["2.root.json", "timestamp.json"])

    def test_a_new_snapshot_with_the_same_targets_fetches_no_targets(self):
        world = self.ready()
        world.repository.publish("snapshot", "timestamp")
        self.assertEqual(world.refresh(), 0)
        self.assertEqual(world.repository.asked(), ["2.root.json", "timestamp.json", "2.snapshot.json"])

    def test_without_consistent_snapshots_names_have_no_version(self):
        world = self.ready(consistent=False)
        world.repository.publish_all()
        self.assertEqual(world.refresh(), 0, world.reason)
        self.assertEqual(world.repository.asked(), ["2.root.json", "timestamp.json", "snapshot.json", "targets.json"])

    def test_a_base_url_goes_out_as_given_with_a_slash_at_its_end(self):
        world = self.world(prefix="/a%5Bb%2Fc%5D/x/../y/")
        self.assertEqual(world.init(), 0)
        for url in (world.url + "metadata", world.url + "metadata/"):
            self.assertEqual(
                world.run("refresh", "--metadata-dir", world.metadata_dir, "--metadata-url", url), 0, world.reason)
        self.assertEqual(world.repository.asked()[:2], ["2.root.json", "timestamp.json"])

    def test_hashes_and_lengths_of_metadata(self):
        world = self.world()
        world.repository.with_hashes = True
        world.repository.publish_all()
        self.assertEqual(world.init(), 0)
        self.assertEqual(world.refresh(), 0, world.reason)
        world.repository.publish("targets")
        world.repository.parts["snapshot"]["meta"]["targets.json"]["hashes"]["sha256"] = "46" * 32
        world.repository.publish("snapshot", "timestamp")
        self.assertEqual(world.refresh(), 1)
        self.assertIn("mix-and-match", world.reason)
        self.assertEqual(world.trusted(), {"root": 1, "timestamp": 3, "snapshot": 3, "targets": 2})

    def test_a_timestamp_of_the_same_version_changes_nothing(self):
        world = self.ready()
        before = world.stored("timestamp.json")
        world.repository.parts["timestamp"]["version"] = 0
        world.repository.parts["timestamp"]["meta"]["snapshot.json"]["version"] = 100
        world.repository.publish("timestamp")
        self.assertEqual(world.refresh(), 0)
        self.assertEqual(world.stored("timestamp.json"), before)
        self.assertEqual(world.repository.asked()[-1], "timestamp.json")

    def test_unknown_fields_are_kept_and_signed(self):
        world = self.world()
        root = world.repository.parts["root"]
        root["x-extra"] = {"a": [1, None, True, "\u00fc \\ \" \u2028"], "b": -5}
        root["roles"]["root"]["x-more"] = "value"
        world.repository.parts["timestamp"]["meta"]["snapshot.json"]["x"] = 1
        world.repository.publish("root", "timestamp")
        self.assertEqual(world.init(), 0)
        self.assertEqual(world.refresh(), 0, world.reason)
        self.assertEqual(world.trusted()["root"], 2)
        world.repository.publish("timestamp")
        world.repository.edit("metadata/timestamp.json", lambda d: d["signed"]["meta"]["snapshot.json"].pop("x"))
        self.assertEqual(world.refresh(), 1)

    def test_missing_files(self):
        for role, trusted in (("timestamp", {"root": 1, "timestamp": 1, "snapshot": 1, "targets": 1}),
                              ("snapshot", {"root": 1, "timestamp": 2, "snapshot": 1, "targets": 1}),
                              ("targets", {"root": 1, "timestamp": 2, "snapshot": 2, "targets": 1})):
            with self.subTest(role):
                world = self.ready()
                world.repository.publish_all()
                del world.repository.files[world.repository.file_name(role, 2)]
                self.assertEqual(world.refresh(), 1)
                self.assertIn("not-found", world.reason)
                self.assertEqual(world.trusted(), trusted)

    def test_redirects_are_followed_a_few_times(self):
        world = self.ready()
        files = world.repository.files
        world.repository.publish_all()
        files["moved"] = files["metadata/timestamp.json"]
        files["metadata/timestamp.json"] = status(302, [("Location", "/moved")])
        self.assertEqual(world.refresh(), 0, world.reason)
        world.repository.publish_all()
        files["metadata/timestamp.json"] = status(302, [("Location", "/metadata/timestamp.json")])
        world.repository.requests.clear()
        self.assertEqual(world.refresh(), 1)
        self.assertEqual(world.repository.asked(), ["2.root.json"] + ["timestamp.json"] * 6)
        files["metadata/timestamp.json"] = status(302, [("Location", "file:///etc/hostname")])
        self.assertEqual(world.refresh(), 1)


class Initialising(Base):
    def test_a_root_that_is_none_is_refused_and_nothing_is_asked(self):
        def no_version(document):
            del document["signed"]["version"]

        def other_signature(document):
            document["signatures"][0]["sig"] = "00" * 64

        for change in (no_version, other_signature):
            world = self.world()
            world.repository.edit("metadata/1.root.json", change)
            self.assertEqual(world.init(), 1)
            self.assertEqual(world.refresh(), 1)
            self.assertEqual(world.repository.requests, [])
            self.assertEqual(world.trusted(), {})

    def test_a_damaged_trusted_root_is_found_before_any_request(self):
        world = self.ready()
        path = os.path.join(world.metadata_dir, "root.json")
        with open(path, "wb") as file:
            file.write(world.repository.files["metadata/1.root.json"].replace(b'"version": 1', b'"version": 2'))
        self.assertEqual(world.refresh(), 1)
        self.assertIn("bad-signature", world.reason)
        self.assertEqual(world.repository.requests, [])

    def test_init_makes_directories_and_takes_an_expired_root(self):
        world = self.world()
        world.metadata_dir += "/of/mine"
        world.repository.parts["root"].update(version=0, expires=utc(-1))
        world.repository.publish("root")
        self.assertEqual(world.init(), 0, world.reason)
        self.assertEqual(world.trusted(), {"root": 1})
        self.assertEqual(world.refresh(), 1)
        self.assertIn("freeze", world.reason)

    def test_command_lines_that_make_no_sense(self):
        world = self.world()
        for arguments in ([], ["refresh"], ["--metadata-dir", "m"], ["--metadata-dir", "m", "refresh"], ["init"],
                          ["--metadata-dir", "m", "--metadata-url", "u", "download"], ["--nonsense", "refresh"],
                          ["--metadata-dir", world.metadata_dir, "init", "/nowhere"]):
            self.assertEqual(world.run(*arguments), 1, arguments)

    def test_help_is_no_failure(self):
        done = subprocess.run([PROGRAM, "--help"], capture_output=True, text=True, check=True)
        self.assertIn("--metadata-dir", done.stdout)


class RootChains(Base):
    def test_each_step_is_taken_and_expiry_counts_at_the_end_only(self):
        world = self.world()
        for days in (-3, -2, 30):
            world.repository.parts["root"]["expires"] = utc(days)
            old = world.repository.keys["root"]
            world.repository.rotate("root")
            world.repository.publish("root", signers=old + world.repository.keys["root"])
        self.assertEqual(world.init(), 0)
        self.assertEqual(world.refresh(), 0, world.reason)
        self.assertEqual(world.repository.asked()[:4], ["2.root.json", "3.root.json", "4.root.json", "5.root.json"])
        self.assertEqual(world.stored("root.json"), world.repository.files["metadata/4.root.json"])

    def test_an_expired_last_root_is_stored_and_nothing_else_is_asked(self):
        world = self.ready()
        world.repository.parts["root"]["expires"] = utc(-1)
        world.repository.publish("root")
        self.assertEqual(world.refresh(), 1)
        self.assertIn("freeze", world.reason)
        self.assertEqual(world.trusted(), {"root": 2, "timestamp": 1, "snapshot": 1, "targets": 1})
        self.assertEqual(world.repository.asked(), ["2.root.json", "3.root.json"])

    def test_403_ends_the_chain_and_any_other_failure_is_one(self):
        for code, expected in ((403, 0), (404, 0), (400, 1), (410, 1), (429, 1), (500, 1), (503, 1), (204, 1)):
            with self.subTest(code):
                world = self.ready()
                world.repository.files["metadata/2.root.json"] = status(code)
                self.assertEqual(world.refresh(), expected, world.reason)
                if expected:
                    self.assertEqual(world.repository.asked(), ["2.root.json"])

    def test_a_server_that_hangs_up_is_a_failure(self):
        world = self.ready()
        world.repository.files["metadata/2.root.json"] = lambda handler: handler.reply(b"{", length=100)
        self.assertEqual(world.refresh(), 1)
        world.server.shutdown()
        world.server.server_close()
        self.assertEqual(world.refresh(), 1)
        self.assertIn("unavailable", world.reason)
        world.server.serve_forever = lambda **_: None

    def test_at_most_256_new_roots_are_fetched_in_one_run(self):
        world = self.world()
        for _ in range(300):
            world.repository.publish("root")
        self.assertEqual(world.init(), 0)
        self.assertEqual(world.refresh(), 0, world.reason)
        self.assertEqual(world.trusted()["root"], 257)
        self.assertEqual(world.repository.asked()[255:257], ["257.root.json", "timestamp.json"])
        self.assertEqual(world.refresh(), 0, world.reason)
        self.assertEqual(world.trusted()["root"], 301)

    def test_a_gap_in_versions_is_refused(self):
        world = self.ready()
        world.repository.parts["root"]["version"] = 2
        world.repository.publish("root", at=2)
        self.assertEqual(world.refresh(), 1)
        self.assertIn("mix-and-match", world.reason)
        self.assertEqual(world.trusted()["root"], 1)


class Thresholds(Base):
    # keys of version 1, signers of version 1; keys, threshold and signers of version 2; whether it is taken
    CASES = (
        ([1], 1, [1], [2], 1, [2, 1], True),
        ([1], 1, [3, 1, 4], [2], 1, [3, 2, 1, 4], True),
        ([0, 1, 2, 3, 4], 3, [0, 2, 4], [0, 1, 2, 3, 4], 3, [0, 4, 1], True),
        ([0, 1, 2, 3, 4], 3, [0, 2, 4], [0, 1, 3, 4, 5], 3, [0, 4, 1], True),
        ([0, 1, 2, 3, 4], 3, [0, 2, 4], [5, 6, 7, 8, 9], 3, [0, 2, 4, 5, 6, 7], True),
        ([1, 2, 3], 1, [1], [1, 2, 3], 2, [1, 2], True),
        ([1, 2, 3], 2, [1, 2], [1, 2, 3], 1, [1, 2], True),
        ([1], 1, [1], [2], 1, [2, 3, 4], False),
        ([1], 1, [1], [2], 1, [1, 3, 4], False),
        ([0, 1, 2, 3, 4], 3, [0, 2, 4], [0, 1, 3, 4, 5], 3, [0, 2, 4], False),
        ([0, 1, 2, 3, 4], 3, [0, 2, 4], [0, 1, 3, 4, 5], 3, [0, 4, 5], False),
        ([1, 2, 3], 1, [1], [1, 2, 3], 2, [2], False),
        ([1, 2, 3], 2, [1, 2], [1, 2, 3], 1, [1], False),
    )

    def test_roots(self):
        from tuf_repository import Key
        pool = [Key() for _ in range(10)]
        for case in self.CASES:
            with self.subTest(case):
                keys1, threshold1, signers1, keys2, threshold2, signers2, taken = case
                world = self.world()
                repository = world.repository
                repository.parts["root"]["version"] = 0
                for keys, threshold, signers in ((keys1, threshold1, signers1), (keys2, threshold2, signers2)):
                    repository.keys["root"] = [pool[i] for i in keys]
                    repository.assign("root", threshold)
                    repository.publish("root", signers=[pool[i] for i in signers])
                self.assertEqual(world.init(), 0, world.reason)
                self.assertEqual(world.refresh(), 0 if taken else 1, world.reason)
                self.assertEqual(world.stored("root.json"), repository.files[f"metadata/{2 if taken else 1}.root.json"])
                if not taken:
                    self.assertIn("bad-signature", world.reason)

    def test_other_roles(self):
        cases = (([2], 1, [2], True), ([1], 1, [3, 1, 4], True), ([2], 1, [1, 3, 4], False),
                 ([0, 1, 3, 4, 5], 3, [0, 2, 4], False), ([0, 1, 3, 4, 5], 3, [0, 4], False),
                 ([0, 1, 2, 3, 4], 3, [2, 3, 4], True))
        from tuf_repository import Key
        pool = [Key() for _ in range(10)]
        for role in ("timestamp", "snapshot", "targets"):
            for keys, threshold, signers, taken in cases:
                with self.subTest((role, keys, signers)):
                    world = self.world()
                    self.assertEqual(world.init(), 0)
                    world.repository.keys[role] = [pool[i] for i in keys]
                    world.repository.assign(role, threshold)
                    world.repository.publish("root")
                    for name in ("targets", "snapshot", "timestamp"):
                        world.repository.publish(name, signers=[pool[i] for i in signers] if name == role else None)
                    self.assertEqual(world.refresh(), 0 if taken else 1, world.reason)
                    order = ("root", "timestamp", "snapshot", "targets")
                    known = order if taken else order[:order.index(role)]
                    self.assertEqual(world.trusted(), {name: 2 for name in known})


if __name__ == "__main__":
    unittest.main()
