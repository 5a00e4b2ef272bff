#include "agent/state_owner.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>

#include "base/disk.h"
#include "tests/temp_dir.h"

using namespace layby;
using namespace layby::agent;
using namespace layby::tests;

namespace {

constexpr uid_t kSomebody = 65534;

// Whoever runs the tests is not root meanwhile, who may read everything.
class AsSomebody {
 public:
  AsSomebody() {
    if (was_ == 0) REQUIRE(::seteuid(kSomebody) == 0);
  }
  ~AsSomebody() {
    if (::seteuid(was_) != 0) std::abort();
  }
  AsSomebody(const AsSomebody&) = delete;
  AsSomebody& operator=(const AsSomebody&) = delete;

 private:
  const uid_t was_ = ::geteuid();
};

Result<void> checked_by_somebody(const std::string& directory) {
  const AsSomebody somebody;
  return check_state_access(directory);
}

void give(const std::string& path, uid_t user, mode_t mode) {
  REQUIRE(::chmod(path.c_str(), mode) == 0);
  if (::geteuid() == 0) REQUIRE(::chown(path.c_str(), user, user) == 0);
}

}  // namespace

TEST_CASE("a file of the state directory that cannot be read is named, with what to do") {
  const TempDir dir;
  RealDisk disk;
  const std::string state = dir / "state";
  CHECK(checked_by_somebody(state).has_value());  // not provisioned: others say so
  REQUIRE(disk.make_dirs(state + "/keys"));
  const std::string key = state + "/keys/ecu.key";
  REQUIRE(replace_file(disk, key, as_bytes("key")));
  for (const std::string& path : {key, state + "/keys", state, dir.path()})
    give(path, kSomebody, 0700);
  CHECK(checked_by_somebody(state).has_value());

  // Whose file it is that is in the way, and who asks.
  for (const std::string& path : {key, state + "/keys", state}) {
    give(path, 0, 0);
    const auto checked = checked_by_somebody(state);
    give(path, kSomebody, 0700);
    REQUIRE(!checked);
    const std::string text = checked.error().message();
    CHECK(checked.error().code() == ErrorCode::kIo);
    CHECK(text.starts_with(path + " belongs to "));
    CHECK(text.find("chown -R ") != std::string::npos);
    CHECK(text.find(": " + state) != std::string::npos);
    if (::geteuid() == 0) CHECK(text.find(" belongs to root, and ") != std::string::npos);
  }

  REQUIRE(disk.make_dirs(state + "/lost+found"));
  give(state + "/lost+found", 0, 0);
  REQUIRE(disk.symlink("/dev/mem", state + "/a.img"));
  CHECK(checked_by_somebody(state).has_value());
  give(state + "/lost+found", kSomebody, 0700);
}

TEST_CASE("root makes nothing in a directory of somebody else") {
  const TempDir dir;
  CHECK(check_state_owner(dir / "none").has_value());
  CHECK(check_state_owner(dir.path()).has_value());
  if (::geteuid() != 0) return;  // only root can do so
  give(dir.path(), kSomebody, 0700);
  const auto checked = check_state_owner(dir.path());
  REQUIRE(!checked);
  CHECK(checked.error().code() == ErrorCode::kInvalidArgument);
  CHECK(checked.error().message().find("runuser -u ") != std::string::npos);
  const AsSomebody somebody;
  CHECK(check_state_owner(dir.path()).has_value());
}
