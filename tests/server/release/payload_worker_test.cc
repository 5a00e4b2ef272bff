#include "server/release/payload_worker.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>

#include "crypto/random.h"
#include "delta/applier.h"
#include "server/director/director_keys.h"
#include "server/release/image.h"
#include "server/release/release_keys.h"
#include "tests/server/release/test_repository.h"

using namespace layby;
using namespace layby::server;
using namespace layby::tests;

namespace {

// The process ends here, as far as the code under test can tell.
struct Killed {};

// Counts the steps that leave something behind, and ends the process before or after one of them.
struct Fate {
  int kill_at = -1;  // steps 2n: before the n-th effect; 2n+1: after it
  int step = 0;
  void reach() {
    if (step++ == kill_at) throw Killed();
  }
};

class MortalStore final : public Store {
 public:
  MortalStore(Store& real, Fate& fate) : real_(real), fate_(fate) {}
  Result<std::optional<std::string>> get(std::string_view key) const override {
    return real_.get(key);
  }
  Result<std::vector<KeyValue>> scan(std::string_view begin, std::string_view end,
                                     std::size_t limit) const override {
    return real_.scan(begin, end, limit);
  }
  Result<void> commit(const Batch& batch) override {
    fate_.reach();
    Result<void> result = real_.commit(batch);
    fate_.reach();
    return result;
  }
  Result<void> purge(const std::vector<KeyRange>& ranges) override { return real_.purge(ranges); }

 private:
  Store& real_;
  Fate& fate_;
};

class MortalPayloads final : public PayloadStore {
 public:
  MortalPayloads(PayloadStore& real, Fate& fate) : real_(real), fate_(fate) {}
  Result<std::unique_ptr<ReadAt>> open(const crypto::Digest256& name) const override {
    return real_.open(name);
  }
  Result<std::string> local_path(const crypto::Digest256& name) const override {
    return real_.local_path(name);
  }
  Result<void> adopt(const std::string& path, const crypto::Digest256& name) override {
    fate_.reach();
    Result<void> result = real_.adopt(path, name);
    fate_.reach();
    return result;
  }
  std::string incoming_dir() const override { return real_.incoming_dir(); }

