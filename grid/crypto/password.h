// SPDX-License-Identifier: Apache-2.0
#pragma once

// Passwords at rest: argon2id in the usual text form
// ("$argon2id$v=19$m=...,t=...,p=...$salt$hash"). Making or checking one takes some 50 ms and 64
// MiB by design: on a pool thread, a few at once.

#include <string>
#include <string_view>

namespace lafs::grid {

enum class PasswordCost {
  interactive,  // 2 passes over 64 MiB
  least,        // 1 pass over 8 KiB: for tests
};

std::string hash_password(std::string_view password, PasswordCost cost = PasswordCost::interactive);

// Takes as long whether the password is right or not. False for a hash that cannot be read, or that
// would take more than 1 GiB or 16 passes.
bool check_password(std::string_view hash, std::string_view password);

// Whether the text is a hash that check_password() would look at.
bool is_password_hash(std::string_view text);

// A hash that no password fits and that takes as long to check as any: for names that do not exist.
const std::string& nobodys_password();

}  // namespace lafs::grid
