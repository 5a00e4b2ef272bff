// layby-delta as people run it: exit status, messages, what is left behind, memory.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "base/limits.h"
#include "delta/chunk_coder.h"
#include "delta/payload.h"
#include "delta/varint.h"
#include "delta/zstd_frame.h"
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

// A limit of the system's (setrlimit) that the program is to run under.
struct Limit {
  decltype(RLIMIT_DATA) resource;
  std::uint64_t value;
};

Outcome run_program(std::vector<std::string> arguments, std::optional<Limit> limit = {}) {
  const TempDir dir;
  const std::string log = dir / "log";
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const int fd = ::open(log.c_str(), O_WRONLY | O_CREAT, 0600);
    if (fd < 0 || ::dup2(fd, 1) < 0 || ::dup2(fd, 2) < 0) ::_exit(126);
    if (limit) {
      const rlimit both{limit->value, limit->value};
      if (::setrlimit(limit->resource, &both) != 0) ::_exit(126);
    }
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

Outcome run(std::vector<std::string> arguments, std::optional<Limit> limit = {}) {
  arguments.insert(arguments.begin(), LAYBY_BIN_DIR "/layby-delta");
  return run_program(std::move(arguments), limit);
}

void put(const std::string& path, const Bytes& bytes) {
  RealDisk disk;
  REQUIRE(replace_file(disk, path, bytes));
}

Bytes get(const std::string& path) {
  RealDisk disk;
  return read_file(disk, path, kGiB).value();
}

// Memory of the product: sanitizers keep freed memory and shadows of their own.
#ifdef __SANITIZE_ADDRESS__
constexpr std::uint64_t kResidentBytesMax = ~std::uint64_t{0};
const std::optional<Limit> kMemoryLimit;
#else
constexpr std::uint64_t kResidentBytesMax = kApplierBytesMax;
// All that it may write to in memory: above that it gets no more.
const std::optional<Limit> kMemoryLimit = Limit{RLIMIT_DATA, kApplierBytesMax};
#endif

// A payload as an attacker would write it: digests right, everything as large as a reader must
// take.
class Forgery {
 public:
  explicit Forgery(std::uint32_t chunks)
      : builder_(delta::CoderId::kZstdColumns, 4 * kMiB, chunks) {}

  // `raw` and `packed` of the six columns; packed empty: stored.
  void add(const Bytes& made, std::uint64_t history, const std::array<Bytes, 6>& raw,
           const std::array<Bytes, 6>& packed) {
    Bytes chunk{1};
    delta::append_varint(chunk, history);
    for (std::size_t i = 0; i < raw.size(); ++i) {
      delta::append_varint(chunk, raw[i].size());
      delta::append_varint(chunk, packed[i].size());
    }
    for (std::size_t i = 0; i < raw.size(); ++i)
      append(chunk, packed[i].empty() ? raw[i] : packed[i]);
    builder_.add_chunk(static_cast<std::uint32_t>(made.size()),
                       static_cast<std::uint32_t>(chunk.size()), crypto::blake2b_256(chunk),
                       crypto::blake2b_256(made));
    append(chunks_, chunk);
    append(target_, made);
  }
  void add_new(const Bytes& made) { add(made, 0, {number(made.size()), {}, {}, {}, {}, made}, {}); }

  static Bytes number(std::uint64_t value) {
    Bytes out;
    delta::append_varint(out, value);
    return out;
  }
  static void append(Bytes& to, ByteSpan bytes) { to.insert(to.end(), bytes.begin(), bytes.end()); }

  Bytes payload(const Bytes& base) {
    builder_.set_base({base.size(), crypto::sha256(base)});
    builder_.set_target(target_.size(), crypto::sha256(target_));
    Bytes out = builder_.serialise();
    append(out, chunks_);
    return out;
  }
  const Bytes& target() const { return target_; }

 private:
  delta::PayloadHeadBuilder builder_;
  Bytes chunks_;
  Bytes target_;
};

// Names in the directory that begin so: results, and what is left of results in the making.
std::vector<std::string> names(const TempDir& dir, const std::string& beginning) {
  RealDisk disk;
  std::vector<std::string> found;
  const auto all = disk.list(dir.path()).value();
  for (const std::string& name : all)
    if (name.starts_with(beginning)) found.push_back(name);
  return found;
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
  REQUIRE(
      run({"diff", dir / "old", dir / "new", "-o", dir / "p", "--chunk-bytes", "16384"}).status ==
      0);
  REQUIRE(run({"apply", "--base", dir / "old", dir / "p", "-o", dir / "out"}).status == 0);
  CHECK(get(dir / "out") == pair.target);
  CHECK(names(dir, "out").size() == 1);

  const Outcome shown = run({"inspect", "--json", dir / "p"});
  REQUIRE(shown.status == 0);
  const auto json = nlohmann::json::parse(shown.text);
  CHECK(json["base"]["bytes"] == pair.base.size());
  CHECK(json["target"]["bytes"] == pair.target.size());
  CHECK(json["payloadBytes"] == get(dir / "p").size());
  CHECK(json["chunks"].size() == 3);
  CHECK(run({"inspect", dir / "p"}).text.find("SHA-256") != std::string::npos);

  REQUIRE(run({"diff", "--full", dir / "new", "-o", dir / "f"}).status == 0);
  REQUIRE(run({"apply", dir / "f", "-o", dir / "out2"}).status == 0);
  CHECK(get(dir / "out2") == pair.target);
}

TEST_CASE("exit status and message say what was wrong, and no file is left under the name") {
  const Pair pair;
  const auto& dir = pair.dir;
  REQUIRE(
      run({"diff", dir / "old", dir / "new", "-o", dir / "p", "--chunk-bytes", "16384"}).status ==
      0);
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
      {{"diff", dir / "none", dir / "new", "-o", dir / "out"}, 2, "No such file"},
      {{"diff", dir / "old", dir / "none", "-o", dir / "out"}, 2, "No such file"},
      {{"diff", dir.path(), dir / "new", "-o", dir / "out"}, 2, "Is a directory"},
      {{"diff", dir / "old", dir / "new"}, 1, "--output"},
      {{"diff", dir / "old", dir / "new", "-o", dir / "out", "--chunk-bytes", "-1"}, 1, ""},
      {{"diff", dir / "old", dir / "new", "-o", dir / "out", "--chunk-bytes", "4294968320"}, 1, ""},
      {{"diff", dir / "old", dir / "new", "-o", dir / "out", "--memory-bytes", "-1"}, 1, ""},
      {{"apply", dir / "p", dir / "old", "-o", dir / "out"}, 1, ""},
      {{"inspect"}, 1, "PAYLOAD"},
      {{"inspect", dir / "none"}, 2, "No such file"},
      {{"nonsense"}, 1, ""},
      {{}, 1, ""}};
  for (const Case& c : cases) {
    const Outcome outcome = run(c.arguments);
    INFO(outcome.text);
    CHECK(outcome.status == c.status);
    CHECK(outcome.text.find(c.says) != std::string::npos);
    CHECK(names(dir, "out").empty());
  }
}

