// SPDX-License-Identifier: Apache-2.0
#include "grid/introducer/banana.h"

#include <bit>

namespace lafs::grid::introducer {

namespace {

constexpr std::uint8_t list_token = 0x80, int_token = 0x81, string_token = 0x82, neg_token = 0x83,
                       float_token = 0x84, longint_token = 0x85, longneg_token = 0x86,
                       vocab_token = 0x87, open_token = 0x88, close_token = 0x89,
                       abort_token = 0x8a, error_token = 0x8d, ping_token = 0x8e, pong_token = 0x8f;
// A header of more digits would not fit the 64 bits of anything that is allowed here.
constexpr std::size_t most_digits = 64;
constexpr std::size_t longest_error = 1000;
constexpr std::int64_t largest_int = 0x7fffffff;

void put_token(Bytes& out, std::uint64_t header, std::uint8_t type) {
  do {
    out.push_back(static_cast<std::uint8_t>(header & 0x7f));
    header >>= 7;
  } while (header > 0);
  out.push_back(type);
}

std::unexpected<Error> wrong(std::string what) {
  return fail(Errc::protocol, "Foolscap: " + std::move(what));
}

// Containers that a later (reference N) of the same message may name.
bool can_be_referenced(std::string_view kind) {
  return kind == "list" || kind == "tuple" || kind == "dict" || kind == "set" ||
         kind == "immutable-set";
}

}  // namespace

const Sequence* Value::any_sequence() const {
  const auto* items = std::get_if<std::shared_ptr<const Sequence>>(&what_);
  return items ? items->get() : nullptr;
}

const Sequence* Value::sequence(std::string_view kind) const {
  const auto* items = any_sequence();
  return items && items->kind == kind ? items : nullptr;
}

const std::string* Value::text() const {
  if (const auto* raw = bytes()) return raw;
  const auto* unicode = sequence("unicode");
  return unicode && unicode->items.size() == 1 ? unicode->items[0].bytes() : nullptr;
}

const Value* Sequence::find(std::string_view key) const {
  if (kind != "dict") return nullptr;
  for (std::size_t i = 0; i + 1 < items.size(); i += 2) {
    const auto* name = items[i].text();
    if (name && *name == key) return &items[i + 1];
  }
  return nullptr;
}

Value sequence(std::string kind, std::vector<Value> items) {
  auto out = std::make_shared<Sequence>();
  out->kind = std::move(kind);
  out->items = std::move(items);
  return Value(std::shared_ptr<const Sequence>(std::move(out)));
}

// ------------------------------------------------------------------------ reading

Result<> BananaReader::feed(ByteView bytes, const std::function<void(Event)>& heard) {
  append(pending_, bytes);
  std::size_t used = 0;
  while (used < pending_.size()) {
    TRY(taken, token(ByteView(pending_).subspan(used), heard));
    if (!taken) break;
    used += *taken;
  }
  pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(used));
  return {};
}

Result<std::optional<std::size_t>> BananaReader::token(ByteView bytes,
                                                       const std::function<void(Event)>& heard) {
  std::size_t digits = 0;
  while (digits < bytes.size() && bytes[digits] < 0x80) {
    if (++digits > most_digits) return wrong("a token's header is too long");
  }
  if (digits == bytes.size()) return std::nullopt;
  std::uint64_t header = 0;
  for (std::size_t i = digits; i-- > 0;) {
    if (header >> 57) return wrong("a token's number is too large");
    header = (header << 7) | bytes[i];
  }
  const auto type = bytes[digits];
  std::size_t size = digits + 1;
  ByteView body;
  const bool has_body = type == string_token || type == error_token || type == longint_token ||
                        type == longneg_token || type == float_token;
  if (has_body) {
    const std::uint64_t length = type == float_token ? 8 : header;
    const std::uint64_t most = type == error_token    ? longest_error
                               : type == string_token ? limits_.string
                                                      : 8;
    if (length > most) return wrong("a token of " + std::to_string(length) + " bytes");
    if (bytes.size() - size < length) return std::nullopt;
    body = bytes.subspan(size, length);
    size += length;
  }
  message_bytes_ += size;
  if (message_bytes_ > limits_.message) return wrong("a message is too long");
  switch (type) {
    case int_token:
    case neg_token:
      if (header > static_cast<std::uint64_t>(largest_int) + 1) return wrong("a bad integer");
      TRY_DO(add(Value(type == neg_token ? -static_cast<std::int64_t>(header)
                                         : static_cast<std::int64_t>(header))));
      break;
    case longint_token:
    case longneg_token: {
      std::uint64_t magnitude = 0;
      for (const auto b : body) magnitude = (magnitude << 8) | b;
      if (magnitude > INT64_MAX) return wrong("an integer is too large");
      const auto number = static_cast<std::int64_t>(magnitude);
      TRY_DO(add(Value(type == longneg_token ? -number : number)));
      break;
    }
    case float_token:
      TRY_DO(add(Value(std::bit_cast<double>(get_be<std::uint64_t>(body.data())))));
      break;
    case string_token:
      TRY_DO(word(to_text(body)));
      break;
    case vocab_token: {
      const auto& table = vocabulary_table();
      if (!vocabulary_ || header >= table.size()) return wrong("an unknown vocabulary word");
      TRY_DO(word(std::string(table[header])));
      break;
    }
    case open_token: {
      if (open_.size() >= limits_.depth) return wrong("sequences are nested too deeply");
      if (!open_.empty() && !open_.back().kind) return wrong("a sequence without a kind");
      Open fresh;
      fresh.number = header;
      fresh.object = opens_seen_++;
      fresh.aborted = !open_.empty() && open_.back().aborted;
      open_.push_back(std::move(fresh));
      break;
    }
    case close_token:
      TRY_DO(close(header, heard));
      break;
    case abort_token:
      if (open_.empty()) return wrong("ABORT outside a sequence");
      open_.back().aborted = true;
      break;
    case error_token:
      return fail(Errc::refused, "the peer ended the connection: " + to_text(body));
    case ping_token:
      heard(Ping{header});
      break;
    case pong_token:
      break;
    case list_token:
    default:
      return wrong("a token of an unknown type");
  }
  if (open_.empty()) message_bytes_ = message_values_ = 0;
  return size;
}

