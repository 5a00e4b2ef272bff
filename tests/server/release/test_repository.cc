#include "tests/server/release/test_repository.h"

#include <array>
#include <catch2/catch.hpp>

#include "manifest/envelope.h"
#include "manifest/image_entry.h"
#include "manifest/json_value.h"
#include "manifest/metadata_json.h"
#include "server/release/payload_worker.h"

namespace layby::tests {

namespace {

template <typename T>
T value_of(Result<T> result) {
  if (!result) FAIL(result.error().message());
  return std::move(*result);
}

}  // namespace

TestRepository::TestRepository(const server::Services& services)
    : services_(services), offline_(server::generate_offline_keys(1)) {
  const UnixSeconds now = services.clock.now();
  first_ = value_of(server::make_first_documents(offline_, services.keys, 1, now));
  const auto seeded = server::seed_repositories(services.store, services.keys, first_, now);
  if (!seeded) FAIL(seeded.error().message());
  next.version = 2;
  next.expires = now + 365 * kDaySeconds;
}

manifest::Target TestRepository::entry_of(const NewImage& image) const {
  const auto name = value_of(manifest::ImageName::parse(image.name));
  std::optional<manifest::PublicKey> licence_key;
  if (name.kind() == manifest::ImageKind::kFunction)
    licence_key = manifest::PublicKey::of(*services_.keys.licence);
  manifest::ImageEntry entry{.name = name,
                             .length = image.bytes.size(),
                             .sha256 = crypto::sha256(as_bytes(image.bytes)),
                             .sha512 = crypto::sha512(as_bytes(image.bytes)),
                             .hardware_ids = {},
                             .facts = {.kind = name.kind(),
                                       .slot = name.slot(),
                                       .version = std::string(name.version()),
                                       .release_counter = image.release_counter,
                                       .duration_seconds = 120,
                                       .battery_percent_min = 40,
                                       .conditions = {},
                                       .licence_key = licence_key},
                             .must_match = {}};
  for (const std::string& id : image.hardware_ids)
    entry.hardware_ids.push_back(value_of(manifest::HardwareId::parse(id)));
  return manifest::make_image_target(entry);
}

void TestRepository::add(const NewImage& image) {
  put_bytes(image);
  next.targets[image.name] = entry_of(image);
}

void TestRepository::add(Supplier& to, const NewImage& image) {
  put_bytes(image);
  to.next.targets[image.name] = entry_of(image);
}

void TestRepository::put_bytes(const NewImage& image) {
  const crypto::Digest256 digest = crypto::sha256(as_bytes(image.bytes));
  const std::string path = services_.payloads.incoming_dir() + "/new-" + to_hex(digest);
  REQUIRE(replace_file(services_.disk, path, as_bytes(image.bytes)));
  REQUIRE(services_.payloads.adopt(path, digest));
}

std::string TestRepository::sign() const {
  return sign(*offline_.image_targets);
}

std::string TestRepository::sign(const crypto::Signer& other) const {
  const std::array<const crypto::Signer*, 1> by{&other};
  return std::string(as_text(value_of(manifest::make_targets(next, by))));
}

Result<server::Publication> TestRepository::publish() {
  auto publication = server::publish_targets(services_, as_bytes(sign()));
  if (publication) ++next.version;
  return publication;
}

Result<server::Publication> TestRepository::publish(Supplier& supplier) {
  if (supplier.next.expires == 0) supplier.next.expires = services_.clock.now() + 180 * kDaySeconds;
  auto publication = server::publish_delegated(services_, supplier.role, as_bytes(supplier.sign()));
  if (publication) ++supplier.next.version;
  return publication;
}

void TestRepository::publish_and_make_payloads() {
  value_of(publish());
  run_all_jobs(services_);
}

std::string Supplier::sign() const {
  manifest::Json part = manifest::encode(next);
  if (padding_bytes > 0) part["padding"] = std::string(padding_bytes, '.');
  return std::string(as_text(value_of(manifest::sign_envelope(part, *key))));
}

void undelegate(manifest::Targets& from, const Supplier& to) {
  if (!from.delegations) return;
  std::erase_if(from.delegations->roles, [&](const auto& role) { return role.name == to.role; });
}

void delegate(manifest::Targets& from, Supplier& to, const SpeaksOf& scope) {
  undelegate(from, to);
  if (!from.delegations) from.delegations.emplace();
  const auto key = manifest::PublicKey::of(*to.key);
  from.delegations->keys.insert_or_assign(key.id(), key);
  manifest::Delegation delegation{.name = to.role,
                                  .keys = {{key.id()}, 1},
                                  .terminating = scope.terminating,
                                  .paths = scope.paths,
                                  .path_hash_prefixes = {}};
  for (const std::string& id : scope.hardware_ids)
    delegation.hardware_ids.push_back(value_of(manifest::HardwareId::parse(id)));
  from.delegations->roles.push_back(std::move(delegation));
}

void run_all_jobs(const server::Services& services) {
  constexpr int kJobsMax = 1000;
  for (int i = 0; i < kJobsMax; ++i) {
    const server::JobRun run = value_of(server::run_one_job(services, {}));
    if (!run.job) {
      CHECK_FALSE(run.again);
      return;
    }
    INFO(run.job->id << ": " << run.job->error);
    REQUIRE(run.job->state == server::JobState::kDone);
  }
  FAIL("the queue does not end");
}

server::Response ask(const server::Router& router, const Ask& ask) {
  server::Request request;
  request.method = ask.method;
  request.path = ask.path;
  request.headers = ask.headers;
  request.query = ask.query;
  request.body = ask.body;
  request.peer = ask.peer;
  return router.handle(std::move(request));
}

std::string body_of(const server::Response& response) {
  REQUIRE(std::holds_alternative<std::string>(response.body));
  return std::get<std::string>(response.body);
}

Result<Refreshed> refresh_over(const server::Router& router, const std::string& prefix,
                               const std::optional<server::PeerCertificate>& peer,
                               manifest::TrustedRepository& repository, UnixSeconds now) {
  Refreshed refreshed;
  manifest::Refresh refresh(repository, now);
  while (const auto request = refresh.next()) {
    const server::Response response = ask(router, {.path = prefix + request->file, .peer = peer});
    if (response.status == 404) {
      TRY_VOID(refresh.give_absent());
      continue;
    }
    if (response.status != 200)
      return fail(ErrorCode::kUnavailable, "{}: status {}: {}", request->file, response.status,
                  body_of(response));
    refreshed.files.push_back(request->file);
    TRY_VOID(refresh.give(as_bytes(body_of(response))));
  }
  return refreshed;
}

}  // namespace layby::tests
