// SPDX-License-Identifier: Apache-2.0

// Session: LIST, NLST, MLSD and STAT of a path.

#include <ctime>

#include "frontends/ftp/convert.h"
#include "frontends/ftp/listing.h"
#include "frontends/ftp/session.h"

namespace lafs::ftp {

namespace {
constexpr std::size_t page = 1000;
constexpr std::size_t send_at = 64 * 1024;
// STAT answers on the control connection, in one piece.
constexpr std::size_t status_lines_max = 10'000;
}  // namespace

// Where the lines of one listing go, and what they look like.
struct Session::Lister {
  Do form = Do::list;
  FactSet facts = all_facts;
  bool all = false;  // names with a leading dot
  bool writable = true;
  std::string pattern;      // empty: everything
  std::string name_prefix;  // of NLST's lines: what the client typed before the name
  std::time_t now = std::time(nullptr);
  std::string out;
  std::vector<std::string>* lines = nullptr;  // for STAT: instead of `out`

  void add(const fs::Attributes& attributes, std::string_view name, std::string_view target) {
    // A name with a line end in it would be two lines, and the second one anything.
    if (name.find_first_of("\r\n") != name.npos) return;
    if (target.find_first_of("\r\n") != target.npos) target = {};
    switch (form) {
      case Do::names:
        out += name_prefix;
        out += name;
        break;
      case Do::machine_list: {
        FactsOf of{attributes};
        of.link_target = target;
        of.writable = writable;
        append_facts(out, of, facts);
        out += name;
        break;
      }
      default:
        append_list_line(out, attributes, name, target, now);
    }
    if (lines)
      lines->push_back(std::exchange(out, {}));
    else
      out += "\r\n";
  }
};

Task<Result<>> Session::list_directory(Lister& lister, fs::NodeRef& directory) {
  CO_TRY(handle, co_await files().open_directory(directory.id()));
  Result<> done;
  std::uint64_t after = 0;
  for (bool more = true; more && done;) {
    auto entries = co_await files().read_directory(handle, after, page, false);
    if (!entries) {
      done = std::unexpected(std::move(entries.error()));
      break;
    }
    more = !entries->empty();
    for (auto& entry : *entries) {
      after = entry.cookie;
      const bool hidden = entry.name.starts_with('.') && !lister.all;
      if (lister.pattern.empty() ? hidden : !matches(entry.name, lister.pattern)) continue;
      std::string target;
      if (entry.attributes.kind == fs::Kind::symlink && lister.form != Do::names) {
        // Needs a reference, which the listing did not take.
        auto node = co_await files().lookup(directory.id(), entry.name);
        if (node) {
          auto read = co_await files().readlink(node->id);
          if (read) target = std::move(*read);
          files().forget(node->id, 1);
        }
      }
      lister.add(entry.attributes, entry.name, target);
      if (lister.lines && lister.lines->size() > status_lines_max)
        done = fail(Errc::too_large, "STAT");
      if (lister.out.size() >= send_at) {
        const bool sent = co_await send_data(as_bytes(lister.out));
        if (!sent) done = fail(Errc::cancelled, "listing");
        lister.out.clear();
      }
      if (!done) break;
    }
  }
  co_await files().close_directory(handle);
  co_return done;
}

Task<Reply> Session::send_listing(Step step) {
  if (names_partial(step.path)) co_return Reply{550, "No such file or directory."};
  Lister lister;
  lister.form = step.what;
  lister.facts = control_.facts();
  lister.all = step.listing.all || step.what == Do::machine_list;
  lister.writable = !read_only_;
  const bool machine = step.what == Do::machine_list;
  auto typed = machine ? step.name : step.listing.path;
  auto node = co_await walker().node(step.path);
  // Somebody may have named a file so: the name itself comes before the pattern.
  if (!node && !machine && is_pattern(step.path)) {
    lister.pattern = split_pattern(step.path).pattern;
    node = co_await walker().node(split_pattern(step.path).directory);
    typed = split_pattern(typed).directory;
  }
  if (!node) co_return failed(node.error(), step.path);
  const bool directory = node->is(fs::Kind::directory);
  if (machine && !directory) co_return Reply{501, "MLSD lists directories; MLST is for files."};
  if (directory && !typed.empty()) lister.name_prefix = typed.ends_with('/') ? typed : typed + "/";
  auto trouble = co_await open_data("Here comes the directory listing.", true);
  if (trouble) co_return std::move(*trouble);
  Result<> done;
  if (directory && !step.listing.itself) {
    if (machine) {
      FactsOf self{node->attributes()};
      self.writable = lister.writable;
      self.type = "cdir";
      append_facts(lister.out, self, lister.facts);
      lister.out += ".\r\n";
      auto above = co_await walker().node(step.path + "/..");
      if (above) {
        FactsOf parent{above->attributes()};
        parent.writable = lister.writable;
        parent.type = "pdir";
        append_facts(lister.out, parent, lister.facts);
        lister.out += "..\r\n";
      }
    } else if (lister.all && lister.pattern.empty()) {
      const auto prefix = std::exchange(lister.name_prefix, {});
      lister.add(node->attributes(), ".", {});
      lister.add(node->attributes(), "..", {});
      lister.name_prefix = prefix;
    }
    done = co_await list_directory(lister, *node);
  } else {
    lister.add(node->attributes(), typed.empty() ? "." : typed, {});
  }
  if (done && !lister.out.empty()) {
    const bool sent = co_await send_data(as_bytes(lister.out));
    if (!sent) done = fail(Errc::cancelled, "listing");
  }
  co_await close_data(done.has_value());
  if (!done && done.error().code == Errc::cancelled)
    co_return Reply{426, "Connection closed; transfer aborted."};
  if (!done) co_return failed(done.error(), step.path);
  co_return Reply{226, "Directory send OK."};
}

Task<Reply> Session::status_of(Step step) {
  Lister lister;
  std::vector<std::string> lines;
  lister.lines = &lines;
  lister.all = step.listing.all;
  auto node = co_await walker().node(step.path);
  if (!node && is_pattern(step.path)) {
    lister.pattern = split_pattern(step.path).pattern;
    node = co_await walker().node(split_pattern(step.path).directory);
  }
  if (!node) co_return failed(node.error(), step.path);
  const bool directory = node->is(fs::Kind::directory);
  if (directory && !step.listing.itself) {
    auto done = co_await list_directory(lister, *node);
    if (!done) co_return failed(done.error(), step.path);
  } else {
    lister.add(node->attributes(), step.listing.path, {});
  }
  if (lines.empty()) co_return Reply{directory ? 212 : 213, "Nothing there."};
  co_return Reply{directory ? 212 : 213, "Status follows:", std::move(lines), "End of status"};
}

}  // namespace lafs::ftp
