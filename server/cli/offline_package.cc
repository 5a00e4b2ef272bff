#include "server/cli/offline_package.h"

#include <chrono>
#include <thread>

#include "base/clock.h"
#include "manifest/json_value.h"
#include "manifest/offline_package.h"
#include "server/cli/idempotency.h"
#include "server/cli/output.h"

namespace layby::cli {
namespace {

constexpr auto kPause = std::chrono::milliseconds(500);

// Until the server has the payloads of the order; one that is over is for the package to refuse.
Result<void> wait_for_payloads(Session& session, const std::string& order,
                               std::uint64_t seconds_max) {
  const SystemClock clock;
  const std::int64_t begin_ms = clock.monotonic_ms();
  for (;;) {
    const Json answer = TRY(session.get("/v1/orders/" + encode_segment(order)));
    if (TRY(manifest::text_field(answer, "state")) != "ordered") return {};
    if (clock.monotonic_ms() - begin_ms >= static_cast<std::int64_t>(seconds_max) * 1000)
      return fail(session.in_vain(fmt::format(
          "the payloads of {} are not made yet; ask for the package later, without --regions",
          order)));
    std::this_thread::sleep_for(kPause);
  }
}

Result<void> order_regions(Session& session, const OfflinePackageOptions& options) {
  const Json body{
      {"vin", options.vin}, {"kind", "map"}, {"regions", options.regions}, {"delivery", "offline"}};
  const Json order =
      TRY(session.call_once("/v1/orders", body, key_or_fresh(options.idempotency_key)));
  return wait_for_payloads(session, TRY(manifest::text_field(order, "id")), options.seconds_max);
}

Result<HttpAnswer> fetch_into(Session& session, const OfflinePackageOptions& options,
                              const std::string& path) {
  const auto file = TRY(session.disk().open_write(path));
  TRY_VOID(file->truncate(0));
  std::uint64_t written = 0;
  const HttpRequest request{.method = "POST",
                            .path = fmt::format("/v1/cars/{}/offline-package?payloads={}",
                                                encode_segment(options.vin), options.payloads),
                            .headers = {},
                            .body = {}};
  HttpAnswer raw = TRY(session.fetch(request, [&](ByteSpan bytes) -> Result<void> {
    TRY_VOID(file->write_at(written, bytes));
    written += bytes.size();
    return {};
  }));
  HttpAnswer answer = TRY(session.accept(std::move(raw), request));
  TRY_VOID(file->sync());
  const auto package = TRY_CONTEXT(manifest::OfflinePackage::open(*file), "what the server sent");
  TRY_VOID(package.check_payloads());
  return answer;
}

Json orders_of(const HttpAnswer& answer) {
  Json orders = Json::array();
  const auto found = answer.headers.find("layby-orders");
  std::string_view list = found == answer.headers.end() ? "" : std::string_view(found->second);
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(", "), list.size());
    orders.push_back(std::string(list.substr(0, comma)));
    list.remove_prefix(std::min(comma + 2, list.size()));
  }
  return orders;
}

}  // namespace

Result<void> make_offline_package(Session& session, const OfflinePackageOptions& options) {
  if (!options.regions.empty()) TRY_VOID(order_regions(session, options));
  const std::string part = options.out + ".part";
  const Result<HttpAnswer> answer = fetch_into(session, options, part);
  if (!answer) {
    static_cast<void>(session.disk().remove(part));  // the first error is the one to tell
    return fail(answer.error());
  }
  TRY_VOID(session.disk().rename(part, options.out));
  TRY_VOID(session.disk().sync_dir(parent_dir(options.out)));
  const FileStatus status = TRY(session.disk().status(options.out));
  const auto expires = answer->headers.find("layby-expires");
  print_thing(session, {{"file", options.out},
                        {"vin", options.vin},
                        {"bytes", status.size},
                        {"orders", orders_of(*answer)},
                        {"expires", expires == answer->headers.end() ? "" : expires->second}});
  return {};
}

}  // namespace layby::cli
