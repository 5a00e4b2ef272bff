"""What is bounded in a client of strangers, and what bounds must not spoil: size, time, names, odd entries, two runs at once."""
import hashlib
import os
import subprocess
import threading
import time
import unittest

from tuf_repository import PROGRAM, World, digests, new_key


class Base(unittest.TestCase):
    def world(self, **options):
        made = World(**options)
        self.addCleanup(made.close)
        self.assertEqual(made.init(), 0)
        return made

    def publish_delegated(self, world, role, **more):
        world.repository.delegate("targets", role, **more)
        world.repository.add_target(role, "file", b"x")
        return world.repository


class TwoRuns(Base):
    def start(self, world):
        return subprocess.Popen([PROGRAM, "--metadata-url", world.url + "metadata/", "--metadata-dir", world.metadata_dir, "refresh"],
                                stderr=subprocess.PIPE, text=True)

    def test_a_slow_run_does_not_put_the_old_over_the_new(self):
        world = self.world()
        self.assertEqual(world.refresh(), 0, world.reason)
        repository = world.repository
        second = repository.publish("timestamp").files["metadata/timestamp.json"]
        third = repository.publish("timestamp").files["metadata/timestamp.json"]
        asked = threading.Event()

        def slow_then_new(handler):
            first = not asked.is_set()
            asked.set()
            if first:
                time.sleep(1.5)
            handler.reply(second if first else third)
        repository.files["metadata/timestamp.json"] = slow_then_new
        slow = self.start(world)
        self.assertTrue(asked.wait(20))
        quick = self.start(world)
        for run in (slow, quick):
            self.assertEqual((run.wait(60), run.stderr.read()), (0, ""))
            run.stderr.close()
        self.assertEqual(world.trusted()["timestamp"], 3)

    def test_many_at_once(self):
        world = self.world()
        for _ in range(3):
            world.repository.publish_all()
            runs = [self.start(world) for _ in range(6)]
            for run in runs:
                self.assertEqual((run.wait(60), run.stderr.read()), (0, ""))
                run.stderr.close()
        self.assertEqual(sorted(os.listdir(world.metadata_dir)), ["root.json", "snapshot.json", "targets.json", "timestamp.json"])


class Size(Base):
    def with_large_targets(self, world, size):
        world.repository.indent = None
        world.repository.parts["targets"]["x"] = "x" * size
        world.repository.publish_all()

    def test_a_length_and_a_hash_of_the_parent_allow_more_than_the_default(self):
        world = self.world()
        world.repository.with_hashes = True
        world.repository.add_target("targets", "file", b"x")
        self.with_large_targets(world, 6 * 2**20)
        self.assertEqual(world.download("file"), 0, world.reason)
        world.repository.requests.clear()
        self.assertEqual(world.refresh(), 0, world.reason)  # and what was taken is known again
        self.assertEqual(world.repository.asked(), ["2.root.json", "timestamp.json"])

    def test_more_than_that_is_an_honest_file_too_large_and_is_not_asked_for(self):
        world = self.world()
        world.repository.publish_all()
        for entry in ({"length": 65 * 2**20, "hashes": digests(b"")}, {"length": 6 * 2**20}):
            world.repository.parts["snapshot"]["meta"]["targets.json"] = {"version": 2, **entry}
            world.repository.publish("snapshot", "timestamp")
            world.repository.requests.clear()
            self.assertEqual(world.refresh(), 1)
            self.assertIn("too-large: targets: its parent says", world.reason)
            self.assertNotIn("2.targets.json", world.repository.asked())

    def test_a_supplier_s_length_that_is_too_large_stops_that_supplier(self):
        world = self.world()
        self.publish_delegated(world, "A")
        world.repository.publish_all()
        world.repository.parts["snapshot"]["meta"]["A.json"].update(length=10**9, hashes=digests(b""))
        world.repository.publish("snapshot", "timestamp")
        self.assertEqual(world.download("file"), 1)
        self.assertIn("too-large: A: its parent says", world.reason)
        self.assertEqual(world.refresh(), 0, world.reason)

    def test_thousands_of_keys_that_take_long_to_read_are_refused(self):
        world = self.world()
        repository = self.publish_delegated(world, "A")
        key = new_key("ecdsa-sha2-nistp256").public
        repository.parts["A"]["delegations"] = {"keys": {f"k{n}": key for n in range(2049)}, "roles": []}
        repository.publish_all()
        self.assertEqual(world.download("file"), 1)
        self.assertIn("too-large: A: ", world.reason)
        del repository.parts["A"]["delegations"]["keys"]["k0"]
        repository.publish_all()
        self.assertEqual(world.download("file"), 0, world.reason)


