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
// What was heard is saved this long after the first word, so that a storm is one write.
constexpr auto save_after = std::chrono::milliseconds(200);
// Each move costs a pool of connections until we end: one who moves more often plays with us.
constexpr unsigned most_moves = 100;

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

Result<Membership::Settings> Membership::read(const NodeDir& node) {
  Settings out;
  TRY_DO(node.may_connect());
  out.nickname = node.nickname();
  TRY(preferred, node.preferred_servers());
  out.preferred = std::move(preferred);
  TRY(managers, node.grid_managers());
  for (const auto& [name, text] : managers) {
    const auto key = introducer::public_key_from_text(text);
    if (!key) {
      return fail(Errc::bad_config, node.config().where("grid_managers", name) +
                                        ": [grid_managers] " + name +
                                        " is not like pub-v0-... and 52 characters");
    }
    out.managers.push_back(*key);
  }
  TRY(servers, node.servers());
  out.servers = std::move(servers);
  TRY(introducers, node.introducers());
  out.introducers = std::move(introducers);
  TRY(feedback, node.config().boolean("feedback", "enabled"));
  out.feedback = feedback.value_or(false);
  if (out.servers.servers.empty() && out.introducers.empty()) {
    const auto& skipped = out.servers.skipped;
    const auto hint = skipped.empty()
                          ? "; copy the grid's servers.yaml there, or name an introducer in " +
                                node.private_path("introducers.yaml").string()
                          : "; the first: " + skipped.front();
    return fail(Errc::no_servers, node.private_path("servers.yaml").string() +
                                      " names no usable storage server" + hint);
  }
  return out;
}

Result<std::unique_ptr<Membership>> Membership::open(const NodeDir& node,
                                                     asio::any_io_executor executor) {
  TRY(settings, read(node));
  std::unique_ptr<Membership> out(new Membership(std::move(executor), node));
  out->apply(std::move(settings));
  if (out->roster_.empty() && out->sources_.empty()) {
    return fail(Errc::no_servers,
                node.private_path("servers.yaml").string() +
                    " names no usable storage server; the first: " + out->skipped_.front());
  }
  return out;
}

Result<std::function<void()>> Membership::reload(const NodeDir& node) {
  TRY(settings, read(node));
  auto shared = std::make_shared<Settings>(std::move(settings));
  return [this, shared] { apply(std::move(*shared)); };
}

std::unique_ptr<Membership::Source> Membership::open_source(IntroducerEntry entry) const {
  auto source = std::make_unique<Source>();
  source->cache_file = private_ / ("introducer_" + entry.petname + "_cache.yaml");
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
  return source;
}

void Membership::apply(Settings settings) {
  settings_ = std::move(settings);
  skipped_.clear();
  for (const auto& why : settings_.servers.skipped) leave_out(why);

  std::vector<std::unique_ptr<Source>> sources;
  for (auto& entry : settings_.introducers) {
    const auto there = std::ranges::find_if(
        sources_, [&](const auto& source) { return source && source->entry == entry; });
    sources.push_back(there != sources_.end() ? std::move(*there) : open_source(entry));
  }
  for (auto& source : sources_) {
    if (source) leaving_.spawn(leave(std::move(source)));
  }
  sources_ = std::move(sources);

  static_ids_.clear();
  announced_.clear();
  auto before = used_;
  for (const auto& entry : settings_.servers.servers) {
    static_ids_.insert(entry.id);
    if (use(entry, nullptr)) before.erase(entry.id);
  }
  for (const auto& source : sources_) {
    for (const auto* known : source->book.entries()) adopt(known->announcement);
  }
  for (const auto& [id, announcement] : announced_) before.erase(id);
  for (const auto& [id, used] : before) {
    log::info("server left: " + used.entry.id);
    roster_.remove(id);
    used_.erase(id);
  }
  if (following_) follow();
  changed_.notify();
}

Task<> Membership::leave(std::unique_ptr<Source> source) {
  if (source->client) co_await source->client->close();
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
  if (!entry) {
    leave_out(entry.error().context);
    return;
  }
  if (!use(*entry, &announcement)) return;
  announced_[id] = announcement;
  changed_.notify();
}

// Servers make themselves heard as often as they like: what is said about them is bounded.
void Membership::leave_out(const std::string& why) {
  constexpr std::size_t most = 1000;
  if (skipped_.size() >= most || std::ranges::find(skipped_, why) != skipped_.end()) return;
  log::info("server left out: " + why);
  skipped_.push_back(why);
}

