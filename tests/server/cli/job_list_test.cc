// The list of jobs over pages, against a list that pages as the server's does.
#include "server/cli/job_list.h"

#include <catch2/catch.hpp>

using namespace layby;
using cli::JobList;
using manifest::Json;

namespace {

struct Jobs {
  std::vector<std::string> states;
  std::size_t asked = 0;

  static std::string id(std::size_t n) { return fmt::format("{:06}", n); }

  cli::GetJson get() {
    return [this](const std::string& path) -> Result<Json> {
      ++asked;
      REQUIRE(path.starts_with("/v1/payload-jobs?limit=1000"));
      const std::size_t after = path.find("&after=");
      const std::size_t first =
          after == std::string::npos ? 0 : std::stoul(path.substr(after + 7)) + 1;
      Json page = Json::array();
      for (std::size_t n = first; n < states.size() && page.size() < 1000; ++n)
        page.push_back({{"id", id(n)}, {"state", states[n]}});
      return Json{{"jobs", std::move(page)}};
    };
  }
};

}  // namespace

TEST_CASE("jobs on later pages count, and what is over is not asked for again") {
  Jobs server;
  server.states.assign(2500, "done");
  server.states[2400] = "queued";
  server.states[2450] = "running";
  JobList list;
  REQUIRE(list.refresh(server.get()));
  CHECK(server.asked == 3);
  CHECK(list.json()["jobs"].size() == 2500);
  auto counts = list.count_states();
  CHECK(counts["queued"] == 1);
  CHECK(counts["running"] == 1);
  CHECK(counts["done"] == 2498);

  server.states[2400] = "failed";
  server.states[2450] = "done";
  server.states.push_back("queued");
  REQUIRE(list.refresh(server.get()));
  CHECK(server.asked == 4);
  CHECK(list.json()["jobs"].size() == 2501);
  CHECK(list.json()["jobs"][2400]["state"] == "failed");
  counts = list.count_states();
  CHECK(counts["queued"] == 1);
  CHECK(counts["running"] == 0);
}

TEST_CASE("exactly full pages, no jobs, and a server that fails") {
  Jobs server;
  JobList list;
  REQUIRE(list.refresh(server.get()));
  CHECK(list.json() == Json{{"jobs", Json::array()}});
  server.states.assign(1000, "done");
  REQUIRE(list.refresh(server.get()));
  CHECK(list.json()["jobs"].size() == 1000);
  REQUIRE(list.refresh(server.get()));
  CHECK(list.json()["jobs"].size() == 1000);
  const auto failing = [](const std::string&) -> Result<Json> {
    return fail(ErrorCode::kUnavailable, "away");
  };
  CHECK_FALSE(list.refresh(failing));
}
