#include <catch2/catch.hpp>

#include "server/payloads/uploads.h"
#include "tests/server/openapi/api_world.h"

namespace layby::tests {

using manifest::Json;

namespace {

const std::string kBegin = "post /v1/uploads";
const std::string kAppend = "patch /v1/uploads/{id}";

std::string name_of(const std::string& bytes) {
  return to_hex(crypto::sha256(as_bytes(bytes)));
}

Call begin(Api& api, const std::string& id, std::uint64_t length) {
  return call("/v1/uploads", api.operator_token, {{"length", length}, {"sha256", id}});
}

Call piece(Api& api, const std::string& id, const std::string& bytes,
           const std::string& offset = "0") {
  Call made = call("/v1/uploads/" + id, api.operator_token);
  made.headers = {{"content-type", "application/octet-stream"}, {"upload-offset", offset}};
  made.bytes = bytes;
  return made;
}

void provoke_uploads(Record& record) {
  Api api(record);
  const std::string id = name_of("hello");
  api.expect({413, "too-large"}, kBegin, begin(api, id, kImageBytesMax + 1));
  api.disk.space = FillingDisk::Space::kNone;
  api.expect({507, "disk-full"}, kBegin, begin(api, id, 5));
  api.disk.space = FillingDisk::Space::kEnough;
  CHECK(api.send(kBegin, begin(api, id, 5)).status == 201);
  api.expect({409, "conflict"}, kBegin, begin(api, id, 6));
  api.expect({400, "invalid-argument"}, kAppend, piece(api, id, "hello", "none"));
  api.expect({409, "wrong-offset"}, kAppend, piece(api, id, "hello", "3"));
  api.expect({413, "too-large"}, kAppend, piece(api, id, "hello, world"));
  Call text = piece(api, id, "hello");
  text.headers["content-type"] = "text/plain";
  api.expect({415, "unsupported-media-type"}, kAppend, text);
  api.disk.space = FillingDisk::Space::kNone;
  api.expect({507, "disk-full"}, kAppend, piece(api, id, "hello"));
  api.disk.space = FillingDisk::Space::kEnough;
  api.expect({422, "digest-mismatch"}, kAppend, piece(api, id, "HELLO"));
  api.expect({404, "not-found"}, kAppend, piece(api, id, "hello"));
  CHECK(api.send(kBegin, begin(api, id, 5)).status == 201);
  CHECK(api.send(kAppend, piece(api, id, "hello")).status == 204);
  CHECK(api.send(kBegin, begin(api, id, 5)).status == 200);
}

manifest::Target target_of(Api& api, const NewImage& image) {
  return api.repository.entry_of(image);
}

void provoke_publishing(Record& record) {
  Api api(record);
  const std::string put = "put /v1/repositories/image/targets";
  TestRepository& repository = api.repository;
  const manifest::Targets before = repository.next;
  const auto sending = [&](const std::string& bytes) {
    Call made = call("/v1/repositories/image/targets", api.operator_token);
    made.bytes = bytes;
    return made;
  };
  const auto refused = [&](const NamedProblem& problem) {
    api.expect(problem, put, sending(repository.sign()));
    repository.next = before;
  };
  api.expect({400, "bad-json"}, put, sending("{"));
  api.expect({400, "bad-format"}, put, sending("{}"));
  Call profiled = sending(repository.sign());
  profiled.query["profile"] = "smallest";
  api.expect({400, "bad-format"}, put, profiled);
  api.expect({422, "bad-signature"}, put,
             sending(repository.sign(*crypto::MemorySigner::generate())));
  repository.next.version = 7;
  refused({422, "rollback"});
  repository.next.expires = api.base.clock.now() - 1;
  refused({422, "freeze"});
  repository.next.delegations = manifest::Delegations{};
  repository.next.delegations->succinct_roles = {.keys = {}, .bit_length = 1, .name_prefix = "bin"};
  refused({422, "unsupported"});
  const NewImage image{.name = "maps/IT/1.tar", .bytes = "IT one"};
  repository.next.targets["maps/IT/1.tar"] = target_of(api, image);
  refused({404, "not-found"});
  repository.next.targets["no/such/name"] = target_of(api, image);
  refused({400, "bad-format"});
  api.base.put_payload("IT one");
  manifest::Target longer = target_of(api, image);
  ++longer.length;
  repository.next.targets["maps/IT/1.tar"] = longer;
  refused({422, "wrong-image"});
  repository.add(image);
  const std::string bytes = repository.sign();
  CHECK(api.send(put, sending(bytes)).status == 200);
  CHECK(api.send(put, sending(bytes)).status == 200);
  ++repository.next.version;
  const manifest::Targets published = repository.next;
  repository.add({.name = "maps/IT/0.tar", .bytes = "IT zero", .release_counter = 1});
  api.expect({422, "image-rollback"}, put, sending(repository.sign()));
  repository.next = published;
  repository.add({.name = "maps/IT/1.tar", .bytes = "IT other", .release_counter = 1});
  api.expect({409, "conflict"}, put, sending(repository.sign()));
}

void provoke_delegated(Record& record) {
  Api api(record);
  const std::string put = "put /v1/repositories/image/delegated/{role}";
  TestRepository& repository = api.repository;
  Supplier supplier("acme");
  supplier.next.expires = api.base.clock.now() + kDaySeconds;
  const auto sending = [&](const std::string& bytes) {
    Call made = call("/v1/repositories/image/delegated/acme", api.operator_token);
    made.bytes = bytes;
    return made;
  };
  api.expect({404, "not-found"}, put, sending(supplier.sign()));
  delegate(repository.next, supplier);
  REQUIRE(repository.publish());
  const manifest::Targets before = supplier.next;
  const auto refused = [&](const NamedProblem& problem) {
    api.expect(problem, put, sending(supplier.sign()));
    supplier.next = before;
  };
  api.expect({400, "bad-json"}, put, sending("{"));
  api.expect({400, "bad-format"}, put, sending("{}"));
  Supplier stranger("acme");
  stranger.next = before;
  api.expect({422, "bad-signature"}, put, sending(stranger.sign()));
  supplier.next.version = 7;
  refused({422, "rollback"});
  supplier.next.expires = api.base.clock.now() - 1;
  refused({422, "freeze"});
  supplier.next.delegations = manifest::Delegations{};
  supplier.next.delegations->succinct_roles = {.keys = {}, .bit_length = 1, .name_prefix = "bin"};
  refused({422, "unsupported"});
  repository.add(supplier, {.name = "functions/x/9.pkg", .bytes = "package"});
  refused({403, "forbidden"});
  repository.add(supplier, {.name = "maps/IT/2.tar", .bytes = "IT two", .release_counter = 2});
  ++supplier.next.targets["maps/IT/2.tar"].length;
  refused({422, "wrong-image"});
  repository.add(supplier, {.name = "maps/IT/2.tar", .bytes = "IT two", .release_counter = 2});
  CHECK(api.send(put, sending(supplier.sign())).status == 200);
  ++supplier.next.version;
  const manifest::Targets published = supplier.next;
  repository.add(supplier, {.name = "maps/IT/1.tar", .bytes = "IT one", .release_counter = 1});
  api.expect({422, "image-rollback"}, put, sending(supplier.sign()));
  supplier.next = published;
  repository.add(supplier, {.name = "maps/IT/2.tar", .bytes = "IT other", .release_counter = 2});
  api.expect({409, "conflict"}, put, sending(supplier.sign()));
}

void provoke_files(Record& record) {
  Api api(record);
  api.repository.add({.name = "functions/x/1.pkg", .bytes = "package"});
  api.repository.add({.name = "maps/IT/1.tar", .bytes = "IT one"});
  REQUIRE(api.repository.publish());
  const std::string get = "get /v1/repositories/image/targets/{path}";
  const std::string images = "/v1/repositories/image/targets/";
  const std::string package = images + "functions/x/" + name_of("package") + ".1.pkg";
  api.expect({401, "unauthenticated"}, get, call(package));
  api.expect({403, "forbidden"}, get, call(package, api.owner_token));
  CHECK(api.send(get, call(package, api.partner_token)).status == 200);
  const std::string payload = "/v1/payloads/" + to_hex(api.base.put_payload("payload"));
  const std::string get_payload = "get /v1/payloads/{sha256}";
  api.expect({403, "not-entitled"}, get_payload, by_car(api, payload));
  api.expect({403, "forbidden"}, get_payload, call(payload, api.owner_token));
  for (const auto& [operation, path, tag] :
       {std::tuple{get, images + "maps/IT/" + name_of("IT one") + ".1.tar", name_of("IT one")},
        std::tuple{get_payload, payload, name_of("payload")}}) {
    Call part = call(path, api.operator_token);
    part.headers["range"] = "bytes=1-3";
    CHECK(api.send(operation, part).status == 206);
    part.headers["range"] = "bytes=100-";
    api.expect({416, "range-not-satisfiable"}, operation, part);
    part.headers = {{"if-none-match", "\"" + tag + "\""}};
    CHECK(api.send(operation, part).status == 304);
  }
}

void provoke_metadata(Record& record) {
  Api api(record);
  for (const auto& [operation, path] :
       {std::pair{"get /v1/repositories/image/metadata/{file}",
                  "/v1/repositories/image/metadata/timestamp.json"},
        std::pair{"get /v1/vehicle/director/{file}", "/v1/vehicle/director/timestamp.json"}}) {
    Call made = by_car(api, path);
    const server::Response first = api.send(operation, made);
    made.headers["if-none-match"] = first.headers.at("ETag");
    CHECK(api.send(operation, made).status == 304);
  }
  Call time = by_car(api, "/v1/vehicle/time");
  time.query["nonce"] = "xyz";
  api.expect({400, "invalid-argument"}, "get /v1/vehicle/time", time);
  api.repository.add({.name = "maps/IT/1.tar", .bytes = "IT one"});
  REQUIRE(api.repository.publish());
  const Answered jobs = api.get("/v1/payload-jobs", api.operator_token);
  const std::string job = jobs.body["jobs"][0]["id"];
  api.expect({409, "wrong-state"}, "post /v1/payload-jobs/{id}/retry",
             call("/v1/payload-jobs/" + job + "/retry", api.operator_token));
}

}  // namespace

void provoke_in_release(Record& record) {
  provoke_uploads(record);
  provoke_publishing(record);
  provoke_delegated(record);
  provoke_files(record);
  provoke_metadata(record);
}

}  // namespace layby::tests
