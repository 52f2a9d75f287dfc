// SPDX-License-Identifier: Apache-2.0
#include "grid/base/errc.h"

namespace lafs {

namespace {

struct Words {
  std::string_view name;
  std::string_view sentence;
};

Words words(Errc code) {
  switch (code) {
    case Errc::bad_argument:
      return {"bad_argument", "invalid argument"};
    case Errc::bad_cap:
      return {"bad_cap", "not a usable capability"};
    case Errc::bad_config:
      return {"bad_config", "the configuration is wrong"};
    case Errc::unsupported:
      return {"unsupported", "not supported"};
    case Errc::not_found:
      return {"not_found", "no such file or directory"};
    case Errc::exists:
      return {"exists", "already exists"};
    case Errc::not_directory:
      return {"not_directory", "not a directory"};
    case Errc::is_directory:
      return {"is_directory", "is a directory"};
    case Errc::not_empty:
      return {"not_empty", "the directory is not empty"};
    case Errc::name_too_long:
      return {"name_too_long", "the name is too long"};
    case Errc::bad_name:
      return {"bad_name", "not a name that can be stored"};
    case Errc::symlink_loop:
      return {"symlink_loop", "too many symbolic links"};
    case Errc::access_denied:
      return {"access_denied", "permission denied"};
    case Errc::not_permitted:
      return {"not_permitted", "operation not permitted"};
    case Errc::read_only:
      return {"read_only", "read-only"};
    case Errc::no_servers:
      return {"no_servers", "no usable storage server"};
    case Errc::not_enough_shares:
      return {"not_enough_shares", "not enough good shares"};
    case Errc::unhappy:
      return {"unhappy", "too few distinct servers took shares"};
    case Errc::corrupt:
      return {"corrupt", "the data is corrupt"};
    case Errc::collision:
      return {"collision", "somebody else changed it at the same time"};
    case Errc::no_attribute:
      return {"no_attribute", "no such attribute"};
    case Errc::unreachable:
      return {"unreachable", "the server cannot be reached"};
    case Errc::timed_out:
      return {"timed_out", "timed out"};
    case Errc::protocol:
      return {"protocol", "the server's answer breaks the protocol"};
    case Errc::wrong_certificate:
      return {"wrong_certificate", "the server's certificate is not the expected one"};
    case Errc::unauthorized:
      return {"unauthorized", "the server refused our secret"};
    case Errc::conflict:
      return {"conflict", "the server already holds different data"};
    case Errc::bad_range:
      return {"bad_range", "no such byte range"};
    case Errc::refused:
      return {"refused", "the server refused the request"};
    case Errc::no_space:
      return {"no_space", "no space left"};
    case Errc::too_large:
      return {"too_large", "too large"};
    case Errc::io:
      return {"io", "input/output error"};
    case Errc::busy:
      return {"busy", "busy"};
    case Errc::cancelled:
      return {"cancelled", "cancelled"};
    case Errc::closed:
      return {"closed", "shut down"};
    case Errc::bad_handle:
      return {"bad_handle", "not open any more"};
    case Errc::internal:
      return {"internal", "internal error"};
  }
  return {"unknown", "unknown error"};
}

}  // namespace

std::string_view describe(Errc code) { return words(code).sentence; }
std::string_view name_of(Errc code) { return words(code).name; }

}  // namespace lafs
