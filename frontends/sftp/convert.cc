// SPDX-License-Identifier: Apache-2.0
#include "frontends/sftp/convert.h"

namespace lafs::sftp {

// Where OpenSSH's server says something for the same errno, we say the same: clients know it.
Status status_of(Errc code) {
  switch (code) {
    case Errc::not_found:
    case Errc::not_directory:
    case Errc::symlink_loop:
      return Status::no_such_file;
    case Errc::access_denied:
    case Errc::not_permitted:
    case Errc::read_only:
    case Errc::unauthorized:
      return Status::permission_denied;
    case Errc::unsupported:
      return Status::unsupported;
    case Errc::bad_argument:
    case Errc::bad_cap:
    case Errc::bad_config:
    case Errc::exists:
    case Errc::is_directory:
    case Errc::not_empty:
    case Errc::name_too_long:
    case Errc::bad_name:
    case Errc::no_servers:
    case Errc::not_enough_shares:
    case Errc::unhappy:
    case Errc::corrupt:
    case Errc::collision:
    case Errc::no_attribute:
    case Errc::unreachable:
    case Errc::timed_out:
    case Errc::protocol:
    case Errc::wrong_certificate:
    case Errc::conflict:
    case Errc::bad_range:
    case Errc::refused:
    case Errc::no_space:
    case Errc::too_large:
    case Errc::io:
    case Errc::busy:
    case Errc::cancelled:
    case Errc::closed:
    case Errc::bad_handle:
    case Errc::internal:
      return Status::failure;
  }
  return Status::failure;
}

std::string_view describe(Status status) {
  switch (status) {
    case Status::ok:
      return "Success";
    case Status::eof:
      return "End of file";
    case Status::no_such_file:
      return "No such file";
    case Status::permission_denied:
      return "Permission denied";
    case Status::failure:
      return "Failure";
    case Status::bad_message:
      return "Bad message";
    case Status::unsupported:
      return "Operation unsupported";
  }
  return "";
}

}  // namespace lafs::sftp
