// SPDX-License-Identifier: Apache-2.0
#include "frontends/run_plan.h"

#include "frontends/ftp_server.h"
#include "frontends/mount_options.h"
#include "frontends/sftp_service.h"

namespace lafs {

namespace {

// The options of a section that are in force, as one text to compare.
std::string text_of(const grid::ConfigFile& config, std::string_view section,
                    std::string_view prefix = {}) {
  std::string out;
  for (const auto& entry : config.entries()) {
    if (entry.section == section && entry.key.starts_with(prefix))
      out += entry.key + "=" + entry.value + "\n";
  }
  return out;
}

// [mounts] NAME = ROOT MOUNTPOINT [OPTIONS], as in fstab: "\040" is a blank.
Result<MountRequest> parse_mount(const grid::ConfigFile& config, const std::string& name) {
  const auto wrong = [&](const std::string& what) {
    return fail(Errc::bad_config,
                config.where("mounts", name) + ": [mounts] " + name + ": " + what);
  };
  TRY(value, config.text("mounts", name));
  std::vector<std::string> words;
  std::string word;
  const std::string text = value.value_or("") + " ";
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text.compare(i, 4, "\\040") == 0) {
      word += ' ';
      i += 3;
    } else if (text[i] == ' ' || text[i] == '\t' || text[i] == '\n') {
      if (!word.empty()) words.push_back(std::exchange(word, {}));
    } else {
      word += text[i];
    }
  }
  if (words.size() < 2 || words.size() > 3)
    return wrong("write ROOT MOUNTPOINT [OPTIONS], e.g. tahoe: /home/me/drive allow_other");
  MountRequest out;
  out.root = words[0];
  out.mountpoint = words[1];
  auto options = parse_mount_words(words.size() > 2 ? words[2] : "");
  if (!options) return wrong(options.error().context);
  out.words = std::move(*options);
  return out;
}

Result<bool> enabled(const grid::ConfigFile& config, const char* section) {
  TRY(value, config.boolean(section, "enabled"));
  return value.value_or(false);
}

}  // namespace

Result<Plan> plan_for(const grid::NodeDir& node) {
  const auto& config = node.config();
  Plan out;
  for (const auto& name : config.keys("mounts")) {
    TRY(one, parse_mount(config, name));
    TRY(settings, config.text("mounts", name));
    Planned part{"mount " + one.mountpoint, settings.value_or("")};
    out.mounts.emplace_back(std::move(part), std::move(one));
  }
  TRY(sftp, enabled(config, "sftpd"));
  if (sftp) {
    TRY_DO(SftpSettings::read(node));
    out.sftp = {"sftp", text_of(config, "sftpd")};
  }
  TRY(ftp, ftp_enabled(node));
  if (ftp) {
    TRY_DO(ftp_settings({}, node));
    out.ftp = {"ftp", text_of(config, "ftpd")};
  }
  const auto place = text_of(config, "node", "tub.");
  // What of [storage] needs no new start is taken over while it serves.
  if (node.storage().enabled) out.storage = {"storage", place + node.storage().directory.string()};
  TRY(introducer, enabled(config, "introducer"));
  if (introducer) out.introducer = {"introducer", place + text_of(config, "introducer")};
  TRY(port, config.number("metrics", "port", 1, 65535));
  if (port) out.metrics_port = static_cast<std::uint16_t>(*port);
  if (!port) out.metrics_port = node.storage().metrics_port;
  if (out.nothing()) {
    return fail(Errc::bad_config,
                (node.path() / "tahoe.cfg").string() +
                    ": nothing to run; enable [sftpd], [ftpd], [storage] or [introducer], or name "
                    "mounts in [mounts]");
  }
  return out;
}

}  // namespace lafs
