// SPDX-License-Identifier: Apache-2.0
#include "grid/membership.h"

#include <sys/stat.h>

#include <algorithm>

#include "grid/base/log.h"
#include "grid/base/version.h"
#include "grid/introducer/certificates.h"
#include "grid/known_server.h"
#include "grid/node_dir/files.h"
#include "grid/storage/nurl.h"

namespace lafs::grid {

namespace {

constexpr std::size_t largest_cache = 64u << 20;
// What is remembered for longer is looked up again, also by a command that runs for a moment.
constexpr auto memory_is_good_for = std::chrono::hours(1);

bool is_old(const std::filesystem::path& file) {
  struct stat facts{};
  if (::stat(file.c_str(), &facts) != 0) return true;
  const auto written = std::chrono::system_clock::from_time_t(facts.st_mtime);
  return std::chrono::system_clock::now() - written > memory_is_good_for;
}

}  // namespace

Result<ServerEntry> server_entry(const introducer::Announcement& announcement) {
  ServerEntry out;
  out.id = announcement.server_id;
  out.nickname = announcement.nickname;
  if (announcement.furl.empty())
    return fail(Errc::bad_config, out.id + ": announces no anonymous-storage-FURL");
  const auto furl = storage::Furl::parse(announcement.furl);
  if (!furl) return annotate(furl.error(), out.id);
  out.furl = announcement.furl;
  out.lease_seed = furl->tub_id;
  out.permutation_seed = storage::permutation_seed(out.id, announcement.permutation_seed);
  for (const auto& nurl : announcement.nurls) {
    if (storage::Nurl::parse(nurl)) out.nurls.push_back(nurl);
  }
  return out;
}

Result<std::unique_ptr<Membership>> Membership::open(const NodeDir& node,
                                                     asio::any_io_executor executor) {
  std::unique_ptr<Membership> out(new Membership(std::move(executor), node.path()));
  out->nickname_ = node.nickname();
  TRY(preferred, node.preferred_servers());
  out->preferred_ = std::move(preferred);
  TRY(managers, node.grid_managers());
  for (const auto& [name, text] : managers) {
    const auto key = introducer::public_key_from_text(text);
    if (!key) {
      return fail(Errc::bad_config, node.config().where("grid_managers", name) +
                                        ": [grid_managers] " + name +
                                        " is not like pub-v0-... and 52 characters");
    }
    out->managers_.push_back(*key);
  }
  TRY_DO(out->read_static(node));
  TRY_DO(out->read_introducers(node));
  for (const auto& why : out->skipped_) log::info("server left out: " + why);
  if (out->roster_.empty() && out->sources_.empty()) {
    const auto hint = out->skipped_.empty()
                          ? "; copy the grid's servers.yaml there, or name an introducer in " +
                                node.private_path("introducers.yaml").string()
                          : "; the first: " + out->skipped_.front();
    return fail(Errc::no_servers, node.private_path("servers.yaml").string() +
                                      " names no usable storage server" + hint);
  }
  return out;
}

Result<> Membership::read_static(const NodeDir& node) {
  TRY(file, node.servers());
  skipped_ = std::move(file.skipped);
  for (const auto& entry : file.servers) {
    static_ids_[entry.id] = true;
    auto server = known_server(entry, executor_);
    if (!server) {
      skipped_.push_back(server.error().context);
      continue;
    }
    server->preferred = std::ranges::find(preferred_, entry.id) != preferred_.end();
    // Who is in the file was put there by the node's owner; a manager still has to vouch for it.
    server->needs_voucher = !managers_.empty();
    roster_.add(std::move(*server));
  }
  return {};
}

Result<> Membership::read_introducers(const NodeDir& node) {
  TRY(entries, node.introducers());
  if (entries.empty()) return {};
  TRY(identity, storage::Identity::load_or_create(node.private_path("node.pem")));
  identity_ = std::move(identity);
  for (auto& entry : entries) {
    auto source = std::make_unique<Source>();
    source->cache_file = node.private_path("introducer_" + entry.petname + "_cache.yaml");
    source->entry = std::move(entry);
    source->old = is_old(source->cache_file);
    if (auto text = read_small_file(source->cache_file, largest_cache)) {
      auto book = introducer::Book::from_yaml(*text, source->cache_file.string());
      if (book) {
        source->book = std::move(*book);
      } else {
        log::warning("not read: " + book.error().message());
      }
    }
    for (const auto* known : source->book.entries()) adopt(known->announcement);
    sources_.push_back(std::move(source));
  }
  return {};
}

// Announcements of one server by several introducers are one sequence: a server's numbers grow over
// all that it publishes.
void Membership::adopt(const introducer::Announcement& announcement) {
  const auto& id = announcement.server_id;
  if (announcement.service != "storage" || static_ids_.contains(id)) return;
  const auto old = announced_.find(id);
  if (old != announced_.end()) {
    if (old->second.content == announcement.content) return;
    if (old->second.number &&
        (!announcement.number || *announcement.number <= *old->second.number)) {
      return;
    }
  }
  auto entry = server_entry(announcement);
  auto server = entry ? known_server(*entry, executor_)
                      : Result<storage::KnownServer>(std::unexpected(entry.error()));
  if (!server) {
    skipped_.push_back(server.error().context);
    return;
  }
  server->preferred = std::ranges::find(preferred_, id) != preferred_.end();
  server->needs_voucher = !managers_.empty();
  const auto permission = introducer::upload_permission(
      id, announcement.certificates, managers_,
      std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now()));
  if (permission.expires) {
    server->vouched_until = *permission.expires;
    constexpr auto soon = std::chrono::days(14);
    const auto left = *permission.expires - std::chrono::system_clock::now();
    if (left < soon) {
      log::warning("the grid manager's certificate of " + server->name() +
                   (left.count() < 0 ? " has expired" : " expires within two weeks"));
    }
  }
  if (old != announced_.end() && old->second.nurls == announcement.nurls) {
    // Only facts about it have changed: its connections stay.
    for (const auto& known : roster_.all()) {
      if (known.id == id) server->server = known.server;
    }
  }
  announced_[id] = announcement;
  roster_.add(std::move(*server));
  changed_.notify();
}

