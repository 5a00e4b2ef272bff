#include "agent/texts.h"

#include <catch2/catch.hpp>
#include <limits>
#include <set>
#include <utility>

#include "agent/dates.h"

using namespace layby;
using namespace layby::agent;

TEST_CASE("every text is there in all five languages (P4.3)") {
  CHECK(kLanguages.size() == 5);
  for (std::size_t t = 0; t < kTextCount; ++t) {
    std::set<std::string_view> different;
    for (const Language language : kLanguages) {
      const std::string_view line = text(static_cast<Text>(t), language);
      INFO(t << " in " << to_string(language));
      CHECK(line.size() >= 5);
      different.insert(line);
    }
    CHECK(different.size() == kLanguages.size());
  }
}

TEST_CASE("a text takes an argument in all languages or in none") {
  for (std::size_t t = 0; t < kTextCount; ++t) {
    const bool takes =
        text(static_cast<Text>(t), Language::kEnglish).find("{}") != std::string_view::npos;
    for (const Language language : kLanguages) {
      const std::string_view line = text(static_cast<Text>(t), language);
      INFO(line);
      CHECK((line.find("{}") != std::string_view::npos) == takes);
      CHECK(line.find("{}") == line.rfind("{}"));
    }
  }
}

TEST_CASE("each condition has a text of its own (P4.3)") {
  std::set<Text> texts;
  for (const Condition condition : kConditions) texts.insert(text_of(condition));
  CHECK(texts.size() == kConditions.size());
}

TEST_CASE("one and many are told apart in every language (P1.13)") {
  CHECK(counted(1, Unit::kMinute, Language::kEnglish) == "1 minute");
  CHECK(counted(2, Unit::kMinute, Language::kEnglish) == "2 minutes");
  CHECK(counted(1, Unit::kDay, Language::kGerman) == "1 Tag");
  CHECK(counted(14, Unit::kDay, Language::kGerman) == "14 Tage");
  CHECK(counted(0, Unit::kHour, Language::kFrench) == "0 heure");
  CHECK(counted(0, Unit::kHour, Language::kItalian) == "0 ore");
  for (const Language language : kLanguages)
    for (const Unit unit : {Unit::kMinute, Unit::kDay})
      CHECK(counted(1, unit, language).substr(2) != counted(2, unit, language).substr(2));
}

TEST_CASE("the best language is looked up as RFC 4647 has it, English where there is none (P4.3)") {
  const std::pair<std::string_view, Language> cases[] = {
      {"de", Language::kGerman},
      {"DE-ch", Language::kGerman},
      {"fr-CH-1901", Language::kFrench},
      {"it-Latn-IT-x-dialect", Language::kItalian},
      {"nl-a-private", Language::kDutch},
      {"es", Language::kEnglish},
      {"es, fr-CA, de", Language::kFrench},
      {"", Language::kEnglish},
      {"-", Language::kEnglish},
      {"dex", Language::kEnglish},
      {"x-de", Language::kEnglish},
      {"*", Language::kEnglish}};
  for (const auto& [ranges, language] : cases) {
    INFO(ranges);
    CHECK(look_up_language(ranges) == language);
  }
}

TEST_CASE("dates and times are as each language writes them (P1.13, P4.2)") {
  constexpr UnixSeconds kFirstOfMarch = 1'772'323'500;  // 2026-03-01T00:05:00Z
  const auto at = [](Language language, UtcOffset offset) {
    return moment_text(kFirstOfMarch, language, offset);
  };
  CHECK(at(Language::kGerman, 3600) == "1. März 2026, 01:05 Uhr");
  CHECK(at(Language::kEnglish, 0) == "1 March 2026, 00:05");
  CHECK(at(Language::kFrench, 0) == "1er mars 2026 à 00:05");
  CHECK(at(Language::kItalian, 0) == "1º marzo 2026, ore 00:05");
  CHECK(at(Language::kDutch, {}) == "1 maart 2026 om 00:05 uur UTC");
  CHECK(at(Language::kEnglish, -3600) == "28 February 2026, 23:05");
  for (const Language language : kLanguages) {
    std::set<std::string> months;
    for (int month = 0; month < 12; ++month)
      months.insert(date_text(kFirstOfMarch + month * 2'630'000, language, {}));
    CHECK(months.size() == 12);
    CHECK(!date_text(std::numeric_limits<UnixSeconds>::max(), language, 3600).empty());
    CHECK(!date_text(std::numeric_limits<UnixSeconds>::min(), language, -3600).empty());
  }
}

TEST_CASE("durations are in minutes, and in hours where they are long (P4.4)") {
  CHECK(duration_text(60, Language::kEnglish) == "1 minute");
  CHECK(duration_text(61, Language::kEnglish) == "2 minutes");
  CHECK(duration_text(89 * 60, Language::kGerman) == "89 Minuten");
  CHECK(duration_text(90 * 60, Language::kGerman) == "1 Stunde, 30 Minuten");
  CHECK(duration_text(90 * 60, Language::kEnglish) == "1 hour, 30 minutes");
  CHECK(duration_text(7200, Language::kFrench) == "2 heures");
  CHECK(duration_text(7260, Language::kFrench) == "2 heures et 1 minute");
  CHECK(duration_text(7260, Language::kItalian) == "2 ore e 1 minuto");
  CHECK(duration_text(3 * 3600 + 120, Language::kDutch) == "3 uur en 2 minuten");
}

TEST_CASE("languages go by their codes") {
  for (const Language language : kLanguages) CHECK(language_from(to_string(language)) == language);
  CHECK(!language_from("es"));
  CHECK(text_with(Text::kChargeTraction, Language::kGerman, "40") ==
        "Bitte Hochvoltbatterie auf mindestens 40 % laden.");
}
