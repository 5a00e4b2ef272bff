// The checks of a primary with full verification, one test each (P1.3, P5.1).
#include "manifest/director.h"

#include "manifest/ecu_image.h"
#include "manifest/json_value.h"
#include "tests/manifest/delegating.h"

namespace layby::tests {
namespace {

using namespace manifest;

const Vin kVin = *Vin::parse("WVWZZZ1JZXW000017");
const EcuSerial kEcu = *EcuSerial::parse("HU-000017");
const HardwareId kHardware = *HardwareId::parse("hu-4");

ImageEntry entry_of(std::string_view name, std::uint64_t counter = 1) {
  const ImageName parsed = must(ImageName::parse(name));
  const auto digest = crypto::sha256(as_bytes(name));
  ImageEntry entry{.name = parsed,
                   .length = 1000,
                   .sha256 = digest,
                   .sha512 = crypto::sha512(as_bytes(name)),
                   .hardware_ids = {kHardware},
                   .facts = {.kind = parsed.kind(),
                             .slot = parsed.slot(),
                             .version = std::string(parsed.version()),
                             .release_counter = counter,
                             .duration_seconds = 120,
                             .battery_percent_min = 40,
                             .conditions = {},
                             .licence_key = std::nullopt},
                   .must_match = {}};
  if (parsed.kind() == ImageKind::kFunction)
    entry.facts.licence_key = PublicKey::from_ed25519(new_key()->public_key());
  return entry;
}

// Both repositories and a car, in agreement until a test changes something.
struct Fleet {
  Delegating images;
  TestRepository& image = images.repository;
  TestRepository director;
  DirectorContent content{.version = 1, .expires = kLater, .vin = kVin, .orders = {}, .images = {}};
  CarFacts car{.vin = kVin, .ecus = {{kEcu, kHardware}}, .release_counters = {}};
  std::optional<TrustedRepository> image_client;
  std::optional<TrustedRepository> director_client;

  explicit Fleet(const std::vector<ImageEntry>& entries = {entry_of("maps/DE/2.tar", 2)}) {
    for (const ImageEntry& entry : entries) add(entry);
  }

  void add(const ImageEntry& entry) {
    const std::string& name = entry.name.text();
    image.targets.targets[name] = make_image_target(entry);
    Payload payload{.base = std::nullopt,
                    .sha256 = crypto::sha256(as_bytes("payload")),
                    .length = 900,
                    .head_sha256 = crypto::sha256(as_bytes("head")),
                    .head_length = 80};
    Payload delta = payload;
    delta.base = crypto::sha256(as_bytes("old"));
    delta.needs = {{"zstd", "1.5.4"}};
    content.images.push_back(
        {name, image.targets.targets[name], {{kEcu, kHardware}}, {delta, payload}});
    content.orders.push_back({OrderId::generate(kNow), OrderAction::kInstall, {name}, {}});
  }

  Targets& director_targets() {
    director.targets = make_director_targets(content);
    return director.targets;
  }

  // Publishes `targets` of the Director as they stand, and refreshes.
  Result<void> refresh() {
    images.publish();
    director.release();
    image_client = image.client();
    director_client = director.client();
    TRY_VOID(image.refresh(*image_client));
    return director.refresh(*director_client);
  }

