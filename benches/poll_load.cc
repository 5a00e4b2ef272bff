// Load for poll.sh: keep-alive TLS connections with a client certificate, each asking for the same
// path again and again. Prints requests per second and latencies.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

struct Arguments {
  int port = 0;
  int connections = 8;
  int seconds = 5;
  int expected_status = 304;
  std::string path;
  std::string header;
  std::string certificate;
  std::string key;
};

struct Count {
  std::vector<std::uint32_t> latencies_us;
  int failures = 0;
};

// One blocking connection. The server's certificate is not checked: this measures, on loopback.
class Connection {
 public:
  explicit Connection(const Arguments& arguments) {
    context_ = SSL_CTX_new(TLS_client_method());
    SSL_CTX_use_certificate_file(context_, arguments.certificate.c_str(), SSL_FILETYPE_PEM);
    SSL_CTX_use_PrivateKey_file(context_, arguments.key.c_str(), SSL_FILETYPE_PEM);
    socket_ = ::socket(AF_INET, SOCK_STREAM, 0);
    const int on = 1;
    ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(arguments.port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ssl_ = SSL_new(context_);
    SSL_set_fd(ssl_, socket_);
    good_ = ::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
            SSL_connect(ssl_) == 1;
  }
  ~Connection() {
    SSL_free(ssl_);
    SSL_CTX_free(context_);
    ::close(socket_);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // The status, 0 on failure. Answers without a body only.
  int ask(const std::string& request) {
    if (!good_ || SSL_write(ssl_, request.data(), static_cast<int>(request.size())) <= 0) return 0;
    std::string answer;
    char buffer[4096];
    while (answer.find("\r\n\r\n") == std::string::npos) {
      const int count = SSL_read(ssl_, buffer, sizeof buffer);
      if (count <= 0) return 0;
      answer.append(buffer, static_cast<std::size_t>(count));
    }
    return answer.size() > 12 ? std::atoi(answer.c_str() + 9) : 0;
  }

 private:
  SSL_CTX* context_;
  SSL* ssl_;
  int socket_;
  bool good_;
};

void run(const Arguments& arguments, Clock::time_point end, Count& count) {
  Connection connection(arguments);
  const std::string request = "GET " + arguments.path + " HTTP/1.1\r\nHost: localhost\r\n" +
                              arguments.header + "\r\n\r\n";
  while (Clock::now() < end) {
    const Clock::time_point begun = Clock::now();
    if (connection.ask(request) != arguments.expected_status) {
      ++count.failures;
      return;
    }
    count.latencies_us.push_back(static_cast<std::uint32_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begun).count()));
  }
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app("Polls one path over keep-alive TLS connections.");
  app.add_option("--port", arguments.port)->required();
  app.add_option("--path", arguments.path)->required();
  app.add_option("--header", arguments.header, "One header line")->required();
  app.add_option("--certificate", arguments.certificate)->required();
  app.add_option("--key", arguments.key)->required();
  app.add_option("--connections", arguments.connections);
  app.add_option("--seconds", arguments.seconds);
  app.add_option("--expect", arguments.expected_status, "Status that every answer must have");
  CLI11_PARSE(app, argc, argv);

  std::vector<Count> counts(static_cast<std::size_t>(arguments.connections));
  std::vector<std::thread> threads;
  const Clock::time_point end = Clock::now() + std::chrono::seconds(arguments.seconds);
  for (Count& count : counts)
    threads.emplace_back([&] { run(arguments, end, count); });
  for (std::thread& thread : threads) thread.join();

  std::vector<std::uint32_t> all;
  int failures = 0;
  for (const Count& count : counts) {
    all.insert(all.end(), count.latencies_us.begin(), count.latencies_us.end());
    failures += count.failures;
  }
  if (failures > 0 || all.empty()) {
    std::fprintf(stderr, "poll_load: %d connections failed\n", failures);
    return 1;
  }
  std::sort(all.begin(), all.end());
  std::printf("%zu requests_per_second, p50 %u us, p99 %u us\n",
              all.size() / static_cast<std::size_t>(arguments.seconds), all[all.size() / 2],
              all[all.size() * 99 / 100]);
  return 0;
}
