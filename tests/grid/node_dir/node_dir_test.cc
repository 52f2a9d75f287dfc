// SPDX-License-Identifier: Apache-2.0
#include "grid/node_dir.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <fstream>

#include "grid/node_dir/files.h"
#include "tests/grid/node_dir/temporary.h"

using namespace lafs;
using namespace lafs::grid;
using lafs::test::TemporaryFolder;

namespace {

constexpr std::string_view two_servers =
    "storage:\n"
    "  v0-aoqqpp7tzyil4hlq3umoos6atft6jvrqtosq2xy53sdgiesvgg4a:\n"
    "    ann:\n"
    "      nickname: \"one \\\"quoted\\\"\"\n"
    "      anonymous-storage-FURL: "
    "pb://gfegek6cmbiybrhoiidomw6bgc4empfg@tcp:127.0.0.1:4567/swissnum\n"
    "      anonymous-storage-NURLs:\n"
    "      - pb://XhW_rjx62RhkA1UWO58XNx5dH2zrKUSU5Go-rIEZggI@127.0.0.1:4567/swissnum#v=1\n"
    "  \"true\":\n"
    "    ann: {anonymous-storage-FURL: "
    "\"pb://gfegek6cmbiybrhoiidomw6bgc4empfg@tcp:127.0.0.1:4568/swissnum\"}\n";

unsigned mode_of(const std::filesystem::path& path) {
  struct stat facts{};
  REQUIRE(::stat(path.c_str(), &facts) == 0);
  return facts.st_mode & 07777;
}

void write(const std::filesystem::path& path, std::string_view content) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << content;
}

}  // namespace

TEST_CASE("a new node directory has its secrets, readable by the owner alone") {
  TemporaryFolder folder;
  const auto path = folder.path() / "a" / "node";
  const auto made = NodeDir::create(path, {{3, 4, 5}, "me", std::string(two_servers)});
  REQUIRE(made);
  CHECK(mode_of(path / "private") == 0700);
  for (const char* name : {"convergence", "secret", "aliases", "servers.yaml"}) {
    CAPTURE(name);
    CHECK(mode_of(path / "private" / name) == 0600);
  }
  const auto node = NodeDir::open(path);
  REQUIRE(node);
  CHECK(node->warning().empty());
  CHECK(node->shares() == ShareCounts{3, 4, 5});
  CHECK(node->nickname() == "me");
  CHECK_FALSE(node->storage().enabled);
  CHECK(node->convergence_secret().value().size() == 32);
  CHECK(node->convergence_secret().value() == made->convergence_secret().value());
  CHECK(node->lease_secret().value() == made->lease_secret().value());
  CHECK(node->servers().value().servers.size() == 2);
  CHECK(node->aliases().value().empty());
}

TEST_CASE("a nickname with a percent sign survives tahoe.cfg") {
  TemporaryFolder folder;
  const auto node = NodeDir::create(folder.path() / "n", {{1, 1, 1}, "100% mine", ""});
  REQUIRE(node);
  CHECK(node->nickname() == "100% mine");
}

TEST_CASE("a node directory is not made twice") {
  TemporaryFolder folder;
  REQUIRE(NodeDir::create(folder.path(), {{1, 1, 1}, "x", ""}));
  const auto secret = read_small_file(folder.path() / "private" / "secret").value();
  const auto again = NodeDir::create(folder.path(), {{1, 1, 1}, "x", ""});
  REQUIRE_FALSE(again);
  CHECK(again.error().code == Errc::exists);
  CHECK(read_small_file(folder.path() / "private" / "secret").value() == secret);
}

TEST_CASE("a node directory is not made with servers that cannot be read") {
  TemporaryFolder folder;
  const auto path = folder.path() / "n";
  CHECK(NodeDir::create(path, {{1, 1, 1}, "x", "storage: [1"}).error().code == Errc::bad_config);
  CHECK(NodeDir::create(path, {{1, 1, 1}, "x", "storage: {}"}).error().code == Errc::bad_config);
  CHECK_FALSE(std::filesystem::exists(path / "tahoe.cfg"));
}

TEST_CASE("share counts are three numbers in order") {
  CHECK(ShareCounts::parse("3,4,5").value() == ShareCounts{3, 4, 5});
  CHECK(ShareCounts::parse("1, 1, 256").value() == ShareCounts{1, 1, 256});
  for (const char* bad : {"", "3", "3,4", "3,4,5,6", "0,1,1", "4,3,5", "3,6,5", "1,1,257", "a,b,c",
                          "3,4,", ",,", "-1,1,1", "3,4,99999999999999999999"}) {
    CAPTURE(bad);
    CHECK(ShareCounts::parse(bad).error().code == Errc::bad_argument);
  }
}

