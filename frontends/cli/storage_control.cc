// SPDX-License-Identifier: Apache-2.0
#include "frontends/cli/storage_control.h"

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "frontends/cli/control_client.h"

namespace lafs::cli {

namespace {

namespace json = boost::json;
using grid::storage::CollectionTally;
using grid::storage::ExpiryPolicy;
using namespace std::chrono_literals;

constexpr auto as_long_as_it_takes = 24h * 365;

json::object to_json(const ExpiryPolicy& policy) {
  json::object out{{"immutable", policy.immutable}, {"mutable", policy.mutable_}};
  if (policy.mode == ExpiryPolicy::Mode::age) {
    out["age"] = policy.max_age;
  } else {
    out["cutoff"] = policy.cutoff;
  }
  return out;
}

// What is asked for is what is done: nothing here has a default.
Result<ExpiryPolicy> policy_of(const json::object& request) {
  ExpiryPolicy out;
  out.enabled = true;
  const auto flag = [&](const char* key, bool& to) {
    const auto* value = request.if_contains(key);
    if (value && value->is_bool()) to = value->get_bool();
    return value && value->is_bool();
  };
  const auto* age = request.if_contains("age");
  const auto* cutoff = request.if_contains("cutoff");
  const auto* seconds = age ? age : cutoff;
  if (!flag("immutable", out.immutable) || !flag("mutable", out.mutable_) || !seconds ||
      (age && cutoff) || !seconds->is_int64() || seconds->get_int64() < 0) {
    return fail(Errc::bad_argument,
                "collect takes immutable, mutable, and age or cutoff in seconds");
  }
  out.mode = age ? ExpiryPolicy::Mode::age : ExpiryPolicy::Mode::cutoff_date;
  (age ? out.max_age : out.cutoff) = seconds->get_int64();
  return out;
}

grid::StorageService::Seen tell(ControlServer::Progress progress) {
  return [progress](const CollectionTally& tally) {
    return progress(json::serialize(json::object{{"shares", tally.examined.total().shares}}));
  };
}

Task<Result<std::string>> collect(grid::StorageService& service, std::string request,
                                  ControlServer::Progress progress) {
  CO_TRY(policy, policy_of(json::parse(request).get_object()));
  auto seen = tell(std::move(progress));
  CO_TRY(cycle, co_await service.collect(policy, std::move(seen)));
  co_return "{\"walk\":" + cycle_json(cycle) + "}";
}

Task<Result<std::string>> rebuild(grid::StorageService& service, ControlServer::Progress progress) {
  auto seen = tell(std::move(progress));
  CO_TRY_DO(co_await service.rebuild_usage(std::move(seen)));
  co_return "{}";
}

Task<Result<std::string>> check(grid::StorageService& service, std::string request) {
  const auto object = json::parse(request).get_object();
  const auto* file = object.if_contains("advisory");
  if (!file || !file->is_string()) {
    co_return fail(Errc::bad_argument, "check takes the name of an advisory");
  }
  CO_TRY(advisory, co_await service.check_advisory(std::string(file->get_string())));
  co_return json::serialize(
      json::object{{"finding", advisory.check ? name_of(advisory.check->finding) : "unknown"}});
}

// The number in {"progress":{"shares":N}}.
std::function<void(const std::string&)> shares_of(SharesSeen seen) {
  return [seen](const std::string& line) {
    boost::system::error_code bad;
    const auto value = json::parse(line, bad);
    const auto* shares = bad ? nullptr : value.find_pointer("/progress/shares", bad);
    if (seen && shares && shares->is_number()) seen(shares->to_number<std::uint64_t>(bad));
  };
}

}  // namespace

Result<StorageControl> StorageControl::start(asio::any_io_executor executor,
                                             std::filesystem::path node,
                                             grid::StorageService& service) {
  TRY(server, ControlServer::listen(std::move(executor), std::move(node), storage_socket_name));
  server->on("collect", [&service](std::string request, ControlServer::Progress progress) {
    return collect(service, std::move(request), std::move(progress));
  });
  server->on("rebuild", [&service](std::string, ControlServer::Progress progress) {
    return rebuild(service, std::move(progress));
  });
  server->on("check", [&service](std::string request, ControlServer::Progress) {
    return check(service, std::move(request));
  });
  return StorageControl(std::move(server));
}

Task<Result<grid::storage::CollectionCycle>> ask_to_collect(std::filesystem::path node,
                                                            ExpiryPolicy policy, SharesSeen seen) {
  auto request = to_json(policy);
  request["do"] = "collect";
  CO_TRY(answer, co_await ask_storage_server(std::move(node), json::serialize(request),
                                             as_long_as_it_takes, shares_of(std::move(seen))));
  co_return grid::storage::parse_cycle(answer, "walk");
}

Task<Result<>> ask_to_rebuild(std::filesystem::path node, SharesSeen seen) {
  CO_TRY_DO(co_await ask_storage_server(std::move(node), R"({"do":"rebuild"})", as_long_as_it_takes,
                                        shares_of(std::move(seen))));
  co_return Result<>{};
}

Task<Result<>> ask_to_check(std::filesystem::path node, std::string advisory) {
  const json::object request{{"do", "check"}, {"advisory", advisory}};
  CO_TRY_DO(
      co_await ask_storage_server(std::move(node), json::serialize(request), as_long_as_it_takes));
  co_return Result<>{};
}

}  // namespace lafs::cli
