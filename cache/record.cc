// SPDX-License-Identifier: Apache-2.0
#include "cache/record.h"

namespace lafs::cache {

namespace {

constexpr std::uint8_t format = 1;

enum Kind : std::uint8_t {
  put_node = 1,
  forget_node = 2,
  put_content = 3,
  extent = 4,
  truncated = 5,
  stored = 6,
  put_pending = 7,
  settled = 8,
  tried = 9,
  numbered = 10,
};

// Bits of the facts that follow, in this order.
enum Fact : std::uint8_t {
  f_mode = 1,
  f_uid = 2,
  f_gid = 4,
  f_mtime = 8,
  f_atime = 16,
  f_ctime = 32
};

class Writer {
 public:
  Bytes out;

  void u8(std::uint8_t value) { out.push_back(value); }
  void number(std::uint64_t value) {  // LEB128
    while (value >= 0x80) {
      out.push_back(static_cast<std::uint8_t>(value) | 0x80);
      value >>= 7;
    }
    out.push_back(static_cast<std::uint8_t>(value));
  }
  void fixed(std::uint64_t value) { append_be<std::uint64_t>(out, value); }  // inode numbers
  void bytes(ByteView value) {
    number(value.size());
    append(out, value);
  }
  void text(std::string_view value) { bytes(as_bytes(value)); }
  void cap(const std::optional<Cap>& value) { text(value ? value->text() : std::string()); }
  void time(const timespec& value) {
    fixed(static_cast<std::uint64_t>(value.tv_sec));
    append_be<std::uint32_t>(out, static_cast<std::uint32_t>(value.tv_nsec));
  }
  void facts(const PosixFacts& f) {
    u8(static_cast<std::uint8_t>(f.kind));
    u8(static_cast<std::uint8_t>((f.mode ? f_mode : 0) | (f.uid ? f_uid : 0) | (f.gid ? f_gid : 0) |
                                 (f.mtime ? f_mtime : 0) | (f.atime ? f_atime : 0) |
                                 (f.ctime ? f_ctime : 0)));
    if (f.mode) number(*f.mode);
    if (f.uid) number(*f.uid);
    if (f.gid) number(*f.gid);
    if (f.mtime) time(*f.mtime);
    if (f.atime) time(*f.atime);
    if (f.ctime) time(*f.ctime);
    number(f.xattrs.size());
    for (const auto& [name, value] : f.xattrs) {
      text(name);
      bytes(value);
    }
  }

  void operator()(const PutNode& op) {
    u8(put_node);
    fixed(op.number);
    u8(op.directory);
    fixed(op.parent);
    text(op.name);
    cap(op.cap);
    facts(op.facts);
    text(op.other.object().empty() ? std::string() : op.other.text());
  }
  void operator()(const ForgetNode& op) {
    u8(forget_node);
    fixed(op.number);
  }
  void operator()(const PutContent& op) {
    const auto& staged = op.content.staged;
    u8(put_content);
    fixed(op.number);
    number(staged.id);
    append(out, staged.key.view());
    number(staged.size);
    number(staged.inherited_size);
    cap(op.content.base);
    const auto ranges = staged.local.ranges();
    number(ranges.size());
    for (const auto& range : ranges) {
      number(range.begin);
      number(range.size());
    }
  }
  void operator()(const Extent& op) {
    u8(extent);
    fixed(op.number);
    number(op.offset);
    number(op.length);
    time(op.when);
  }
  void operator()(const Truncated& op) {
    u8(truncated);
    fixed(op.number);
    number(op.size);
    time(op.when);
  }
  void operator()(const Stored& op) {
    u8(stored);
    fixed(op.number);
    cap(op.cap);
    u8(op.all);
  }
  void operator()(const PutPending& op) {
    u8(put_pending);
    fixed(op.directory);
    text(op.name);
    fixed(op.pending.node);
    cap(op.pending.base);
    u8(op.pending.facts_only);
    number(op.pending.tried.size());
    for (const auto& one : op.pending.tried) cap(one);
    number(op.pending.moved.size());
    for (auto one : op.pending.moved) fixed(one);
  }
  void operator()(const Settled& op) {
    u8(settled);
    fixed(op.directory);
    text(op.name);
  }
  void operator()(const Tried& op) {
    u8(tried);
    fixed(op.directory);
    text(op.name);
    cap(op.cap);
  }
  void operator()(const Numbered& op) {
    u8(numbered);
    fixed(op.directory);
    text(op.name);
    fixed(op.number);
  }
};

// Reads what Writer wrote. The first thing that does not fit makes everything after it fail; what
// is returned then means nothing.
class Reader {
 public:
  explicit Reader(ByteView all) : rest_(all) {}

  bool failed() const { return failed_; }
  bool at_end() const { return rest_.empty(); }

