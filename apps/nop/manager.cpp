// SPDX-License-Identifier: Apache-2.0
#include "manager.hpp"

#include "nop.h"
#include "program.hpp"
#include "serve.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <optional>
#include <span>

namespace nop {
namespace {

class Nop final : public apps::Service {
  public:
    Nop(nop_state &state, std::span<const std::string> admitted)
        : state_{state}, admitted_{admitted}
    {
    }

    elisa::Result<std::uint64_t> attach(elisa::AttachmentId id,
                                        const elisa::AttachEvent &event) override
    {
        if (!admitted_.empty() && std::ranges::find(admitted_, event.label) == admitted_.end()) {
            return elisa::make_error(elisa::Errc::refused, "its label is not on the list");
        }
        const auto slot =
            std::ranges::find(clients_, false, [](const auto &c) { return c.has_value(); });
        if (slot == clients_.end()) {
            return elisa::make_error(elisa::Errc::quota, "all clients' places are taken");
        }
        *slot = id;
        std::printf("client %td: '%s'\n", slot - clients_.begin(), event.label.c_str());
        std::fflush(stdout);
        return static_cast<std::uint64_t>(slot - clients_.begin());
    }

    void detach(elisa::AttachmentId id) override
    {
        if (const auto slot = std::ranges::find(clients_, std::optional{id});
            slot != clients_.end()) {
            const auto client = static_cast<std::size_t>(slot - clients_.begin());
            for (nop_region &region : state_.regions[client]) {
                __atomic_store_n(&region.length, 0, __ATOMIC_RELEASE);
            }
            slot->reset();
            std::printf("client %zu has gone\n", client);
            std::fflush(stdout);
        }
    }

    elisa::Result<void> region_add(elisa::AttachmentId id,
                                   const elisa::RegionAddEvent &event) override
    {
        nop_region *const region = find(id, event.region);
        if (region == nullptr) {
            return elisa::make_error(elisa::Errc::quota, "a client has 4 regions at most");
        }
        region->address = event.address.value();
        __atomic_store_n(&region->length, event.length, __ATOMIC_RELEASE);
        return {};
    }

    void region_del(elisa::AttachmentId id, const elisa::RegionDelEvent &event) override
    {
        if (nop_region *const region = find(id, event.region); region != nullptr) {
            __atomic_store_n(&region->length, 0, __ATOMIC_RELEASE);
        }
    }

    void recover(std::span<const elisa::Attached> attached) override
    {
        for (const elisa::Attached &one : attached) {
            if (one.arg < clients_.size()) {
                clients_[one.arg] = one.id;
            }
        }
        for (std::size_t client = 0; client < clients_.size(); ++client) {
            if (!clients_[client]) {
                for (nop_region &region : state_.regions[client]) {
                    __atomic_store_n(&region.length, 0, __ATOMIC_RELEASE);
                }
            }
        }
    }

  private:
    nop_region *find(elisa::AttachmentId id, elisa::RegionId region)
    {
        const auto slot = std::ranges::find(clients_, std::optional{id});
        if (slot == clients_.end() || region.value() >= NOP_MAX_REGIONS) {
            return nullptr;
        }
        return &state_.regions[slot - clients_.begin()][region.value()];
    }

    nop_state &state_;
    std::span<const std::string> admitted_;
    std::array<std::optional<elisa::AttachmentId>, NOP_MAX_CLIENTS> clients_{};
};

} // namespace

int manage(const ManagerOptions &options)
{
    const auto &stop = apps::stop_requested();
    const auto image = elisa::Image::load(apps::find_image(options.image));
    if (!image) {
        return apps::fail("nop", image.error());
    }
    auto served = elisa::Export::open(options.export_name, *image, sizeof(nop_state));
    if (!served) {
        return apps::fail("nop", served.error());
    }
    auto &state = *reinterpret_cast<nop_state *>(served->heap().data());
    if (!served->taken_over()) {
        if (const auto published = served->publish(); !published) {
            return apps::fail("nop", published.error());
        }
    }
    std::printf("nop manager: export '%s' is published\n", served->name().c_str());
    std::fflush(stdout);

    Nop service{state, options.admit};
    const auto done =
        apps::serve(*served, service, stop, {.exit_when_idle = options.exit_when_idle});
    apps::print_result({{"program", "nop manager"},
                        {"counter", __atomic_load_n(&state.counter, __ATOMIC_RELAXED)}});
    return done ? 0 : apps::fail("nop", done.error());
}

} // namespace nop