class Time(Base):
    def test_all_metadata_together_has_a_deadline(self):
        world = self.world()
        for version in range(2, 9):
            name = f"metadata/{version}.root.json"
            data = world.repository.publish("root").files[name]

            def slow(handler, data=data):
                time.sleep(0.5)
                handler.reply(data)
            world.repository.files[name] = slow
        world.repository.requests.clear()
        self.assertEqual(world.run("--metadata-url", world.url + "metadata/", "--metadata-dir", world.metadata_dir,
                                   "--metadata-seconds", "2", "refresh"), 1)
        self.assertIn("slow-retrieval: ", world.reason)
        self.assertIn(world.trusted()["root"], range(2, 7))  # what was accepted stays
        self.assertEqual(world.refresh(), 0, world.reason)

    def test_a_404_with_a_body_that_breaks_is_a_404(self):
        world = self.world()
        world.repository.files["metadata/2.root.json"] = lambda handler: handler.reply(b"no", 404, length=1000)
        self.assertEqual(world.refresh(), 0, world.reason)


class Rotations(Base):
    def test_what_a_threshold_disowned_is_deleted_when_its_keys_rotate_in_the_same_run(self):
        world = self.world()
        self.assertEqual(world.refresh(), 0, world.reason)
        world.repository.keys["timestamp"].append(new_key())
        world.repository.assign("timestamp", threshold=2)
        world.repository.publish("root")
        world.repository.rotate("timestamp")
        world.repository.publish("root")
        del world.repository.files["metadata/timestamp.json"]
        self.assertEqual(world.refresh(), 1)
        self.assertEqual(world.trusted(), {"root": 3, "targets": 1})


class Names(Base):
    def test_a_role_whose_name_no_file_can_have_is_not_asked_for(self):
        world = self.world()
        self.publish_delegated(world, "\u00fc" * 45).publish_all()
        self.assertEqual(world.download("file"), 1)
        self.assertIn("invalid-argument: role ", world.reason)
        self.assertEqual([name for name in world.repository.asked() if "%C3" in name], [])

    def test_a_target_whose_name_no_file_can_have_is_not_asked_for(self):
        world = self.world()
        name = "\u00fc" * 45
        world.repository.add_target("targets", name, b"x")
        world.repository.publish_all()
        self.assertEqual(world.download(name), 1)
        self.assertIn("invalid-argument: target ", world.reason)
        self.assertEqual(world.repository.asked("targets/"), [])


class OddEntries(Base):
    def test_a_target_with_a_hash_that_cannot_be_read_spoils_only_itself(self):
        for odd in ({"sha256": "00"}, {"sha256": "not hexadecimal"}):
            world = self.world()
            for name in ("good", "odd"):
                world.repository.add_target("targets", name, name.encode())
            world.repository.parts["targets"]["targets"]["odd"]["hashes"] = odd
            world.repository.publish_all()
            self.assertEqual(world.download("good"), 0, world.reason)
            self.assertEqual(world.download("odd"), 1)
            self.assertIn("unsupported: target odd", world.reason)

    def test_hexadecimal_in_capitals(self):
        world = self.world()
        world.repository.with_hashes = True
        letters = next(n for n in (f"file{i}" for i in range(1000)) if hashlib.sha256(n.encode()).hexdigest()[0] in "abcdef")
        prefix = hashlib.sha256(letters.encode()).hexdigest()[:8].upper()
        world.repository.delegate("targets", "A", path_hash_prefixes=[prefix])
        world.repository.add_target("A", letters, b"x")
        entry = world.repository.parts["A"]["targets"][letters]
        entry["hashes"] = {"sha256": entry["hashes"]["sha256"].upper()}
        world.repository.publish_all()
        self.assertEqual(world.download(letters), 0, world.reason)

    def test_a_custom_field_of_another_kind_is_no_obstacle(self):
        world = self.world()
        world.repository.add_target("targets", "file", b"x")
        world.repository.parts["targets"]["custom"] = "a text"
        world.repository.parts["targets"]["targets"]["file"]["custom"] = ["a", "list"]
        world.repository.publish_all()
        self.assertEqual(world.download("file"), 0, world.reason)

    def test_brackets_in_paths_decide_who_is_asked(self):
        world = self.world()
        world.repository.delegate("targets", "A", ["foo-[0-9].tgz"], terminating=True)
        world.repository.delegate("targets", "B", ["*"])
        for role in "AB":
            world.repository.add_target(role, "foo-1.tgz", role.encode())
        world.repository.add_target("B", "foo-x.tgz", b"B")
        world.repository.publish_all()
        self.assertEqual(world.download("foo-1.tgz", "foo-x.tgz"), 0, world.reason)
        self.assertEqual(world.downloaded(), {"foo-1.tgz": b"A", "foo-x.tgz": b"B"})

    def test_a_question_mark_takes_no_part_of_a_character(self):
        world = self.world()
        world.repository.delegate("targets", "A", ["*??Yz"])
        world.repository.add_target("A", "\u20acYz", b"x")
        world.repository.publish_all()
        self.assertEqual(world.download("\u20acYz"), 1)
        self.assertIn("not-found", world.reason)


if __name__ == "__main__":
    unittest.main()
