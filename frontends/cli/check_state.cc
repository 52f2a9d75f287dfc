// SPDX-License-Identifier: Apache-2.0
#include "frontends/cli/check_state.h"

#include <algorithm>
#include <cerrno>

#include "grid/crypto/hash.h"
#include "grid/node_dir/files.h"

namespace lafs::cli {

namespace {
namespace stdfs = std::filesystem;

constexpr std::size_t largest = std::size_t{1} << 30;
constexpr auto good_for = std::chrono::days(7);

bool too_old(const stdfs::path& path) {
  std::error_code error;
  const auto written = stdfs::last_write_time(path, error);
  return !error && stdfs::file_time_type::clock::now() - written > good_for;
}
}  // namespace

CheckState::Mark CheckState::mark_of(const grid::Secret32& secret,
                                     const grid::StorageIndex& index) {
  const auto hash = grid::tagged_pair_hash("lafs_check_state_v1", secret.view(), index.bytes);
  Mark out;
  std::copy_n(hash.begin(), out.size(), out.begin());
  return out;
}

std::string CheckState::line_of(const Mark& mark) { return base32(mark) + "\n"; }

std::vector<CheckState::Mark> CheckState::parse(std::string_view text) {
  std::vector<Mark> out;
  if (!text.starts_with(first_line)) return out;
  text.remove_prefix(first_line.size());
  for (auto end = text.find('\n'); end != text.npos; end = text.find('\n')) {
    if (const auto mark = array_from_base32<16>(text.substr(0, end))) out.push_back(*mark);
    text.remove_prefix(end + 1);
  }
  std::ranges::sort(out);
  const auto again = std::ranges::unique(out);
  out.erase(again.begin(), again.end());
  return out;
}

Result<CheckState> CheckState::open(const stdfs::path& node, const grid::Secret32& secret,
                                    const grid::StorageIndex& root, std::string_view kind,
                                    bool restart) {
  CheckState out;
  out.secret_ = secret;
  const auto directory = node / "private" / "checks";
  TRY_DO(grid::make_directory(directory, 0700));
  out.path_ = directory / (base32(mark_of(secret, root)) + "-" + std::string(kind));
  auto text = grid::read_small_file(out.path_, largest);
  const bool ours = text && text->starts_with(first_line);
  if (restart || too_old(out.path_) || !ours) {
    TRY_DO(grid::replace_file(out.path_, first_line, grid::private_file));
  } else {
    out.before_ = parse(*text);
  }
  out.file_.reset(std::fopen(out.path_.c_str(), "ae"));
  if (!out.file_) return grid::system_error(errno, out.path_, "write");
  // A line that was being written when the last run ended stays alone with itself.
  if (ours && !text->ends_with('\n')) std::fputc('\n', out.file_.get());
  return out;
}

bool CheckState::has(const grid::StorageIndex& index) const {
  return std::ranges::binary_search(before_, mark_of(secret_, index));
}

void CheckState::add(const grid::StorageIndex& index) {
  std::fputs(line_of(mark_of(secret_, index)).c_str(), file_.get());
  std::fflush(file_.get());
}

void CheckState::finish() {
  file_.reset();
  std::error_code ignored;
  stdfs::remove(path_, ignored);
}

}  // namespace lafs::cli
