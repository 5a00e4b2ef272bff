#include "server/payloads/transfers.h"

#include "base/limits.h"
#include "base/time_text.h"
#include "manifest/json_value.h"
#include "server/payloads/transfer_json.h"
#include "server/store/change.h"

namespace layby::server {

using manifest::Json;

namespace {

constexpr std::uint64_t kRecordBytesMax = 256 * kKiB;
// Payloads that one car has been sent; a car sees a few hundred in its life.
constexpr std::size_t kTransfersMax = 10'000;

std::string prefix_of(const std::string& vin) {
  return "v/" + vin + "/transfer/";
}

Result<SentRange> parse_range(const Json& json) {
  SentRange range;
  range.offset = TRY(manifest::uint_field(json, "offset"));
  range.length = TRY(manifest::uint_field(json, "length"));
  range.bytes_sent = TRY(manifest::uint_field(json, "bytes_sent"));
  range.at = TRY(manifest::time_field(json, "at"));
  range.requests = TRY(manifest::uint_field(json, "requests"));
  return range;
}

Result<Transfer> parse_transfer(std::string_view text) {
  const Json json = TRY(manifest::parse_strict(as_bytes(text), {kRecordBytesMax}));
  Transfer transfer;
  transfer.payload = TRY(manifest::digest_field(json, "payload"));
  transfer.requests = TRY(manifest::uint_field(json, "requests"));
  transfer.bytes_sent = TRY(manifest::uint_field(json, "bytes_sent"));
  for (const Json& range : *TRY(manifest::array_field(json, "ranges")))
    transfer.ranges.push_back(TRY(parse_range(range)));
  const Json* older = TRY(manifest::object_field(json, "older"));
  transfer.older.requests = TRY(manifest::uint_field(*older, "requests"));
  transfer.older.bytes_sent = TRY(manifest::uint_field(*older, "bytes_sent"));
  return transfer;
}

void add_range(Transfer& transfer, const SentRange& sent) {
  transfer.requests += sent.requests;
  transfer.bytes_sent += sent.bytes_sent;
  if (!transfer.ranges.empty()) {
    SentRange& last = transfer.ranges.back();
    const bool both_whole = last.bytes_sent == last.length && sent.bytes_sent == sent.length;
    if (both_whole && sent.offset == last.offset + last.length) {
      last.length += sent.length;
      last.bytes_sent += sent.bytes_sent;
      last.at = sent.at;
      last.requests += sent.requests;
      return;
    }
  }
  transfer.ranges.push_back(sent);
  if (transfer.ranges.size() <= kSentRangesMax) return;
  transfer.older.requests += transfer.ranges.front().requests;
  transfer.older.bytes_sent += transfer.ranges.front().bytes_sent;
  transfer.ranges.erase(transfer.ranges.begin());
}

}  // namespace

Json transfer_json(const Transfer& transfer) {
  Json ranges = Json::array();
  for (const SentRange& range : transfer.ranges)
    ranges.push_back({{"offset", range.offset},
                      {"length", range.length},
                      {"bytes_sent", range.bytes_sent},
                      {"at", format_utc(range.at)},
                      {"requests", range.requests}});
  return {{"payload", to_hex(transfer.payload)},
          {"requests", transfer.requests},
          {"bytes_sent", transfer.bytes_sent},
          {"ranges", std::move(ranges)},
          {"older",
           {{"requests", transfer.older.requests}, {"bytes_sent", transfer.older.bytes_sent}}}};
}

Result<void> record_transfer(Store& store, const std::string& vin, const crypto::Digest256& payload,
                             const SentRange& sent) {
  const std::string key = prefix_of(vin) + to_hex(payload);
  return commit_with_retry(store, [&](Change& change) -> Result<void> {
    Transfer transfer;
    transfer.payload = payload;
    if (const std::optional<std::string> text = TRY(change.get(key)))
      transfer = TRY_CONTEXT(parse_transfer(*text), key);
    add_range(transfer, sent);
    change.put(key, TRY(manifest::to_wire(transfer_json(transfer))));
    return {};
  });
}

Result<std::vector<Transfer>> transfers_of(const Store& store, const std::string& vin) {
  const std::string prefix = prefix_of(vin);
  std::vector<Transfer> transfers;
  for (const KeyValue& pair : TRY(store.scan(prefix, after_prefix(prefix), kTransfersMax))) {
    Result<Transfer> transfer = parse_transfer(pair.value);
    if (!transfer) return fail(ErrorCode::kCorrupt, "{}: {}", pair.key, transfer.error().message());
    transfers.push_back(std::move(*transfer));
  }
  return transfers;
}

}  // namespace layby::server
