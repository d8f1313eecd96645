// SPDX-License-Identifier: Apache-2.0
#include "statistics.hpp"

#include <array>

namespace kvs {
namespace {

struct Field {
    const char *name;
    std::uint64_t kvs_stats::*value;
};
constexpr std::array fields{
    Field{"gets", &kvs_stats::gets},
    Field{"hits", &kvs_stats::hits},
    Field{"misses", &kvs_stats::misses},
    Field{"expired", &kvs_stats::expired},
    Field{"puts", &kvs_stats::puts},
    Field{"deletes", &kvs_stats::deletes},
    Field{"refused", &kvs_stats::refused},
    Field{"bytes_in", &kvs_stats::bytes_in},
    Field{"bytes_out", &kvs_stats::bytes_out},
    Field{"evicted", &kvs_stats::evicted},
    Field{"evicted_bytes", &kvs_stats::evicted_bytes},
    Field{"displaced", &kvs_stats::displaced},
    Field{"moved_bytes", &kvs_stats::moved_bytes},
    Field{"helped", &kvs_stats::helped},
    Field{"retries", &kvs_stats::retries},
    Field{"memory_bytes", &kvs_stats::memory_bytes},
    Field{"used_bytes", &kvs_stats::used_bytes},
    Field{"clock_ms", &kvs_stats::clock_ms},
};
constexpr std::array<const char *, KVS_ERRORS> errors{
    "",          "no_such_operation", "state",     "bad_address", "bad_key",
    "bad_value", "bad_ttl",           "read_only", "not_there",   "exists",
    "changed",   "no_room",           "quota",     "busy",        "lost",
    "worn",
};

} // namespace

Json to_json(const kvs_stats &stats)
{
    Json json;
    for (const Field &field : fields) {
        json[field.name] = stats.*field.value;
    }
    Json &rejected = json["rejected"] = Json::object();
    for (std::size_t e = 1; e < errors.size(); ++e) {
        if (stats.rejected[e] != 0) {
            rejected[errors[e]] = stats.rejected[e];
        }
    }
    return json;
}

Json to_json(const Store &store, const Guests &guests)
{
    Json ports = Json::array();
    for (std::uint32_t p = 0; p < guests.layout().ports; ++p) {
        kvs_stats stats;
        if (store.stats(PortId{p}, stats)) {
            Json port{{"port", p},
                      {"label", guests.label(p)},
                      {"namespace", guests.space(p)},
                      {"open", store.is_open(PortId{p})}};
            port.update(to_json(stats));
            ports.push_back(std::move(port));
        }
    }
    return ports;
}

} // namespace kvs
