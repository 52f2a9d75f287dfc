// SPDX-License-Identifier: Apache-2.0
#include "cache/journal_format.h"

#include "grid/caps/keys.h"
#include "grid/caps/tags.h"
#include "grid/crypto/random.h"

namespace lafs::cache {

namespace {

constexpr std::string_view magic = "lafsjrn1";
constexpr std::string_view head_kind = "head", mark_kind = "mark", record_kind = "rec1";
constexpr std::size_t header_text = 64, mark_text = 24;  // what their tags are over
constexpr Sequence furthest_ahead = 1u << 24;            // no segment holds more records than this

Sealer::Nonce nonce_of(std::string_view kind, std::uint64_t number) {
  Sealer::Nonce nonce;
  std::ranges::copy(as_bytes(kind), nonce.begin());
  put_be<std::uint64_t>(nonce.data() + 4, number);
  return nonce;
}

grid::Key16 segment_key(const SegmentHeader& header, const grid::Secret32& node_secret) {
  return grid::cache_key(grid::tags::cache_journal, node_secret, header.salt);
}

}  // namespace

std::uint64_t record_size(std::uint64_t payload) {
  return round_up(record_header_size + payload + Sealer::tag_size, record_alignment);
}

SegmentWriter::SegmentWriter(const SegmentHeader& header, const grid::Secret32& node_secret)
    : header_(header), sealer_(segment_key(header, node_secret)) {}

Bytes SegmentWriter::header() {
  Bytes out(segment_header_size);
  std::ranges::copy(as_bytes(magic), out.begin());
  put_be<std::uint64_t>(out.data() + 8, header_.generation);
  put_be<std::uint64_t>(out.data() + 16, header_.first);
  put_be<std::uint64_t>(out.data() + 24, header_.covered);
  std::ranges::copy(header_.salt, out.begin() + 32);
  std::ranges::copy(header_.boot, out.begin() + 48);
  sealer_.seal(nonce_of(head_kind, header_.generation), ByteView(out).first(header_text), {},
               out.data() + header_text);
  return out;
}

void SegmentWriter::record(Sequence sequence, Sequence synced, ByteView payload, Bytes& out) {
  out.resize(record_size(payload.size()));
  std::ranges::copy(as_bytes(record_kind), out.begin());
  put_be<std::uint32_t>(out.data() + 4, static_cast<std::uint32_t>(payload.size()));
  put_be<std::uint64_t>(out.data() + 8, sequence);
  put_be<std::uint64_t>(out.data() + 16, synced);
  sealer_.seal(nonce_of(record_kind, sequence), ByteView(out).first(record_header_size), payload,
               out.data() + record_header_size);
  const auto used = record_header_size + payload.size() + Sealer::tag_size;
  std::fill(out.begin() + static_cast<std::ptrdiff_t>(used), out.end(), 0);
}

Bytes SegmentWriter::mark(const SegmentMark& mark) {
  Bytes out(mark_size);
  put_be<std::uint64_t>(out.data(), mark.data);
  put_be<std::uint64_t>(out.data() + 8, mark.records);
  grid::random_fill(MutableBytes(out).subspan(16, 8));
  const auto nonce = nonce_of(mark_kind, get_be<std::uint64_t>(out.data() + 16));
  sealer_.seal(nonce, ByteView(out).first(mark_text), {}, out.data() + mark_text);
  return out;
}

std::optional<SegmentHeader> read_segment_header(ByteView file, const grid::Secret32& node_secret) {
  if (file.size() < segment_header_size || as_text(file.first(magic.size())) != magic)
    return std::nullopt;
  SegmentHeader header;
  header.generation = get_be<std::uint64_t>(file.data() + 8);
  header.first = get_be<std::uint64_t>(file.data() + 16);
  header.covered = get_be<std::uint64_t>(file.data() + 24);
  std::copy_n(file.begin() + 32, header.salt.size(), header.salt.begin());
  std::copy_n(file.begin() + 48, header.boot.size(), header.boot.begin());
  Sealer sealer(segment_key(header, node_secret));
  std::uint8_t nothing[1];
  if (!sealer.open(nonce_of(head_kind, header.generation), file.first(header_text),
                   file.subspan(header_text, Sealer::tag_size), nothing))
    return std::nullopt;
  return header;
}

SegmentReader::SegmentReader(ByteView file, const SegmentHeader& header,
                             const grid::Secret32& node_secret)
    : file_(file), expected_(header.first), sealer_(segment_key(header, node_secret)) {}

std::optional<SegmentReader::Record> SegmentReader::at(std::uint64_t offset, std::uint64_t& size) {
  const auto head = slice(file_, offset, record_header_size);
  if (!head || as_text(head->first(record_kind.size())) != record_kind) return std::nullopt;
  const auto length = get_be<std::uint32_t>(head->data() + 4);
  Record record;
  record.sequence = get_be<std::uint64_t>(head->data() + 8);
  record.synced = get_be<std::uint64_t>(head->data() + 16);
  const auto sealed =
      slice(file_, offset + record_header_size, std::uint64_t{length} + Sealer::tag_size);
  if (!sealed || record.sequence < expected_ || record.sequence - expected_ > furthest_ahead)
    return std::nullopt;
  record.payload.resize(length);
  if (!sealer_.open(nonce_of(record_kind, record.sequence), *head, *sealed, record.payload.data()))
    return std::nullopt;
  size = record_size(length);
  return record;
}

std::optional<SegmentReader::Record> SegmentReader::next() {
  std::uint64_t size = 0;
  auto record = at(offset_, size);
  if (!record || record->sequence != expected_) return std::nullopt;
  offset_ += size;
  ++expected_;
  return record;
}

std::optional<SegmentReader::Record> SegmentReader::next_intact() {
  for (; offset_ < file_.size(); offset_ += record_alignment) {
    std::uint64_t size = 0;
    auto record = at(offset_, size);
    if (!record) continue;
    offset_ += size;
    expected_ = record->sequence + 1;
    return record;
  }
  return std::nullopt;
}

SegmentMark SegmentReader::mark() {
  const auto bytes = slice(file_, mark_offset, mark_size);
  if (!bytes) return {};
  std::uint8_t nothing[1];
  const auto nonce = nonce_of(mark_kind, get_be<std::uint64_t>(bytes->data() + 16));
  if (!sealer_.open(nonce, bytes->first(mark_text), bytes->subspan(mark_text), nothing)) return {};
  return {get_be<std::uint64_t>(bytes->data()), get_be<std::uint64_t>(bytes->data() + 8)};
}

}  // namespace lafs::cache
