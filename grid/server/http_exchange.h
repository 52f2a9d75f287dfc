// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a request of the HTTP storage protocol asks for, and how results are said in HTTP
// (spec/storage 4.1 to 4.8). Plain and synchronous: the head of a request goes in, a call of the
// storage server or a refusal comes out. Sockets and bodies are HttpService's.

#include <string>
#include <variant>

#include "grid/storage/messages.h"

namespace lafs::grid::storage {

struct HttpHead {
  std::string method;
  std::string target;
  std::vector<std::pair<std::string, std::string>> headers;  // in order, names as they came
  std::optional<std::uint64_t> content_length;               // nothing: chunked, or no body

  // The first header of that name, in any letter case.
  const std::string* find(std::string_view name) const;
};

struct HttpReply {
  unsigned status = 200;
  std::string content_type;  // empty: none
  std::vector<std::pair<std::string, std::string>> headers;
  Bytes body;
};

enum class Endpoint : std::uint8_t {
  version,
  add_lease,
  allocate,
  write,
  abort,
  list,
  read,
  advise_corrupt,
  read_test_write,
};

// An authorised request, ready for the storage server once its body is here.
struct HttpCall {
  Endpoint endpoint = Endpoint::version;
  ShareKind kind = ShareKind::immutable;
  StorageIndex si;
  ShareNo number;
  LeaseSecrets lease;
  UploadSecret upload;
  Secret32 write_enabler;
  std::optional<ByteRange> range;  // of a write; of a read, where nothing means the whole share
  bool head_only = false;          // the reply's body is not to be sent
  bool json_body = false;          // the body is JSON, not CBOR
  bool json_reply = false;         // the reply is to be JSON
  std::uint64_t body_limit = 0;    // longest body in bytes; beyond: 413
};

class HttpExchange {
 public:
  // `max_mutable_request`: longest body of a read-test-write.
  HttpExchange(std::string_view swissnum, std::uint64_t max_mutable_request);

  // Routing, then the swissnum, then the secrets, then what the endpoint wants of the head.
  std::variant<HttpCall, HttpReply> decide(const HttpHead& head) const;

 private:
  std::string authorization_;  // the one good value of the header
  std::uint64_t max_mutable_request_;
};

// Secrets of uploads may have any length on the wire; ours have 32 bytes.
UploadSecret upload_secret_of(ByteView wire);

HttpReply plain_reply(unsigned status, std::string_view text = {});
HttpReply cbor_reply(Bytes body, unsigned status = 200);
HttpReply json_reply(std::string_view text, unsigned status = 200);
HttpReply too_long_reply();  // 413
// 206, 204 when there is nothing, 200 when no range was asked for.
HttpReply read_reply(const HttpCall& call, Bytes data);
// The head of a reply whose `length` bytes are sent otherwise; `length` is not 0.
HttpReply read_head(const HttpCall& call, std::uint64_t length);
HttpReply error_reply(const HttpCall& call, const Error& error);

// "HTTP/1.1 206 Partial Content\r\n...\r\n\r\n". `length`: of the body; nothing: chunked, or none
// where the status forbids one.
std::string print_head(const HttpReply& reply, std::optional<std::uint64_t> length,
                       bool keep_alive);

}  // namespace lafs::grid::storage
