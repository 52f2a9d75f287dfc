// SPDX-License-Identifier: Apache-2.0
#include "cache/staging.h"

#include <openssl/evp.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "grid/caps/keys.h"
#include "grid/caps/tags.h"
#include "grid/crypto/random.h"

namespace lafs::cache {

namespace {

constexpr std::uint64_t sector_size = 4096;
// Encrypted and written in pieces of this size, so that the scratch buffer stays small.
constexpr std::uint64_t piece_size = 64 * sector_size;
// The first page says what the file is; content follows.
constexpr std::uint64_t content_at = sector_size;
constexpr std::string_view magic = "lafsstg1";
constexpr std::size_t most_label = 2048;
constexpr std::uint64_t most_size = INT64_MAX - 2 * sector_size;
constexpr std::string_view spare_prefix = "spare-";
constexpr std::size_t most_spares = 2000;

std::string name_of(StagedId id) {
  std::uint8_t raw[8];
  put_be<std::uint64_t>(raw, id);
  return to_hex(raw);
}

std::optional<StagedId> id_of(std::string_view name) {
  const auto raw = from_hex(name);
  if (!raw || raw->size() != 8) return std::nullopt;
  return get_be<std::uint64_t>(raw->data());
}

ByteRange whole_sectors(ByteRange range) {
  return {range.begin / sector_size * sector_size, round_up(range.end, sector_size)};
}

}  // namespace

// Each sector is one XTS data unit, its number the tweak.
struct StagedFile::Cipher {
  explicit Cipher(const StagedKey& k) : key(k) {
    EVP_EncryptInit_ex(encrypt, EVP_aes_128_xts(), nullptr, key.data(), nullptr);
    EVP_DecryptInit_ex(decrypt, EVP_aes_128_xts(), nullptr, key.data(), nullptr);
  }
  ~Cipher() {
    EVP_CIPHER_CTX_free(encrypt);
    EVP_CIPHER_CTX_free(decrypt);
  }
  void run(EVP_CIPHER_CTX* context, bool encrypting, std::uint64_t sector, std::uint8_t* data) {
    std::uint8_t tweak[16] = {};
    for (int i = 0; i < 8; ++i) tweak[i] = static_cast<std::uint8_t>(sector >> (8 * i));
    int n = 0;
    EVP_CipherInit_ex(context, nullptr, nullptr, nullptr, tweak, encrypting);
    EVP_CipherUpdate(context, data, &n, data, sector_size);
  }

