// SPDX-License-Identifier: Apache-2.0
#pragma once

// Every way an operation can fail, in one closed list. Each frontend answers every value in one
// `switch` without `default` (see its convert.cc), so a new value does not build until all of them
// have an answer for it. The detail for humans travels beside the code, in Error::context.

#include <cstdint>
#include <string_view>

namespace lafs {

enum class Errc : std::uint8_t {
  // What the caller said.
  bad_argument,  // A value given to us makes no sense.
  bad_cap,       // A capability string is malformed or unusable.
  bad_config,    // A configuration file or node directory is wrong.
  unsupported,   // We understand the request and do not do that.
  // Names and kinds.
  not_found,      // There is nothing of that name.
  exists,         // Something of that name is already there.
  not_directory,  // A directory was needed.
  is_directory,   // A file was needed.
  not_empty,      // The directory still has entries.
  name_too_long,  // The name or path is longer than allowed.
  bad_name,       // The name cannot be stored (empty, a slash, not UTF-8).
  symlink_loop,   // Too many symbolic links on the way.
  // Authority.
  access_denied,  // The permission bits do not allow it.
  not_permitted,  // Only the owner may do this, or nobody may.
  read_only,      // The cap, the directory or the mount is read-only.
  // The state of things on the grid.
  no_servers,         // No storage server is known or none is usable.
  not_enough_shares,  // Fewer than k good shares could be read.
  unhappy,            // Fewer distinct servers than `happy` took shares.
  corrupt,            // Bytes do not match their hash or signature, or cannot be decoded.
  collision,          // Somebody else published a different version first.
  no_attribute,       // The object has no such extended attribute.
  // Talking to one server.
  unreachable,        // The connection could not be made or broke.
  timed_out,          // The deadline passed.
  protocol,           // The peer's answer is not what the protocol allows.
  wrong_certificate,  // The server's key is not the one its address names.
  unauthorized,       // The server refused our secret (swissnum, write enabler, upload secret).
  conflict,           // The server holds other bytes there already.
  bad_range,          // The byte range does not exist or cannot be expressed.
  refused,            // The server understood and refused.
  // Resources.
  no_space,   // The disk or the server is full.
  too_large,  // The object exceeds a format's or a server's limit.
  io,         // The local disk failed.
  busy,       // In use by somebody else.
  // Life cycle.
  cancelled,   // The caller gave up.
  closed,      // The part has been shut down.
  bad_handle,  // The handle or node is not open any more.
  internal,    // A bug in lafs, caught at the edge of one request.
};

// One lower-case sentence fragment, e.g. "no such file or directory".
std::string_view describe(Errc code);

// The enumerator's own name, e.g. "not_found": for logs and JSON.
std::string_view name_of(Errc code);

}  // namespace lafs