TEST_CASE("wrong configuration is named with its file and line") {
  TemporaryFolder folder;
  const auto config = folder.path() / "tahoe.cfg";
  const auto error_of = [&](std::string_view text) {
    write(config, text);
    const auto node = NodeDir::open(folder.path());
    REQUIRE_FALSE(node);
    CHECK(node.error().code == Errc::bad_config);
    return node.error().context;
  };
  const auto at = [&](unsigned line) {
    return config.string() + ":" + std::to_string(line) + ": ";
  };
  CHECK(error_of("[client]\n\nshares.needed = many\n").starts_with(at(3)));
  CHECK(error_of("[client]\nshares.needed = 3\nshares.total = 2\n").starts_with(at(3)));
  CHECK(error_of("[storage]\nenabled = perhaps\n").starts_with(at(2)));
  CHECK(error_of("[storage]\nreserved_space = 1.5G\n").starts_with(at(2)));
  CHECK(error_of("nickname = x\n").starts_with(at(1)));
  CHECK(error_of("[node]\nnickname = 100%\n").starts_with(at(2)));
  CHECK(error_of("[node]\nnickname = %(nickname)s\n").starts_with(at(2)));
}

TEST_CASE("an option that doubles itself at every step is refused, not expanded") {
  std::string text = "[grid_managers]\na0 = 0123456789\n";
  for (int i = 1; i <= 9; ++i) {
    const auto before = "%(a" + std::to_string(i - 1) + ")s";
    text += "a" + std::to_string(i) + " = ";
    for (int j = 0; j < 20; ++j) text += before;
    text += "\n";
  }
  const auto config = ConfigFile::parse(text, "tahoe.cfg");
  REQUIRE(config);
  CHECK(config->text("grid_managers", "a2"));
  CHECK_FALSE(config->text("grid_managers", "a9"));
}

TEST_CASE("an unknown option is a warning that names it") {
  TemporaryFolder folder;
  write(folder.path() / "tahoe.cfg", "[client]\nshares.neded = 3\n");
  const auto node = NodeDir::open(folder.path());
  REQUIRE(node);
  CHECK(node->warning().find(":2: unknown option \"shares.neded\"") != std::string::npos);
}

TEST_CASE("what is not a node directory says what to do") {
  TemporaryFolder folder;
  const auto missing = NodeDir::open(folder.path() / "nowhere");
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code == Errc::bad_config);
  CHECK(missing.error().context.find("lafs create-node") != std::string::npos);
  CHECK(NodeDir::open(folder.path()).error().code == Errc::bad_config);
  write(folder.path() / "file", "");
  CHECK(NodeDir::open(folder.path() / "file").error().code == Errc::bad_config);
}

TEST_CASE("a Tahoe directory without tahoe.cfg has the defaults") {
  TemporaryFolder folder;
  std::filesystem::create_directory(folder.path() / "private");
  const auto node = NodeDir::open(folder.path());
  REQUIRE(node);
  CHECK(node->shares() == ShareCounts{3, 7, 10});
  CHECK(node->storage().enabled);
}

TEST_CASE("damaged secrets are named, not replaced") {
  TemporaryFolder folder;
  std::filesystem::create_directory(folder.path() / "private");
  const auto node = NodeDir::open(folder.path());
  REQUIRE(node);
  for (const char* text : {"", "\n", "aaaa\n", "no base32!\n"}) {
    CAPTURE(text);
    write(folder.path() / "private" / "secret", text);
    CHECK(node->lease_secret().error().code == Errc::bad_config);
    CHECK(read_small_file(folder.path() / "private" / "secret").value() == text);
  }
  write(folder.path() / "private" / "convergence", "not base32!");
  CHECK(node->convergence_secret().error().code == Errc::bad_config);
  write(folder.path() / "private" / "convergence", "\n");
  CHECK(node->convergence_secret().value().empty());
}

TEST_CASE("aliases are added at the end and never replaced") {
  TemporaryFolder folder;
  write(folder.path() / "private" / "aliases", "# mine\nwork: URI:DIR2:a:b");
  const auto node = NodeDir::open(folder.path());
  REQUIRE(node);
  CHECK(node->add_alias("tahoe", "URI:DIR2:c:d"));
  CHECK(read_small_file(folder.path() / "private" / "aliases").value() ==
        "# mine\nwork: URI:DIR2:a:b\ntahoe: URI:DIR2:c:d\n");
  CHECK(mode_of(folder.path() / "private" / "aliases") == 0600);
  CHECK(node->add_alias("work", "URI:DIR2:e:f").error().code == Errc::exists);
  CHECK(node->alias("work").value() == "URI:DIR2:a:b");
  const auto missing = node->alias("play");
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code == Errc::not_found);
  CHECK(missing.error().context.find("tahoe:, work:") != std::string::npos);
  for (const char* bad : {"", "a:b", "a/b", "a b", "a\nb", "#a"}) {
    CHECK(node->add_alias(bad, "URI:DIR2:e:f").error().code == Errc::bad_name);
  }
}

