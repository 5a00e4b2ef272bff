// P5.4: whatever is done to an exported trail is found, and named.
#include "manifest/audit_trail.h"

#include "base/time_text.h"
#include "manifest/envelope.h"
#include "manifest/json_value.h"
#include "tests/manifest/test_repository.h"

namespace layby::tests {
namespace {

using namespace manifest;

const Vin kCar = *Vin::parse("WVWZZZ1JZXW000017");
const Vin kOtherCar = *Vin::parse("WVWZZZ1JZXW000025");

// A trail of a car, and the exports that an operator with the key can make of it.
struct Trail {
  explicit Trail(std::size_t count, std::string_view who = "acc_1") {
    for (std::size_t i = 0; i < count; ++i) append(who);
  }

  void append(std::string_view who) {
    const Json data{{"text", "line\nand \"quote\" ü"}, {"number", end.seq}};
    const Json record = make_audit_record(
        end, {.at = kNow, .who = who, .what = "order-staged", .order = "ord_1", .data = data});
    end = must(follow_audit(end, record));
    records.push_back(record);
  }

  Bytes write(const AuditHead& from = {}) const {
    AuditExportWriter writer(kCar, kNow, from, end);
    for (const Json& record : records)
      if (record["seq"].get<std::uint64_t>() > from.seq) REQUIRE(writer.add(record));
    return must(writer.sign(*key));
  }
  std::vector<PublicKey> keys() const { return {PublicKey::from_ed25519(key->public_key())}; }
  Result<VerifiedAuditExport> verify(const Bytes& file,
                                     const std::optional<Vin>& vin = std::nullopt) const {
    return verify_audit_export(file, keys(), vin);
  }

