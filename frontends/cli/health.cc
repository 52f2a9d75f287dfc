// SPDX-License-Identifier: Apache-2.0
#include "frontends/cli/health.h"

#include <fmt/format.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "frontends/cli/output.h"

namespace lafs::cli {

namespace {

namespace json = boost::json;

std::string name_of(const std::string& id, const ServerNames& names) {
  const auto it = names.find(id);
  return printable(it == names.end() ? id : it->second);
}

std::string bad_lines(const std::vector<grid::BadShare>& shares, std::string_view what,
                      const ServerNames& names) {
  std::string out;
  for (auto& bad : shares) {
    out += fmt::format("  share {} on {} is {}: {}\n", bad.number.value, name_of(bad.server, names),
                       what, printable(bad.reason));
  }
  return out;
}

json::array bad_json(const std::vector<grid::BadShare>& shares) {
  json::array out;
  for (auto& bad : shares) {
    out.push_back(json::object{
        {"server", bad.server}, {"share", bad.number.value}, {"reason", printable(bad.reason)}});
  }
  return out;
}

json::object report_json(const grid::CheckReport& report, const ServerNames& names) {
  json::object map, failed, called;
  for (auto& [number, servers] : report.shares) {
    json::array on;
    for (auto& id : servers) on.emplace_back(id);
    map[std::to_string(number.value)] = std::move(on);
  }
  for (auto& [id, why] : report.failed) failed[id] = printable(why);
  for (auto& [id, name] : names) called[id] = name;
  return {{"summary", report.summary()},
          {"healthy", report.healthy()},
          {"recoverable", report.recoverable()},
          {"needs_repair", report.needs_repair()},
          {"verified", report.verified},
          {"literal", report.literal},
          {"shares_needed", report.k},
          {"shares_total", report.n},
          {"shares_good", report.shares.size()},
          {"happiness", report.happiness},
          {"happiness_wanted", report.wanted_happiness},
          {"recoverable_versions", report.recoverable_versions},
          {"unrecoverable_versions", report.unrecoverable_versions},
          {"servers_with_shares", report.servers_with_shares().size()},
          {"servers_answered", report.answered.size()},
          {"servers_failed", std::move(failed)},
          {"sharemap", std::move(map)},
          {"corrupt", bad_json(report.corrupt)},
          {"incompatible", bad_json(report.incompatible)},
          {"server_names", std::move(called)}};
}

}  // namespace

ServerNames server_names(const grid::storage::Roster& roster) {
  ServerNames out;
  for (auto& known : roster.all()) out[known.id] = known.name();
  return out;
}

std::string health_text(const std::string& place, const grid::RepairReport& report,
                        const ServerNames& names, bool all) {
  auto out = fmt::format("{}: {}\n", printable(place), report.before.summary());
  if (report.attempted && report.error) {
    out += fmt::format("  repair failed: {}\n", printable(report.error->message()));
  } else if (report.attempted) {
    out += fmt::format("  after repair: {}\n", report.now().summary());
  }
  const auto& now = report.now();
  out += bad_lines(now.corrupt, "corrupt", names);
  out += bad_lines(now.incompatible, "of an unknown format", names);
  if (!all) return out;
  for (auto& [id, why] : now.failed) {
    out += fmt::format("  {} did not answer: {}\n", name_of(id, names), printable(why));
  }
  for (auto& [number, servers] : now.shares) {
    std::string on;
    for (auto& id : servers) on += (on.empty() ? "" : ", ") + name_of(id, names);
    out += fmt::format("  share {} on {}\n", number.value, on);
  }
  return out;
}

void add_health(json::object& out, const grid::RepairReport& report, const ServerNames& names) {
  for (auto& [key, value] : report_json(report.before, names)) out[key] = value;
  if (!report.attempted) {
    out["repair"] = nullptr;
    return;
  }
  json::object repair{{"successful", !report.error && !report.now().needs_repair()}};
  repair["error"] = report.error ? json::value(printable(report.error->message())) : nullptr;
  repair["after"] = report.after ? json::value(report_json(*report.after, names)) : nullptr;
  out["repair"] = std::move(repair);
}

Exit exit_of_health(const grid::CheckReport& report) {
  if (!report.recoverable()) return Exit::grid;
  return report.needs_repair() ? Exit::failed : Exit::ok;
}

}  // namespace lafs::cli
