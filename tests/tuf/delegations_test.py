"""The walk down the delegations (TUF 1.0.34, section 5.6.7), seen by what the server is asked for."""
import hashlib
import unittest

from tuf_repository import World, quoted, utc


class Base(unittest.TestCase):
    def world(self, **options):
        made = World(**options)
        self.addCleanup(made.close)
        self.assertEqual(made.init(), 0)
        return made

    def asked(self, world):
        """The delegated roles that were asked for, in order."""
        top = {"root", "timestamp", "snapshot", "targets"}
        names = [name[:-5].split(".", 1) for name in world.repository.asked() if name != "timestamp.json"]
        return [name for _, name in names if name not in top]


class Order(Base):
    # delegations as (from, to, patterns, terminating), and the roles that are asked for a target nobody lists
    GRAPHS = {
        "one": ([("targets", "A")], "A"),
        "two": ([("targets", "A"), ("targets", "B")], "AB"),
        "two levels": ([("targets", "A"), ("targets", "B"), ("B", "C")], "ABC"),
        "depth first": ([("targets", "A"), ("targets", "B"), ("A", "C"), ("A", "D")], "ACDB"),
        "deeper": ([("targets", "A"), ("targets", "B"), ("A", "C"), ("C", "D")], "ACDB"),
        "terminating": ([("targets", "A"), ("targets", "B"), ("A", "C", "*", True), ("A", "D")], "AC"),
        "terminating has children": ([("targets", "A"), ("targets", "B"), ("A", "C", "*", True), ("C", "D")], "ACD"),
        "patterns": ([("targets", "A", "*.py"), ("targets", "B"), ("A", "C")], "B"),
        "patterns below": ([("targets", "A"), ("targets", "B"), ("A", "C", "*.py"), ("C", "D")], "AB"),
        "circle": ([("targets", "A"), ("targets", "B"), ("B", "C"), ("C", "D"), ("D", "B")], "ABCD"),
        "diamond": ([("targets", "A"), ("targets", "B"), ("B", "C"), ("A", "C")], "ACB"),
        "half a diamond": ([("targets", "A"), ("targets", "B"), ("B", "C"), ("A", "C", "*.py")], "ABC"),
        "itself": ([("targets", "A"), ("A", "A")], "A"),
        "terminating that does not match": ([("targets", "A", "*.py", True), ("targets", "B")], "B"),
    }

    def test_graphs(self):
        for name, (edges, expected) in self.GRAPHS.items():
            with self.subTest(name):
                world = self.world()
                for delegator, role, pattern, terminating in (tuple(e) + ("*", False)[len(e) - 2:] for e in edges):
                    world.repository.delegate(delegator, role, [pattern], terminating=terminating)
                world.repository.publish_all()
                self.assertEqual(world.download("missing"), 1)
                self.assertIn("not-found: target missing", world.reason)
                self.assertEqual(self.asked(world), list(expected))
                self.assertEqual(set(world.trusted()), {"root", "timestamp", "snapshot", "targets", *expected})

    def test_a_tree_with_patterns(self):
        world = self.world()
        repository = world.repository
        repository.delegate("targets", "A", ["*.doc", "*.md"])
        repository.delegate("targets", "B", ["releases/*/*"])
        repository.delegate("B", "C", ["releases/x/*"])
        repository.delegate("B", "D", ["releases/y/*.zip"])
        for role, path in (("targets", "file"), ("A", "README.md"), ("C", "releases/x/x_v1"), ("D", "releases/y/y_v1.zip"),
                           ("D", "releases/z/z_v1.zip"), ("A", "sub/README.md")):
            repository.add_target(role, path, path.encode())
        repository.publish_all()
        for path, status, roles in (("file", 0, ""), ("README.md", 0, "A"), ("releases/x/x_v1", 0, "BC"),
                                    ("releases/y/y_v1.zip", 0, "D"), ("releases/z/z_v1.zip", 1, ""), ("sub/README.md", 1, "")):
            repository.requests.clear()
            self.assertEqual(world.download(path), status, world.reason)
            self.assertEqual(self.asked(world), list(roles))  # what was fetched before is not fetched again
        self.assertEqual(set(world.downloaded()), {"file", "README.md", "releases/x/x_v1", "releases/y/y_v1.zip"})

    def test_at_most_32_roles(self):
        world = self.world()
        before = "targets"
        for number in range(40):
            world.repository.delegate(before, f"r{number}")
            before = f"r{number}"
        world.repository.add_target("r39", "file", b"x")
        world.repository.add_target("r31", "near", b"x")
        world.repository.publish_all()
        self.assertEqual(world.download("file"), 1)
        self.assertIn("too-large: target file: more than 32 delegated roles", world.reason)
        self.assertEqual(len(self.asked(world)), 32)
        self.assertEqual(world.download("near"), 0, world.reason)

    def test_many_keys_and_many_roles_of_a_supplier_take_little_memory(self):
        world = self.world()
        world.repository.delegate("targets", "supplier", ["supplier/*"])
        world.repository.delegate("targets", "other", ["other/*"])
        world.repository.add_target("other", "other/file", b"x")
        world.repository.parts["supplier"]["delegations"] = {
            "keys": {f"k{n}": {"keytype": "x", "scheme": "x", "keyval": {}} for n in range(2000)},
            "roles": [{"name": f"r{n}", "keyids": ["k1"], "threshold": 1, "terminating": False, "paths": ["*/*"]}
                      for n in range(2000)]}
        world.repository.publish_all()
        self.assertEqual(world.download("supplier/file", memory_max=400 * 2**20), 1)
        self.assertIn("mix-and-match: r0", world.reason)
        self.assertEqual(world.download("other/file", "supplier/file"), 1)
        self.assertEqual(world.downloaded(), {"other/file": b"x"})

    def test_hash_prefixes_and_hash_bins(self):
        world = self.world()
        first = hashlib.sha256(b"file").hexdigest()
        world.repository.delegate("targets", "other", path_hash_prefixes=["00000000"])
        world.repository.delegate("targets", "mine", path_hash_prefixes=["00000000", first[:2]])
        bin_number = int(hashlib.sha256(b"file").hexdigest()[:8], 16) >> 26
        bin_name = f"bin-{bin_number:02x}"
        role = world.repository.delegate("mine", bin_name)
        world.repository.parts["mine"]["delegations"] = {
            "keys": world.repository.parts["mine"]["delegations"]["keys"],
            "succinct_roles": {"keyids": role["keyids"], "threshold": 1, "bit_length": 6, "name_prefix": "bin"}}
        world.repository.add_target(bin_name, "file", b"x")
        world.repository.publish_all()
        self.assertEqual(world.download("file"), 0, world.reason)
        self.assertEqual(self.asked(world), ["mine", bin_name])


