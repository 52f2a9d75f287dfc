// SPDX-License-Identifier: Apache-2.0

// A Tahoe node directory means to us what it means to Tahoe.

#include <catch2/catch.hpp>
#include <fstream>

#include "grid/node_dir.h"
#include "grid/node_dir/quantities.h"
#include "grid/storage_node.h"
#include "tests/grid/node_dir/temporary.h"
#include "tests/vectors.h"

using namespace lafs;
using namespace lafs::test;
using lafs::grid::ConfigFile;
using lafs::grid::NodeDir;

namespace {

// The example directory, written out.
class ExampleNode {
 public:
  ExampleNode() {
    const auto file = load_vectors("node_dir_files.json");
    for (const auto& [name, content] : at(file, "files").as_object()) {
      const auto path = folder_.path() / std::string(name);
      std::filesystem::create_directories(path.parent_path());
      const auto bytes = b64(content);
      std::ofstream(path, std::ios::binary)
          .write(reinterpret_cast<const char*>(bytes.data()),
                 static_cast<std::streamsize>(bytes.size()));
      ++files_;
    }
    std::filesystem::permissions(folder_.path() / "private", std::filesystem::perms::owner_all);
  }
  std::size_t files() const { return files_; }
  const std::filesystem::path& path() const { return folder_.path(); }

 private:
  TemporaryFolder folder_;
  std::size_t files_ = 0;
};

void check_server(const grid::ServerEntry& entry, const json::value& expected) {
  CHECK(entry.nickname == text(expected, "nickname"));
  CHECK(to_hex(entry.permutation_seed) == text(expected, "permutation_seed_hex"));
  CHECK(to_hex(entry.lease_seed) == text(expected, "lease_seed_hex"));
  std::vector<std::string> nurls;
  if (has(expected, "nurls")) {
    for (const auto& nurl : group(expected, "nurls")) nurls.push_back(text(nurl));
  }
  CHECK(entry.nurls == nurls);
}

}  // namespace

