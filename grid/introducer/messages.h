// SPDX-License-Identifier: Apache-2.0
#pragma once

// Foolscap's remote calls as Banana values (spec/storage 9.3). Plain.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "grid/introducer/banana.h"

namespace lafs::grid::introducer {

// The object that every peer has: it finds others by their secret names.
inline constexpr std::int64_t broker_object = 0;

struct Call {
  std::int64_t request = 0;  // 0: no answer is wanted
  std::int64_t object = 0;   // as the called side numbers its objects
  std::string method;
  std::vector<Value> arguments;
  std::map<std::string, Value, std::less<>> named;

  // The argument at this place or of this name; null when there is none.
  const Value* argument(std::size_t place, std::string_view name) const;
};
struct Answer {
  std::int64_t request = 0;
  Value value;
};
struct Failure {
  std::int64_t request = 0;
  std::string type, text;  // e.g. "builtins.KeyError"
};
using Message = std::variant<Call, Answer, Failure>;

// Nothing for kinds that are allowed and mean nothing to us. Errc::protocol.
Result<std::optional<Message>> parse_message(const Value& value);

Value call_message(const Call& call);
Value answer_message(std::int64_t request, Value value);
Value failure_message(std::int64_t request, std::string_view type, std::string_view text);

// An object of the sender's.
struct Reference {
  std::int64_t object = 0;
  std::string interface;  // this and the address: only said the first time it is sent
  std::string furl;
};
std::optional<Reference> reference_of(const Value& value);
Value reference(const Reference& object);

}  // namespace lafs::grid::introducer