  ByteView take(std::uint64_t length) {
    if (length > rest_.size()) {
      failed_ = true;
      return {};
    }
    auto out = rest_.first(length);
    rest_ = rest_.subspan(length);
    return out;
  }
  std::uint8_t u8() {
    auto one = take(1);
    return one.empty() ? 0 : one[0];
  }
  bool flag() {
    const auto value = u8();
    if (value > 1) failed_ = true;
    return value == 1;
  }
  std::uint64_t number() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const auto byte = u8();
      if (failed_) return 0;
      const std::uint64_t part = byte & 0x7f;
      if (shift == 63 && part > 1) break;
      value |= part << shift;
      if (!(byte & 0x80)) {
        if (byte == 0 && shift > 0) break;  // only the shortest form, so that there is one
        return value;
      }
    }
    failed_ = true;
    return 0;
  }
  std::uint64_t fixed() {
    auto raw = take(8);
    return raw.empty() ? 0 : get_be<std::uint64_t>(raw.data());
  }
  // How many things follow that take at least `least` bytes each.
  std::uint64_t count(std::size_t least) {
    const auto n = number();
    if (n > rest_.size() / least) failed_ = true;
    return failed_ ? 0 : n;
  }
  ByteView bytes() { return take(number()); }
  std::string text() { return to_text(bytes()); }
  std::optional<Cap> cap() {
    const auto value = text();
    if (value.empty()) return std::nullopt;
    return Cap::parse(value);
  }
  Cap some_cap() {
    auto value = cap();
    if (!value) failed_ = true;
    return value.value_or(Cap());
  }
  std::uint32_t small() {
    const auto value = number();
    if (value > UINT32_MAX) failed_ = true;
    return static_cast<std::uint32_t>(value);
  }
  timespec time() {
    timespec out{};
    out.tv_sec = static_cast<time_t>(fixed());
    auto raw = take(4);
    if (raw.empty()) return out;
    out.tv_nsec = static_cast<long>(get_be<std::uint32_t>(raw.data()));
    if (out.tv_nsec >= 1'000'000'000) failed_ = true;
    return out;
  }
  PosixFacts facts() {
    PosixFacts f;
    const auto kind = u8();
    if (kind > static_cast<std::uint8_t>(PosixFacts::Kind::socket)) failed_ = true;
    f.kind = static_cast<PosixFacts::Kind>(kind);
    const auto bits = u8();
    if (bits >= 64) failed_ = true;
    if (bits & f_mode) f.mode = small();
    if (bits & f_uid) f.uid = small();
    if (bits & f_gid) f.gid = small();
    if (bits & f_mtime) f.mtime = time();
    if (bits & f_atime) f.atime = time();
    if (bits & f_ctime) f.ctime = time();
    for (auto n = count(2); n > 0 && !failed_; --n) {
      auto name = text();
      f.xattrs[std::move(name)] = to_bytes(bytes());
    }
    return f;
  }

  std::optional<Op> op() {
    switch (u8()) {
      case put_node: {
        PutNode out;
        out.number = fixed();
        out.directory = flag();
        out.parent = fixed();
        out.name = text();
        out.cap = cap();
        out.facts = facts();
        const auto other = text();
        if (!other.empty()) {
          auto parsed = Metadata::parse(other);
          if (!parsed) return std::nullopt;
          out.other = std::move(*parsed);
        }
        return out;
      }
      case forget_node:
        return ForgetNode{fixed()};
      case put_content: {
        PutContent out;
        out.number = fixed();
        auto& staged = out.content.staged;
        staged.id = number();
        auto key = StagedKey::from(take(StagedKey::size));
        if (!key) return std::nullopt;
        staged.key = *key;
        staged.size = number();
        staged.inherited_size = number();
        out.content.base = cap();
        for (auto n = count(2); n > 0 && !failed_; --n) {
          const auto begin = number(), length = number();
          if (!range(begin, length)) return std::nullopt;
          staged.local.add({begin, begin + length});
        }
        return out;
      }
      case extent: {
        Extent out;
        out.number = fixed();
        out.offset = number();
        out.length = number();
        out.when = time();
        if (!range(out.offset, out.length)) return std::nullopt;
        return out;
      }
      case truncated: {
        Truncated out;
        out.number = fixed();
        out.size = number();
        out.when = time();
        if (out.size > INT64_MAX) return std::nullopt;
        return out;
      }
      case stored: {
        Stored out;
        out.number = fixed();
        out.cap = some_cap();
        out.all = flag();
        return out;
      }
      case put_pending: {
        PutPending out;
        out.directory = fixed();
        out.name = text();
        out.pending.node = fixed();
        out.pending.base = cap();
        out.pending.facts_only = flag();
        for (auto n = count(2); n > 0 && !failed_; --n) out.pending.tried.push_back(some_cap());
        for (auto n = count(8); n > 0 && !failed_; --n) out.pending.moved.push_back(fixed());
        return out;
      }
      case settled: {
        Settled out;
        out.directory = fixed();
        out.name = text();
        return out;
      }
      case tried: {
        Tried out;
        out.directory = fixed();
        out.name = text();
        out.cap = some_cap();
        return out;
      }
      case numbered: {
        Numbered out;
        out.directory = fixed();
        out.name = text();
        out.number = fixed();
        return out;
      }
      default:
        return std::nullopt;
    }
  }

 private:
  static bool range(std::uint64_t begin, std::uint64_t length) {
    return length > 0 && begin <= INT64_MAX && length <= INT64_MAX - begin;
  }

  ByteView rest_;
  bool failed_ = false;
};

bool same_time(const timespec& a, const timespec& b) {
  return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

}  // namespace

bool Extent::operator==(const Extent& o) const {
  return number == o.number && offset == o.offset && length == o.length && same_time(when, o.when);
}
bool Truncated::operator==(const Truncated& o) const {
  return number == o.number && size == o.size && same_time(when, o.when);
}

Bytes encode(const Record& record) {
  Writer writer;
  writer.u8(format);
  for (const auto& op : record) std::visit(writer, op);
  return std::move(writer.out);
}

Result<Record> decode(ByteView bytes) {
  Reader reader(bytes);
  if (reader.u8() != format) return fail(Errc::corrupt, "a journal record of another format");
  Record out;
  while (!reader.at_end() && !reader.failed()) {
    auto op = reader.op();
    if (!op || reader.failed()) return fail(Errc::corrupt, "a journal record");
    out.push_back(std::move(*op));
  }
  if (reader.failed()) return fail(Errc::corrupt, "a journal record");
  return out;
}

}  // namespace lafs::cache
