#include "server/cli/image_publish.h"

#include <map>

#include "base/clock.h"
#include "crypto/open_signer.h"
#include "manifest/envelope.h"
#include "manifest/json_value.h"
#include "manifest/metadata_checks.h"
#include "manifest/metadata_json.h"
#include "manifest/repository.h"
#include "manifest/target_search.h"
#include "server/cli/output.h"
#include "server/cli/upload.h"

namespace layby::cli {
namespace {

constexpr std::string_view kMetadataPath = "/v1/repositories/image/metadata/";
constexpr std::uint64_t kLicenceKeyBytesMax = 4 * kKiB;

// The repository as the engine believes it now, from the provisioned root on. Signing what an
// unverified server handed out would give a forger the offline key's signature.
Result<manifest::TrustedRepository> fetch_repository(Session& session,
                                                     const std::string& root_file) {
  manifest::StoredRoles stored;
  stored.root = TRY_CONTEXT(read_file(session.disk(), root_file, kRootBytesMax), "the image root");
  auto repository = TRY(manifest::TrustedRepository::load(stored));
  manifest::Refresh refresh(repository, SystemClock().now());
  while (const auto wanted = refresh.next()) {
    const HttpRequest request{.method = "GET",
                              .path = std::string(kMetadataPath) + encode_segment(wanted->file),
                              .headers = {},
                              .body = {}};
    HttpAnswer answer = TRY(session.exchange(request));
    if (answer.status == 404 || answer.status == 403) {
      TRY_VOID(refresh.give_absent());
      continue;
    }
    const HttpAnswer good = TRY(session.accept(std::move(answer), request));
    TRY_VOID(refresh.give(as_bytes(good.body)));
  }
  TRY_VOID(repository.check_current(SystemClock().now()));
  return repository;
}

Result<Bytes> fetch_metadata(Session& session, const std::string& file) {
  const HttpRequest request{.method = "GET",
                            .path = std::string(kMetadataPath) + encode_segment(file),
                            .headers = {},
                            .body = {}};
  HttpAnswer answer = TRY(session.exchange(request));
  return to_bytes(TRY(session.accept(std::move(answer), request)).body);
}

// The targets of a delegated role as the repository has them; version 0 before the first ones. They
// are signed anew here: so they must be what this very key signed before.
Result<manifest::Targets> fetch_delegated(Session& session,
                                          const manifest::TrustedRepository& repository,
                                          const std::string& role, const crypto::Signer& signer) {
  const auto& files = (*repository.snapshot())->files;
  const auto entry = files.find(role + ".json");
  if (entry == files.end()) {
    manifest::Targets none;
    none.version = 0;
    return none;
  }
  const Bytes bytes =
      TRY(fetch_metadata(session, fmt::format("{}.{}.json", entry->second.version, role)));
  TRY_VOID(manifest::check_against_parent(entry->second, bytes, role));
  const auto envelope = TRY_CONTEXT(manifest::Envelope::parse(bytes, kTargetsBytesMax), role);
  TRY_VOID(manifest::verify_signature(envelope, manifest::PublicKey::of(signer), role));
  auto targets = TRY_CONTEXT(manifest::decode_targets(envelope.signed_part()), role);
  TRY_VOID(manifest::check_version_against_parent(entry->second, targets.version, role));
  return targets;
}

Result<std::optional<manifest::PublicKey>> read_licence_key(Disk& disk, const std::string& file) {
  if (file.empty()) return std::nullopt;
  const Bytes bytes = TRY(read_file(disk, file, kLicenceKeyBytesMax));
  const Json key = TRY(manifest::parse_strict(bytes, {.bytes_max = kLicenceKeyBytesMax}));
  return TRY(manifest::PublicKey::from_json(key));
}

Result<std::unique_ptr<crypto::Signer>> read_targets_key(Session& session,
                                                         const PublishOptions& options) {
  std::string passphrase;
  if (!options.passphrase_file.empty())
    passphrase = TRY_CONTEXT(read_secret(session.disk(), options.passphrase_file), "passphrase");
  return crypto::open_signer(session.disk(), options.targets_key_file, passphrase);
}

// The images that the repository does not hold yet.
Result<std::vector<PreparedImage>> new_images(std::vector<PreparedImage> images,
                                              const manifest::Targets& current) {
  std::vector<PreparedImage> fresh;
  for (PreparedImage& image : images) {
    const auto known = current.targets.find(image.entry.name.text());
    if (known == current.targets.end()) {
      fresh.push_back(std::move(image));
    } else if (!(known->second == manifest::make_image_target(image.entry))) {
      return fail(ErrorCode::kAlreadyExists,
                  "{} is published with other content; a name is used once", known->first);
    }
  }
  return fresh;
}

Result<Json> upload_all(Session& session, const std::vector<PreparedImage>& images) {
  Json published = Json::array();
  for (const PreparedImage& image : images) {
    const auto outcome =
        TRY_CONTEXT(upload(session, *image.bytes, image.entry.sha256, image.entry.name.text()),
                    image.entry.name.text());
    published.push_back({{"image", image.entry.name.text()},
                         {"length", image.entry.length},
                         {"sha256", to_hex(image.entry.sha256)},
                         {"uploaded", outcome.bytes_sent}});
  }
  return published;
}

// Of delegations by which cars take nothing now.
Result<void> print_warnings(const std::string& answer) {
  const Json published =
      TRY(manifest::parse_strict(as_bytes(answer), {.bytes_max = kAnswerBytesMax}));
  for (const Json& text : *TRY(manifest::array_field(published, "warnings")))
    if (text.is_string()) fmt::print(stderr, "warning: {}\n", text.get_ref<const std::string&>());
  return {};
}

}  // namespace

Result<void> publish_images(Session& session, const PublishOptions& options) {
  const auto licence_key = TRY_CONTEXT(read_licence_key(session.disk(), options.licence_key_file),
                                       options.licence_key_file);
  const auto signer = TRY_CONTEXT(read_targets_key(session, options), options.targets_key_file);
  std::vector<PreparedImage> images;
  for (const ImageSpec& spec : options.images)
    images.push_back(TRY(prepare_image(session.disk(), spec, licence_key)));

  const auto repository = TRY(fetch_repository(session, options.image_root_file));
  const bool is_top = options.role.empty();
  manifest::Targets next = is_top
                               ? **repository.targets()
                               : TRY(fetch_delegated(session, repository, options.role, *signer));
  images = TRY(new_images(std::move(images), next));
  Json published = Json::array();
  if (!images.empty()) {
    published = TRY(upload_all(session, images));
    for (const PreparedImage& image : images)
      next.targets[image.entry.name.text()] = manifest::make_image_target(image.entry);
    next.version += 1;
    next.expires =
        SystemClock().now() + static_cast<std::int64_t>(options.expires_days) * kDaySeconds;
    const crypto::Signer* const by[] = {signer.get()};
    const Bytes document = TRY(manifest::make_targets(next, by));
    if (is_top)
      TRY_CONTEXT(repository.check_next_targets(document, SystemClock().now()), "what was signed");
    const std::string place = is_top ? "targets" : "delegated/" + encode_segment(options.role);
    HttpRequest request{.method = "PUT",
                        .path = "/v1/repositories/image/" + place + "?profile=" + options.profile,
                        .headers = {{"Content-Type", "application/json"}},
                        .body = as_text(document)};
    HttpAnswer answer = TRY(session.exchange(request));
    const HttpAnswer good = TRY(session.accept(std::move(answer), request));
    TRY_VOID(print_warnings(good.body));
  }
  const Json outcome{{"version", next.version}, {"images", std::move(published)}};
  if (session.form() == OutputForm::kText)
    fmt::print("targets version {}, {} new images\n", next.version, images.size());
  print_list(
      session, outcome,
      {{"IMAGE", "image"}, {"BYTES", "length"}, {"UPLOADED", "uploaded"}, {"SHA-256", "sha256"}});
  return {};
}

namespace {

// The documents of all delegated roles that the snapshot lists, by role. Not verified: what they
// say counts only where a search finds it.
Result<std::map<std::string, Bytes>> fetch_all_delegated(Session& session,
                                                         const manifest::Snapshot& snapshot) {
  std::map<std::string, Bytes> documents;
  for (const auto& [file, entry] : snapshot.files) {
    if (file == "targets.json") continue;
    const std::string role = file.substr(0, file.size() - std::string_view(".json").size());
    documents[role] = TRY(fetch_metadata(session, fmt::format("{}.{}", entry.version, file)));
  }
  return documents;
}

struct Claim {
  std::string role;
  manifest::ImageEntry entry;
  manifest::Target target;
};

// Whether a car with one of the image's hardware ids finds just this, by the way of this role.
Result<bool> is_found(manifest::TrustedRepository& repository,
                      const std::map<std::string, Bytes>& documents, const Claim& claim,
                      manifest::VerifiedRoles& roles) {
  for (const manifest::HardwareId& hardware : claim.entry.hardware_ids) {
    manifest::TargetSearch search(repository, claim.entry.name.text(), SystemClock().now(),
                                  hardware, &roles);
    while (const auto request = search.next()) {
      const auto document = documents.find(request->delegated);
      const auto given =
          document == documents.end() ? search.give_absent() : search.give(document->second);
      if (!given) break;  // cars find nothing either
    }
    const auto found = search.found();
    if (found && *found != nullptr && **found == claim.target &&
        search.visited().contains(claim.role))
      return true;
  }
  return false;
}

Json listed_image(const Claim& claim) {
  return {{"image", claim.entry.name.text()},
          {"role", claim.role},
          {"length", claim.entry.length},
          {"sha256", to_hex(claim.entry.sha256)},
          {"slot", claim.entry.facts.slot.text()},
          {"version", claim.entry.facts.version},
          {"release_counter", claim.entry.facts.release_counter}};
}

}  // namespace

Result<void> list_images(Session& session, const std::string& image_root_file) {
  auto repository = TRY(fetch_repository(session, image_root_file));
  const manifest::Targets& targets = **repository.targets();
  std::map<std::string, Json> images;  // by name
  for (const auto& [name, target] : targets.targets) {
    auto entry = TRY(manifest::read_image_entry(name, target));
    images[name] = listed_image({"targets", std::move(entry), target});
  }
  const auto documents = TRY(fetch_all_delegated(session, **repository.snapshot()));
  manifest::VerifiedRoles roles;
  for (const auto& [role, document] : documents) {
    const auto envelope = TRY_CONTEXT(manifest::Envelope::parse(document, kTargetsBytesMax), role);
    const auto said = TRY_CONTEXT(manifest::decode_targets(envelope.signed_part()), role);
    for (const auto& [name, target] : said.targets) {
      if (images.contains(name)) continue;
      auto entry = TRY(manifest::read_image_entry(name, target));
      const Claim claim{role, std::move(entry), target};
      if (TRY(is_found(repository, documents, claim, roles))) images[name] = listed_image(claim);
    }
  }
  Json list = Json::array();
  for (auto& [name, image] : images) list.push_back(std::move(image));
  print_list(session,
             Json{{"version", (*repository.targets())->version}, {"images", std::move(list)}},
             {{"IMAGE", "image"},
              {"ROLE", "role"},
              {"BYTES", "length"},
              {"SLOT", "slot"},
              {"RELEASE", "release_counter"},
              {"SHA-256", "sha256"}});
  return {};
}

}  // namespace layby::cli
