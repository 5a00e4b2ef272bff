// A small working server in the form of a Transport: two signed repositories, payloads made by the
// real encoder, signed time, reports verified as the real server verifies them, licences issued
// when a package is downloaded. And the faults that a network and an attacker have.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/transport.h"
#include "base/clock.h"
#include "crypto/keys.h"
#include "crypto/sealed_box.h"
#include "manifest/director.h"
#include "manifest/licence.h"
#include "manifest/offline_package.h"
#include "manifest/report.h"

namespace layby::tests {

struct ImageSpec {
  std::string name;
  Bytes bytes;
  std::optional<Bytes> base;  // a delta from it is offered beside the whole image
  std::uint64_t release_counter = 1;
  std::uint64_t battery_percent_min = 40;
  manifest::NetworkNeed network = manifest::NetworkNeed::kAny;
  std::vector<manifest::PackageCondition> conditions{};
  std::uint64_t duration_seconds = 120;
  manifest::ReEncoders delta_needs{};
  std::string supplier{};  // whose role names it; empty: the top-level targets
};

class FakeServer final : public agent::Transport {
 public:
  FakeServer(const Clock& clock, std::string vin, std::string ecu, std::string hardware);
  // The same server in another world; its hooks (`tamper`, `at_payload`) stay behind.
  FakeServer(const FakeServer& other, const Clock& clock);

  const Bytes& director_root() const { return director_root_; }
  const Bytes& image_root() const { return image_root_; }
  // As `pair` would tell it.
  void know_car(const crypto::Ed25519PublicKey& ecu, const crypto::SealPublicKey& seal);

  // The car has another ECU besides the primary. Software for its hardware goes to its slot.
  void add_ecu(const std::string& serial, const std::string& hardware,
               const crypto::Ed25519PublicKey& key);
  // It is none of the car's any more; orders for it are cancelled first.
  void remove_ecu(const std::string& serial) { ecus_.erase(serial); }
  // The signed reports that came in of one of them, oldest first.
  const std::vector<manifest::EcuReport>& reports_of(const std::string& serial) const {
    return ecus_.at(serial).reports;
  }
  // What a thief of the Director's online keys puts in place of what the server would sign.
  std::function<void(manifest::DirectorContent&)> alter_director;
  // The files of the two repositories, as they would be served now.
  const std::map<std::string, Bytes>& director_files() const { return director_.files; }
  const std::map<std::string, Bytes>& image_files() const { return images_.files; }
  std::map<std::string, Bytes>& image_files() { return images_.files; }
  manifest::Version director_version() const { return director_.version; }
  manifest::Version images_version() const { return images_.version; }
  const manifest::Target& target(const std::string& image) const { return targets_.at(image); }

  // A supplier with a role of its own: the operator's targets delegate `path` to it, for any
  // hardware or for `hardware`. The role is signed with the next publish, as it is told here.
  struct Supplier {
    std::shared_ptr<crypto::MemorySigner> key = crypto::MemorySigner::generate();
    std::string path;
    std::vector<manifest::HardwareId> hardware{};
    bool is_delegated = true;  // else revoked, though its role is still published
    manifest::Version version = 1;
    std::shared_ptr<crypto::MemorySigner> signs_with{};  // in place of its key
    UnixSeconds valid_seconds = 30 * kDaySeconds;
  };
  std::map<std::string, Supplier> suppliers;
  // Everything of the Image repository, signed anew.
  void sign_images();

  // The operator publishes; the shop orders.
  void publish(const ImageSpec& spec);
  // One chunk of an image's payload (0: its delta, where it has one) is other bytes from now on,
  // under digests that name them: as a thief of keys would sign it, and as a compressor of another
  // version would unpack it.
  void spoil_chunk(const std::string& image, std::size_t payload, std::uint32_t chunk);
  manifest::OrderId order(const std::vector<std::string>& images);
  // One that a partner's package brings.
  manifest::OrderId order_offline(const std::vector<std::string>& images);
  // What a partner's package holds now, and the package; `timestamp` is made anew as the server
  // does it. Payloads for which `has` holds, all of them where it is empty.
  Bytes offline_package(const std::function<bool(const manifest::Payload&)>& has = {});
  manifest::OrderId order_licence(const std::string& function, manifest::LicenceState state,
                                  std::optional<UnixSeconds> until);
  void cancel(const manifest::OrderId& id);
  // The same order is now a newer licence of its function.
  void renew(const manifest::OrderId& id, const std::string& function,
             std::optional<UnixSeconds> until, std::optional<std::string> vin = std::nullopt);
  // The same order, still to be installed, with a newer licence.
  void relicense(const manifest::OrderId& id, const std::string& function,
                 std::optional<UnixSeconds> until);
  // The same order is now one to deactivate, as after a withdrawal.
  void deactivate(const manifest::OrderId& id, const std::string& function);
  Bytes issue_licence(const std::string& function, const manifest::OrderId& order,
                      manifest::LicenceState state, std::optional<UnixSeconds> until,
                      std::optional<std::string> vin = std::nullopt);

  // Who signs licences from now on, as packages that are published from now on say; gives who did
  // before.
  std::shared_ptr<crypto::MemorySigner> use_licence_key(std::shared_ptr<crypto::MemorySigner> key);
  // The number of the newest licence of a function: the next one has the next.
  void set_licence_counter(const std::string& function, std::uint64_t counter);

