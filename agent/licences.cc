#include "agent/licences.h"

#include <algorithm>

#include "base/assert.h"
#include "base/limits.h"
#include "manifest/json_value.h"

namespace layby::agent {
namespace {

constexpr std::string_view kSuffix = ".licence";
constexpr int kReadsOfLicence = 3;

// With another key it all begins anew: no counter of the old one proves anything.
void take_over(FunctionRecord& function, const ImageProgress& image,
               const manifest::LicenceMark& newest) {
  if (function.licence_key != image.licence_key) function.proven_counter = 0;
  function.licence_key = image.licence_key;
  function.key_release = std::max(function.key_release, image.release_counter);
  function.newest = newest;
}

LicenceVerdict refused(std::string reason) {
  LicenceVerdict verdict;
  verdict.reason = std::move(reason);
  return verdict;
}

}  // namespace

std::string_view to_string(LicenceVerdict::State state) {
  switch (state) {
    case LicenceVerdict::State::kActive: return "active";
    case LicenceVerdict::State::kRevoked: return "revoked";
    case LicenceVerdict::State::kExpired: return "expired";
    case LicenceVerdict::State::kRefused: return "refused";
  }
  LAYBY_ASSERT(false);
}

Result<manifest::VerifiedLicence> Licences::open(ByteSpan sealed, const manifest::FunctionId& id,
                                                 const std::string& licence_key,
                                                 const manifest::LicenceMark* newest) const {
  const manifest::Json key =
      TRY(manifest::parse_strict(as_bytes(licence_key), {.bytes_max = kLicenceBytesMax}));
  auto public_key = TRY(manifest::PublicKey::from_json(key));
  manifest::LicenceExpectation expected{.vin = identity_.vin,
                                        .function = id,
                                        .licence_key = std::move(public_key),
                                        .newest = std::nullopt};
  if (newest != nullptr && newest->counter > 0) expected.newest = *newest;
  return manifest::open_licence(sealed, seal_key_, expected);
}

Result<manifest::VerifiedLicence> Licences::open_known(ByteSpan sealed,
                                                       const manifest::FunctionId& id,
                                                       const FunctionRecord& known) const {
  return open(sealed, id, known.licence_key, &known.newest);
}

Result<manifest::VerifiedLicence> Licences::open_for_package(ByteSpan sealed,
                                                             const ImageProgress& image,
                                                             const Record& record) const {
  const manifest::FunctionId id = image.function();
  const auto known = record.functions.find(id);
  if (known == record.functions.end()) return open(sealed, id, image.licence_key, nullptr);
  const FunctionRecord& function = known->second;
  if (function.licence_key == image.licence_key) return open_known(sealed, id, function);
  if (image.release_counter <= function.key_release)
    return fail(ErrorCode::kLicenceRefused,
                "{} names another licence key than release {}, and is not newer", image.name.text(),
                function.key_release);
  return open(sealed, id, image.licence_key, nullptr);
}

Result<Licences::Opened> Licences::open_for_installed(ByteSpan sealed, const Record& record) const {
  auto id = TRY(manifest::claimed_function(sealed, seal_key_, identity_.vin));
  const auto known = record.functions.find(id);
  if (known == record.functions.end())
    return fail(ErrorCode::kNotFound, "the function {} is not in this car yet", id.text());
  auto licence = TRY(open_known(sealed, id, known->second));
  return Opened{std::move(id), std::move(licence)};
}

Result<void> Licences::store(const manifest::FunctionId& id, ByteSpan sealed) {
  TRY_VOID(disk_.make_dirs(layout_.licences()));
  return replace_file(disk_, layout_.licence(id), sealed);
}

Result<void> Licences::keep_for_package(ByteSpan sealed, const ImageProgress& image,
                                        Record& record) {
  const auto licence = TRY(open_for_package(sealed, image, record));
  const manifest::FunctionId id = image.function();
  TRY_VOID(store(id, sealed));
  take_over(record.functions[id], image, licence.mark());
  return {};
}

Result<manifest::FunctionId> Licences::keep_for_installed(ByteSpan sealed, Record& record) {
  auto opened = TRY(open_for_installed(sealed, record));
  TRY_VOID(store(opened.function, sealed));
  record.functions.at(opened.function).newest = opened.licence.mark();
  return std::move(opened.function);
}

Result<manifest::VerifiedLicence> Licences::open_kept(Bytes sealed, const manifest::FunctionId& id,
                                                      const FunctionRecord& known) const {
  const auto before = known_.find(id);
  if (before != known_.end() && before->second.sealed == sealed &&
      before->second.licence_key == known.licence_key && before->second.newest == known.newest)
    return before->second.licence;
  auto licence = TRY(open_known(sealed, id, known));
  known_.insert_or_assign(id, Known{std::move(sealed), known.licence_key, known.newest, licence});
  return licence;
}

LicenceVerdict Licences::judge(const manifest::FunctionId& id, const Record& record,
                               UnixSeconds now) const {
  auto sealed = read_file(disk_, layout_.licence(id), kLicenceBytesMax);
  if (!sealed) return refused(sealed.error().message());
  const auto known = record.functions.find(id);
  if (known == record.functions.end()) {
    if (!crypto::open_sealed(*sealed, seal_key_))
      return refused("the licence is sealed to another car");
    return refused("no order of this car installed the function");
  }
  const auto licence = open_kept(std::move(*sealed), id, known->second);
  if (!licence) return refused(licence.error().message());
  LicenceVerdict verdict;
  verdict.counter = (*licence)->counter;
  verdict.until = (*licence)->until;
  verdict.ends = (*licence)->ends();
  switch (manifest::state_at(**licence, now)) {
    case manifest::FunctionState::kActive: verdict.state = LicenceVerdict::State::kActive; break;
    case manifest::FunctionState::kExpired: verdict.state = LicenceVerdict::State::kExpired; break;
    case manifest::FunctionState::kRevoked: verdict.state = LicenceVerdict::State::kRevoked; break;
  }
  return verdict;
}

LicenceVerdict Licences::judge_or_restore(const manifest::FunctionId& id, const Record& record,
                                          UnixSeconds now) {
  LicenceVerdict verdict = judge(id, record, now);
  // One bad read does not take from the owner what is paid for.
  for (int i = 1; i < kReadsOfLicence && verdict.state == LicenceVerdict::State::kRefused; ++i)
    verdict = judge(id, record, now);
  const auto known = record.functions.find(id);
  if (verdict.state != LicenceVerdict::State::kRefused || known == record.functions.end())
    return verdict;
  for (const OrderRecord& order : record.orders) {
    if (order.licence.empty() || !open_known(order.licence, id, known->second) ||
        !store(id, order.licence))
      continue;
    return judge(id, record, now);
  }
  return verdict;
}

void Licences::catch_up(Record& record) const {
  for (auto& [id, function] : record.functions) {
    const auto sealed = read_file(disk_, layout_.licence(id), kLicenceBytesMax);
    if (!sealed) continue;
    const auto licence = open_known(*sealed, id, function);
    if (!licence)
      catch_up_key(*sealed, id, record);
    else if (licence->mark().counter > function.newest.counter)
      function.newest = licence->mark();
  }
}

void Licences::catch_up_key(ByteSpan sealed, const manifest::FunctionId& id, Record& record) const {
  for (const OrderRecord& order : record.orders) {
    if (order.images.empty() || !std::ranges::equal(order.licence, sealed)) continue;
    const ImageProgress& image = order.images.front();
    if (image.slot != manifest::Slot::function(id)) continue;
    if (const auto licence = open_for_package(sealed, image, record))
      take_over(record.functions.at(id), image, licence->mark());
  }
}

std::map<manifest::FunctionId, LicenceVerdict> Licences::judge_all(const Record& record,
                                                                   UnixSeconds now) const {
  std::map<manifest::FunctionId, LicenceVerdict> verdicts;
  for (const auto& [id, function] : record.functions) verdicts[id] = judge(id, record, now);
  const auto names = disk_.list(layout_.licences());
  if (!names) return verdicts;  // no directory yet: no licences
  for (const std::string& name : *names) {
    if (!name.ends_with(kSuffix)) continue;
    const auto id =
        manifest::FunctionId::parse(std::string_view(name).substr(0, name.size() - kSuffix.size()));
    if (id && !verdicts.contains(*id)) verdicts[*id] = judge(*id, record, now);
  }
  return verdicts;
}

}  // namespace layby::agent
