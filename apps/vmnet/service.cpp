// SPDX-License-Identifier: Apache-2.0
#include "service.hpp"

#include <algorithm>
#include <cstdio>

namespace vmnet {
namespace {

using elisa::Errc;
using elisa::make_error;
using elisa::Result;

} // namespace

Result<std::uint64_t> PortService::attach(elisa::AttachmentId id, const elisa::AttachEvent &event)
{
    const GuestConfig *const guest = ports_.config().find(event.label);
    if (guest == nullptr) {
        console_.journal.tell(Level::debug, "port-refused",
                              "'" + event.label +
                                  "' was refused: there is no [[guest]] with this label",
                              {{"label", event.label}, {"reason", "no [[guest]] with this label"}});
        return make_error(Errc::refused, "there is no [[guest]] with this label");
    }
    const auto port = ports_.open(*guest, id.value(), "'" + guest->label + "'");
    if (!port) {
        return port.error();
    }
    attached_.emplace(id, *port);
    return number(*port);
}

void PortService::detach(elisa::AttachmentId id)
{
    // elisa.ko has seen every vCPU of it outside the switch; its memory leads to a scratch page
    // until this event is answered.
    if (const auto port = find(id)) {
        ports_.close(*port, "its guest has gone");
        attached_.erase(id);
    }
}

Result<void> PortService::region_add(elisa::AttachmentId id, const elisa::RegionAddEvent &event)
{
    const auto port = find(id);
    if (!port) {
        return make_error(Errc::state, "it belongs to no port");
    }
    // Drivers name a region by the number that elisa.ko gave it.
    if (event.region.value() >= RVIF_MAX_REGIONS) {
        return make_error(Errc::quota,
                          "a port has " + std::to_string(RVIF_MAX_REGIONS) + " regions at most");
    }
    const auto index = static_cast<std::uint32_t>(event.region.value());
    // A predecessor of this process may have got as far as here; nobody uses it before the answer.
    if (rvs::PortInfo info; switch_.port_info(*port, info) && (info.regions >> index & 1) != 0) {
        switch_.region_remove(*port, index);
    }
    const rvs::Error error = switch_.region_add(*port, index, event.address.value(), event.length);
    if (error != rvs::Error::none) {
        return make_error(Errc::invalid, std::string{"the switch: "} + text_of(error));
    }
    return {};
}

// Calls under way may still be in it: elisa.ko gives its addresses to nobody until they are over.
void PortService::region_del(elisa::AttachmentId id, const elisa::RegionDelEvent &event)
{
    if (const auto port = find(id)) {
        switch_.region_remove(*port, static_cast<std::uint32_t>(std::min<std::uint64_t>(
                                         event.region.value(), RVIF_MAX_REGIONS)));
    }
}

void PortService::recover(std::span<const elisa::Attached> attached)
{
    std::uint64_t known = 0;
    for (const elisa::Attached &one : attached) {
        const rvs::PortId port{static_cast<std::uint32_t>(one.arg) % RVIF_MAX_PORTS};
        known |= std::uint64_t{1} << number(port);
        attached_.emplace(one.id, port);
        ports_.adopt(port, one.label);
    }
    // Opened for an attachment that was not told, or whose end was not seen; a capture.
    const std::uint64_t stray = switch_.ports() & ~known;
    for (std::uint32_t port = 0; port < RVIF_MAX_PORTS; ++port) {
        if ((stray >> port & 1) == 0) {
            continue;
        }
        switch_.port_close(rvs::PortId{port});
        // A capture's taps would go on to cost the ports that it looked at.
        for (const auto &[id, watched] : attached_) {
            static_cast<void>(switch_.port_tap(watched, rvs::PortId{port}, false));
        }
    }
}

void PortService::tick()
{
    switch_.tick();
    ++ticks_;
    const std::uint32_t every = ports_.config().statistics_seconds;
    if (every != 0 && ticks_ % every == 0) {
        std::fputs(to_table(ports_.records()).c_str(), stdout);
        std::fflush(stdout);
    }
}

void PortService::pause(std::chrono::microseconds most)
{
    if (again_.exchange(false)) {
        console_.reload();
    }
    console_.wait({}, most);
    console_.work();
}

std::optional<rvs::PortId> PortService::find(elisa::AttachmentId id) const
{
    const auto found = attached_.find(id);
    return found != attached_.end() ? std::optional{found->second} : std::nullopt;
}

} // namespace vmnet