  AuditHead end;
  std::vector<Json> records;
  KeyPointer key = new_key();
};

// What somebody makes of the file who has no key: the signature stays.
template <typename Change>
Bytes changed(const Bytes& file, Change change) {
  Json document = must(parse_strict(file, {.bytes_max = kMiB}));
  change(document["signed"]);
  return to_bytes(must(to_wire(document)));
}

// The same by the holder of the key.
template <typename Change>
Bytes signed_anew(const Trail& trail, Change change) {
  Json document = must(parse_strict(trail.write(), {.bytes_max = kMiB}));
  change(document["signed"]);
  return must(sign_envelope(document["signed"], *trail.key));
}

std::string found(const Result<VerifiedAuditExport>& verified, ErrorCode code) {
  REQUIRE_FALSE(verified);
  CHECK(to_string(verified.error().code()) == to_string(code));
  return verified.error().message();
}

}  // namespace

TEST_CASE("P5.4: an export says whose trail it is, from where to where") {
  const Trail trail(7);
  const Bytes file = trail.write();
  const VerifiedAuditExport whole = must(trail.verify(file, kCar));
  CHECK(whole.vin() == kCar);
  CHECK(whole.exported() == kNow);
  CHECK(whole.from() == AuditHead{});
  CHECK(whole.head() == trail.end);
  CHECK(whole.digest_at(7) == trail.end.digest);
  CHECK_FALSE(whole.digest_at(8));

  // An envelope like every other: what the writer put together is what to_wire would write.
  const Json document = must(parse_strict(file, {.bytes_max = kMiB}));
  CHECK(must(to_wire(document)) == as_text(file));
  CHECK(document["signed"]["records"].size() == 7);

  // Another key beside the right one does no harm; the trail of nothing is one too.
  std::vector<PublicKey> keys = trail.keys();
  keys.insert(keys.begin(), PublicKey::from_ed25519(new_key()->public_key()));
  CHECK(verify_audit_export(file, keys, std::nullopt));
  const Trail empty(0);
  CHECK(must(empty.verify(empty.write())).head() == AuditHead{});
}

TEST_CASE("P5.4: a part begins where it says, behind what others may not see") {
  const Trail trail(7);
  const AuditHead from{.seq = 3, .digest = must(digest_field(trail.records[3], "previous"))};
  const VerifiedAuditExport part = must(trail.verify(trail.write(from)));
  CHECK(part.from() == from);
  CHECK(part.head() == trail.end);
  CHECK_FALSE(part.digest_at(2));
  CHECK(part.digest_at(3) == from.digest);

  const auto wrong = signed_anew(trail, [&](Json& s) {
    s["records"].erase(0);
    s["from"] = {{"seq", 1}, {"digest", std::string(64, 'a')}};
  });
  CHECK_THAT(found(trail.verify(wrong), ErrorCode::kCorrupt),
             Catch::Contains("record 2 does not follow upon where this part begins"));
}

TEST_CASE("P5.4: without the key nothing in an export can be altered") {
  const Trail trail(7);
  const Bytes file = trail.write();
  const auto says = [&](auto change) {
    return found(trail.verify(changed(file, change)), ErrorCode::kBadSignature);
  };
  for (std::size_t i = 0; i < 7; ++i) {
    INFO(i);
    for (const char* field : {"at", "who", "what", "order"})
      CHECK_THAT(says([&](Json& s) { s["records"][i][field] = "other"; }),
                 Catch::Contains(i < 6 ? fmt::format("record {} was altered", i + 1)
                                       : "record 7, the last one, was altered"));
    CHECK_THAT(says([&](Json& s) { s["records"][i]["data"]["number"] = 99; }),
               Catch::Contains(fmt::format("record {}", i + 1)));
    CHECK_THAT(says([&](Json& s) { s["records"].erase(i); }),
               Catch::Contains(fmt::format("record {} is missing", i + 1)));
  }
  CHECK_THAT(says([](Json& s) { s["vin"] = "WVWZZZ1JZXW000025"; }), Catch::Contains("not signed"));
  CHECK_THAT(says([](Json& s) { s["exported"] = "2030-01-01T00:00:00Z"; }),
             Catch::Contains("not signed"));
  CHECK_THAT(says([](Json& s) { s["more"] = 1; }), Catch::Contains("not signed"));
  // One bit anywhere.
  for (std::size_t at = 0; at < file.size(); at += 13) {
    Bytes flipped = file;
    flipped[at] ^= 1;
    INFO(at);
    CHECK_FALSE(trail.verify(flipped));
  }
  for (std::size_t length = 0; length < file.size(); length += 97)
    CHECK_FALSE(trail.verify(Bytes(file.begin(), file.begin() + static_cast<long>(length))));
}

TEST_CASE("P5.4: what the chain finds by itself, whoever has signed") {
  const Trail trail(7);
  const Trail other(7, "acc_2");
  const auto says = [&](auto change) {
    return found(trail.verify(signed_anew(trail, change)), ErrorCode::kCorrupt);
  };
  SECTION("an altered record") {
    CHECK(says([](Json& s) { s["records"][3]["who"] = "acc_9"; }) == "record 4 was altered");
    CHECK(says([](Json& s) { s["records"][0]["at"] = "x"; }) == "record 1 was altered");
    CHECK(says([](Json& s) { s["records"][6]["at"] = "x"; }) ==
          "record 7, the last one, was altered");
    CHECK(says([](Json& s) { s["records"][3]["more"] = 1; }) == "record 4 was altered");
    CHECK_THAT(says([](Json& s) { s["records"][3].erase("previous"); }),
               Catch::Contains("record 4 was altered"));
    CHECK_THAT(says([](Json& s) { s["records"][3] = "x"; }),
               Catch::Contains("record 4 was altered"));
    // Its link too, so that it follows: then it does not lead on.
    CHECK(says([](Json& s) {
            s["records"][3]["who"] = "acc_9";
            s["records"][3]["previous"] = std::string(64, 'b');
          }) == "record 4 was altered, or belongs to another trail");
  }
  SECTION("a dropped one") {
    CHECK_THAT(says([](Json& s) { s["records"].erase(0); }),
               Catch::Contains("record 1 is missing"));
    CHECK_THAT(says([](Json& s) { s["records"].erase(3); }),
               Catch::Contains("record 4 is missing"));
    CHECK_THAT(says([](Json& s) { s["records"].erase(6); }),
               Catch::Contains("record 7 is missing"));
  }
  SECTION("two swapped") {
    CHECK_THAT(says([](Json& s) { std::swap(s["records"][2], s["records"][3]); }),
               Catch::Contains("record 3 is missing: record 4 stands in its place"));
    CHECK_THAT(says([](Json& s) {
                 std::swap(s["records"][2], s["records"][3]);
                 std::swap(s["records"][2]["seq"], s["records"][3]["seq"]);
               }),
               Catch::Contains("record 3 was altered"));
  }
  SECTION("one of another car") {
    CHECK(says([&](Json& s) { s["records"][3] = other.records[3]; }) ==
          "record 4 was altered, or belongs to another trail");
    CHECK(says([&](Json& s) { s["records"][0] = other.records[0]; }) == "record 1 was altered");
  }
  SECTION("one added") {
    CHECK_THAT(says([&](Json& s) { s["records"].push_back(s["records"][6]); }),
               Catch::Contains("where record 8 should be stands record 7"));
    Trail longer = trail;
    longer.append("acc_9");
    CHECK_THAT(says([&](Json& s) { s["records"].push_back(longer.records[7]); }),
               Catch::Contains("record 8 was added"));
    CHECK_THAT(
        says([&](Json& s) { s["records"].insert(s["records"].begin() + 2, s["records"][2]); }),
        Catch::Contains("where record 4 should be stands record 3"));
  }
  SECTION("another head") {
    CHECK_THAT(says([&](Json& s) { s["head"]["digest"] = std::string(64, 'c'); }),
               Catch::Contains("record 7, the last one, was altered"));
    CHECK_THAT(says([&](Json& s) { s["head"]["seq"] = 6; }), Catch::Contains("record 7 was added"));
    CHECK_THAT(says([&](Json& s) { s["head"]["seq"] = 8; }),
               Catch::Contains("record 8 is missing"));
  }
}

TEST_CASE("P5.4: a wrong key, another car and what is no export are refused by name") {
  const Trail trail(3);
  const Trail stranger(3);
  const Bytes file = trail.write();
  CHECK_THAT(found(stranger.verify(file), ErrorCode::kBadSignature),
             Catch::Contains(stranger.keys().front().id()));
  CHECK_THAT(found(verify_audit_export(file, {}, std::nullopt), ErrorCode::kBadSignature),
             Catch::Contains("any of the keys"));
  CHECK_THAT(found(trail.verify(file, kOtherCar), ErrorCode::kWrongVehicle),
             Catch::Contains("WVWZZZ1JZXW000017") && Catch::Contains("WVWZZZ1JZXW000025"));
  // A key that stands twice: which of the two was signed?
  std::string twice(as_text(file));
  twice.replace(twice.find("{\"at\":"), 1, "{\"seq\":1,");
  CHECK_THAT(found(trail.verify(to_bytes(twice)), ErrorCode::kBadJson),
             Catch::Contains("\"seq\" stands twice"));
  const auto form = [&](auto change) {
    return found(trail.verify(signed_anew(trail, change)), ErrorCode::kBadFormat);
  };
  CHECK_THAT(form([](Json& s) { s["_type"] = "licence"; }), Catch::Contains("licence"));
  CHECK_THAT(form([](Json& s) { s["vin"] = "X"; }), Catch::Contains("VIN"));
  CHECK_THAT(form([](Json& s) { s.erase("head"); }), Catch::Contains("head"));
  CHECK_THAT(form([](Json& s) { s["records"] = 1; }), Catch::Contains("records"));
  CHECK_THAT(form([](Json& s) { s["from"]["digest"] = std::string(64, 'a'); }),
             Catch::Contains("from"));
  CHECK_THAT(form([](Json& s) { s["exported"] = "today"; }), Catch::Contains("exported"));
}

TEST_CASE("P5.4: a newer export goes on from an earlier one, or that is found") {
  Trail trail(5);
  const VerifiedAuditExport earlier = must(trail.verify(trail.write()));
  const AuditHead then = trail.end;
  trail.append("acc_1");
  trail.append("acc_1");
  const VerifiedAuditExport later = must(trail.verify(trail.write()));
  CHECK(verify_audit_extends(earlier, later));
  CHECK(verify_audit_extends(later, later));
  CHECK(verify_audit_extends(earlier, must(trail.verify(trail.write(then)))));
  CHECK(verify_audit_extends(later, earlier).error().code() == ErrorCode::kRollback);

  // The holder of the key begins anew: every export is whole by itself.
  Trail rewritten(7, "nobody");
  rewritten.key = trail.key;
  const Result<void> other = verify_audit_extends(earlier, must(trail.verify(rewritten.write())));
  CHECK(other.error().code() == ErrorCode::kCorrupt);
  CHECK_THAT(other.error().message(), Catch::Contains("rewritten: record 5"));
  const Result<void> gap =
      verify_audit_extends(earlier, must(trail.verify(trail.write(trail.end))));
  CHECK(gap.error().code() == ErrorCode::kInvalidArgument);
}

TEST_CASE("an export of a broken trail is not made") {
  const Trail trail(3);
  AuditExportWriter swapped(kCar, kNow, {}, trail.end);
  CHECK(swapped.add(trail.records[1]).error().code() == ErrorCode::kCorrupt);
  AuditExportWriter early(kCar, kNow, {}, trail.end);
  REQUIRE(early.add(trail.records[0]));
  CHECK_THAT(early.sign(*trail.key).error().message(), Catch::Contains("record 2 is missing"));

  // The bound is named, and holds before memory does.
  AuditHead end;
  AuditExportWriter full(kCar, kNow, {}, trail.end);
  const Json data{{"text", std::string(32 * kMiB, 'x')}};
  Result<void> added;
  std::size_t count = 0;
  while (added && count < 20) {
    const Json record =
        make_audit_record(end, {.at = kNow, .who = "w", .what = "x", .order = "", .data = data});
    end = must(follow_audit(end, record));
    added = full.add(record);
    ++count;
  }
  CHECK(count == kAuditExportBytesMax / (32 * kMiB));
  CHECK(added.error().code() == ErrorCode::kTooLarge);
}

TEST_CASE("a trail of some ten thousand records is exported and verified") {
  const Trail trail(30'000);
  const VerifiedAuditExport whole = must(trail.verify(trail.write()));
  CHECK(whole.head().seq == 30'000);
}

}  // namespace layby::tests
