// SPDX-License-Identifier: Apache-2.0
#include "frontends/cli/bench_mount.h"

#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <cstdio>

#include "frontends/cli/output.h"

namespace lafs::cli {

namespace {

namespace stdfs = std::filesystem;
namespace json = boost::json;

// The servers, the node, and both drives. Takes everything down again, whatever happened.
class Site {
 public:
  static Result<std::unique_ptr<Site>> make(const MountBench& what) {
    std::unique_ptr<Site> out(new Site);
    auto pattern = (what.directory.empty() ? stdfs::temp_directory_path() : what.directory) /
                   "lafs-bench-XXXXXX";
    std::string name = pattern.string();
    if (!::mkdtemp(name.data())) return fail(Errc::io, "cannot make " + name);
    out->base_ = name;
    for (const char* part : {"drive", "rival", "cipher", "tree"})
      stdfs::create_directory(out->base_ / part);
    TRY_DO(make_source_tree(out->path("tree"), what.scale));
    TRY_DO(out->lafs(
        {"grid", "start", "--servers", std::to_string(what.servers), "--dir", out->path("grid")}));
    out->grid_ = true;
    TRY_DO(out->lafs(
        {"create-node", "--grid", out->path("grid/servers.yaml"), "--shares", what.shares}));
    TRY_DO(out->mount());
    if (what.against_gocryptfs) {
      auto made = run_program({"gocryptfs", "-q", "-init", "-scryptn", "10", "-extpass", "echo",
                               "-extpass", "bench", out->path("cipher")});
      if (!made) return fail(Errc::not_found, "gocryptfs cannot be run (is it installed?)");
      TRY_DO(run_program({"gocryptfs", "-q", "-nosyslog", "-extpass", "echo", "-extpass", "bench",
                          out->path("cipher"), out->path("rival")}));
      out->rival_ = true;
    }
    return out;
  }

  ~Site() {
    if (mounted_) (void)unmount();
    if (rival_) (void)run_program({"fusermount", "-u", path("rival")});
    if (grid_) (void)lafs({"grid", "stop", "--dir", path("grid")});
    std::error_code ignored;
    if (!base_.empty()) stdfs::remove_all(base_, ignored);
  }

  std::string path(const char* part) const { return (base_ / part).string(); }
  Result<> mount() {
    TRY_DO(lafs({"mount", path("drive")}));
    mounted_ = true;
    return {};
  }
  Result<> unmount() {
    mounted_ = false;
    return lafs({"umount", "--now", path("drive")});  // what is left is thrown away
  }
  Result<> unmount_when_stored() {
    mounted_ = false;
    return lafs({"umount", path("drive")});
  }
  // What was read. Nothing is mounted.
  void forget_reads() {
    std::error_code ignored;
    stdfs::remove_all(path("node/private/cache"), ignored);
  }
  Result<> lafs(std::vector<std::string> words) {
    std::vector<std::string> all{"/proc/self/exe", "--node", path("node")};
    all.insert(all.end(), words.begin(), words.end());
    return run_program(all);
  }

 private:
  Site() = default;

  stdfs::path base_;
  bool grid_ = false, mounted_ = false, rival_ = false;
};

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, value < 10 ? "%.2f" : "%.0f", value);
  return text;
}

// A large file that only the servers have, read through the drive and by `lafs cat`: MB/s of both.
Result<std::pair<double, double>> read_from_grid(Site& site, unsigned megabytes) {
  const std::string name = "only-on-the-grid";
  const auto in_drive = site.path("drive") + "/" + name;
  TRY_DO(write_large(in_drive, megabytes));
  TRY_DO(site.unmount_when_stored());
  site.forget_reads();
  const auto start = std::chrono::steady_clock::now();
  TRY_DO(site.lafs({"cat", "tahoe:" + name}));
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  site.forget_reads();
  TRY_DO(site.mount());
  TRY(speed, read_through(in_drive));
  return std::pair(speed, megabytes * 1.048576 / took.count());
}

}  // namespace

Result<> bench_mount(const MountBench& what,
                     const std::function<void(const std::vector<MountFigure>&)>& tell) {
  TRY(site, Site::make(what));
  const auto& rows = drive_rows();
  std::vector<std::vector<double>> ours(rows.size()), rivals(rows.size());
  const auto pass = [&](const char* where, std::vector<std::vector<double>>& into) -> Result<> {
    TRY(figures, drive_pass(site->path(where), site->path("tree"), what.scale, what.only));
    for (std::size_t i = 0; i < rows.size(); ++i)
      if (figures[i]) into[i].push_back(*figures[i]);
    return {};
  };
  for (unsigned round = 0; round < what.rounds; ++round) {
    TRY_DO(pass("drive", ours));
    if (what.against_gocryptfs) TRY_DO(pass("rival", rivals));
  }
  const auto from_grid =
      static_cast<std::size_t>(std::ranges::find(rows, "grid", &DriveRow::key) - rows.begin());
  if (what.only.empty() || std::ranges::find(what.only, "grid") != what.only.end()) {
    TRY(speeds, read_from_grid(*site, what.scale.megabytes));
    ours[from_grid].push_back(speeds.first);
    rivals[from_grid].push_back(speeds.second);
  }
  std::vector<MountFigure> out;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (ours[i].empty()) continue;
    MountFigure figure{rows[i], median(ours[i]), {}};
    if (!rivals[i].empty()) figure.rivals = median(rivals[i]);
    out.push_back(std::move(figure));
  }
  tell(out);
  return {};
}

std::string mount_figures_table(const std::vector<MountFigure>& figures) {
  const bool both = std::ranges::any_of(figures, [](auto& f) { return f.rivals.has_value(); });
  std::vector<std::vector<std::string>> rows;
  rows.push_back({"work", "unit", "lafs"});
  if (both) rows.front().insert(rows.front().end(), {"rival", "ratio", "goal", ""});
  for (const auto& figure : figures) {
    std::vector<std::string> row{figure.row.name, figure.row.unit, number(figure.ours)};
    if (figure.rivals) {
      const auto ratio = figure.ours / *figure.rivals;
      row.insert(row.end(), {number(*figure.rivals), number(ratio), number(figure.row.goal),
                             ratio >= figure.row.goal ? "reached" : "not reached"});
    } else if (both) {
      row.resize(rows.front().size());
    }
    rows.push_back(std::move(row));
  }
  return format_table(rows, {2, 3, 4, 5});
}

std::string mount_figures_json(const std::vector<MountFigure>& figures) {
  json::array list;
  for (const auto& figure : figures) {
    json::object one{{"name", figure.row.name}, {"unit", figure.row.unit}, {"value", figure.ours}};
    if (figure.rivals) {
      one["rival"] = *figure.rivals;
      one["ratio"] = figure.ours / *figure.rivals;
      one["goal"] = figure.row.goal;
    }
    list.push_back(std::move(one));
  }
  return json::serialize(json::object{{"figures", std::move(list)}}) + "\n";
}

}  // namespace lafs::cli