  // The same, searches and verifies.
  Result<VerifiedPlan> verify() {
    TRY_VOID(refresh());
    for (const AssignedTarget& at : TRY(assigned_targets(*director_client, car)))
      TRY(images.search(*image_client, at.name, nullptr, at.hardware));
    return verify_plan(*director_client, *image_client, car, kNow);
  }
};

// Changes one thing in the custom part of a Director's target.
template <typename Change>
void change_custom(Target& target, Change change) {
  Json custom = must(parse_strict(as_bytes(target.custom), {.bytes_max = kMiB}));
  change(custom);
  target.custom = must(to_wire(custom));
}

TEST_CASE("a plan says what both repositories say") {
  Fleet fleet({entry_of("maps/DE/2.tar", 2), entry_of("functions/adaptive-cruise/1.pkg"),
               entry_of("software/hu-4/20.19.6.img")});
  fleet.content.orders[1].licence = to_bytes("sealed");
  const OrderId revoked = OrderId::generate(kNow);
  fleet.content.orders.push_back({revoked, OrderAction::kDeactivate, {}, to_bytes("revoking")});
  fleet.director_targets();
  const VerifiedPlan plan = must(fleet.verify());
  REQUIRE(plan.orders().size() == 4);
  CHECK(plan.director_version() == 2);
  const PlannedOrder& map = plan.orders()[0];
  CHECK(map.id == fleet.content.orders[0].id);
  CHECK(map.action == OrderAction::kInstall);
  CHECK_FALSE(map.refusal);
  REQUIRE(map.images.size() == 1);
  CHECK(map.images[0].entry.name.text() == "maps/DE/2.tar");
  CHECK(map.images[0].entry.facts.slot == Slot::map(*RegionId::parse("DE")));
  CHECK(map.images[0].entry.facts.release_counter == 2);
  CHECK(map.images[0].entry.sha256 == crypto::sha256(as_bytes("maps/DE/2.tar")));
  CHECK(map.images[0].ecus == std::vector<EcuSerial>{kEcu});
  CHECK(map.images[0].payloads == fleet.content.images[0].payloads);
  CHECK(plan.orders()[1].licence == to_bytes("sealed"));
  CHECK(plan.orders()[1].images[0].entry.facts.licence_key);
  CHECK(plan.orders()[3].action == OrderAction::kDeactivate);
  CHECK(plan.orders()[3].licence == to_bytes("revoking"));
}

TEST_CASE("a Director that names nothing needs no Image repository") {
  Fleet fleet(std::vector<ImageEntry>{});
  fleet.director_targets();
  CHECK(must(fleet.verify()).orders().empty());
  // Not refreshed at all.
  CHECK(verify_plan(*fleet.director_client, fleet.image.client(), fleet.car, kNow));
  CHECK(code_of(verify_plan(fleet.director.client(), *fleet.image_client, fleet.car, kNow)) ==
        ErrorCode::kUnavailable);
}

TEST_CASE("wrong vehicle: another car's targets, also empty ones, or targets for no car") {
  Fleet fleet(std::vector<ImageEntry>{});
  fleet.content.vin = must(Vin::parse("WVWZZZ1JZXW000018"));
  fleet.director_targets();
  SECTION("another car") {}
  SECTION("no car") {
    fleet.director.targets.custom.clear();
  }
  CHECK(code_of(fleet.verify()) == ErrorCode::kWrongVehicle);
}

TEST_CASE("wrong ECU") {
  Fleet fleet;
  auto& ecus = fleet.content.images[0].ecus;
  SECTION("of another vehicle") {
    ecus = {{*EcuSerial::parse("HU-000018"), kHardware}};
  }
  SECTION("one of ours and one of another vehicle") {
    ecus.emplace(*EcuSerial::parse("HU-000018"), kHardware);
  }
  SECTION("with other hardware than the Director says") {
    ecus = {{kEcu, *HardwareId::parse("hu-5")}};
  }
  SECTION("with hardware for which the image was not made") {
    fleet.car.ecus.insert_or_assign(kEcu, *HardwareId::parse("hu-5"));
    ecus = {{kEcu, *HardwareId::parse("hu-5")}};
  }
  fleet.director_targets();
  CHECK(code_of(fleet.verify()) == ErrorCode::kWrongEcu);
}

TEST_CASE("wrong ECU: two images for one slot of one ECU") {
  Fleet fleet({entry_of("maps/DE/2.tar", 2), entry_of("maps/DE/3.tar", 3)});
  fleet.director_targets();
  CHECK(code_of(fleet.verify()) == ErrorCode::kWrongEcu);
}

// A car with a primary, two cameras of one kind and a radar; a set that is ordered at once.
struct Secondaries : Fleet {
  const EcuSerial left = *EcuSerial::parse("CAM-1");
  const EcuSerial right = *EcuSerial::parse("CAM-2");
  const EcuSerial radar = *EcuSerial::parse("RAD-1");
  const HardwareId camera_hardware = *HardwareId::parse("cam-2");
  const HardwareId radar_hardware = *HardwareId::parse("rad-1");

  Secondaries() : Fleet(std::vector<ImageEntry>{}) {
    car.primary = kEcu;
    car.ecus = {{kEcu, kHardware},
                {left, camera_hardware},
                {right, camera_hardware},
                {radar, radar_hardware}};
    add(secondary_entry("software/cam-2/5.img", 5));
    add(secondary_entry("software/rad-1/7.img", 7));
    content.images[0].ecus = {{left, camera_hardware}, {right, camera_hardware}};
    content.images[1].ecus = {{radar, radar_hardware}};
    content.orders[0].images.push_back(content.orders[1].images.front());
    content.orders.pop_back();
  }

