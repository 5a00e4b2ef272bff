// Applying that is cut: at every chunk, and by SIGKILL at any instant, on real pairs (P4.7). Pieces
// of such pairs lie in tests/fixtures/delta; LAYBY_PAIRS=DIR takes all pairs DIR/*/{old,new}
// instead, as benches/payloads.sh does.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <cstdlib>
#include <thread>

#include "base/limits.h"
#include "delta/applier.h"
#include "delta/encoder.h"
#include "tests/delta/memory_file.h"
#include "tests/temp_dir.h"

namespace layby::delta::tests {
namespace {

struct Pair {
  std::string name, old_path, new_path;
};

std::vector<Pair> real_pairs() {
  const std::string fixtures = LAYBY_FIXTURES_DIR "/delta/";
  std::vector<Pair> pairs;
  const char* dir = std::getenv("LAYBY_PAIRS");
  if (dir == nullptr) {
    for (const std::string name : {"node", "map-sqlite"})
      pairs.push_back({name, fixtures + name + ".old", fixtures + name + ".new"});
    return pairs;
  }
  RealDisk disk;
  const std::vector<std::string> names = disk.list(dir).value();
  for (const std::string& name : names) {
    const std::string at = std::string(dir) + "/" + name;
    if (disk.status(at + "/old") && disk.status(at + "/new"))
      pairs.push_back({name, at + "/old", at + "/new"});
  }
  REQUIRE_FALSE(pairs.empty());
  return pairs;
}

// A payload on the disk, and what a car keeps while it applies it: the target, and a mark that says
// how many chunks are durable.
class Work {
 public:
  Work(const Pair& pair, Profile profile) : base_(disk_.open_read(pair.old_path).value()) {
    const auto target = disk_.open_read(pair.new_path).value();
    const auto output = disk_.open_write(path("payload")).value();
    EncodeOptions options{.profile = profile, .effort = Effort::kQuick, .stop = {}};
    if (target->size() < kMiB) options.chunk_target_bytes = 8 * kKiB;
    REQUIRE(encode(base_.get(), *target, options, *output));
  }

  std::uint32_t chunk_count() const { return head().chunk_count(); }
  std::uint32_t marked() const {
    const auto mark = read_file(disk_, path("mark"), 4);
    return mark ? load_u32(mark->data()) : 0;
  }
  void begin() {
    REQUIRE(disk_.remove(path("target")));
    REQUIRE(disk_.remove(path("mark")));
  }

  // As a process that has just started: applies chunks until `end` of them are marked.
  Result<void> apply_until(std::uint32_t end) {
    const auto payload = TRY(disk_.open_read(path("payload")));
    const auto target = TRY(disk_.open_write(path("target")));
    Applier applier = TRY(Applier::open(TRY(read_head(*payload)), base_.get()));
    for (std::uint32_t i = marked(); i < end; ++i) {
      const ChunkEntry& chunk = applier.head().chunk(i);
      Bytes bytes(chunk.payload_bytes);
      TRY_VOID(payload->read_at(chunk.payload_offset, bytes));
      TRY_VOID(applier.apply_chunk(i, bytes, *target));
      TRY_VOID(target->sync());
      Bytes mark;
      for (int shift = 0; shift < 32; shift += 8)
        mark.push_back(static_cast<std::uint8_t>((i + 1) >> shift));
      TRY_VOID(replace_file(disk_, path("mark"), mark));
    }
    return {};
  }

  bool is_right() const {
    return check_target(head(), *disk_.open_read(path("target")).value()).has_value();
  }

 private:
  std::string path(const char* name) const { return dir_ / name; }
  PayloadHead head() const { return read_head(*disk_.open_read(path("payload")).value()).value(); }

  layby::tests::TempDir dir_;
  mutable RealDisk disk_;
  std::unique_ptr<ReadAt> base_;
};

// Ends a process that applies after `microseconds`; whether it was still at it.
bool kill_after(Work& work, std::uint32_t end, std::uint64_t microseconds) {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) _exit(work.apply_until(end) ? 0 : 1);
  std::this_thread::sleep_for(std::chrono::microseconds(microseconds));
  kill(child, SIGKILL);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  if (WIFEXITED(status)) REQUIRE(WEXITSTATUS(status) == 0);
  return WIFSIGNALED(status);
}

}  // namespace

TEST_CASE("work that is cut at each chunk, or killed at any instant, goes on at its mark (P4.7)") {
  for (const Pair& pair : real_pairs())
    for (const Profile profile : {Profile::kSmall, Profile::kFast}) {
      CAPTURE(pair.name, to_string(profile));
      Work work(pair, profile);
      const std::uint32_t count = work.chunk_count();
      const auto started = std::chrono::steady_clock::now();
      work.begin();
      for (std::uint32_t i = 1; i <= count; ++i) REQUIRE(work.apply_until(i));
      CHECK(work.is_right());
      const auto took =
          static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(
                                         std::chrono::steady_clock::now() - started)
                                         .count());

      // Each process gets a few chunks' time; from time to time one gets through. Where the machine
      // was slow when that was measured the first one may get through: all of it once more.
      Random random(count);
      std::uint32_t kills = 0;
      for (int rounds = 0; kills == 0 && rounds < 50; ++rounds) {
        work.begin();
        for (std::uint32_t tries = 0; work.marked() < count; ++tries) {
          const std::uint32_t before = work.marked();
          REQUIRE(tries < 50 * count + 1000);
          if (kill_after(work, count, random() % (4 * took / count + 2000))) ++kills;
          REQUIRE(work.marked() >= before);
        }
        CHECK(work.is_right());
      }
      CHECK(kills > 0);
      WARN(pair.name << ", " << to_string(profile) << ": cut at each of " << count
                     << " chunks, killed " << kills << " times");
    }
}

}  // namespace layby::delta::tests
