#include "manifest/names.h"

#include <set>

#include "manifest/vin.h"
#include "tests/manifest/test_repository.h"

namespace layby::tests {
namespace {

using namespace manifest;

TEST_CASE("VINs") {
  CHECK(Vin::parse("WVWZZZ1JZXW000017"));
  for (const char* bad :
       {"", "WVWZZZ1JZXW00001", "WVWZZZ1JZXW0000177", "WVWZZZ1JZXW00001I", "OVWZZZ1JZXW000017",
        "WVQZZZ1JZXW000017", "wvwzzz1jzxw000017", "WVWZZZ1JZXW00001 ", "WVWZZZ1JZXW\0\0\0017"})
    CHECK(code_of(Vin::parse(bad)) == ErrorCode::kInvalidArgument);
}

TEST_CASE("the check digit is demanded where the market does") {
  // The example of 49 CFR 565 and one whose digit is X.
  CHECK(Vin::parse_for_market("11111111111111111", "US"));
  CHECK(Vin::parse_for_market("1M8GDM9AXKP042788", "US"));
  CHECK(Vin::parse_for_market("1M8GDM9AXKP042788", "CN"));
  CHECK_FALSE(Vin::parse_for_market("1M8GDM9A1KP042788", "US"));
  CHECK_FALSE(Vin::parse_for_market("1M8GDM9A1KP042788", "CA"));
  CHECK(Vin::parse_for_market("1M8GDM9A1KP042788", "DE"));
  CHECK_FALSE(Vin::parse_for_market("WVWZZZ1JZXW000017", "US"));
  CHECK(vin_check_digit(*Vin::parse("1M8GDM9A1KP042788")) == 'X');
}

TEST_CASE("plain names") {
  CHECK(FunctionId::parse("adaptive-cruise"));
  CHECK(RegionId::parse("DE"));
  CHECK(HardwareId::parse(std::string(64, 'a')));
  for (const std::string& bad :
       {std::string(), std::string(65, 'a'), std::string(".hidden"), std::string(".."),
        std::string("-x"), std::string("a/b"), std::string("a b"), std::string("a\0b", 3),
        std::string("\xc3\xbc")})
    CHECK(code_of(EcuSerial::parse(bad)) == ErrorCode::kInvalidArgument);
}

TEST_CASE("slots") {
  CHECK(must(Slot::parse("map.DE")) == Slot::map(*RegionId::parse("DE")));
  CHECK(must(Slot::parse("map.DE")).id() == "DE");
  CHECK(must(Slot::parse("function.a.b")).id() == "a.b");
  CHECK(must(Slot::parse("software")).id().empty());
  CHECK_FALSE(must(Slot::parse("software")).is_secondary());
  const Slot camera = must(Slot::parse("software.cam-2"));
  CHECK(camera == Slot::software(*HardwareId::parse("cam-2")));
  CHECK(camera.id() == "cam-2");
  CHECK(camera.is_secondary());
  CHECK(camera != Slot::software());
  for (const char* bad : {"", "map", "map.", "map./", "functions.x", "software.", "software./",
                          "softwares", "MAP.DE"})
    CHECK_FALSE(Slot::parse(bad));
}

TEST_CASE("images") {
  const ImageName map = must(ImageName::parse("maps/DE/1.1.61.tar"));
  CHECK(map.kind() == ImageKind::kMap);
  CHECK(map.owner() == "DE");
  CHECK(map.version() == "1.1.61");
  CHECK(map.slot().text() == "map.DE");
  const ImageName software = must(ImageName::parse("software/hu-4/20.19.6.img"));
  CHECK(software.owner() == "hu-4");
  CHECK(software.slot() == Slot::software());
  CHECK(must(ImageName::parse("functions/f/1.pkg")).slot().text() == "function.f");
  CHECK(software.may_go_to(Slot::software()));
  CHECK(software.may_go_to(must(Slot::parse("software.hu-4"))));
  for (const char* other : {"software.hu-5", "map.hu-4", "function.hu-4"})
    CHECK_FALSE(software.may_go_to(must(Slot::parse(other))));
  CHECK(map.may_go_to(must(Slot::parse("map.DE"))));
  CHECK_FALSE(map.may_go_to(must(Slot::parse("software.DE"))));
  for (const std::string& bad :
       {std::string("maps/DE/1.img"), std::string("maps/DE/.tar"), std::string("maps//1.tar"),
        std::string("maps/../1.tar"), std::string("maps/DE/../1.tar"),
        std::string("/maps/DE/1.tar"), std::string("maps/DE/a/1.tar"), std::string("maps/DE"),
        std::string("maps/DE/1.tar/"), std::string("etc/passwd"),
        std::string("maps/DE/1\0.tar", 13), std::string("maps/.tar"),
        "maps/DE/" + std::string(300, '1') + ".tar"}) {
    CAPTURE(bad);
    CHECK(code_of(ImageName::parse(bad)) == ErrorCode::kInvalidArgument);
  }
}

TEST_CASE("order ids sort by time and are their own") {
  const OrderId early = OrderId::generate(kNow);
  const OrderId late = OrderId::generate(kNow + 1);
  CHECK(early < late);
  CHECK(must(OrderId::parse(early.text())) == early);
  std::set<OrderId> ids;
  for (int i = 0; i < 1000; ++i) ids.insert(OrderId::generate(kNow));
  CHECK(ids.size() == 1000);
  const std::string good = early.text();
  for (const std::string& bad : {good.substr(1), good + "0", "ord_8" + good.substr(5),
                                 good.substr(0, 29) + "I", good.substr(0, 29) + "a", std::string()})
    CHECK_FALSE(OrderId::parse(bad));
}

TEST_CASE("delegated paths: wildcards stay within a segment") {
  const auto covers = [](std::string pattern, std::string_view name) {
    return Delegation{"r", {}, false, {std::move(pattern)}, {}}.covers(name);
  };
  CHECK(covers("maps/*/*.tar", "maps/DE/1.tar"));
  CHECK(covers("maps/D?/1.*", "maps/DE/1.tar"));
  CHECK(covers("*", "file"));
  CHECK(covers("a*b*c", "aXXbYYc"));
  CHECK_FALSE(covers("maps/*", "maps/DE/1.tar"));
  CHECK_FALSE(covers("*", "maps/DE"));
  CHECK_FALSE(covers("maps/?/x", "maps///x"));
  CHECK_FALSE(covers("Maps/*", "maps/x"));
  CHECK_FALSE(covers("maps/DE", "maps/DE/1"));
  CHECK_FALSE(covers("", "x"));
  CHECK(covers("?", "\xc3\xbc"));  // a character of two bytes
  CHECK_FALSE(covers("??", "\xc3\xbc"));
  CHECK(covers("a?b*",
               "a\xe2\x82\xac"
               "bc"));
  CHECK(covers("?", "\xff"));
  const std::string hash = to_hex(crypto::sha256(as_bytes("x")));
  CHECK(Delegation{"r", {}, false, {}, {hash.substr(0, 3)}}.covers("x"));
  CHECK_FALSE(Delegation{"r", {}, false, {}, {"zz"}}.covers("x"));
}

}  // namespace
}  // namespace layby::tests
