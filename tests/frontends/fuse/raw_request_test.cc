// SPDX-License-Identifier: Apache-2.0
#include "frontends/fuse/raw_request.h"

#include <linux/fuse.h>

#include <catch2/catch.hpp>

using namespace lafs;
using fuse::RawRequest;

namespace {

template <class Body>
Bytes request(std::uint32_t opcode, std::uint64_t unique, const Body& body) {
  fuse_in_header header{};
  header.opcode = opcode;
  header.unique = unique;
  header.len = sizeof header + sizeof body;
  Bytes out;
  append(out, {reinterpret_cast<const std::uint8_t*>(&header), sizeof header});
  append(out, {reinterpret_cast<const std::uint8_t*>(&body), sizeof body});
  return out;
}

Bytes init_request(std::uint64_t unique, std::uint32_t flags) {
  fuse_init_in in{};
  in.major = 7;
  in.minor = 38;
  in.flags = flags;
  return request(FUSE_INIT, unique, in);
}

// What an answer to INIT says after amend().
std::uint32_t answered_flags(RawRequest& raw, std::uint64_t unique, int error = 0) {
  fuse_out_header header{};
  header.unique = unique;
  header.error = error;
  fuse_init_out out{};
  out.flags = FUSE_ASYNC_READ;
  iovec parts[] = {{&header, sizeof header}, {&out, sizeof out}};
  raw.amend(parts);
  return out.flags;
}

}  // namespace

TEST_CASE("the feature is agreed to when the kernel offers it, once") {
  RawRequest raw;
  raw.look_at(init_request(5, FUSE_ASYNC_READ | FUSE_HANDLE_KILLPRIV_V2));
  CHECK(answered_flags(raw, 4) == FUSE_ASYNC_READ);  // another request's answer
  CHECK(answered_flags(raw, 5) == (FUSE_ASYNC_READ | FUSE_HANDLE_KILLPRIV_V2));
  CHECK(answered_flags(raw, 5) == FUSE_ASYNC_READ);
}

TEST_CASE("the feature is not agreed to when the kernel does not know it, or INIT fails") {
  RawRequest raw;
  raw.look_at(init_request(5, FUSE_ASYNC_READ));
  CHECK(answered_flags(raw, 5) == FUSE_ASYNC_READ);
  raw.look_at(init_request(6, FUSE_HANDLE_KILLPRIV_V2));
  CHECK(answered_flags(raw, 6, -EPROTO) == FUSE_ASYNC_READ);
}

TEST_CASE("each request says for itself whether set-id bits go") {
  RawRequest raw;
  fuse_write_in write{};
  raw.look_at(request(FUSE_WRITE, 1, write));
  CHECK_FALSE(raw.clears_set_id());
  write.write_flags = FUSE_WRITE_KILL_SUIDGID;
  raw.look_at(request(FUSE_WRITE, 2, write));
  CHECK(raw.clears_set_id());
  fuse_getattr_in getattr{};
  raw.look_at(request(FUSE_GETATTR, 3, getattr));
  CHECK_FALSE(raw.clears_set_id());
  fuse_setattr_in setattr{};
  setattr.valid = FATTR_SIZE | FATTR_KILL_SUIDGID;
  raw.look_at(request(FUSE_SETATTR, 4, setattr));
  CHECK(raw.clears_set_id());
  fuse_open_in open{};
  open.open_flags = FUSE_OPEN_KILL_SUIDGID;
  raw.look_at(request(FUSE_OPEN, 5, open));
  CHECK(raw.clears_set_id());
}

TEST_CASE("requests and answers cut off anywhere are looked at without harm") {
  fuse_write_in write{};
  write.write_flags = FUSE_WRITE_KILL_SUIDGID;
  for (const auto& whole : {request(FUSE_WRITE, 1, write), init_request(2, ~0u)}) {
    for (std::size_t n = 0; n < whole.size(); ++n) {
      RawRequest raw;
      const Bytes part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n));
      raw.look_at(part);
      CHECK_FALSE(raw.clears_set_id());
    }
  }
  RawRequest raw;
  raw.look_at(init_request(2, FUSE_HANDLE_KILLPRIV_V2));
  raw.amend({});
  char few[4] = {};
  iovec parts[] = {{few, sizeof few}, {few, sizeof few}};
  raw.amend(parts);
  CHECK(answered_flags(raw, 2) == (FUSE_ASYNC_READ | FUSE_HANDLE_KILLPRIV_V2));
}
