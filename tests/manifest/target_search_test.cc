// Delegations (TUF 1.0.34, section 5.6.7): who may speak of a target, and who may not.
#include "manifest/target_search.h"

#include "manifest/ceremony.h"
#include "manifest/envelope.h"
#include "manifest/json_value.h"
#include "tests/manifest/delegating.h"

namespace layby::tests {
namespace {

using namespace manifest;

Target target_of(std::string_view content) {
  return {content.size(), {crypto::sha256(as_bytes(content)), std::nullopt}, {}};
}

using Names = std::vector<std::string>;

TEST_CASE("a target is found down the delegations, in order of priority, each role once") {
  Delegating world;
  world.delegate(world.repository.targets, "a", "lib/*");
  world.delegate(world.repository.targets, "b", "lib/*");
  world.delegate(world.roles["a"], "c", "lib/x*");
  world.delegate(world.roles["c"], "a", "lib/*");  // a circle
  world.roles["b"].targets["lib/x1"] = target_of("from b");
  world.roles["b"].targets["lib/y"] = target_of("from b");
  world.roles["c"].targets["lib/x2"] = target_of("from c");
  world.publish();
  TrustedRepository client = world.client();
  Names asked;
  CHECK(*must(world.search(client, "lib/x2", &asked)) == target_of("from c"));
  CHECK(asked == Names{"1.a.json", "1.c.json"});
  CHECK(*client.find_target("lib/x2") == target_of("from c"));
  asked.clear();
  CHECK(*must(world.search(client, "lib/x1", &asked)) == target_of("from b"));
  CHECK(asked == Names{"1.b.json"});  // a and c are held already
  CHECK(must(world.search(client, "lib/nothing")) == nullptr);
  CHECK(must(world.search(client, "other/x1")) == nullptr);
}

TEST_CASE("what is stored of delegated roles is used after a restart") {
  Delegating world;
  world.delegate(world.repository.targets, "a", "*");
  world.roles["a"].targets["x"] = target_of("1");
  world.publish();
  TrustedRepository client = world.client();
  must(world.search(client, "x"));
  TrustedRepository again = must(TrustedRepository::load(client.stored()));
  Names asked;
  CHECK(*must(world.search(again, "x", &asked)) == target_of("1"));
  CHECK(asked.empty());
  // A new version is fetched.
  ++world.roles["a"].version;
  world.roles["a"].targets["x"] = target_of("2");
  world.publish();
  must(world.repository.refresh(again));
  CHECK(again.find_target("x") == nullptr);
  CHECK(*must(world.search(again, "x", &asked)) == target_of("2"));
  CHECK(asked == Names{"2.a.json"});
}

TEST_CASE("what a caller has stored of a delegated role saves the request, if it is still right") {
  using Stored = TargetSearch::Stored;
  Delegating world;
  world.delegate(world.repository.targets, "a", "*");
  world.roles["a"].targets["x"] = target_of("1");
  world.publish();
  TrustedRepository client = world.client();
  const Bytes first = world.repository.files.at("1.a.json");
  {
    TargetSearch search(client, "x", kNow);
    CHECK(search.next()->delegated == "a");
    CHECK(search.offer_stored(to_bytes("{}")) == Stored::kFetch);
    CHECK(search.next()->file == "1.a.json");
    CHECK(search.offer_stored(first) == Stored::kSettled);
    CHECK(!search.next());
    CHECK(search.take_changes().empty());
    CHECK(*must(search.found()) == target_of("1"));
  }
  ++world.roles["a"].version;
  world.publish();
  TrustedRepository later = world.client();
  TargetSearch search(later, "x", kNow);
  CHECK(search.offer_stored(first) == Stored::kFetch);
  CHECK(search.next()->file == "2.a.json");
}

TEST_CASE("a stored role that is just what the snapshot names, and no good, is not fetched again") {
  Delegating world;
  world.delegate(world.repository.targets, "a", "*");
  world.roles["a"].targets["x"] = target_of("1");
  world.roles["a"].expires = kNow + 10;
  world.publish();
  TrustedRepository client = world.client();
  const Bytes stored = world.repository.files.at("1.a.json");
  TargetSearch search(client, "x", kNow + 10);
  CHECK(search.offer_stored(stored) == TargetSearch::Stored::kSettled);
  CHECK(!search.next());
  CHECK(code_of(search.found()) == ErrorCode::kFreeze);
  CHECK(client.find_target("x") == nullptr);
}

TEST_CASE("what was found of a delegated role is searched for anew after each refresh") {
  Delegating world;
  world.delegate(world.repository.targets, "a", "*");
  world.roles["a"].targets["x"] = target_of("1");
  world.roles["a"].expires = kNow + 10;
  world.publish();
  TrustedRepository client = world.client();
  CHECK(must(world.search(client, "x")) != nullptr);
  must(world.repository.refresh(client, kNow + 10));  // brings nothing new
  CHECK(client.find_target("x") == nullptr);
}

TEST_CASE("a role that the snapshot does not list is not asked for") {
  Delegating world;
  world.delegate(world.repository.targets, "a", "*");
  world.delegate(world.repository.targets, "b", "*");
  world.roles["b"].targets["x"] = target_of("from b");
  world.publish_role("b", "b");
  world.repository.release();
  TrustedRepository client = world.client();
  Names asked;
  CHECK(code_of(world.search(client, "x", &asked)) == ErrorCode::kMixAndMatch);
  CHECK(asked.empty());
}

TEST_CASE("hash bins: the one role whose bits fit is asked, and has the last word") {
  Delegating world;
  SuccinctRoles bins{.keys = {}, .bit_length = 5, .name_prefix = "bin"};
  // The SHA-256 of "x" begins with 2d, 00101101: bin 00101 of 32.
  CHECK(bins.role_for("x") == "bin-05");
  bins.bit_length = 1;
  CHECK(bins.role_for("x") == "bin-0");
  bins.bit_length = 32;
  CHECK(bins.role_for("x") == "bin-2d711642");
  bins.bit_length = 8;
  CHECK(bins.role_for("x") == "bin-2d");
  bins.bit_length = 9;
  CHECK(bins.role_for("x") == "bin-05a");

  world.keys["bin-05a"] = new_key();
  const PublicKey key = PublicKey::from_ed25519(world.keys["bin-05a"]->public_key());
  bins.keys = {{key.id()}, 1};
  world.repository.targets.delegations = Delegations{{{key.id(), key}}, {}, bins};
  world.roles["bin-05a"].expires = kLater;
  world.roles["bin-05a"].targets["x"] = target_of("x");
  world.publish();
  const Json encoded = encode(world.repository.targets);
  CHECK(encode(must(decode_targets(encoded))) == encoded);
  TrustedRepository client = world.client();
  Names asked;
  CHECK(*must(world.search(client, "x", &asked)) == target_of("x"));
  CHECK(asked == Names{"1.bin-05a.json"});
  CHECK(code_of(world.search(client, "y")) == ErrorCode::kMixAndMatch);

  for (const auto& [field, value] : {std::pair<std::string, Json>{"bit_length", 0},
                                     {"bit_length", 33},
                                     {"name_prefix", 7},
                                     {"threshold", 0}}) {
    Json broken = encoded;
    broken["delegations"]["succinct_roles"][field] = value;
    CHECK(code_of(decode_targets(broken)) == ErrorCode::kBadFormat);
  }
  Json both = encoded;
  both["delegations"]["roles"] = Json::array();
  CHECK(code_of(decode_targets(both)) == ErrorCode::kBadFormat);
}

TEST_CASE("a delegation goes by paths or by hash prefixes, and by one of them (TUF 4.5)") {
  Delegating world;
  world.delegate(world.repository.targets, "supplier", "maps/*", Delegating::Terminating::kNo, {});
  const Json good = encode(world.repository.targets);
  must(decode_targets(good));
  Json part = good;
  part["delegations"]["roles"][0]["path_hash_prefixes"] = Json::array({"ab"});
  CHECK(code_of(decode_targets(part)) == ErrorCode::kBadFormat);
  part["delegations"]["roles"][0].erase("paths");
  must(decode_targets(part));
  part["delegations"]["roles"][0].erase("path_hash_prefixes");
  CHECK(code_of(decode_targets(part)) == ErrorCode::kBadFormat);
}

TEST_CASE("a terminating delegation has the last word") {
  Delegating world;
  world.delegate(world.repository.targets, "a", "*", Delegating::Terminating::kYes);
  world.delegate(world.repository.targets, "b", "*");
  world.roles["b"].targets["x"] = target_of("from b");
  world.publish();
  TrustedRepository client = world.client();
  Names asked;
  CHECK(must(world.search(client, "x", &asked)) == nullptr);
  CHECK(asked == Names{"1.a.json"});
}

TEST_CASE("a supplier speaks within its paths only") {
  Delegating world;
  world.delegate(world.repository.targets, "supplier", "supplier/*");
  world.roles["supplier"].targets["oem/x"] = target_of("evil");
  world.publish();
  TrustedRepository client = world.client();
  CHECK(must(world.search(client, "oem/x")) == nullptr);
}

HardwareId hardware(std::string_view text) {
  return must(HardwareId::parse(text));
}

TEST_CASE("Uptane 5.4.4.7: who was delegated other hardware is passed over, without a request") {
  Delegating world;
  world.delegate(world.repository.targets, "a", "*", Delegating::Terminating::kYes,
                 {hardware("hu-4"), hardware("hu-5")});
  world.delegate(world.repository.targets, "b", "*");
  world.roles["a"].targets["x"] = target_of("from a");
  world.roles["b"].targets["x"] = target_of("from b");
  world.publish();
  TrustedRepository client = world.client();
  Names asked;
  CHECK(*must(world.search(client, "x", &asked, hardware("hu-5"))) == target_of("from a"));
  CHECK(asked == Names{"1.a.json"});
  asked.clear();
  // It would end the search, if it had a say.
  CHECK(*must(world.search(client, "x", &asked, hardware("gw-1"))) == target_of("from b"));
  CHECK(asked == Names{"1.b.json"});
  // Each hardware has its own answer, and a search for none has one more.
  CHECK(*client.find_target("x", hardware("hu-5")) == target_of("from a"));
  CHECK(*client.find_target("x", hardware("gw-1")) == target_of("from b"));
  CHECK(client.find_target("x", hardware("hu-4")) == nullptr);
  CHECK(client.find_target("x") == nullptr);
}

TEST_CASE("without a hardware id, as in plain TUF, those of delegations are not looked at") {
  Delegating world;
  world.delegate(world.repository.targets, "a", "*", Delegating::Terminating::kNo,
                 {hardware("hu-4")});
  world.roles["a"].targets["x"] = target_of("from a");
  world.publish();
  TrustedRepository client = world.client();
  CHECK(*must(world.search(client, "x")) == target_of("from a"));
  CHECK(client.find_target("x", hardware("hu-4")) == nullptr);
}

TEST_CASE("the hardware of every delegation on the way counts") {
  Delegating world;
  world.delegate(world.repository.targets, "a", "*", Delegating::Terminating::kNo,
                 {hardware("hu-4")});
  world.delegate(world.roles["a"], "b", "*", Delegating::Terminating::kNo,
                 {hardware("hu-4"), hardware("gw-1")});
  world.roles["b"].targets["x"] = target_of("from b");
  world.publish();
  TrustedRepository client = world.client();
  CHECK(*must(world.search(client, "x", nullptr, hardware("hu-4"))) == target_of("from b"));
  // What a supplier was not given it cannot give on.
  CHECK(must(world.search(client, "x", nullptr, hardware("gw-1"))) == nullptr);
}

TEST_CASE("top-level targets have the first word, whatever the hardware") {
  Delegating world;
  world.repository.targets.targets["x"] = target_of("from the top");
  world.delegate(world.repository.targets, "a", "*", Delegating::Terminating::kNo,
                 {hardware("hu-4")});
  world.roles["a"].targets["x"] = target_of("from a");
  world.publish();
  TrustedRepository client = world.client();
  Names asked;
  CHECK(*must(world.search(client, "x", &asked, hardware("hu-4"))) == target_of("from the top"));
  CHECK(asked.empty());
  CHECK(*client.find_target("x", hardware("gw-1")) == target_of("from the top"));
}

TEST_CASE("hardware ids of a delegation are written, read, kept by the ceremony, and bounded") {
  Delegating world;
  world.delegate(world.repository.targets, "a", "*", Delegating::Terminating::kNo,
                 {hardware("hu-4"), hardware("gw-1")});
  world.delegate(world.repository.targets, "b", "*");
  const Json encoded = encode(world.repository.targets);
  CHECK(encoded["delegations"]["roles"][0]["hardwareIds"] == Json{"hu-4", "gw-1"});
  CHECK_FALSE(encoded["delegations"]["roles"][1].contains("hardwareIds"));
  CHECK(encode(must(decode_targets(encoded))) == encoded);
  const Bytes document =
      must(make_targets(world.repository.targets, world.repository.signers(Role::kTargets)));
  const Bytes renewed = must(renew_targets(document, kLater + 1));
  const Envelope envelope = must(Envelope::parse(renewed, renewed.size()));
  CHECK(envelope.signed_part()["delegations"] == encoded["delegations"]);

  const auto read = [&](const Json& hardware_ids) {
    Json changed = encoded;
    changed["delegations"]["roles"][0]["hardwareIds"] = hardware_ids;
    return decode_targets(changed);
  };
  Json many = Json::array();
  for (int i = 0; i < 256; ++i) many.push_back(fmt::format("hu-{}", i));
  CHECK(must(read(many)).delegations->roles[0].hardware_ids.size() == 256);
  many.push_back("one-more");
  for (const Json& bad :
       {Json::array(), Json("hu-4"), Json{"hu-4", "hu-4"}, Json::array({""}), Json::array({"../x"}),
        Json::array({std::string(65, 'a')}), Json::array({7}), Json(), many})
    CHECK(code_of(read(bad)) == ErrorCode::kBadFormat);
}

TEST_CASE("a delegated role that cannot be had ends the search: nobody else's word counts") {
  Delegating world;
  world.delegate(world.repository.targets, "a", "*");
  world.delegate(world.repository.targets, "b", "*");
  world.roles["b"].targets["x"] = target_of("from b");
  world.publish();
  std::optional<ErrorCode> expected;
  SECTION("missing") {
    world.repository.files.erase("1.a.json");
    expected = ErrorCode::kNotFound;
  }
  SECTION("not in the snapshot") {
    world.repository = TestRepository();
    world.delegate(world.repository.targets, "a", "*");
    world.repository.release();
    world.repository.files["1.a.json"] = to_bytes("{}");
    expected = ErrorCode::kMixAndMatch;
  }
  SECTION("signed by another key") {
    world.keys["a"] = new_key();
    world.publish();
    expected = ErrorCode::kBadSignature;
  }
  SECTION("expired") {
    world.roles["a"].expires = kNow;
    world.publish();
    expected = ErrorCode::kFreeze;
  }
  SECTION("other bytes than the snapshot says") {
    world.repository.files["1.a.json"].pop_back();
    expected = ErrorCode::kMixAndMatch;
  }
  SECTION("more bytes than the snapshot says") {
    world.repository.files["1.a.json"].push_back(' ');
    expected = ErrorCode::kEndlessData;
  }
  SECTION("another version than the snapshot says") {
    world.repository.snapshot.files["a.json"] = FileEntry{2, {}, {}};
    world.repository.files["2.a.json"] = world.repository.files["1.a.json"];
    world.repository.release();
    expected = ErrorCode::kMixAndMatch;
  }
  TrustedRepository client = world.client();
  CHECK(code_of(world.search(client, "x")) == expected);
  CHECK(client.find_target("x") == nullptr);
}

TEST_CASE("diamond: a role that is held is checked with the keys of this delegator") {
  Delegating world;
  world.delegate(world.repository.targets, "left", "left/*");
  world.delegate(world.repository.targets, "right", "right/*");
  world.delegate(world.roles["left"], "shared", "*/*");
  world.roles["shared"].targets["left/x"] = target_of("x");
  world.roles["shared"].targets["right/x"] = target_of("x");
  const KeyPointer right_key = world.keys["shared"];
  // The right one trusts another key for the same role.
  world.keys["shared"] = new_key();
  world.delegate(world.roles["right"], "shared", "*/*");
  world.keys["shared"] = right_key;
  world.publish();
  TrustedRepository client = world.client();
  CHECK(must(world.search(client, "left/x")) != nullptr);
  CHECK(code_of(world.search(client, "right/x")) == ErrorCode::kBadSignature);
}

TEST_CASE("searches of one look read each role once, and find what they find alone") {
  Delegating world;
  world.delegate(world.repository.targets, "a", "lib/*");
  world.delegate(world.roles["a"], "b", "lib/?", Delegating::Terminating::kYes);
  world.delegate(world.roles["a"], "c", "lib/*");
  world.roles["b"].targets["lib/x"] = target_of("from b");
  world.roles["c"].targets["lib/y"] = target_of("hidden by b");
  world.roles["c"].targets["lib/yy"] = target_of("from c");
  world.publish();
  TrustedRepository client = world.client();
  VerifiedRoles roles;
  for (const char* name : {"lib/x", "lib/y", "lib/yy", "lib/zz", "lib/x", "other/x"}) {
    INFO(name);
    TrustedRepository alone = world.client();
    const Target* expected = must(world.search(alone, name));
    const Target* found = must(world.search(client, name, roles));
    REQUIRE((found == nullptr) == (expected == nullptr));
    if (found) CHECK(*found == *expected);
  }
  CHECK(roles.readings() == 3);
}

// Two delegators of one role that both may answer for a name of theirs.
struct Diamond : Delegating {
  Diamond() {
    delegate(repository.targets, "left", "left/*");
    delegate(repository.targets, "right", "right/*");
    delegate(roles["left"], "shared", "*/*");
    delegate(roles["right"], "shared", "*/*");
    roles["shared"].targets["left/x"] = target_of("x");
    roles["shared"].targets["right/x"] = target_of("x");
  }
  KeyMap& keys_by_right() { return roles["right"].delegations->keys; }
  RoleKeys& shared_by_right() { return roles["right"].delegations->roles[0].keys; }
};

TEST_CASE("5.6.7: a role that a search of the same look verified counts for the same keys only") {
  Diamond world;
  const KeyId id = world.shared_by_right().key_ids[0];
  const PublicKey other = PublicKey::from_ed25519(new_key()->public_key());
  std::optional<ErrorCode> expected = ErrorCode::kBadSignature;
  SECTION("another key") {
    world.keys_by_right() = {{other.id(), other}};
    world.shared_by_right().key_ids = {other.id()};
  }
  SECTION("another key under the same id") {
    world.keys_by_right().at(id) = other;
  }
  SECTION("no key under that id") {
    world.keys_by_right().erase(id);
  }
  SECTION("a higher threshold") {
    world.shared_by_right().threshold = 2;
  }
  SECTION("the same keys") {
    expected.reset();
  }
  world.publish();
  TrustedRepository client = world.client();
  VerifiedRoles roles;
  CHECK(must(world.search(client, "left/x", roles)) != nullptr);
  const auto found = world.search(client, "right/x", roles);
  CHECK((found ? std::nullopt : std::optional(found.error().code())) == expected);
  CHECK(client.find_target("right/x") == (found ? *found : nullptr));
  // left, shared and right; shared once more where others are to have signed it.
  CHECK(roles.readings() == (expected ? 4 : 3));
  CHECK(must(world.search(client, "left/x", roles)) != nullptr);
}

TEST_CASE("a role that keys of both its delegators signed is read once for each") {
  Diamond world;
  const KeyPointer second = new_key();
  const PublicKey other = PublicKey::from_ed25519(second->public_key());
  world.keys_by_right() = {{other.id(), other}};
  world.shared_by_right().key_ids = {other.id()};
  world.publish();
  const crypto::Signer* const by[] = {world.keys["shared"].get(), second.get()};
  const Bytes bytes = must(make_targets(world.roles["shared"], by));
  world.repository.files["1.shared.json"] = bytes;
  world.repository.snapshot.files["shared.json"] = describe_file(1, bytes);
  world.repository.release();
  TrustedRepository client = world.client();
  VerifiedRoles roles;
  for (int i = 0; i < 3; ++i)
    for (const char* name : {"left/x", "right/x"})
      CHECK(must(world.search(client, name, roles)) != nullptr);
  CHECK(roles.readings() == 4);
}

TEST_CASE("what was verified of a role is no answer for its next version, or past its expiry") {
  Delegating world;
  world.delegate(world.repository.targets, "a", "*");
  world.roles["a"].targets["x"] = target_of("1");
  world.roles["a"].expires = kNow + 10;
  world.publish();
  TrustedRepository client = world.client();
  VerifiedRoles roles;
  CHECK(*must(world.search(client, "x", roles)) == target_of("1"));
  TargetSearch later(client, "x", kNow + 10, std::nullopt, &roles);
  CHECK(!later.next());
  CHECK(code_of(later.found()) == ErrorCode::kFreeze);
  ++world.roles["a"].version;
  world.roles["a"].targets["x"] = target_of("2");
  world.publish();
  must(world.repository.refresh(client));
  CHECK(*must(world.search(client, "x", roles)) == target_of("2"));
}

TEST_CASE("no more is held of verified roles than one look may need") {
  Delegating world;
  const auto name = [](int i) { return "r" + std::to_string(i); };
  constexpr int kManyRoles = kDelegatedRolesMax + 1;
  for (int i = 0; i < kManyRoles; ++i) {
    world.delegate(world.repository.targets, name(i), name(i));
    world.roles[name(i)].targets[name(i)] = target_of(name(i));
  }
  SECTION("as many roles") {}
  SECTION("as many bytes") {
    for (const int i : {0, 1, 2, 3, 4})
      world.roles[name(i)].custom = R"({"much":")" + std::string(4 * kMiB, 'x') + R"("})";
  }
  world.publish();
  TrustedRepository client = world.client();
  VerifiedRoles roles;
  const auto find = [&](int i) {
    CHECK(*must(world.search(client, name(i), roles)) == target_of(name(i)));
    return roles.readings();
  };
  std::size_t readings = 0;
  for (int i = 0; i < kManyRoles; ++i) readings = find(i);
  CHECK(readings == kManyRoles);
  CHECK(find(kManyRoles - 1) == readings);
  CHECK(find(0) == readings + 1);
}

TEST_CASE("names of roles are one segment of a path") {
  Delegating world;
  const std::string name = "../a b/c?d#e%";
  world.delegate(world.repository.targets, name, "*");
  world.roles[name].targets["x"] = target_of("x");
  world.publish_role(name, "..%2Fa%20b%2Fc%3Fd%23e%25");
  world.repository.release();
  TrustedRepository client = world.client();
  Names asked;
  CHECK(must(world.search(client, "x", &asked)) != nullptr);
  CHECK(asked == Names{"1...%2Fa%20b%2Fc%3Fd%23e%25.json"});
}

TEST_CASE("endless delegations end") {
  Delegating world;
  Targets* from = &world.repository.targets;
  for (int i = 0; i < 40; ++i) {
    const std::string name = "r" + std::to_string(i);
    world.delegate(*from, name, "*");
    from = &world.roles[name];
  }
  from->targets["x"] = target_of("x");
  world.publish();
  TrustedRepository client = world.client();
  Names asked;
  CHECK(code_of(world.search(client, "x", &asked)) == ErrorCode::kTooLarge);
  CHECK(asked.size() == 32);
}

TEST_CASE(
    "just as many delegations as are allowed, of which some are met twice, are no bound hit") {
  Delegating world;
  for (int i = 0; i < 32; ++i) {
    const std::string name = "r" + std::to_string(i);
    world.delegate(world.repository.targets, name, "*");
    world.delegate(world.roles["r0"], name, "*");
  }
  world.publish();
  TrustedRepository client = world.client();
  Names asked;
  CHECK(must(world.search(client, "x", &asked)) == nullptr);
  CHECK(asked.size() == 32);
}

}  // namespace
}  // namespace layby::tests
