// SPDX-License-Identifier: Apache-2.0
#include "frontends/ftp/convert.h"

namespace lafs::ftp {

int reply_code(Errc code, bool making_a_name) {
  switch (code) {
    case Errc::bad_argument:
    case Errc::unsupported:
      return 504;
    case Errc::bad_cap:
    case Errc::bad_config:
    case Errc::not_found:
    case Errc::exists:
    case Errc::not_directory:
    case Errc::is_directory:
    case Errc::not_empty:
    case Errc::symlink_loop:
    case Errc::access_denied:
    case Errc::not_permitted:
    case Errc::read_only:
    case Errc::no_attribute:
    case Errc::corrupt:
      return 550;
    case Errc::name_too_long:
    case Errc::bad_name:
      return making_a_name ? 553 : 550;
    case Errc::bad_range:
      return 554;
    case Errc::no_space:
      return 452;
    case Errc::too_large:
      return 552;
    case Errc::busy:
    case Errc::collision:
    case Errc::conflict:
      return 450;
    case Errc::cancelled:
      return 426;
    case Errc::no_servers:
    case Errc::not_enough_shares:
    case Errc::unhappy:
    case Errc::unreachable:
    case Errc::timed_out:
    case Errc::protocol:
    case Errc::wrong_certificate:
    case Errc::unauthorized:
    case Errc::refused:
    case Errc::io:
    case Errc::closed:
    case Errc::bad_handle:
    case Errc::internal:
      return 451;
  }
  return 451;
}

Reply reply_to(const Error& error, bool making_a_name) {
  std::string text(describe(error.code));
  if (!text.empty() && text[0] >= 'a' && text[0] <= 'z')
    text[0] = static_cast<char>(text[0] - 'a' + 'A');
  if (error.code == Errc::too_large) text = "Exceeds the quota, or the largest size";
  return {reply_code(error.code, making_a_name), text + "."};
}

bool wants_log(Errc code) {
  const int reply = reply_code(code);
  return reply == 451 || reply == 452 || code == Errc::corrupt || code == Errc::bad_cap ||
         code == Errc::bad_config;
}

}  // namespace lafs::ftp
