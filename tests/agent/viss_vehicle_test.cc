// The agent's VISS client against the simulated car's VISS server, over real sockets.
#include "agent/viss_vehicle.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <csignal>
#include <limits>
#include <thread>

#include "agent/vehicle_config.h"
#include "base/disk.h"
#include "crypto/certificate.h"
#include "samples/car/car_commands.h"
#include "samples/car/car_server.h"
#include "samples/car/viss_session.h"
#include "tests/temp_dir.h"

using namespace layby;
using namespace layby::agent;
using namespace layby::tests;

namespace {

constexpr crypto::Validity kAlways = {.not_before = 0, .not_after = 4'000'000'000};

void write_text(const std::string& path, const std::string& text) {
  RealDisk disk;
  REQUIRE(replace_file(disk, path, as_bytes(text)));
}

std::string read_text(const std::string& path) {
  RealDisk disk;
  const auto bytes = read_file(disk, path, 1000);
  return bytes ? std::string(as_text(*bytes)) : "";
}

// The simulated car in a thread of its own.
class SimulatedCar {
 public:
  explicit SimulatedCar(const TempDir& dir)
      : place_{.socket_path = dir / "car.sock",
               .state_path = dir / "car.json",
               .port = 0,
               .port_file = dir / "port"} {
    ::signal(SIGPIPE, SIG_IGN);
    start();
  }
  ~SimulatedCar() { stop(); }

  void start() {
    ::unlink(place_.port_file.c_str());
    REQUIRE(::pipe(stop_) == 0);
    thread_ = std::thread([this] { (void)samples::serve_car(place_, stop_[0]); });
    while (port().empty()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  void stop() {
    if (!thread_.joinable()) return;
    REQUIRE(::write(stop_[1], "x", 1) == 1);
    thread_.join();
    ::close(stop_[0]);
    ::close(stop_[1]);
  }
  std::string port() const { return read_text(place_.port_file); }
  std::string address() const { return "unix:" + place_.socket_path; }
  const std::string& socket_path() const { return place_.socket_path; }

  // One request of HTTP, and the beginning of its answer.
  std::string ask(const std::string& head, const std::string& body = "") {
    const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(static_cast<std::uint16_t>(std::stoi(port())));
    REQUIRE(::connect(descriptor, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0);
    const std::string request =
        head + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
    REQUIRE(::send(descriptor, request.data(), request.size(), 0) > 0);
    char answer[1000] = {};
    REQUIRE(::recv(descriptor, answer, sizeof answer - 1, 0) > 0);
    ::close(descriptor);
    return answer;
  }
  std::string turn(const std::string& json) {
    return ask("POST /controls HTTP/1.1\r\nHost: localhost", json);
  }
  // Turns controls, as `layby-car set` does.
  void set(const std::string& json) { CHECK(turn(json).starts_with("HTTP/1.1 204")); }

 private:
  const samples::CarPlace place_;
  int stop_[2] = {-1, -1};
  std::thread thread_;
};

std::string value(VissVehicle& car, std::string_view name) {
  const auto& signals = car.facts().signals();
  const auto found = signals.find(std::string(name));
  return found == signals.end() ? "-" : found->second.value;
}

template <typename Test>
bool becomes_true(Test test, int seconds = 20) {
  for (int i = 0; i < 100 * seconds; ++i) {
    if (test()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

// TLS that demands a client's certificate, in front of the simulated car. One client at a time.
class TlsFront {
 public:
  TlsFront(const TempDir& dir, std::string socket_port) : back_(std::move(socket_port)) {
    context_ = SSL_CTX_new(TLS_server_method());
    REQUIRE(SSL_CTX_use_certificate_file(context_, (dir / "server.pem").c_str(),
                                         SSL_FILETYPE_PEM) == 1);
    REQUIRE(SSL_CTX_use_PrivateKey_file(context_, (dir / "server.key").c_str(), SSL_FILETYPE_PEM) ==
            1);
    REQUIRE(SSL_CTX_load_verify_locations(context_, (dir / "ca.pem").c_str(), nullptr) == 1);
    SSL_CTX_set_verify(context_, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    REQUIRE(::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) == 0);
    REQUIRE(::listen(listener_, 4) == 0);
    REQUIRE(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    url = "wss://localhost:" + std::to_string(ntohs(address.sin_port));
    thread_ = std::thread([this] { serve(); });
  }
  ~TlsFront() {
    stop_ = true;
    thread_.join();
    ::close(listener_);
    SSL_CTX_free(context_);
  }

  std::string url;

 private:
  bool is_readable(int descriptor) const {
    pollfd entry{descriptor, POLLIN, 0};
    return ::poll(&entry, 1, 5) > 0;
  }
  void serve() {
    while (!stop_) {
      if (!is_readable(listener_)) continue;
      const int peer = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      SSL* tls = SSL_new(context_);
      SSL_set_fd(tls, peer);
      if (SSL_accept(tls) == 1) shuttle(tls, peer);
      SSL_free(tls);
      ::close(peer);
    }
  }
  void shuttle(SSL* tls, int peer) {
    const int back = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(static_cast<std::uint16_t>(std::stoi(back_)));
    bool open = ::connect(back, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
    std::string bytes(16 * 1024, '\0');
    while (open && !stop_) {
      if (SSL_pending(tls) > 0 || is_readable(peer)) {
        const int n = SSL_read(tls, bytes.data(), static_cast<int>(bytes.size()));
        open = n > 0 && ::send(back, bytes.data(), static_cast<std::size_t>(n), MSG_NOSIGNAL) == n;
      }
      if (open && is_readable(back)) {
        const ssize_t n = ::recv(back, bytes.data(), bytes.size(), 0);
        open = n > 0 && SSL_write(tls, bytes.data(), static_cast<int>(n)) == n;
      }
    }
    ::close(back);
  }

  const std::string back_;
  SSL_CTX* context_ = nullptr;
  int listener_ = -1;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

void issue(const TempDir& dir, const crypto::TlsIdentity& authority, const std::string& name,
           crypto::CertificateUse use) {
  const std::string key = crypto::generate_tls_key();
  const auto request = crypto::make_request(key, name).value();
  const auto pem = crypto::issue_certificate(
      authority, request, {.common_name = name, .subject_alt_names = "DNS:localhost,IP:127.0.0.1"},
      use, kAlways);
  write_text(dir / (name + ".pem"), pem.value());
  write_text(dir / (name + ".key"), key);
}

}  // namespace

TEST_CASE("signals come by VISS: at once, on change, and as old as they are") {
  const TempDir dir;
  SimulatedCar simulated(dir);
  const SystemClock clock;
  VissOptions options = vehicle_at(simulated.address())->viss;
  options.period_ms = 5'000;  // what changes comes before that
  VissVehicle car(options, clock);
  CHECK(value(car, vss::kGear) == "126");
  CHECK(value(car, "Vehicle.Cabin.Door.Row2.PassengerSide.IsLocked") == "true");
  CHECK(car.descriptor() >= 0);
  const std::int64_t now_ms = clock.now() * 1000;
  CHECK(std::abs(car.facts().signals().at(std::string(vss::kGear)).at_ms - now_ms) < 3'000);
  CHECK(is_left_and_locked(car.facts(), now_ms));
  simulated.set(R"({"gear":"D","driver":"in"})");
  CHECK(becomes_true([&] { return value(car, vss::kGear) == "127"; }, 4));
  CHECK(value(car, vss::kDriver) == "true");
}

TEST_CASE("a signal that does not come any more grows old, or is not known") {
  const TempDir dir;
  SimulatedCar simulated(dir);
  const SystemClock clock;
  VissVehicle car(vehicle_at(simulated.address())->viss, clock);
  CHECK(value(car, vss::kGear) == "126");
  // A control unit that has died: what it said last grows old.
  simulated.set(R"({"freeze":"on"})");
  const auto frozen_ms = car.facts().signals().at(std::string(vss::kGear)).at_ms;
  std::this_thread::sleep_for(std::chrono::milliseconds(2'500));
  CHECK(car.facts().signals().at(std::string(vss::kGear)).at_ms < frozen_ms + 1'500);
  // One that is not there any more is not known, and known again when it is back.
  simulated.set(R"({"freeze":"off","missing":"gear"})");
  CHECK(becomes_true([&] { return value(car, vss::kGear) == "-"; }));
  simulated.set(R"({"missing":"none"})");
  CHECK(becomes_true([&] { return value(car, vss::kGear) == "126"; }));
}

TEST_CASE("what a package asks about is subscribed to, as soon as the car has it (P4.1)") {
  const TempDir dir;
  SimulatedCar simulated(dir);
  const SystemClock clock;
  VissVehicle car(vehicle_at(simulated.address())->viss, clock);
  const std::string hood = "Vehicle.Body.Hood.IsOpen";
  car.want_signals({hood});
  CHECK(value(car, hood) == "-");
  simulated.set(R"({"Vehicle.Body.Hood.IsOpen":"true"})");
  CHECK(becomes_true([&] { return value(car, hood) == "true"; }));
  simulated.set(R"({"Vehicle.Body.Hood.IsOpen":"false"})");
  CHECK(becomes_true([&] { return value(car, hood) == "false"; }));
  car.want_signals({});
  CHECK(value(car, hood) == "-");
}

TEST_CASE("paths, units and words of the car are the configuration's") {
  const TempDir dir;
  SimulatedCar simulated(dir);
  simulated.set(R"({"Vehicle.Own.Volts":"12450","Vehicle.Own.Lever":"PARK",)"
                R"("missing":"soc",)"
                R"("Vehicle.Powertrain.TractionBattery.StateOfCharge.Current":"61"})");
  write_text(dir / "vehicle.toml",
             "[viss]\nurl = \"" + simulated.address() + "\"\nperiod_ms = 200\n[signals]\n" +
                 "\"Vehicle.LowVoltageBattery.CurrentVoltage\" = { path = \"Vehicle.Own.Volts\", "
                 "unit = \"mV\" }\n" +
                 "\"Vehicle.Powertrain.Transmission.SelectedGear\" = { path = [\"Vehicle.Own.None\""
                 ", \"Vehicle.Own.Lever\"], values = { PARK = \"126\" }, age_seconds = 60 }\n" +
                 "\"Vehicle.Layby.Region\" = { absent = true }\n");
  RealDisk disk;
  const auto config = read_vehicle_config(disk, dir / "vehicle.toml");
  REQUIRE(config.has_value());
  CHECK(config->viss.period_ms == 200);
  for (const VissSignal& signal : config->viss.signals)
    CHECK(signal.age_ms_max == (signal.name == vss::kGear ? 60'000 : 0));
  const SystemClock clock;
  VissVehicle car(config->viss, clock);
  CHECK(value(car, vss::kLowVoltageBattery) == "12.45");
  CHECK(value(car, vss::kGear) == "126");
  CHECK(value(car, vss::kTractionBattery) == "61");  // the standard's other name for it
  CHECK(value(car, vss::kRegion) == "-");
}

TEST_CASE("commands go through VISS, and the car's refusal comes back") {
  const TempDir dir;
  SimulatedCar simulated(dir);
  const SystemClock clock;
  VissVehicle car(vehicle_at(simulated.address())->viss, clock);
  write_text(dir / "f.pkg", "package");
  CHECK(car.activate_function("f", dir / "f.pkg", ""));
  simulated.set(R"({"fail_activate":"1"})");
  const auto refused = car.activate_function("f", dir / "f.pkg", "");
  REQUIRE(!refused);
  CHECK(refused.error().code() == ErrorCode::kActivationFailed);
  CHECK(refused.error().message().find("control unit") != std::string::npos);
  const auto health = car.check_software("/nowhere");
  REQUIRE(!health);
  CHECK(health.error().code() == ErrorCode::kHealthCheckFailed);
  CHECK(car.show({.language = "de", .lines = {"Guten Tag"}}));
  simulated.set(R"({"fail_activate":"0","slow_seconds":"1"})");
  CHECK(car.activate_function("f", dir / "f.pkg", ""));
  CHECK(value(car, vss::kGear) == "126");
}

TEST_CASE("a server that goes away is no car; it is found again, after pauses that grow") {
  const TempDir dir;
  SimulatedCar simulated(dir);
  const SystemClock clock;
  VissVehicle car(vehicle_at(simulated.address())->viss, clock);
  CHECK(value(car, vss::kGear) == "126");
  simulated.stop();
  CHECK(value(car, vss::kGear) == "-");
  CHECK(car.descriptor() == -1);
  const auto refused = car.reload_maps("/nowhere");
  REQUIRE(!refused);
  CHECK(refused.error().code() == ErrorCode::kUnavailable);
  simulated.start();
  CHECK(becomes_true([&] { return value(car, vss::kGear) == "126"; }));
}

TEST_CASE("programs that the agent starts do not inherit its connection to the car") {
  const TempDir dir;
  SimulatedCar simulated(dir);
  const std::string subprotocol(kVissSubprotocol);
  const WebSocketOptions unix_socket{
      .url = "ws://localhost/", .unix_path = simulated.socket_path(), .subprotocol = subprotocol};
  const WebSocketOptions tcp{.url = "ws://127.0.0.1:" + simulated.port() + "/",
                             .subprotocol = subprotocol};
  for (const WebSocketOptions& options : {unix_socket, tcp}) {
    const auto client = WebSocketClient::connect(options);
    REQUIRE(client.has_value());
    CHECK(::fcntl((*client)->descriptor(), F_GETFD) == FD_CLOEXEC);
  }
}

TEST_CASE("TLS with a certificate of the client's") {
  const TempDir dir;
  SimulatedCar simulated(dir);
  const auto authority = crypto::make_authority("car", kAlways).value();
  const auto stranger = crypto::make_authority("stranger", kAlways).value();
  write_text(dir / "ca.pem", authority.certificate_pem);
  write_text(dir / "stranger.pem", stranger.certificate_pem);
  issue(dir, authority, "server", crypto::CertificateUse::kServer);
  issue(dir, authority, "agent", crypto::CertificateUse::kVehicle);
  const TlsFront front(dir, simulated.port());
  const SystemClock clock;
  VissOptions options{.socket = {.url = front.url,
                                 .subprotocol = std::string(kVissSubprotocol),
                                 .ca_path = dir / "ca.pem",
                                 .certificate_path = dir / "agent.pem",
                                 .key_path = dir / "agent.key"}};
  REQUIRE(check_viss_options(options));
  {
    VissVehicle car(options, clock);
    CHECK(value(car, vss::kGear) == "126");
    simulated.set(R"({"gear":"R"})");
    CHECK(becomes_true([&] { return value(car, vss::kGear) == "-1"; }));
  }
  VissOptions nobody = options;
  nobody.socket.certificate_path = nobody.socket.key_path = "";
  VissVehicle refused(nobody, clock);
  CHECK(value(refused, vss::kGear) == "-");
  WebSocketOptions wrong = options.socket;
  wrong.ca_path = dir / "stranger.pem";
  const auto connected = WebSocketClient::connect(wrong);
  REQUIRE(!connected);
  CHECK(connected.error().code() == ErrorCode::kUnauthenticated);
  WebSocketOptions other = options.socket;
  other.subprotocol = "VISSv9";
  CHECK(!WebSocketClient::connect(other));
}

TEST_CASE("whatever is sent to the car's controls, it goes on") {
  const TempDir dir;
  SimulatedCar simulated(dir);
  for (const char* body : {"[1,2]", "\"gear\"", "null", "7", "{", "", "[]", "[[\"gear\",\"P\"]]",
                           R"({"gear":7})", R"({"gear":"P","lever":"P"})", R"({"gear":null})"}) {
    INFO(body);
    CHECK(simulated.turn(body).starts_with("HTTP/1.1 400"));
  }
  simulated.set("{}");
  simulated.set(R"({"gear":"P"})");
}

TEST_CASE("only the car's own page may turn its controls") {
  const TempDir dir;
  SimulatedCar simulated(dir);
  const auto status = [&](const std::string& headers) {
    const std::string answer =
        simulated.ask("POST /controls HTTP/1.1\r\n" + headers, R"({"gear":"P"})");
    return answer.substr(9, 3);
  };
  const std::string port = ":" + simulated.port();
  for (const std::string& host : {"127.0.0.1" + port, "localhost" + port, "LocalHost" + port,
                                  "[::1]" + port, std::string("localhost"), std::string("[::1]")}) {
    INFO(host);
    CHECK(status("Host: " + host) == "204");
    CHECK(status("Host: " + host + "\r\nOrigin: http://" + host) == "204");
    CHECK(status("Host: " + host + "\r\nOrigin: http://other" + port) == "403");
    CHECK(status("Host: " + host + "\r\nOrigin: null") == "403");
  }
  // A name that leads to this machine, in a page that came from somewhere else.
  for (const std::string& host :
       {"rebound.example" + port, "localhost.example" + port, "127.0.0.1.example" + port,
        "127.0.0.2" + port, std::string("::1"), std::string(""), "localhost:x" + port}) {
    INFO(host);
    CHECK(status("Host: " + host) == "403");
    CHECK(status("Host: " + host + "\r\nOrigin: http://" + host) == "403");
  }
  CHECK(status("X-Nothing: 1") == "403");
}

TEST_CASE("a screen that the page could not draw is refused") {
  samples::CarState car = samples::new_car();
  const std::string good =
      R"({"language":"de","lines":["a"],"functions":["f"],"updates":[{"order":"o","title":"t",)"
      R"("state":"downloading","lines":["l"],"code":403,"percent":7,"duration":"","notes":"n"}]})";
  REQUIRE(samples::show_screen(good, car));
  REQUIRE(samples::show_screen(R"({"lines":[],"updates":[]})", car));
  REQUIRE(samples::show_screen(good, car));
  const std::string update = R"({"order":"o","title":"t","state":"s","lines":[])";
  for (const std::string& screen :
       {std::string(R"({"updates":[1,null],"functions":3,"lines":[]})"),
        std::string(R"({"updates":[null],"lines":[]})"), std::string(R"({"lines":[]})"),
        std::string(R"({"updates":[]})"), std::string(R"({"updates":[],"lines":["a",7]})"),
        std::string(R"({"updates":[],"lines":[],"functions":3})"),
        std::string(R"({"updates":[],"lines":[],"functions":[null]})"),
        std::string(R"({"updates":[{"order":"o","title":"t","lines":[]}],"lines":[]})"),
        std::string(R"({"updates":[{"order":"o","title":"t","state":"s"}],"lines":[]})"),
        R"({"lines":[],"updates":[)" + update + R"(,"percent":101}]})",
        R"({"lines":[],"updates":[)" + update + R"(,"percent":"5"}]})",
        R"({"lines":[],"updates":[)" + update + R"(,"notes":7}]})",
        R"({"lines":[],"updates":[)" + update + R"(,"code":"x"}]})"}) {
    INFO(screen);
    CHECK(!samples::show_screen(screen, car));
    CHECK(car.screen == good);
    CHECK(car.lines == std::vector<std::string>{"a"});
  }
}

namespace {

// One client of a server whose values and clock the test has in hand.
struct Served {
  samples::VissSession session;
  samples::Leaves leaves = {{"V.A", {"10", 1'000}}, {"V.B.C", {"true", 1'000}}};
  std::int64_t now_ms = 1'000;
  std::uint64_t id = 0;

  VissAnswer ask(VissRequest request) {
    const auto none = [](const std::string&, const std::string&) {
      return std::optional<VissError>(VissError{401, "read_only", "No."});
    };
    request.request_id = std::to_string(++id);
    const auto answer = read_viss_answer(session.answer(encode(request), leaves, none, now_ms));
    REQUIRE(answer.has_value());
    CHECK(answer->request_id == request.request_id);
    return *answer;
  }
  VissAnswer get(std::string path, std::vector<std::string> paths = {}) {
    return ask({.action = VissAction::kGet, .request_id = {}, .path = path, .paths = paths});
  }
  VissAnswer subscribe(VissFilter filter, std::string path = "V.A") {
    return ask({.action = VissAction::kSubscribe,
                .request_id = {},
                .path = path,
                .filter = std::move(filter)});
  }
  VissAnswer unsubscribe(const std::string& subscription) {
    return ask(
        {.action = VissAction::kUnsubscribe, .request_id = {}, .subscription_id = subscription});
  }
  // What no client of ours would send.
  VissAnswer say(std::string_view text) {
    const auto none = [](const std::string&, const std::string& value) {
      return std::optional<VissError>(VissError{400, "invalid_value", value});
    };
    const auto answer = read_viss_answer(session.answer(text, leaves, none, now_ms));
    REQUIRE(answer.has_value());
    return *answer;
  }
  std::vector<std::string> next(const std::string& value) {
    now_ms += 1'000;
    leaves["V.A"] = {value, now_ms};
    return session.events(leaves, now_ms);
  }
};

}  // namespace

TEST_CASE("the server's answers and errors are the specification's") {
  Served served;
  CHECK(served.get("V").points.size() == 2);
  CHECK(served.get("V", {"*.C"}).points.size() == 1);
  CHECK(served.get("V.X").error->number == 404);
  CHECK(served.ask({.action = VissAction::kSet, .request_id = {}, .path = "V.A", .value = "1"})
            .error->reason == "read_only");
  CHECK(served.unsubscribe("77").error->reason == "invalid_subscriptionId");
  CHECK(served.subscribe(VissChange{}, "V.X").error->number == 404);
}

TEST_CASE("the answer to a request that makes no sense says what it answers") {
  Served served;
  const auto answer_to = [&](const std::string& fields) {
    return served.say("{\"requestId\":\"7\"," + fields + "}");
  };
  const auto check = [](const VissAnswer& answer, VissAction action) {
    CHECK(answer.action == action);
    CHECK(answer.request_id == "7");
    REQUIRE(answer.error.has_value());
    CHECK(answer.error->reason == "bad_request");
  };
  check(answer_to(R"("action":"set","path":"V.A")"), VissAction::kSet);
  check(answer_to(R"("action":"subscribe","path":"V.A","filter":7)"), VissAction::kSubscribe);
  check(answer_to(R"("action":"unsubscribe")"), VissAction::kUnsubscribe);
  check(answer_to(R"("action":"dance")"), VissAction::kGet);
  check(answer_to(R"("action":"subscription","subscriptionId":"1")"), VissAction::kGet);
  CHECK(served.say("[1,2]").error->reason == "bad_request");
}

TEST_CASE("a value that is set may be a number or a boolean") {
  Served served;
  for (const char* value : {"12.5", "-3", "true", "\"12.5\""}) {
    INFO(value);
    const auto answer = served.say(R"({"action":"set","requestId":"1","path":"V.A","value":)" +
                                   std::string(value) + "}");
    std::string text = value;
    std::erase(text, '"');
    REQUIRE(answer.error.has_value());
    CHECK(answer.error->message == text);  // as the setter got it
  }
  CHECK(served.say(R"({"action":"set","requestId":"1","path":"V.A","value":[1]})").error->reason ==
        "bad_request");
}

TEST_CASE("a filter's numbers are numbers") {
  Served served;
  const auto refused = [&](const std::string& filter) {
    const auto answer = served.say(
        R"({"action":"subscribe","requestId":"1","path":"V.A","filter":)" + filter + "}");
    return answer.error && answer.error->reason == "bad_request";
  };
  for (const char* number : {"x", "", "inf", "-inf", "nan", "1e999", "0x10", "1 "}) {
    INFO(number);
    const std::string text = number;
    CHECK(refused(R"({"type":"change","parameter":{"logic-op":"gt","diff":")" + text + "\"}}"));
    CHECK(refused(R"({"type":"curvelog","parameter":{"bufsize":"5","maxerr":")" + text + "\"}}"));
  }
  CHECK(refused(R"({"type":"curvelog","parameter":{"bufsize":"5","maxerr":"-1"}})"));
  CHECK(!refused(R"({"type":"change","parameter":{"logic-op":"gt","diff":"-0.5"}})"));
  CHECK(!refused(R"({"type":"change","parameter":{"logic-op":"gt","diff":2.5}})"));
  CHECK(!refused(R"({"type":"curvelog","parameter":{"bufsize":5,"maxerr":0.5}})"));
}

TEST_CASE("without a filter each new data point is an event") {
  Served served;
  const auto made = served.ask({.action = VissAction::kSubscribe, .request_id = {}, .path = "V"});
  REQUIRE(!made.error);
  CHECK(served.session.next_due_ms() == std::numeric_limits<std::int64_t>::max());
  CHECK(served.session.events(served.leaves, served.now_ms).empty());
  for (const char* value : {"11", "11"}) {  // the second one is new, too: by its time
    const auto texts = served.next(value);
    REQUIRE(texts.size() == 1);
    const auto event = read_viss_answer(texts[0]).value();
    CHECK(event.subscription_id == made.subscription_id);
    REQUIRE(event.points.size() == 1);  // V.B.C is as it was
    CHECK(event.points[0] == VissPoint{"V.A", "11", served.now_ms});
  }
  CHECK(served.session.events(served.leaves, served.now_ms).empty());
  CHECK(served.ask({.action = VissAction::kSubscribe, .request_id = {}, .path = "V.X"})
            .error->reason == "invalid_path");
}

TEST_CASE("the server says what it is capable of") {
  Served served;
  const auto none = [](const std::string&, const std::string&) {
    return std::optional<VissError>();
  };
  const auto text = served.session.answer(
      R"({"action":"get","requestId":"1","path":"Vehicle",)"
      R"("filter":{"type":"dynamic-metadata","parameter":"server_capabilities"}})",
      served.leaves, none, served.now_ms);
  CHECK_THAT(text, Catch::Contains(R"("metadata":{"access_ctrl":[],"filter":["timebased","change",)"
                                   R"("paths","range","curvelog","dynamic_metadata"],)"
                                   R"("transport_protocol":[]})"));
}

TEST_CASE("what the server does not keep is answered with the specification's errors") {
  Served served;
  const auto reason = [&](const std::string& action, const std::string& path,
                          const std::string& filter) {
    const auto answer = served.say(R"({"requestId":"1","action":")" + action + R"(","path":")" +
                                   path + R"(","filter":)" + filter + "}");
    REQUIRE(answer.error.has_value());
    return std::to_string(answer.error->number) + " " + answer.error->reason;
  };
  const std::string history = R"({"type":"history","parameter":"P2DT12H"})";
  CHECK(reason("get", "V.A", history) == "404 unavailable_data");
  CHECK(reason("get", "V.X", history) == "404 invalid_path");
  CHECK(reason("get", "V.A", R"([{"type":"history","parameter":"PT5S"}])") ==
        "404 unavailable_data");
  for (const char* period :
       {"", "P", "PT", "2D", "P2H", "P1DT", "P1000D", "PT1S1M", "P1W", "P-1D"}) {
    INFO(period);
    CHECK(
        reason("get", "V.A", R"({"type":"history","parameter":")" + std::string(period) + "\"}") ==
        "400 invalid_duration");
  }
  CHECK(reason("subscribe", "V.A", history) == "400 bad_request");
  const std::string metadata = R"({"type":"static-metadata","parameter":["type","datatype"]})";
  CHECK(reason("get", "V", metadata) == "406 not_acceptable");
  CHECK(reason("get", "V", R"({"type":"static-metadata","parameter":""})") == "406 not_acceptable");
  CHECK(reason("get", "V.X", metadata) == "404 invalid_path");
  CHECK(reason("get", "V.A", R"({"type":"dynamic-metadata","parameter":"samplerate"})") ==
        "406 not_acceptable");
  CHECK(reason("get", "V", R"({"type":"dynamic-metadata","parameter":"server_capabilities"})") ==
        "400 bad_request");  // of "Vehicle" only
  CHECK(reason("subscribe", "V", metadata) == "400 bad_request");
  CHECK(reason("get", "V", R"({"type":"static-metadata","parameter":7})") == "406 not_acceptable");
  CHECK(reason("get", "V", R"({"type":"static-metadata","parameter":[null]})") ==
        "400 bad_request");
  CHECK(reason("get", "V.A", R"({"type":"fresh","parameter":""})") == "400 bad_request");
}

TEST_CASE("every filter that starts an event is served") {
  Served served;
  auto made = served.subscribe(VissChange{VissRelation::kGreater, "5"});
  CHECK(served.next("12").empty());
  CHECK(served.next("18").size() == 1);
  CHECK(served.next("1").empty());
  CHECK(!served.unsubscribe(made.subscription_id).error);
  CHECK(served.next("50").empty());

  made = served.subscribe(VissRange{{VissRelation::kLess, "5"},
                                    VissBoundary{VissRelation::kGreater, "60"},
                                    VissRange::Combine::kOr});
  CHECK(served.next("30").empty());
  CHECK(served.next("61").size() == 1);
  CHECK(served.next("4").size() == 1);
  served.unsubscribe(made.subscription_id);

  made = served.subscribe(VissTimebased{2'000});
  CHECK(served.next("4").size() == 1);
  CHECK(served.next("4").empty());
  CHECK(served.next("4").size() == 1);
  served.unsubscribe(made.subscription_id);

  // A curve that is a straight line with one bend: three points of five say it all.
  served.subscribe(VissCurvelog{"0.5", 5});
  for (const char* value : {"0", "1", "2", "1"}) CHECK(served.next(value).empty());
  const auto texts = served.next("0");
  REQUIRE(texts.size() == 1);
  const auto curve = read_viss_answer(texts[0]).value();
  REQUIRE(curve.points.size() == 3);
  CHECK(curve.points[1].value == "2");
}
