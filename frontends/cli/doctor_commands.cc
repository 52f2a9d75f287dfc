// SPDX-License-Identifier: Apache-2.0

// lafs doctor: what is wrong here, and what to do about it.

#include <sys/utsname.h>

#include <CLI/CLI.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <fstream>

#include "frontends/cli/commands.h"
#include "frontends/cli/diagnosis.h"
#include "frontends/cli/output.h"
#include "grid/base/version.h"
#include "grid/node_dir/files.h"

namespace lafs::cli {

namespace {

namespace json = boost::json;
using Verdict = Finding::Verdict;

struct DoctorOptions {
  bool json = false;
  std::string bundle;
};

std::string_view word_for(Verdict verdict) {
  switch (verdict) {
    case Verdict::good:
      return "ok";
    case Verdict::warning:
      return "warning";
    case Verdict::problem:
      return "problem";
  }
  return "";
}

json::array as_json(const std::vector<Finding>& findings) {
  json::array out;
  for (const auto& f : findings) {
    out.push_back(json::object{{"verdict", word_for(f.verdict)},
                               {"subject", f.subject},
                               {"what", f.what},
                               {"advice", f.advice}});
  }
  return out;
}

// The end of a log. Nothing secret is ever logged, so nothing has to be taken out.
std::string tail_of(const std::filesystem::path& file) {
  constexpr std::streamoff longest = 64 << 10;
  std::ifstream in(file, std::ios::binary | std::ios::ate);
  if (!in) return {};
  const auto size = static_cast<std::streamoff>(in.tellg());
  in.seekg(std::max<std::streamoff>(0, size - longest));
  std::string out(static_cast<std::size_t>(std::min(size, longest)), '\0');
  in.read(out.data(), static_cast<std::streamsize>(out.size()));
  return out;
}

// For whoever helps: the findings, options without secrets, the end of the log.
Result<> write_bundle(const std::string& file, const std::vector<Finding>& findings,
                      const grid::NodeDir* node) {
  utsname system{};
  ::uname(&system);
  json::object out{{"version", program_version},
                   {"system", std::string(system.sysname) + " " + system.release},
                   {"findings", as_json(findings)}};
  if (node) {
    json::object options;
    for (const auto& entry : node->config().entries())
      options["[" + entry.section + "] " + entry.key] = without_secrets(entry.value);
    out["options"] = std::move(options);
    out["shares"] = node->shares().text();
    out["log"] = tail_of(node->path() / "mount.log");
  }
  return grid::replace_file(file, json::serialize(out) + "\n", grid::private_file);
}

Task<Result<Exit>> doctor(Io io, const Globals& globals, const DoctorOptions& options) {
  auto findings = examine_machine();
  const auto add = [&](std::vector<Finding> more) {
    for (auto& one : more) findings.push_back(std::move(one));
  };
  auto node = grid::NodeDir::open(globals.node_path());
  std::optional<grid::NodeDir> opened;
  if (node) {
    opened = *node;
    add(examine_node(*node));
    auto session = Session::open(io, std::move(*node));
    if (session) {
      auto found = co_await (*session)->find_servers();
      if (!found) {
        findings.push_back({Verdict::problem, "grid", printable(found.error().message()),
                            "check the addresses of the introducers, and the network"});
      } else {
        auto of_grid = co_await examine_grid(**session);
        add(std::move(of_grid));
      }
      co_await (*session)->close();
    } else {
      findings.push_back({Verdict::problem, "grid", printable(session.error().message()),
                          "name the grid's servers or introducers"});
    }
  } else {
    findings.push_back({Verdict::problem, "node directory", printable(node.error().message()),
                        "make one with `lafs create-node`, or name it with --node"});
  }
  if (!options.bundle.empty()) {
    CO_TRY_DO(write_bundle(options.bundle, findings, opened ? &*opened : nullptr));
  }
  const bool well = std::ranges::none_of(
      findings, [](const Finding& f) { return f.verdict == Verdict::problem; });
  if (options.json) {
    print(json::serialize(json::object{{"well", well}, {"findings", as_json(findings)}}) + "\n");
  } else {
    std::vector<std::vector<std::string>> rows;
    for (const auto& f : findings) {
      rows.push_back({std::string(word_for(f.verdict)), f.subject, f.what});
      if (!f.advice.empty()) rows.push_back({"", "", "  -> " + f.advice});
    }
    print(format_table(rows));
    if (!options.bundle.empty()) print("\nwritten for whoever helps: " + options.bundle + "\n");
  }
  co_return well ? Exit::ok : Exit::failed;
}

}  // namespace

void add_doctor_commands(Commands& commands) {
  auto* command = commands.add("doctor", "Say what is wrong here, and what to do about it");
  auto options = std::make_shared<DoctorOptions>();
  command->add_flag("--json", options->json, "Print one JSON object");
  command
      ->add_option("--bundle", options->bundle,
                   "Also write it to a file with options and log, without secrets")
      ->type_name("FILE");
  commands.on_io(command,
                 [&commands, options](Io io) { return doctor(io, commands.globals(), *options); });
}

}  // namespace lafs::cli
