#include "server/payloads/payload_routes.h"

#include <catch2/catch.hpp>

#include "manifest/json_value.h"
#include "server/payloads/transfers.h"
#include "tests/server/test_services.h"

using namespace layby;
using manifest::Json;
using server::FilePart;
using server::Method;
using server::PayloadCaller;
using server::Request;
using server::Response;

namespace {

using Headers = std::map<std::string, std::string>;

constexpr const char* kVin = "WVWZZZ1JZXW000017";

// The caller stands in a header: who is who is another room's business.
Result<PayloadCaller> identify(const Request& request) {
  const std::string_view who = request.header("test-caller");
  if (who == "operator") return PayloadCaller{PayloadCaller::Kind::kOperator, ""};
  if (who == "partner") return PayloadCaller{PayloadCaller::Kind::kPartner, ""};
  if (who == "owner") return PayloadCaller{PayloadCaller::Kind::kOther, ""};
  if (who == "bad") return fail(ErrorCode::kUnauthenticated, "unknown token");
  if (who.empty()) return PayloadCaller{};
  return PayloadCaller{PayloadCaller::Kind::kVehicle, std::string(who)};
}

struct Fixture : tests::TestServices {
  Fixture() {
    add_payload_routes(router, services, uploads, identify,
                       [this](const std::string& vin, const crypto::Digest256&) -> Result<bool> {
                         return vin == entitled;
                       });
  }

  server::Router router;
  server::Uploads uploads{services, {}};
  std::string entitled = kVin;  // whose orders need every payload

  Response ask(Method method, const std::string& path, Headers headers = {},
               const std::string& body = "", const std::string& who = "operator") {
    Request request;
    request.method = method;
    request.path = path;
    request.headers = std::move(headers);
    request.headers["test-caller"] = who;
    request.body = body;
    return router.handle(std::move(request));
  }
  Response begin(const std::string& bytes) {
    const Json body{{"length", bytes.size()}, {"sha256", name_of(bytes)}};
    return ask(Method::kPost, "/v1/uploads", {}, body.dump());
  }
  Response append(const std::string& id, std::size_t offset, const std::string& piece) {
    return ask(
        Method::kPatch, "/v1/uploads/" + id,
        {{"upload-offset", std::to_string(offset)}, {"content-type", "application/octet-stream"}},
        piece);
  }
  static std::string name_of(const std::string& bytes) {
    return to_hex(crypto::sha256(as_bytes(bytes)));
  }
  std::size_t files_in_incoming() { return disk.list(payloads->incoming_dir())->size(); }
};

Json json_of(const Response& response) {
  return Json::parse(std::get<std::string>(response.body));
}
std::string code_of(const Response& response) {
  return json_of(response)["code"];
}

std::string pattern(std::size_t size) {
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 31 + i / 255);
  return bytes;
}

}  // namespace

