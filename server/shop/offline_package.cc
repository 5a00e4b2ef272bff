#include "server/shop/offline_package.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <set>

#include "base/limits.h"
#include "base/time_text.h"
#include "manifest/director.h"
#include "manifest/envelope.h"
#include "manifest/json_value.h"
#include "manifest/metadata_json.h"
#include "manifest/offline_package.h"
#include "manifest/repository.h"
#include "manifest/server_time.h"
#include "manifest/target_search.h"
#include "server/director/director_metadata.h"
#include "server/fleet/auth.h"
#include "server/fleet/refusal.h"
#include "server/fleet/vehicle_state.h"
#include "server/release/image_repository.h"
#include "server/release/metadata_file.h"
#include "server/release/release_keys.h"
#include "server/release/role_signers.h"
#include "server/shop/entitlement.h"
#include "server/shop/order.h"

namespace layby::server {

using manifest::Json;

namespace {

enum class Payloads { kAll, kDeltas };

Result<Payloads> read_payloads(const Request& request) {
  const auto asked = request.query.find("payloads");
  if (asked == request.query.end() || asked->second == "all") return Payloads::kAll;
  if (asked->second == "deltas") return Payloads::kDeltas;
  return fail(ErrorCode::kInvalidArgument, "payloads: all or deltas");
}

Result<CarAccess> access_as_partner(const Services& services, const Request& request) {
  CarAccess access = TRY(access_car(services, request));
  switch (access.standing) {
    case Standing::kPartner:
    case Standing::kOperator: return access;
    case Standing::kOwner:
    case Standing::kSecondary: break;
  }
  return fail(ErrorCode::kForbidden, "a package for a car is for a partner to prepare");
}

// ---- writing ------------------------------------------------------------------------------------

class PackageWriter {
 public:
  Result<void> add(const std::string& name, std::string_view bytes) {
    text_ += TRY(manifest::package_member_head(name, bytes.size()));
    text_ += bytes;
    text_ += manifest::package_padding(bytes.size());
    return {};
  }
  Result<void> add_file(const std::string& name, const FilePart& part) {
    text_ += TRY(manifest::package_member_head(name, part.length));
    flush();
    pieces_.emplace_back(part);
    bytes_ += part.length;
    text_ += manifest::package_padding(part.length);
    return {};
  }
  BodyPieces finish() {
    text_ += manifest::package_end();
    flush();
    return std::move(pieces_);
  }
  std::uint64_t bytes() const { return bytes_ + text_.size(); }

