#include "tests/server/openapi/api_world.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "server/laybyd/all_routes.h"
#include "server/laybyd/operations_routes.h"

namespace layby::tests {

using manifest::Json;
using server::Method;
using server::Response;

namespace {

class FullFile final : public File {
 public:
  explicit FullFile(std::unique_ptr<File> inner) : inner_(std::move(inner)) {}
  std::uint64_t size() const override { return inner_->size(); }
  Result<void> read_at(std::uint64_t offset, MutableByteSpan out) const override {
    return inner_->read_at(offset, out);
  }
  Result<void> write_at(std::uint64_t, ByteSpan) override {
    return fail(ErrorCode::kDiskFull, "no space is left");
  }
  Result<void> truncate(std::uint64_t size) override { return inner_->truncate(size); }
  Result<void> sync() override { return inner_->sync(); }

 private:
  std::unique_ptr<File> inner_;
};

server::Services on_disk(const server::Services& services, Disk& disk) {
  return {.store = services.store,
          .payloads = services.payloads,
          .disk = disk,
          .clock = services.clock,
          .keys = services.keys,
          .vehicle_authority = services.vehicle_authority,
          .data_dir = services.data_dir,
          .public_base_url = services.public_base_url};
}

Method method_of_operation(const std::string& operation) {
  std::string name = operation.substr(0, operation.find(' '));
  std::ranges::transform(name, name.begin(),
                         [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return server::method_of(name).value();
}

}  // namespace

Result<std::optional<std::string>> FaultyStore::get(std::string_view key) const {
  if (fault == Fault::kIo) return fail(ErrorCode::kIo, "the store does not answer");
  return inner.get(key);
}

Result<std::vector<server::KeyValue>> FaultyStore::scan(std::string_view begin,
                                                        std::string_view end,
                                                        std::size_t limit) const {
  if (fault == Fault::kIo) return fail(ErrorCode::kIo, "the store does not answer");
  return inner.scan(begin, end, limit);
}

Result<void> FaultyStore::commit(const server::Batch& batch) {
  if (fault == Fault::kIo) return fail(ErrorCode::kIo, "the store does not answer");
  if (fault == Fault::kConflict) return fail(ErrorCode::kConflict, "somebody was faster");
  return inner.commit(batch);
}

Result<std::unique_ptr<File>> FillingDisk::open_write(const std::string& path) {
  std::unique_ptr<File> file = TRY(real_.open_write(path));
  if (space == Space::kNone) file = std::make_unique<FullFile>(std::move(file));
  return file;
}

Result<std::uint64_t> FillingDisk::free_bytes(const std::string& path) {
  if (space == Space::kNone) return 0;
  return real_.free_bytes(path);
}

Api::Api(Record& answered)
    : ReadyWorld(&faulty),
      upload_services(on_disk(services, disk)),
      uploads(upload_services, {.free_bytes_min = 1}),
      shifted(base.clock),
      repository(services),
      answered_(answered) {
  router = server::Router();
  server::add_all_routes(router, services, uploads);
  server::add_operations_routes(router, services, metrics, accepting);
  server::add_simulation_routes(router, services, shifted);
}

Response Api::send(const std::string& operation, const Call& call) {
  server::Request request;
  request.method = method_of_operation(operation);
  request.path = call.path;
  request.query = call.query;
  request.headers = call.headers;
  request.peer = call.peer;
  request.body = call.bytes;
  if (!call.body.is_null()) request.body = call.body.dump();
  if (!call.token.empty()) request.headers["authorization"] = "Bearer " + call.token;
  INFO(operation << " at " << call.path << " " << request.body.substr(0, 300));
  const server::Route* route = router.match(request);
  REQUIRE(route != nullptr);
  REQUIRE(OpenApi::name_of(*route) == operation);
  const Response response = router.handle(request);
  const OpenApi& document = OpenApi::document();
  const auto described = document.operations().find(operation);
  REQUIRE(described != document.operations().end());
  for (const std::string& difference : document.differences(described->second, response))
    FAIL_CHECK(operation << ": " << difference);
  if (response.status >= 400)
    answered_.problems[operation].insert(OpenApi::problem_of(response));
  else
    answered_.successes[operation].insert(response.status);
  return response;
}

void Api::expect(const NamedProblem& problem, const std::string& operation, const Call& call) {
  const Response response = send(operation, call);
  const std::string* text = std::get_if<std::string>(&response.body);
  INFO(operation << " at " << call.path << ": " << (text != nullptr ? *text : "a file"));
  CHECK(OpenApi::problem_of(response).text() == problem.text());
}

}  // namespace layby::tests
