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

    def test_repositories_of_tuf_js(self):
        for scheme in SCHEMES:
            with self.subTest(scheme):
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
                targets = ("file.txt", "dir/file.bin")
                self.assertEqual(self.both(world, *targets), (0, 0), self.said)
                self.assertEqual(world.downloaded(), {"file.txt": b"top level", "dir/file.bin": b"\x07" * 100_000})
                self.assertEqual(world.trusted(), {"root": 3, "timestamp": 6, "snapshot": 5, "targets": 4, "a role": 2})
                for path in sorted(files):
                    if path == "metadata/1.root.json" or path.startswith("targets/"):
                        continue
                    with self.subTest(path):
                        world.repository.files = {**files, path: files[path].replace(b'"version": ', b'"version": 1', 1)}
                        self.assertEqual(self.both(world, *targets), (1, 1), self.said)
                world.repository.files = {path: data.replace(b"top", b"TOP") if path.startswith("targets/") else data
                                          for path, data in files.items()}
                self.assertEqual(self.both(world, "file.txt"), (1, 1), self.said)

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
