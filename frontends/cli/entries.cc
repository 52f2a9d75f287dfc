// SPDX-License-Identifier: Apache-2.0
#include "frontends/cli/entries.h"

#include "frontends/cli/output.h"

namespace lafs::cli {

namespace {

using Kind = grid::PosixFacts::Kind;

grid::PosixFacts facts_of(const Entry& entry) {
  return entry.child ? entry.child->metadata.posix() : grid::PosixFacts{};
}

bool writable(const grid::Cap& cap) { return cap.as<grid::MutableWriteCap>() != nullptr; }

std::string mode_text(const Entry& entry, const std::string& kind) {
  const char first = kind == "directory" ? 'd'
                     : kind == "symlink" ? 'l'
                     : kind == "fifo"    ? 'p'
                     : kind == "socket"  ? 's'
                     : kind == "unknown" ? '?'
                                         : '-';
  const bool directory = kind == "directory";
  const auto mode = facts_of(entry).mode.value_or(directory ? 0755u : 0644u);
  std::string out(1, first);
  for (int i = 8; i >= 0; --i) out += mode >> i & 1 ? "xwr"[i % 3] : '-';
  return out;
}

}  // namespace

std::string kind_of(const Entry& entry) {
  if (entry.cap.is_unknown() || entry.cap.is_verifier()) return "unknown";
  if (entry.cap.is_directory()) return "directory";
  switch (facts_of(entry).kind) {
    case Kind::symlink:
      return entry.cap.is_literal() ? "symlink" : "file";
    case Kind::fifo:
      return "fifo";
    case Kind::socket:
      return "socket";
    case Kind::file:
      break;
  }
  return "file";
}

std::string format_of(const grid::Cap& cap) {
  using grid::MutableFormat;
  const auto mutable_name = [](MutableFormat f) {
    return f == MutableFormat::mdmf ? std::string("MDMF") : std::string("SDMF");
  };
  if (const auto* w = cap.as<grid::MutableWriteCap>()) return mutable_name(w->format);
  if (const auto* r = cap.as<grid::MutableReadCap>()) return mutable_name(r->format);
  if (cap.as<grid::ChkCap>()) return "CHK";
  if (cap.is_literal()) return "LIT";
  return cap.is_verifier() ? "verifier" : "unknown";
}

std::optional<double> modified_at(const Entry& entry) {
  if (!entry.child) return std::nullopt;
  if (const auto time = facts_of(entry).mtime) {
    return static_cast<double>(time->tv_sec) + static_cast<double>(time->tv_nsec) * 1e-9;
  }
  return entry.child->metadata.link_modified();
}

std::optional<std::string> link_target(const Entry& entry) {
  const auto* literal = entry.cap.as<grid::LitCap>();
  if (!literal || kind_of(entry) != "symlink") return std::nullopt;
  return to_text(literal->data);
}

boost::json::object to_json(const Entry& entry, bool caps) {
  boost::json::object out;
  const auto kind = kind_of(entry);
  if (!entry.name.empty()) out["name"] = entry.name;
  out["kind"] = kind;
  out["format"] = format_of(entry.cap);
  out["size"] = entry.size ? boost::json::value(*entry.size) : boost::json::value(nullptr);
  const auto mode = facts_of(entry).mode;
  out["mode"] = mode ? boost::json::value(*mode) : boost::json::value(nullptr);
  const auto time = modified_at(entry);
  out["modified"] = time ? boost::json::value(*time) : boost::json::value(nullptr);
  out["writable"] = writable(entry.cap);
  if (const auto target = link_target(entry)) out["target"] = *target;
  if (caps) {
    out["cap"] = entry.cap.text();
    const auto read = entry.cap.read_only();
    const auto verify = entry.cap.verifier();
    out["read_cap"] = read ? boost::json::value(read->text()) : boost::json::value(nullptr);
    out["verify_cap"] = verify ? boost::json::value(verify->text()) : boost::json::value(nullptr);
  }
  return out;
}

std::vector<std::string> to_row(const Entry& entry) {
  const auto kind = kind_of(entry);
  std::string name = printable(entry.name);
  if (kind == "directory") name += '/';
  if (const auto target = link_target(entry)) name += " -> " + printable(*target);
  return {mode_text(entry, kind), entry.size ? human_size(*entry.size) : "-",
          human_time(modified_at(entry).value_or(0)), std::move(name)};
}

}  // namespace lafs::cli
