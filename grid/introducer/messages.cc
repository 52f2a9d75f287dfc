// SPDX-License-Identifier: Apache-2.0
#include "grid/introducer/messages.h"

namespace lafs::grid::introducer {

namespace {

constexpr std::size_t longest_type = 200, longest_text = 1000;

std::unexpected<Error> wrong(std::string what) {
  return fail(Errc::protocol, "Foolscap: " + std::move(what));
}

Result<Call> parse_call(const Sequence& message) {
  const auto& items = message.items;
  if (items.size() != 4 || !items[0].number() || !items[1].number() || !items[2].text())
    return wrong("a malformed call");
  const auto* arguments = items[3].sequence("arguments");
  if (!arguments || arguments->items.empty() || !arguments->items[0].number())
    return wrong("a call without arguments");
  Call out;
  out.request = *items[0].number();
  out.object = *items[1].number();
  out.method = *items[2].text();
  const auto count = *arguments->items[0].number();
  const auto given = arguments->items.size() - 1;
  if (out.request < 0 || count < 0 || static_cast<std::uint64_t>(count) > given)
    return wrong("a malformed call");
  const auto placed = static_cast<std::size_t>(count);
  if ((given - placed) % 2) return wrong("a malformed call");
  for (std::size_t i = 1; i <= placed; ++i) out.arguments.push_back(arguments->items[i]);
  for (std::size_t i = 1 + placed; i < arguments->items.size(); i += 2) {
    const auto* name = arguments->items[i].text();
    if (!name) return wrong("an argument without a name");
    out.named.emplace(*name, arguments->items[i + 1]);
  }
  return out;
}

}  // namespace

const Value* Call::argument(std::size_t place, std::string_view name) const {
  if (place < arguments.size()) return &arguments[place];
  const auto it = named.find(name);
  return it == named.end() ? nullptr : &it->second;
}

Result<std::optional<Message>> parse_message(const Value& value) {
  const auto* message = value.any_sequence();
  if (!message) return wrong("a value outside a message");
  const auto& items = message->items;
  if (message->kind == "call") {
    TRY(call, parse_call(*message));
    return Message(std::move(call));
  }
  if (message->kind == "answer") {
    if (items.size() != 2 || !items[0].number()) return wrong("a malformed answer");
    return Message(Answer{*items[0].number(), items[1]});
  }
  if (message->kind == "error") {
    if (items.size() != 2 || !items[0].number()) return wrong("a malformed error");
    Failure out;
    out.request = *items[0].number();
    if (const auto* failure = items[1].any_sequence()) {
      for (std::size_t i = 0; i + 1 < failure->items.size(); i += 2) {
        const auto* key = failure->items[i].text();
        const auto* text = failure->items[i + 1].text();
        if (!key || !text) continue;
        if (*key == "type") out.type = text->substr(0, longest_type);
        if (*key == "value") out.text = text->substr(0, longest_text);
      }
    }
    return Message(std::move(out));
  }
  // Vocabularies are not in use, so changing them is nothing; "decgift" and the like likewise.
  return std::nullopt;
}

Value call_message(const Call& call) {
  std::vector<Value> arguments{Value(static_cast<std::int64_t>(call.arguments.size()))};
  arguments.insert(arguments.end(), call.arguments.begin(), call.arguments.end());
  for (const auto& [name, value] : call.named) {
    arguments.push_back(Value(name));
    arguments.push_back(value);
  }
  return sequence("call", {Value(call.request), Value(call.object), Value(call.method),
                           sequence("arguments", std::move(arguments))});
}

Value answer_message(std::int64_t request, Value value) {
  return sequence("answer", {Value(request), std::move(value)});
}

Value failure_message(std::int64_t request, std::string_view type, std::string_view text) {
  auto failure = sequence(
      "copyable twisted.python.failure.Failure",
      {Value(std::string("value")), Value(std::string(text.substr(0, longest_text))),
       Value(std::string("type")), Value(std::string(type.substr(0, longest_type))),
       Value(std::string("traceback")), Value(std::string()), Value(std::string("parents")),
       sequence("list", {Value(std::string(type.substr(0, longest_type)))})});
  return sequence("error", {Value(request), std::move(failure)});
}

std::optional<Reference> reference_of(const Value& value) {
  const auto* items = value.sequence("my-reference");
  if (!items || items->items.empty() || !items->items[0].number()) return std::nullopt;
  Reference out;
  out.object = *items->items[0].number();
  const auto text = [&](std::size_t place) {
    const auto* said = place < items->items.size() ? items->items[place].text() : nullptr;
    return said ? *said : std::string{};
  };
  out.interface = text(1);
  out.furl = text(2);
  return out;
}

Value reference(const Reference& object) {
  std::vector<Value> items{Value(object.object), Value(object.interface)};
  if (!object.furl.empty()) items.push_back(Value(object.furl));
  return sequence("my-reference", std::move(items));
}

}  // namespace lafs::grid::introducer
