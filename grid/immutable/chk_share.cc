// SPDX-License-Identifier: Apache-2.0
#include "grid/immutable/chk_share.h"

#include <optional>

#include "grid/crypto/merkle.h"

namespace lafs::grid {

namespace {

constexpr std::uint64_t max_share_hash_entries = 512;

// CPython's set of small non-negative integers: open addressing with linear probes of nine slots,
// a hash that is the integer itself. Only what decides the order of iteration.
class PythonSet {
 public:
  PythonSet() : slots_(8) {}

  void insert(std::uint64_t value) {
    if (!put(slots_, value)) return;
    ++used_;
    const auto mask = slots_.size() - 1;
    if (used_ * 5 < mask * 3) return;
    std::size_t size = 8;
    while (size <= used_ * 4) size *= 2;
    std::vector<std::optional<std::uint64_t>> larger(size);
    for (auto& slot : slots_) {
      if (slot) put(larger, *slot);
    }
    slots_ = std::move(larger);
  }

  std::vector<std::uint64_t> in_order() const {
    std::vector<std::uint64_t> out;
    for (auto& slot : slots_) {
      if (slot) out.push_back(*slot);
    }
    return out;
  }

 private:
  static bool put(std::vector<std::optional<std::uint64_t>>& slots, std::uint64_t value) {
    const std::uint64_t mask = slots.size() - 1;
    std::uint64_t perturb = value;
    std::uint64_t i = value & mask;
    for (;;) {
      const std::uint64_t last = i + 9 <= mask ? i + 9 : i;
      for (auto slot = i; slot <= last; ++slot) {
        if (slots[slot] == value) return false;
        if (!slots[slot]) {
          slots[slot] = value;
          return true;
        }
      }
      perturb >>= 5;
      i = (5 * i + 1 + perturb) & mask;
    }
  }

  std::vector<std::optional<std::uint64_t>> slots_;
  std::uint64_t used_ = 0;
};

}  // namespace

Bytes serialize_header(const ShareLayout& layout) {
  Bytes out;
  append_be<std::uint32_t>(out, static_cast<std::uint32_t>(layout.version));
  for (auto field :
       {layout.block_size, layout.share_data_size, layout.data, layout.plaintext_tree,
        layout.ciphertext_tree, layout.block_tree, layout.share_hashes, layout.uri_extension}) {
    if (layout.version == LayoutVersion::v1) {
      append_be<std::uint32_t>(out, static_cast<std::uint32_t>(field));
    } else {
      append_be<std::uint64_t>(out, field);
    }
  }
  return out;
}

Result<ShareLayout> parse_header(ByteView bytes) {
  if (bytes.size() < 4) return fail(Errc::corrupt, "a share that ends within its version number");
  const auto version = get_be<std::uint32_t>(bytes.data());
  if (version != 1 && version != 2) {
    return fail(Errc::corrupt, "share layout version " + std::to_string(version));
  }
  ShareLayout layout;
  layout.version = static_cast<LayoutVersion>(version);
  if (bytes.size() < layout.header_length()) {
    return fail(Errc::corrupt, "a share that ends within its header");
  }
  const auto width = layout.field_width();
  auto field = [&](std::uint64_t i) -> std::uint64_t {
    const auto* p = bytes.data() + 4 + i * width;
    return width == 4 ? get_be<std::uint32_t>(p) : get_be<std::uint64_t>(p);
  };
  layout.block_size = field(0);
  layout.share_data_size = field(1);
  layout.data = field(2);
  layout.plaintext_tree = field(3);
  layout.ciphertext_tree = field(4);
  layout.block_tree = field(5);
  layout.share_hashes = field(6);
  layout.uri_extension = field(7);
  if (layout.data < layout.header_length() || layout.data > layout.ciphertext_tree ||
      layout.ciphertext_tree > layout.block_tree || layout.block_tree > layout.share_hashes ||
      layout.share_hashes > layout.uri_extension ||
      layout.uri_extension > ~std::uint64_t{0} - 8 - max_header_length - (1 << 20)) {
    return fail(Errc::corrupt, "a share header whose sections are out of order");
  }
  const auto hashes = layout.uri_extension - layout.share_hashes;
  if (hashes == 0 || hashes % share_hash_entry_size != 0 ||
      hashes / share_hash_entry_size > max_share_hash_entries) {
    return fail(Errc::corrupt, "a share-hash section of " + std::to_string(hashes) + " bytes");
  }
  return layout;
}

Result<> check_layout(const ShareLayout& layout, const Geometry& geometry) {
  const auto tree = geometry.tree_bytes();
  if (layout.ciphertext_tree - layout.data < geometry.share_data_size ||
      layout.block_tree - layout.ciphertext_tree < tree ||
      layout.share_hashes - layout.block_tree < tree) {
    return fail(Errc::corrupt, "a share header whose sections are too small");
  }
  return {};
}

std::vector<std::uint64_t> share_hash_order(std::uint64_t n, ShareNo number) {
  const MerkleShape shape(n);
  PythonSet set;
  for (auto node : shape.siblings(number.value)) set.insert(node);
  set.insert(shape.node_of_leaf(number.value));
  return set.in_order();
}

Bytes serialize_share_hashes(std::span<const Hash32> share_tree, std::uint64_t n, ShareNo number) {
  Bytes out;
  for (auto node : share_hash_order(n, number)) {
    append_be<std::uint16_t>(out, static_cast<std::uint16_t>(node));
    append(out, share_tree[node]);
  }
  return out;
}

Result<std::map<std::uint64_t, Hash32>> parse_share_hashes(ByteView section, std::uint64_t n) {
  if (section.size() % share_hash_entry_size != 0) {
    return fail(Errc::corrupt, "a share-hash section that ends within an entry");
  }
  const auto nodes = MerkleShape(n).nodes();
  std::map<std::uint64_t, Hash32> out;
  for (std::size_t at = 0; at < section.size(); at += share_hash_entry_size) {
    const auto index = get_be<std::uint16_t>(section.data() + at);
    if (index >= nodes) {
      return fail(Errc::corrupt, "share-hash entry for node " + std::to_string(index) + " of " +
                                     std::to_string(nodes));
    }
    Hash32 hash;
    std::copy_n(section.begin() + static_cast<std::ptrdiff_t>(at) + 2, 32, hash.begin());
    auto [it, fresh] = out.emplace(index, hash);
    if (!fresh && it->second != hash) {
      return fail(Errc::corrupt, "two share-hash entries for node " + std::to_string(index));
    }
  }
  return out;
}

Bytes serialize_tree(std::span<const Hash32> nodes) {
  Bytes out;
  out.reserve(nodes.size() * 32);
  for (auto& node : nodes) append(out, node);
  return out;
}

}  // namespace lafs::grid
