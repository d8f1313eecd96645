// SPDX-License-Identifier: Apache-2.0
#include "elisa/guest.hpp"
#include "probes.hpp"
#include "program.hpp"

#include <cstdio>

namespace probes {
namespace {

// One life of an attachment.
elisa::Result<bool> round(const std::string &export_name, const elisa::HugeMemory &memory)
{
    auto attachment = elisa::Attachment::attach(export_name);
    if (!attachment) {
        return attachment.error();
    }
    auto region = attachment->register_region(memory.range());
    if (!region) {
        return region.error();
    }
    bool good = true;
    for (std::uint64_t i = 0; i < 10; ++i) {
        const auto result = attachment->call(0, i);
        good &= result.ok() && result.value == static_cast<std::int64_t>(i);
    }
    if (auto detached = attachment->detach(); !detached) {
        return detached.error();
    }
    return good;
}

} // namespace

int attach_loop(const AttachLoop &options)
{
    const auto memory = elisa::HugeMemory::allocate(elisa::huge_page_size);
    if (!memory) {
        return apps::fail("lab-probe", memory.error());
    }
    std::uint64_t good = 0;
    for (std::uint64_t i = 0; i < options.rounds; ++i) {
        const auto one = round(options.export_name, *memory);
        if (!one) {
            return apps::fail("lab-probe", one.error());
        }
        good += *one ? 1 : 0;
    }
    apps::print_result({{"probe", "attach_loop"},
                        {"rounds", options.rounds},
                        {"good", good},
                        {"ok", good == options.rounds}});
    return good == options.rounds ? 0 : 1;
}

} // namespace probes
