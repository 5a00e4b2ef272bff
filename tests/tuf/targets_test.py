"""Fetching targets (TUF 1.0.34, section 5.7): caps, digests, what lies in the directory afterwards, and what is not asked for."""
import os
import unittest

from tuf_repository import World, digests, drip, endless, status


class Base(unittest.TestCase):
    def world(self, *targets, **options):
        made = World(**options)
        self.addCleanup(made.close)
        self.assertEqual(made.init(), 0)
        for path in targets:
            made.repository.add_target("targets", path, b"content of " + path.encode())
        made.repository.publish_all()
        return made

    def asked(self, world):
        found = world.repository.asked("targets/")
        world.repository.requests.clear()
        return found


class Downloading(Base):
    def test_a_file_and_a_file_in_folders(self):
        world = self.world("file.txt", "path/to/a/file.txt")
        self.assertEqual(world.refresh(), 0)
        self.assertEqual(world.downloaded(), {})
        self.assertEqual(world.download("file.txt", "path/to/a/file.txt"), 0, world.reason)
        self.assertEqual(world.downloaded(), {path: b"content of " + path.encode() for path in ("file.txt", "path/to/a/file.txt")})
        self.assertEqual(sorted(os.listdir(world.target_dir)), ["file.txt", "path%2Fto%2Fa%2Ffile.txt"])

    def test_one_refresh_for_many_and_in_order(self):
        world = self.world("c", "a", "b")
        self.assertEqual(world.download("c", "a", "b"), 0, world.reason)
        self.assertEqual(world.repository.asked(), ["2.root.json", "timestamp.json", "2.snapshot.json", "2.targets.json"])
        self.assertEqual([name.split(".")[1] for name in self.asked(world)], ["c", "a", "b"])

    def test_the_first_failure_is_the_last_try(self):
        world = self.world("a", "b", "c")
        del world.repository.files[world.repository.target_file("b")]
        self.assertEqual(world.download("a", "b", "c"), 1)
        self.assertIn("not-found", world.reason)
        self.assertEqual(set(world.downloaded()), {"a"})
        self.assertEqual([name.split(".")[1] for name in self.asked(world)], ["a", "b"])

    def test_a_refresh_that_fails_downloads_nothing(self):
        world = self.world("a")
        self.assertEqual(world.refresh(), 0)
        world.repository.files["metadata/timestamp.json"] = status(500)
        self.assertEqual(world.download("a"), 1)
        self.assertEqual(self.asked(world), [])

    def test_what_is_there_already_is_not_asked_for(self):
        world = self.world("a")
        self.assertEqual(world.download("a", "a"), 0, world.reason)
        self.assertEqual(len(self.asked(world)), 1)
        self.assertEqual(world.download("a"), 0)
        self.assertEqual(world.repository.requests, ["metadata/2.root.json", "metadata/timestamp.json"])
        self.asked(world)
        path = os.path.join(world.target_dir, "a")
        for damage in (b"", b"content of b", b"content of a and more"):
            with open(path, "wb") as file:
                file.write(damage)
            self.assertEqual(world.download("a"), 0)
            self.assertEqual(len(self.asked(world)), 1)
            self.assertEqual(world.downloaded(), {"a": b"content of a"})

    def test_a_new_content_takes_the_old_one_s_place(self):
        world = self.world("a")
        self.assertEqual(world.download("a"), 0)
        world.repository.add_target("targets", "a", b"newer")
        world.repository.publish_all()
        self.assertEqual(world.download("a"), 0, world.reason)
        self.assertEqual(world.downloaded(), {"a": b"newer"})

    def test_hash_algorithms(self):
        for algorithms in (["sha256"], ["sha512"], ["sha256", "sha512"], ["sha384", "sha512"]):
            with self.subTest(algorithms):
                world = self.world()
                world.repository.add_target("targets", "a", b"content", algorithms)
                world.repository.publish_all()
                self.assertEqual(world.download("a"), 0, world.reason)
                asked, = self.asked(world)
                self.assertIn(asked.split(".")[0], digests(b"content", algorithms).values())
        world = self.world()
        world.repository.add_target("targets", "a", b"content", ["md5"])
        world.repository.publish_all()
        self.assertEqual(world.download("a"), 1)
        self.assertEqual((world.downloaded(), self.asked(world)), ({}, []))

    def test_without_consistent_snapshots_the_name_is_the_target_s(self):
        world = self.world("d/a", consistent=False)
        self.assertEqual(world.download("d/a"), 0, world.reason)
        self.assertEqual(self.asked(world), ["d/a"])

    def test_an_empty_and_a_large_target(self):
        world = self.world()
        large = bytes(range(256)) * 40_000
        for name, content in (("empty", b""), ("large", large)):
            world.repository.add_target("targets", name, content)
        world.repository.publish_all()
        self.assertEqual(world.download("empty", "large"), 0, world.reason)
        self.assertEqual(world.downloaded(), {"empty": b"", "large": large})

    def test_directories_are_made_where_they_are_needed(self):
        world = self.world("a")
        world.target_dir += "/of/mine"
        self.assertEqual(world.download("missing"), 1)
        self.assertFalse(os.path.exists(world.target_dir))
        self.assertEqual(world.download("a"), 0, world.reason)
        self.assertEqual(set(world.downloaded()), {"a"})


