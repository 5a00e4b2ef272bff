// Messages of VISS version 2, against the examples of the specification.
#include "agent/viss_message.h"

#include <catch2/catch.hpp>

#include "agent/facts.h"
#include "agent/viss_signals.h"

using namespace layby;
using namespace layby::agent;

namespace {

VissAnswer read(std::string_view text) {
  const auto answer = read_viss_answer(text);
  INFO(text);
  REQUIRE(answer.has_value());
  return *answer;
}

}  // namespace

TEST_CASE("answers of the specification's examples are read (VISSv2 TRANSPORT, Secure WebSocket)") {
  const VissAnswer value =
      read(R"({"action":"get","requestId":"8756","data":{"path":"Vehicle.Speed",)"
           R"("dp":{"value":"2372","ts":"2020-04-15T13:37:00Z"}}})");
  CHECK(value.action == VissAction::kGet);
  CHECK(value.request_id == "8756");
  REQUIRE(value.points.size() == 1);
  CHECK(value.points[0] == VissPoint{"Vehicle.Speed", "2372", 1'586'957'820'000});
  CHECK(!value.error);

  const VissAnswer error =
      read(R"({"action":"get","requestId":"8756","error":{"number":404,"reason":"invalid_path",)"
           R"("message":"The specified data path does not exist."},"ts":"2020-04-15T13:37:00Z"})");
  CHECK(error.error->text() == "404 invalid_path: The specified data path does not exist.");
  CHECK(error.at_ms == 1'586'957'820'000);

  const VissAnswer subscribed =
      read(R"({"action":"subscribe","subscriptionId":"12345","requestId":"6578",)"
           R"("ts":"2020-04-15T13:37:00Z"})");
  CHECK(subscribed.subscription_id == "12345");

  const VissAnswer event = read(
      R"({"action":"subscription","subscriptionId":"12345","data":[{"path":"A.B","dp":[)"
      R"({"value":"50","ts":"2020-04-15T13:38:00.25Z"},{"value":25,"ts":"2020-04-15T13:39:30Z"}]},)"
      R"({"path":"A.C","dp":{"value":true,"ts":"2020-04-15T13:38:00Z"}}],)"
      R"("ts":"2020-04-15T13:40:00Z"})");
  REQUIRE(event.points.size() == 3);
  CHECK(event.points[0] == VissPoint{"A.B", "50", 1'586'957'880'250});
  CHECK(event.points[1].value == "25");
  CHECK(event.points[2] == VissPoint{"A.C", "true", 1'586'957'880'000});
}

TEST_CASE("a value that is an array or a structure is no value of ours") {
  CHECK(read(R"({"action":"get","requestId":"1","data":{"path":"A.B",)"
             R"("dp":{"value":["2","3"],"ts":"2020-04-15T13:37:00Z"}}})")
            .points.empty());
}

TEST_CASE("what is no VISS is refused") {
  for (const std::string_view text : {"", "[]", "{}", "null", R"({"action":"dance"})",
                                      R"({"action":"get")", R"({"action":"get","action":"get"})"}) {
    INFO(text);
    CHECK(!read_viss_answer(text));
  }
}

TEST_CASE("one odd data point says nothing about the others") {
  const auto values = [](const std::string& dp) {
    const auto answer =
        read_viss_answer(R"({"action":"get","requestId":"1","data":[{"path":"A/B","dp":)" + dp +
                         R"(},{"path":"C","dp":{"value":"2","ts":"1970-01-01T00:00:01Z"}}]})");
    REQUIRE(answer.has_value());
    REQUIRE(!answer->points.empty());
    CHECK(answer->points.back() == VissPoint{"C", "2", 1000});
    return answer->points.size() == 1 ? "-"
                                      : answer->points[0].path + "=" + answer->points[0].value;
  };
  const std::string at = R"(,"ts":"1970-01-01T00:00:01Z"})";
  CHECK(values(R"({"value":12.6)" + at) == "A.B=12.6");
  CHECK(values(R"({"value":12.600000381469727)" + at) == "A.B=12.600000381469727");
  CHECK(values(R"({"value":-5)" + at) == "A.B=-5");
  CHECK(values(R"({"value":true)" + at) == "A.B=true");
  CHECK(values(R"({"value":"1","ts":"1970-01-01T00:00:01.123456789012Z"})") == "A.B=1");
  for (const std::string& odd :
       {R"({"value":null)" + at, R"({"value":[1])" + at, std::string("{}"), std::string("7"),
        std::string(R"({"value":"1"})"), std::string(R"({"value":"1","ts":null})"),
        std::string(R"({"value":"1","ts":"0000-00-00T00:00:00Z"})"),
        std::string(R"({"value":"1","ts":"1970-01-01T00:00:01+01:00"})")}) {
    INFO(odd);
    CHECK(values(odd) == "-");
  }
  const auto error = read_viss_answer(R"({"action":"get","ts":7,"error":{"reason":"no number"}})");
  REQUIRE(error.has_value());
  CHECK(error->error->number == 0);
  CHECK(!error->at_ms);
}