TEST_CASE("a result may take the place of what it was made from, and of nothing but a file") {
  const Pair pair;
  const auto& dir = pair.dir;
  // A neighbour's file that is called as results in the making once were.
  put(dir / "p.part", pair.base);
  REQUIRE(run({"diff", dir / "p.part", dir / "new", "-o", dir / "p"}).status == 0);
  CHECK(get(dir / "p.part") == pair.base);
  REQUIRE(run({"apply", "--base", dir / "old", dir / "p", "-o", dir / "old"}).status == 0);
  CHECK(get(dir / "old") == pair.target);
  const Bytes payload = get(dir / "p");
  REQUIRE(run({"apply", "--base", dir / "p.part", dir / "p", "-o", dir / "p"}).status == 0);
  CHECK(get(dir / "p") == pair.target);

  put(dir / "p", payload);
  RealDisk disk;
  REQUIRE(disk.make_dirs(dir / "directory"));
  REQUIRE(disk.symlink("/dev/null", dir / "link"));
  REQUIRE(::mkfifo((dir / "pipe").c_str(), 0600) == 0);
  const std::size_t files = disk.list(dir.path())->size();
  for (const char* name : {"directory", "link", "pipe"}) {
    INFO(name);
    const FileStatus before = disk.status(dir / name).value();
    for (const Outcome& outcome :
         {run({"diff", dir / "old", dir / "new", "-o", dir / name}),
          run({"apply", "--base", dir / "p.part", dir / "p", "-o", dir / name})}) {
      CHECK(outcome.status == 2);
      CHECK(outcome.text.find("is not a file") != std::string::npos);
    }
    CHECK(disk.status(dir / name)->kind == before.kind);
  }
  CHECK(disk.list(dir.path())->size() == files);
}