  StagedKey key;
  EVP_CIPHER_CTX* encrypt = EVP_CIPHER_CTX_new();
  EVP_CIPHER_CTX* decrypt = EVP_CIPHER_CTX_new();
};

Result<std::unique_ptr<StagedFile>> StagedFile::create(const std::string& directory,
                                                       std::uint64_t size) {
  auto disk = std::make_unique<Disk>();
  TRY(file, disk->open_nameless(directory));
  auto cipher = std::make_unique<Cipher>(grid::random_secret<32>());
  auto made = std::unique_ptr<StagedFile>(new StagedFile(std::move(file), std::move(cipher), size));
  made->own_disk_ = std::move(disk);
  return made;
}

StagedFile::StagedFile(std::shared_ptr<DiskFile> file, std::unique_ptr<Cipher> cipher,
                       std::uint64_t size)
    : file_(std::move(file)), size_(size), inherited_size_(size), cipher_(std::move(cipher)) {}

StagedFile::~StagedFile() = default;

const StagedKey& StagedFile::key() const { return cipher_->key; }

Result<> StagedFile::load_sector(std::uint64_t sector, std::uint8_t* out) const {
  std::memset(out, 0, sector_size);
  // A sector without local bytes was never written (or its bytes are void): nothing to decrypt.
  if (!local_.overlaps({sector * sector_size, (sector + 1) * sector_size})) return {};
  TRY(got, file_->read(content_at + sector * sector_size, {out, sector_size}));
  if (got != sector_size) return fail(Errc::io, file_->path() + ": cut short");
  cipher_->run(cipher_->decrypt, false, sector, out);
  return {};
}

Result<> StagedFile::charge(ByteRange more) {
  if (!budget_) return {};
  more = whole_sectors(more);
  std::uint64_t bytes = 0;
  for (const auto& gap : charged_.missing(more)) bytes += gap.size();
  if (bytes == 0) return {};
  TRY_DO(budget_->take(id_, bytes));
  charged_.add(more);
  return {};
}

Result<> StagedFile::store(std::uint64_t offset, ByteView data) {
  TRY_DO(charge({offset, offset + data.size()}));
  static thread_local Bytes scratch;  // one size for ever; no call of this suspends
  while (!data.empty()) {
    const auto first = offset / sector_size;
    const auto skip = offset % sector_size;
    const auto take = std::min<std::uint64_t>(data.size(), piece_size - skip);
    const auto sectors = ceil_div(skip + take, sector_size);
    scratch.resize(sectors * sector_size);
    // Only the edges can hold bytes that this write does not replace.
    const auto last = first + sectors - 1;
    if (skip != 0) TRY_DO(load_sector(first, scratch.data()));
    if ((skip + take) % sector_size != 0 && (last != first || skip == 0))
      TRY_DO(load_sector(last, scratch.data() + (sectors - 1) * sector_size));
    std::copy_n(data.begin(), take, scratch.begin() + static_cast<std::ptrdiff_t>(skip));
    for (std::uint64_t i = 0; i < sectors; ++i)
      cipher_->run(cipher_->encrypt, true, first + i, scratch.data() + i * sector_size);
    TRY_DO(file_->write(content_at + first * sector_size, scratch));
    local_.add({offset, offset + take});
    offset += take;
    data = data.subspan(take);
  }
  // After the bytes and before the record that speaks of them: its group then syncs them.
  if (dirty_) dirty_->add(file_);
  return {};
}

Result<> StagedFile::write(std::uint64_t offset, ByteView data) {
  if (offset > most_size - data.size()) return fail(Errc::too_large, "staging file");
  if (data.empty()) return {};
  ++version_;
  TRY_DO(store(offset, data));
  size_ = std::max(size_, offset + data.size());
  return {};
}

Result<> StagedFile::fill(std::uint64_t offset, ByteView data) {
  const ByteRange all{offset, std::min(offset + data.size(), inherited_size_)};
  for (const auto& gap : local_.missing(all))
    TRY_DO(store(gap.begin, data.subspan(gap.begin - offset, gap.size())));
  return {};
}

void StagedFile::truncate(std::uint64_t size) {
  ++version_;
  inherited_size_ = std::min(inherited_size_, size);
  local_.remove({size, UINT64_MAX});
  size_ = size;
}

std::vector<ByteRange> StagedFile::missing(std::uint64_t offset, std::uint64_t length) const {
  const auto end = std::min(offset + length, inherited_size_);
  if (offset >= end) return {};
  return local_.missing({offset, end});
}

// Whole sectors are read and decrypted where they are wanted, many with one call.
Result<> StagedFile::read(std::uint64_t offset, MutableBytes out) const {
  const auto present = local_.present({offset, offset + out.size()});
  auto done = offset;
  const auto zero_to = [&](std::uint64_t end) {
    std::fill(out.begin() + static_cast<std::ptrdiff_t>(done - offset),
              out.begin() + static_cast<std::ptrdiff_t>(end - offset), 0);
    done = end;
  };
  std::uint8_t sector_bytes[sector_size];
  for (const auto& there : present) {
    zero_to(there.begin);
    while (done < there.end) {
      const auto sector = done / sector_size;
      const auto skip = done % sector_size;
      auto* const to = out.data() + (done - offset);
      const auto whole = skip == 0 ? (there.end - done) / sector_size * sector_size : 0;
      if (whole == 0) {
        const auto take = std::min(sector_size - skip, there.end - done);
        TRY_DO(load_sector(sector, sector_bytes));
        std::copy_n(sector_bytes + skip, take, to);
        done += take;
        continue;
      }
      TRY(got, file_->read(content_at + done, {to, whole}));
      if (got != whole) return fail(Errc::io, file_->path() + ": cut short");
      for (std::uint64_t at = 0; at < whole; at += sector_size)
        cipher_->run(cipher_->decrypt, false, (done + at) / sector_size, to + at);
      done += whole;
    }
  }
  zero_to(offset + out.size());
  return {};
}

Result<> StagedFile::zero(std::uint64_t offset, std::uint64_t length) {
  const auto end = std::min(
      size_, length > most_size - std::min(offset, most_size) ? most_size : offset + length);
  if (offset >= end) return {};
  if (offset >= inherited_size_) {  // what is not local is zero there anyway
    ++version_;
    local_.remove({offset, end});
    return {};
  }
  const Bytes zeros(std::min<std::uint64_t>(end - offset, piece_size));
  for (auto at = offset; at < end; at += zeros.size())
    TRY_DO(write(at, ByteView(zeros).first(std::min<std::uint64_t>(zeros.size(), end - at))));
  return {};
}

Result<> StagedFile::trim() {
  RangeSet needed;
  for (const auto& range : local_.ranges()) needed.add(whole_sectors(range));
  TRY(end, file_->size());
  if (end <= content_at) return {};
  for (const auto& gap : needed.missing({0, end - content_at}))
    TRY_DO(file_->punch(content_at + gap.begin, gap.size()));
  if (!budget_) return {};
  budget_->give_back(id_, charged_.total() - needed.total());
  charged_ = std::move(needed);
  return {};
}

Staging::Staging(Disk& disk, std::shared_ptr<Journal::Dirty> dirty, Options options)
    : disk_(disk),
      dirty_(std::move(dirty)),
      options_(std::move(options)),
      budget_(std::make_shared<DiskBudget>(disk, options_.directory, options_.budget)),
      sealer_(grid::cache_key(grid::tags::cache_staging, options_.node_secret)) {}

Result<std::unique_ptr<Staging>> Staging::open(Disk& disk, std::shared_ptr<Journal::Dirty> dirty,
                                               Options options) {
  TRY_DO(disk.make_directory(options.directory));
  auto staging = std::unique_ptr<Staging>(new Staging(disk, std::move(dirty), std::move(options)));
  TRY(ids, staging->ids());
  // Random, so that an id is not used twice although the files of a former life are gone.
  std::uint64_t start = 0;
  const auto chance = grid::random_array<6>();
  for (const auto byte : chance) start = start << 8 | byte;
  staging->next_id_ = (start << 15) + 1;
  for (const auto id : ids) staging->next_id_ = std::max(staging->next_id_, id + 1);
  TRY(names, disk.names_in(staging->options_.directory));
  for (const auto& name : names)
    if (name.starts_with(spare_prefix))
      if (const auto id = id_of(std::string_view(name).substr(spare_prefix.size())))
        staging->spares_.push_back(*id);
  return staging;
}

std::string Staging::path_of(StagedId id) const { return options_.directory + "/" + name_of(id); }

std::string Staging::spare_path(StagedId id) const {
  return options_.directory + "/" + std::string(spare_prefix) + name_of(id);
}

// A spare under the new name `path`; not_found when there is none.
Result<std::shared_ptr<DiskFile>> Staging::open_spare(const std::string& path) {
  while (!spares_.empty()) {
    const auto spare = spare_path(spares_.back());
    spares_.pop_back();
    if (!disk_.rename(spare, path)) continue;
    TRY(file, disk_.open(path, Disk::Open::existing));
    TRY(size, file->size());
    if (size == 0) return file;
    // A loss of power came between: it may have another name as well, and somebody's content.
    TRY_DO(disk_.unlink(path));
  }
  return fail(Errc::not_found, path);
}

Result<std::unique_ptr<StagedFile>> Staging::create(std::uint64_t size, std::string_view label) {
  const auto id = next_id_++;
  TRY_DO(budget_->take(0, 0));
  auto opened = open_spare(path_of(id));
  if (!opened) opened = disk_.open(path_of(id), Disk::Open::create_new);
  TRY(file, std::move(opened));
  auto cipher = std::make_unique<StagedFile::Cipher>(grid::random_secret<32>());
  Bytes page(sector_size), inside(cipher->key.view().begin(), cipher->key.view().end());
  append(inside, as_bytes(label.substr(0, most_label)));
  std::ranges::copy(as_bytes(magic), page.begin());
  put_be<std::uint64_t>(page.data() + 8, id);
  const auto sealed = sealer_.seal_with_nonce(ByteView(page).first(16), inside);
  put_be<std::uint32_t>(page.data() + 16, static_cast<std::uint32_t>(sealed.size()));
  std::ranges::copy(sealed, page.begin() + 20);
  OPENSSL_cleanse(inside.data(), inside.size());
  if (auto written = file->write(0, page); !written) {
    auto ignored = disk_.unlink(file->path());
    return std::unexpected(std::move(written.error()));
  }
  dirty_->add(file);
  dirty_->add_directory(options_.directory);
  auto made = std::unique_ptr<StagedFile>(new StagedFile(std::move(file), std::move(cipher), size));
  made->id_ = id;
  made->dirty_ = dirty_;
  made->budget_ = budget_;
  return made;
}

Staging::Memory Staging::memory_of(const StagedFile& file) {
  return {file.id_, file.key(), file.size_, file.inherited_size_, file.local_};
}

void Staging::keep(const Memory& memory) {
  RangeSet sectors;
  for (const auto& range : memory.local.ranges()) sectors.add(whole_sectors(range));
  budget_->charge(memory.id, sectors.total());
}

Result<std::unique_ptr<StagedFile>> Staging::reopen(const Memory& memory) {
  TRY(file, disk_.open(path_of(memory.id), Disk::Open::existing));
  TRY(end, file->size());
  const auto ranges = memory.local.ranges();
  if (!ranges.empty() && (ranges.back().end > most_size ||
                          content_at + round_up(ranges.back().end, sector_size) > end))
    return fail(Errc::corrupt, file->path() + ": shorter than what was written to it");
  auto opened = std::unique_ptr<StagedFile>(new StagedFile(
      std::move(file), std::make_unique<StagedFile::Cipher>(memory.key), memory.size));
  opened->id_ = memory.id;
  opened->inherited_size_ = memory.inherited_size;
  opened->local_ = memory.local;
  for (const auto& range : ranges) opened->charged_.add(whole_sectors(range));
  opened->dirty_ = dirty_;
  opened->budget_ = budget_;
  budget_->charge(opened->id_, opened->charged_.total());
  return opened;
}

Result<Staging::Salvaged> Staging::salvage(StagedId id) {
  TRY(file, disk_.open(path_of(id), Disk::Open::existing));
  Bytes page(sector_size);
  TRY(got, file->read(0, page));
  const auto bad = [&] {
    return fail(Errc::corrupt, file->path() + ": its first page is damaged");
  };
  if (got != page.size() || as_text(ByteView(page).first(magic.size())) != magic) return bad();
  const auto sealed = slice(page, 20, get_be<std::uint32_t>(page.data() + 16));
  if (!sealed || get_be<std::uint64_t>(page.data() + 8) != id) return bad();
  const auto inside = sealer_.open_with_nonce(ByteView(page).first(16), *sealed);
  if (!inside || inside->size() < StagedKey::size) return bad();
  Salvaged out;
  out.memory.id = id;
  out.memory.key = *StagedKey::from(ByteView(*inside).first(StagedKey::size));
  out.label = to_text(ByteView(*inside).subspan(StagedKey::size));
  TRY(end, file->size());
  for (auto at = static_cast<off_t>(content_at); static_cast<std::uint64_t>(at) < end;) {
    const auto begin = ::lseek(file->fd(), at, SEEK_DATA);
    if (begin < 0) break;
    at = ::lseek(file->fd(), begin, SEEK_HOLE);
    if (at < 0) at = static_cast<off_t>(end);
    out.memory.local.add({static_cast<std::uint64_t>(begin) - content_at,
                          static_cast<std::uint64_t>(at) - content_at});
  }
  const auto ranges = out.memory.local.ranges();
  out.memory.size = ranges.empty() ? 0 : ranges.back().end;
  return out;
}

Result<> Staging::remove(StagedId id) { return disk_.unlink(path_of(id)); }

std::size_t Staging::spares_wanted() const {
  return most_spares - std::min(most_spares, spares_.size());
}

Result<> Staging::empty(StagedId id) {
  const auto path = path_of(id);
  TRY(file, disk_.open(path, Disk::Open::existing));
  TRY_DO(file->resize(0));
  return disk_.rename(path, spare_path(id));
}

void Staging::add_spare(StagedId id) { spares_.push_back(id); }

Result<> Staging::set_aside(StagedId id) {
  TRY_DO(disk_.make_directory(aside()));
  const auto path = path_of(id);
  return disk_.rename(path, aside() + path.substr(path.rfind('/')));
}

Result<std::vector<StagedId>> Staging::ids() const {
  TRY(names, disk_.names_in(options_.directory));
  std::vector<StagedId> out;
  for (const auto& name : names)
    if (const auto id = id_of(name)) out.push_back(*id);
  return out;
}

}  // namespace lafs::cache