TEST_CASE("the example node directory means what Tahoe makes of it") {
  const auto vectors = load_vectors("node_dir.json");
  const auto& meaning = at(vectors, "meaning");
  const ExampleNode example;
  REQUIRE(example.files() > 10);
  const auto node = NodeDir::open(example.path());
  REQUIRE(node);
  CHECK(node->warning().empty());

  SECTION("every option") {
    for (const auto& option : group(meaning, "configuration")) {
      const auto section = text(option, "section"), key = text(option, "key");
      CAPTURE(section, key);
      std::string lower_key = key;
      for (char& c : lower_key) c = static_cast<char>(std::tolower(c));
      const auto& value = at(option, "value");
      if (value.is_bool()) {
        const auto ours = node->config().boolean(section, lower_key);
        REQUIRE(ours);
        // Tahoe's defaults for what the file does not say (spec/storage 12.2).
        const bool otherwise = lower_key == "enabled" || lower_key == "anonymous" ||
                               lower_key == "reveal-ip-address" ||
                               lower_key == "expire.immutable" || lower_key == "expire.mutable";
        CHECK((*ours).value_or(otherwise) == value.as_bool());
      } else {
        const auto ours = node->config().text(section, lower_key);
        REQUIRE(ours);
        CHECK(*ours == text(value));
      }
    }
  }
  SECTION("encoding and storage") {
    const auto& running = at(meaning, "running_node");
    CHECK(node->shares().needed == number(at(running, "encoding"), "k"));
    CHECK(node->shares().happy == number(at(running, "encoding"), "happy"));
    CHECK(node->shares().total == number(at(running, "encoding"), "n"));
    CHECK(node->nickname() == text(running, "nickname"));
    CHECK((node->mutable_format() == "mdmf") == (text(running, "mutable_default") == "MDMF"));
    CHECK(node->storage().reserved_space == number(meaning, "reserved_space_bytes"));
    CHECK(node->storage().read_only == flag(at(running, "storage"), "readonly"));
  }
  SECTION("secrets") {
    const auto convergence = node->convergence_secret();
    REQUIRE(convergence);
    CHECK(to_hex(*convergence) == text(meaning, "convergence_secret_hex"));
    const auto lease = node->lease_secret();
    REQUIRE(lease);
    CHECK(to_hex(lease->view()) == text(meaning, "lease_secret_hex"));
  }
  SECTION("aliases") {
    const auto aliases = node->aliases();
    REQUIRE(aliases);
    const auto& expected = at(meaning, "aliases").as_object();
    CHECK(aliases->size() == expected.size());
    for (const auto& [name, cap] : expected) {
      const auto ours = node->alias(std::string_view(name));
      REQUIRE(ours);
      CHECK(*ours == text(cap));
    }
  }
  SECTION("introducers") {
    const auto introducers = node->introducers();
    REQUIRE(introducers);
    const auto& expected = at(meaning, "introducers").as_object();
    REQUIRE(introducers->size() == expected.size());
    for (const auto& one : *introducers) {
      const auto* furl = expected.if_contains(one.petname);
      REQUIRE(furl);
      CHECK(one.furl == text(*furl));
    }
  }
  SECTION("what expires") {
    const auto& storage = at(at(meaning, "running_node"), "storage");
    const auto& ours = node->storage().expiry;
    CHECK(ours.enabled == flag(storage, "expiration_enabled"));
    CHECK(text(storage, "expiration_mode") == "age");
    CHECK(ours.mode == grid::storage::ExpiryPolicy::Mode::age);
    CHECK(ours.max_age == static_cast<std::int64_t>(number(storage, "override_lease_duration")));
    std::vector<std::string> kinds;
    if (ours.immutable) kinds.emplace_back("immutable");
    if (ours.mutable_) kinds.emplace_back("mutable");
    REQUIRE(kinds.size() == group(storage, "sharetypes").size());
    for (std::size_t i = 0; i < kinds.size(); ++i)
      CHECK(kinds[i] == text(group(storage, "sharetypes")[i]));
  }
  SECTION("grid managers and preferred servers") {
    const auto managers = node->grid_managers();
    REQUIRE(managers);
    for (const auto& option : group(meaning, "configuration")) {
      if (text(option, "section") != "grid_managers") continue;
      REQUIRE(managers->size() == 1);
      CHECK((*managers)[0] == std::pair(text(option, "key"), text(option, "value")));
    }
    const auto preferred = node->preferred_servers();
    REQUIRE(preferred);
    CHECK(preferred->size() == 2);
    CHECK(preferred->front() ==
          text(group(at(meaning, "running_node"), "static_servers")[0], "server_id"));
  }
  SECTION("static servers") {
    const auto servers = node->servers();
    REQUIRE(servers);
    CHECK(servers->skipped.empty());
    const auto& expected = group(at(meaning, "running_node"), "static_servers");
    REQUIRE(servers->servers.size() == expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) {
      CHECK(servers->servers[i].id == text(expected[i], "server_id"));
      check_server(servers->servers[i], expected[i]);
    }
  }
  SECTION("the storage server it runs") {
    const auto who = grid::StorageNode::prepare(*node, std::nullopt);
    REQUIRE(who);
    CHECK(who->identity.tub_id() == text(meaning, "tub_id"));
    CHECK(who->identity.pin() == text(meaning, "spki_hash"));
    CHECK(who->swissnum == text(meaning, "storage_swissnum"));
    CHECK(who->announcement.id == text(meaning, "server_id"));
    CHECK(base32(who->announcement.permutation_seed) ==
          text(at(meaning, "running_node"), "permutation_seed"));
    REQUIRE(who->listen.size() == 1);
    CHECK(who->listen[0] == grid::Endpoint{"127.0.0.1", 34454});
  }
}

TEST_CASE("settings of before Tahoe 1.3 are refused by name, as Tahoe does") {
  const ExampleNode example;
  std::ofstream(example.path() / "no_storage") << "";
  const auto node = NodeDir::open(example.path());
  REQUIRE_FALSE(node);
  CHECK(node.error().code == Errc::bad_config);
  CHECK(node.error().context.find("no_storage") != std::string::npos);
}