// Puts a server into the roster as the settings want it; false when it cannot be used.
bool Membership::use(const ServerEntry& entry, const introducer::Announcement* announcement) {
  const auto& wishes = settings_.servers.wishes;
  const auto wished = wishes.find(entry.id);
  Used now{entry, wished == wishes.end() ? ServerWish{} : wished->second,
           settings_.feedback && announcement && announcement->asks_feedback};
  auto server = known_server(now.entry, executor_, now.wish, now.reports);
  if (!server) {
    leave_out(server.error().context);
    return false;
  }
  server->preferred |=
      std::ranges::find(settings_.preferred, entry.id) != settings_.preferred.end();
  // Who is in the file was put there by the node's owner; a manager still has to vouch for it.
  server->needs_voucher = !settings_.managers.empty();
  std::vector<introducer::GridCertificate> certificates;
  for (const auto& [text, signature] : entry.certificates)
    certificates.push_back({text, signature});
  if (announcement) {
    server->notice = announcement->notice;
    certificates = announcement->certificates;
  }
  if (!certificates.empty()) {
    const auto now_time =
        std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
    auto permission =
        introducer::upload_permission(entry.id, certificates, settings_.managers, now_time);
    server->manager_notice = std::move(permission.notice);
    if (permission.expires) server->vouched_until = *permission.expires;
  }
  const auto remark = certificate_remark(*server, std::chrono::system_clock::now());
  if (remark && remark->warning) log::warning(server->name() + ": " + remark->text);
  // Only facts about it have changed: its connections stay.
  const auto before = used_.find(entry.id);
  if (before != used_.end()) {
    now.moves = before->second.moves;
    const bool stays = before->second.entry.nurls == entry.nurls &&
                       before->second.wish == now.wish && before->second.reports == now.reports;
    const auto* known = roster_.find(entry.id);
    if (stays && known) server->server = known->server;
    if (!stays && announcement && ++now.moves > most_moves) {
      leave_out(entry.id + ": announces other addresses again and again; the last is left");
      return false;
    }
  }
  used_[entry.id] = std::move(now);
  roster_.add(std::move(*server));
  return true;
}

void Membership::heard(Source& source, introducer::Announcement announcement,
                       introducer::SignedAnnouncement proof) {
  auto copy = announcement;
  const auto verdict = source.book.add(std::move(announcement), std::move(proof));
  if (verdict != introducer::Book::Verdict::fresh) return;
  adopt(copy);
  source.unsaved = true;
  heard_.notify();
}

void Membership::save() {
  for (auto& source : sources_) {
    if (!source || !std::exchange(source->unsaved, false)) continue;
    auto saved = replace_file(source->cache_file, source->book.to_yaml(), private_file);
    if (!saved) log::warning("not saved: " + saved.error().message());
  }
}

void Membership::warn_of_certificates() const {
  const auto now = std::chrono::system_clock::now();
  for (const auto& server : roster_.all()) {
    const auto remark = certificate_remark(server, now);
    if (remark && remark->warning) log::warning(server.name() + ": " + remark->text);
  }
}

Task<> Membership::watch() {
  constexpr auto a_day = std::chrono::hours(24);
  auto tomorrow = Clock::now() + a_day;
  while (true) {
    co_await heard_.wait(tomorrow);
    co_await sleep_for(save_after);
    save();
    const bool stop = co_await stop_requested();
    if (stop) break;
    if (Clock::now() < tomorrow) continue;
    warn_of_certificates();
    tomorrow += a_day;
  }
}

void Membership::follow() {
  if (!std::exchange(following_, true)) watching_.spawn(watch());
  for (auto& source : sources_) {
    if (source->client) continue;
    auto* at = source.get();
    introducer::Client::Options options;
    options.petname = at->entry.petname;
    options.furl = *storage::Furl::parse(at->entry.furl);
    options.nickname = settings_.nickname;
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
    if (sources_.empty()) break;  // they were taken out meanwhile
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

// For commands that read their files once: nothing is reloaded while it waits.
Task<> Membership::ask_introducers(Duration patience) {
  follow();
  const auto deadline = Clock::now() + patience;
  for (std::size_t i = 0; i < sources_.size(); ++i)
    co_await sources_[i]->client->first_attempt(deadline);
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
  watching_.cancel();
  co_await watching_.join();
  save();
  co_await leaving_.join();
  co_await roster_.close();
}

}  // namespace lafs::grid
