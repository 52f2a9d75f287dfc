// SPDX-License-Identifier: Apache-2.0
#pragma once

// The one error channel. What can happen is a Result; what cannot is an assert; bytes from outside
// never reach an assert. Exceptions are bugs and are caught once per request, at the edge.

#include <expected>
#include <string>
#include <utility>

#include "grid/base/errc.h"

namespace lafs {

// `code` is for programs, `context` for people: what was being done to what, and what to do now.
struct [[nodiscard]] Error {
  Errc code;
  std::string context;

  // "context: sentence", or the sentence alone when there is no context.
  std::string message() const;
  bool operator==(const Error&) const = default;
};

template <class T = void>
using Result = std::expected<T, Error>;

// `return fail(Errc::corrupt, "...")` from any function that returns a Result.
inline std::unexpected<Error> fail(Errc code, std::string context = {}) {
  return std::unexpected(Error{code, std::move(context)});
}

// The same error with "prefix: " put before its context.
std::unexpected<Error> annotate(Error error, std::string_view prefix);

// Unpack a Result into `var` or return its error. CO_ variants are for coroutines.
#define TRY(var, expr)                                              \
  auto var##_r = (expr);                                            \
  if (!var##_r) return std::unexpected(std::move(var##_r).error()); \
  auto var = std::move(*var##_r)
#define CO_TRY(var, expr)                                              \
  auto var##_r = (expr);                                               \
  if (!var##_r) co_return std::unexpected(std::move(var##_r).error()); \
  auto var = std::move(*var##_r)
// The same for a Result whose value does not matter.
#define TRY_DO(expr) \
  if (auto try_do_r = (expr); !try_do_r) return std::unexpected(std::move(try_do_r).error())
#define CO_TRY_DO(expr) \
  if (auto try_do_r = (expr); !try_do_r) co_return std::unexpected(std::move(try_do_r).error())

}  // namespace lafs