 private:
  PayloadStore& real_;
  Fate& fate_;
};

Services with(const Services& services, Store& store, PayloadStore& payloads) {
  return {.store = store,
          .payloads = payloads,
          .disk = services.disk,
          .clock = services.clock,
          .keys = services.keys,
          .vehicle_authority = services.vehicle_authority,
          .data_dir = services.data_dir,
          .public_base_url = services.public_base_url};
}

// Two releases that share most of their bytes.
std::string region(int release) {
  std::string text;
  for (int i = 0; i < 4000; ++i) {
    const int version = i % 97 == 0 ? release : 0;
    text += "city " + std::to_string(i * 7919 % 10'007) + " v" + std::to_string(version) + "\n";
  }
  return text;
}

std::vector<manifest::Payload> payloads_of_image(const TestServices& test, const char* name) {
  return payloads_of(*test.store, **image(*test.store, name)).value();
}

std::size_t stored_files(const TestServices& test) {
  RealDisk disk;
  std::size_t count = 0;
  const auto count_in = [&](const auto& self, const std::string& dir) -> void {
    const auto names = disk.list(dir).value();
    for (const std::string& name : names) {
      const std::string path = dir + "/" + name;
      const auto kind = disk.status(path)->kind;
      if (kind == FileStatus::Kind::kDirectory) self(self, path);
      if (kind == FileStatus::Kind::kFile) ++count;
    }
  };
  count_in(count_in, test.dir / "payloads");
  return count;
}

}  // namespace

TEST_CASE("what a payload needs to be applied is stored with it") {
  // The same tree twice, as SquashFS (to the repository bytes are bytes): blocks that changed are
  // made again by what packed them, and by nothing else.
  const auto packed_by =
      GENERATE(std::pair("zstd", std::string("zstd")), std::pair("xz", std::string("liblzma")));
  TestServices test;
  const auto squashfs = [&](int release) {
    const std::string tree = test.dir / ("tree" + std::to_string(release));
    const std::string out = test.dir / ("image" + std::to_string(release));
    REQUIRE(test.services.disk.make_dirs(tree));
    const std::string text = region(release);
    REQUIRE(test.services.disk.open_write(tree + "/map").value()->write_at(0, as_bytes(text)));
    const std::string command = "mksquashfs " + tree + " " + out +
                                " -quiet -no-progress -noappend -all-root -mkfs-time 0"
                                " -all-time 0 -comp " +
                                std::string(packed_by.first) + " > /dev/null";
    REQUIRE(std::system(command.c_str()) == 0);
    const Bytes bytes = read_file(test.services.disk, out, 4 * kMiB).value();
    return std::string(bytes.begin(), bytes.end());
  };
  TestRepository repository(test.services);
  repository.add({.name = "maps/DE/1.tar", .bytes = squashfs(1), .release_counter = 1});
  repository.publish_and_make_payloads();
  repository.add({.name = "maps/DE/2.tar", .bytes = squashfs(2), .release_counter = 2});
  repository.publish_and_make_payloads();
  const auto payloads = payloads_of_image(test, "maps/DE/2.tar");
  REQUIRE(payloads.size() == 2);
  manifest::ReEncoders needed;
  for (const delta::ReEncoder& one : delta::available_re_encoders())
    if (one.name == packed_by.second) needed.emplace(one.name, one.version);
  REQUIRE(needed.size() == 1);
  REQUIRE(payloads[0].base);
  CHECK(payloads[0].needs == needed);
  CHECK(payloads[1].needs.empty());  // the whole image needs nothing
}

TEST_CASE("deltas come first, then the whole image; each payload makes the image") {
  TestServices test;
  TestRepository repository(test.services);
  repository.add({.name = "maps/DE/1.tar", .bytes = region(1), .release_counter = 1});
  repository.publish_and_make_payloads();
  repository.add({.name = "maps/DE/2.tar", .bytes = region(2), .release_counter = 2});
  REQUIRE(repository.publish());
  std::vector<std::string> available;
  test.services.image_available = [&](std::string_view name) { available.emplace_back(name); };

  JobRun run = run_one_job(test.services, {}).value();
  REQUIRE(run.job);
  CHECK(run.job->kind == JobKind::kDelta);
  CHECK(run.job->state == JobState::kDone);
  CHECK(run.job->base->image == "maps/DE/1.tar");
  CHECK(availability(*test.store, "maps/DE/2.tar") == Availability::kNoPayloadYet);
  CHECK(available.empty());
  run = run_one_job(test.services, {}).value();
  REQUIRE(run.job);
  CHECK(run.job->kind == JobKind::kFull);
  CHECK(available == std::vector<std::string>{"maps/DE/2.tar"});
  CHECK(availability(*test.store, "maps/DE/2.tar") == Availability::kAvailable);

  const auto payloads = payloads_of_image(test, "maps/DE/2.tar");
  REQUIRE(payloads.size() == 2);
  CHECK(payloads[0].base == crypto::sha256(as_bytes(region(1))));
  CHECK_FALSE(payloads[1].base);
  CHECK(payloads[0].length < payloads[1].length / 2);
  for (const manifest::Payload& payload : payloads) {
    const auto file = test.payloads->open(payload.sha256).value();
    CHECK(file->size() == payload.length);
    std::unique_ptr<ReadAt> base;
    if (payload.base) base = test.payloads->open(*payload.base).value();
    const std::string path = test.dir / "made";
    REQUIRE(test.disk.remove(path));
    const auto made = test.disk.open_write(path).value();
    REQUIRE(delta::apply_payload(*file, base.get(), *made));
    CHECK(as_text(read_file(test.disk, path, kMiB).value()) == region(2));
  }
}

TEST_CASE("deltas are of the profile that the publication asked for, the small one if it did not") {
  TestServices test;
  TestRepository repository(test.services);
  repository.add({.name = "maps/DE/1.tar", .bytes = region(1), .release_counter = 1});
  repository.publish_and_make_payloads();
  repository.add({.name = "maps/DE/2.tar", .bytes = region(2), .release_counter = 2});
  repository.publish_and_make_payloads();
  repository.add({.name = "maps/DE/3.tar", .bytes = region(3), .release_counter = 3});
  REQUIRE(publish_targets(test.services, as_bytes(repository.sign()), delta::Profile::kFast)
              .value()
              .jobs == 3);
  run_all_jobs(test.services);
  const auto coder_of = [&](const char* name) {
    const manifest::Payload delta = payloads_of_image(test, name).at(0);
    REQUIRE(delta.base);
    return delta::read_head(*test.payloads->open(delta.sha256).value()).value().coder();
  };
  CHECK(coder_of("maps/DE/2.tar") == delta::CoderId::kMixed);
  CHECK(coder_of("maps/DE/3.tar") == delta::CoderId::kZstdColumns);
}

TEST_CASE("a delta that is no smaller than the whole image is not offered") {
  TestServices test;
  TestRepository repository(test.services);
  const auto noise = [] { return std::string(as_text(crypto::random_bytes(5000))); };
  repository.add({.name = "maps/DE/1.tar", .bytes = noise(), .release_counter = 1});
  repository.publish_and_make_payloads();
  repository.add({.name = "maps/DE/2.tar", .bytes = noise(), .release_counter = 2});
  repository.publish_and_make_payloads();
  const auto payloads = payloads_of_image(test, "maps/DE/2.tar");
  REQUIRE(payloads.size() == 1);
  CHECK_FALSE(payloads[0].base);
}

TEST_CASE("deltas are made from as many earlier releases as configured, the nearest first") {
  TestServices test;
  test.services.delta_bases = 2;
  TestRepository repository(test.services);
  for (int release = 1; release <= 4; ++release)
    repository.add({.name = "maps/DE/" + std::to_string(release) + ".tar",
                    .bytes = region(release),
                    .release_counter = static_cast<std::uint64_t>(release)});
  repository.publish_and_make_payloads();  // all four in one publication
  CHECK(payloads_of_image(test, "maps/DE/1.tar").size() == 1);
  CHECK(payloads_of_image(test, "maps/DE/2.tar").size() == 2);
  CHECK(payloads_of_image(test, "maps/DE/3.tar").size() == 3);
  CHECK(payloads_of_image(test, "maps/DE/4.tar").size() == 3);
  std::vector<std::string> bases;
  const auto jobs = list_jobs(*test.store, "", 100).value();
  for (const PayloadJob& job : jobs)
    if (job.image == "maps/DE/4.tar" && job.base) bases.push_back(job.base->image);
  CHECK(bases == std::vector<std::string>{"maps/DE/3.tar", "maps/DE/2.tar"});
}

TEST_CASE("killed before or after any step and run again, a job ends with the same one payload") {
  int kills = 0;
  for (int kill_at = 0;; ++kill_at) {
    INFO("killed at step " << kill_at);
    TestServices test;
    TestRepository repository(test.services);
    repository.add({.name = "maps/DE/1.tar", .bytes = region(1), .release_counter = 1});
    repository.publish_and_make_payloads();
    repository.add({.name = "maps/DE/2.tar", .bytes = region(2), .release_counter = 2});
    REQUIRE(repository.publish());
    // A car waits for the image: its metadata must be outdated once the image is there.
    const std::string cached = director_timestamp_key("WVWZZZ1JZXW000017");
    const Batch waiting{{},
                        {{wants_key("maps/DE/2.tar", "WVWZZZ1JZXW000017"), ""}, {cached, "old"}}};
    REQUIRE(test.store->commit(waiting));

    Fate fate{.kill_at = kill_at};
    MortalStore store(*test.store, fate);
    MortalPayloads payloads(*test.payloads, fate);
    const Services mortal = with(test.services, store, payloads);
    bool killed = false;
    try {
      run_all_jobs(mortal);
    } catch (const Killed&) {
      killed = true;
      ++kills;
    }
    test.store.reset();  // what the process had open is closed; what it had written is there
    test.store = RocksDbStore::open(test.dir / "store").value();
    const Services again = with(test.services, *test.store, *test.payloads);
    REQUIRE(requeue_interrupted_jobs(again));
    run_all_jobs(again);

    const auto made = payloads_of(*test.store, **image(*test.store, "maps/DE/2.tar")).value();
    REQUIRE(made.size() == 2);
    CHECK(stored_files(test) == 5);  // two images, three payloads, nothing left in incoming/
    CHECK(open_jobs(*test.store, 10)->empty());
    CHECK_FALSE(test.store->get(cached)->has_value());
    const auto jobs = list_jobs(*test.store, "", 10).value();
    for (const PayloadJob& job : jobs) CHECK(job.state == JobState::kDone);
    if (!killed) break;
  }
  CHECK(kills == 18);  // two jobs: claim, adopt, facts, done; the whole image outdates metadata too
}

TEST_CASE("a job that fails is tried three times, later each time, and keeps its error") {
  TestServices test;
  TestRepository repository(test.services);
  repository.add({.name = "maps/DE/1.tar", .bytes = region(1)});
  REQUIRE(repository.publish());
  // The image's bytes rot on the server's disk after they were checked.
  const auto digest = crypto::sha256(as_bytes(region(1)));
  const auto file = test.disk.open_write(test.payloads->local_path(digest).value()).value();
  REQUIRE(file->write_at(100, as_bytes("X")));

  UnixSeconds waited = 0;
  for (std::uint64_t attempt = 1; attempt <= kJobAttemptsMax; ++attempt) {
    const JobRun run = run_one_job(test.services, {}).value();
    REQUIRE(run.job);
    CHECK(run.job->attempts == attempt);
    CHECK(run.job->error.find("wrong-image") == 0);
    if (attempt == kJobAttemptsMax) {
      CHECK(run.job->state == JobState::kFailed);
      break;
    }
    CHECK(run.job->state == JobState::kQueued);
    const JobRun early = run_one_job(test.services, {}).value();
    CHECK_FALSE(early.job);
    REQUIRE(early.again);
    CHECK(*early.again - test.clock.now() > waited);
    waited = *early.again - test.clock.now();
    test.clock.advance(waited);
  }
  const JobRun idle = run_one_job(test.services, {}).value();
  CHECK_FALSE(idle.job);
  CHECK_FALSE(idle.again);
  CHECK(availability(*test.store, "maps/DE/1.tar") == Availability::kNoPayloadYet);
  CHECK(test.disk.list(test.payloads->incoming_dir())->empty());
}

TEST_CASE("a job keeps to the memory it is given, and says so where that is too little") {
  TestServices test;
  TestRepository repository(test.services);
  repository.add({.name = "maps/DE/1.tar", .bytes = region(1), .release_counter = 1});
  REQUIRE(repository.publish());
  const JobRun run = run_one_job(test.services, {}, {100 * kMiB}).value();
  REQUIRE(run.job);
  CHECK(run.job->state == JobState::kQueued);
  CHECK(run.job->error.find("memory") != std::string::npos);
  test.clock.advance(kDaySeconds);
  CHECK(run_one_job(test.services, {}, {256 * kMiB})->job->state == JobState::kDone);
}

TEST_CASE("the whole image waits while a delta of it is to be tried again; other images do not") {
  TestServices test;
  TestRepository repository(test.services);
  repository.add({.name = "maps/DE/1.tar", .bytes = region(1), .release_counter = 1});
  repository.publish_and_make_payloads();
  repository.add({.name = "maps/DE/2.tar", .bytes = region(2), .release_counter = 2});
  repository.add({.name = "maps/FR/1.tar", .bytes = region(3)});
  REQUIRE(repository.publish());
  const auto base = test.payloads->local_path(crypto::sha256(as_bytes(region(1)))).value();
  REQUIRE(test.disk.rename(base, base + ".away"));
  JobRun run = run_one_job(test.services, {}).value();
  CHECK(run.job->kind == JobKind::kDelta);
  CHECK(run.job->state == JobState::kQueued);
  run = run_one_job(test.services, {}).value();
  CHECK(run.job->image == "maps/FR/1.tar");
  CHECK_FALSE(run_one_job(test.services, {})->job);
  REQUIRE(test.disk.rename(base + ".away", base));
  test.clock.advance(kDaySeconds);
  run_all_jobs(test.services);
  CHECK(payloads_of_image(test, "maps/DE/2.tar").size() == 2);
}

TEST_CASE("superseded images are made last, whatever came first") {
  TestServices test;
  TestRepository repository(test.services);
  repository.add({.name = "maps/DE/1.tar", .bytes = region(1), .release_counter = 1});
  REQUIRE(repository.publish());
  repository.add({.name = "maps/DE/2.tar", .bytes = region(2), .release_counter = 2});
  repository.add({.name = "maps/FR/1.tar", .bytes = region(3)});
  REQUIRE(repository.publish());
  std::vector<std::string> order;
  for (JobRun run = run_one_job(test.services, {}).value(); run.job;
       run = run_one_job(test.services, {}).value()) {
    CHECK(run.job->state == JobState::kDone);
    order.push_back(std::string(to_string(run.job->kind)) + " " + run.job->image);
  }
  CHECK(order == std::vector<std::string>{"delta maps/DE/2.tar", "full maps/DE/2.tar",
                                          "full maps/FR/1.tar", "full maps/DE/1.tar"});
}

TEST_CASE("cars are told of a withdrawn image before anything is encoded") {
  TestServices test;
  TestRepository repository(test.services);
  repository.add({.name = "maps/DE/1.tar", .bytes = region(1), .release_counter = 1});
  repository.publish_and_make_payloads();
  repository.add({.name = "maps/DE/2.tar", .bytes = region(2), .release_counter = 2});
  REQUIRE(repository.publish());
  repository.next.targets.erase("maps/DE/1.tar");
  REQUIRE(repository.publish()->withdrawn.size() == 1);
  const JobRun run = run_one_job(test.services, {}).value();
  CHECK(run.job->kind == JobKind::kAnnounce);
  CHECK(run.job->image == "maps/DE/1.tar");
  CHECK(run_one_job(test.services, {})->job->kind == JobKind::kDelta);
}

TEST_CASE("a superseded image that an order waits for is not put off") {
  TestServices test;
  TestRepository repository(test.services);
  repository.add({.name = "maps/DE/1.tar", .bytes = region(1), .release_counter = 1});
  REQUIRE(repository.publish());
  repository.add({.name = "maps/DE/2.tar", .bytes = region(2), .release_counter = 2});
  REQUIRE(repository.publish());
  REQUIRE(test.store->commit(
      {{}, {{order_waits_prefix("maps/DE/1.tar") + "ord_1", "WVWZZZ1JZXW000017"}}}));
  CHECK(run_one_job(test.services, {})->job->image == "maps/DE/1.tar");
}

TEST_CASE("a failed delta that is tried again by hand reaches cars, also after the whole image") {
  TestServices test;
  TestRepository repository(test.services);
  repository.add({.name = "maps/DE/1.tar", .bytes = region(1), .release_counter = 1});
  repository.publish_and_make_payloads();
  repository.add({.name = "maps/DE/2.tar", .bytes = region(2), .release_counter = 2});
  REQUIRE(repository.publish());
  const auto base = test.payloads->local_path(crypto::sha256(as_bytes(region(1)))).value();
  REQUIRE(test.disk.rename(base, base + ".away"));
  std::string id;
  for (int i = 0; i < 4; ++i) {
    const JobRun run = run_one_job(test.services, {}).value();
    REQUIRE(run.job);
    if (run.job->kind == JobKind::kDelta) id = run.job->id;
    test.clock.advance(kDaySeconds);
  }
  CHECK_FALSE(run_one_job(test.services, {})->job);
  REQUIRE(availability(*test.store, "maps/DE/2.tar") == Availability::kAvailable);
  REQUIRE(test.disk.rename(base + ".away", base));
  const std::string cached = director_timestamp_key("WVWZZZ1JZXW000017");
  REQUIRE(test.store->commit(
      {{}, {{wants_key("maps/DE/2.tar", "WVWZZZ1JZXW000017"), ""}, {cached, "old"}}}));

  CHECK(retry_job(*test.store, "none", test.clock.now()).error().code() == ErrorCode::kNotFound);
  const auto again = retry_job(*test.store, id, test.clock.now());
  REQUIRE(again);
  CHECK(again->attempts == 0);
  CHECK(retry_job(*test.store, id, test.clock.now()).error().code() == ErrorCode::kConflict);
  const JobRun run = run_one_job(test.services, {}).value();
  REQUIRE(run.job);
  CHECK(run.job->state == JobState::kDone);
  CHECK(run.job->attempts == 1);
  CHECK(payloads_of_image(test, "maps/DE/2.tar").size() == 2);
  CHECK_FALSE(test.store->get(cached)->has_value());
  CHECK(retry_job(*test.store, id, test.clock.now()).error().code() == ErrorCode::kConflict);
}

TEST_CASE("a job that kills the process each time ends as failed") {
  TestServices test;
  TestRepository repository(test.services);
  repository.add({.name = "maps/DE/1.tar", .bytes = region(1)});
  REQUIRE(repository.publish());
  for (std::uint64_t i = 0; i < kJobAttemptsMax; ++i) {
    Fate fate{.kill_at = 2};  // after the attempt was counted, before the payload is adopted
    MortalStore store(*test.store, fate);
    MortalPayloads payloads(*test.payloads, fate);
    CHECK_THROWS_AS(run_one_job(with(test.services, store, payloads), {}), Killed);
    REQUIRE(requeue_interrupted_jobs(test.services));
  }
  CHECK_FALSE(run_one_job(test.services, {})->job);
  const auto jobs = list_jobs(*test.store, "", 10).value();
  REQUIRE(jobs.size() == 1);
  CHECK(jobs[0].state == JobState::kFailed);
  CHECK(jobs[0].attempts == kJobAttemptsMax);
}

TEST_CASE("a stop puts the job back, uncounted") {
  TestServices test;
  TestRepository repository(test.services);
  repository.add({.name = "maps/DE/1.tar", .bytes = region(1)});
  REQUIRE(repository.publish());
  std::stop_source stop;
  stop.request_stop();
  const JobRun run = run_one_job(test.services, stop.get_token()).value();
  REQUIRE(run.job);
  CHECK(run.job->state == JobState::kQueued);
  CHECK(run.job->attempts == 0);
  run_all_jobs(test.services);
  CHECK(availability(*test.store, "maps/DE/1.tar") == Availability::kAvailable);
}
