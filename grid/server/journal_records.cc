// SPDX-License-Identifier: Apache-2.0
#include "grid/server/journal_records.h"

namespace lafs::grid::storage {

namespace {

constexpr std::string_view magic = "lafsmjn1";
constexpr std::size_t check_size = 16;
constexpr std::size_t record_head = 4 + check_size;
constexpr std::size_t image_head = 16 + 8 + 4;
constexpr std::size_t time_size = 8;

// A record's check covers everything from the head of the journal to its own end.
Hash32 next_link(const Hash32& chain, ByteView body) {
  Sha256 hasher;
  hasher.update(chain);
  hasher.update(body);
  return hasher.finish();
}

std::optional<JournalRecord> parse_body(ByteView body) {
  if (body.size() < time_size) return std::nullopt;
  JournalRecord out;
  out.time = static_cast<std::int64_t>(get_be<std::uint64_t>(body.data()));
  for (auto rest = body.subspan(time_size); !rest.empty();) {
    if (rest.size() < image_head) return std::nullopt;
    ShareImage image;
    std::copy_n(rest.data(), image.si.bytes.size(), image.si.bytes.begin());
    image.number = ShareNo{get_be<std::uint64_t>(rest.data() + 16)};
    const auto file = slice(rest, image_head, get_be<std::uint32_t>(rest.data() + 24));
    if (!file) return std::nullopt;
    image.file = to_bytes(*file);
    rest = rest.subspan(image_head + file->size());
    out.images.push_back(std::move(image));
  }
  return out;
}

}  // namespace

JournalWriter::JournalWriter(std::uint64_t number,
                             const std::array<std::uint8_t, journal_salt_size>& salt)
    : head_(to_bytes(magic)) {
  append_be(head_, number);
  append(head_, salt);
  chain_ = sha256(head_);
}

void JournalWriter::append_record(Bytes& to, std::int64_t time,
                                  const std::vector<ShareImage>& images) {
  const auto begin = to.size();
  to.resize(begin + record_head);
  append_be(to, static_cast<std::uint64_t>(time));
  for (const auto& image : images) {
    append(to, image.si.bytes);
    append_be(to, std::uint64_t{image.number.value});
    append_be(to, static_cast<std::uint32_t>(image.file.size()));
    append(to, image.file);
  }
  const auto body = ByteView(to).subspan(begin + record_head);
  chain_ = next_link(chain_, body);
  put_be(to.data() + begin, static_cast<std::uint32_t>(body.size()));
  std::copy_n(chain_.begin(), check_size, to.begin() + static_cast<std::ptrdiff_t>(begin) + 4);
}

std::optional<Journal> parse_journal(ByteView file) {
  if (file.size() < journal_head_size || !equal(file.first(magic.size()), as_bytes(magic))) {
    return std::nullopt;
  }
  Journal out;
  out.number = get_be<std::uint64_t>(file.data() + magic.size());
  auto chain = sha256(file.first(journal_head_size));
  for (auto rest = file.subspan(journal_head_size); rest.size() >= record_head;) {
    const auto body = slice(rest, record_head, get_be<std::uint32_t>(rest.data()));
    if (!body) break;
    chain = next_link(chain, *body);
    if (!equal(rest.subspan(4, check_size), ByteView(chain).first(check_size))) break;
    auto record = parse_body(*body);
    if (!record) break;
    out.records.push_back(std::move(*record));
    rest = rest.subspan(record_head + body->size());
  }
  return out;
}

}  // namespace lafs::grid::storage