  // The Director's root puts new keys in the place of these roles' own; all is signed anew.
  void rotate_director_keys(const std::vector<manifest::Role>& roles);
  void rotate_director_key();  // of all three online roles
  // A thief of the Director's timestamp and snapshot keys: the version that both have, in place of
  // the server's own. 0: none.
  manifest::Version run_up = 0;
  // A thief of the online key, or the server again: what the signed time is ahead by.
  UnixSeconds time_ahead = 0;
  bool sign_time_with_a_stray_key = false;

  // What cars have said.
  int conflicts = 0;  // reports under a counter that another report had
  int refused = 0;    // manifests that were refused for any other reason
  // The ECUs of the last manifest that had no report in it, and why.
  const manifest::SilentEcus& silent() const { return silent_; }
  const std::vector<manifest::EcuReport>& reports() const { return reports_; }
  std::optional<manifest::OrderReport> reported(const manifest::OrderId& id) const;
  int count_reported(const manifest::OrderId& id, manifest::OrderState state) const;

  // The server has had reports that the car does not know of any more.
  void skip_reports(std::uint64_t count) { report_counter_ += count; }
  void skip_ecu_reports(const std::string& serial, std::uint64_t count) {
    ecus_.at(serial).counter += count;
  }

  // Regions that the car asked for by itself, one list a request; newest maps become an order.
  std::vector<std::vector<std::string>> map_wishes;
  std::map<std::string, std::string> newest_maps;  // region and image

  // Settings.
  bool issues_licences = true;
  std::optional<UnixSeconds> licence_until;
  std::int64_t licence_grace_seconds = 0;  // of those with an end
  std::string director_vin;  // whom the Director's metadata names; the car's own unless a test lies

  // Faults.
  bool offline = false;
  int fail_status = 0;  // instead of any answer, n times
  int fail_status_times = 0;
  int payload_status = 0;                            // instead of payload bytes, until 0 again
  std::optional<std::uint64_t> break_payload_after;  // body bytes, then the connection breaks; once
  ErrorCode break_with = ErrorCode::kUnavailable;    // what the transport says of it
  int lose_report_answers = 0;                       // the report is taken, the answer is lost
  std::string etag_prefix = "\"";
  // Payload bytes as they are sent: may be altered.
  std::function<void(const std::string& sha256, std::uint64_t offset, Bytes& body)> tamper;
  // Every request for payload bytes, before it is answered.
  std::function<void(const std::string& sha256, const agent::ByteRange& range)> at_payload;

  // Counters.
  std::uint64_t payload_bytes_sent = 0;
  std::uint64_t payload_refusal_bytes = 0;  // of the body of an answer with payload_status
  bool breaks_refusals = false;             // after that many bytes, in the middle of the body
  std::size_t piece_bytes = 5000;           // of a body, as a network would cut it
  std::map<std::string, int> requests;      // by path up to the third slash
  std::map<std::string, int> paths;         // by path

  const std::map<std::string, Bytes>& payloads() const { return payloads_; }
  const std::vector<manifest::Payload>& payloads_of(const std::string& image) const {
    return payloads_of_.at(image);
  }
  void sign_director();

  Result<agent::HttpResponse> exchange(const agent::HttpRequest& request,
                                       const agent::BodySink& sink) override;

 private:
  struct Signed {
    manifest::Version version = 0;
    std::map<std::string, Bytes> files;
  };
  manifest::Targets image_targets() const;
  static void add_metadata(Bytes& archive, manifest::Repository repository, const Signed& from);
  void add_payload(const std::string& image, const Bytes* base, const Bytes& target,
                   const manifest::ReEncoders& needs);
  agent::HttpResponse answer(const agent::HttpRequest& request);
  agent::HttpResponse metadata(const Signed& repository, const std::string& file,
                               const agent::HttpRequest& request) const;
  agent::HttpResponse take_report(const std::string& body);
  agent::HttpResponse take_wish(const std::string& body);
  Result<agent::HttpResponse> send_payload(const agent::HttpRequest& request,
                                           const agent::BodySink& sink);

  const Clock* clock_;
  std::string vin_, ecu_, hardware_;
  std::shared_ptr<crypto::MemorySigner> root_key_, image_key_, licence_key_;
  std::map<manifest::Role, std::shared_ptr<crypto::MemorySigner>> online_keys_;  // the Director's
  std::optional<crypto::Ed25519PublicKey> ecu_key_;
  crypto::SealPublicKey seal_key_{};
  struct Ecu {
    std::string hardware;
    crypto::Ed25519PublicKey key{};
    std::uint64_t counter = 0;
    std::vector<manifest::EcuReport> reports{};
  };
  std::map<std::string, Ecu> ecus_;  // besides the primary
  bool is_of_ecus(const std::string& hardware) const;
  std::map<manifest::EcuSerial, manifest::HardwareId> ecus_for(const std::string& image) const;
  Bytes director_root_, image_root_;
  manifest::Version director_root_version_ = 1;
  Signed director_, images_;
  std::map<std::string, manifest::Target> targets_;
  std::map<std::string, std::string> supplied_;  // image and supplier
  std::map<std::string, std::vector<manifest::Payload>> payloads_of_;
  std::map<std::string, Bytes> payloads_;
  std::vector<manifest::Order> orders_;
  std::map<std::string, std::uint64_t> licence_counters_;
  std::uint64_t report_counter_ = 0;
  std::optional<crypto::Digest256> last_manifest_;
  std::vector<manifest::EcuReport> reports_;
  manifest::SilentEcus silent_;
};

}  // namespace layby::tests
