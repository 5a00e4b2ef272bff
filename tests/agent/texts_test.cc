#include "agent/texts.h"

#include <catch2/catch.hpp>
#include <set>

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

TEST_CASE("languages go by their codes") {
  for (const Language language : kLanguages) CHECK(language_from(to_string(language)) == language);
  CHECK(!language_from("es"));
  CHECK(text_with(Text::kChargeTraction, Language::kGerman, "40") ==
        "Bitte Hochvoltbatterie auf mindestens 40 % laden.");
}