TEST_CASE("where files cannot grow the status is 2, the old result stays and no rest is left") {
  const Pair pair;
  const auto& dir = pair.dir;
  REQUIRE(run({"diff", dir / "old", dir / "new", "-o", dir / "p"}).status == 0);
  const Bytes payload = get(dir / "p");
  put(dir / "out", {1, 2, 3});
  for (const std::uint64_t room : {0u, 100u, 300u}) {
    const Limit limit{RLIMIT_FSIZE, room};
    const Outcome outcomes[] = {
        run({"apply", "--base", dir / "old", dir / "p", "-o", dir / "out"}, limit),
        run({"diff", dir / "old", dir / "new", "-o", dir / "p"}, limit)};
    for (const Outcome& outcome : outcomes) CHECK(outcome.status == 2);
    CHECK(names(dir, "out").size() == 1);
    CHECK(names(dir, "p").size() == 1);
    CHECK(get(dir / "out") == Bytes{1, 2, 3});
    CHECK(get(dir / "p") == payload);
  }
}

// A file system of its own, in namespaces of their own: no root is needed where the kernel lets
// users have them.
TEST_CASE("a full disk has status 2 and a message, and leaves the old result") {
  const Pair pair;
  const auto& dir = pair.dir;
  Random random(51);
  put(dir / "new", delta::tests::noise(random, 3 * kMiB));
  REQUIRE(run({"diff", "--full", dir / "new", "-o", dir / "p"}).status == 0);
  RealDisk disk;
  REQUIRE(disk.make_dirs(dir / "small"));
  const std::string script =
      "mount -t tmpfs -o size=2m none " + dir / "small" + " || exit 77; cd " + dir / "small" +
      "; printf old >out; " LAYBY_BIN_DIR "/layby-delta apply ../p -o out; echo applied $?; " +
      LAYBY_BIN_DIR "/layby-delta diff --full ../new -o out; echo made $?; ls; cat out";
  const Outcome outcome = run_program({"/usr/bin/unshare", "-Urm", "/bin/sh", "-c", script});
  if (outcome.status != 0 && outcome.text.find("applied") == std::string::npos) {
    WARN("no file system of its own can be had here: " << outcome.text);
    return;
  }
  INFO(outcome.text);
  CHECK(outcome.text.find("are missing\napplied 2\n") != std::string::npos);
  CHECK(outcome.text.find("No space left on device\nmade 2\nout\nold") != std::string::npos);
}

