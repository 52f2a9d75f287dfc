// SPDX-License-Identifier: Apache-2.0
#include "frontends/fs/guess_limiter.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cmath>

#include "grid/base/bytes.h"

namespace lafs::fs {
namespace {

// Who tries under a name of a megabyte gets no megabyte of memory for it.
std::string key_of(std::string_view name) { return std::string(name.substr(0, 64)); }

std::string known_key(std::string_view address, std::string_view account) {
  return GuessLimiter::source(address) + " " + key_of(account);
}

}  // namespace

std::string GuessLimiter::source(std::string_view address) {
  std::uint8_t raw[16];
  if (inet_pton(AF_INET6, std::string(address).c_str(), raw) != 1) return key_of(address);
  static constexpr std::uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (std::equal(mapped, mapped + 12, raw)) {
    char text[INET_ADDRSTRLEN];
    return inet_ntop(AF_INET, raw + 12, text, sizeof text);
  }
  return to_hex(ByteView(raw, 8)) + "/64";
}

double GuessLimiter::failures(const Counts& counts, std::string_view key, TimePoint now) const {
  const auto found = counts.find(key);
  if (found == counts.end()) return 0;
  const double gone = std::chrono::duration<double>(now - found->second.since) /
                      std::chrono::duration<double>(options_.forget);
  return std::max(0.0, found->second.failures - gone);
}

void GuessLimiter::add(Counts& counts, std::string_view key, TimePoint now) {
  const double before = failures(counts, key, now);
  if (!counts.contains(key) && counts.size() >= options_.entries) {
    std::erase_if(counts,
                  [&](const auto& entry) { return failures(counts, entry.first, now) <= 0; });
    if (counts.size() >= options_.entries)
      counts.erase(std::ranges::min_element(
          counts, [](const auto& a, const auto& b) { return a.second.since < b.second.since; }));
  }
  counts[std::string(key)] = {before + 1, now};
}

bool GuessLimiter::may_try(std::string_view address, std::string_view account, TimePoint now) {
  // A count that has begun to run down is still at its limit: rounded up.
  const auto at = [](double failures, unsigned limit) { return std::ceil(failures) >= limit; };
  if (at(failures(addresses_, source(address), now), options_.address_limit)) return false;
  if (!at(failures(accounts_, key_of(account), now), options_.account_limit)) return true;
  const auto known = known_.find(known_key(address, account));
  return known != known_.end() && now - known->second < options_.known_for;
}

void GuessLimiter::failed(std::string_view address, std::string_view account, TimePoint now) {
  add(addresses_, source(address), now);
  if (!account.empty()) add(accounts_, key_of(account), now);
}

void GuessLimiter::succeeded(std::string_view address, std::string_view account, TimePoint now) {
  // The address' count stays: one good account must not buy guesses at the others.
  if (known_.size() >= options_.entries)
    known_.erase(std::ranges::min_element(
        known_, [](const auto& a, const auto& b) { return a.second < b.second; }));
  known_[known_key(address, account)] = now;
}

}  // namespace lafs::fs
