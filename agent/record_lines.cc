#include "agent/record_lines.h"

namespace layby::agent {
namespace {

std::string describe(const OrderRecord& order) {
  std::string text(to_string(order.state));
  for (const std::string& wait : order.waiting_for) text += " " + wait;
  if (order.error)
    text +=
        fmt::format(" [{} {}]", static_cast<unsigned>(order.error->code()), order.error->message());
  if (order.undo.error)
    text += fmt::format(" [not back yet: {} {}]", static_cast<unsigned>(order.undo.error->code()),
                        order.undo.error->message());
  return text;
}

}  // namespace

std::vector<RecordLine> RecordLines::look(const Record& record) {
  std::vector<RecordLine> lines;
  std::map<std::string, std::string> states;
  for (const OrderRecord& order : record.orders) {
    const std::string text = describe(order);
    if (text != states_[order.id.text()])
      lines.push_back({order.error ? RecordLine::Level::kError : RecordLine::Level::kNews,
                       order.id.text() + " " + text});
    states[order.id.text()] = text;
  }
  for (const auto& [id, state] : states_)
    if (!states.contains(id)) lines.push_back({RecordLine::Level::kNews, id + " gone"});
  states_ = std::move(states);
  std::string error = record.poll_error ? record.poll_error->message() : "";
  if (error != poll_error_ && !error.empty())
    lines.push_back({RecordLine::Level::kError, "server: " + error});
  poll_error_ = std::move(error);
  return lines;
}

}  // namespace layby::agent