TEST_CASE("requests are spelled as the specification has them") {
  CHECK(encode(VissRequest{.action = VissAction::kGet, .request_id = "8756", .path = "A.B"}) ==
        R"({"action":"get","path":"A.B","requestId":"8756"})");
  CHECK(encode(VissRequest{.action = VissAction::kSet,
                           .request_id = "5687",
                           .path = "A.Mode",
                           .value = "sport",
                           .authorization = "token"}) ==
        R"({"action":"set","authorization":"token","path":"A.Mode","requestId":"5687",)"
        R"("value":"sport"})");
  CHECK(
      encode(VissRequest{
          .action = VissAction::kUnsubscribe, .request_id = "5786", .subscription_id = "12345"}) ==
      R"({"action":"unsubscribe","requestId":"5786","subscriptionId":"12345"})");
  const auto filter = [](VissFilter which, std::vector<std::string> paths = {}) {
    const std::string text = encode(VissRequest{.action = VissAction::kSubscribe,
                                                .request_id = "1",
                                                .path = "A",
                                                .paths = std::move(paths),
                                                .filter = std::move(which)});
    const std::size_t begin = text.find("\"filter\":") + 9;
    return text.substr(begin, text.find(",\"path\":") - begin);
  };
  CHECK(filter(VissTimebased{500}) == R"({"parameter":{"period":"500"},"type":"timebased"})");
  CHECK(filter(VissChange{VissRelation::kGreater, "10"}) ==
        R"({"parameter":{"diff":"10","logic-op":"gt"},"type":"change"})");
  CHECK(filter(VissRange{{VissRelation::kLess, "50"},
                         VissBoundary{VissRelation::kGreater, "55"},
                         VissRange::Combine::kOr}) ==
        R"({"parameter":[{"boundary":"50","boundary-op":"lt","combination-op":"OR"},)"
        R"({"boundary":"55","boundary-op":"gt"}],"type":"range"})");
  CHECK(filter(VissCurvelog{"0.5", 100}) ==
        R"({"parameter":{"bufsize":"100","maxerr":"0.5"},"type":"curvelog"})");
  CHECK(filter(VissTimebased{500}, {"B", "*.C"}) ==
        R"([{"parameter":["B","*.C"],"type":"paths"},)"
        R"({"parameter":{"period":"500"},"type":"timebased"}])");
}

TEST_CASE("a request that is read again is the same") {
  const std::vector<VissFilter> filters = {
      VissTimebased{1}, VissChange{VissRelation::kAtMost, "-0.5"},
      VissRange{{VissRelation::kAtLeast, "49"}},
      VissRange{{VissRelation::kNotEqual, "1"}, VissBoundary{VissRelation::kEqual, "2"}},
      VissCurvelog{"2", 15}};
  for (const VissFilter& filter : filters) {
    const VissRequest request{.action = VissAction::kSubscribe,
                              .request_id = "6578",
                              .path = "Vehicle.Cabin",
                              .paths = {"Door.*.*.IsOpen", "DriverPosition"},
                              .filter = filter,
                              .authorization = "a.b.c"};
    const auto again = read_viss_request(encode(request));
    REQUIRE(again.has_value());
    CHECK(*again == request);
  }
  CHECK(!read_viss_request(R"({"action":"subscribe","path":"A","requestId":"1",)"
                           R"("filter":{"type":"timebased","parameter":{"period":"0"}}})"));
  CHECK(!read_viss_request(R"({"action":"get","path":"A","requestId":"1",)"
                           R"("filter":{"type":"timebased","parameter":{"period":"5"}}})"));
  for (const VissFilter& filter :
       {VissFilter(VissHistory{"PT5S"}), VissFilter(VissMetadata{VissMetadata::Kind::kStatic}),
        VissFilter(VissMetadata{VissMetadata::Kind::kDynamic, {"samplerate"}}),
        VissFilter(VissMetadata{VissMetadata::Kind::kStatic, {"type", "unit"}})}) {
    const VissRequest request{.action = VissAction::kGet,
                              .request_id = "1",
                              .path = "Vehicle",
                              .paths = {"Speed"},
                              .filter = filter};
    const auto again = read_viss_request(encode(request));
    REQUIRE(again.has_value());
    CHECK(*again == request);
  }
  CHECK(viss_answer_to(R"({"action":"dance","requestId":"7"})").request_id == "7");
  CHECK(viss_answer_to("[").request_id == "");
}

TEST_CASE("times have seconds, and parts of them where somebody wants") {
  CHECK(parse_viss_time("1970-01-01T00:00:01Z") == 1000);
  CHECK(parse_viss_time("1970-01-01T00:00:01.5Z") == 1500);
  CHECK(parse_viss_time("1970-01-01T00:00:01.123456Z") == 1123);
  CHECK(format_viss_time(1123) == "1970-01-01T00:00:01.123Z");
  CHECK(format_viss_time(-1) == "1969-12-31T23:59:59.999Z");
  for (const std::string_view text : {"", "1970-01-01", "1970-01-01T00:00:01.Z",
                                      "1970-01-01T00:00:01.12x4Z", "1970-01-01T00:00:01+00:00"})
    CHECK(!parse_viss_time(text));
}

TEST_CASE("values are read in the car's units and words") {
  VissSignal voltage{.name = "V", .paths = {"V"}, .factor = unit_factor("mV").value()};
  CHECK(translate(voltage, "12600") == "12.6");
  CHECK(translate(voltage, "12.6.1") == "12.6.1");
  CHECK(translate(voltage, "nan") == "nan");
  VissSignal charge{.name = "S", .paths = {"S"}, .factor = unit_factor("ratio").value()};
  CHECK(translate(charge, "0.805") == "80.5");
  CHECK(translate({.name = "G", .paths = {"G"}, .values = {{"PARK", "126"}}}, "PARK") == "126");
  CHECK(!unit_factor("furlong"));
  std::size_t doors = 0;
  for (const VissSignal& signal : default_viss_signals())
    doors += signal.name.starts_with(vss::kDoorPrefix) ? 1 : 0;
  CHECK(doors == 8);
}
