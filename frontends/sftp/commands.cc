// SPDX-License-Identifier: Apache-2.0
#include "frontends/sftp/commands.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "grid/crypto/digest.h"

namespace lafs::sftp {
namespace {

constexpr std::uint32_t piece = 256 * 1024;

std::string error_text(std::string_view command, std::string_view what, const Error& error) {
  return std::string(command) + ": " + std::string(what) + ": " +
         std::string(lafs::describe(error.code)) + "\n";
}

// "sha256" of "sha256sum".
std::optional<std::string> digest_of(std::string_view command) {
  if (!command.ends_with("sum")) return std::nullopt;
  std::string name(command.substr(0, command.size() - 3));
  return grid::Digest::named(name) ? std::optional(name) : std::nullopt;
}

Task<> update(Pool& pool, grid::Digest& digest, const Bytes& data) {
  auto work = [&] { digest.update(data); };
  co_await offload(pool, std::ref(work));
}

Task<Result<Bytes>> digest_file(CommandContext& context, grid::Digest& digest, std::string path) {
  fs::Walker walker(context.files);
  CO_TRY(node, co_await walker.node(fs::join_path(context.home, path)));
  if (node.is(fs::Kind::directory)) co_return fail(Errc::is_directory);
  const fs::OpenFlags reading;
  CO_TRY(opened, co_await context.files.open(node.id(), reading));
  Result<> outcome;
  for (std::uint64_t at = 0;;) {
    auto data = co_await context.files.read(opened.handle, at, piece);
    if (!data) {
      outcome = std::unexpected(std::move(data.error()));
      break;
    }
    if (data->empty()) break;
    co_await update(context.pool, digest, *data);
    at += data->size();
  }
  co_await context.files.release(opened.handle);
  if (!outcome) co_return std::unexpected(std::move(outcome.error()));
  co_return digest.finish();
}

// A name in a line of its own, as coreutils write it: escaped when it has to be.
std::string sum_line(const Bytes& hash, std::string_view path) {
  std::string name;
  bool escaped = false;
  for (const char c : path) {
    if (c != '\n' && c != '\\') {
      name += c;
      continue;
    }
    escaped = true;
    name += c == '\n' ? "\\n" : "\\\\";
  }
  return (escaped ? "\\" : "") + to_hex(hash) + "  " + name + "\n";
}

Task<int> run_sum(CommandContext& context, const std::string& name, std::vector<std::string> words,
                  Pipe& pipe) {
  auto digest = *grid::Digest::named(*digest_of(name));
  std::vector<std::string> paths;
  bool options = true;
  for (auto at = words.begin() + 1; at != words.end(); ++at) {
    if (options && *at == "--") {
      options = false;
    } else if (options && at->size() > 1 && at->starts_with('-')) {
      if (*at != "-b" && *at != "-t" && *at != "--binary" && *at != "--text") {
        pipe.complain(name + ": option " + *at + " is not supported\n");
        co_return 1;
      }
    } else {
      paths.push_back(*at);
    }
  }
  if (paths.empty()) paths.push_back("-");
  int status = 0;
  for (const auto& path : paths) {
    if (path == "-") {
      while (true) {
        auto data = co_await pipe.read();
        if (!data) break;
        co_await update(context.pool, digest, *data);
      }
      pipe.write(to_bytes(sum_line(digest.finish(), path)));
      continue;
    }
    auto hash = co_await digest_file(context, digest, path);
    if (hash) {
      pipe.write(to_bytes(sum_line(*hash, path)));
      continue;
    }
    pipe.complain(error_text(name, path, hash.error()));
    digest.finish();
    status = 1;
  }
  co_return status;
}

Task<int> run_df(CommandContext& context, std::vector<std::string> words, Pipe& pipe) {
  // Whatever the path: all of an account's files are in one place.
  std::string path = "/";
  std::uint64_t unit = 1024;
  for (auto at = words.begin() + 1; at != words.end(); ++at) {
    if (*at == "-B1" || *at == "--block-size=1") {
      unit = 1;
    } else if (!at->starts_with('-')) {
      path = *at;
    }
  }
  auto space = co_await context.files.space();
  if (!space) {
    pipe.complain(error_text("df", path, space.error()));
    co_return 1;
  }
  const auto used = space->total - std::min(space->available, space->total);
  const auto percent = space->total == 0 ? 0 : (used * 100 + space->total - 1) / space->total;
  char text[256];
  std::snprintf(text, sizeof text,
                "Filesystem     %s        Used   Available Capacity Mounted on\n"
                "lafs %14llu %11llu %11llu %7llu%% /\n",
                unit == 1 ? "1-blocks" : "1024-blocks",
                static_cast<unsigned long long>(space->total / unit),
                static_cast<unsigned long long>(used / unit),
                static_cast<unsigned long long>(space->available / unit),
                static_cast<unsigned long long>(percent));
  pipe.write(to_bytes(std::string_view(text)));
  co_return 0;
}

}  // namespace

std::optional<std::vector<std::string>> split_command(std::string_view command) {
  std::vector<std::string> words;
  std::string word;
  bool in_word = false;
  char quote = 0;
  for (std::size_t i = 0; i < command.size(); ++i) {
    const char c = command[i];
    if (c == '\n' || c == '\0') return std::nullopt;
    if (quote == '\'') {
      if (c == '\'')
        quote = 0;
      else
        word += c;
      continue;
    }
    if (c == '`' || (c == '$' && command.substr(i + 1).starts_with('('))) return std::nullopt;
    if (c == '\\' && i + 1 < command.size()) {
      // Within "..." a backslash is itself unless it quotes something.
      const char next = command[++i];
      if (quote == '"' && next != '"' && next != '\\' && next != '$' && next != '`') word += '\\';
      word += next;
      in_word = true;
    } else if (quote == '"') {
      if (c == '"')
        quote = 0;
      else
        word += c;
    } else if (c == '\'' || c == '"') {
      quote = c;
      in_word = true;
    } else if (c == ' ' || c == '\t') {
      if (in_word) words.push_back(std::exchange(word, {}));
      in_word = false;
    } else if (std::string_view("|;&<>").find(c) != std::string_view::npos) {
      return std::nullopt;
    } else {
      word += c;
      in_word = true;
    }
  }
  if (quote) return std::nullopt;
  if (in_word) words.push_back(std::move(word));
  return words;
}

bool is_command(std::string_view command) {
  const auto words = split_command(command);
  if (!words || words->empty()) return false;
  const auto& name = words->front();
  return name == "scp" || name == "df" || digest_of(name);
}

Task<int> run_command(CommandContext context, std::string command, Pipe& pipe) {
  auto words = split_command(command);
  if (!words || words->empty()) co_return 127;
  const auto name = words->front();
  if (name == "scp") co_return co_await run_scp(context, std::move(*words), pipe);
  if (name == "df") co_return co_await run_df(context, std::move(*words), pipe);
  if (digest_of(name)) co_return co_await run_sum(context, name, std::move(*words), pipe);
  co_return 127;
}

}  // namespace lafs::sftp