 private:
  void flush() {
    bytes_ += text_.size();
    if (!text_.empty()) pieces_.emplace_back(std::move(text_));
    text_.clear();
  }
  BodyPieces pieces_;
  std::string text_;
  std::uint64_t bytes_ = 0;
};

// ---- metadata -----------------------------------------------------------------------------------

using Documents = std::function<Result<std::optional<std::string>>(const MetadataFile&)>;

// Walks the way that a car goes which has nothing but the first root: what it asks for is what the
// package has to hold, in this order.
Result<manifest::TrustedRepository> add_repository(PackageWriter& writer,
                                                   manifest::Repository which, UnixSeconds now,
                                                   const Documents& documents) {
  const auto first = TRY(documents({.role = manifest::Role::kRoot, .version = 1}));
  if (!first) return fail(ErrorCode::kCorrupt, "a repository without its first root");
  auto repository = TRY(manifest::TrustedRepository::load(
      {.root = to_bytes(*first), .timestamp = {}, .snapshot = {}, .targets = {}}));
  manifest::Refresh refresh(repository, now);
  while (const auto request = refresh.next()) {
    const std::optional<MetadataFile> file = parse_metadata_file(request->file);
    if (!file) return fail(ErrorCode::kInternal, "{} is no metadata file", request->file);
    const std::optional<std::string> bytes = TRY(documents(*file));
    if (!bytes) {
      TRY_VOID(refresh.give_absent());
      continue;
    }
    TRY_VOID(refresh.give(as_bytes(*bytes)));
    TRY_VOID(writer.add(manifest::package_metadata_name(which, file->role, file->version), *bytes));
  }
  return repository;
}

// Within the bounds of a car's own look, by which it would refuse all of the package.
Result<void> check_car_can_look(const std::set<std::string>& roles, std::size_t searches,
                                const manifest::Snapshot& snapshot) {
  std::string why;
  if (const auto fits = manifest::check_delegated_bounds(roles, snapshot); !fits)
    why = fits.error().message();
  else if (searches > manifest::kSearchesMax)
    why = fmt::format("more than {} images of suppliers at once", manifest::kSearchesMax);
  if (why.empty()) return {};
  return fail(ErrorCode::kConflict,
              "{}: the car would take none of it. Cancel some of its open orders, and order them "
              "again when the others are done",
              why);
}

// Walks on, for each image that the Director gives this car, down the delegations: the roles on the
// way, in the order of their names. When the first of them expires.
Result<UnixSeconds> add_delegated(PackageWriter& writer, const Services& services,
                                  const manifest::TrustedRepository& director,
                                  manifest::TrustedRepository& image, const manifest::CarFacts& car,
                                  UnixSeconds now) {
  struct Member {
    std::string name, bytes;
  };
  std::map<std::string, Member> members;  // by the role
  UnixSeconds expires = std::numeric_limits<UnixSeconds>::max();
  std::set<std::string> roles;  // that the car has to look into, for all its images
  std::size_t searches = 0;
  manifest::VerifiedRoles verified;
  for (const auto& assigned : TRY(manifest::assigned_targets(director, car))) {
    manifest::TargetSearch search(image, assigned.name, now, assigned.hardware, &verified);
    while (const auto request = search.next()) {
      const std::optional<DelegatedFile> file = parse_delegated_file(request->file);
      if (!file) return fail(ErrorCode::kInternal, "{} is no metadata file", request->file);
      const auto bytes = TRY(delegated_document(services.store, *file));
      if (!bytes) return fail(ErrorCode::kCorrupt, "{} is missing", request->file);
      TRY_VOID(search.give(as_bytes(*bytes)));
      const auto envelope = TRY(manifest::Envelope::parse(as_bytes(*bytes), kTargetsBytesMax));
      expires = std::min(expires, TRY(manifest::decode_targets(envelope.signed_part())).expires);
      members[file->role] = {manifest::package_delegated_name(file->role, file->version), *bytes};
    }
    if (!search.visited().empty()) ++searches;
    roles.insert(search.visited().begin(), search.visited().end());
    TRY_VOID(check_car_can_look(roles, searches, **image.snapshot()));
  }
  for (const auto& [role, member] : members) TRY_VOID(writer.add(member.name, member.bytes));
  return expires;
}

UnixSeconds expiry(const manifest::TrustedRepository& repository) {
  return std::min({repository.root()->expires, (*repository.timestamp())->expires,
                   (*repository.snapshot())->expires, (*repository.targets())->expires});
}

// Each package has a timestamp of its own: it lives as long as any, and a car that took a later
// package takes no earlier one.
Result<void> sign_anew(const Services& services, const manifest::Vin& vin, const std::string& who) {
  return commit_with_retry(services.store, [&](Change& change) -> Result<void> {
    TRY(CarAffairs::begin(services, change, vin, who)).outdate_metadata();
    return {};
  });
}

// ---- payloads -----------------------------------------------------------------------------------

struct Contents {
  std::vector<std::string> orders;
  std::map<crypto::Digest256, std::uint64_t> payloads;  // with their lengths
};

Result<bool> is_open(const Services& services, const manifest::Vin& vin,
                     const manifest::PlannedOrder& planned) {
  if (planned.images.empty()) return false;
  const Order order = TRY(load_order(services.store, vin, planned.id.text()));
  return may_bring_payloads(order, services.clock.now());
}

// The delta from what the car last said it has, and the whole image for a car that has changed.
void add_image(Contents& contents, const manifest::PlannedImage& image, const VehicleState* state,
               Payloads wanted) {
  std::optional<crypto::Digest256> held;
  if (state != nullptr) {
    const auto found = state->installed.find(image.entry.facts.slot);
    if (found != state->installed.end()) held = found->second.sha256;
  }
  if (held == image.entry.sha256) return;
  bool has_delta = false;
  for (const manifest::Payload& payload : image.payloads) {
    if (!payload.base || payload.base != held) continue;
    contents.payloads.emplace(payload.sha256, payload.length);
    has_delta = true;
  }
  if (has_delta && wanted == Payloads::kDeltas) return;
  for (const manifest::Payload& payload : image.payloads)
    if (!payload.base) contents.payloads.emplace(payload.sha256, payload.length);
}

Error nothing_to_bring(const std::vector<HeldOrder>& held_orders) {
  std::string why = "no order of this car has anything to bring into it";
  for (const HeldOrder& held : held_orders) why += fmt::format("; {}: {}", held.order, held.reason);
  return Error(ErrorCode::kConflict, why);
}

// Before anything is signed or written. What the car is then listed decides in the end.
Result<void> check_any_open(const Services& services, const manifest::Vin& vin) {
  const UnixSeconds now = services.clock.now();
  for (const Order& order : TRY(load_orders(services.store, vin)))
    if (!order.images.empty() && may_bring_payloads(order, now)) return {};
  return fail(nothing_to_bring(TRY(held_orders(services.store, vin))));
}

Result<Contents> choose(const Services& services, const manifest::Vin& vin,
                        const manifest::VerifiedPlan& plan, const VehicleState* state,
                        Payloads wanted) {
  Contents contents;
  for (const manifest::PlannedOrder& order : plan.orders()) {
    if (!TRY(is_open(services, vin, order))) continue;
    contents.orders.push_back(order.id.text());
    for (const manifest::PlannedImage& image : order.images)
      add_image(contents, image, state, wanted);
  }
  if (!contents.orders.empty()) return contents;
  return fail(nothing_to_bring(TRY(held_orders(services.store, vin))));
}

manifest::CarFacts facts_of(const Car& car, const VehicleState* state) {
  manifest::CarFacts facts{.vin = car.vin, .ecus = {}, .release_counters = {}};
  if (car.pairing) facts.primary = car.pairing->primary;
  for (const CarEcu& ecu : car.ecus) facts.ecus.emplace(ecu.serial, ecu.hardware_id);
  if (state == nullptr) return facts;
  for (const auto& [slot, installed] : state->installed)
    facts.release_counters.emplace(slot, installed.release_counter);
  return facts;
}

// ---- the whole ----------------------------------------------------------------------------------

struct Package {
  Contents contents;
  manifest::Version director_version = 0;
  UnixSeconds made = 0;
  UnixSeconds expires = 0;
  std::uint64_t bytes = 0;
  BodyPieces pieces;
};

Result<Package> make_package(const Services& services, const Car& car, Payloads wanted) {
  PackageWriter writer;
  Package package;
  package.made = services.clock.now();
  // What has expired is withdrawn with this: before the Director signs what the car is to have.
  TRY_VOID(image_timestamp(services));
  const auto root = TRY(published_director_root(services));
  const auto by =
      TRY(role_signers(services.keys, Repository::kDirector, manifest::Role::kTimestamp, *root));
  const Bytes time = TRY(manifest::make_package_time(car.vin, package.made, by));
  TRY_VOID(writer.add(std::string(manifest::kPackageTimeName), as_text(time)));
  const auto director = TRY(
      add_repository(writer, manifest::Repository::kDirector, package.made,
                     [&](const MetadataFile& file) -> Result<std::optional<std::string>> {
                       if (file.role == manifest::Role::kTimestamp)
                         return std::optional(TRY(director_timestamp(services, car.vin)).bytes);
                       return director_document(services.store, car.vin, file.role, file.version);
                     }));
  auto image =
      TRY(add_repository(writer, manifest::Repository::kImage, package.made,
                         [&](const MetadataFile& file) -> Result<std::optional<std::string>> {
                           if (file.role == manifest::Role::kTimestamp)
                             return std::optional(TRY(image_timestamp(services)));
                           return image_document(services.store, file.role, file.version);
                         }));
  const std::optional<VehicleState> state = TRY(load_vehicle_state(services.store, car.vin));
  const VehicleState* known = state ? &*state : nullptr;
  const manifest::CarFacts facts = facts_of(car, known);
  const UnixSeconds delegated_expire =
      TRY(add_delegated(writer, services, director, image, facts, package.made));
  const auto plan = TRY(manifest::verify_plan(director, image, facts, package.made));
  package.contents = TRY(choose(services, car.vin, plan, known, wanted));
  package.director_version = plan.director_version();
  package.expires = std::min({expiry(director), expiry(image), delegated_expire});
  for (const auto& [payload, length] : package.contents.payloads) {
    const std::string path = TRY(services.payloads.local_path(payload));
    const FilePart part{.path = path, .offset = 0, .length = length};
    TRY_VOID(writer.add_file(manifest::package_payload_name(payload), part));
  }
  package.pieces = writer.finish();
  package.bytes = writer.bytes();
  return package;
}

Result<void> record(const Services& services, const manifest::Vin& vin, const std::string& who,
                    const Package& package) {
  return commit_with_retry(services.store, [&](Change& change) -> Result<void> {
    CarAffairs affairs = TRY(CarAffairs::begin(services, change, vin, who));
    affairs.record("offline-package", "",
                   {{"orders", package.contents.orders},
                    {"director_version", package.director_version},
                    {"expires", format_utc(package.expires)},
                    {"payloads", package.contents.payloads.size()},
                    {"bytes", package.bytes}});
    return {};
  });
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

}  // namespace

Response post_offline_package(const Services& services, const Request& request) {
  return to_response([&]() -> Answer<Response> {
    const CarAccess access = TRY(access_as_partner(services, request));
    const Payloads wanted = TRY(read_payloads(request));
    const manifest::Vin& vin = access.car.vin;
    if (!access.car.pairing) return fail(ErrorCode::kConflict, "the car is not paired");
    TRY_VOID(check_any_open(services, vin));
    TRY_VOID(sign_anew(services, vin, access.caller.account));
    Package package = TRY(make_package(services, access.car, wanted));
    TRY_VOID(record(services, vin, access.caller.account, package));
    Response response;
    response.headers = {
        {"Content-Type", "application/x-tar"},
        {"Content-Disposition", fmt::format("attachment; filename=\"{}.layby.tar\"", vin.text())},
        {"Cache-Control", "no-store"},
        {"Layby-Orders", joined(package.contents.orders)},
        {"Layby-Expires", format_utc(package.expires)}};
    response.body = std::move(package.pieces);
    return response;
  }());
}

}  // namespace layby::server