TEST_CASE("what cannot be told to anybody is an error too") {
  const Pair pair;
  const auto& dir = pair.dir;
  REQUIRE(
      run({"diff", dir / "old", dir / "new", "-o", dir / "p", "--chunk-bytes", "1024"}).status ==
      0);
  for (const char* form : {" inspect --json ", " inspect ", " apply --base old -o out "}) {
    const std::string script =
        "cd " + dir.path() + "; " LAYBY_BIN_DIR "/layby-delta" + form + "p >/dev/full";
    const Outcome outcome = run_program({"/bin/sh", "-c", script});
    INFO(form << outcome.text);
    CHECK(outcome.status == 2);
    CHECK(outcome.text.find("layby-delta: ") != std::string::npos);
  }
}

TEST_CASE("stopped by a signal or for want of memory it takes away what is half made") {
  const TempDir dir;
  Random random(52);
  put(dir / "new", delta::tests::noise(random, 24 * kMiB));
  const std::string script =
      "cd " + dir.path() +
      "; " LAYBY_BIN_DIR
      "/layby-delta diff --full new -o out & until ls | grep out; do sleep 0.02; done; "
      "kill -TERM $!; wait $!; echo ended $?; ls";
  const Outcome outcome = run_program({"/bin/sh", "-c", script});
  INFO(outcome.text);
  CHECK(outcome.text.find("out") == 0);
  CHECK(outcome.text.find("ended 143\n") != std::string::npos);
  CHECK(names(dir, "out").empty());
#ifndef __SANITIZE_ADDRESS__
  const Outcome hungry =
      run({"diff", "--full", dir / "new", "-o", dir / "out"}, Limit{RLIMIT_DATA, 16 * kMiB});
  INFO(hungry.text);
  CHECK(hungry.status == 5);
  CHECK(hungry.text.find("memory") != std::string::npos);
  CHECK(names(dir, "out").empty());
#endif
}

