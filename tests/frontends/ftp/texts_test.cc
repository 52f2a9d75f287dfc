// SPDX-License-Identifier: Apache-2.0

// Lines, addresses, times, listings, ASCII mode: what is read and written as text.

#include <catch2/catch.hpp>
#include <set>

#include "frontends/fs/unfinished.h"
#include "frontends/ftp/ascii.h"
#include "frontends/ftp/checksum.h"
#include "frontends/ftp/command.h"
#include "frontends/ftp/convert.h"
#include "frontends/ftp/data_address.h"
#include "frontends/ftp/facts.h"
#include "frontends/ftp/listing.h"
#include "frontends/ftp/partial.h"

using namespace lafs;
using namespace lafs::ftp;

namespace {

std::vector<std::string> lines_of(std::string_view bytes, std::size_t piece) {
  LineReader reader;
  std::vector<std::string> out;
  while (!bytes.empty()) {
    const auto n = std::min(piece, bytes.size());
    reader.add(bytes.substr(0, n));
    bytes.remove_prefix(n);
    while (auto line = reader.next()) out.push_back(line->too_long ? "!" : line->text);
  }
  return out;
}

std::string to_wire(std::string_view file, std::uint64_t skip = 0) {
  ToWire translate(skip);
  Bytes out;
  translate.translate(as_bytes(file), out);
  return to_text(out);
}

std::string from_wire(std::string_view wire, std::size_t piece) {
  FromWire translate;
  Bytes part;
  std::string out;
  for (std::size_t at = 0; at < wire.size(); at += piece) {
    translate.translate(as_bytes(wire.substr(at, piece)), part);
    out += as_text(part);
  }
  translate.finish(part);
  return out += as_text(part);
}

}  // namespace

TEST_CASE("the table of verbs is in the order of its enumeration") {
  for (std::size_t i = 0; i < all_verbs().size(); ++i)
    CHECK(static_cast<std::size_t>(all_verbs()[i].verb) == i);
  CHECK(all_verbs().back().verb == Verb::unknown);
}

TEST_CASE("lines end with LF, CR LF or CR NUL, and come in pieces of any size") {
  const std::string_view bytes(
      "USER a\r\nPASS b\nNOOP\r\0\xff\xf4\xff\xf2"
      "ABOR\r\n\xff\xfb\x01x\xff\xffy\r\n",
      40);
  for (std::size_t piece = 1; piece < bytes.size(); ++piece) {
    const auto lines = lines_of(bytes, piece);
    CHECK(lines == std::vector<std::string>{"USER a", "PASS b", "NOOP", "ABOR", "x\xffy"});
  }
  std::string flood(LineReader::line_max + 10, 'x');
  CHECK(lines_of(flood + "\r\nNOOP\r\n", 1000) == std::vector<std::string>{"!", "NOOP"});
}

TEST_CASE("a line becomes a command") {
  CHECK(parse_command("retr  a ").argument == " a ");
  CHECK(parse_command("Retr a").verb == Verb::retr);
  CHECK(parse_command("XPWD").verb == Verb::pwd);
  CHECK(parse_command("MLSD ").argument.empty());
  CHECK(parse_command("PASS  ").argument == " ");
  CHECK(parse_command("").verb == Verb::unknown);
  CHECK(parse_command(std::string_view("RETR a\0b", 8)).verb == Verb::unknown);
  CHECK(parse_command("RETR a\rb").verb == Verb::unknown);
  CHECK(parse_command(std::string(100, '\x01')).name == std::string(16, '?'));
  const auto list = parse_list_argument("-a -l x -y");
  CHECK(list.all);
  CHECK(list.path == "x -y");
  CHECK(parse_list_argument("-- x").path == "-- x");
}

