"""layby-tuf and tuf-js, an independent implementation, side by side.

Repositories that tuf-js's models sign, with each kind of key, and those that tests/tuf makes: both clients must take what is
right and refuse what was tampered with. The repository of the real server is image_repository_test's.
"""
import os
import shutil
import unittest

from npm_packages import install, node
from tuf_repository import World

SCHEMES = ("ed25519", "ecdsa-sha2-nistp256", "rsassa-pss-sha256")
TARGETS = ("file.txt", "dir/file.bin")  # top-level, and through a delegation


class Interop(unittest.TestCase):
    def world(self, **options):
        made = World(**options)
        self.addCleanup(made.close)
        return made

    def both(self, world, *targets):
        """Exit statuses of a fresh layby-tuf and a fresh tuf-js."""
        for name in ("metadata", "targets", "js_metadata", "js_targets"):
            path = os.path.join(world.home, name)
            shutil.rmtree(path, ignore_errors=True)
            os.mkdir(path)
        self.assertEqual(world.init(), 0, world.reason)
        ours = world.download(*targets)
        shutil.copy(os.path.join(world.home, "initial_root.json"), os.path.join(world.home, "js_metadata", "root.json"))
        done = node("tuf_js_client.mjs", os.path.join(world.home, "js_metadata"), world.url + "metadata",
                    os.path.join(world.home, "js_targets"), world.url + "targets", *targets)
        self.said = f"layby-tuf: {world.reason.strip()!r}; tuf-js: {done.stderr.strip()!r}"
        return ours, done.returncode

    def made_by_tuf_js(self, scheme):
        """A world with a repository that tuf-js's models have signed, and all of its files."""
        world = self.world()
        made = os.path.join(world.home, "made")
        done = node("tuf_js_repository.mjs", made, scheme)
        self.assertEqual(done.returncode, 0, done.stderr)
        files = {}
        for folder, _, names in os.walk(made):
            for name in names:
                path = os.path.join(folder, name)
                with open(path, "rb") as file:
                    files[os.path.relpath(path, made)] = file.read()
        world.repository.files = dict(files)
        return world, files

    def both_refuse(self, world, files, *targets):
        world.repository.files = files
        self.assertEqual(self.both(world, *targets), (1, 1), self.said)

    def test_repositories_of_tuf_js(self):
        for scheme in SCHEMES:
            with self.subTest(scheme):
                world, files = self.made_by_tuf_js(scheme)
                self.assertEqual(self.both(world, *TARGETS), (0, 0), self.said)
                self.assertEqual(world.downloaded(), {"file.txt": b"top level", "dir/file.bin": b"\x07" * 100_000})
                self.assertEqual(world.trusted(), {"root": 3, "timestamp": 6, "snapshot": 5, "targets": 4, "a role": 2})
                for path in sorted(files):
                    if path.startswith("metadata/") and path != "metadata/1.root.json":
                        with self.subTest(path):
                            changed = files[path].replace(b'"version": ', b'"version": 1', 1)
                            self.both_refuse(world, {**files, path: changed}, *TARGETS)

    def test_what_is_missing_or_other_bytes_in_them(self):
        world, files = self.made_by_tuf_js("ed25519")
        for path in sorted(files):
            if path.startswith("metadata/") and not path.endswith(".root.json"):  # without a root the chain ends before it
                with self.subTest(path):
                    self.both_refuse(world, {name: data for name, data in files.items() if name != path}, *TARGETS)
        for target in TARGETS:
            ending = "." + os.path.basename(target)  # it lies there under each of its hashes
            for change in (lambda data: data[:-1] + bytes([data[-1] ^ 1]), lambda data: data[:-1], lambda data: data + b"x"):
                with self.subTest(target):
                    self.both_refuse(world, {path: change(data) if path.endswith(ending) else data
                                             for path, data in files.items()}, target)

    def test_repositories_of_our_tests(self):
        for scheme in SCHEMES:
            with self.subTest(scheme):
                world = self.world(scheme=scheme)
                repository = world.repository
                repository.with_hashes = True
                repository.delegate("targets", "A", ["a/*"])
                repository.delegate("A", "B", ["a/b*"], terminating=True)
                repository.add_target("B", "a/b1", b"content", ["sha256", "sha512"])
                repository.publish_all()
                repository.rotate("timestamp")
                repository.publish("root", "timestamp")
                self.assertEqual(self.both(world, "a/b1"), (0, 0), self.said)
                repository.publish("timestamp", signers=repository.keys["snapshot"])
                self.assertEqual(self.both(world, "a/b1"), (1, 1), self.said)


if __name__ == "__main__":
    install()
    unittest.main()
