#include "tests/agent/fake_server.h"

#include <algorithm>
#include <array>

#include "base/assert.h"
#include "delta/encoder.h"
#include "delta/payload.h"
#include "manifest/json_value.h"
#include "manifest/metadata_json.h"
#include "manifest/server_time.h"
#include "manifest/url_names.h"
#include "tests/agent/memory_disk.h"

namespace layby::tests {
namespace {

using agent::HttpRequest;
using agent::HttpResponse;
using manifest::Role;

constexpr std::uint32_t kChunkBytes = 16 * 1024;
constexpr UnixSeconds kMetadataSeconds = 30 * kDaySeconds;

constexpr Role kOnlineRoles[] = {Role::kTimestamp, Role::kSnapshot, Role::kTargets};

using Keys = std::map<Role, std::shared_ptr<crypto::MemorySigner>>;

Bytes make_root(const crypto::Signer& root, const Keys& others, UnixSeconds now,
                manifest::Version version = 1) {
  manifest::Root model;
  model.version = version;
  model.expires = now + 20 * 365 * kDaySeconds;
  model.add_key(Role::kRoot, manifest::PublicKey::of(root));
  for (const auto& [role, key] : others) model.add_key(role, manifest::PublicKey::of(*key));
  const crypto::Signer* signers[] = {&root};
  return manifest::make_root(model, signers).value();
}

HttpResponse response(int status, std::string body = {}) {
  HttpResponse out;
  out.status = status;
  out.body = std::move(body);
  out.bytes_received = out.body.size();
  return out;
}

}  // namespace

FakeServer::FakeServer(const Clock& clock, std::string vin, std::string ecu, std::string hardware)
    : director_vin(vin),
      clock_(&clock),
      vin_(std::move(vin)),
      ecu_(std::move(ecu)),
      hardware_(std::move(hardware)),
      root_key_(crypto::MemorySigner::generate()),
      image_key_(crypto::MemorySigner::generate()),
      licence_key_(crypto::MemorySigner::generate()) {
  Keys image_keys;
  for (const Role role : kOnlineRoles) {
    online_keys_[role] = crypto::MemorySigner::generate();
    image_keys[role] = image_key_;
  }
  director_root_ = make_root(*root_key_, online_keys_, clock.now());
  image_root_ = make_root(*root_key_, image_keys, clock.now());
  sign_images();
  sign_director();
}

FakeServer::FakeServer(const FakeServer& other, const Clock& clock) : FakeServer(other) {
  clock_ = &clock;
  tamper = {};
  at_payload = {};
  alter_director = {};
}

void FakeServer::add_ecu(const std::string& serial, const std::string& hardware,
                         const crypto::Ed25519PublicKey& key) {
  ecus_[serial] = {.hardware = hardware, .key = key};
}

bool FakeServer::is_of_ecus(const std::string& hardware) const {
  return std::ranges::any_of(ecus_,
                             [&](const auto& ecu) { return ecu.second.hardware == hardware; });
}

std::map<manifest::EcuSerial, manifest::HardwareId> FakeServer::ecus_for(
    const std::string& image) const {
  const auto name = manifest::ImageName::parse(image).value();
  const std::string owner(name.owner());
  std::map<manifest::EcuSerial, manifest::HardwareId> out;
  const auto add = [&](const std::string& serial, const std::string& hardware) {
    out.emplace(manifest::EcuSerial::parse(serial).value(),
                manifest::HardwareId::parse(hardware).value());
  };
  const bool is_theirs = name.kind() == manifest::ImageKind::kSoftware && is_of_ecus(owner);
  if (!is_theirs) add(ecu_, hardware_);
  for (const auto& [serial, ecu] : ecus_)
    if (is_theirs && ecu.hardware == owner) add(serial, ecu.hardware);
  return out;
}

void FakeServer::know_car(const crypto::Ed25519PublicKey& ecu, const crypto::SealPublicKey& seal) {
  ecu_key_ = ecu;
  seal_key_ = seal;
}

// ---- signing ------------------------------------------------------------------------------------

manifest::Targets FakeServer::image_targets() const {
  manifest::Targets targets;
  targets.version = images_.version;
  targets.expires = clock_->now() + kMetadataSeconds;
  for (const auto& [name, target] : targets_)
    if (!supplied_.contains(name)) targets.targets.emplace(name, target);
  for (const auto& [name, supplier] : suppliers) {
    if (!supplier.is_delegated) continue;
    if (!targets.delegations) targets.delegations.emplace();
    const auto key = manifest::PublicKey::of(*supplier.key);
    targets.delegations->keys.emplace(key.id(), key);
    targets.delegations->roles.push_back(
        {name, {{key.id()}, 1}, false, {supplier.path}, {}, supplier.hardware});
  }
  return targets;
}

void FakeServer::sign_images() {
  ++images_.version;
  const std::string n = std::to_string(images_.version);
  const manifest::Targets targets = image_targets();
  const crypto::Signer* signers[] = {image_key_.get()};
  const Bytes bytes = manifest::make_targets(targets, signers).value();
  images_.files[n + ".targets.json"] = bytes;
  manifest::Snapshot snapshot{images_.version, targets.expires, {}};
  snapshot.files["targets.json"] = manifest::describe_file(targets.version, bytes);
  for (const auto& [name, supplier] : suppliers) {
    manifest::Targets role;
    role.version = supplier.version;
    role.expires = clock_->now() + supplier.valid_seconds;
    for (const auto& [image, by] : supplied_)
      if (by == name) role.targets.emplace(image, targets_.at(image));
    const crypto::Signer* by[] = {supplier.signs_with ? supplier.signs_with.get()
                                                      : supplier.key.get()};
    const Bytes signed_role = manifest::make_targets(role, by).value();
    snapshot.files[name + ".json"] = manifest::describe_file(role.version, signed_role);
    images_.files[fmt::format("{}.{}.json", role.version, manifest::percent_encoded(name))] =
        signed_role;
  }
  const Bytes signed_snapshot = manifest::make_snapshot(snapshot, signers).value();
  images_.files[n + ".snapshot.json"] = signed_snapshot;
  const manifest::Timestamp timestamp{images_.version, targets.expires,
                                      manifest::describe_file(images_.version, signed_snapshot)};
  images_.files["timestamp.json"] = manifest::make_timestamp(timestamp, signers).value();
}

void FakeServer::sign_director() {
  manifest::DirectorContent content{
      .vin = manifest::Vin::parse(director_vin).value(), .orders = orders_, .images = {}};
  content.version = ++director_.version;
  content.expires = clock_->now() + kMetadataSeconds;
  for (const manifest::Order& order : orders_)
    for (const std::string& name : order.images)
      content.images.push_back({.name = name,
                                .image_target = targets_.at(name),
                                .ecus = ecus_for(name),
                                .payloads = payloads_of_.at(name)});
  if (alter_director) alter_director(content);
  const auto by = [&](Role role) {
    return std::array<const crypto::Signer*, 1>{online_keys_.at(role).get()};
  };
  const Bytes bytes =
      manifest::make_targets(manifest::make_director_targets(content), by(Role::kTargets)).value();
  const manifest::Version online_version = run_up == 0 ? director_.version : run_up;
  // As the server: each of them says whom it is for.
  const std::string custom = manifest::director_custom(content.vin);
  const Bytes snapshot =
      manifest::make_snapshot(
          {.version = online_version,
           .expires = content.expires,
           .files = {{"targets.json", manifest::describe_file(content.version, bytes)}},
           .custom = custom},
          by(Role::kSnapshot))
          .value();
  director_.files[std::to_string(director_.version) + ".targets.json"] = bytes;
  director_.files[std::to_string(online_version) + ".snapshot.json"] = snapshot;
  director_.files["timestamp.json"] =
      manifest::make_timestamp({.version = online_version,
                                .expires = content.expires,
                                .snapshot = manifest::describe_file(online_version, snapshot),
                                .custom = custom},
                               by(Role::kTimestamp))
          .value();
}

void FakeServer::rotate_director_key() {
  rotate_director_keys({std::begin(kOnlineRoles), std::end(kOnlineRoles)});
}

void FakeServer::rotate_director_keys(const std::vector<Role>& roles) {
  for (const Role role : roles) online_keys_.at(role) = crypto::MemorySigner::generate();
  const manifest::Version version = ++director_root_version_;
  director_.files[std::to_string(version) + ".root.json"] =
      make_root(*root_key_, online_keys_, clock_->now(), version);
  sign_director();
}

void FakeServer::add_payload(const std::string& image, const Bytes* base, const Bytes& target,
                             const manifest::ReEncoders& needs) {
  MemoryDisk disk;
  LAYBY_ASSERT(replace_file(disk, "/target", target) &&
               (base == nullptr || replace_file(disk, "/base", *base)));
  const auto target_file = disk.open_read("/target").value();
  std::unique_ptr<ReadAt> base_file;
  if (base != nullptr) base_file = disk.open_read("/base").value();
  const auto output = disk.open_write("/payload").value();
  const auto report = delta::encode(base_file.get(), *target_file,
                                    {.profile = delta::Profile::kFast,
                                     .effort = delta::Effort::kQuick,
                                     .chunk_target_bytes = kChunkBytes,
                                     .stop = {}},
                                    *output);
  LAYBY_ASSERT(report.has_value());
  manifest::Payload payload;
  if (base != nullptr) payload.base = crypto::sha256(*base);
  payload.sha256 = report->payload_sha256;
  payload.length = report->payload_bytes;
  payload.head_sha256 = report->head_sha256;
  payload.head_length = report->head_bytes;
  payload.needs = needs;
  payloads_of_[image].push_back(payload);
  payloads_[to_hex(payload.sha256)] = read_file(disk, "/payload", kImageBytesMax).value();
}

void FakeServer::spoil_chunk(const std::string& image, std::size_t payload, std::uint32_t chunk) {
  manifest::Payload& named = payloads_of_.at(image).at(payload);
  Bytes bytes = payloads_.at(to_hex(named.sha256));
  const auto head = delta::parse_head(ByteSpan(bytes).first(named.head_length));
  LAYBY_ASSERT(head.has_value());
  const delta::ChunkEntry& entry = head->chunk(chunk);
  bytes[entry.payload_offset + entry.payload_bytes - 1] ^= 1;
  const auto digest =
      crypto::blake2b_256(ByteSpan(bytes).subspan(entry.payload_offset, entry.payload_bytes));
  const std::size_t digest_at =
      delta::kPayloadHeaderBytes + chunk * delta::kPayloadIndexEntryBytes + 8;
  std::ranges::copy(digest, bytes.begin() + static_cast<long>(digest_at));
  named.head_sha256 = crypto::sha256(ByteSpan(bytes).first(named.head_length));
  named.sha256 = crypto::sha256(bytes);
  payloads_[to_hex(named.sha256)] = std::move(bytes);
}

void FakeServer::publish(const ImageSpec& spec) {
  const auto name = manifest::ImageName::parse(spec.name).value();
  manifest::ImageEntry entry{.name = name,
                             .length = spec.bytes.size(),
                             .sha256 = crypto::sha256(spec.bytes),
                             .sha512 = crypto::sha512(spec.bytes),
                             .hardware_ids = {manifest::HardwareId::parse(hardware_).value()},
                             .facts = {.kind = name.kind(),
                                       .slot = name.slot(),
                                       .version = std::string(name.version()),
                                       .conditions = spec.conditions,
                                       .licence_key = {}},
                             .must_match = {}};
  if (name.kind() == manifest::ImageKind::kSoftware && is_of_ecus(std::string(name.owner()))) {
    const auto hardware = manifest::HardwareId::parse(name.owner()).value();
    entry.hardware_ids = {hardware};
    entry.facts.slot = manifest::Slot::software(hardware);
  }
  entry.facts.release_counter = spec.release_counter;
  entry.facts.duration_seconds = spec.duration_seconds;
  entry.facts.battery_percent_min = spec.battery_percent_min;
  entry.facts.network = spec.network;
  if (name.kind() == manifest::ImageKind::kFunction)
    entry.facts.licence_key = manifest::PublicKey::from_ed25519(licence_key_->public_key());
  targets_[spec.name] = manifest::make_image_target(entry);
  supplied_.erase(spec.name);
  if (!spec.supplier.empty()) supplied_[spec.name] = spec.supplier;
  payloads_of_[spec.name].clear();
  if (spec.base) add_payload(spec.name, &*spec.base, spec.bytes, spec.delta_needs);
  add_payload(spec.name, nullptr, spec.bytes, {});
  sign_images();
}

manifest::OrderId FakeServer::order(const std::vector<std::string>& images) {
  orders_.push_back({.id = manifest::OrderId::generate(clock_->now()),
                     .action = manifest::OrderAction::kInstall,
                     .images = images,
                     .licence = {}});
  sign_director();
  return orders_.back().id;
}

Bytes FakeServer::issue_licence(const std::string& function, const manifest::OrderId& order,
                                manifest::LicenceState state, std::optional<UnixSeconds> until,
                                std::optional<std::string> vin) {
  const manifest::Licence licence{.vin = manifest::Vin::parse(vin.value_or(vin_)).value(),
                                  .function = manifest::FunctionId::parse(function).value(),
                                  .order = order,
                                  .counter = ++licence_counters_[function],
                                  .state = state,
                                  .issued = clock_->now(),
                                  .until = until,
                                  .grace_seconds = until ? licence_grace_seconds : 0};
  return manifest::make_licence(licence, *licence_key_, seal_key_).value();
}

std::shared_ptr<crypto::MemorySigner> FakeServer::use_licence_key(
    std::shared_ptr<crypto::MemorySigner> key) {
  return std::exchange(licence_key_, std::move(key));
}

void FakeServer::set_licence_counter(const std::string& function, std::uint64_t counter) {
  licence_counters_[function] = counter;
}

manifest::OrderId FakeServer::order_licence(const std::string& function,
                                            manifest::LicenceState state,
                                            std::optional<UnixSeconds> until) {
  const auto id = manifest::OrderId::generate(clock_->now());
  orders_.push_back({.id = id,
                     .action = state == manifest::LicenceState::kRevoked
                                   ? manifest::OrderAction::kDeactivate
                                   : manifest::OrderAction::kLicence,
                     .images = {},
                     .licence = issue_licence(function, id, state, until)});
  sign_director();
  return id;
}

void FakeServer::renew(const manifest::OrderId& id, const std::string& function,
                       std::optional<UnixSeconds> until, std::optional<std::string> vin) {
  for (manifest::Order& order : orders_) {
    if (order.id != id) continue;
    order.action = manifest::OrderAction::kLicence;
    order.images.clear();
    order.licence = issue_licence(function, id, manifest::LicenceState::kActive, until, vin);
  }
  sign_director();
}

void FakeServer::relicense(const manifest::OrderId& id, const std::string& function,
                           std::optional<UnixSeconds> until) {
  for (manifest::Order& order : orders_)
    if (order.id == id)
      order.licence = issue_licence(function, id, manifest::LicenceState::kActive, until);
  sign_director();
}

void FakeServer::cancel(const manifest::OrderId& id) {
  std::erase_if(orders_, [&](const manifest::Order& order) { return order.id == id; });
  sign_director();
}

void FakeServer::deactivate(const manifest::OrderId& id, const std::string& function) {
  const Bytes revoking =
      issue_licence(function, id, manifest::LicenceState::kRevoked, std::nullopt);
  cancel(id);
  orders_.push_back(
      {.id = id, .action = manifest::OrderAction::kDeactivate, .images = {}, .licence = revoking});
  sign_director();
}

// ---- reports ------------------------------------------------------------------------------------

namespace {

Result<manifest::VerifiedManifest> verify_timely(ByteSpan bytes, const manifest::KnownCar& car,
                                                 UnixSeconds now) {
  auto verified = TRY(manifest::verify_vehicle_manifest(bytes, car));
  for (const auto& [serial, report] : verified.ecus())
    TRY_VOID(manifest::check_report_time(report, now));
  return verified;
}

}  // namespace

HttpResponse FakeServer::take_report(const std::string& body) {
  const auto serial = manifest::EcuSerial::parse(ecu_).value();
  manifest::KnownCar car{.vin = manifest::Vin::parse(vin_).value(),
                         .primary = serial,
                         .ecus = {},
                         .last_manifest = last_manifest_};
  car.ecus.emplace(serial, manifest::KnownEcu{manifest::PublicKey::from_ed25519(ecu_key_.value()),
                                              report_counter_});
  for (const auto& [ecu_serial, ecu] : ecus_)
    car.ecus.emplace(manifest::EcuSerial::parse(ecu_serial).value(),
                     manifest::KnownEcu{manifest::PublicKey::from_ed25519(ecu.key), ecu.counter,
                                        manifest::HardwareId::parse(ecu.hardware).value()});
  const auto verified = verify_timely(as_bytes(body), car, clock_->now());
  if (!verified && verified.error().code() == ErrorCode::kReplay) ++conflicts;
  if (!verified && verified.error().code() != ErrorCode::kReplay) ++refused;
  if (!verified)
    return response(verified.error().code() == ErrorCode::kReplay ? 409 : 400,
                    verified.error().message());
  if (verified->freshness() == manifest::VerifiedManifest::Freshness::kNew) {
    last_manifest_ = verified->digest();
    report_counter_ = verified->primary().counter;
    reports_.push_back(verified->primary());
    silent_ = verified->silent();
    for (auto& [ecu_serial, ecu] : ecus_) {
      const auto said = verified->ecus().find(manifest::EcuSerial::parse(ecu_serial).value());
      if (said == verified->ecus().end()) continue;
      ecu.counter = said->second.counter;
      ecu.reports.push_back(said->second);
    }
    for (const manifest::OrderReport& said : verified->primary().orders)
      for (manifest::Order& order : orders_) {
        const bool wants = issues_licences && order.id == said.id && order.licence.empty() &&
                           said.state == manifest::OrderState::kDownloaded &&
                           !order.images.empty() && order.images[0].starts_with("functions/");
        if (!wants) continue;
        const auto name = manifest::ImageName::parse(order.images[0]).value();
        order.licence = issue_licence(std::string(name.owner()), order.id,
                                      manifest::LicenceState::kActive, licence_until);
        sign_director();
      }
  }
  return response(200, "{\"acknowledged\":" + std::to_string(report_counter_) + "}");
}

HttpResponse FakeServer::take_wish(const std::string& body) {
  const auto json = manifest::parse_strict(as_bytes(body), {.bytes_max = 4096});
  LAYBY_ASSERT(json.has_value());
  std::vector<std::string> regions, images;
  for (const auto& region : json->at("regions")) regions.push_back(region.get<std::string>());
  map_wishes.push_back(regions);
  std::string found;
  for (const std::string& region : regions)
    if (const auto newest = newest_maps.find(region);
        newest != newest_maps.end() && images.size() < 3) {
      images.push_back(newest->second);
      found += (found.empty() ? "\"" : ",\"") + region + "\"";
    }
  if (images.empty()) return response(200, "{}");
  if (json->at("start") == "announce") return response(200, "{\"regions\":[" + found + "]}");
  for (const std::string& image : images)  // ordered once
    std::erase_if(newest_maps, [&](const auto& newest) { return newest.second == image; });
  return response(201, "{\"id\":\"" + order(images).text() + "\"}");
}

std::optional<manifest::OrderReport> FakeServer::reported(const manifest::OrderId& id) const {
  if (reports_.empty()) return std::nullopt;
  for (const manifest::OrderReport& order : reports_.back().orders)
    if (order.id == id) return order;
  return std::nullopt;
}

int FakeServer::count_reported(const manifest::OrderId& id, manifest::OrderState state) const {
  int count = 0;
  bool was = false;
  for (const manifest::EcuReport& report : reports_) {
    bool is = false;
    for (const manifest::OrderReport& order : report.orders)
      is = is || (order.id == id && order.state == state);
    if (is && !was) ++count;
    was = is;
  }
  return count;
}

// ---- answering ----------------------------------------------------------------------------------

HttpResponse FakeServer::metadata(const Signed& repository, const std::string& file,
                                  const HttpRequest& request) const {
  const auto found = repository.files.find(file);
  if (found == repository.files.end()) return response(404);
  const std::string etag = etag_prefix + to_hex(crypto::sha256(found->second)) + "\"";
  const auto known = request.headers.find("If-None-Match");
  HttpResponse out = known != request.headers.end() && known->second == etag
                         ? response(304)
                         : response(200, std::string(as_text(found->second)));
  out.headers["etag"] = etag;
  return out;
}

HttpResponse FakeServer::answer(const HttpRequest& request) {
  const std::string& path = request.path;
  const std::string time = "/v1/vehicle/time?nonce=", director = "/v1/vehicle/director/",
                    image = "/v1/repositories/image/metadata/";
  if (path.starts_with(time)) {
    const auto nonce = array_from_hex<16>(path.substr(time.size())).value();
    const auto stray_key = crypto::MemorySigner::generate();
    const crypto::Signer* signers[] = {
        sign_time_with_a_stray_key ? stray_key.get() : online_keys_.at(Role::kTimestamp).get()};
    return response(
        200, std::string(as_text(
                 manifest::make_server_time(nonce, clock_->now() + time_ahead, signers).value())));
  }
  if (path.starts_with(director)) return metadata(director_, path.substr(director.size()), request);
  if (path.starts_with(image)) return metadata(images_, path.substr(image.size()), request);
  if (path == "/v1/vehicle/manifest") return take_report(request.body);
  if (path == "/v1/vehicle/map-requests") return take_wish(request.body);
  return response(404);
}

Result<HttpResponse> FakeServer::send_payload(const HttpRequest& request,
                                              const agent::BodySink& sink) {
  const std::string sha256 = request.path.substr(std::string("/v1/payloads/").size());
  const auto found = payloads_.find(sha256);
  if (payload_status != 0) {
    HttpResponse refusal = response(payload_status);
    refusal.bytes_received = payload_refusal_bytes;
    if (request.body_bytes != nullptr) *request.body_bytes += payload_refusal_bytes;
    if (breaks_refusals) return fail(ErrorCode::kUnavailable, "the connection broke");
    return refusal;
  }
  if (found == payloads_.end() || !request.range) return response(404);
  const agent::ByteRange range = *request.range;
  if (at_payload) at_payload(sha256, range);
  if (range.offset + range.length > found->second.size()) return response(416);
  const auto begin = found->second.begin() + static_cast<long>(range.offset);
  Bytes body(begin, begin + static_cast<long>(range.length));
  if (tamper) tamper(sha256, range.offset, body);
  std::size_t sent = 0;
  while (sent < body.size()) {
    if (break_payload_after && *break_payload_after <= sent) {
      break_payload_after.reset();
      return fail(break_with, "the connection broke");
    }
    const std::size_t count = std::min(piece_bytes, body.size() - sent);
    payload_bytes_sent += count;
    if (request.body_bytes != nullptr) *request.body_bytes += count;
    TRY_VOID(sink(ByteSpan(body).subspan(sent, count)));
    sent += count;
  }
  HttpResponse out = response(206);
  out.bytes_received = sent;
  return out;
}

Result<HttpResponse> FakeServer::exchange(const HttpRequest& request, const agent::BodySink& sink) {
  if (offline) return fail(ErrorCode::kUnavailable, "no route to the server");
  ++requests[request.path.substr(0, request.path.find('/', 4))];
  ++paths[request.path];
  if (fail_status_times > 0) {
    --fail_status_times;
    return response(fail_status);
  }
  if (request.path.starts_with("/v1/payloads/")) return send_payload(request, sink);
  const HttpResponse out = answer(request);
  if (request.path == "/v1/vehicle/manifest" && lose_report_answers > 0) {
    --lose_report_answers;
    return fail(ErrorCode::kUnavailable, "the connection broke");
  }
  if (out.body.size() > request.bytes_max)
    return fail(ErrorCode::kEndlessData, "more than {} bytes", request.bytes_max);
  return out;
}

}  // namespace layby::tests