TEST_CASE_METHOD(Fixture, "uploads: in pieces of any size, begun twice, complete once") {
  const std::string bytes = pattern(100'000);
  const std::string id = name_of(bytes);
  const Response begun = begin(bytes);
  CHECK(begun.status == 201);
  CHECK(json_of(begun) == Json{{"id", id}, {"offset", 0}});
  CHECK(append(id, 0, bytes.substr(0, 1)).headers.at("Upload-Offset") == "1");
  CHECK(append(id, 1, bytes.substr(1, 65'536)).headers.at("Upload-Offset") == "65537");
  CHECK(json_of(begin(bytes))["offset"] == 65'537);
  CHECK(append(id, 65'537, "").headers.at("Upload-Offset") == "65537");

  const Response early = append(id, 65'536, "x");
  CHECK(early.status == 409);
  CHECK(code_of(early) == "wrong-offset");
  CHECK(early.headers.at("Upload-Offset") == "65537");
  CHECK(append(id, 65'538, "x").status == 409);
  CHECK(append(id, 65'537, bytes.substr(65'536)).status == 413);

  const Response last = append(id, 65'537, bytes.substr(65'537));
  CHECK(last.status == 204);
  CHECK(last.headers.at("Upload-Offset") == "100000");
  CHECK(files_in_incoming() == 0);
  CHECK(*services.store.get("u/" + id) == std::nullopt);
  // The answer was lost: the same again.
  CHECK(append(id, 65'537, bytes.substr(65'537)).status == 204);
  CHECK(ask(Method::kHead, "/v1/uploads/" + id).headers.at("Upload-Offset") == "100000");
  const Response again = begin(bytes);
  CHECK(again.status == 200);
  CHECK(json_of(again)["complete"] == true);
  const auto stored = payloads->open(crypto::sha256(as_bytes(bytes)));
  REQUIRE(stored);
  Bytes read((*stored)->size());
  REQUIRE((*stored)->read_at(0, read));
  CHECK(as_text(read) == bytes);
}

TEST_CASE_METHOD(Fixture, "uploads: other bytes than announced never become a payload") {
  const std::string bytes = "what was announced";
  const std::string id = name_of(bytes);
  REQUIRE(begin(bytes).status == 201);
  const Response wrong = append(id, 0, "something else !!!");
  CHECK(wrong.status == 422);
  CHECK(code_of(wrong) == "digest-mismatch");
  CHECK(files_in_incoming() == 0);
  CHECK(append(id, 0, bytes).status == 404);
  CHECK(begin(bytes).status == 201);
  CHECK(append(id, 0, bytes).status == 204);
}

TEST_CASE_METHOD(Fixture, "uploads: what makes no sense is refused") {
  const std::string bytes = "bytes";
  const std::string id = name_of(bytes);
  for (const char* body : {"", "[]", "{}", R"({"length":5})", R"({"length":-1,"sha256":"00"})",
                           R"({"length":5,"sha256":"00"})"})
    CHECK(ask(Method::kPost, "/v1/uploads", {}, body).status == 400);
  const std::string more = R"({"length":5,"sha256":")" + id + R"(","name":"x"})";
  CHECK(ask(Method::kPost, "/v1/uploads", {}, more).status == 400);
  const Json huge{{"length", kImageBytesMax + 1}, {"sha256", id}};
  CHECK(ask(Method::kPost, "/v1/uploads", {}, huge.dump()).status == 413);
  REQUIRE(begin(bytes).status == 201);
  const Json other{{"length", 6}, {"sha256", id}};
  CHECK(ask(Method::kPost, "/v1/uploads", {}, other.dump()).status == 409);
  CHECK(append("00", 0, "b").status == 404);
  CHECK(append(std::string(64, '0'), 0, "b").status == 404);
  const std::string path = "/v1/uploads/" + id;
  CHECK(ask(Method::kPatch, path, {{"upload-offset", "0"}}, "b").status == 415);
  for (const char* offset : {"", "x", "-1", "0x0", "99999999999999999999"})
    CHECK(ask(Method::kPatch, path,
              {{"upload-offset", offset}, {"content-type", "application/octet-stream"}}, "b")
              .status == 400);
  CHECK(begin("").status == 200);  // nothing to wait for
  CHECK(append(id, 0, std::string(server::kUploadPieceBytesMax + 1, 'x')).status == 413);
}

TEST_CASE_METHOD(Fixture, "uploads: only the operator; refused before the body is read") {
  for (const auto& [who, status] : std::map<std::string, int>{
           {"", 401}, {"bad", 401}, {"owner", 403}, {"partner", 403}, {kVin, 403}}) {
    INFO(who);
    CHECK(ask(Method::kPost, "/v1/uploads", {}, "{}", who).status == status);
    CHECK(ask(Method::kHead, "/v1/uploads/00", {}, "", who).status == status);
    CHECK(ask(Method::kDelete, "/v1/uploads/00", {}, "", who).status == status);
    Request request;
    request.method = Method::kPatch;
    request.path = "/v1/uploads/00";
    request.headers["test-caller"] = who;
    const auto refusal = router.match(request)->admit(request);
    REQUIRE(refusal);
    CHECK(refusal->status == status);
  }
}

TEST_CASE_METHOD(Fixture, "uploads: space is checked before the first byte, open ones counted") {
  // Shares of what is free now, generous against what others do on this disk meanwhile.
  const std::uint64_t free = *disk.free_bytes(payloads->incoming_dir());
  const std::uint64_t length = std::min(free / 10 * 6, kImageBytesMax);
  server::Uploads tight(services, {.free_bytes_min = free - length / 2 * 3});
  const crypto::Digest256 first = crypto::sha256(as_bytes("1"));
  REQUIRE(tight.begin(first, length));
  const auto second = tight.begin(crypto::sha256(as_bytes("2")), length);
  REQUIRE_FALSE(second);
  CHECK(second.error().code() == ErrorCode::kDiskFull);
  CHECK_THAT(second.error().message(), Catch::Contains(std::to_string(length) + " for open ones"));
  REQUIRE(tight.abandon(first));
  CHECK(tight.begin(crypto::sha256(as_bytes("2")), length));
}

TEST_CASE_METHOD(Fixture, "uploads: abandoned ones go after a week, crumbs at the start") {
  const std::string kept = "kept upload";
  REQUIRE(begin(kept).status == 201);
  REQUIRE(append(name_of(kept), 0, kept.substr(0, 4)).status == 204);
  const std::string crumb = payloads->incoming_dir() + "/job-scratch";
  REQUIRE(replace_file(disk, crumb, as_bytes("half a delta")));
  // Crashed after the file became a payload and before the record went.
  const std::string complete = "complete already";
  put_payload(complete);
  REQUIRE(
      services.store.commit({{},
                             {{"u/" + name_of(complete),
                               R"({"length":16,"offset":8,"touched":"2026-11-22T06:00:00Z"})"}}}));
  REQUIRE(uploads.recover());
  CHECK_FALSE(disk.status(crumb));
  CHECK(*services.store.get("u/" + name_of(complete)) == std::nullopt);
  CHECK(uploads.state(crypto::sha256(as_bytes(complete)))->offset == complete.size());
  CHECK(append(name_of(kept), 4, kept.substr(4, 1)).status == 204);

  clock.advance(6 * kDaySeconds);
  CHECK(*uploads.expire() == 0);
  clock.advance(kDaySeconds);
  CHECK(*uploads.expire() == 1);
  CHECK(files_in_incoming() == 0);
  CHECK(ask(Method::kHead, "/v1/uploads/" + name_of(kept)).status == 404);
}

TEST_CASE_METHOD(Fixture, "payloads: ranges, validators and who may") {
  const std::string bytes = pattern(1000);
  const std::string path = "/v1/payloads/" + to_hex(put_payload(bytes));
  const auto get = [&](Headers headers) { return ask(Method::kGet, path, headers, "", kVin); };
  const auto part_of = [](const Response& response) {
    const FilePart& part = std::get<FilePart>(response.body);
    return std::pair(part.offset, part.length);
  };
  using Part = std::pair<std::uint64_t, std::uint64_t>;

  const Response whole = get({});
  CHECK(whole.status == 200);
  CHECK(part_of(whole) == Part(0, 1000));
  CHECK_THAT(whole.headers.at("Cache-Control"), Catch::Contains("immutable"));
  const std::string etag = whole.headers.at("ETag");
  struct Case {
    const char* range;
    Part part;
    const char* content_range;
  };
  for (const Case& good : {Case{"bytes=0-0", {0, 1}, "bytes 0-0/1000"},
                           Case{"bytes=10-19", {10, 10}, "bytes 10-19/1000"},
                           Case{"bytes=990-", {990, 10}, "bytes 990-999/1000"},
                           Case{"bytes=-5", {995, 5}, "bytes 995-999/1000"},
                           Case{"bytes=-5000", {0, 1000}, "bytes 0-999/1000"},
                           Case{"bytes=500-5000", {500, 500}, "bytes 500-999/1000"}}) {
    const Response response = get({{"range", good.range}});
    CHECK(response.status == 206);
    CHECK(part_of(response) == good.part);
    CHECK(response.headers.at("Content-Range") == good.content_range);
  }
  for (const char* bad : {"bytes=1000-", "bytes=5-4", "bytes=", "bytes=-", "bytes=-0", "bytes=a-b",
                          "bytes=0-1,5-6", "bytes=18446744073709551616-"}) {
    INFO(bad);
    const Response response = get({{"range", bad}});
    CHECK(response.status == 416);
    CHECK(response.headers.at("Content-Range") == "bytes */1000");
  }
  CHECK(get({{"range", "lines=1-2"}}).status == 200);
  CHECK(get({{"range", "bytes=0-0"}, {"if-range", etag}}).status == 206);
  CHECK(get({{"range", "bytes=0-0"}, {"if-range", "\"other\""}}).status == 200);
  for (const std::string& matching : {etag, "W/" + etag, "\"x\" , " + etag, std::string("*")})
    CHECK(get({{"if-none-match", matching}}).status == 304);
  CHECK(get({{"if-none-match", "\"x\""}}).status == 200);
  CHECK(ask(Method::kHead, path, {{"range", "bytes=0-0"}}, "", kVin).status == 200);

  CHECK(ask(Method::kGet, path, {}, "", "operator").status == 200);
  CHECK(ask(Method::kGet, path, {}, "", "owner").status == 403);
  CHECK(ask(Method::kGet, path, {}, "", "partner").status == 403);
  CHECK(ask(Method::kGet, path, {}, "", "").status == 401);
  CHECK(ask(Method::kGet, "/v1/payloads/" + std::string(64, '0'), {}, "", kVin).status == 404);
  CHECK(ask(Method::kGet, "/v1/payloads/x", {}, "", kVin).status == 404);
}

TEST_CASE_METHOD(Fixture,
                 "P1.6: payloads: a car without an order for it is refused, with a reason") {
  const std::string path = "/v1/payloads/" + to_hex(put_payload("bytes"));
  const std::string unknown = "/v1/payloads/" + std::string(64, '0');
  const Response begun = ask(Method::kGet, path, {}, "", kVin);
  CHECK(begun.status == 200);
  REQUIRE(begun.may_go_on);
  CHECK(begun.may_go_on());
  entitled.clear();
  CHECK_FALSE(begun.may_go_on());  // cancelled while it is being sent
  CHECK_FALSE(ask(Method::kGet, path).may_go_on);
  for (const Method method : {Method::kGet, Method::kHead}) {
    const Response refused = ask(method, path, {{"range", "bytes=0-0"}}, "", kVin);
    CHECK(refused.status == 403);
    CHECK(code_of(refused) == "not-entitled");
    CHECK_FALSE(refused.sent);
  }
  // Validators are no way around it, and it does not say what the server has.
  CHECK(ask(Method::kGet, path, {{"if-none-match", "*"}}, "", kVin).status == 403);
  CHECK(ask(Method::kGet, unknown, {}, "", kVin).status == 403);
  CHECK(ask(Method::kGet, path, {}, "", "operator").status == 200);
}

TEST_CASE_METHOD(Fixture,
                 "transfers: what the socket took, per car and payload, neighbours joined") {
  const std::string name = to_hex(put_payload(pattern(1000)));
  const auto fetch = [&](const char* range, std::uint64_t taken) {
    clock.advance(1);
    const Response response =
        ask(Method::kGet, "/v1/payloads/" + name, {{"range", range}}, "", kVin);
    REQUIRE(response.sent);
    response.sent(taken);
  };
  fetch("bytes=0-99", 100);
  fetch("bytes=100-199", 100);
  fetch("bytes=200-399", 50);   // cut
  fetch("bytes=250-399", 150);  // goes on, but after a cut
  fetch("bytes=400-499", 100);
  // Neither operators nor 304 nor 416 nor HEAD leave a trace.
  CHECK_FALSE(ask(Method::kGet, "/v1/payloads/" + name).sent);
  CHECK_FALSE(ask(Method::kHead, "/v1/payloads/" + name, {}, "", kVin).sent);
  CHECK_FALSE(ask(Method::kGet, "/v1/payloads/" + name, {{"range", "bytes=9-1"}}, "", kVin).sent);
  CHECK_FALSE(ask(Method::kGet, "/v1/payloads/" + name, {{"if-none-match", "*"}}, "", kVin).sent);

  const std::string path = std::string("/v1/cars/") + kVin + "/transfers";
  const Json transfers = json_of(ask(Method::kGet, path))["transfers"];
  REQUIRE(transfers.size() == 1);
  CHECK(transfers[0]["payload"] == name);
  CHECK(transfers[0]["bytes_sent"] == 500);
  CHECK(transfers[0]["requests"] == 5);
  const Json& ranges = transfers[0]["ranges"];
  REQUIRE(ranges.size() == 3);
  CHECK(ranges[0]["length"] == 200);
  CHECK(ranges[0]["requests"] == 2);
  CHECK(ranges[1]["offset"] == 200);
  CHECK(ranges[1]["bytes_sent"] == 50);
  CHECK(ranges[2]["offset"] == 250);
  CHECK(ranges[2]["length"] == 250);

  CHECK(ask(Method::kGet, path, {}, "", "partner").status == 200);
  CHECK(ask(Method::kGet, path, {}, "", "owner").status == 403);
  CHECK(ask(Method::kGet, path, {}, "", kVin).status == 403);
  CHECK(ask(Method::kGet, "/v1/cars/nonsense/transfers").status == 404);
  CHECK(json_of(ask(Method::kGet, "/v1/cars/WVWZZZ1JZXW000018/transfers"))["transfers"].empty());
}

TEST_CASE_METHOD(Fixture, "transfers: the list is bounded, the sums are not") {
  const crypto::Digest256 name = crypto::sha256(as_bytes("x"));
  for (std::uint64_t i = 0; i < server::kSentRangesMax + 10; ++i)
    REQUIRE(server::record_transfer(services.store, kVin, name, {i * 100, 10, 10, clock.now()}));
  const auto transfers = server::transfers_of(services.store, kVin);
  REQUIRE(transfers);
  CHECK(transfers->front().ranges.size() == server::kSentRangesMax);
  CHECK(transfers->front().ranges.front().offset == 1000);
  CHECK(transfers->front().older.requests == 10);
  CHECK(transfers->front().bytes_sent == 10 * (server::kSentRangesMax + 10));
}
