#include "tests/server/http/tls_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>

namespace layby::tests {

struct TlsClient::State {
  SSL_CTX* context = nullptr;
  SSL* ssl = nullptr;
  int socket = -1;
  bool connected = false;
  std::string unread;

  ~State() {
    SSL_free(ssl);
    SSL_CTX_free(context);
    if (socket >= 0) ::close(socket);
  }
};

namespace {

BIO* memory(const std::string& text) {
  return BIO_new_mem_buf(text.data(), static_cast<int>(text.size()));
}

X509* certificate_of(const std::string& pem) {
  BIO* bio = memory(pem);
  X509* certificate = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
  BIO_free(bio);
  REQUIRE(certificate);
  return certificate;
}

void use_identity(SSL_CTX* context, const crypto::TlsIdentity& identity) {
  X509* certificate = certificate_of(identity.certificate_pem);
  REQUIRE(SSL_CTX_use_certificate(context, certificate) == 1);
  X509_free(certificate);
  BIO* bio = memory(identity.key_pem);
  EVP_PKEY* key = PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr);
  BIO_free(bio);
  REQUIRE(SSL_CTX_use_PrivateKey(context, key) == 1);
  EVP_PKEY_free(key);
}

int connect_to(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  REQUIRE(fd >= 0);
  const timeval patience{10, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    ::close(fd);
    return -1;
  }
  return fd;
}

}  // namespace

TlsClient::TlsClient(const TlsClientOptions& options) : state_(std::make_unique<State>()) {
  ::signal(SIGPIPE, SIG_IGN);
  state_->context = SSL_CTX_new(TLS_client_method());
  if (options.version == TlsClientOptions::Version::kAtMost12)
    SSL_CTX_set_max_proto_version(state_->context, TLS1_2_VERSION);
  X509* authority = certificate_of(options.authority_pem);
  X509_STORE_add_cert(SSL_CTX_get_cert_store(state_->context), authority);
  X509_free(authority);
  SSL_CTX_set_verify(state_->context, SSL_VERIFY_PEER, nullptr);
  if (options.identity) use_identity(state_->context, *options.identity);
  state_->socket = connect_to(options.port);
  if (state_->socket < 0) return;
  state_->ssl = SSL_new(state_->context);
  SSL_set_fd(state_->ssl, state_->socket);
  state_->connected = SSL_connect(state_->ssl) == 1;
  ERR_clear_error();
}

TlsClient::~TlsClient() = default;

bool TlsClient::connected() const {
  return state_->connected;
}

bool TlsClient::send(const std::string& bytes) {
  if (!state_->connected) return false;
  const int sent = SSL_write(state_->ssl, bytes.data(), static_cast<int>(bytes.size()));
  ERR_clear_error();
  return sent == static_cast<int>(bytes.size());
}

std::optional<HttpAnswer> TlsClient::receive(Body body) {
  std::string& in = state_->unread;
  const auto read_more = [&] {
    char buffer[16384];
    const int count = state_->connected ? SSL_read(state_->ssl, buffer, sizeof buffer) : 0;
    ERR_clear_error();
    if (count > 0) in.append(buffer, static_cast<std::size_t>(count));
    return count > 0;
  };
  while (in.find("\r\n\r\n") == std::string::npos)
    if (!read_more()) return std::nullopt;
  HttpAnswer answer;
  const std::size_t end = in.find("\r\n\r\n");
  answer.status = std::stoi(in.substr(9, 3));
  for (std::size_t at = in.find("\r\n") + 2; at < end + 2;) {
    const std::size_t line_end = in.find("\r\n", at);
    const std::size_t colon = in.find(": ", at);
    std::string name = in.substr(at, colon - at);
    std::transform(name.begin(), name.end(), name.begin(), ::tolower);
    answer.headers[name] = in.substr(colon + 2, line_end - colon - 2);
    at = line_end + 2;
  }
  in.erase(0, end + 4);
  const auto length = answer.headers.find("content-length");
  if (body == Body::kNone || length == answer.headers.end()) return answer;
  const std::size_t wanted = std::stoull(length->second);
  while (in.size() < wanted)
    if (!read_more()) return std::nullopt;
  answer.body = in.substr(0, wanted);
  in.erase(0, wanted);
  return answer;
}

std::optional<HttpAnswer> TlsClient::get(const std::string& target, const std::string& lines) {
  if (!send("GET " + target + " HTTP/1.1\r\nHost: localhost\r\n" + lines + "\r\n"))
    return std::nullopt;
  return receive();
}

bool TlsClient::closed_by_server() {
  if (!state_->connected) return true;
  char byte;
  const int count = SSL_read(state_->ssl, &byte, 1);
  const int error = SSL_get_error(state_->ssl, count);
  ERR_clear_error();
  if (count > 0) return false;
  return error == SSL_ERROR_ZERO_RETURN || error == SSL_ERROR_SSL ||
         (error == SSL_ERROR_SYSCALL && errno != EAGAIN);
}

void TlsClient::abandon() {
  const linger reset{1, 0};
  ::setsockopt(state_->socket, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  ::close(state_->socket);
  state_->socket = -1;
  state_->connected = false;
}

}  // namespace layby::tests