class Names(Base):
    def test_unusual_role_names_are_one_segment(self):
        for role in ("?", "#", "/role", "../role", "..", ".", "a b%2F", "\u00fc\u20ac", "x/y/../../../z", "r\n\r\0s", "targets/x"):
            with self.subTest(role):
                world = self.world()
                world.repository.delegate("targets", role)
                world.repository.publish_all()
                self.assertEqual(world.download("missing"), 1)
                self.assertIn(f"1.{quoted(role)}.json", world.repository.asked())
                self.assertEqual(world.stored(quoted(role) + ".json"), world.repository.files[f"metadata/1.{quoted(role)}.json"])
                self.assertEqual(len(world.trusted()), 5)

    def test_names_of_the_top_roles_are_refused(self):
        for role in ("root", "snapshot", "timestamp", "targets", ""):
            world = self.world()
            delegations = {"keys": {}, "roles": [{"name": role, "keyids": [], "threshold": 1, "terminating": False,
                                                  "paths": ["*"]}]}
            world.repository.parts["targets"]["delegations"] = delegations
            world.repository.publish_all()
            self.assertEqual(world.refresh(), 1)
            self.assertIn("bad-format", world.reason)
            self.assertEqual(set(world.trusted()), {"root", "timestamp", "snapshot"})


