// Offline packages: what the writer makes is read, and nothing else is (P5.3).
#include "manifest/offline_package.h"

#include <catch2/catch.hpp>
#include <functional>

#include "base/limits.h"
#include "tests/manifest/test_repository.h"

namespace layby::tests {
namespace {

using namespace manifest;

class MemoryArchive final : public ReadAt {
 public:
  explicit MemoryArchive(std::string bytes) : bytes_(std::move(bytes)) {}
  std::uint64_t size() const override { return bytes_.size(); }
  Result<void> read_at(std::uint64_t offset, MutableByteSpan out) const override {
    if (offset > bytes_.size() || out.size() > bytes_.size() - offset)
      return fail(ErrorCode::kIo, "past the end");
    std::copy_n(bytes_.data() + offset, out.size(), out.data());
    return {};
  }

 private:
  std::string bytes_;
};

using Members = std::vector<std::pair<std::string, std::string>>;

std::string payload_name(const std::string& bytes) {
  return package_payload_name(crypto::sha256(as_bytes(bytes)));
}

// Two roots of the Director, one payload of exactly two blocks and one of a few bytes.
Members sound() {
  Members members{{"time.json", "{}"},
                  {"director/2.root.json", "root 2"},
                  {"director/3.root.json", "root 3"},
                  {"director/timestamp.json", "timestamp"},
                  {"director/7.snapshot.json", "snapshot"},
                  {"director/9.targets.json", "targets"},
                  {"image/timestamp.json", "timestamp"},
                  {"image/4.snapshot.json", "snapshot"},
                  {"image/5.targets.json", "targets"}};
  const std::string one(1024, 'a'), two = "a few bytes";
  members.emplace_back(payload_name(one), one);
  members.emplace_back(payload_name(two), two);
  std::sort(members.end() - 2, members.end());
  return members;
}

std::string write(const Members& members) {
  std::string out;
  for (const auto& [name, bytes] : members)
    out += must(package_member_head(name, bytes.size())) + bytes + package_padding(bytes.size());
  return out + package_end();
}

std::optional<ErrorCode> refusal(const std::string& bytes) {
  const MemoryArchive archive(bytes);
  const auto package = OfflinePackage::open(archive);
  if (package) return std::nullopt;
  return package.error().code();
}

std::optional<ErrorCode> refusal(const std::function<void(Members&)>& change) {
  Members members = sound();
  change(members);
  return refusal(write(members));
}

}  // namespace

TEST_CASE("offline package: what was written is read, member by member") {
  const Members members = sound();
  const std::string bytes = write(members);
  CHECK(bytes.size() % 512 == 0);
  const MemoryArchive archive(bytes);
  const OfflinePackage package = must(OfflinePackage::open(archive));
  REQUIRE(package.members().size() == members.size());
  for (std::size_t i = 0; i < members.size(); ++i) {
    CHECK(package.members()[i].name == members[i].first);
    CHECK(as_text(must(package.read(members[i].first))) == members[i].second);
  }
  CHECK(package.payloads().size() == 2);
  CHECK(package.has_payload(crypto::sha256(as_bytes("a few bytes"))));
  CHECK_FALSE(package.has_payload(crypto::Digest256{}));
  CHECK(package.check_payloads());
  CHECK(code_of(package.read("image/6.targets.json")) == ErrorCode::kNotFound);
  Bytes part(4);
  const PackageMember& last = *package.find(payload_name("a few bytes"));
  REQUIRE(package.read_at(last, 2, part));
  CHECK(as_text(part) == "few ");
  CHECK(code_of(package.read_at(last, last.length - 3, part)) == ErrorCode::kInvalidArgument);
}

TEST_CASE("offline package: each cut and each changed byte of a header is refused (P5.3)") {
  const std::string bytes = write(sound());
  for (std::size_t end = 0; end < bytes.size(); end += 97)
    CHECK(refusal(bytes.substr(0, end)) == ErrorCode::kBadFormat);
  CHECK(refusal(bytes.substr(0, bytes.size() - 1)) == ErrorCode::kBadFormat);
  CHECK(refusal(bytes + std::string(1, '\0')) == ErrorCode::kBadFormat);
  CHECK(refusal(bytes + bytes) == ErrorCode::kBadFormat);
  for (std::size_t at = 0; at < 512; ++at) {
    std::string bent = bytes;
    bent[at] = static_cast<char>(bent[at] ^ 1);
    INFO("byte " << at);
    CHECK(refusal(bent).has_value());
  }
  std::string padding = bytes;
  padding[512 + 100] = 'x';  // behind the two bytes of time.json
  CHECK(refusal(padding) == ErrorCode::kBadFormat);
}

TEST_CASE("offline package: only these members, only in this order, each once (P5.3)") {
  CHECK_FALSE(refusal(write(sound())));
  CHECK_FALSE(refusal([](Members& m) { m.resize(9); }));  // no payloads: licences alone
  CHECK_FALSE(refusal([](Members& m) { m.erase(m.begin() + 1, m.begin() + 3); }));  // no new roots
  for (std::size_t i = 0; i < sound().size(); ++i) {
    INFO("member " << i);
    CHECK(refusal([&](Members& m) { m.insert(m.begin() + static_cast<long>(i), m[i]); }) ==
          ErrorCode::kBadFormat);
    if (i > 0)
      CHECK(refusal([&](Members& m) { std::swap(m[i], m[i - 1]); }) == ErrorCode::kBadFormat);
    // Roots must be without a gap; all other metadata must be there.
    if (i != 2 && i < 9)
      CHECK(refusal([&](Members& m) { m.erase(m.begin() + static_cast<long>(i)); }) ==
            ErrorCode::kBadFormat);
  }
  for (const std::string name :
       {"../time.json", "/time.json", "./time.json", "time.json/", "director/0.snapshot.json",
        "director/07.snapshot.json", "director/snapshot.json", "director/-1.root.json",
        "director/1.timestamp.json", "director/99999999999999999999.targets.json",
        "payloads/../director/2.root.json", "payloads/00", "image/5.delegated.json", "image/",
        "director/5.delegated.json", "director/1.root.json"}) {
    INFO(name);
    CHECK(refusal([&](Members& m) { m[1].first = name; }) == ErrorCode::kBadFormat);
  }
}

TEST_CASE("offline package: delegated roles of the Image repository, by name, behind its targets") {
  const Members roles{{"image/4.a%2Fb.json", "role a/b"},
                      {"image/12.supplier.json", "role supplier"},
                      {"image/1.supplier.2.json", "role supplier.2"}};
  const auto with = [&](const std::function<void(Members&)>& change) {
    Members members = sound();
    Members some = roles;
    change(some);
    members.insert(members.begin() + 9, some.begin(), some.end());
    return write(members);
  };
  const MemoryArchive archive(with([](Members&) {}));
  const OfflinePackage package = must(OfflinePackage::open(archive));
  for (const auto& [name, bytes] : roles) CHECK(must(package.read(name)) == to_bytes(bytes));
  CHECK(package.payloads().size() == 2);
  CHECK(package_delegated_name("a/b", 4) == roles[0].first);
  CHECK_FALSE(refusal(with([](Members& m) { m.erase(m.begin() + 1); })));
  CHECK(refusal(with([](Members& m) { std::swap(m[0], m[1]); })) == ErrorCode::kBadFormat);
  CHECK(refusal(with([](Members& m) { m[1] = m[0]; })) == ErrorCode::kBadFormat);
  // One role once, whatever its version.
  CHECK(refusal(with([](Members& m) {
          m[2] = {"image/13.supplier.json", "x"};
        })) == ErrorCode::kBadFormat);
  for (const std::string name :
       {"image/4.a%2fb.json", "image/4.a%41.json", "image/4.a%.json", "image/04.a.json",
        "image/0.a.json", "image/a.json", "image/4..json", "image/4.root.json",
        "image/4.timestamp.json", "image/4.targets.json", "image/4.snapshot.json", "image/4.a",
        "image/4.a b.json", "image/4.a/b.json", "director/4.a.json"}) {
    INFO(name);
    CHECK(refusal(with([&](Members& m) { m[0].first = name; })) == ErrorCode::kBadFormat);
  }
  CHECK(refusal([&](Members& m) { m.insert(m.end(), roles[0]); }) == ErrorCode::kBadFormat);
  CHECK(refusal([&](Members& m) { m.insert(m.begin() + 8, roles[0]); }) == ErrorCode::kBadFormat);
  const auto many = [&](int count) {
    return refusal(with([&](Members& m) {
      m.clear();
      for (int i = 0; i < count; ++i) m.emplace_back(fmt::format("image/1.r{:03}.json", i), "x");
    }));
  };
  CHECK_FALSE(many(64));
  CHECK(many(65) == ErrorCode::kTooLarge);
}

TEST_CASE("offline package: sizes are bounded before anything is read") {
  const auto size_of = [](std::size_t member, std::uint64_t length) {
    const Members members = sound();
    std::string out;
    for (std::size_t i = 0; i < member; ++i)
      out += must(package_member_head(members[i].first, members[i].second.size())) +
             members[i].second + package_padding(members[i].second.size());
    return refusal(out + must(package_member_head(members[member].first, length)));
  };
  CHECK(size_of(0, 4 * kKiB + 1) == ErrorCode::kTooLarge);
  CHECK(size_of(1, kRootBytesMax + 1) == ErrorCode::kTooLarge);
  CHECK(size_of(3, kTimestampBytesMax + 1) == ErrorCode::kTooLarge);
  CHECK(size_of(5, kTargetsBytesMax + 1) == ErrorCode::kTooLarge);
  CHECK(size_of(9, kPackageMemberBytesMax) == ErrorCode::kBadFormat);  // it is not there
  CHECK(size_of(9, 0) == ErrorCode::kBadFormat);
  CHECK(code_of(package_member_head("time.json", kPackageMemberBytesMax + 1)) ==
        ErrorCode::kTooLarge);
}

TEST_CASE("offline package: a payload has the digest that names it (P5.3)") {
  Members members = sound();
  members.back().second[3] ^= 1;
  const MemoryArchive archive(write(members));
  const OfflinePackage package = must(OfflinePackage::open(archive));
  CHECK(code_of(package.check_payloads()) == ErrorCode::kWrongImage);
}

}  // namespace layby::tests
