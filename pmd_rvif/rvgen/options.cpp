// SPDX-License-Identifier: Apache-2.0
#include "options.hpp"

#include "frame.hpp"

#include <charconv>
#include <memory>
#include <rte_kvargs.h>

namespace rvgen {
namespace {

constexpr const char *help =
    "mode=generate|echo, flow=<size>:<count> (repeat for more flows), name=<text>, mac=<address>, "
    "peer=<address>, "
    "window=<frames>, lost_ms=<ms>, start_ms=<ms>, peers=<n>, report=<path>, exit=0|1, tsc=0|1";

struct FreeKvargs {
    void operator()(rte_kvargs *list) const { rte_kvargs_free(list); }
};

bool number(const std::string &text, std::uint64_t &out)
{
    const char *end = text.data() + text.size();
    const auto [at, error] = std::from_chars(text.data(), end, out);
    return error == std::errc{} && at == end && !text.empty();
}

} // namespace

std::optional<Options> parse_options(const char *device, const char *args, std::string &why)
{
    Options options;
    options.name = device;
    rte_ether_addr low;
    rte_ether_addr high;
    rte_ether_unformat_addr("02:72:76:67:00:01", &low);
    rte_ether_unformat_addr("02:72:76:67:00:02", &high);
    std::optional<rte_ether_addr> mac;
    std::optional<rte_ether_addr> peer;

    const std::unique_ptr<rte_kvargs, FreeKvargs> list{
        rte_kvargs_parse(args == nullptr ? "" : args, nullptr)};
    if (list == nullptr) {
        why = std::string{"cannot read the device arguments: want "} + help;
        return std::nullopt;
    }
    for (unsigned i = 0; i < list->count; ++i) {
        const std::string key = list->pairs[i].key;
        const std::string value = list->pairs[i].value == nullptr ? "" : list->pairs[i].value;
        std::uint64_t n = 0;
        const bool is_number = number(value, n);
        const bool is_bool = value == "0" || value == "1";
        bool good = true;
        if (key == "mode") {
            good = value == "generate" || value == "echo";
            options.echo = value == "echo";
        } else if (key == "flow") {
            const std::size_t colon = value.find(':');
            std::uint64_t size = 0;
            std::uint64_t count = 0;
            good = colon != std::string::npos && number(value.substr(0, colon), size) &&
                   number(value.substr(colon + 1), count) && size >= min_size && size <= max_size &&
                   count > 0 && count <= 1'000'000'000;
            options.flows.push_back({.size = static_cast<std::uint32_t>(size), .count = count});
        } else if (key == "name") {
            good = !value.empty() && value.size() < 24 &&
                   value.find_first_of("\"\\") == std::string::npos;
            options.name = value;
        } else if (key == "mac" || key == "peer") {
            rte_ether_addr address;
            good = rte_ether_unformat_addr(value.c_str(), &address) == 0 &&
                   rte_is_valid_assigned_ether_addr(&address) != 0;
            (key == "mac" ? mac : peer) = address;
        } else if (key == "window") {
            good = is_number && n > 0;
            options.window = n;
        } else if (key == "lost_ms") {
            good = is_number && n > 0;
            options.lost_ms = n;
        } else if (key == "start_ms") {
            good = is_number && n > 0;
            options.start_ms = n;
        } else if (key == "peers") {
            good = is_number && n > 0 && n <= 16;
            options.peers = n;
        } else if (key == "report") {
            good = !value.empty();
            options.report = value;
        } else if (key == "exit") {
            good = is_bool;
            options.exit = n != 0;
        } else if (key == "tsc") {
            good = is_bool;
            options.tsc = n != 0;
        } else {
            why = "unknown argument '" + key + "': want " + help;
            return std::nullopt;
        }
        if (!good) {
            why = key + "=" + value + " is not possible: want " + help;
            return std::nullopt;
        }
    }
    if (options.echo && !options.flows.empty()) {
        why = "flow= is of mode=generate: an echo answers what comes";
        return std::nullopt;
    }
    if (!options.echo && options.flows.empty()) {
        options.flows.push_back({.size = 64, .count = 100'000});
    }
    options.mac = mac.value_or(options.echo ? high : low);
    options.peer = peer.value_or(options.echo ? low : high);
    return options;
}

} // namespace rvgen