TEST_CASE("addresses of data connections") {
  CHECK(parse_port("1,2,3,4,5,6")->port == 5 * 256 + 6);
  for (const auto* bad : {"1,2,3,4,5", "1,2,3,4,5,6,7", "1,2,3,4,5,256", "1,2,3,4,5,", "a", ""})
    CHECK_FALSE(parse_port(bad));
  CHECK(parse_extended_port("!2!::1!22!").endpoint->address.v6);
  CHECK(parse_extended_port("|1|1.2.3.4|0|").endpoint == std::nullopt);
  CHECK(parse_extended_port("|1|1.2.3.4|65536|").endpoint == std::nullopt);
  CHECK(parse_extended_port("|1|::1|99|").endpoint == std::nullopt);
  CHECK(parse_extended_port("|9|x|99|").family == 9u);
  const auto mapped = Address::parse("::ffff:10.1.2.3");
  REQUIRE(mapped);
  CHECK(mapped->text() == "10.1.2.3");
  CHECK(mapped->is_private());
  CHECK_FALSE(Address::parse("8.8.8.8")->is_private());
  CHECK(Address::parse("fe80::1%eth0")->is_private());
  CHECK(passive_text({*Address::parse("1.2.3.4"), 513}) == "Entering Passive Mode (1,2,3,4,2,1).");
  CHECK(extended_passive_text(99) == "Entering Extended Passive Mode (|||99|)");
}

TEST_CASE("times are UTC, and what is no time is refused") {
  const auto time = parse_time_value("20240229123456.5");
  REQUIRE(time);
  CHECK(time->tv_nsec == 500'000'000);
  CHECK(time_value(*time) == "20240229123456");
  CHECK(time_value({0, 0}) == "19700101000000");
  CHECK(time_value({INT64_MAX, 0}).size() == 14);
  for (const auto* bad : {"20230229000000", "20240101250000", "2024010100000", "20240101000000.",
                          "20240101006000", "x0240101000000", "20241301000000"})
    CHECK_FALSE(parse_time_value(bad));
  CHECK(parse_site_times("202401020304 a b")->path == "a b");
  const auto three = parse_site_times("a b 20240101000000 20240102000000 20240103000000 UTC");
  REQUIRE(three);
  CHECK(three->path == "a b");
  CHECK(time_value(three->modified) == "20240102000000");
  CHECK_FALSE(parse_site_times("a"));
}

TEST_CASE("facts of a file, a directory and a link") {
  fs::Attributes a;
  a.id = fs::NodeId{255};
  a.mode = 0640;
  a.size = 5;
  std::string out;
  append_facts(out, {a}, all_facts);
  CHECK(out ==
        "type=file;size=5;modify=19700101000000;perm=adfrw;unique=ff;UNIX.mode=0640;"
        "UNIX.uid=0;UNIX.gid=0; ");
  a.kind = fs::Kind::symlink;
  out.clear();
  append_facts(out, {.attributes = a, .link_target = "t"}, bit(Fact::type) | bit(Fact::size));
  CHECK(out == "type=OS.unix=slink:t; ");
  a.kind = fs::Kind::directory;
  out.clear();
  append_facts(out, {.attributes = a, .writable = false}, bit(Fact::perm));
  CHECK(out == "perm=el; ");
  const auto changes = parse_fact_changes("Modify=20240101000000;unix.mode=755;");
  REQUIRE(changes);
  CHECK(changes->changes.mode == 0755u);
  for (const auto* bad : {"", "modify=1;", "size=5;", "modify=20240101000000", "UNIX.mode=9;"})
    CHECK_FALSE(parse_fact_changes(bad));
}

TEST_CASE("a line of LIST is one of ls -l") {
  fs::Attributes a;
  a.mode = 04755;
  a.size = 1234;
  a.times.modified = {1704067200, 0};
  std::string out;
  append_list_line(out, a, "name", {}, 1704067200 + 60);
  CHECK(out == "-rwsr-xr-x   1 0        0            1234 Jan 01 00:00 name");
  out.clear();
  a.kind = fs::Kind::symlink;
  append_list_line(out, a, "l", "to", 1704067200 + 400 * 86400);
  CHECK(out == "lrwsr-xr-x   1 0        0            1234 Jan 01  2024 l -> to");
}