namespace {

// Two images much larger than the memory that they are encoded in: noise with empty stretches, then
// the same in another order, with scattered changes and something new.
void put_large_pair(const TempDir& dir, std::uint64_t bytes) {
  constexpr std::size_t kPiece = 1 * kMiB;
  Random random(71);
  RealDisk disk;
  const auto base = disk.open_write(dir / "old").value();
  const auto target = disk.open_write(dir / "new").value();
  const std::uint64_t pieces = bytes / kPiece;
  for (std::uint64_t i = 0; i < pieces; ++i) {
    Bytes piece = i % 8 == 7 ? Bytes(kPiece) : delta::tests::noise(random, kPiece);
    REQUIRE(base->write_at(i * kPiece, piece));
    for (int change = 0; change < 50; ++change)
      piece[random() % kPiece] ^= static_cast<std::uint8_t>(1 + random() % 255);
    if (i % 16 == 3) {
      const Bytes fresh = delta::tests::noise(random, 3000);
      std::copy(fresh.begin(), fresh.end(), piece.begin() + 100'000);
    }
    // Pieces have changed places by sevens, and all is farther back than it was.
    const std::uint64_t to = i / 7 * 7 + (pieces - i / 7 * 7 >= 7 ? (i % 7 * 3) % 7 : i % 7);
    REQUIRE(target->write_at(to * kPiece + 333, piece));
  }
  REQUIRE(target->write_at(0, delta::tests::noise(random, 333)));
}

// Makes and applies it, and checks that neither the payload nor the bound depends on the threads.
void check_large_pair(std::uint64_t bytes, std::uint64_t memory_bytes, const char* search) {
  const TempDir dir;
  put_large_pair(dir, bytes);
  const std::string bound = std::to_string(memory_bytes);
  for (const char* const threads : {"2", "1"}) {
    const Outcome made = run({"diff", dir / "old", dir / "new", "-o", dir / threads,
                              "--memory-bytes", bound, "--threads", threads});
    INFO(made.text);
    REQUIRE(made.status == 0);
    CHECK(made.text.find(std::string("search: ") + search) != std::string::npos);
    if (kResidentBytesMax != ~std::uint64_t{0}) CHECK(made.resident_bytes_max < memory_bytes);
    WARN("peak resident bytes of " << bytes << " with " << bound << ": "
                                   << made.resident_bytes_max);
  }
  RealDisk disk;
  CHECK(get(dir / "1") == get(dir / "2"));
  CHECK(disk.status(dir / "1")->size < bytes / 400);
  REQUIRE(run({"apply", "--base", dir / "old", dir / "1", "-o", dir / "out"}).status == 0);
  CHECK(names(dir, "expanse").empty());
  CHECK(run_program({"/usr/bin/cmp", dir / "new", dir / "out"}, {}).status == 0);
}

}  // namespace

TEST_CASE("making a payload keeps to its bound, whatever the sizes of the images") {
  check_large_pair(80 * kMiB, 144 * kMiB, "regions");
}

TEST_CASE("a file with nothing but a hole behind its first block takes no memory") {
  const TempDir dir;
  RealDisk disk;
  REQUIRE(disk.make_dirs(dir / "root"));
  {
    Random random(72);
    const auto file = disk.open_write(dir / "root/sparse").value();
    REQUIRE(file->write_at(0, delta::tests::noise(random, 4096)));
    REQUIRE(file->truncate(170 * kMiB));
  }
  put(dir / "old", Bytes(5000, 'x'));
  const std::string make = "PATH=$PATH:/usr/sbin:/sbin mke2fs -q -F -t ext4 -d " + (dir / "root") +
                           " " + (dir / "new") + " 176M";
  REQUIRE(std::system(make.c_str()) == 0);
  const std::uint64_t bound = 144 * kMiB;
  const Outcome made = run({"diff", dir / "old", dir / "new", "-o", dir / "out", "--memory-bytes",
                            std::to_string(bound), "--threads", "1"});
  INFO(made.text);
  REQUIRE(made.status == 0);
  if (kResidentBytesMax != ~std::uint64_t{0}) CHECK(made.resident_bytes_max < bound);
}

TEST_CASE("a payload of images of more than 4 GiB is made within the usual bound") {
  const char* const is_long = std::getenv("LAYBY_LONG");
  if (is_long == nullptr || std::string(is_long) != "1") return;
  check_large_pair(4 * kGiB + 64 * kMiB, 1536 * kMiB, "regions");
}

TEST_CASE("applying a file of 240 MB takes less than 20 MiB") {
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
  REQUIRE(run({"diff", "--profile", "fast", "--quick", dir / "old", dir / "new", "-o", dir / "p"})
              .status == 0);
  const Outcome applied = run({"apply", "--base", dir / "old", dir / "p", "-o", dir / "out"});
  CHECK(applied.status == 0);
  CHECK(applied.resident_bytes_max < kResidentBytesMax);
  // Making it keeps to its bound, although the payload is as large as the target: a thread is
  // reckoned with 128 MiB, of which the fast coder needs less than half; its stack has 8.
  const std::uint64_t threads = std::clamp(std::thread::hardware_concurrency(), 1u, 8u);
  const std::uint64_t target_bytes = disk.status(dir / "new")->size;
  const std::string bound = std::to_string(target_bytes + threads * 128 * kMiB);
  std::optional<Limit> limit = kMemoryLimit;
  if (limit) limit->value = target_bytes + threads * (64 + 8) * kMiB;
  const Outcome made = run({"diff", "--full", "--profile", "fast", "--quick", "--memory-bytes",
                            bound, dir / "new", "-o", dir / "f"},
                           limit);
  INFO(made.text);
  REQUIRE(made.status == 0);
  const Outcome full = run({"apply", dir / "f", "-o", dir / "out"});
  CHECK(full.status == 0);
  CHECK(full.resident_bytes_max < kResidentBytesMax);
  WARN("peak resident bytes: delta " << applied.resident_bytes_max << ", full "
                                     << full.resident_bytes_max);
}

TEST_CASE("the largest head and the hungriest chunks that a reader must take fit into 20 MiB") {
  const TempDir dir;
  Random random(61);
  const Bytes base = delta::tests::noise(random, 4 * kMiB);
  Forgery forgery(kPayloadChunksMax);
  // Chunks that grow: a buffer that doubles as it grows would hold more than it needs.
  forgery.add_new(delta::tests::noise(random, 5 * kMiB / 2));
  forgery.add_new(delta::tests::noise(random, 4 * kMiB));
  // One that needs as much for its columns, and for history before, as a reader allows: where
  // there are differences every second byte or so is one.
  const Bytes fresh(1000, 'n');
  Bytes made(fresh);
  Forgery::append(made, ByteSpan(base).subspan(fresh.size()));
  Bytes gaps(1150 * kKiB), differences(1150 * kKiB);
  for (std::size_t i = 0, at = fresh.size(); i < gaps.size(); ++i, ++at) {
    gaps[i] = at + gaps.size() - i + 1 < made.size() ? random() % 2 : 0;
    differences[i] = 1 + random() % 100;
    at += gaps[i];
    made[at] = static_cast<std::uint8_t>(made[at] + differences[i]);
  }
  const std::array<Bytes, 6> raw{
      Forgery::number(fresh.size()),
      Forgery::number(made.size() - 1000),
      Forgery::number(delta::zigzag(-static_cast<std::int64_t>(forgery.target().size()))),
      gaps,
      differences,
      fresh};
  const Bytes history(forgery.target().end() - 3 * kMiB, forgery.target().end());
  forgery.add(made, history.size(), raw,
              {Bytes{}, Bytes{}, Bytes{}, delta::zstd_pack(gaps, {}, 1),
               delta::zstd_pack(differences, {}, 1), delta::zstd_pack(fresh, history, 1)});
  for (std::uint32_t i = 3; i < kPayloadChunksMax; ++i)
    forgery.add_new({static_cast<std::uint8_t>(i)});
  put(dir / "old", base);
  put(dir / "p", forgery.payload(base));
  const Outcome applied =
      run({"apply", "--base", dir / "old", dir / "p", "-o", dir / "out"}, kMemoryLimit);
  INFO(applied.text);
  CHECK(applied.status == 0);
  CHECK(get(dir / "out") == forgery.target());
}

namespace {

// A frame of zstd of which only the library knows the length.
Bytes zstd_frame(const Bytes& noise, int level) {
  for (std::size_t bytes = noise.size(); bytes < noise.size() + 100; ++bytes) {
    Bytes frame(bytes);
    if (delta::zstd_compress(noise, level, frame)) return frame;
  }
  FAIL("noise becomes longer by 100 bytes");
  return {};
}

delta::Stream stream_of(delta::StreamForm form, std::size_t text_bytes, std::uint32_t recipe) {
  delta::Stream stream;
  stream.form = form;
  stream.text_bytes = static_cast<std::uint32_t>(text_bytes);
  stream.recipe = recipe;
  return stream;
}

// As many streams as a reader must take, in as many pieces; the first ones as long.
struct ManyStreams {
  Bytes base;
  Bytes base_view;
  std::array<Bytes, 2> made;  // target bytes of the first chunks
  std::array<Bytes, 2> views;
  delta::StreamTable table;

