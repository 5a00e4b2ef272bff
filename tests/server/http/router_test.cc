#include "server/http/router.h"

#include <catch2/catch.hpp>

#include "server/http/problem.h"

using namespace layby;
using server::Method;
using server::Request;
using server::Response;
using server::Router;

namespace {

server::Handler answers(std::string text) {
  return [text = std::move(text)](const Request& request) {
    Response response;
    std::string body = text;
    for (const auto& [name, value] : request.path_values) body += " " + name + "=" + value;
    response.body = body;
    return response;
  };
}

std::string body_of(const Response& response) {
  return std::get<std::string>(response.body);
}

Response ask(const Router& router, Method method, const std::string& target,
             const std::string& body = "") {
  Request request;
  request.method = method;
  REQUIRE(server::parse_target(target, request));
  request.body = body;
  return router.handle(std::move(request));
}

}  // namespace

TEST_CASE("router: literals before values before the rest, whatever the order of adding") {
  Router router;
  router.add({Method::kGet, "/v1/files/{path...}", answers("rest")});
  router.add({Method::kGet, "/v1/orders/{id}", answers("one")});
  router.add({Method::kGet, "/v1/orders/open", answers("open")});
  router.add({Method::kGet, "/v1/orders/{id}/events/{n}", answers("event")});
  router.add({Method::kPost, "/v1/orders", answers("post")});
  CHECK(body_of(ask(router, Method::kGet, "/v1/orders/open")) == "open");
  CHECK(body_of(ask(router, Method::kGet, "/v1/orders/o%41")) == "one id=oA");
  CHECK(body_of(ask(router, Method::kGet, "/v1/orders/o/events/7?x=1")) == "event id=o n=7");
  CHECK(body_of(ask(router, Method::kGet, "/v1/files/a/b/c.txt")) == "rest path=a/b/c.txt");
  CHECK(body_of(ask(router, Method::kHead, "/v1/orders/open")) == "open");
  CHECK(body_of(ask(router, Method::kPost, "https://ota.example:8443/v1/orders")) == "post");
  for (const char* absent : {"/v1/orders/", "/v1/orders/o/", "/v1/files/", "/v1", "/", "/v1/x",
                             "/v1/orders/o/events", "//v1/orders/open"})
    CHECK(ask(router, Method::kGet, absent).status == 404);
}

TEST_CASE("router: 405 names what is allowed, 413 the limit") {
  Router router;
  router.add({Method::kGet, "/a/{x}", answers("get")});
  router.add(
      {.method = Method::kPut, .path = "/a/{y}", .handler = answers("put"), .body_bytes_max = 3});
  const Response refused = ask(router, Method::kDelete, "/a/1");
  CHECK(refused.status == 405);
  CHECK(refused.headers.at("Allow") == "GET, HEAD, PUT");
  CHECK(refused.headers.at("Content-Type") == "application/problem+json");
  CHECK(ask(router, Method::kPut, "/a/1", "abc").status == 200);
  const Response large = ask(router, Method::kPut, "/a/1", "abcd");
  CHECK(large.status == 413);
  CHECK_THAT(body_of(large), Catch::Contains("3 bytes"));
}

TEST_CASE("router: admit is asked before the handler; an exception becomes a silent 500") {
  Router router;
  int handled = 0;
  router.add({.method = Method::kPut,
              .path = "/guarded",
              .handler =
                  [&](const Request&) {
                    ++handled;
                    return Response{};
                  },
              .admit = [](const Request& request) -> std::optional<Response> {
                if (request.header("authorization") == "yes") return std::nullopt;
                return server::problem(401, "unauthenticated", "");
              }});
  router.add({Method::kGet, "/throws",
              [](const Request&) -> Response { throw std::runtime_error("secret path"); }});
  CHECK(ask(router, Method::kPut, "/guarded").status == 401);
  CHECK(handled == 0);
  Request request;
  request.method = Method::kPut;
  request.path = "/guarded";
  request.headers["authorization"] = "yes";
  CHECK(router.handle(request).status == 200);
  CHECK(handled == 1);
  const Response thrown = ask(router, Method::kGet, "/throws");
  CHECK(thrown.status == 500);
  CHECK_THAT(body_of(thrown), !Catch::Contains("secret"));
  CHECK_THAT(thrown.diagnosis, Catch::Contains("secret path"));
}

TEST_CASE("request target: decoded once, traps refused") {
  Request request;
  REQUIRE(server::parse_target("/a%20b/%C3%BC?x=1%2B1&y=a+b&x=2&flag&=no&&z==", request));
  CHECK(request.path == "/a b/\xc3\xbc");
  CHECK(request.query ==
        std::map<std::string, std::string>{{"x", "2"}, {"y", "a b"}, {"flag", ""}, {"z", "="}});
  for (const char* bad : {"", "a/b", "*", "/%", "/%4", "/%zz", "/a%00b", "/a%2fb", "/a/../b",
                          "/%2e%2e/b", "/.", "/a/..", "/a?x=%0", "/a?x=%00", "https://host"}) {
    INFO(bad);
    CHECK_FALSE(server::parse_target(bad, request));
  }
}

TEST_CASE("problem: JSON that survives any detail, and hides what is internal") {
  const Response told = server::problem(422, "does-not-fit", "say \"no\"\n\x01 \xc3\xbc \xff\xc3",
                                        {{"model", "wants A"}, {"year", "from 2025"}});
  CHECK(body_of(told) ==
        "{\"type\":\"about:blank\",\"title\":\"Unprocessable Content\",\"status\":422,"
        "\"code\":\"does-not-fit\",\"detail\":\"say \\\"no\\\"\\u000a\\u0001 \xc3\xbc "
        "\\ufffd\\ufffd\",\"reasons\":[{\"rule\":\"model\",\"text\":\"wants A\"},"
        "{\"rule\":\"year\",\"text\":\"from 2025\"}]}");
  const Response hidden = server::problem(Error(ErrorCode::kIo, "reading /secret: no"));
  CHECK(hidden.status == 500);
  CHECK_THAT(body_of(hidden), !Catch::Contains("secret"));
  CHECK_THAT(hidden.diagnosis, Catch::Contains("/secret"));
  const Response conflict = server::problem(Error(ErrorCode::kConflict, "too late"));
  CHECK(conflict.status == 409);
  CHECK_THAT(body_of(conflict), Catch::Contains("too late"));
  CHECK(server::problem(Error(ErrorCode::kUnavailable, "busy")).headers.count("Retry-After") == 1);
  CHECK(server::problem(Error(ErrorCode::kUnauthenticated, "")).headers.at("WWW-Authenticate") ==
        "Bearer");
}
