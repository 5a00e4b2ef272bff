// Webhooks: what is configured and how it is signed, and delivery to an endpoint of the test's own.
// tests/e2e/webhooks_test.py sends to the receiver of samples/ and kills the server.
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <mutex>
#include <set>
#include <thread>

#include "server/outbox/delivery.h"
#include "server/outbox/routes.h"
#include "server/outbox/webhook.h"
#include "tests/server/shop/shop_world.h"

using namespace layby;
using namespace layby::tests;
using manifest::Json;
using server::Method;

namespace {

struct Received {
  std::uint64_t event;
  std::string signature, timestamp, body;
};

// An HTTP server of one thread that answers what the test wants.
class Endpoint {
 public:
  // The status of the answer; 0: none at all, the connection hangs until the endpoint goes.
  using Judge = std::function<int(std::uint64_t event)>;

  explicit Endpoint(Judge judge) : judge_(std::move(judge)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    REQUIRE(::listen(listener_, 16) == 0);
    socklen_t size = sizeof address;
    REQUIRE(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { run(); });
  }
  ~Endpoint() {
    stop_ = true;
    thread_.join();
    for (const int held : held_) ::close(held);
    ::close(listener_);
  }

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/hook"; }
  std::vector<Received> received() const {
    const std::lock_guard lock(mutex_);
    return received_;
  }
  bool wait_for(std::size_t count, int seconds = 20) const {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
    while (received().size() < count) {
      if (std::chrono::steady_clock::now() > limit) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return true;
  }

 private:
  void run() {
    while (!stop_) {
      pollfd entry{listener_, POLLIN, 0};
      if (::poll(&entry, 1, 20) != 1) continue;
      const int connection = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (connection >= 0) serve(connection);
    }
  }

  static std::string header(const std::string& head, const std::string& name) {
    const std::size_t at = head.find(name + ": ");
    if (at == std::string::npos) return {};
    const std::size_t begin = at + name.size() + 2;
    return head.substr(begin, head.find("\r\n", begin) - begin);
  }

  void serve(int connection) {
    std::string text;
    char buffer[4096];
    std::size_t head_end = std::string::npos;
    for (;;) {
      head_end = text.find("\r\n\r\n");
      if (head_end != std::string::npos &&
          text.size() >= head_end + 4 + std::stoul("0" + header(text, "Content-Length")))
        break;
      const ssize_t n = ::read(connection, buffer, sizeof buffer);
      if (n <= 0) {
        ::close(connection);
        return;
      }
      text.append(buffer, static_cast<std::size_t>(n));
    }
    const std::string head = text.substr(0, head_end + 2);
    Received one{.event = std::stoull(header(head, "Layby-Event-Id")),
                 .signature = header(head, "Layby-Signature"),
                 .timestamp = header(head, "Layby-Timestamp"),
                 .body = text.substr(head_end + 4)};
    const int status = judge_(one.event);
    {
      const std::lock_guard lock(mutex_);
      received_.push_back(std::move(one));
    }
    if (status == 0) {
      held_.push_back(connection);
      return;
    }
    const std::string answer =
        fmt::format("HTTP/1.1 {} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", status);
    CHECK(::write(connection, answer.data(), answer.size()) == static_cast<ssize_t>(answer.size()));
    ::close(connection);
  }

  Judge judge_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::atomic<bool> stop_{false};
  mutable std::mutex mutex_;
  std::vector<Received> received_;
  std::vector<int> held_;
  std::thread thread_;
};

struct OutboxWorld : ReadyWorld {
  explicit OutboxWorld(server::Store* store = nullptr) : ReadyWorld(store) {
    server::add_outbox_routes(router, services);
  }

  void start(std::int64_t timeout_ms = 2'000, std::uint64_t attempts_max = 4) {
    auto opened = server::Delivery::open(services,
                                         {.ca_file = {},
                                          .timeout_ms = timeout_ms,
                                          .attempts_max = attempts_max,
                                          .backoff_ms_min = 20,
                                          .backoff_ms_max = 100},
                                         [](server::DeliveryResult) {});
    REQUIRE(opened);
    delivery = std::move(*opened);
    services.wake_outbox = [this] { delivery->wake(); };
    events_sequence->on_landing(services.wake_outbox);
    delivery->start();
  }
  void stop() {
    events_sequence->on_landing([] {});
    services.wake_outbox = [] {};
    delivery.reset();
  }
  ~OutboxWorld() { stop(); }