  explicit ManyStreams(Random& random) {
    table.zstd_version = delta::zstd_version();
    base_view = delta::tests::noise(random, kMiB);
    const Bytes base_frame = zstd_frame(base_view, 1);
    put_stream(base, base_frame, table.base, stream_of(delta::StreamForm::kZstd, kMiB, 0));
    for (int i = 0; i < 7; ++i) {
      const Bytes text = delta::tests::noise(random, 256 * kKiB);
      put_stream(made[0], zstd_frame(text, 18), table.target,
                 stream_of(delta::StreamForm::kZstd, text.size(), 18));
      Forgery::append(views[0], text);
    }
    std::copy_n(base_view.begin(), 300, views[0].begin());  // reads the base's text
    Bytes first(views[0].begin(), views[0].begin() + 256 * kKiB);
    const Bytes frame = zstd_frame(first, 18);
    REQUIRE(frame.size() == table.target[0].bytes);
    std::copy(frame.begin(), frame.end(), made[0].begin());
    const Bytes rest = delta::tests::noise(random, 2 * kMiB - made[0].size());
    Forgery::append(made[0], rest);
    Forgery::append(views[0], rest);
    const Bytes short_stream{0x4b, 0x04, 0x00};  // "a", as zlib makes it at level 9
    Bytes head = made[0];
    while (table.target.size() < delta::kStreamsMax) {
      put_stream(head, short_stream, table.target, stream_of(delta::StreamForm::kDeflate, 1, 17));
      Forgery::append(made[1], short_stream);
      views[1].push_back('a');
    }
    while (table.base.size() < delta::kStreamsMax)
      put_stream(base, short_stream, table.base, stream_of(delta::StreamForm::kDeflate, 1, 0));
    base_view.resize(base_view.size() + delta::kStreamsMax - 1, 'a');
  }