class Names(Base):
    def test_no_name_leads_out_of_the_directory(self):
        names = ("../../x", "/absolute", "..", ".", "a/../b", "what?x", "a#b", "a b", "\u00fc", "[x,y]", "-x", "a,b", "a\\b", "x.new")
        world = self.world(*names)
        for name in names:
            with self.subTest(name):
                self.assertEqual(world.run(
                    "--metadata-url", world.url + "metadata", "--metadata-dir", world.metadata_dir, f"--target-name={name}",
                    "--target-dir", world.target_dir, "--target-base-url", world.url + "targets", "download"), 0, world.reason)
        self.assertEqual(world.downloaded(), {name: b"content of " + name.encode() for name in names})
        self.assertEqual(sorted(os.listdir(world.home)), ["initial_root.json", "metadata", "targets"])

    def test_a_name_too_long_for_a_file_is_refused(self):
        world = self.world("a" * 300)
        self.assertEqual(world.download("a" * 300), 1)
        self.assertEqual(world.downloaded(), {})

    def test_a_link_in_the_directory_is_replaced_and_not_followed(self):
        world = self.world("a")
        outside = os.path.join(world.home, "outside")
        with open(outside, "wb") as file:
            file.write(b"precious")
        os.symlink(outside, os.path.join(world.target_dir, "a"))
        self.assertEqual(world.download("a"), 0, world.reason)
        self.assertEqual(world.downloaded(), {"a": b"content of a"})
        with open(outside, "rb") as file:
            self.assertEqual(file.read(), b"precious")


class Attacks(Base):
    def test_nothing_is_left_of_what_is_wrong(self):
        cases = ((b"CONTENT of a", "wrong-image"), (b"content of", "wrong-image"), (b"content of a and more", "endless-data"),
                 (b"", "wrong-image"), (endless, "endless-data"), (status(500), "unavailable"), (status(404), "not-found"),
                 (lambda handler: handler.reply(b"content", length=12), "unavailable"),
                 (lambda handler: handler.reply(b"content of a", length=10**10), "endless-data"))
        for answer, code in cases:
            with self.subTest(code):
                world = self.world("a", "b")
                world.repository.files[world.repository.target_file("a")] = answer
                self.assertEqual(world.download("b"), 0)
                self.assertEqual(world.download("a"), 1)
                self.assertIn(f"layby-tuf: {code}: ", world.reason)
                self.assertEqual(world.downloaded(), {"b": b"content of b"})

    def test_an_older_content_stays_when_the_newer_cannot_be_had(self):
        world = self.world("a")
        self.assertEqual(world.download("a"), 0)
        world.repository.add_target("targets", "a", b"newer")
        world.repository.publish_all()
        world.repository.files[world.repository.target_file("a")] = b"other"
        self.assertEqual(world.download("a"), 1)
        self.assertEqual(world.downloaded(), {"a": b"content of a"})

    def test_a_trickle_is_given_up(self):
        world = self.world()
        world.repository.add_target("targets", "a", b" " * 10_000)
        world.repository.publish_all()
        world.repository.files[world.repository.target_file("a")] = drip
        self.assertEqual(world.download("a"), 1)
        self.assertIn("slow-retrieval", world.reason)
        self.assertEqual(world.downloaded(), {})


if __name__ == "__main__":
    unittest.main()
