// SPDX-License-Identifier: Apache-2.0
#pragma once

// Tallies as JSON, for .cc files that use Boost.JSON.

#include <boost/json/object.hpp>

#include "grid/server/collection.h"

namespace lafs::grid::storage {

boost::json::object to_json(const Amount& amount);
boost::json::object to_json(const ByKind& kinds);
boost::json::array to_json(const LeaseAges& ages);
boost::json::object to_json(const CollectionTally& tally);

}  // namespace lafs::grid::storage