 private:
  // In two pieces.
  static void put_stream(Bytes& image, const Bytes& stream, delta::StreamList& list,
                         const delta::Stream& of) {
    const auto bytes = static_cast<std::uint32_t>(stream.size());
    list.add(of, std::vector<delta::StreamPiece>{{image.size(), bytes - 1},
                                                 {image.size() + bytes - 1, 1}});
    Forgery::append(image, stream);
  }
};

}  // namespace

TEST_CASE("with streams too the largest head and the hungriest chunks fit into 20 MiB") {
  const TempDir dir;
  Random random(62);
  const ManyStreams streams(random);
  delta::PayloadHeadBuilder builder(delta::CoderId::kMixed, 2 * kMiB, kPayloadChunksMax, {},
                                    streams.table);
  Bytes chunks;
  Bytes target;
  const auto add = [&](const Bytes& made, const Bytes& chunk) {
    builder.add_chunk(static_cast<std::uint32_t>(made.size()),
                      static_cast<std::uint32_t>(chunk.size()), crypto::blake2b_256(chunk),
                      crypto::blake2b_256(made));
    Forgery::append(chunks, chunk);
    Forgery::append(target, made);
  };
  // Form 1, all new and stored.
  const auto stored = [](const Bytes& made) {
    Bytes chunk{1, 1, 0};
    for (const std::size_t raw : {Forgery::number(made.size()).size(), std::size_t{0},
                                  std::size_t{0}, std::size_t{0}, std::size_t{0}, made.size()}) {
      Forgery::append(chunk, Forgery::number(raw));
      chunk.push_back(0);
    }
    Forgery::append(chunk, Forgery::number(made.size()));
    Forgery::append(chunk, made);
    return chunk;
  };
  const delta::CopyList copies{{0, 0, 300}};
  add(streams.made[0],
      delta::encode_chunk(delta::CoderId::kMixed,
                          {streams.base_view, streams.views[0], 0, streams.views[0].size()}, {},
                          copies, delta::Effort::kThorough));
  add(streams.made[1], stored(streams.views[1]));
  for (std::uint32_t i = 2; i < kPayloadChunksMax; ++i)
    add({static_cast<std::uint8_t>(i)}, stored({static_cast<std::uint8_t>(i)}));
  builder.set_base({streams.base.size(), crypto::sha256(streams.base)});
  builder.set_target(target.size(), crypto::sha256(target));
  Bytes payload = builder.serialise();
  Forgery::append(payload, chunks);
  put(dir / "old", streams.base);
  put(dir / "p", payload);
  const Outcome applied =
      run({"apply", "--base", dir / "old", dir / "p", "-o", dir / "out"}, kMemoryLimit);
  INFO(applied.text);
  CHECK(applied.status == 0);
  CHECK(get(dir / "out") == target);
  WARN("peak resident bytes " << applied.resident_bytes_max);
}
