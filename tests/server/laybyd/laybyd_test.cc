#include <catch2/catch.hpp>
#include <chrono>
#include <random>
#include <thread>

#include "base/time_text.h"
#include "manifest/json_value.h"
#include "server/config/config.h"
#include "tests/server/laybyd/laybyd_process.h"
#include "tests/temp_dir.h"

using namespace layby;
using manifest::Json;
using tests::HttpAnswer;
using tests::LaybydProcess;
using tests::TlsClient;

namespace {

std::string text_of(const std::string& path) {
  RealDisk disk;
  const auto bytes = read_file(disk, path, 1 << 20);
  REQUIRE(bytes);
  return std::string(as_text(*bytes));
}

std::string request(const LaybydProcess& laybyd, const std::string& line, const std::string& lines,
                    const std::string& body) {
  return line + " HTTP/1.1\r\nHost: localhost\r\n" + laybyd.operator_header() + lines +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

std::optional<HttpAnswer> post(const LaybydProcess& laybyd, const std::string& path,
                               const Json& body) {
  TlsClient client(laybyd.client());
  if (!client.send(request(laybyd, "POST " + path, "", body.dump()))) return std::nullopt;
  return client.receive();
}

// Where the upload stands; begins it if it is not there. Nothing when the server dies meanwhile.
std::optional<std::uint64_t> begin_upload(const LaybydProcess& laybyd, const std::string& id,
                                          std::uint64_t length) {
  const auto answer = post(laybyd, "/v1/uploads", {{"length", length}, {"sha256", id}});
  if (!answer) return std::nullopt;
  REQUIRE((answer->status == 200 || answer->status == 201));
  return Json::parse(answer->body)["offset"].get<std::uint64_t>();
}

// Uploads pieces until it is complete or the server dies; the last offset that was acknowledged.
std::uint64_t upload_while_it_lives(const LaybydProcess& laybyd, const std::string& id,
                                    const std::string& bytes, std::uint64_t offset) {
  constexpr std::uint64_t kPieceBytes = 100'000;
  TlsClient client(laybyd.client());
  while (offset < bytes.size()) {
    const std::string piece = bytes.substr(offset, kPieceBytes);
    const std::string lines =
        "Content-Type: application/octet-stream\r\nUpload-Offset: " + std::to_string(offset) +
        "\r\n";
    if (!client.send(request(laybyd, "PATCH /v1/uploads/" + id, lines, piece))) break;
    const auto answer = client.receive(TlsClient::Body::kNone);
    if (!answer) break;
    REQUIRE(answer->status == 204);
    offset = std::stoull(answer->headers.at("upload-offset"));
  }
  return offset;
}

UnixSeconds advance(const LaybydProcess& laybyd, std::int64_t seconds) {
  const auto answer = post(laybyd, "/v1/simulation/clock", {{"advance_seconds", seconds}});
  REQUIRE(answer);
  REQUIRE(answer->status == 200);
  return *parse_utc(Json::parse(answer->body)["now"].get<std::string>());
}

}  // namespace

TEST_CASE("laybyd: init, serve, health, stop; exit statuses are true") {
  const tests::TempDir dir;
  const std::string data = dir / "data";
  tests::init_data(data);
  CHECK(tests::run_laybyd({"init", data}, dir / "errors") == 1);
  CHECK_THAT(text_of(dir / "errors"), Catch::Contains("is there already"));
  const std::string config = data + "/laybyd.toml";
  CHECK(tests::run_laybyd({"check-config", "--config", config}, dir / "errors") == 0);
  CHECK(tests::run_laybyd({"serve"}, dir / "errors") == 2);
  CHECK(tests::run_laybyd({"serve", "--config", dir / "none.toml"}, dir / "errors") == 3);

  LaybydProcess laybyd(data);
  {
    TlsClient client(laybyd.client());
    CHECK(client.get("/healthz")->status == 200);
    CHECK(client.get("/readyz")->status == 200);
    const auto metrics = client.get("/metrics");
    REQUIRE(metrics);
    CHECK_THAT(
        metrics->body,
        Catch::Contains(
            "layby_http_requests_total{method=\"GET\",route=\"/healthz\",status=\"200\"} 1"));
    CHECK(metrics->headers.count("layby-simulation") == 0);
    CHECK(client.get("/v1/payload-jobs")->status == 401);
    CHECK(client.get("/v1/payload-jobs", laybyd.operator_header())->status == 200);
  }
  CHECK(post(laybyd, "/v1/simulation/clock", {{"advance_seconds", 1}})->status == 404);
  CHECK(tests::run_laybyd({"serve", "--config", config, "--port", "0"}, dir / "second") == 1);
  CHECK_THAT(text_of(dir / "second"), Catch::Contains("open in another process"));
  CHECK(laybyd.stop() == 0);

  RealDisk disk;
  REQUIRE(replace_file(disk, config, as_bytes("[http]\nthreads = \"many\"\n")));
  CHECK(tests::run_laybyd({"check-config", "--config", config}, dir / "bad") == 3);
  CHECK_THAT(text_of(dir / "bad"), Catch::Contains("laybyd.toml:2: http.threads must be"));
}

TEST_CASE("laybyd: a data directory of before there was an audit key gets one, and keeps it") {
  const tests::TempDir dir;
  const std::string data = dir / "data";
  tests::init_data(data);
  RealDisk disk;
  const std::string part = data + "/provision/audit-key.json";
  const Bytes first = read_file(disk, part, kMiB).value();
  REQUIRE(disk.remove(data + "/keys/audit.key"));
  REQUIRE(disk.remove(part));
  CHECK(tests::run_laybyd({"check-config", "--config", data + "/laybyd.toml"}, dir / "errors") ==
        0);
  std::string made;
  for (int start = 0; start < 2; ++start) {
    LaybydProcess laybyd(data);
    const auto key = TlsClient(laybyd.client()).get("/v1/audit-key");
    REQUIRE(key);
    CHECK(key->status == 200);
    CHECK(key->body == as_text(read_file(disk, part, kMiB).value()));
    CHECK(key->body != as_text(first));
    if (start == 1) CHECK(key->body == made);
    made = key->body;
    CHECK(laybyd.stop() == 0);
  }
}

TEST_CASE("laybyd: no other audit key comes in the place of one whose public part is published") {
  const tests::TempDir dir;
  const std::string data = dir / "data";
  tests::init_data(data);
  RealDisk disk;
  const std::string key = data + "/keys/audit.key", part = data + "/provision/audit-key.json";
  const std::string published = text_of(part), kept = text_of(key);
  const auto refuses = [&](const std::string& why) {
    const std::string config = data + "/laybyd.toml";
    for (const char* what : {"check-config", "serve"}) {
      CAPTURE(what);
      REQUIRE(tests::run_laybyd({what, "--config", config}, dir / "errors") != 0);
      const std::string errors = text_of(dir / "errors");
      for (const std::string& text : {key, part, why}) CHECK_THAT(errors, Catch::Contains(text));
    }
    CHECK(text_of(part) == published);
  };
  SECTION("the key is missing") {
    REQUIRE(disk.remove(key));
    refuses("is there, but not the key");
    CHECK(!disk.status(key));
  }
  SECTION("the key is another one") {
    tests::init_data(dir / "other");
    REQUIRE(replace_file(disk, key, as_bytes(text_of(dir / "other/keys/audit.key"))));
    REQUIRE(replace_file(disk, data + "/keys/passphrase",
                         as_bytes(text_of(dir / "other/keys/passphrase"))));
    for (const char* name : {"director-targets", "director-snapshot", "director-timestamp",
                             "image-snapshot", "image-timestamp", "licence"}) {
      const std::string file = "/keys/" + std::string(name) + ".key";
      REQUIRE(replace_file(disk, data + file, as_bytes(text_of(dir / ("other" + file)))));
    }
    refuses("of another key");
  }
  SECTION("once it is back, the server starts") {
    REQUIRE(disk.remove(key));
    REQUIRE(replace_file(disk, key, as_bytes(kept)));
    LaybydProcess laybyd(data);
    CHECK(TlsClient(laybyd.client()).get("/v1/audit-key")->body == published);
    CHECK(laybyd.stop() == 0);
  }
}

TEST_CASE(
    "laybyd: an upload goes on after each SIGKILL of the server, nothing acknowledged is lost") {
  const tests::TempDir dir;
  const std::string data = dir / "data";
  tests::init_data(data);
  std::string bytes(8'000'000, '\0');
  std::mt19937_64 random(7);
  for (char& byte : bytes) byte = static_cast<char>(random());
  const std::string id = to_hex(crypto::sha256(as_bytes(bytes)));
  std::uint64_t acknowledged = 0;
  int kills = 0;
  for (int round = 0; round < 40 && acknowledged < bytes.size(); ++round) {
    LaybydProcess laybyd(data);
    std::thread killer;
    if (round < 6)
      killer = std::thread([&, delay = 10 + random() % 120] {
        std::this_thread::sleep_for(std::chrono::milliseconds(delay));
        laybyd.kill_now();
      });
    const auto offset = begin_upload(laybyd, id, bytes.size());
    if (offset) {
      CHECK(*offset >= acknowledged);
      acknowledged = upload_while_it_lives(laybyd, id, bytes, *offset);
    }
    if (killer.joinable()) {
      killer.join();
      ++kills;
    }
  }
  CHECK(acknowledged == bytes.size());
  CHECK(kills >= 1);
  LaybydProcess laybyd(data);
  TlsClient client(laybyd.client());
  const auto payload = client.get("/v1/payloads/" + id, laybyd.operator_header());
  REQUIRE(payload);
  CHECK(payload->body == bytes);
  RealDisk disk;
  CHECK(disk.list(data + "/payloads/incoming")->empty());
}

TEST_CASE("laybyd: the simulated clock is loud, survives a restart and cannot be left behind") {
  const tests::TempDir dir;
  const std::string data = dir / "data";
  tests::init_data(data, {"--simulation"});
  UnixSeconds reached = 0;
  {
    LaybydProcess laybyd(data);
    CHECK(TlsClient(laybyd.client()).get("/healthz")->headers.at("layby-simulation") == "true");
    TlsClient nobody(laybyd.client());
    REQUIRE(
        nobody.send("POST /v1/simulation/clock HTTP/1.1\r\nHost: x\r\nContent-Length: 21\r\n\r\n"
                    "{\"advance_seconds\":60}"));
    CHECK(nobody.receive()->status == 401);
    CHECK(post(laybyd, "/v1/simulation/clock", {{"advance_seconds", -5}})->status == 400);
    reached = advance(laybyd, 28 * kDaySeconds);
    CHECK(reached >= SystemClock().now() + 28 * kDaySeconds - 1);
    CHECK_THAT(text_of(data + "/errors"), Catch::Contains("SIMULATION MODE"));
    laybyd.kill_now();
  }
  {
    LaybydProcess laybyd(data);
    CHECK(advance(laybyd, 0) >= reached);
    CHECK(laybyd.stop() == 0);
  }
  RealDisk disk;
  REQUIRE(replace_file(disk, data + "/laybyd.toml", as_bytes(server::initial_config_text())));
  CHECK(tests::run_laybyd({"serve", "--config", data + "/laybyd.toml", "--port", "0"},
                          dir / "errors") == 1);
  CHECK_THAT(text_of(dir / "errors"), Catch::Contains("simulated clock"));
}
