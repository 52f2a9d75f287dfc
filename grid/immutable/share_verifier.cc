// SPDX-License-Identifier: Apache-2.0
#include "grid/immutable/share_verifier.h"

#include <boost/asio/this_coro.hpp>
#include <deque>

#include "grid/crypto/merkle.h"
#include "grid/immutable/chk_share.h"
#include "grid/immutable/file_hashes.h"
#include "grid/immutable/on_pool.h"
#include "grid/immutable/ueb.h"

namespace lafs::grid {

namespace {

constexpr std::uint64_t piece = 1 << 20;  // of blocks, read at once
constexpr std::size_t pieces_at_once = 3;

class Verifier {
 public:
  Verifier(storage::Server& server, ChkVerifyCap cap, ShareNo number, Pool& pool,
           CheckOptions options)
      : server_(server), hashes_(cap), number_(number), pool_(pool), options_(std::move(options)) {}

  Task<Result<>> run() {
    CO_TRY_DO(co_await read_layout());
    CO_TRY_DO(co_await read_ueb());
    auto fits = check_layout(layout_, hashes_.geometry());
    if (!fits) co_return corrupt("header", fits.error().context);
    CO_TRY_DO(co_await read_chain());
    CO_TRY_DO(co_await read_trees());
    co_return co_await read_blocks();
  }

 private:
  static std::unexpected<Error> corrupt(std::string_view where, std::string_view why) {
    return fail(Errc::corrupt, std::string(where) + ": " + std::string(why));
  }

  // As much of it as there is.
  Task<Result<Bytes>> read_some(std::uint64_t offset, std::uint64_t length) {
    if (options_.throttle) co_await options_.throttle->take(length);
    const auto limit = options_.deadline + std::chrono::seconds(length >> 14);
    co_return co_await within(limit, "reading share " + std::to_string(number_.value),
                              server_.read(storage::ShareKind::immutable,
                                           hashes_.cap().storage_index, number_, offset, length));
  }

  Task<Result<Bytes>> read(const char* what, std::uint64_t offset, std::uint64_t length) {
    CO_TRY(bytes, co_await read_some(offset, length));
    if (bytes.size() != length) co_return corrupt(what, "the share ends before its end");
    co_return bytes;
  }

  Task<Result<>> read_layout() {
    CO_TRY(bytes, co_await read_some(0, max_header_length));
    if (bytes.size() >= 4) {
      const auto version = get_be<std::uint32_t>(bytes.data());
      if (version != 1 && version != 2) {
        co_return fail(Errc::unsupported, "share format version " + std::to_string(version));
      }
    }
    auto parsed = parse_header(bytes);
    if (!parsed) co_return corrupt("header", parsed.error().context);
    layout_ = *parsed;
    co_return Result<>{};
  }

  Task<Result<>> read_ueb() {
    const auto width = layout_.field_width();
    CO_TRY(field, co_await read("UEB", layout_.uri_extension, width));
    const std::uint64_t length =
        width == 4 ? get_be<std::uint32_t>(field.data()) : get_be<std::uint64_t>(field.data());
    if (length == 0 || length > max_ueb_length) {
      co_return corrupt("UEB", "a length of " + std::to_string(length) + " bytes");
    }
    CO_TRY(bytes, co_await read("UEB", layout_.uri_extension + width, length));
    auto learnt = hashes_.learn_ueb(bytes);
    if (!learnt && learnt.error().code != Errc::corrupt) co_return learnt;
    if (!learnt) co_return corrupt("UEB", learnt.error().context);
    CO_TRY(ueb, Ueb::parse(bytes));
    auto agrees = ueb.check(hashes_.geometry());
    if (!agrees) co_return corrupt("UEB", agrees.error().context);
    ciphertext_root_ = ueb.ciphertext_root;
    co_return Result<>{};
  }

  Task<Result<>> read_chain() {
    const auto length = layout_.uri_extension - layout_.share_hashes;
    CO_TRY(section, co_await read("share hashes", layout_.share_hashes, length));
    auto chain = parse_share_hashes(section, hashes_.cap().n);
    if (!chain) co_return corrupt("share hashes", chain.error().context);
    auto added = hashes_.share_tree().add(*chain);
    if (!added) co_return corrupt("share hashes", added.error().context);
    const auto leaf = hashes_.share_tree().leaf(number_.value);
    if (!leaf) co_return corrupt("share hashes", "no hash of this share among them");
    block_root_ = *leaf;
    co_return Result<>{};
  }

