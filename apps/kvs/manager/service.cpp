// SPDX-License-Identifier: Apache-2.0
#include "service.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>

namespace kvs {

using elisa::Errc;
using elisa::make_error;
using elisa::Result;

namespace {

std::uint32_t number(PortId port)
{
    return static_cast<std::uint32_t>(port);
}

std::uint32_t region_number(elisa::RegionId id)
{
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(id.value(), KVS_MAX_REGIONS));
}

} // namespace

Result<std::uint64_t> PortService::attach(elisa::AttachmentId id, const elisa::AttachEvent &event)
{
    const auto port = guests_.port(event.label, event.instance);
    if (!port) {
        return port.error();
    }
    if (store_.port_open(*port, id.value()) != Error::none) {
        return make_error(Errc::exists, "this session of it is attached already");
    }
    ports_.emplace(id, *port);
    std::printf("port %u: '%s' attached\n", number(*port), event.label.c_str());
    std::fflush(stdout);
    return number(*port);
}

void PortService::detach(elisa::AttachmentId id)
{
    const auto port = ports_.find(id);
    if (port == ports_.end()) {
        return;
    }
    std::printf("port %u: '%s' has gone\n", number(port->second),
                guests_.label(number(port->second)).c_str());
    std::fflush(stdout);
    // elisa.ko has seen every vCPU of it outside the store.
    store_.port_close(port->second);
    ports_.erase(port);
}

Result<void> PortService::region_add(elisa::AttachmentId id, const elisa::RegionAddEvent &event)
{
    const auto port = ports_.find(id);
    if (port == ports_.end()) {
        return make_error(Errc::state, "it belongs to no port");
    }
    if (store_.region_add(port->second, region_number(event.region), event.address.value(),
                          event.length) != Error::none) {
        return make_error(Errc::quota, "a port has " + std::to_string(KVS_MAX_REGIONS) +
                                           " regions of whole pages at most");
    }
    return {};
}

void PortService::region_del(elisa::AttachmentId id, const elisa::RegionDelEvent &event)
{
    if (const auto port = ports_.find(id); port != ports_.end()) {
        store_.region_remove(port->second, region_number(event.region));
    }
}

void PortService::recover(std::span<const elisa::Attached> attached)
{
    for (const elisa::Attached &one : attached) {
        ports_.emplace(one.id, PortId{static_cast<std::uint32_t>(one.arg)});
    }
    // Opened for an attachment that was not told, or whose end was not seen.
    for (std::uint32_t p = 0; p < guests_.layout().ports; ++p) {
        const bool known = std::ranges::any_of(
            ports_, [&](const auto &entry) { return number(entry.second) == p; });
        if (store_.is_open(PortId{p}) && !known) {
            store_.port_close(PortId{p});
        }
    }
}

void PortService::tick()
{
    store_.tick(now_ms());
}

std::uint64_t now_ms()
{
    using namespace std::chrono;
    return static_cast<std::uint64_t>(
        duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count());
}

} // namespace kvs
