// SPDX-License-Identifier: Apache-2.0
#include "elisa/guest.hpp"
#include "probes.hpp"
#include "program.hpp"

#include <chrono>
#include <cstdio>
#include <thread>

namespace probes {

int dead_export(const std::string &export_name)
{
    std::int64_t end = 0;
    std::uint64_t calls = 0;
    bool after = true;
    {
        auto attachment = elisa::Attachment::attach(export_name);
        if (!attachment) {
            return apps::fail("lab-probe", attachment.error());
        }
        std::printf("calling\n");
        std::fflush(stdout);
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{60};
        while (end == 0 && std::chrono::steady_clock::now() < deadline) {
            end = attachment->call(0, calls++).status;
            if (calls % 1000 == 0) {
                std::this_thread::sleep_for(std::chrono::milliseconds{1});
            }
        }
        for (int i = 0; i < 10; ++i) {
            after &= attachment->call(0).status == -ELISA_E_DEAD;
        }
    }
    // The call that was under way may say that it was cut short instead.
    const bool told = end == -ELISA_E_DEAD || end == -ELISA_E_REVOKED;
    const auto again = elisa::Attachment::attach(export_name);
    const bool works = again && again->call(0, 7).value == 7;
    const bool ok = told && after && works;
    apps::print_result({{"probe", "dead_export"},
                        {"calls", calls},
                        {"end", elisa::abi_error_name(end)},
                        {"dead_afterwards", after},
                        {"attached_again", works},
                        {"message", again ? "" : again.error().message},
                        {"ok", ok}});
    return ok ? 0 : 1;
}

} // namespace probes