  static ImageEntry secondary_entry(std::string_view name, std::uint64_t counter) {
    ImageEntry entry = entry_of(name, counter);
    const HardwareId hardware = *HardwareId::parse(entry.name.owner());
    entry.hardware_ids = {hardware};
    entry.facts.slot = Slot::software(hardware);
    return entry;
  }
};

TEST_CASE("a set of images for several ECUs is one order") {
  Secondaries fleet;
  fleet.car.release_counters = {{Slot::software(), 99},
                                {Slot::software(fleet.camera_hardware), 5},
                                {Slot::software(fleet.radar_hardware), 6}};
  fleet.director_targets();
  const VerifiedPlan plan = must(fleet.verify());
  REQUIRE(plan.orders().size() == 1);
  const PlannedOrder& set = plan.orders()[0];
  REQUIRE(set.images.size() == 2);
  CHECK(set.images[0].entry.facts.slot == Slot::software(fleet.camera_hardware));
  CHECK(set.images[0].ecus == std::vector<EcuSerial>{fleet.left, fleet.right});
  CHECK(set.images[1].entry.facts.slot == Slot::software(fleet.radar_hardware));
  CHECK(set.images[1].ecus == std::vector<EcuSerial>{fleet.radar});
}

TEST_CASE("image rollback: each ECU's software has a release counter of its own") {
  Secondaries fleet;
  fleet.car.release_counters[Slot::software(fleet.camera_hardware)] = 6;
  fleet.director_targets();
  CHECK(code_of(fleet.verify()) == ErrorCode::kImageRollback);
}

TEST_CASE("wrong ECU: software in a slot that is not the ECU's") {
  Secondaries fleet;
  SECTION("the camera's image for the radar") {
    fleet.content.images[0].ecus = {{fleet.radar, fleet.radar_hardware}};
    fleet.content.images[1].ecus = {{fleet.left, fleet.camera_hardware}};
  }
  SECTION("the radar said to be a camera") {
    fleet.content.images[0].ecus.emplace(fleet.radar, fleet.camera_hardware);
  }
  SECTION("a secondary's slot for the primary, though its hardware is the same") {
    fleet.car.ecus.insert_or_assign(kEcu, fleet.camera_hardware);
    fleet.content.images[0].ecus = {{kEcu, fleet.camera_hardware}};
  }
  SECTION("the primary's slot for a secondary, though its hardware is the same") {
    fleet.car.ecus.insert_or_assign(fleet.left, kHardware);
    fleet.add(entry_of("software/hu-4/9.img", 9));
    fleet.content.images[0].ecus.erase(fleet.left);
    fleet.content.images[2].ecus = {{fleet.left, kHardware}};
  }
  SECTION("another car's camera") {
    fleet.content.images[0].ecus = {{*EcuSerial::parse("CAM-9"), fleet.camera_hardware}};
  }
  fleet.director_targets();
  CHECK(code_of(fleet.verify()) == ErrorCode::kWrongEcu);
}

TEST_CASE("a secondary's slot is that of the hardware in the name, and of no other") {
  const ImageEntry entry = Secondaries::secondary_entry("software/cam-2/5.img", 5);
  const Target good = make_image_target(entry);
  CHECK(must(read_image_entry("software/cam-2/5.img", good)).facts.slot == entry.facts.slot);
  const auto changed = [&](auto change) {
    Target target = good;
    change_custom(target, change);
    return code_of(read_image_entry("software/cam-2/5.img", target));
  };
  CHECK(changed([](Json& c) { c["mustMatch"]["slot"] = "software"; }) == std::nullopt);
  CHECK(changed([](Json& c) { c["mustMatch"]["slot"] = "software.rad-1"; }) ==
        ErrorCode::kBadFormat);
  CHECK(changed([](Json& c) { c["hardwareIds"] = {"cam-2", "rad-1"}; }) == ErrorCode::kBadFormat);
  CHECK(changed([](Json& c) { c["hardwareIds"] = {"rad-1"}; }) == ErrorCode::kBadFormat);
}

TEST_CASE("wrong ECU: maps and functions are the primary's, whoever has the same hardware") {
  for (const char* name : {"maps/DE/2.tar", "functions/cruise/2.pkg"}) {
    INFO(name);
    Fleet fleet({entry_of(name, 2)});
    const EcuSerial second = *EcuSerial::parse("HU-2");
    fleet.car.primary = kEcu;
    fleet.car.ecus.emplace(second, kHardware);
    fleet.director_targets();
    CHECK(must(fleet.verify()).orders().size() == 1);
    fleet.content.images[0].ecus = {{kEcu, kHardware}, {second, kHardware}};
    fleet.director_targets();
    CHECK(code_of(fleet.verify()) == ErrorCode::kWrongEcu);
    fleet.content.images[0].ecus = {{second, kHardware}};
    fleet.director_targets();
    CHECK(code_of(fleet.verify()) == ErrorCode::kWrongEcu);
  }
}

TEST_CASE("Director and Image repository disagree") {
  Fleet fleet;
  const std::string name = "maps/DE/2.tar";
  Target& target = fleet.director_targets().targets[name];
  SECTION("the Image repository lacks the image") {
    fleet.image.targets.targets.erase(name);
  }
  SECTION("length") {
    target.length += 1;
  }
  SECTION("sha256") {
    target.hashes.sha256->at(0) ^= 1;
  }
  SECTION("sha512") {
    target.hashes.sha512->at(0) ^= 1;
  }
  SECTION("a hash left out") {
    target.hashes.sha512.reset();
  }
  SECTION("release counter") {
    change_custom(target, [](Json& custom) { custom["mustMatch"]["releaseCounter"] = 9; });
  }
  SECTION("battery") {
    change_custom(target, [](Json& custom) { custom["mustMatch"]["batteryPercentMin"] = 0; });
  }
  SECTION("conditions") {
    change_custom(target, [](Json& custom) { custom["mustMatch"]["conditions"] = {"x"}; });
  }
  SECTION("an unknown field in mustMatch") {
    change_custom(target, [](Json& custom) { custom["mustMatch"]["new"] = 1; });
  }
  CHECK(code_of(fleet.verify()) == ErrorCode::kRepositoriesDisagree);
}

// The cameras' software comes from a supplier: only its role names it.
struct Supplied : Secondaries {
  const std::string name = "software/cam-2/5.img";
  Target target = image.targets.targets.at(name);