TEST_CASE("patterns match as the shell's do") {
  CHECK(matches("a.txt", "*.txt"));
  CHECK(matches("a.txt", "?.[a-t]xt"));
  CHECK(matches("abc", "a*b*c"));
  CHECK(matches("a[b", "a[b"));
  CHECK(matches("a*b", "a\\*b"));
  CHECK(matches("x", "[!a]"));
  CHECK_FALSE(matches(".hidden", "*"));
  CHECK(matches(".hidden", ".*"));
  CHECK_FALSE(matches("abc", "a*d"));
  CHECK_FALSE(matches("a", "[!a]"));
  CHECK_FALSE(matches(std::string(200, 'a'), "*a*a*a*a*a*a*a*a*a*a*a*b"));
  CHECK(is_pattern("/a/*.x"));
  CHECK_FALSE(is_pattern("/a*/x"));
}

TEST_CASE("ASCII mode changes line ends, and gives back exactly what it was given") {
  CHECK(to_wire("a\nb") == "a\r\nb");
  CHECK(to_wire("a\nb", 2) == "\nb");
  CHECK(to_wire("a\nb", 3) == "b");
  for (const std::string text : {"", "a", "a\n", "\r", "\r\n", "a\r\r\n\nb\r", "\n\n"})
    for (std::size_t piece = 1; piece < 5; ++piece) CHECK(from_wire(to_wire(text), piece) == text);
  WireCount count;
  count.add(as_bytes("a\nb\n"));
  CHECK(count.wire_size() == 6);
  std::uint64_t wanted = 3;
  CHECK(WireCount::file_bytes(as_bytes("a\nb\n"), wanted) == 2u);
  CHECK(wanted == 0);
  wanted = 2;
  CHECK_FALSE(WireCount::file_bytes(as_bytes("a\nb\n"), wanted));
}

TEST_CASE("places of unfinished uploads are short enough, and nobody shares one") {
  CHECK(fs::is_unfinished_name(partial_name("x", 1)));
  const std::string long_name(255, 'x');
  CHECK(partial_name(long_name, 1).size() <= 255);
  CHECK(partial_name(long_name, 1) != partial_name(long_name.substr(1), 1));
  std::string umlauts;
  while (umlauts.size() < 250) umlauts += "\xc3\xa4";
  CHECK((static_cast<unsigned char>(partial_name(umlauts, 1).back()) & 0xc0) == 0x80);
  CHECK(names_partial("/a/" + partial_name("b", 3)));
  CHECK_FALSE(names_partial("/a/b"));
  Uploads uploads;
  const fs::NodeId directory{7};
  std::optional<Uploads::Claim> first(uploads.claim(&uploads, directory, "f"));
  auto second = uploads.claim(&uploads, directory, "f");
  CHECK(first->first());
  CHECK_FALSE(second.first());
  CHECK(first->name() != second.name());
  first.reset();
  CHECK(uploads.claim(&uploads, directory, "f").first());
}

TEST_CASE("a name cannot make up a reply") {
  CHECK(Reply{250, "a\r\n530 b"}.wire() == "250 a??530 b\r\n");
  CHECK(Reply{211, "x", {"y\n"}, "z"}.wire() == "211-x\r\n y?\r\n211 z\r\n");
}

TEST_CASE("every error has a reply of FTP") {
  for (int i = 0; i <= static_cast<int>(Errc::internal); ++i) {
    const auto reply = reply_to({static_cast<Errc>(i), "inner detail"});
    const std::set<int> known = {426, 450, 451, 452, 504, 550, 552, 554};
    CHECK(known.count(reply.code) == 1);
    CHECK(reply.text.find("inner detail") == std::string::npos);
  }
  CHECK(reply_code(Errc::bad_name, true) == 553);
}

TEST_CASE("checksums of known texts") {
  for (const auto& [name, hex] : std::vector<std::pair<std::string, std::string>>{
           {"crc32", "cbf43926"}, {"md5", "25f9e794323b453885f5181f1b624d0b"}}) {
    Checksum sum(name);
    sum.update(as_bytes("1234"));
    sum.update(as_bytes("56789"));
    CHECK(sum.hex() == hex);
  }
}
