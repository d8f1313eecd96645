// SPDX-License-Identifier: Apache-2.0
#include "service.hpp"

#include <algorithm>
#include <cstdio>

namespace vmnet {
namespace {

using elisa::Errc;
using elisa::make_error;
using elisa::Result;

const char *text_of(rvs::Error error)
{
    switch (error) {
    case rvs::Error::none:
        return "no error";
    case rvs::Error::arg:
        return "a number is out of range";
    case rvs::Error::state:
        return "it is in use, or closed";
    case rvs::Error::full:
        return "the MAC table is full";
    }
    return "unknown";
}

std::uint32_t number(rvs::PortId port)
{
    return static_cast<std::uint32_t>(port);
}

} // namespace

Result<std::uint64_t> PortService::attach(elisa::AttachmentId id, const elisa::AttachEvent &event)
{
    const GuestConfig *const guest = config_.find(event.label);
    if (guest == nullptr) {
        return make_error(Errc::refused, "there is no [[guest]] with this label");
    }
    const auto taken = std::ranges::count_if(
        ports_, [&](const auto &entry) { return entry.second.guest == guest; });
    if (static_cast<std::uint32_t>(taken) >= guest->ports) {
        return elisa::Error{elisa::make_error_code(Errc::quota),
                            "its " + std::to_string(guest->ports) +
                                " port(s) are taken (raise 'ports' in its [[guest]])"};
    }
    const auto port = config_.free_port(*guest, switch_.ports());
    if (!port) {
        return make_error(Errc::quota, "all ports of the switch are taken");
    }
    rvs::PortOptions options = config_.options(*guest);
    options.cookie = id.value();
    if (const rvs::Error error = switch_.port_open(*port, options); error != rvs::Error::none) {
        return make_error(Errc::refused, std::string{"the switch: "} + text_of(error));
    }
    ports_.emplace(id, Port{*port, guest});
    std::printf("port %u: '%s' attached\n", number(*port), guest->label.c_str());
    std::fflush(stdout);
    return number(*port);
}

void PortService::detach(elisa::AttachmentId id)
{
    const Port *const port = find(id);
    if (port == nullptr) {
        return;
    }
    PortRecord last;
    if (read_port(switch_, port->id, last)) {
        last.open = false;
        gone_.push_back(last);
    }
    std::printf("port %u: '%s' has gone\n", number(port->id), port->guest->label.c_str());
    std::fflush(stdout);
    // elisa.ko has seen every vCPU of it outside the switch; its memory leads to a scratch page
    // until this event is answered.
    switch_.port_close(port->id);
    ports_.erase(id);
}

Result<void> PortService::region_add(elisa::AttachmentId id, const elisa::RegionAddEvent &event)
{
    const Port *const port = find(id);
    if (port == nullptr) {
        return make_error(Errc::state, "it belongs to no port");
    }
    // Drivers name a region by the number that elisa.ko gave it.
    if (event.region.value() >= RVIF_MAX_REGIONS) {
        return make_error(Errc::quota,
                          "a port has " + std::to_string(RVIF_MAX_REGIONS) + " regions at most");
    }
    const auto index = static_cast<std::uint32_t>(event.region.value());
    // A predecessor of this process may have got as far as here; nobody uses it before the answer.
    if (rvs::PortInfo info; switch_.port_info(port->id, info) && (info.regions >> index & 1) != 0) {
        switch_.region_remove(port->id, index);
    }
    const rvs::Error error =
        switch_.region_add(port->id, index, event.address.value(), event.length);
    if (error != rvs::Error::none) {
        return make_error(Errc::invalid, std::string{"the switch: "} + text_of(error));
    }
    return {};
}

void PortService::region_del(elisa::AttachmentId id, const elisa::RegionDelEvent &event)
{
    if (const Port *const port = find(id); port != nullptr) {
        switch_.region_remove(port->id, static_cast<std::uint32_t>(std::min<std::uint64_t>(
                                            event.region.value(), RVIF_MAX_REGIONS)));
    }
}

void PortService::recover(std::span<const elisa::Attached> attached)
{
    for (const elisa::Attached &one : attached) {
        const GuestConfig *guest = config_.find(one.label);
        if (guest == nullptr) {
            guest = &former_.emplace_back(GuestConfig{.label = one.label});
        }
        ports_.emplace(one.id, Port{rvs::PortId{static_cast<std::uint32_t>(one.arg)}, guest});
    }
    // Opened for an attachment that was not told, or whose end was not seen.
    const std::uint64_t open = switch_.ports();
    for (std::uint32_t port = 0; port < RVIF_MAX_PORTS; ++port) {
        const bool known = std::ranges::any_of(
            ports_, [&](const auto &entry) { return number(entry.second.id) == port; });
        if ((open >> port & 1) != 0 && !known) {
            switch_.port_close(rvs::PortId{port});
        }
    }
}

void PortService::tick()
{
    switch_.tick();
    ++ticks_;
    if (config_.statistics_seconds != 0 && ticks_ % config_.statistics_seconds == 0) {
        std::fputs(to_table(ports()).c_str(), stdout);
        std::fflush(stdout);
    }
}

std::vector<PortRecord> PortService::ports() const
{
    std::vector<PortRecord> all = gone_;
    const std::uint64_t open = switch_.ports();
    for (std::uint32_t port = 0; port < RVIF_MAX_PORTS; ++port) {
        PortRecord record;
        if ((open >> port & 1) != 0 && read_port(switch_, rvs::PortId{port}, record)) {
            all.push_back(record);
        }
    }
    return all;
}

const PortService::Port *PortService::find(elisa::AttachmentId id) const
{
    const auto found = ports_.find(id);
    return found != ports_.end() ? &found->second : nullptr;
}

} // namespace vmnet
