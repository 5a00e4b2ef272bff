// A small fleet for tests: a server's handlers behind their router, people with tokens, published
// images, and cars with keys of their own that report in signed manifests.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "crypto/sealed_box.h"
#include "manifest/json_value.h"
#include "manifest/licence.h"
#include "manifest/report.h"
#include "server/fleet/account.h"
#include "server/fleet/event_sequence.h"
#include "server/http/router.h"
#include "tests/server/test_services.h"

namespace layby::tests {

inline constexpr const char* kVin = "WVWZZZ1JZXW000017";
inline constexpr const char* kOtherVin = "WVWZZZ1JZXW000025";

struct Answered {
  int status = 0;
  manifest::Json body;
  std::string text;
  std::string code() const;  // of a problem
};

class ShopWorld;

// An ECU of a car that is not its primary.
struct SimEcu {
  SimEcu(std::string with_serial, std::string with_hardware_id);

  std::string serial;
  std::string hardware_id;
  std::shared_ptr<crypto::MemorySigner> key;
  std::uint64_t counter = 0;
  std::optional<manifest::InstalledImage> installed;
  std::string attack;
  std::string silent;  // why the car has no report of it; empty: it has one
};

// The car's side, honest unless a test makes it say something else.
class SimCar {
 public:
  SimCar(ShopWorld& world, std::string vin, const std::string& hardware_id = "hu-4");

  manifest::Json pair_request(const std::string& code);
  void pair(const std::string& owner_token);

  // Signs a new report of what stands below, with the next counter.
  Bytes new_manifest();
  Bytes new_report(SimEcu& secondary) const;
  Answered post(const Bytes& manifest);
  Answered report() { return post(new_manifest()); }

  // Says this of the order in all reports to come.
  void say(const std::string& order, manifest::OrderState state);
  void install(const std::string& image, std::uint64_t counter);
  // The same of the secondaries that the image is for.
  void install_secondary(const std::string& image, std::uint64_t counter);
  // With a new report of each secondary, by which it shows its key.
  manifest::Json named_ecus();

  // What the server wants of it: `custom.orders` to be.
  manifest::Json desired() const;
  // The licence of that order's entry, opened with the car's key.
  Result<manifest::VerifiedLicence> open(const std::string& order) const;
  void take_licence(const std::string& order);
  // Downloads, activates or deactivates everything that it is told to, with a report for each.
  void obey();

  ShopWorld& world;
  std::string vin;
  std::string serial;
  std::string hardware_id;
  std::shared_ptr<crypto::MemorySigner> key;
  crypto::SealKeyPair seal_keys;
  server::PeerCertificate certificate;
  std::uint64_t counter = 0;
  std::int64_t clock_ahead = 0;  // seconds, of the server's
  manifest::ReEncoders re_encoders{};
  std::map<manifest::Slot, manifest::InstalledImage> installed;
  std::map<manifest::FunctionId, manifest::FunctionReport> functions;
  std::map<std::string, manifest::OrderReport> orders;
  std::vector<SimEcu> secondaries;
  std::string obeys;  // the package of the key that it knows, where that is not the installed one
};

class ShopWorld {
 public:
  // Over RocksDB in a directory of its own, or over `store`; by base.clock, or by `clock`.
  explicit ShopWorld(server::Store* store = nullptr, const Clock* clock = nullptr);

  Answered call(server::Method method, const std::string& path, const std::string& token,
                const manifest::Json& body = nullptr, const std::string& idempotency_key = "",
                const server::PeerCertificate* peer = nullptr);
  Answered get(const std::string& path, const std::string& token) {
    return call(server::Method::kGet, path, token);
  }
  Answered post(const std::string& path, const std::string& token,
                const manifest::Json& body = nullptr, const std::string& key = "") {
    return call(server::Method::kPost, path, token, body, key);
  }
  Answered put(const std::string& path, const std::string& token, const manifest::Json& body) {
    return call(server::Method::kPut, path, token, body);
  }

  std::string new_account(server::Role role, const std::string& name, std::string* id = nullptr);
  void register_car(const SimCar& car);
  // By invitation, as people do it.
  void add_user(const std::string& owner_token, const std::string& user_token,
                const std::string& vin = kVin);

  // Publishes an image with its whole-file payload; `without_payload`: the payload job is not done.
  enum class Payload { kReady, kMissing };
  void publish(const std::string& image, std::uint64_t counter, Payload payload = Payload::kReady,
               const std::string& hardware_id = "hu-4");
  // Software of ECUs that are not the primary, of the hardware in its name.
  void publish_for_secondary(const std::string& image, std::uint64_t counter);
  void publish_payload(const std::string& image);
  void withdraw(const std::string& image);
  static crypto::Digest256 digest_of(const std::string& image);

  // An unlimited product of 499.00 EUR whose image is published.
  void sell(const std::string& id, const manifest::Json& changes = manifest::Json::object());
  Answered order_function(const std::string& product, const std::string& token,
                          const std::string& vin = kVin);
  Answered order_map(const std::vector<std::string>& regions, const std::string& token);

  std::vector<manifest::Json> events(const std::string& type, const std::string& order = "");
  std::vector<std::string> messages(const std::string& order = "");
  std::string order_state(const std::string& order);
  manifest::Json order(const std::string& id);  // as the operator sees it
  std::size_t deadlines_of(const std::string& order);
  // All of the store as one text: for what must not be in it.
  std::string all_stored();
  // The audit trail of the car is whole.
  void check_audit(const std::string& vin = kVin);
  void sweep();
  void go_to(const std::string& utc);  // and sweeps there; by base.clock

  void put_image(const std::string& name, std::uint64_t counter, const std::string& hardware_id,
                 const manifest::Slot& slot);

  TestServices base;
  std::unique_ptr<server::EventSequence> events_sequence;
  server::Services services;
  server::Router router;
  std::string operator_token;
  std::string owner_token, owner;
  std::string second_token, second;
  std::string partner_token;
  int keys_made = 0;
};

// A world with the car kVin, paired and heard once, and the function adaptive-cruise for sale.
struct ReadyWorld : ShopWorld {
  explicit ReadyWorld(server::Store* store = nullptr, const Clock* clock = nullptr);
  SimCar car;
};

}  // namespace layby::tests
