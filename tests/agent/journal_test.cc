#include "agent/journal.h"

#include <catch2/catch.hpp>

#include "tests/agent/memory_disk.h"
#include "tests/agent/world.h"

using namespace layby;
using namespace layby::agent;
using namespace layby::tests;

namespace {

Record sample(std::uint64_t counter) {
  Record record;
  record.report_counter = counter;
  OrderRecord order{.id = manifest::OrderId::generate(1'800'000'000)};
  order.state = State::kDownloading;
  order.licence = to_bytes("sealed");
  order.error = Error(ErrorCode::kWrongChunk, "chunk 3");
  order.waiting_for = {"connection"};
  order.conditions = {{"Vehicle.Speed", "0"}};
  ImageProgress image{.name = manifest::ImageName::parse("maps/DE/2.tar").value(),
                      .slot = manifest::Slot::parse("map.DE").value()};
  image.payloads.push_back({.base = crypto::sha256(as_bytes("b")), .length = 77});
  image.chosen = 0;
  image.chunks_done = 4;
  order.images.push_back(image);
  record.orders.push_back(order);
  record.functions[manifest::FunctionId::parse("f").value()].on = true;
  record.functions[manifest::FunctionId::parse("f").value()].told_until = 1'900'000'000;
  record.functions[manifest::FunctionId::parse("f").value()].key_release = 3;
  record.orders[0].offered_at = 1'800'000'001;
  record.orders[0].images[0].network = manifest::NetworkNeed::kNotRoaming;
  record.data_month = "2026-11";
  record.data_bytes = 12;
  record.visits[manifest::RegionId::parse("DE").value()] = 1'800'000'002;
  record.map_ask_next = 1'800'000'003;
  record.map_found = record.orders[0].id.text();
  return record;
}

Bytes bytes_of(const Record& record) {
  return encode_record(record).value();
}

}  // namespace

TEST_CASE("a record reads back as it was written") {
  const Record record = sample(5);
  CHECK(bytes_of(decode_record(bytes_of(record)).value()) == bytes_of(record));
}

TEST_CASE("a record with a field missing, unknown in version or wrong in kind is refused") {
  const std::string text(as_text(bytes_of(sample(5))));
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string changed = text;
    const std::size_t at = changed.find(from);
    REQUIRE(at != std::string::npos);
    return decode_record(as_bytes(changed.replace(at, from.size(), to)));
  };
  CHECK(!with("\"version\":1", "\"version\":2"));
  CHECK(!with("\"mapSet\"", "\"mapset\""));
  CHECK(!with("\"downloading\"", "\"sleeping\""));
  CHECK(!with("\"chosen\":0", "\"chosen\":1"));
  CHECK(!with("\"reportCounter\":5", "\"reportCounter\":\"5\""));
}

TEST_CASE("the newest whole record counts") {
  MemoryDisk disk;
  REQUIRE(disk.make_dirs("/s"));
  CHECK(Journal::open(disk, "/s").error().code() == ErrorCode::kNotFound);
  auto journal = Journal::create(disk, "/s", sample(1)).value();
  journal.record().report_counter = 2;
  REQUIRE(journal.save());
  journal.record().report_counter = 3;
  REQUIRE(journal.save());
  CHECK(Journal::open(disk, "/s")->record().report_counter == 3);
  CHECK(Journal::read(disk, "/s")->report_counter == 3);
}

TEST_CASE("a torn write of either record leaves the other (P4.7)") {
  for (const std::uint64_t torn_at : {2u, 3u}) {
    MemoryDisk disk;
    REQUIRE(disk.make_dirs("/s"));
    auto journal = Journal::create(disk, "/s", sample(1)).value();
    for (std::uint64_t i = 2; i <= torn_at; ++i) {
      journal.record().report_counter = i;
      REQUIRE(journal.save());
    }
    const std::string path = "/s/journal." + std::to_string(journal.sequence() % 2);
    const Bytes whole = read_file(disk, path, kJournalBytesMax).value();
    for (std::size_t cut = 0; cut < whole.size(); cut += 37) {
      Bytes torn = whole;
      std::fill(torn.begin() + static_cast<long>(cut), torn.end(), std::uint8_t{0});
      REQUIRE(replace_file(disk, path, torn));
      const auto opened = Journal::open(disk, "/s");
      REQUIRE(opened.has_value());
      CHECK(opened->record().report_counter == torn_at - 1);
    }
    REQUIRE(replace_file(disk, path, whole));
    CHECK(Journal::open(disk, "/s")->record().report_counter == torn_at);
  }
}

TEST_CASE("after a torn record the next save goes into its place") {
  MemoryDisk disk;
  REQUIRE(disk.make_dirs("/s"));
  auto journal = Journal::create(disk, "/s", sample(1)).value();
  journal.record().report_counter = 2;
  REQUIRE(journal.save());
  REQUIRE(replace_file(disk, "/s/journal.1", as_bytes("rubbish")));
  auto again = Journal::open(disk, "/s").value();
  CHECK(again.record().report_counter == 1);
  again.record().report_counter = 9;
  REQUIRE(again.save());
  CHECK(Journal::open(disk, "/s")->record().report_counter == 9);
}

TEST_CASE("two damaged records are an error and no fresh start") {
  MemoryDisk disk;
  REQUIRE(disk.make_dirs("/s"));
  REQUIRE(replace_file(disk, "/s/journal.0", as_bytes("rubbish")));
  CHECK(Journal::open(disk, "/s").error().code() == ErrorCode::kCorrupt);
}

TEST_CASE("a shorter record after a longer one reads back") {
  MemoryDisk disk;
  REQUIRE(disk.make_dirs("/s"));
  auto journal = Journal::create(disk, "/s", sample(1)).value();
  for (int i = 0; i < 2; ++i) REQUIRE(journal.save());
  journal.record().orders.clear();
  for (int i = 0; i < 2; ++i) REQUIRE(journal.save());
  CHECK(Journal::open(disk, "/s")->record().orders.empty());
}

TEST_CASE("power may fail at any operation of a save (P4.7)") {
  for (std::uint64_t k = 1; k <= 4; ++k)
    for (std::uint32_t seed = 0; seed < 8; ++seed) {
      MemoryDisk disk;
      REQUIRE(disk.make_dirs("/s"));
      auto journal = Journal::create(disk, "/s", sample(1)).value();
      REQUIRE(journal.save());
      journal.record().report_counter = 2;
      disk.cut_power_at(disk.operations() + k);
      try {
        const bool saved = journal.save().has_value();
        CHECK(saved);
      } catch (const PowerCut&) {
      }
      disk.restart(MemoryDisk::Survives::kPerhaps, seed);
      const auto opened = Journal::open(disk, "/s");
      REQUIRE(opened.has_value());
      CHECK((opened->record().report_counter == 1 || opened->record().report_counter == 2));
    }
}

TEST_CASE("private mode outlives the loss of both records (P2.2)") {
  World world;
  world.run(60);
  world.vehicle.signals[std::string(vss::kPrivateMode)] = "true";
  world.run(60);
  world.agent.reset();
  for (const char* name : {"/car/journal.0", "/car/journal.1"})
    REQUIRE(replace_file(world.disk, name, as_bytes("rubbish")));
  world.vehicle.signals.clear();
  world.server.requests.clear();
  world.start();
  world.run(4 * 3600);
  CHECK(world.agent->record().private_mode);
  CHECK(world.server.requests.empty());
}

TEST_CASE("the copy is behind by no more than a day, 16 MiB of data and 64 reports") {
  MemoryDisk disk;
  REQUIRE(disk.make_dirs("/s"));
  auto journal = Journal::create(disk, "/s", sample(0)).value();
  Record& record = journal.record();
  const auto copy = [&] {
    const MemoryDisk::Quiet quiet(disk);
    MemoryDisk other(disk);
    for (const char* name : {"/s/journal.0", "/s/journal.1"})
      REQUIRE(replace_file(other, name, as_bytes("rubbish")));
    return Journal::open(other, "/s")->record();
  };
  for (int i = 1; i <= 500; ++i) {
    record.time_signed += 3600;
    record.data_bytes += kMiB;
    ++record.report_counter;
    record.bearer = i < 300 ? "sim" : "wifi";
    record.data_month = i < 400 ? "2026-11" : "2026-12";
    REQUIRE(journal.save());
    const Record kept = copy();
    CHECK(record.time_signed - kept.time_signed < kDaySeconds);
    CHECK(record.data_bytes - kept.data_bytes < 16 * kMiB);
    CHECK(record.report_counter - kept.report_counter < 64);
    CHECK(kept.bearer == record.bearer);
    CHECK(kept.data_month == record.data_month);
  }
}
