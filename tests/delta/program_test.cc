// layby-delta as people run it: exit status, messages, what is left behind, memory.
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "base/limits.h"
#include "tests/delta/memory_file.h"
#include "tests/temp_dir.h"

using namespace layby;
using layby::delta::tests::Random;
using layby::tests::TempDir;

namespace {

struct Outcome {
  int status = -1;
  std::uint64_t resident_bytes_max = 0;
  std::string text;  // both of its outputs
};

// The high-water mark of a running process. Asked for again and again: what wait4 reports counts
// the memory of this process too, from before the child became another program.
std::uint64_t resident_bytes_max(pid_t process) {
  std::ifstream status("/proc/" + std::to_string(process) + "/status");
  for (std::string line; std::getline(status, line);)
    if (line.rfind("VmHWM:", 0) == 0) return std::stoull(line.substr(6)) * kKiB;
  return 0;
}

Outcome run(const TempDir& dir, std::vector<std::string> arguments) {
  const std::string log = dir / "log";
  arguments.insert(arguments.begin(), LAYBY_BIN_DIR "/layby-delta");
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    if (::freopen(log.c_str(), "w", stdout) == nullptr || ::dup2(1, 2) < 0) ::_exit(126);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  int status = 0;
  std::uint64_t resident = 0;
  while (::waitpid(child, &status, WNOHANG) == 0) {
    if (const std::uint64_t now = resident_bytes_max(child); now != 0) resident = now;
    ::usleep(3000);
  }
  RealDisk disk;
  Outcome outcome;
  outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  outcome.resident_bytes_max = resident;
  outcome.text = std::string(as_text(read_file(disk, log, kMiB).value()));
  return outcome;
}

void put(const std::string& path, const Bytes& bytes) {
  RealDisk disk;
  REQUIRE(replace_file(disk, path, bytes));
}

Bytes get(const std::string& path) {
  RealDisk disk;
  return read_file(disk, path, kGiB).value();
}

bool exists(const std::string& path) {
  RealDisk disk;
  return disk.status(path).has_value();
}

struct Pair {
  TempDir dir;
  Bytes base;
  Bytes target;
  Pair() {
    Random random(50);
    base = delta::tests::prose(random, 40'000);
    target = delta::tests::later_version(random, base, 30);
    put(dir / "old", base);
    put(dir / "new", target);
  }
};

}  // namespace

TEST_CASE("diff, inspect and apply at the command line") {
  const Pair pair;
  const auto& dir = pair.dir;
  REQUIRE(run(dir, {"diff", dir / "old", dir / "new", "-o", dir / "p", "--chunk-bytes", "16384"})
              .status == 0);
  REQUIRE(run(dir, {"apply", "--base", dir / "old", dir / "p", "-o", dir / "out"}).status == 0);
  CHECK(get(dir / "out") == pair.target);
  CHECK(!exists(dir / "out.part"));

  const Outcome shown = run(dir, {"inspect", "--json", dir / "p"});
  REQUIRE(shown.status == 0);
  const auto json = nlohmann::json::parse(shown.text);
  CHECK(json["base"]["bytes"] == pair.base.size());
  CHECK(json["target"]["bytes"] == pair.target.size());
  CHECK(json["payloadBytes"] == get(dir / "p").size());
  CHECK(json["chunks"].size() == 3);
  CHECK(run(dir, {"inspect", dir / "p"}).text.find("SHA-256") != std::string::npos);

  REQUIRE(run(dir, {"diff", "--full", dir / "new", "-o", dir / "f"}).status == 0);
  REQUIRE(run(dir, {"apply", dir / "f", "-o", dir / "out2"}).status == 0);
  CHECK(get(dir / "out2") == pair.target);
}

TEST_CASE("exit status and message say what was wrong, and no file is left under the name") {
  const Pair pair;
  const auto& dir = pair.dir;
  REQUIRE(run(dir, {"diff", dir / "old", dir / "new", "-o", dir / "p", "--chunk-bytes", "16384"})
              .status == 0);
  Bytes payload = get(dir / "p");
  put(dir / "cut", Bytes(payload.begin(), payload.end() - 10));
  payload.back() ^= 1;
  put(dir / "damaged", payload);
  put(dir / "other", Bytes(pair.base.size(), 'x'));
  struct Case {
    std::vector<std::string> arguments;
    int status;
    const char* says;
  };
  const Case cases[] = {
      {{"apply", "--base", dir / "other", dir / "p", "-o", dir / "out"}, 3, "the base has SHA-256"},
      {{"apply", "--base", dir / "cut", dir / "p", "-o", dir / "out"}, 3, "the base has"},
      {{"apply", dir / "p", "-o", dir / "out"}, 3, "needs a base"},
      {{"apply", "--base", dir / "old", dir / "cut", "-o", dir / "out"}, 4, "cut off"},
      {{"apply", "--base", dir / "old", dir / "damaged", "-o", dir / "out"},
       4,
       "chunk 2 is damaged"},
      {{"apply", "--base", dir / "old", dir / "new", "-o", dir / "out"}, 4, "not a payload"},
      {{"apply", "--base", dir / "none", dir / "p", "-o", dir / "out"}, 2, "No such file"},
      {{"apply", "--base", dir / "old", dir / "p", "-o", dir / "no/out"}, 2, "No such file"},
      {{"inspect", dir / "new"}, 4, "not a payload"},
      {{"diff", dir / "old", "-o", dir / "out"}, 1, "OLD NEW"},
      {{"diff", "--full", dir / "old", dir / "new", "-o", dir / "out"}, 1, "--full NEW"},
      {{"diff", dir / "old", dir / "new", "-o", dir / "out", "--chunk-bytes", "5"},
       1,
       "chunks of 5"},
      {{"diff", dir / "old", dir / "new", "-o", dir / "out", "--memory-bytes", "5"}, 5, "memory"},
      {{"nonsense"}, 1, ""},
      {{}, 1, ""}};
  for (const Case& c : cases) {
    const Outcome outcome = run(dir, c.arguments);
    INFO(outcome.text);
    CHECK(outcome.status == c.status);
    CHECK(outcome.text.find(c.says) != std::string::npos);
    CHECK(!exists(dir / "out"));
    CHECK(!exists(dir / "out.part"));
  }
}

TEST_CASE("applying a file of 240 MB takes less than 24 MiB") {
  const TempDir dir;
  RealDisk disk;
  {
    Random random(60);
    const auto base = disk.open_write(dir / "old").value();
    const auto target = disk.open_write(dir / "new").value();
    std::uint64_t at = 0;
    for (int i = 0; i < 240; ++i) {
      Bytes piece = delta::tests::noise(random, 1'000'000);
      REQUIRE(base->write_at(base->size(), piece));
      for (int k = 0; k < 300; ++k) piece[random() % piece.size()] ^= 0x55;
      piece.resize(piece.size() - random() % 1000);
      if (i % 16 == 0) piece = delta::tests::noise(random, 900'000);  // new and incompressible
      REQUIRE(target->write_at(at, piece));
      at += piece.size();
    }
  }
  REQUIRE(run(dir, {"diff", "--fast", dir / "old", dir / "new", "-o", dir / "p"}).status == 0);
  const Outcome applied = run(dir, {"apply", "--base", dir / "old", dir / "p", "-o", dir / "out"});
  CHECK(applied.status == 0);
  CHECK(applied.resident_bytes_max < kApplierBytesMax);
  REQUIRE(run(dir, {"diff", "--full", "--fast", dir / "new", "-o", dir / "f"}).status == 0);
  const Outcome full = run(dir, {"apply", dir / "f", "-o", dir / "out"});
  CHECK(full.status == 0);
  CHECK(full.resident_bytes_max < kApplierBytesMax);
  WARN("peak resident bytes: delta " << applied.resident_bytes_max << ", full "
                                     << full.resident_bytes_max);
}