void Membership::heard(Source& source, introducer::Announcement announcement,
                       introducer::SignedAnnouncement proof) {
  auto copy = announcement;
  const auto verdict = source.book.add(std::move(announcement), std::move(proof));
  if (verdict != introducer::Book::Verdict::fresh) return;
  adopt(copy);
  auto saved = replace_file(source.cache_file, source.book.to_yaml(), private_file);
  if (!saved) log::warning("not saved: " + saved.error().message());
}

void Membership::follow() {
  for (auto& source : sources_) {
    if (source->client) continue;
    auto* at = source.get();
    introducer::Client::Options options;
    options.petname = at->entry.petname;
    options.furl = *storage::Furl::parse(at->entry.furl);
    options.nickname = nickname_;
    options.version = std::string(program_version);
    options.heard = [this, at](introducer::Announcement announcement,
                               introducer::SignedAnnouncement proof) {
      heard(*at, std::move(announcement), std::move(proof));
    };
    at->client = std::make_unique<introducer::Client>(executor_, identity_, std::move(options));
    at->client->start();
  }
}

Task<Result<>> Membership::find_servers(std::size_t enough, Duration patience) {
  const bool old = std::ranges::any_of(sources_, [](const auto& s) { return s->old; });
  if (sources_.empty()) co_return Result<>{};
  const auto known = [this] { return roster_.all().size(); };
  if (old || known() < enough) follow();
  const auto begin = Clock::now();
  const auto deadline = begin + patience;
  // Servers that start together with us announce themselves a little later.
  constexpr auto a_moment = std::chrono::seconds(3);
  while (known() < enough && Clock::now() < deadline) {
    if (known() > 0 && Clock::now() > begin + a_moment) break;
    co_await changed_.wait(std::min(deadline, Clock::now() + std::chrono::milliseconds(100)));
    const bool stop = co_await stop_requested();
    if (stop) co_return fail(Errc::cancelled);
    // Everybody was asked in vain: waiting longer changes nothing soon.
    const bool hopeless = std::ranges::all_of(sources_, [](const auto& s) {
      const auto status = s->client->status();
      return !status.connected && status.why != introducer::not_tried_yet;
    });
    if (hopeless) break;
  }
  if (!roster_.empty()) co_return Result<>{};
  std::string why;
  for (const auto& status : introducers()) {
    why += (why.empty() ? "" : "; ") + status.petname + ": " +
           (status.connected ? "announces no storage server" : status.why);
  }
  co_return fail(Errc::no_servers, "the introducers named no storage server (" + why + ")");
}

std::vector<introducer::Client::Status> Membership::introducers() const {
  std::vector<introducer::Client::Status> out;
  for (const auto& source : sources_) {
    if (source->client) {
      out.push_back(source->client->status());
      continue;
    }
    introducer::Client::Status status;
    status.petname = source->entry.petname;
    status.heard = source->book.size();
    status.why = "not asked; its announcements are remembered";
    out.push_back(std::move(status));
  }
  return out;
}

Task<> Membership::close() {
  for (auto& source : sources_) {
    if (source->client) co_await source->client->close();
  }
  co_await roster_.close();
}

}  // namespace lafs::grid