  Supplied() { image.targets.targets.erase(name); }

  void delegate(const std::string& paths, const std::vector<HardwareId>& hardware) {
    images.delegate(image.targets, "supplier", paths, Delegating::Terminating::kNo, hardware);
    images.roles["supplier"].targets[name] = target;
    director_targets();
  }

  // What a camera says to the same, with a search of its own.
  std::optional<ErrorCode> verified_by_camera() {
    const EcuFacts camera{.vin = kVin, .serial = left, .hardware = camera_hardware};
    const auto own = must(own_image_name(**director_client->targets(), kVin, left));
    REQUIRE(own == name);
    must(images.search(*image_client, *own, nullptr, camera.hardware));
    return code_of(verify_ecu_image(*director_client->targets(), &*image_client, camera));
  }
};

TEST_CASE(
    "Uptane 5.4.4.7: an image of a supplier counts within its paths and its hardware (P5.1)") {
  Supplied fleet;
  std::string reason;
  SECTION("both fit") {
    fleet.delegate("software/cam-?/*", {fleet.camera_hardware});
  }
  SECTION("the path fits, for any hardware") {
    fleet.delegate("software/cam-?/*", {});
  }
  SECTION("outside its path") {
    fleet.delegate("software/rad-1/*", {fleet.camera_hardware});
    reason = "it is not among its targets, and its path is delegated to nobody";
  }
  SECTION("for other hardware") {
    fleet.delegate("software/cam-?/*", {fleet.radar_hardware});
    reason = "its path is delegated, but for other hardware";
  }
  SECTION("it does not have it") {
    fleet.delegate("software/cam-?/*", {fleet.camera_hardware});
    fleet.images.roles["supplier"].targets.clear();
    reason = "neither its targets nor the roles that may speak of it have it";
  }
  SECTION("revoked: the delegation is gone, the role is published all the same") {
    fleet.delegate("software/cam-?/*", {fleet.camera_hardware});
    fleet.image.targets.delegations.reset();
    reason = "it is not among its targets, and nobody else may speak";
  }
  const auto plan = fleet.verify();
  if (reason.empty()) {
    CHECK(must(plan).orders()[0].images[0].entry.name.text() == fleet.name);
    CHECK(fleet.verified_by_camera() == std::nullopt);
    return;
  }
  CHECK(code_of(plan) == ErrorCode::kRepositoriesDisagree);
  CHECK(plan.error().message() ==
        fleet.name + ": the Image repository does not have it for the hardware cam-2: " + reason);
  CHECK(fleet.verified_by_camera() == ErrorCode::kRepositoriesDisagree);
}

TEST_CASE(
    "nothing of a delegated role counts that was not searched for, for that hardware (P5.1)") {
  Supplied fleet;
  fleet.delegate("software/cam-?/*", {});
  must(fleet.refresh());
  const auto verified = [&] {
    return code_of(verify_plan(*fleet.director_client, *fleet.image_client, fleet.car, kNow));
  };
  CHECK(verified() == ErrorCode::kRepositoriesDisagree);
  REQUIRE(must(fleet.images.search(*fleet.image_client, fleet.name)) != nullptr);
  CHECK(verified() == ErrorCode::kRepositoriesDisagree);
  REQUIRE(must(fleet.images.search(*fleet.image_client, fleet.name, nullptr,
                                   fleet.radar_hardware)) != nullptr);
  CHECK(verified() == ErrorCode::kRepositoriesDisagree);
  must(fleet.images.search(*fleet.image_client, fleet.name, nullptr, fleet.camera_hardware));
  CHECK(verified() == std::nullopt);
}

TEST_CASE("Director and a supplier disagree") {
  Supplied fleet;
  fleet.delegate("software/cam-?/*", {});
  Target& supplied = fleet.images.roles["supplier"].targets.at(fleet.name);
  SECTION("length") {
    supplied.length += 1;
  }
  SECTION("sha256") {
    supplied.hashes.sha256->at(0) ^= 1;
  }
  SECTION("a field of mustMatch") {
    change_custom(supplied, [](Json& custom) { custom["mustMatch"]["batteryPercentMin"] = 0; });
  }
  SECTION("top-level targets have it otherwise: theirs is the first word") {
    fleet.image.targets.targets[fleet.name] = supplied;
    fleet.image.targets.targets[fleet.name].length += 1;
  }
  CHECK(code_of(fleet.verify()) == ErrorCode::kRepositoriesDisagree);
  CHECK(fleet.verified_by_camera() == ErrorCode::kRepositoriesDisagree);
}

TEST_CASE("what top-level targets have needs no supplier, who cannot contradict them") {
  Supplied fleet;
  fleet.delegate("software/cam-?/*", {});
  fleet.image.targets.targets[fleet.name] = fleet.target;
  fleet.images.roles["supplier"].targets.at(fleet.name).length += 1;
  CHECK(fleet.verify());
  CHECK(fleet.verified_by_camera() == std::nullopt);
}

TEST_CASE("an image for ECUs of two kinds of hardware: somebody must speak for each (P5.1)") {
  const HardwareId other = *HardwareId::parse("hu-5");
  const EcuSerial second = *EcuSerial::parse("HU-2");
  const std::string name = "maps/DE/2.tar";
  Fleet fleet(std::vector<ImageEntry>{});
  ImageEntry entry = entry_of(name, 2);
  entry.hardware_ids = {kHardware, other};
  fleet.add(entry);
  fleet.content.images[0].ecus.emplace(second, other);
  fleet.car.ecus.emplace(second, other);
  fleet.image.targets.targets.clear();
  const auto delegate = [&](const std::string& role, const HardwareId& hardware) {
    fleet.images.delegate(fleet.image.targets, role, "maps/*/*", Delegating::Terminating::kNo,
                          {hardware});
    fleet.images.roles[role].targets[name] = make_image_target(entry);
  };
  delegate("a", kHardware);
  fleet.director_targets();
  CHECK(code_of(fleet.verify()) == ErrorCode::kRepositoriesDisagree);
  delegate("b", other);
  CHECK(must(fleet.verify()).orders()[0].images[0].ecus.size() == 2);
  SECTION("and all must say the same") {
    fleet.images.roles["b"].targets.at(name).length += 1;
    CHECK(code_of(fleet.verify()) == ErrorCode::kRepositoriesDisagree);
  }
  SECTION("and mean that hardware") {
    change_custom(fleet.images.roles["b"].targets.at(name),
                  [](Json& custom) { custom["hardwareIds"] = {"hu-4"}; });
    CHECK(code_of(fleet.verify()) == ErrorCode::kWrongEcu);
  }
}

TEST_CASE("only what can be for this car is searched for") {
  Secondaries fleet;
  fleet.director_targets();
  must(fleet.verify());
  const auto assigned = must(assigned_targets(*fleet.director_client, fleet.car));
  CHECK(assigned == std::vector<AssignedTarget>{{"software/cam-2/5.img", fleet.camera_hardware},
                                                {"software/rad-1/7.img", fleet.radar_hardware}});
  CarFacts other = fleet.car;
  other.ecus.erase(fleet.radar);
  CHECK(code_of(assigned_targets(*fleet.director_client, other)) == ErrorCode::kWrongEcu);
  other = fleet.car;
  other.ecus.insert_or_assign(fleet.radar, fleet.camera_hardware);
  CHECK(code_of(assigned_targets(*fleet.director_client, other)) == ErrorCode::kWrongEcu);
  other = fleet.car;
  other.vin = must(Vin::parse("WVWZZZ1JZXW000018"));
  CHECK(code_of(assigned_targets(*fleet.director_client, other)) == ErrorCode::kWrongVehicle);
}

TEST_CASE("the key that signs licences cannot be replaced by the Director") {
  Fleet fleet({entry_of("functions/f/1.pkg")});
  Target& target = fleet.director_targets().targets["functions/f/1.pkg"];
  change_custom(target, [](Json& custom) {
    custom["mustMatch"]["licenceKey"] = PublicKey::from_ed25519(new_key()->public_key()).to_json();
  });
  CHECK(code_of(fleet.verify()) == ErrorCode::kRepositoriesDisagree);
}

TEST_CASE("image rollback: a release counter below the installed one") {
  Fleet fleet;
  fleet.director_targets();
  const Slot slot = Slot::map(*RegionId::parse("DE"));
  fleet.car.release_counters[slot] = 3;
  CHECK(code_of(fleet.verify()) == ErrorCode::kImageRollback);
  fleet.car.release_counters[slot] = 2;
  CHECK(fleet.verify());
}

TEST_CASE("a Director must not delegate") {
  Fleet fleet;
  fleet.director_targets().delegations = Delegations{};
  CHECK(code_of(fleet.verify()) == ErrorCode::kBadFormat);
}

TEST_CASE("endless data: an order of more images than a partner may order at once (P3.1)") {
  for (const int count : {128, 129}) {
    std::vector<ImageEntry> entries;
    for (int i = 0; i < count; ++i)
      entries.push_back(entry_of("maps/R" + std::to_string(i) + "/2.tar", 2));
    Fleet fleet(entries);
    std::vector<std::string> names;
    for (const auto& order : fleet.content.orders) names.push_back(order.images.front());
    fleet.content.orders.resize(1, fleet.content.orders.front());
    fleet.content.orders.front().images = names;
    fleet.director_targets();
    CHECK(fleet.verify().has_value() == (count == 128));
  }
}

TEST_CASE("extraneous dependency: an image that no order names, or an order without its images") {
  Fleet fleet;
  Targets& targets = fleet.director_targets();
  Json custom = must(parse_strict(as_bytes(targets.custom), {.bytes_max = kMiB}));
  SECTION("no order") {
    custom["orders"] = Json::array();
  }
  SECTION("ordered twice") {
    Json again = custom["orders"][0];
    again["id"] = OrderId::generate(kNow).text();
    custom["orders"].push_back(again);
  }
  SECTION("an order that stands twice") {
    Json again = custom["orders"][0];
    again["images"] = Json::array();
    again["action"] = "deactivate";
    again["licence"] = "AAAA";
    custom["orders"].push_back(again);
  }
  SECTION("an image that is no target") {
    custom["orders"][0]["images"] = {"maps/FR/1.tar"};
  }
  SECTION("an installation of nothing") {
    custom["orders"].push_back(Json{
        {"id", OrderId::generate(kNow).text()}, {"action", "install"}, {"images", Json::array()}});
  }
  SECTION("a deactivation without a licence") {
    custom["orders"].push_back(Json{{"id", OrderId::generate(kNow).text()},
                                    {"action", "deactivate"},
                                    {"images", Json::array()}});
  }
  SECTION("a name that is none") {
    custom["orders"][0]["id"] = "../order";
  }
  targets.custom = must(to_wire(custom));
  CHECK(code_of(fleet.verify()) == ErrorCode::kBadFormat);
}

TEST_CASE("what this build does not know refuses that order alone") {
  ImageEntry strange = entry_of("maps/FR/2.tar", 2);
  strange.facts.conditions = {{"Vehicle.Moon.Phase = 1", {{"en", "Wait for the full moon."}}}};
  bool is_action = false;
  bool is_field = false;
  SECTION("a condition") {
    strange.facts.conditions[0].expression = "phase(moon) ~ full";
  }
  SECTION("a field of a condition") {
    is_field = true;
  }
  SECTION("an action") {
    is_action = true;
  }
  Fleet fleet({strange, entry_of("maps/DE/2.tar", 2)});
  Targets& targets = fleet.director_targets();
  const auto add_field = [](Json& custom) { custom["mustMatch"]["conditions"][0]["unless"] = ""; };
  if (is_field) {
    change_custom(targets.targets["maps/FR/2.tar"], add_field);
    change_custom(fleet.image.targets.targets["maps/FR/2.tar"], add_field);
  }
  if (is_action)
    targets.custom =
        std::string(as_text(replaced(to_bytes(targets.custom), "\"install\"", "\"dance\"")));
  const VerifiedPlan plan = must(fleet.verify());
  REQUIRE(plan.orders().size() == 2);
  REQUIRE(plan.orders()[0].refusal);
  CHECK(plan.orders()[0].refusal->code() == ErrorCode::kUnsupported);
  CHECK_FALSE(plan.orders()[1].refusal);
}

TEST_CASE("a package's conditions are read as they were signed") {
  ImageEntry entry = entry_of("maps/DE/2.tar", 2);
  entry.facts.conditions = {{"Vehicle.Body.Hood.IsOpen = false",
                             {{"de", "Bitte Motorhaube schließen."}, {"en", "Close the hood."}}}};
  Fleet fleet({entry});
  fleet.director_targets();
  const VerifiedPlan plan = must(fleet.verify());
  CHECK_FALSE(plan.orders()[0].refusal);
  CHECK(plan.orders()[0].images[0].entry.facts.conditions == entry.facts.conditions);
  const auto changed = [&](auto change) {
    Target target = make_image_target(entry);
    change_custom(target, [&](Json& custom) { change(custom["mustMatch"]["conditions"][0]); });
    return code_of(read_image_entry("maps/DE/2.tar", target));
  };
  CHECK(changed([](Json& c) { c = "Vehicle.Speed = 0"; }) == ErrorCode::kBadFormat);
  CHECK(changed([](Json& c) { c.erase("if"); }) == ErrorCode::kBadFormat);
  CHECK(changed([](Json& c) { c["if"] = std::string(513, 'x'); }) == ErrorCode::kBadFormat);
  CHECK(changed([](Json& c) { c["texts"].erase("en"); }) == ErrorCode::kBadFormat);
  CHECK(changed([](Json& c) { c["texts"]["en"] = ""; }) == ErrorCode::kBadFormat);
  CHECK(changed([](Json& c) { c["texts"]["en"] = "two\nlines"; }) == ErrorCode::kBadFormat);
  CHECK(changed([](Json& c) { c["texts"]["en"] = std::string(201, 'x'); }) ==
        ErrorCode::kBadFormat);
  CHECK(changed([](Json& c) { c["texts"]["english"] = "x"; }) == ErrorCode::kBadFormat);
  CHECK(changed([](Json& c) { c["texts"]["fr"] = "Fermez le capot."; }) == std::nullopt);
}

TEST_CASE("endless data: a payload longer than any that a car could need") {
  Fleet fleet;
  fleet.content.images[0].payloads[0].length = kJsonIntegerMax;
  fleet.director_targets();
  CHECK(code_of(fleet.verify()) == ErrorCode::kBadFormat);
}

TEST_CASE("release notes travel in what is signed, and have their bounds") {
  ImageEntry entry =
      must(read_image_entry("maps/DE/2.tar", make_image_target(entry_of("maps/DE/2.tar", 2))));
  CHECK(entry.facts.notes.empty());
  entry.facts.notes = {{"en", "New roads."}, {"de", "Neue Straßen."}};
  const auto again = must(read_image_entry("maps/DE/2.tar", make_image_target(entry)));
  CHECK(again.facts.notes == entry.facts.notes);
  const std::map<std::string, std::string> bad[] = {{{"de", "No English."}},
                                                    {{"en", ""}},
                                                    {{"en", "two\nlines"}},
                                                    {{"en", std::string(1001, 'x')}},
                                                    {{"en", "x"}, {"english", "x"}}};
  const Target good = make_image_target(entry);
  for (const auto& notes : bad) {
    Target target = good;
    change_custom(target, [&](Json& custom) { custom["mustMatch"]["notes"] = notes; });
    CHECK(code_of(read_image_entry("maps/DE/2.tar", target)) == ErrorCode::kBadFormat);
  }
}

TEST_CASE("text with control characters agrees and travels like any other") {
  ImageEntry entry = entry_of("maps/DE/2.tar", 2);
  entry.facts.conditions = {{"two\nlines", {{"en", "x"}}}};
  Fleet fleet({entry});
  fleet.director_targets();
  CHECK(must(fleet.verify()).orders()[0].refusal->code() == ErrorCode::kUnsupported);
}

TEST_CASE("freeze: either repository expired") {
  Fleet fleet;
  fleet.director_targets();
  must(fleet.verify());
  const auto at = [&](UnixSeconds now) {
    return code_of(verify_plan(*fleet.director_client, *fleet.image_client, fleet.car, now));
  };
  CHECK(at(kNow) == std::nullopt);
  CHECK(at(kLater) == ErrorCode::kFreeze);
}

TEST_CASE("entries of the Image repository that contradict themselves are refused") {
  const ImageEntry entry = entry_of("maps/DE/2.tar", 2);
  const Target good = make_image_target(entry);
  CHECK(must(read_image_entry("maps/DE/2.tar", good)).must_match == encode_must_match(entry.facts));
  CHECK(code_of(read_image_entry("maps/FR/2.tar", good)) == ErrorCode::kBadFormat);
  CHECK(code_of(read_image_entry("functions/DE/2.pkg", good)) == ErrorCode::kBadFormat);
  CHECK(code_of(read_image_entry("../../etc/passwd", good)) == ErrorCode::kBadFormat);
  const auto changed = [&](auto change) {
    Target target = good;
    change_custom(target, change);
    return code_of(read_image_entry("maps/DE/2.tar", target));
  };
  CHECK(changed([](Json& c) { c["mustMatch"]["kind"] = "software"; }) == ErrorCode::kBadFormat);
  CHECK(changed([](Json& c) { c["mustMatch"]["kind"] = "virus"; }) == ErrorCode::kBadFormat);
  CHECK(changed([](Json& c) { c["mustMatch"]["slot"] = "map.FR"; }) == ErrorCode::kBadFormat);
  CHECK(changed([](Json& c) { c["mustMatch"]["batteryPercentMin"] = 101; }) ==
        ErrorCode::kBadFormat);
  CHECK(changed([](Json& c) { c["mustMatch"].erase("releaseCounter"); }) == ErrorCode::kBadFormat);
  CHECK(changed([](Json& c) { c["mustMatch"]["version"] = "1\x1b[2J"; }) == ErrorCode::kBadFormat);
  CHECK(changed([](Json& c) { c["mustMatch"]["note"] = "two\nlines"; }) == std::nullopt);
  CHECK(changed([](Json& c) { c["hardwareIds"] = Json::array(); }) == ErrorCode::kBadFormat);
  CHECK(changed([](Json& c) {
          c["mustMatch"]["licenceKey"] = PublicKey::from_ed25519(new_key()->public_key()).to_json();
        }) == ErrorCode::kBadFormat);
  // Software names the hardware that it is for.
  Target software = make_image_target(entry_of("software/hu-4/1.img"));
  CHECK(read_image_entry("software/hu-4/1.img", software));
  CHECK(code_of(read_image_entry("software/hu-5/1.img", software)) == ErrorCode::kBadFormat);
}

}  // namespace
}  // namespace layby::tests