TEST_CASE("small tahoe.cfg texts are read or refused as Tahoe does") {
  const auto vectors = load_vectors("node_dir.json");
  for (const auto& c : group(vectors, "config_texts")) {
    const auto section = text(c, "section"), key = text(c, "key");
    CAPTURE(text(c, "text"), section, key);
    std::optional<std::string> value;
    std::optional<bool> boolean;
    const auto config = ConfigFile::parse(text(c, "text"), "tahoe.cfg");
    if (config && config->check_known()) {
      if (flag(c, "boolean")) {
        if (auto v = config->boolean(section, key)) boolean = *v;
      } else if (auto v = config->text(section, key)) {
        value = *v;
      }
    }
    if (has(c, "error")) {
      CHECK_FALSE(value);
      CHECK_FALSE(boolean);
    } else if (flag(c, "boolean")) {
      CHECK(boolean == flag(c, "value"));
    } else {
      CHECK(value == text(c, "value"));
    }
  }
}

TEST_CASE("sizes, durations and dates are read as Tahoe does") {
  const auto vectors = load_vectors("node_dir.json");
  const auto check = [&](const char* name, auto parse) {
    for (const auto& c : group(vectors, name)) {
      CAPTURE(name, text(c, "text"));
      const Result<std::optional<std::int64_t>> ours = parse(text(c, "text"));
      if (has(c, "error")) {
        CHECK_FALSE(ours);
        continue;
      }
      REQUIRE(ours);
      CHECK(ours->has_value() == has(c, "value"));
      if (has(c, "value")) CHECK(**ours == at(c, "value").to_number<std::int64_t>());
    }
  };
  using Read = Result<std::optional<std::int64_t>>;
  check("sizes", [](const std::string& t) -> Read {
    TRY(size, grid::parse_size(t));
    if (!size) return std::nullopt;
    return static_cast<std::int64_t>(*size);
  });
  check("durations", [](const std::string& t) -> Read {
    TRY(duration, grid::parse_duration(t));
    return duration.count();
  });
  check("dates", [](const std::string& t) -> Read {
    TRY(date, grid::parse_date(t));
    return date;
  });
}

TEST_CASE("a servers.yaml names the servers that Tahoe can use") {
  const auto vectors = load_vectors("discovery.json");
  const auto& yaml = at(vectors, "servers_yaml");
  const auto file = grid::parse_servers(text(yaml, "text"), "servers.yaml");
  REQUIRE(file);
  std::size_t usable = 0;
  for (const auto& expected : group(yaml, "servers")) {
    const auto id = text(expected, "server_id");
    CAPTURE(id);
    const auto ours = std::ranges::find(file->servers, id, &grid::ServerEntry::id);
    // Tahoe keeps entries without an address as servers that are never connected; we leave them
    // out.
    const bool no_address = text(expected, "nickname").empty();
    CHECK((ours == file->servers.end()) == no_address);
    if (ours == file->servers.end()) continue;
    ++usable;
    check_server(*ours, expected);
  }
  CHECK(usable >= 2);
  CHECK(usable == file->servers.size());
  CHECK(file->skipped.size() == group(yaml, "servers").size() - usable);
}

TEST_CASE("introducers are read from both places as Tahoe does") {
  const auto discovery = load_vectors("discovery.json");
  for (const auto& c : group(discovery, "introducers_yaml")) {
    const auto yaml = has(c, "introducers_yaml")
                          ? std::optional<std::string>(text(c, "introducers_yaml"))
                          : std::nullopt;
    INFO(yaml.value_or("no file"));
    const auto config = ConfigFile::parse(text(c, "tahoe_cfg"), "tahoe.cfg");
    REQUIRE(config);
    const auto furl = config->text("client", "introducer.furl");
    REQUIRE(furl);
    const auto read = grid::parse_introducers(yaml, "introducers.yaml", *furl);
    REQUIRE(read.has_value() == !has(c, "error"));
    if (!read) continue;
    const auto& expected = at(c, "introducers").as_object();
    REQUIRE(read->size() == expected.size());
    for (const auto& one : *read) {
      const auto found = expected.find(one.petname);
      REQUIRE(found != expected.end());
      CHECK(one.furl == text(found->value(), "furl"));
      CHECK("private/introducer_" + one.petname + "_cache.yaml" ==
            text(found->value(), "cache_file"));
    }
    const auto again =
        grid::parse_introducers(grid::format_introducers(*read), "again", std::nullopt);
    REQUIRE(again);
    CHECK(*again == *read);
  }
}