  Task<Result<>> read_trees() {
    const auto segments = hashes_.geometry().num_segments;
    const auto size = hashes_.geometry().tree_bytes();
    if (layout_.block_tree - layout_.ciphertext_tree != size) {
      co_return corrupt("ciphertext hash tree", "a section of another size than the tree");
    }
    if (layout_.share_hashes - layout_.block_tree != size) {
      co_return corrupt("block hash tree", "a section of another size than the tree");
    }
    CO_TRY(both, co_await read("hash trees", layout_.ciphertext_tree, 2 * size));
    Result<std::vector<Hash32>> ciphertext, blocks;
    co_await on_pool(pool_, segments * 512, [&] {
      ciphertext = check_tree(ByteView(both).first(size), segments, ciphertext_root_);
      blocks = check_tree(ByteView(both).subspan(size), segments, block_root_);
    });
    if (!ciphertext) co_return corrupt("ciphertext hash tree", ciphertext.error().context);
    if (!blocks) co_return corrupt("block hash tree", blocks.error().context);
    block_hashes_ = std::move(*blocks);
    co_return Result<>{};
  }

  Task<Result<>> read_blocks() {
    const auto& g = hashes_.geometry();
    const auto per_piece = std::max<std::uint64_t>(1, piece / g.block_size);
    TaskGroup reading(co_await asio::this_coro::executor);
    Result<> outcome;
    for (std::uint64_t first = 0; first < g.num_segments && outcome; first += per_piece) {
      reading.spawn(check_blocks(first, std::min(first + per_piece, g.num_segments), outcome));
      while (reading.running() >= pieces_at_once && outcome) co_await reading.wait_one();
      const bool stop = co_await stop_requested();
      if (stop) outcome = fail(Errc::cancelled, "verifying a share");
    }
    if (!outcome) reading.cancel();
    co_await reading.join();
    co_return outcome;
  }

  Task<> check_blocks(std::uint64_t first, std::uint64_t last, Result<>& outcome) {
    const auto& g = hashes_.geometry();
    const auto begin = first * g.block_size;
    const auto end = (last - 1) * g.block_size + g.block_length({last - 1});
    auto bytes = co_await read("blocks", layout_.data + begin, end - begin);
    if (!bytes) {
      if (outcome) outcome = std::unexpected(std::move(bytes).error());
      co_return;
    }
    std::optional<std::uint64_t> wrong;
    co_await on_pool(pool_, bytes->size(), [&] {
      thread_local TaggedHasher hasher("allmydata_encoded_subshare_v1");
      for (auto i = first; i < last && !wrong; ++i) {
        const auto block =
            ByteView(*bytes).subspan((i - first) * g.block_size, g.block_length({i}));
        if (hasher.hash(block) != block_hashes_[i]) wrong = i;
      }
    });
    if (wrong && outcome) {
      outcome = corrupt("block " + std::to_string(*wrong), "it is not what was uploaded");
    }
  }

  storage::Server& server_;
  FileHashes hashes_;
  ShareNo number_;
  Pool& pool_;
  CheckOptions options_;
  ShareLayout layout_;
  Hash32 ciphertext_root_{};
  Hash32 block_root_{};
  std::vector<Hash32> block_hashes_;
};

}  // namespace

Result<std::vector<Hash32>> check_tree(ByteView section, std::uint64_t leaves, const Hash32& root) {
  const MerkleShape shape(leaves);
  if (section.size() != shape.nodes() * 32) return fail(Errc::corrupt, "not a whole tree");
  const auto node = [&](std::uint64_t index) {
    Hash32 out;
    std::copy_n(section.begin() + static_cast<std::ptrdiff_t>(index * 32), 32, out.begin());
    return out;
  };
  std::vector<Hash32> own;
  for (std::uint64_t i = 0; i < leaves; ++i) own.push_back(node(shape.node_of_leaf(i)));
  const auto expected = merkle_tree(own);
  if (expected[0] != root) return fail(Errc::corrupt, "the hashes do not lead to the root");
  for (std::uint64_t i = 0; i < expected.size(); ++i) {
    if (expected[i] != node(i)) {
      return fail(Errc::corrupt, "node " + std::to_string(i) + " is wrong");
    }
  }
  return own;
}

Task<Result<>> verify_share(storage::Server& server, ChkVerifyCap cap, ShareNo number, Pool& pool,
                            CheckOptions options) {
  CO_TRY_DO(check_usable(cap));
  auto verifier = std::make_unique<Verifier>(server, cap, number, pool, std::move(options));
  co_return co_await verifier->run();
}

}  // namespace lafs::grid
