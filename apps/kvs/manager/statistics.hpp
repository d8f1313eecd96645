// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "guests.hpp"

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

namespace kvs {

using Json = nlohmann::ordered_json;

// Names are those of struct kvs_stats; errors by name, those that happened.
[[nodiscard]] Json to_json(const kvs_stats &stats);
// A line a port.
[[nodiscard]] Json to_json(const Store &store, const Guests &guests);

} // namespace kvs
