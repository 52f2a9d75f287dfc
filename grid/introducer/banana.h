// SPDX-License-Identifier: Apache-2.0
#pragma once

// Banana, the token stream under Foolscap (spec/storage 9.2): what introducers speak. Plain: bytes
// in, values out, and back. A value is an integer, a float, a byte string, or a sequence of values
// with a kind ("list", "dict", "call", "my-reference" ...); text is a sequence of kind "unicode".
//
// Bytes from a peer are bounded: see Limits. I/O-free; a stream belongs to one connection.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "grid/base/bytes.h"
#include "grid/base/result.h"

namespace lafs::grid::introducer {

struct Sequence;

class Value {
 public:
  Value(std::int64_t number) : what_(number) {}
  Value(double number) : what_(number) {}
  Value(std::string bytes) : what_(std::move(bytes)) {}
  Value(std::shared_ptr<const Sequence> items) : what_(std::move(items)) {}

  const std::int64_t* number() const { return std::get_if<std::int64_t>(&what_); }
  const double* real() const { return std::get_if<double>(&what_); }
  const std::string* bytes() const { return std::get_if<std::string>(&what_); }
  // The sequence when it is of this kind, else null.
  const Sequence* sequence(std::string_view kind) const;
  const Sequence* any_sequence() const;
  // A byte string or the text of a "unicode"; null for others.
  const std::string* text() const;

 private:
  std::variant<std::int64_t, double, std::string, std::shared_ptr<const Sequence>> what_;
};

struct Sequence {
  std::string kind;  // "copyable CLASS" for copyables: they have two words
  std::vector<Value> items;

  // The value of a byte-string or text key in a "dict"; null when there is none.
  const Value* find(std::string_view key) const;
};

// Builds sequences by hand: sequence("tuple", {...}).
Value sequence(std::string kind, std::vector<Value> items = {});
inline Value none() { return sequence("none"); }
inline Value unicode(std::string text) { return sequence("unicode", {Value(std::move(text))}); }

class BananaReader {
 public:
  struct Limits {
    std::size_t string = 256u << 10;  // one byte string
    std::size_t message = 8u << 20;   // all tokens of one top-level sequence
    std::size_t values = 200'000;     // in one top-level sequence
    std::size_t depth = 32;
  };
  // What a token stream says at top level.
  struct Ping {
    std::uint64_t number;
  };
  using Event = std::variant<Value, Ping>;

  // `vocabulary`: the words that VOCAB tokens stand for; empty, or table 1.
  explicit BananaReader(bool vocabulary) : BananaReader(vocabulary, Limits{}) {}
  BananaReader(bool vocabulary, Limits limits) : vocabulary_(vocabulary), limits_(limits) {}

  // Takes more bytes of the stream; complete messages and pings are handed to `heard` in order.
  // Errc::protocol ends the stream: bad tokens, limits, or the peer's own ERROR token.
  Result<> feed(ByteView bytes, const std::function<void(Event)>& heard);

 private:
  struct Open {
    std::uint64_t number = 0;
    std::uint64_t object = 0;
    std::optional<std::string> kind;
    bool copyable = false;  // its second word is still to come
    bool aborted = false;
    std::vector<Value> items;
    std::size_t values = 1;  // in it, those of referenced containers counted again
  };

  // Nothing when the token is not complete yet; the bytes it took otherwise.
  Result<std::optional<std::size_t>> token(ByteView bytes, const std::function<void(Event)>& heard);
  Result<> add(Value value, std::size_t values = 1);
  Result<> word(std::string text);  // a string: the kind of a fresh sequence, or a value
  Result<> close(std::uint64_t number, const std::function<void(Event)>& heard);

  bool vocabulary_;
  Limits limits_;
  Bytes pending_;
  std::vector<Open> open_;
  std::uint64_t opens_seen_ = 0;
  // Closed containers of the present message, and how many values are in each.
  std::map<std::uint64_t, std::pair<Value, std::size_t>> objects_;
  std::size_t message_bytes_ = 0;
  std::size_t message_values_ = 0;
};

// Writes values as tokens without vocabulary. Counts its own OPENs over the whole connection.
class BananaWriter {
 public:
  Bytes write(const Value& value);
  static Bytes ping();
  static Bytes pong(std::uint64_t number);

 private:
  void put(Bytes& out, const Value& value);
  std::uint64_t opens_ = 0;
};

// The words of initial vocabulary table 1, in index order, and the first 4 hex digits of its hash.
const std::vector<std::string_view>& vocabulary_table();
inline constexpr std::string_view vocabulary_hash = "bb33";
inline constexpr std::string_view no_vocabulary_hash = "da39";

}  // namespace lafs::grid::introducer
