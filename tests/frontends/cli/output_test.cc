// SPDX-License-Identifier: Apache-2.0
#include "frontends/cli/output.h"

#include <catch2/catch.hpp>

#include "frontends/cli/convert.h"
#include "frontends/cli/progress.h"

using namespace lafs;
using namespace lafs::cli;
using namespace std::chrono_literals;

TEST_CASE("sizes have three digits and a unit") {
  CHECK(human_size(0) == "0 B");
  CHECK(human_size(999) == "999 B");
  CHECK(human_size(1000) == "1.00 kB");
  CHECK(human_size(12345) == "12.3 kB");
  CHECK(human_size(999499) == "999 kB");
  CHECK(human_size(999600) == "1.00 MB");
  CHECK(human_size(UINT64_MAX) == "18.4 EB");
}

TEST_CASE("times that are none are a dash") {
  CHECK(human_time(0) == "-");
  CHECK(human_time(-5) == "-");
  CHECK(human_time(1e300) == "-");
  CHECK(human_time(std::nan("")) == "-");
  CHECK(human_time(1700000000).size() == 16);
}

TEST_CASE("columns line up whatever the script") {
  CHECK(format_table({{"a", "1"}, {"ääh", "22"}}, {1}) == "a     1\nääh  22\n");
  CHECK(format_table({{"a", "b"}, {"cc", "d"}}) == "a   b\ncc  d\n");
  CHECK(format_table({}).empty());
}

TEST_CASE("names cannot talk to the terminal") {
  CHECK(printable("plain ü 日") == "plain ü 日");
  CHECK(printable("a\x1b[31mb\n") == "a?[31mb?");
  CHECK(printable("\xff\xc3") == "??");
  CHECK(printable("\xc2\x9b") == "?");  // a C1 control sequence introducer
}

TEST_CASE("every error has an exit status and one line") {
  for (int i = 0; i <= static_cast<int>(Errc::internal); ++i) {
    const auto code = static_cast<Errc>(i);
    CAPTURE(name_of(code));
    CHECK(exit_of(code) != Exit::ok);
    const auto line = error_line("put", {code, "a\nb"});
    CHECK(line.starts_with("lafs: put: a b"));
    CHECK(line.find('\n') == std::string::npos);
  }
  CHECK(exit_of(Errc::bad_cap) == Exit::usage);
  CHECK(exit_of(Errc::not_found) == Exit::not_found);
  CHECK(exit_of(Errc::unhappy) == Exit::grid);
  CHECK(exit_of(Errc::bad_config) == Exit::config);
  CHECK(exit_of(Errc::corrupt) == Exit::corrupt);
}

TEST_CASE("an error line says what to do, once") {
  CHECK(error_line("put", {Errc::unhappy, "f"}).find("shares.happy") != std::string::npos);
  CHECK(error_line("put", {Errc::unhappy, "f; do this"}) ==
        "lafs: put: f: too few distinct servers took shares; do this");
  CHECK(error_line("put", {Errc::bad_config, "tahoe.cfg:3: wrong"}) ==
        "lafs: put: tahoe.cfg:3: wrong");
}

TEST_CASE("an error line never shows keys") {
  CHECK(error_line("get", {Errc::bad_cap, "URI:CHK:secret:x:3:10:9"}).find("secret") ==
        std::string::npos);
  CHECK(error_line("get", {Errc::unreachable, "pb://pin@h:1/swiss#v=1"}).find("swiss") ==
        std::string::npos);
}

TEST_CASE("a progress line fits its terminal") {
  const ProgressState state{"a rather long name of a file.iso", 45'000'000, 100'000'000};
  for (std::size_t width = 1; width < 120; ++width) {
    CHECK(progress_line(state, 2s, width).size() <= width);
  }
  const auto line = progress_line(state, 2s, 100);
  CHECK(line.find("45 %") != std::string::npos);
  CHECK(line.find("22.5 MB/s") != std::string::npos);
  CHECK(line.find("0:02") != std::string::npos);
  CHECK(line.find("[=========>") != std::string::npos);
}

TEST_CASE("progress of unknown length has no percentage") {
  const auto line = progress_line({"-", 5000, std::nullopt}, 1s, 80);
  CHECK(line.find('%') == std::string::npos);
  CHECK(line.find("5.00 kB") != std::string::npos);
  CHECK_FALSE(progress_line({"x", 0, 0}, 0s, 80).empty());
  CHECK(progress_line({"x", 10, 10}, 1s, 80).find("100 %") != std::string::npos);
}
