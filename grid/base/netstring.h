// SPDX-License-Identifier: Apache-2.0
#pragma once

// Netstrings: decimal length, ":", the bytes, "," (spec/immutable 1.3). "" is `0:,`.

#include "grid/base/bytes.h"
#include "grid/base/result.h"

namespace lafs {

void append_netstring(Bytes& to, ByteView value);
Bytes netstring(ByteView value);

// Takes one netstring off the front of `input`; the result views into it. Errc::corrupt when the
// front is not a netstring. The claimed length is checked against what is there before any use.
Result<ByteView> take_netstring(ByteView& input);

// Decimal digits only, no sign, no blanks, at least one digit, no overflow of 64 bits.
std::optional<std::uint64_t> parse_decimal(std::string_view text);

}  // namespace lafs
