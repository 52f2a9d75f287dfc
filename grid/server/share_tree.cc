// SPDX-License-Identifier: Apache-2.0
#include "grid/server/share_tree.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "grid/base/netstring.h"

namespace lafs::grid::storage {

namespace {
std::filesystem::path below(const std::filesystem::path& top, const StorageIndex& si) {
  const auto text = si.text();
  return top / text.substr(0, 2) / text;
}
}  // namespace

std::filesystem::path ShareTree::bucket(const StorageIndex& si) const {
  return below(shares(), si);
}
std::filesystem::path ShareTree::incoming_bucket(const StorageIndex& si) const {
  return below(incoming(), si);
}
std::filesystem::path ShareTree::share(const StorageIndex& si, ShareNo number) const {
  return bucket(si) / std::to_string(number.value);
}
std::filesystem::path ShareTree::incoming_share(const StorageIndex& si, ShareNo number) const {
  return incoming_bucket(si) / std::to_string(number.value);
}
std::filesystem::path ShareTree::next_share(const StorageIndex& si, ShareNo number) const {
  return bucket(si) / (std::to_string(number.value) + ".next");
}

Result<std::set<ShareNo>> share_numbers(const std::filesystem::path& bucket) {
  std::set<ShareNo> out;
  std::error_code error;
  for (std::filesystem::directory_iterator it(bucket, error), end; !error && it != end;
       it.increment(error)) {
    const auto name = it->path().filename().string();
    const auto number = parse_decimal(name);
    if (number && std::to_string(*number) == name) out.insert(ShareNo{*number});
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return fail(error == std::errc::permission_denied ? Errc::access_denied : Errc::io,
                "listing " + bucket.string() + ": " + error.message());
  }
  return out;
}

std::string advisory_name(std::chrono::system_clock::time_point now, const StorageIndex& si,
                          ShareNo number) {
  using namespace std::chrono;
  const auto since = duration_cast<microseconds>(now.time_since_epoch()).count();
  const std::time_t seconds = since / 1'000'000;
  return fmt::format("{:%Y-%m-%dT%H%M%S}.{:06}--{}-{}", fmt::gmtime(seconds), since % 1'000'000,
                     si.text(), number.value);
}

std::string advisory_text(ShareKind kind, const StorageIndex& si, ShareNo number,
                          std::string_view reason) {
  return fmt::format(
      "report: Share Corruption\ntype: {}\nstorage_index: {}\nshare_number: {}\n\n{}\n\n",
      kind == ShareKind::immutable ? "immutable" : "mutable", si.text(), number.value, reason);
}

}  // namespace lafs::grid::storage