  Json hook(const std::string& url, const Json& more = Json::object()) {
    Json body{{"url", url}};
    body.update(more);
    const Answered made = post("/v1/webhooks", operator_token, body);
    INFO(made.text);
    REQUIRE(made.status == 201);
    return made.body;
  }
  Json listed(const std::string& id) {
    const Answered list = get("/v1/webhooks", operator_token);
    for (const Json& one : list.body["webhooks"])
      if (one["id"] == id) return one;
    return nullptr;
  }
  Json dead_letters(const std::string& id) {
    return get("/v1/webhooks/" + id + "/dead-letters", operator_token).body["dead_letters"];
  }
  // One message each: a user joins.
  void make_events(int count) {
    for (int i = 0; i < count; ++i) {
      const std::string token = new_account(server::Role::kOwner, "guest");
      add_user(owner_token, token);
      const std::string self = get("/v1/accounts/me", token).body["id"];
      REQUIRE(call(Method::kDelete, "/v1/cars/" + std::string(kVin) + "/users/" + self, owner_token)
                  .status == 204);
    }
  }

  std::unique_ptr<server::Delivery> delivery;
};

bool eventually(const std::function<bool()>& holds) {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > limit) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return true;
}

std::vector<std::uint64_t> ids_of(const std::vector<Received>& all) {
  std::vector<std::uint64_t> ids;
  for (const Received& one : all) ids.push_back(one.event);
  return ids;
}

}  // namespace

TEST_CASE("webhooks: operators configure them, and the secret is shown once") {
  OutboxWorld world;
  const Json body{{"url", "https://shop.example/hook"}, {"types", {"billing", "refund"}}};
  for (const std::string& token : {world.owner_token, world.partner_token})
    CHECK(world.post("/v1/webhooks", token, body).status == 403);
  const Answered made = world.post("/v1/webhooks", world.operator_token, body, "once");
  REQUIRE(made.status == 201);
  const std::string secret = made.body["secret"];
  CHECK(secret.size() == 6 + 64);
  CHECK(world.post("/v1/webhooks", world.operator_token, body, "once").text == made.text);
  const Answered list = world.get("/v1/webhooks", world.operator_token);
  CHECK(list.body["webhooks"].size() == 1);
  CHECK_THAT(list.text, !Catch::Contains(secret));
  for (const Json& wrong : std::vector<Json>{{{"url", "http://shop.example/hook"}},
                                             {{"url", "https://user:word@shop.example/"}},
                                             {{"url", "ftp://127.0.0.1/"}},
                                             {{"url", "http://127.0.0.1.shop.example/"}},
                                             {{"url", "nothing"}},
                                             {{"url", "https://x/"}, {"types", {"gossip"}}},
                                             {{"url", "https://x/"}, {"colour", "red"}}}) {
    INFO(wrong.dump());
    // A name that begins like a loopback address is stopped when it is connected to.
    const int status = world.post("/v1/webhooks", world.operator_token, wrong).status;
    CHECK(status == (wrong["url"] == "http://127.0.0.1.shop.example/" ? 201 : 400));
  }
  const std::string path = "/v1/webhooks/" + made.body["id"].get<std::string>();
  CHECK(world.call(Method::kDelete, path, world.owner_token).status == 403);
  CHECK(world.call(Method::kDelete, path, world.operator_token).status == 204);
  CHECK(world.call(Method::kDelete, path, world.operator_token).status == 404);
  CHECK(world.get(path + "/dead-letters", world.operator_token).status == 404);
}

