// What the head unit is given to show: plain texts in the driver's language, and what a page of its
// own needs to draw a list of updates. Made by head_unit.h.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace layby::agent {

// One entry of the list "Updates".
struct ScreenUpdate {
  std::string order;                  // its id
  std::string title;                  // "DE, FR 1.1.61"
  std::string state;                  // as in `status`: "downloading", "waiting", …
  std::optional<unsigned> code{};     // of its last error, while that stands (docs/error-codes.md)
  std::optional<unsigned> percent{};  // of the download, while there is one
  std::vector<std::string> lines{};   // what happens, and every reason why it does not
  std::string duration{};             // of the installation, "5 minutes"; empty if nobody knows
  std::string notes{};                // the release notes; empty if it has none
  bool operator==(const ScreenUpdate&) const = default;
};

struct Screen {
  std::string language;            // "de"
  std::vector<std::string> lines;  // everything, for a head unit that shows lines only
  std::vector<ScreenUpdate> updates{};
  std::vector<std::string> functions{};  // what is active, until when
  bool operator==(const Screen&) const = default;
};

}  // namespace layby::agent
