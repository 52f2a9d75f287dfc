// SPDX-License-Identifier: Apache-2.0
#include <boost/asio/this_coro.hpp>
#include <catch2/catch.hpp>

#include "frontends/fs/mem_fs.h"
#include "frontends/fs/unfinished.h"
#include "frontends/fs/view.h"

namespace lafs::fs {
namespace {

const OpenFlags writing{.read = true, .write = true};

struct Limited {
  explicit Limited(asio::any_io_executor executor, std::uint64_t quota)
      : files(std::make_shared<MemFs>()),
        usage(std::make_shared<Usage>(executor, files, Usage::Options())),
        options{.usage = usage, .quota = quota},
        view(files, options) {}

  std::shared_ptr<MemFs> files;
  std::shared_ptr<Usage> usage;
  View::Options options;
  View view;
};

Task<Result<>> put(View& view, std::string name, std::size_t size) {
  CO_TRY(made, co_await view.create(root_node, name, 0644, writing, false, {}));
  const Bytes data(size, 'x');
  auto done = co_await view.write(made.handle, 0, data);
  co_await view.release(made.handle);
  view.forget(made.attributes.id, 1);
  co_return done;
}

TEST_CASE("what is below the root counts, and what goes away makes room again") {
  run([]() -> Task<> {
    auto executor = co_await asio::this_coro::executor;
    Limited l(executor, 1000);
    auto& view = l.view;
    {
      View before(l.files, {});
      auto made = co_await before.mkdir(root_node, "d", 0755, {});
      REQUIRE(made);
      auto file = co_await before.create(made->id, "old", 0644, writing, true, {});
      const Bytes data(300, 'x');
      auto written = co_await before.write(file->handle, 0, data);
      REQUIRE(written);
      co_await before.release(file->handle);
      before.forget(file->attributes.id, 1);
      before.forget(made->id, 1);
    }
    auto space = co_await view.space();
    REQUIRE(space);
    CHECK(l.usage->bytes() == 300);
    CHECK(space->available == 700);
    auto done = co_await put(view, "a", 700);
    CHECK(done);
    done = co_await put(view, "b", 1);
    REQUIRE_FALSE(done);
    CHECK(done.error().code == Errc::too_large);
    CHECK(done.error().context.find("quota") != std::string::npos);
    // Written over, nothing is added.
    done = co_await put(view, "a", 700);
    CHECK(done);
    auto removed = co_await view.unlink(root_node, "a");
    CHECK(removed);
    CHECK(l.usage->bytes() == 300);
    done = co_await put(view, "b", 600);
    CHECK(done);
    done = co_await put(view, "c", 100);
    CHECK(done);
    // What is renamed over goes away.
    auto renamed = co_await view.rename(root_node, "c", root_node, "b", RenameMode::replace);
    CHECK(renamed);
    CHECK(l.usage->bytes() == 400);
    renamed = co_await view.rename(root_node, "b", root_node, "b", RenameMode::replace);
    CHECK(renamed);
    CHECK(l.usage->bytes() == 400);
    space = co_await view.space();
    CHECK(space->available == 600);
    CHECK(space->total == 1000);
    co_await l.usage->close();
  }());
}

TEST_CASE("every way to make a file longer is held to the quota") {
  run([]() -> Task<> {
    auto executor = co_await asio::this_coro::executor;
    Limited l(executor, 1000);
    auto& view = l.view;
    auto file = co_await view.create(root_node, "f", 0644, writing, true, {});
    REQUIRE(file);
    const auto node = file->attributes.id;
    const Bytes data(600, 'x');
    auto done = co_await view.write(file->handle, 0, data);
    CHECK(done);
    done = co_await view.write(file->handle, 500, data);
    CHECK_FALSE(done);
    done = co_await view.allocate(file->handle, 0, 1001, AllocateMode::grow);
    CHECK_FALSE(done);
    done = co_await view.allocate(file->handle, 0, 1001, AllocateMode::keep_size);
    CHECK_FALSE(done);
    done = co_await view.allocate(file->handle, 0, 1000, AllocateMode::keep_size);
    CHECK(done);
    Changes longer, empty;
    longer.size = 1001;
    empty.size = 0;
    auto changed = co_await view.change(node, longer, std::nullopt);
    CHECK_FALSE(changed);
    auto copy = co_await view.create(root_node, "g", 0644, writing, true, {});
    auto copied = co_await view.copy_range(file->handle, 0, copy->handle, 0, UINT64_MAX);
    CHECK_FALSE(copied);
    copied = co_await view.copy_range(file->handle, 200, copy->handle, 0, UINT64_MAX);
    CHECK(copied == 400u);
    // At its end, wherever others have put that.
    OpenFlags appending = writing;
    appending.append = true;
    auto end = co_await view.open(node, appending);
    done = co_await view.write(end->handle, 0, ByteView(data).first(1));
    CHECK_FALSE(done);
    changed = co_await view.change(copy->attributes.id, empty, copy->handle);
    CHECK(changed);
    done = co_await view.write(end->handle, 0, ByteView(data).first(400));
    CHECK(done);
    CHECK(l.usage->bytes() == 1000);
    OpenFlags truncating = writing;
    truncating.truncate = true;
    auto truncated = co_await view.open(node, truncating);
    CHECK(l.usage->bytes() == 0);
    for (const auto handle : {file->handle, copy->handle, end->handle, truncated->handle})
      co_await view.release(handle);
    view.forget(node, 1);
    view.forget(copy->attributes.id, 1);
    CHECK(l.files->references() == 0);
    co_await l.usage->close();
  }());
}

TEST_CASE("the views of one root share the figure, each with its own limit") {
  run([]() -> Task<> {
    auto executor = co_await asio::this_coro::executor;
    Limited l(executor, 1000);
    auto options = l.options;
    options.quota = 2000;
    View larger(l.files, options);
    auto done = co_await put(l.view, "a", 1000);
    CHECK(done);
    done = co_await put(larger, "b", 900);
    CHECK(done);
    done = co_await put(l.view, "c", 1);
    CHECK_FALSE(done);
    done = co_await put(larger, "c", 200);
    CHECK_FALSE(done);
    co_await l.usage->close();
  }());
}

TEST_CASE("a change that failed is counted again") {
  run([]() -> Task<> {
    auto executor = co_await asio::this_coro::executor;
    MemFs::Options small;
    small.capacity = 500;
    auto files = std::make_shared<MemFs>(small);
    auto usage = std::make_shared<Usage>(executor, files, Usage::Options());
    View view(files, {.usage = usage, .quota = 1000});
    auto done = co_await put(view, "a", 800);
    REQUIRE_FALSE(done);
    CHECK(done.error().code == Errc::no_space);
    co_await usage->known();
    while (usage->bytes() != 0) co_await sleep_for(std::chrono::milliseconds(1));
    done = co_await put(view, "a", 400);
    CHECK(done);
    co_await usage->close();
  }());
}

TEST_CASE("unfinished uploads are not listed, and the old ones go") {
  run([]() -> Task<> {
    auto files = std::make_shared<MemFs>();
    View view(files, {});
    for (std::string name : {".lafs-part-1-new", ".lafs-part-1-old", ".lafs-part-2-old", "f"}) {
      auto made = co_await put(view, name, 1);
      REQUIRE(made);
      if (!name.ends_with("old")) continue;
      auto node = co_await files->lookup(root_node, name);
      Changes old;
      old.modified = timespec{1'000'000'000, 0};
      auto changed = co_await files->change(node->id, old, std::nullopt);
      REQUIRE(changed);
      files->forget(node->id, 1);
    }
    auto handle = co_await view.open_directory(root_node);
    std::vector<std::string> names;
    std::uint64_t after = 0;
    for (;;) {
      auto entries = co_await view.read_directory(*handle, after, 1, true);
      if (entries->empty()) break;
      for (const auto& entry : *entries) {
        names.push_back(entry.name);
        view.forget(entry.attributes.id, 1);
      }
      after = entries->back().cookie;
    }
    CHECK(names == std::vector<std::string>{"f"});
    co_await view.close_directory(*handle);
    for (const auto& [name, there] :
         {std::pair(".lafs-part-1-new", true), std::pair(".lafs-part-1-old", false),
          std::pair(".lafs-part-2-old", false), std::pair("f", true)}) {
      auto node = co_await files->lookup(root_node, name);
      CHECK(node.has_value() == there);
      if (node) files->forget(node->id, 1);
    }
    CHECK(files->references() == 0);
  }());
}

TEST_CASE("a directory with nothing but unfinished uploads is empty to those who look at it") {
  run([]() -> Task<> {
    auto files = std::make_shared<MemFs>();
    View view(files, {});
    auto directory = co_await view.mkdir(root_node, "d", 0755, {});
    for (const std::string name : {".lafs-part-1-x", "f"}) {
      auto made = co_await view.create(directory->id, name, 0644, writing, true, {});
      co_await view.release(made->handle);
      view.forget(made->attributes.id, 1);
    }
    auto removed = co_await view.rmdir(root_node, "d");
    CHECK(removed.error().code == Errc::not_empty);
    auto left = co_await files->lookup(directory->id, ".lafs-part-1-x");
    CHECK(left);
    files->forget(left->id, 1);
    auto unlinked = co_await view.unlink(directory->id, "f");
    CHECK(unlinked);
    removed = co_await view.rmdir(root_node, "d");
    CHECK(removed);
    view.forget(directory->id, 1);
    CHECK(files->references() == 0);
  }());
}

}  // namespace
}  // namespace lafs::fs