TEST_CASE("webhooks: every event arrives, in order, signed, as it stands in the list") {
  OutboxWorld world;
  Endpoint endpoint([](std::uint64_t) { return 204; });
  const Json hook = world.hook(endpoint.url(), {{"after", 0}});
  world.start();
  world.make_events(20);
  const Answered list = world.get("/v1/events?limit=1000", world.operator_token);
  const Json& events = list.body["events"];
  REQUIRE(endpoint.wait_for(events.size()));
  const std::vector<Received> got = endpoint.received();
  REQUIRE(got.size() == events.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    CHECK(got[i].event == events[i]["id"]);
    CHECK(Json::parse(got[i].body) == events[i]);
    const UnixSeconds timestamp = std::stoll(got[i].timestamp);
    CHECK(std::abs(timestamp - SystemClock().now()) < 60);
    CHECK(got[i].signature ==
          server::webhook_signature(hook["secret"].get<std::string>(), timestamp, got[i].body));
  }
  // Stopped and started, nothing comes twice that was acknowledged. What the endpoint has, the
  // server knows a moment later: an answer that it has not read when it ends is asked for again.
  REQUIRE(eventually([&] { return world.listed(hook["id"])["after"] == events.back()["id"]; }));
  world.stop();
  world.start();
  world.make_events(1);
  REQUIRE(endpoint.wait_for(got.size() + 1));
  CHECK(ids_of(endpoint.received())[got.size()] > events.back()["id"].get<std::uint64_t>());
}

TEST_CASE("webhooks: an endpoint that hangs or fails holds up nobody else") {
  OutboxWorld world;
  Endpoint good([](std::uint64_t) { return 200; });
  Endpoint hanging([](std::uint64_t) { return 0; });
  Endpoint failing([](std::uint64_t) { return 500; });
  world.hook(hanging.url());
  world.hook(failing.url());
  world.hook("http://127.0.0.1:1/nobody");
  world.hook("http://127.0.0.1.example/elsewhere");
  world.hook(good.url());
  world.start(60'000, 1000);
  world.make_events(5);
  REQUIRE(good.wait_for(5));
  CHECK(hanging.received().size() == 1);
  CHECK(failing.wait_for(3));
  // The same one again and again: the order is kept.
  CHECK(std::set<std::uint64_t>{ids_of(failing.received())[0]}.contains(
      ids_of(failing.received())[2]));
  const auto begun = std::chrono::steady_clock::now();
  world.stop();
  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(5));
}

TEST_CASE("webhooks: what is given up lies with the dead letters and can be sent again") {
  OutboxWorld world;
  std::atomic<std::uint64_t> poison{0};
  Endpoint endpoint([&](std::uint64_t event) { return event == poison ? 422 : 200; });
  const std::string id = world.hook(endpoint.url())["id"];
  poison = world.get("/v1/events?limit=1000", world.operator_token)
               .body["events"]
               .back()["id"]
               .get<std::uint64_t>() +
           1;
  world.start();
  world.make_events(2);  // the first is refused
  const std::string path = "/v1/webhooks/" + id + "/dead-letters";
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (world.get(path, world.operator_token).body["dead_letters"].empty() &&
         std::chrono::steady_clock::now() < limit)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  const Json dead = world.get(path, world.operator_token).body["dead_letters"];
  REQUIRE(dead.size() == 1);
  CHECK(dead[0]["event"] == poison.load());
  CHECK(dead[0]["attempts"] == 4);
  CHECK(dead[0]["error"] == "status 422");
  CHECK(endpoint.wait_for(4 + 1));  // the later ones have come
  const std::uint64_t event = poison.exchange(0);
  CHECK(world.post(path + "/7777777/retry", world.operator_token).status == 404);
  const Answered again = world.post(path + "/retry", world.operator_token);
  CHECK(again.status == 202);
  CHECK(again.body["queued"] == 1);
  while (world.listed(id)["dead_letters"] != 0) std::this_thread::yield();
  const auto arrived = [&] {
    const auto ids = ids_of(endpoint.received());
    return std::count(ids.begin(), ids.end(), event) == 5;
  };
  while (!arrived() && std::chrono::steady_clock::now() < limit)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  CHECK(arrived());
}

