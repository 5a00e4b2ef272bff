// The server's side of TLS: what is offered, and who is believed. For https_server.cc only.
#pragma once

#include <openssl/ssl.h>

#include <optional>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "server/http/message.h"

namespace layby::server {

struct TlsFiles {
  std::string certificate_chain_pem;
  std::string private_key_pem;
  std::string client_authority_pem;
};

// TLS 1.3 only, our certificate, client certificates asked for but not demanded.
Result<void> configure_tls(SSL_CTX* context, const TlsFiles& files);

// Certificates of clients are judged at this time instead of the machine's.
void verify_at(SSL* connection, UnixSeconds now);

// The verified certificate of the other side; nothing if it has shown none. After the handshake.
std::optional<PeerCertificate> peer_certificate(const SSL* connection);

}  // namespace layby::server
