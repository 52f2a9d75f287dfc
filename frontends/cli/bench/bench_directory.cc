// SPDX-License-Identifier: Apache-2.0
#include "frontends/cli/bench/bench_directory.h"

#include <fmt/format.h>

#include "frontends/cli/bench/measure.h"
#include "grid/crypto/aes_ctr.h"
#include "grid/crypto/random.h"
#include "grid/directory/directory.h"

namespace lafs::cli {
namespace {

using namespace grid;
constexpr auto budget = std::chrono::milliseconds(1000);

std::vector<Child> many_children(std::size_t count) {
  std::vector<Child> out;
  PosixFacts facts;
  facts.mode = 0644;
  facts.mtime = facts.ctime = timespec{1763971200, 123456789};
  Metadata metadata = Metadata::updated(std::nullopt, std::nullopt, 1763971200.25);
  metadata.set_posix(facts);
  for (std::size_t i = 0; i < count; ++i) {
    const auto hash = random_array<32>();
    Child child{fmt::format("photo-{:08}.jpg", i), Cap(), Cap(), metadata};
    if (i % 10 == 0) {
      child.cap = Cap(MutableWriteCap{MutableFormat::sdmf, random_secret<16>(), hash}, true);
      child.read_cap = *child.cap.read_only();
    } else {
      child.cap = child.read_cap = Cap(ChkCap{random_secret<16>(), hash, 3, 10, 1000 + i});
    }
    out.push_back(std::move(child));
  }
  return out;
}

double seconds(const std::function<void()>& step) { return 1 / rate(budget, step); }

// How long something takes, and what the primitive beneath it takes: the ratio says how often.
Figure times(std::string name, double took, double primitive) {
  Figure out{std::move(name), took * 1e3, "ms", primitive * 1e3, took / primitive};
  return out;
}

}  // namespace

Result<std::vector<Figure>> bench_directory(std::size_t count) {
  TableKind kind;
  kind.write_key = random_secret<16>();
  const auto children = many_children(count);
  TRY(table, table_of(children, kind));
  const auto bytes = table.bytes();

  Bytes scratch(*bytes);
  Sha256 hasher;
  AesCtr cipher(random_secret<16>());
  const double pass = seconds([&] {
    hasher.update(scratch);
    (void)hasher.finish();
    cipher.process(scratch);
  });
  std::size_t seen = 0;
  const double list = seconds([&] {
    const Listing listing({}, *Entries::unpack(bytes, kind));
    for (std::size_t i = 0; i < listing.size(); ++i) {
      seen += listing.name(i).size() + (listing.is_directory(i) ? 1 : 0);
    }
  });
  const Listing listing({}, table);
  const double all = seconds([&] { seen += listing.children().size(); });
  const double pack = seconds([&] { seen += table_of(children, kind)->size(); });
  const double edit = seconds([&] {
    auto changed = table;
    changed.remove(children[count / 2].name);
    seen += changed.packed().size();
  });
  const auto what = fmt::format("{} entries, {:.1f} MB", count, double(bytes->size()) / 1e6);
  std::vector<Figure> out{
      times("list " + what + " (limit: one SHA-256 and one AES pass)", list, pass),
      times("pack them, all new", pack, pass),
      times("pack them after one edit", edit, pass),
      times("decrypt and parse every entry", all, pass),
  };

  const FileKeys keys(RsaPrivateKey::generate());
  const Bytes prefix = random_bytes(75);
  const auto signature = keys.private_key.sign(prefix);
  const auto reader = keys.private_key.public_key();
  const double sign = seconds([&] { (void)keys.private_key.sign(prefix); });
  const double verify = seconds([&] { (void)reader.verify(prefix, signature); });
  NewVersion version;
  version.k = 3;
  version.n = 10;
  TRY(encoded, encode_version(version, keys, Bytes(1000)));
  const double encode = seconds([&] { (void)encode_version(version, keys, Bytes(1000)); });
  const double check = seconds([&] {
    SignatureCheck signatures(keys.fingerprint);
    for (const auto& share : encoded.shares) (void)signatures.check(encoded.header, share);
  });
  out.push_back(
      times("encode and sign a small directory, 3-of-10 (limit: RSA-2048 sign)", encode, sign));
  out.push_back(
      times("check the signatures of its ten shares (limit: RSA-2048 verify)", check, verify));
  if (seen == 0) return fail(Errc::internal, "nothing was listed");
  return out;
}

}  // namespace lafs::cli