Result<> BananaReader::word(std::string text) {
  if (open_.empty()) return wrong("a value outside a message");
  auto& top = open_.back();
  if (text.empty() && (!top.kind || top.copyable)) return wrong("a sequence without a kind");
  if (!top.kind) {
    top.copyable = text == "copyable";
    top.kind = std::move(text);
    return {};
  }
  if (top.copyable) {
    *top.kind += " " + text;
    top.copyable = false;
    return {};
  }
  return add(Value(std::move(text)));
}

Result<> BananaReader::add(Value value, std::size_t values) {
  if (open_.empty()) return wrong("a value outside a message");
  auto& top = open_.back();
  if (!top.kind || top.copyable) return wrong("a sequence without a kind");
  // References are counted as what they stand for: nested ones double each time.
  top.values += values;
  if (top.values > limits_.values || ++message_values_ > limits_.values)
    return wrong("a message has too many values");
  if (!top.aborted) top.items.push_back(std::move(value));
  return {};
}

Result<> BananaReader::close(std::uint64_t number, const std::function<void(Event)>& heard) {
  if (open_.empty() || open_.back().number != number) return wrong("CLOSE without its OPEN");
  auto top = std::move(open_.back());
  open_.pop_back();
  if (top.aborted) {
    // What the peer gave up on vanishes; within a sequence that would shift everything after it.
    if (open_.empty()) {
      objects_.clear();
    } else {
      open_.back().aborted = true;
    }
    return {};
  }
  if (!top.kind || top.copyable) return wrong("a sequence without a kind");
  if (*top.kind == "reference") {
    const auto* object = top.items.size() == 1 ? top.items[0].number() : nullptr;
    const auto found = object ? objects_.find(static_cast<std::uint64_t>(*object)) : objects_.end();
    if (found == objects_.end()) return wrong("a reference to nothing");
    if (open_.empty()) return wrong("a value outside a message");
    return add(found->second.first, found->second.second);
  }
  const bool referable = can_be_referenced(*top.kind);
  auto value = sequence(std::move(*top.kind), std::move(top.items));
  if (open_.empty()) {
    objects_.clear();
    heard(std::move(value));
    return {};
  }
  if (referable) objects_.emplace(top.object, std::pair(value, top.values));
  return add(std::move(value), top.values);
}

// ------------------------------------------------------------------------ writing

Bytes BananaWriter::write(const Value& value) {
  Bytes out;
  put(out, value);
  return out;
}

Bytes BananaWriter::ping() {
  Bytes out;
  put_token(out, 0, ping_token);
  return out;
}

Bytes BananaWriter::pong(std::uint64_t number) {
  Bytes out;
  put_token(out, number, pong_token);
  return out;
}

void BananaWriter::put(Bytes& out, const Value& value) {
  if (const auto* number = value.number()) {
    const auto magnitude = *number < 0 ? ~static_cast<std::uint64_t>(*number) + 1
                                       : static_cast<std::uint64_t>(*number);
    if (magnitude <= static_cast<std::uint64_t>(largest_int)) {
      put_token(out, magnitude, *number < 0 ? neg_token : int_token);
      return;
    }
    Bytes raw;
    append_be<std::uint64_t>(raw, magnitude);
    const auto first = std::ranges::find_if(raw, [](auto b) { return b != 0; });
    raw.erase(raw.begin(), first);
    put_token(out, raw.size(), *number < 0 ? longneg_token : longint_token);
    append(out, raw);
  } else if (const auto* real = value.real()) {
    out.push_back(float_token);
    append_be<std::uint64_t>(out, std::bit_cast<std::uint64_t>(*real));
  } else if (const auto* bytes = value.bytes()) {
    put_token(out, bytes->size(), string_token);
    append(out, as_bytes(*bytes));
  } else if (const auto* items = value.any_sequence()) {
    const auto open = opens_++;
    put_token(out, open, open_token);
    std::string_view kind = items->kind;
    // A copyable is named by two words.
    const auto space = kind.starts_with("copyable ") ? kind.find(' ') : kind.npos;
    for (const auto word : {kind.substr(0, space),
                            space == kind.npos ? std::string_view{} : kind.substr(space + 1)}) {
      if (word.empty()) continue;
      put_token(out, word.size(), string_token);
      append(out, as_bytes(word));
    }
    for (const auto& item : items->items) put(out, item);
    put_token(out, open, close_token);
  }
}

const std::vector<std::string_view>& vocabulary_table() {
  static const std::vector<std::string_view> words = {
      "none",           "boolean",         "reference", "dict",
      "list",           "tuple",           "set",       "immutable-set",
      "unicode",        "set-vocab",       "add-vocab", "call",
      "arguments",      "answer",          "error",     "my-reference",
      "your-reference", "their-reference", "copyable",  "instance",
      "module",         "class",           "method",    "function",
      "attrdict"};
  return words;
}

}  // namespace lafs::grid::introducer