TEST_CASE("webhooks: what is refused for good, sent again, holds up nothing that is new") {
  OutboxWorld world;
  std::atomic<std::uint64_t> refused_from{0}, refused_to{0};
  Endpoint endpoint(
      [&](std::uint64_t event) { return event >= refused_from && event < refused_to ? 422 : 200; });
  const std::string id = world.hook(endpoint.url())["id"];
  const auto newest = [&] {
    const Answered list = world.get("/v1/events?limit=1000", world.operator_token);
    return list.body["events"].back()["id"].get<std::uint64_t>();
  };
  refused_from = newest() + 1;
  refused_to = refused_from + 5;
  world.start(2'000, 2);
  world.make_events(5);
  REQUIRE(eventually([&] { return world.dead_letters(id).size() == 5; }));
  const std::size_t before = endpoint.received().size();
  CHECK(before == 10);
  REQUIRE(world.post("/v1/webhooks/" + id + "/dead-letters/retry", world.operator_token).status ==
          202);
  world.make_events(5);
  REQUIRE(endpoint.wait_for(before + 10));
  REQUIRE(eventually([&] { return world.dead_letters(id).size() == 5; }));
  // Once each, in turn with the new ones; and how often it was tried is not forgotten.
  CHECK(endpoint.received().size() == before + 10);
  for (const Json& dead : world.dead_letters(id)) CHECK(dead["attempts"] == 3);
}

namespace {
// Refuses to write dead letters while it is told to.
class NoDeadLetters final : public server::Store {
 public:
  explicit NoDeadLetters(server::Store& inner) : inner_(inner) {}
  Result<std::optional<std::string>> get(std::string_view key) const override {
    return inner_.get(key);
  }
  Result<std::vector<server::KeyValue>> scan(std::string_view begin, std::string_view end,
                                             std::size_t limit) const override {
    return inner_.scan(begin, end, limit);
  }
  Result<void> commit(const server::Batch& batch) override {
    for (const server::Write& write : batch.writes) {
      if (!refusing || !write.value || !write.key.starts_with("wh/d/")) continue;
      ++refused;
      return fail(ErrorCode::kDiskFull, "no space left");
    }
    return inner_.commit(batch);
  }
  Result<void> purge(const std::vector<server::KeyRange>& ranges) override {
    return inner_.purge(ranges);
  }
  std::atomic<bool> refusing{true};
  std::atomic<int> refused{0};

 private:
  server::Store& inner_;
};
}  // namespace

TEST_CASE("webhooks: an event whose place among the dead letters cannot be written is not lost") {
  TestServices base;
  NoDeadLetters store(*base.store);
  OutboxWorld world(&store);
  std::atomic<std::uint64_t> poison{0};
  Endpoint endpoint([&](std::uint64_t event) { return event == poison ? 422 : 200; });
  const std::string id = world.hook(endpoint.url())["id"];
  const Answered list = world.get("/v1/events?limit=1000", world.operator_token);
  poison = list.body["events"].back()["id"].get<std::uint64_t>() + 1;
  world.start(2'000, 2);
  world.make_events(2);
  REQUIRE(eventually([&] { return store.refused > 0; }));
  // Nothing after it has been sent: it is neither delivered nor a dead letter.
  CHECK(world.dead_letters(id).empty());
  CHECK(endpoint.received().back().event == poison);
  CHECK(world.listed(id)["after"] < poison.load());
  store.refusing = false;
  REQUIRE(eventually([&] { return world.dead_letters(id).size() == 1; }));
  CHECK(world.dead_letters(id)[0]["event"] == poison.load());
  CHECK(eventually([&] { return endpoint.received().back().event == poison + 1; }));
}

TEST_CASE("webhooks: a removed one gets nothing more, one of some types only these") {
  OutboxWorld world;
  Endpoint removed([](std::uint64_t) { return 200; });
  Endpoint money([](std::uint64_t) { return 200; });
  const std::string id = world.hook(removed.url())["id"];
  world.hook(money.url(), {{"types", {"authorisation", "billing"}}});
  world.start();
  world.make_events(1);
  REQUIRE(removed.wait_for(1));
  REQUIRE(world.call(Method::kDelete, "/v1/webhooks/" + id, world.operator_token).status == 204);
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  const std::size_t before = removed.received().size();
  world.order_function("adaptive-cruise", world.owner_token);
  world.car.obey();
  REQUIRE(money.wait_for(2));
  CHECK(removed.received().size() == before);
  std::vector<std::string> types;
  for (const Received& one : money.received()) types.push_back(Json::parse(one.body)["type"]);
  CHECK(types == std::vector<std::string>{"authorisation", "billing"});
}

TEST_CASE("webhooks: the signature is HMAC-SHA-256 over timestamp, dot and body") {
  // Computed with: printf '1700000000.{"id":1}' | openssl dgst -sha256 -hmac whsec_test
  CHECK(server::webhook_signature("whsec_test", 1'700'000'000, R"({"id":1})") ==
        "v1=2f441ba4b3b2d50d28a9ab9d9fd8880376ecd1eb5d0435401553f5d8d0a5dcf8");
}
