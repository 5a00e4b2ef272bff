#include "server/oidc/key_source.h"

#include <curl/curl.h>

#include <memory>

#include "server/oidc/jws.h"

namespace layby::server {
namespace {

constexpr long kTimeoutMs = 5'000;

struct Body {
  std::string text;
  bool too_long = false;
};

std::size_t take(char* data, std::size_t size, std::size_t count, void* user) {
  Body& body = *static_cast<Body*>(user);
  if (body.text.size() + size * count > kKeySetBytesMax) {
    body.too_long = true;
    return 0;
  }
  body.text.append(data, size * count);
  return size * count;
}

bool is_fetchable(const std::string& url) {
  return url.starts_with("https://") || url.starts_with("http://127.0.0.1:") ||
         url.starts_with("http://127.0.0.1/") || url.starts_with("http://[::1]:") ||
         url.starts_with("http://[::1]/");
}

Result<std::string> fetch(const std::string& url, const std::string& ca_file) {
  if (!is_fetchable(url))
    return fail(ErrorCode::kInvalidArgument, "{}: must begin with https://", url);
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> easy(curl_easy_init(),
                                                                 curl_easy_cleanup);
  if (!easy) return fail(ErrorCode::kInternal, "libcurl gives no handle");
  Body body;
  char why[CURL_ERROR_SIZE] = {};
  curl_easy_setopt(easy.get(), CURLOPT_ERRORBUFFER, why);
  curl_easy_setopt(easy.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(easy.get(), CURLOPT_PROTOCOLS_STR,
                   url.starts_with("https://") ? "https" : "http");
  curl_easy_setopt(easy.get(), CURLOPT_TIMEOUT_MS, kTimeoutMs);
  if (!ca_file.empty()) curl_easy_setopt(easy.get(), CURLOPT_CAINFO, ca_file.c_str());
  if (!url.starts_with("https://")) curl_easy_setopt(easy.get(), CURLOPT_PROXY, "");
  curl_easy_setopt(easy.get(), CURLOPT_WRITEFUNCTION, take);
  curl_easy_setopt(easy.get(), CURLOPT_WRITEDATA, &body);
  const CURLcode result = curl_easy_perform(easy.get());
  if (body.too_long)
    return fail(ErrorCode::kEndlessData, "{}: more than {} bytes", url, kKeySetBytesMax);
  if (result != CURLE_OK)
    return fail(ErrorCode::kUnavailable, "{}: {}", url,
                why[0] != '\0' ? why : curl_easy_strerror(result));
  long status = 0;
  curl_easy_getinfo(easy.get(), CURLINFO_RESPONSE_CODE, &status);
  if (status != 200) return fail(ErrorCode::kUnavailable, "{}: status {}", url, status);
  return std::move(body.text);
}

}  // namespace

FetchKeys keys_from_file(Disk& disk, std::string path) {
  return [&disk, path = std::move(path)]() -> Result<std::string> {
    const Bytes bytes = TRY(read_file(disk, path, kKeySetBytesMax));
    return std::string(as_text(bytes));
  };
}

FetchKeys keys_from_url(std::string url, std::string ca_file) {
  return [url = std::move(url), ca_file = std::move(ca_file)] { return fetch(url, ca_file); };
}

}  // namespace layby::server