TEST_CASE("an alias line without a cap is named with its line") {
  CHECK(parse_aliases("a: x\n\nnonsense\n", "aliases").error().context.starts_with("aliases:3:"));
  CHECK(parse_aliases("a:\n", "aliases").error().context.starts_with("aliases:1:"));
}

TEST_CASE("servers.yaml survives being written and read") {
  const auto file = parse_servers(two_servers, "servers.yaml");
  REQUIRE(file);
  REQUIRE(file->servers.size() == 2);
  const auto again = parse_servers(format_servers(file->servers), "again");
  REQUIRE(again);
  REQUIRE(again->servers.size() == 2);
  CHECK(again->skipped.empty());
  for (std::size_t i = 0; i < 2; ++i) {
    CHECK(again->servers[i].id == file->servers[i].id);
    CHECK(again->servers[i].nickname == file->servers[i].nickname);
    CHECK(again->servers[i].furl == file->servers[i].furl);
    CHECK(again->servers[i].nurls == file->servers[i].nurls);
    CHECK(again->servers[i].permutation_seed == file->servers[i].permutation_seed);
    CHECK(again->servers[i].lease_seed == file->servers[i].lease_seed);
  }
  CHECK(file->servers[0].nickname == "one \"quoted\"");
  CHECK(parse_servers(format_servers({}), "empty").value().servers.empty());
}

TEST_CASE("a bad entry of servers.yaml is left out and named, the others stay") {
  std::string text(two_servers);
  text += "  no-furl:\n    ann: {nickname: x}\n";
  text += "  bad-furl:\n    ann: {anonymous-storage-FURL: nonsense}\n";
  text +=
      "  bad-nurl:\n    ann: {anonymous-storage-FURL: "
      "\"pb://gfegek6cmbiybrhoiidomw6bgc4empfg@/s\", anonymous-storage-NURLs: [x]}\n";
  text += "  no-ann: 3\n";
  text +=
      "  bad-seed:\n    ann: {anonymous-storage-FURL: "
      "\"pb://gfegek6cmbiybrhoiidomw6bgc4empfg@/s\", permutation-seed-base32: \"!!\"}\n";
  const auto file = parse_servers(text, "servers.yaml");
  REQUIRE(file);
  CHECK(file->servers.size() == 2);
  REQUIRE(file->skipped.size() == 5);
  for (const auto& why : file->skipped) CHECK(why.starts_with("servers.yaml:1"));
}

TEST_CASE("what is not a servers.yaml is refused with its line") {
  CHECK(parse_servers("", "s").value().servers.empty());
  CHECK(parse_servers("storage:\n", "s").value().servers.empty());
  for (const char* bad : {"just text", "- a\n- b\n", "storage: [1, 2]\n", "storage: {\n",
                          "\x01\x02", "a: b\n", "storage: *nothing\n"}) {
    CAPTURE(bad);
    const auto file = parse_servers(bad, "servers.yaml");
    REQUIRE_FALSE(file);
    CHECK(file.error().code == Errc::bad_config);
    CHECK(file.error().context.starts_with("servers.yaml:"));
  }
}

TEST_CASE("a file is replaced as a whole and keeps its mode private") {
  TemporaryFolder folder;
  const auto path = folder.path() / "f";
  REQUIRE(replace_file(path, "one", private_file));
  REQUIRE(replace_file(path, "two", private_file));
  CHECK(read_small_file(path).value() == "two");
  CHECK(mode_of(path) == 0600);
  CHECK(create_file(path, "three", private_file).value() == false);
  CHECK(read_small_file(path).value() == "two");
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);
}

TEST_CASE("a file larger than its limit is refused") {
  TemporaryFolder folder;
  write(folder.path() / "f", std::string(1000, 'x'));
  CHECK(read_small_file(folder.path() / "f", 1000));
  CHECK(read_small_file(folder.path() / "f", 999).error().code == Errc::too_large);
  CHECK(read_small_file("/dev/zero", 1 << 16).error().code == Errc::too_large);
}

TEST_CASE("a lock is held by one at a time") {
  TemporaryFolder folder;
  {
    auto lock = FileLock::try_take(folder.path() / "lock");
    REQUIRE(lock);
    CHECK(FileLock::try_take(folder.path() / "lock").error().code == Errc::busy);
  }
  CHECK(FileLock::try_take(folder.path() / "lock"));
}
