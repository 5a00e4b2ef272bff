// An Image repository for tests: the operator with his offline keys, in front of the server's own
// functions.
#pragma once

#include <string>
#include <vector>

#include "manifest/metadata.h"
#include "server/http/router.h"
#include "server/release/first_documents.h"
#include "tests/server/test_services.h"

namespace layby::tests {

struct NewImage {
  std::string name;   // "maps/DE/1.tar"
  std::string bytes;  // goes into the payload store
  std::uint64_t release_counter = 1;
  std::vector<std::string> hardware_ids = {"hu-4"};
};

// A delegated role, and who signs it.
struct Supplier {
  explicit Supplier(std::string name)
      : role(std::move(name)), key(crypto::MemorySigner::generate()) {}
  std::string role;
  std::unique_ptr<crypto::Signer> key;
  manifest::Targets next{};       // as TestRepository::next
  std::size_t padding_bytes = 0;  // in a field that nobody knows

  std::string sign() const;
};

// What a delegation lets its role speak of.
struct SpeaksOf {
  std::vector<std::string> paths = {"maps/*/*"};
  std::vector<std::string> hardware_ids = {};  // empty: any
  bool terminating = false;
};

class TestRepository {
 public:
  // Seeds both repositories in the store of `services`.
  explicit TestRepository(const server::Services& services);

  // The targets that `sign` signs: version, expiry and images can be changed freely.
  manifest::Targets next;

  // Puts the bytes into the payload store and the image into `next`, or into a supplier's.
  void add(const NewImage& image);
  void add(Supplier& to, const NewImage& image);
  // The entry alone, for bytes that are somewhere or nowhere.
  manifest::Target entry_of(const NewImage& image) const;

  std::string sign() const;                             // `next`, by the offline targets key
  std::string sign(const crypto::Signer& other) const;  // by another one
  // Signs and publishes; `next` becomes the version after it if that succeeds.
  Result<server::Publication> publish();
  Result<server::Publication> publish(Supplier& supplier);
  void publish_and_make_payloads();

  const server::FirstDocuments& first() const { return first_; }
  const server::OfflineKeys& offline() const { return offline_; }

 private:
  void put_bytes(const NewImage& image);

  const server::Services& services_;
  server::OfflineKeys offline_;
  server::FirstDocuments first_;
};

// `from` delegates to the supplier, by its key; in place of what it delegated to it before.
void delegate(manifest::Targets& from, Supplier& to, const SpeaksOf& scope = {});
void undelegate(manifest::Targets& from, const Supplier& to);

// Runs jobs until none is due; all of them must have ended well.
void run_all_jobs(const server::Services& services);

// A request as the router gets it.
struct Ask {
  server::Method method = server::Method::kGet;
  std::string path;
  std::map<std::string, std::string> headers = {};
  std::optional<server::PeerCertificate> peer = std::nullopt;
  std::map<std::string, std::string> query = {};
  std::string body = {};
};
server::Response ask(const server::Router& router, const Ask& ask);
std::string body_of(const server::Response& response);

// What a client does: refreshes from `prefix` + file name, by the router, as `peer`. The number of
// answers with a body, so that a test can see what was fetched.
struct Refreshed {
  std::vector<std::string> files;
};
Result<Refreshed> refresh_over(const server::Router& router, const std::string& prefix,
                               const std::optional<server::PeerCertificate>& peer,
                               manifest::TrustedRepository& repository, UnixSeconds now);

}  // namespace layby::tests
