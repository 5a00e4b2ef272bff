// The car's ECUs as the server is told them: at pairing, and when one of them was exchanged.
#pragma once

#include <string>
#include <vector>

#include "agent/car_identity.h"
#include "agent/secondaries.h"
#include "agent/transport.h"
#include "manifest/json.h"

namespace layby::agent {

// The primary and `others`, these with the reports by which they show their keys.
Result<manifest::Json> named_ecus(const CarIdentity& identity, const CarKeys& keys,
                                  const std::vector<MetEcu>& others);

// Who is at the addresses of `list` now, without a word to the server; in `list` when it returns.
// Errors of meet_ecus; kUnavailable where there are addresses and no link.
Result<std::vector<MetEcu>> meet_all(SecondaryLink* link, EcuList& list);

// The problem in an answer, for a person: status, code, detail and every reason.
std::string problem_of(const HttpResponse& response);

struct ReplacedEcu {
  std::string old_serial, serial;
};

// Asks again who is at the addresses that the car was provisioned with, names all of them to the
// server, and keeps the list once the server has taken it. Gives those that the server has let in
// by this; a power cut in between costs nothing but asking once more. kUnsupported for a car
// without other ECUs; kForbidden when the server refuses, with its words.
Result<std::vector<ReplacedEcu>> name_ecus(Disk& disk, const Layout& layout, Transport& transport,
                                           SecondaryLink& link);

}  // namespace layby::agent
