// SPDX-License-Identifier: Apache-2.0
#include "grid/storage_config.h"

#include <algorithm>
#include <array>

#include "grid/node_dir/nearest.h"
#include "grid/node_dir/quantities.h"

namespace lafs::grid {

namespace {

constexpr const char* tahoe = "storage";
constexpr const char* ours = "storageserver.plugins.lafs";
constexpr std::array<std::string_view, 8> our_keys{
    "size_limit",      "upload_timeout",           "metrics_port", "log_format",
    "max_connections", "max_connections_per_peer", "notice",       "feedback"};

class Reader {
 public:
  explicit Reader(const ConfigFile& config) : config_(config) {}

  std::unexpected<Error> wrong(const char* section, const char* key, std::string_view what) const {
    return fail(Errc::bad_config, config_.where(section, key) + ": [" + section + "] " + key + " " +
                                      std::string(what));
  }
  // The option as `parse` understands it; nothing when it is missing or empty.
  template <class Parse>
  auto value(const char* section, const char* key, Parse parse) const
      -> Result<std::optional<typename std::invoke_result_t<Parse, std::string_view>::value_type>> {
    TRY(text, config_.text(section, key));
    if (!text || text->empty()) return std::nullopt;
    auto parsed = parse(*text);
    if (!parsed) return wrong(section, key, parsed.error().context);
    return std::move(*parsed);
  }
  Result<std::optional<std::uint64_t>> size(const char* section, const char* key) const {
    TRY(parsed, value(section, key, parse_size));
    return parsed.value_or(std::nullopt);
  }

 private:
  const ConfigFile& config_;
};

Result<storage::ExpiryPolicy> read_expiry(const ConfigFile& config, const Reader& reader) {
  storage::ExpiryPolicy out;
  TRY(enabled, config.boolean(tahoe, "expire.enabled"));
  TRY(mode, config.text(tahoe, "expire.mode"));
  TRY(age, reader.value(tahoe, "expire.override_lease_duration", parse_duration));
  TRY(cutoff, reader.value(tahoe, "expire.cutoff_date", parse_date));
  TRY(immutable, config.boolean(tahoe, "expire.immutable"));
  TRY(mutable_, config.boolean(tahoe, "expire.mutable"));
  out.enabled = enabled.value_or(false);
  out.immutable = immutable.value_or(true);
  out.mutable_ = mutable_.value_or(true);
  if (out.enabled && !mode) {
    return reader.wrong(tahoe, "expire.enabled", "needs expire.mode: age or cutoff-date");
  }
  if (mode && *mode != "age" && *mode != "cutoff-date") {
    return reader.wrong(tahoe, "expire.mode", "is neither age nor cutoff-date");
  }
  if (mode == "cutoff-date") {
    if (!cutoff) return reader.wrong(tahoe, "expire.mode", "needs expire.cutoff_date");
    out.mode = storage::ExpiryPolicy::Mode::cutoff_date;
    out.cutoff = *cutoff;
  }
  if (age) out.max_age = age->count();
  return out;
}

}  // namespace

Result<StorageConfig> StorageConfig::read(const ConfigFile& config,
                                          const std::filesystem::path& node) {
  const Reader reader(config);
  StorageConfig out;
  TRY(enabled, config.boolean(tahoe, "enabled"));
  TRY(read_only, config.boolean(tahoe, "readonly"));
  TRY(directory, config.text(tahoe, "storage_dir"));
  TRY(reserved, reader.size(tahoe, "reserved_space"));
  TRY(expiry, read_expiry(config, reader));
  out.enabled = enabled.value_or(true);
  out.read_only = read_only.value_or(false);
  out.reserved_space = reserved.value_or(0);
  out.directory = node / directory.value_or("storage");
  out.expiry = expiry;

  for (const auto& key : config.keys(ours)) {
    if (std::ranges::find(our_keys, key) == our_keys.end()) {
      return reader.wrong(
          ours, key.c_str(),
          "is no option that lafs knows" + suggestion(key, {our_keys.begin(), our_keys.end()}));
    }
  }
  TRY(limit, reader.size(ours, "size_limit"));
  TRY(timeout, reader.value(ours, "upload_timeout", parse_duration));
  TRY(port, config.number(ours, "metrics_port", 1, 65535));
  TRY(format, config.text(ours, "log_format"));
  TRY(connections, config.number(ours, "max_connections", 1, 1'000'000));
  TRY(per_peer, config.number(ours, "max_connections_per_peer", 1, 1'000'000));
  out.size_limit = limit;
  if (timeout) out.upload_timeout = std::max(*timeout, std::chrono::seconds(1));
  if (port) out.metrics_port = static_cast<std::uint16_t>(*port);
  if (format && *format != "json" && *format != "text") {
    return reader.wrong(ours, "log_format", "is neither text nor json");
  }
  out.json_log = format == "json";
  TRY(notice, config.text(ours, "notice"));
  if (notice && notice->size() > 1000) return reader.wrong(ours, "notice", "is longer than 1000");
  out.notice = notice.value_or("");
  TRY(feedback, config.boolean(ours, "feedback"));
  out.asks_feedback = feedback.value_or(false);
  out.max_connections = connections.value_or(out.max_connections);
  out.max_connections_per_peer = per_peer.value_or(out.max_connections_per_peer);
  return out;
}

}  // namespace lafs::grid