class Trust(Base):
    def test_a_role_that_cannot_be_had_ends_the_search(self):
        def missing(world):
            del world.repository.files["metadata/1.A.json"]

        def unlisted(world):
            del world.repository.parts["snapshot"]["meta"]["A.json"]
            world.repository.publish("snapshot", "timestamp")

        def unsigned(world):
            world.repository.edit("metadata/1.A.json", lambda d: d["signed"].update(x=1))

        def expired(world):
            world.repository.parts["A"].update(version=0, expires=utc(-1))
            world.repository.publish("A")

        def other_version(world):
            world.repository.publish("A", at=1)

        for change, code in ((missing, "not-found"), (unlisted, "mix-and-match"), (unsigned, "bad-signature"),
                             (expired, "freeze"), (other_version, "mix-and-match")):
            with self.subTest(code):
                world = self.world()
                world.repository.delegate("targets", "A")
                world.repository.delegate("targets", "B")
                world.repository.add_target("B", "file", b"x")
                world.repository.publish_all()
                change(world)
                self.assertEqual(world.download("file"), 1)
                self.assertIn(code, world.reason)
                self.assertEqual(world.downloaded(), {})
                self.assertEqual(set(world.trusted()), {"root", "timestamp", "snapshot", "targets"})
                self.assertEqual(self.asked(world), [] if change is unlisted else ["A"])

    def test_a_stored_role_is_checked_with_the_keys_of_who_delegates_to_it_now(self):
        world = self.world()
        world.repository.delegate("targets", "A")
        world.repository.add_target("A", "file", b"x")
        world.repository.publish_all()
        self.assertEqual(world.download("file"), 0, world.reason)
        # The delegation gets another key; the role's file is what it was.
        del world.repository.parts["targets"]["delegations"]
        del world.repository.keys["A"]
        world.repository.delegate("targets", "A")
        world.repository.publish("targets", "snapshot", "timestamp")
        for path in ("file", "other"):
            self.assertEqual(world.download(path), 1)
            self.assertIn("bad-signature", world.reason)

    def test_a_diamond_in_which_only_one_side_trusts_the_keys(self):
        world = self.world()
        repository = world.repository
        repository.delegate("targets", "left", ["left/*"])
        repository.delegate("targets", "right", ["right/*"])
        repository.delegate("left", "shared", ["*/*"])
        signers = list(repository.keys["shared"])
        repository.delegate("right", "shared", ["*/*"])
        repository.keys["shared"] = signers
        for path in ("left/x", "right/x"):
            repository.add_target("shared", path, b"x")
        repository.publish_all()
        self.assertEqual(world.download("left/x"), 0, world.reason)
        self.assertEqual(world.download("right/x"), 1)
        self.assertIn("bad-signature", world.reason)
        self.assertEqual(world.download("left/x", "right/x"), 1)

    def test_a_stored_role_expires_and_is_renewed(self):
        world = self.world()
        world.repository.delegate("targets", "A")
        world.repository.parts["A"]["expires"] = utc(7)
        world.repository.add_target("A", "first", b"first")
        world.repository.add_target("A", "second", b"second")
        world.repository.publish_all()
        self.assertEqual(world.download("first"), 0, world.reason)
        self.assertEqual(world.download("second", days=18), 1)
        self.assertIn("freeze", world.reason)
        self.assertEqual(world.downloaded(), {"first": b"first"})
        world.repository.parts["A"]["expires"] = utc(21)
        world.repository.publish("A", "snapshot", "timestamp")
        self.assertEqual(world.download("second", days=18), 0, world.reason)
        self.assertEqual(world.trusted()["A"], 2)


if __name__ == "__main__":
    unittest.main()
