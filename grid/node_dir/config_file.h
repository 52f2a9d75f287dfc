// SPDX-License-Identifier: Apache-2.0
#pragma once

// tahoe.cfg as Python's non-strict ConfigParser reads it (spec/storage 12.1): `key = value` or
// `key: value`, comments only on lines of their own, indented lines continue a value, later
// duplicates win, [DEFAULT] is inherited, %(key)s is replaced. The text is only read, never written
// back, so options that we do not know stay as they are. Errors name the file and the line.

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "grid/base/result.h"

namespace lafs::grid {

class ConfigFile {
 public:
  // `name` is what errors call the file. All errors are Errc::bad_config.
  static Result<ConfigFile> parse(std::string_view text, std::string name);

  // Nothing when the option is missing. Keys are lower case. An error: a bad `%` in the value, or a
  // '#' in a value whose key ends in ".furl".
  Result<std::optional<std::string>> text(std::string_view section, std::string_view key) const;
  // 1/yes/true/on and 0/no/false/off in any case.
  Result<std::optional<bool>> boolean(std::string_view section, std::string_view key) const;
  // A decimal number from `least` to `most`.
  Result<std::optional<std::uint64_t>> number(std::string_view section, std::string_view key,
                                              std::uint64_t least, std::uint64_t most) const;

  // The options of a section, without those of [DEFAULT].
  std::vector<std::string> keys(std::string_view section) const;

  // Options given in the environment win over the file: LAFS_CLIENT_SHARES_NEEDED is [client]
  // shares.needed. Only options that are known by name can be given this way. `variable`: what
  // getenv() does.
  void override_by(const std::function<const char*(const char*)>& variable);

  // An option as it stands: for showing, and for looking at every one of them.
  struct Entry {
    std::string section, key, value;
    std::string where;  // "file:line" or the variable's name
    // Empty when all is well; otherwise what is wrong, with the nearest name that is known.
    std::string complaint;
    bool used = true;  // false: an option of Tahoe's that has no meaning for lafs
  };
  std::vector<Entry> entries() const;

  // The first section or option that Tahoe 1.20 would refuse to start with, as an error with its
  // line: usually a misspelling.
  Result<> check_known() const;

  // "file:line" of an option, or the file alone when it is missing: where an error is.
  std::string where(std::string_view section, std::string_view key) const;

 private:
  struct Option {
    std::string value;  // before replacing %
    unsigned line = 0;
    std::string variable = {};  // set from the environment
  };
  using Options = std::map<std::string, Option, std::less<>>;
  struct Section {
    unsigned line = 0;
    Options options;
  };

  const Option* find(std::string_view section, std::string_view key) const;
  Result<std::string> expand(std::string_view section, std::string_view key, std::string_view value,
                             unsigned depth, std::size_t& budget) const;
  std::unexpected<Error> wrong(std::string_view section, std::string_view key,
                               std::string_view what) const;

  std::string name_;
  Options defaults_;
  std::map<std::string, Section, std::less<>> sections_;
};

}  // namespace lafs::grid
