// All that the server answers, over a small fleet, and a record of what it answered: each answer is
// held to docs/openapi.yaml.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <set>
#include <string>

#include "server/metrics/metrics.h"
#include "server/payloads/uploads.h"
#include "tests/server/openapi/document.h"
#include "tests/server/release/test_repository.h"
#include "tests/server/shop/map_store.h"
#include "tests/server/shop/shop_world.h"

namespace layby::tests {

// In memory; fails, or loses every commit to somebody else, when it is told to.
class FaultyStore final : public server::Store {
 public:
  enum class Fault { kNone, kIo, kConflict };
  Fault fault = Fault::kNone;
  MapStore inner;

  Result<std::optional<std::string>> get(std::string_view key) const override;
  Result<std::vector<server::KeyValue>> scan(std::string_view begin, std::string_view end,
                                             std::size_t limit) const override;
  Result<void> commit(const server::Batch& batch) override;
  Result<void> purge(const std::vector<server::KeyRange>&) override { return {}; }
};

// The machine's, until it is full.
class FillingDisk final : public Disk {
 public:
  enum class Space { kEnough, kNone };
  Space space = Space::kEnough;

  Result<std::unique_ptr<ReadAt>> open_read(const std::string& path) override {
    return real_.open_read(path);
  }
  Result<std::unique_ptr<File>> open_write(const std::string& path) override;
  Result<FileStatus> status(const std::string& path) override { return real_.status(path); }
  Result<void> make_dirs(const std::string& path) override { return real_.make_dirs(path); }
  Result<std::vector<std::string>> list(const std::string& path) override {
    return real_.list(path);
  }
  Result<void> rename(const std::string& from, const std::string& to) override {
    return real_.rename(from, to);
  }
  Result<void> symlink(const std::string& target, const std::string& path) override {
    return real_.symlink(target, path);
  }
  Result<std::string> read_symlink(const std::string& path) override {
    return real_.read_symlink(path);
  }
  Result<void> remove(const std::string& path) override { return real_.remove(path); }
  Result<void> remove_tree(const std::string& path) override { return real_.remove_tree(path); }
  Result<void> sync_dir(const std::string& path) override { return real_.sync_dir(path); }
  Result<std::uint64_t> free_bytes(const std::string& path) override;

 private:
  RealDisk real_;
};

// What was answered, by operation.
struct Record {
  std::map<std::string, std::set<NamedProblem>> problems;
  std::map<std::string, std::set<int>> successes;
};

// One request. `path` is filled in, without a query.
struct Call {
  std::string path;
  std::string token;    // bearer; empty for none
  manifest::Json body;  // null for none
  std::map<std::string, std::string> query;
  std::map<std::string, std::string> headers;  // names in lower case
  std::optional<server::PeerCertificate> peer;
  std::string bytes;  // instead of `body`
};

struct ApiStore {
  FaultyStore faulty;
};

class Api : private ApiStore, public ReadyWorld {
 public:
  explicit Api(Record& answered);

  // Sends it to this operation ("post /v1/orders"), checks the answer against the document, and
  // writes it down.
  server::Response send(const std::string& operation, const Call& call);
  // And that this is what it says.
  void expect(const NamedProblem& problem, const std::string& operation, const Call& call);

  FaultyStore& store() { return faulty; }

  FillingDisk disk;
  server::Services upload_services;  // over that disk
  server::Metrics metrics;
  server::Uploads uploads;
  ShiftedClock shifted;
  std::atomic<bool> accepting{true};
  TestRepository repository;

 private:
  Record& answered_;
};

Call call(std::string path, std::string token = "", manifest::Json body = nullptr);
Call by_car(const Api& api, std::string path, manifest::Json body = nullptr);

// For each operation a request that succeeds, in a world of its own that the function prepares.
using Prepare = std::function<Call(Api&)>;
std::map<std::string, Prepare> good_account_calls();
std::map<std::string, Prepare> good_car_calls();
std::map<std::string, Prepare> good_trail_calls();
std::map<std::string, Prepare> good_order_calls();
std::map<std::string, Prepare> good_vehicle_calls();
std::map<std::string, Prepare> good_publishing_calls();
std::map<std::string, Prepare> good_release_calls();

// Every refusal that is not the same for all operations of a kind.
void provoke_in_fleet(Record& answered);
void provoke_in_shop(Record& answered);
void provoke_in_release(Record& answered);
void provoke_roots(Record& answered);

}  // namespace layby::tests
