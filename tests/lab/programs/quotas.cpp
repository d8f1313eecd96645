// SPDX-License-Identifier: Apache-2.0
#include "elisa/doorbell.hpp"
#include "elisa/guest.hpp"
#include "probes.hpp"
#include "program.hpp"

#include <cstdio>

namespace probes {

int quotas(const std::string &export_name)
{
    auto attachment = elisa::Attachment::attach(export_name, {.instance = 1});
    if (!attachment) {
        return apps::fail("lab-probe", attachment.error());
    }
    const auto is_quota = [](const auto &result) {
        return !result && result.error().code == elisa::Errc::quota;
    };
    const bool second = is_quota(elisa::Attachment::attach(export_name, {.instance = 2}));

    constexpr std::size_t page = elisa::huge_page_size;
    const auto memory = elisa::HugeMemory::allocate(2 * page);
    if (!memory) {
        return apps::fail("lab-probe", memory.error());
    }
    const elisa::MemoryRange half{.va = memory->data(), .length = page};
    const elisa::MemoryRange other{.va = memory->data() + page, .length = page};
    const bool too_large = is_quota(attachment->register_region(memory->range()));
    bool again = false;
    {
        const auto region = attachment->register_region(half);
        again = region.has_value() && is_quota(attachment->register_region(other));
    }
    // What was given back can be used again.
    const bool given_back = attachment->register_region(other).has_value();
    // These have to wait; the host looks at its counter.
    bool calls = true;
    for (int i = 0; i < 500; ++i) {
        calls = calls && attachment->stats().has_value();
    }
    const bool ok = second && too_large && again && given_back && calls;
    apps::print_result({{"probe", "quotas"},
                        {"second_attachment_refused", second},
                        {"large_region_refused", too_large},
                        {"second_region_refused", again},
                        {"given_back", given_back},
                        {"calls", calls},
                        {"ok", ok}});
    return ok ? 0 : 1;
}

} // namespace probes
