// SPDX-License-Identifier: Apache-2.0
// Handles, content, attributes, extended attributes.
#include <algorithm>
#include <limits>
#include <random>

#include "tests/conformance/node_rules.h"

namespace conformance {

using lafs::as_bytes;
using lafs::as_text;
using lafs::Task;

namespace {

constexpr fs::OpenFlags read_write{.read = true, .write = true};
constexpr fs::OpenFlags write_only{.read = false, .write = true};
constexpr fs::OpenFlags read_only{.read = true, .write = false};

Task<std::string> read_all(Place& p, fs::HandleId handle, std::uint32_t size = 1 << 20) {
  FINE(data, co_await p.files.read(handle, 0, size));
  co_return lafs::to_text(data);
}

Task<> creating(Place& p) {
  const fs::Caller who{.uid = 12, .gid = 34};
  FINE(made, co_await p.files.create(p.room, "f", 0640, read_write, true, who));
  p.hold(made.attributes.id);
  MUST(made.attributes.kind == fs::Kind::file && made.attributes.size == 0);
  MUST(made.attributes.mode == 0640 && made.attributes.links == 1);
  MUST(made.attributes.uid == 12 && made.attributes.gid == 34);
  MUST(made.attributes.times.modified.tv_sec > 0);
  REFUSED(exists, co_await p.files.create(p.room, "f", 0600, read_write, true, who));
  FINE_DO(co_await p.files.write(made.handle, 0, as_bytes("content")));
  FINE(again, co_await p.files.create(p.room, "f", 0600, read_write, false, who));
  p.hold(again.attributes.id);
  MUST(again.attributes.id == made.attributes.id);
  MUST(again.attributes.mode == 0640 && again.attributes.size == 7);
  fs::OpenFlags truncating = read_write;
  truncating.truncate = true;
  FINE(emptied, co_await p.files.create(p.room, "f", 0600, truncating, false, who));
  p.hold(emptied.attributes.id);
  MUST(emptied.attributes.size == 0);
  for (const auto handle : {made.handle, again.handle, emptied.handle}) {
    co_await p.files.release(handle);
  }
  REFUSED(is_directory,
          co_await p.files.create(fs::root_node, "create", 0600, read_write, false, who));
}

Task<> rights_of_handles(Place& p) {
  const auto f = co_await p.file(p.room, "f", "content");
  FINE(reader, co_await p.files.open(f, read_only));
  FINE(writer, co_await p.files.open(f, write_only));
  REFUSED(bad_handle, co_await p.files.write(reader.handle, 0, as_bytes("x")));
  REFUSED(bad_handle, co_await p.files.read(writer.handle, 0, 1));
  co_await p.files.release(reader.handle);
  co_await p.files.release(writer.handle);
  REFUSED(bad_handle, co_await p.files.read(reader.handle, 0, 1));
}

Task<> short_reads_only_at_the_end(Place& p) {
  const auto f = co_await p.file(p.room, "f", std::string(100'000, 'x'));
  FINE(opened, co_await p.files.open(f, read_only));
  FINE(middle, co_await p.files.read(opened.handle, 10'000, 80'000));
  MUST(middle.size() == 80'000);
  FINE(end, co_await p.files.read(opened.handle, 90'000, 80'000));
  MUST(end.size() == 10'000);
  FINE(beyond, co_await p.files.read(opened.handle, 100'000, 10));
  MUST(beyond.empty());
  const auto last = std::numeric_limits<std::uint64_t>::max();
  FINE(far_beyond, co_await p.files.read(opened.handle, last, 10));
  MUST(far_beyond.empty());
  co_await p.files.release(opened.handle);
}

Task<> impossible_offsets(Place& p) {
  const auto f = co_await p.file(p.room, "f", "x");
  FINE(opened, co_await p.files.open(f, read_write));
  for (const auto offset :
       {std::numeric_limits<std::uint64_t>::max(), std::numeric_limits<std::uint64_t>::max() - 1,
        std::uint64_t{1} << 63}) {
    REFUSED(too_large, co_await p.files.write(opened.handle, offset, as_bytes("xyz")));
  }
  fs::Changes changes;
  changes.size = std::numeric_limits<std::uint64_t>::max();
  REFUSED(too_large, co_await p.files.change(f, changes, opened.handle));
  const auto content = co_await read_all(p, opened.handle);
  MUST(content == "x");
  co_await p.files.release(opened.handle);
}

Task<> as_a_string_would(Place& p) {
  std::mt19937 random(5);
  std::string model;
  const auto f = co_await p.file(p.room, "f");
  FINE(opened, co_await p.files.open(f, read_write));
  auto handle = opened.handle;
  for (int i = 0; i < 300; ++i) {
    const std::size_t offset = random() % 300'000;
    const auto what = random() % 5;
    if (what < 2) {
      std::string data(1 + random() % 20'000, static_cast<char>('a' + i % 26));
      FINE_DO(co_await p.files.write(handle, offset, as_bytes(data)));
      if (model.size() < offset + data.size()) model.resize(offset + data.size());
      model.replace(offset, data.size(), data);
    } else if (what == 2 && i % 3 == 0) {
      fs::Changes changes;
      changes.size = offset;
      FINE(after, co_await p.files.change(f, changes, handle));
      model.resize(offset);
      MUST(after.size == offset);
    } else if (what == 3) {
      FINE(data, co_await p.files.read(handle, offset, 50'000));
      MUST(as_text(data) == (offset < model.size() ? model.substr(offset, 50'000) : ""));
    } else {
      FINE_DO(co_await p.files.flush(handle));
      co_await p.files.release(handle);
      FINE(again, co_await p.files.open(f, read_write));
      handle = again.handle;
      MUST(again.attributes.size == model.size());
    }
  }
  const auto all = co_await read_all(p, handle);
  MUST(all == model);
  co_await p.files.release(handle);
}

Task<> appending(Place& p) {
  const auto f = co_await p.file(p.room, "f", "start");
  fs::OpenFlags how = read_write;
  how.append = true;
  FINE(a, co_await p.files.open(f, how));
  FINE(b, co_await p.files.open(f, how));
  FINE_DO(co_await p.files.write(a.handle, 0, as_bytes("A")));
  FINE_DO(co_await p.files.write(b.handle, 0, as_bytes("B")));
  FINE_DO(co_await p.files.write(a.handle, 1000, as_bytes("C")));
  const auto content = co_await read_all(p, b.handle);
  MUST(content == "startABC");
  co_await p.files.release(a.handle);
  co_await p.files.release(b.handle);
}

Task<> handles_see_each_other(Place& p) {
  const auto f = co_await p.file(p.room, "f");
  FINE(a, co_await p.files.open(f, read_write));
  FINE(b, co_await p.files.open(f, read_write));
  FINE_DO(co_await p.files.write(a.handle, 0, as_bytes("from a")));
  auto content = co_await read_all(p, b.handle);
  MUST(content == "from a");
  FINE_DO(co_await p.files.write(b.handle, 5, as_bytes("b!")));
  content = co_await read_all(p, a.handle);
  MUST(content == "from b!");
  FINE(attributes, co_await p.files.attributes(f));
  MUST(attributes.size == 7);
  co_await p.files.release(a.handle);
  co_await p.files.release(b.handle);
}

Task<> a_file_without_a_name(Place& p) {
  const auto f = co_await p.file(p.room, "f", "before");
  FINE(opened, co_await p.files.open(f, read_write));
  FINE_DO(co_await p.files.unlink(p.room, "f"));
  p.let_go();  // only the handle is left
  auto content = co_await read_all(p, opened.handle);
  MUST(content == "before");
  FINE_DO(co_await p.files.write(opened.handle, 6, as_bytes(" and after")));
  fs::Changes changes;
  changes.size = 10;
  FINE(after, co_await p.files.change(f, changes, opened.handle));
  MUST(after.size == 10 && after.links == 0);
  content = co_await read_all(p, opened.handle);
  MUST(content == "before and");
  FINE_DO(co_await p.files.flush(opened.handle));
  FINE_DO(co_await p.files.fsync(opened.handle, false));
  co_await p.file(p.room, "f", "another");
  content = co_await read_all(p, opened.handle);
  MUST(content == "before and");
  co_await p.files.release(opened.handle);
  REFUSED(bad_handle, co_await p.files.attributes(f));
}

Task<> flushing_often(Place& p) {
  const auto f = co_await p.file(p.room, "f");
  FINE(opened, co_await p.files.open(f, read_write));
  for (const std::string text : {"one", "two", "three"}) {
    FINE_DO(co_await p.files.write(opened.handle, 0, as_bytes(text)));
    FINE_DO(co_await p.files.flush(opened.handle));
    FINE_DO(co_await p.files.flush(opened.handle));
    FINE_DO(co_await p.files.fsync(opened.handle, true));
  }
  co_await p.files.release(opened.handle);
  const auto content = co_await p.content(f);
  MUST(content == "three");
  FINE_DO(co_await p.files.sync_directory(p.room));
}

Task<> changing_attributes(Place& p) {
  const auto f = co_await p.file(p.room, "f", "content");
  fs::Changes changes;
  changes.mode = 0600;
  changes.uid = 5;
  changes.modified = timespec{.tv_sec = 1'000'000'000, .tv_nsec = 123'456'789};
  changes.accessed = timespec{.tv_sec = 1'100'000'000, .tv_nsec = 1};
  FINE(after, co_await p.files.change(f, changes, std::nullopt));
  MUST(after.mode == 0600 && after.uid == 5 && after.size == 7);
  MUST(after.times.modified.tv_sec == 1'000'000'000);
  MUST(after.times.modified.tv_nsec == 123'456'789);
  fs::Changes now;
  now.modified = timespec{.tv_sec = 1, .tv_nsec = 1};
  now.modified_now = true;  // wins
  FINE(later, co_await p.files.change(f, now, std::nullopt));
  MUST(later.times.modified.tv_sec > 1'700'000'000);
  MUST(later.times.accessed.tv_sec == 1'100'000'000);
  fs::Changes size;
  size.size = 3;
  FINE(shorter, co_await p.files.change(f, size, std::nullopt));
  MUST(shorter.size == 3);
  REFUSED(is_directory, co_await p.files.change(p.room, size, std::nullopt));
  fs::Changes directory_mode;
  directory_mode.mode = 0700;
  FINE(room, co_await p.files.change(p.room, directory_mode, std::nullopt));
  MUST(room.mode == 0700 && room.kind == fs::Kind::directory);
}

Task<> attributes_survive_a_rename(Place& p) {
  const auto f = co_await p.file(p.room, "f", "content");
  fs::Changes changes;
  changes.mode = 0604;
  changes.modified = timespec{.tv_sec = 1'000'000'000, .tv_nsec = 7};
  FINE_DO(co_await p.files.change(f, changes, std::nullopt));
  FINE_DO(co_await p.files.rename(p.room, "f", p.room, "g", fs::RenameMode::replace));
  FINE(found, co_await p.files.lookup(p.room, "g"));
  p.hold(found.id);
  MUST(found.mode == 0604 && found.size == 7);
  MUST(found.times.modified.tv_sec == 1'000'000'000);
}

Task<> extended_attributes(Place& p) {
  const auto f = co_await p.file(p.room, "f");
  const auto red = lafs::to_bytes(std::string_view("red"));
  REFUSED(no_attribute, co_await p.files.xattr(f, "user.color"));
  REFUSED(no_attribute, co_await p.files.remove_xattr(f, "user.color"));
  REFUSED(no_attribute, co_await p.files.set_xattr(f, "user.color", red, fs::XattrMode::replace));
  FINE_DO(co_await p.files.set_xattr(f, "user.color", red, fs::XattrMode::create));
  REFUSED(exists, co_await p.files.set_xattr(f, "user.color", red, fs::XattrMode::create));
  FINE_DO(co_await p.files.set_xattr(f, "user.color", red, fs::XattrMode::set));
  FINE(value, co_await p.files.xattr(f, "user.color"));
  MUST(value == red);
  FINE(names, co_await p.files.xattr_names(f));
  MUST(std::find(names.begin(), names.end(), "user.color") != names.end());
  FINE_DO(co_await p.files.remove_xattr(f, "user.color"));
  REFUSED(no_attribute, co_await p.files.xattr(f, "user.color"));
}

Task<> there_is_space(Place& p) {
  FINE(space, co_await p.files.space());
  MUST(space.total > 0 && space.available <= space.total);
  MUST(space.block_size > 0 && space.name_max == 255);
}

}  // namespace

std::vector<NodeRule> node_file_rules() {
  return {{"create", creating},
          {"rights-of-handles", rights_of_handles},
          {"short-reads", short_reads_only_at_the_end},
          {"impossible-offsets", impossible_offsets},
          {"as-a-string-would", as_a_string_would},
          {"append", appending},
          {"handles-see-each-other", handles_see_each_other},
          {"file-without-a-name", a_file_without_a_name},
          {"flush-often", flushing_often},
          {"change-attributes", changing_attributes},
          {"rename-keeps-attributes", attributes_survive_a_rename},
          {"xattr", extended_attributes},
          {"space", there_is_space}};
}

}  // namespace conformance
