// SPDX-License-Identifier: Apache-2.0
#include "elisa/guest.hpp"
#include "probes.hpp"
#include "program.hpp"

#include <cstdio>
#include <signal.h>
#include <unistd.h>

namespace probes {
namespace {

constexpr std::uint32_t list_entries = 512;

apps::Json name_of(int signal)
{
    switch (signal) {
    case 0:
        return "none";
    case SIGILL:
        return "SIGILL";
    case SIGSEGV:
        return "SIGSEGV";
    default:
        return signal;
    }
}

int try_vmfunc(std::uint32_t leaf, std::uint32_t index)
{
    return signal_of([&] {
        vmfunc(leaf, index);
        return true;
    });
}

} // namespace

int vmfunc_unattached()
{
    bool ok = true;
    apps::Json seen = apps::Json::object();
    for (const std::uint32_t index : {0u, 1u, 2u, 3u, 4u, 511u, 512u, 0xffffffffu}) {
        const int signal = try_vmfunc(0, index);
        seen[std::to_string(index)] = name_of(signal);
        ok &= signal == SIGILL;
    }
    const int other_leaf = try_vmfunc(1, 0);
    ok &= other_leaf == SIGILL;
    apps::print_result({{"probe", "vmfunc_unattached"},
                        {"index", seen},
                        {"leaf1", name_of(other_leaf)},
                        {"ok", ok}});
    return ok ? 0 : 1;
}

int vmfunc_attached(const std::string &export_name)
{
    auto attachment = elisa::Attachment::attach(export_name);
    if (!attachment) {
        return apps::fail("lab-probe", attachment.error());
    }
    const auto works = [&] {
        const auto result = attachment->call(0, 7);
        return result.ok() && result.value == 7;
    };
    const auto gate = static_cast<std::uint32_t>(attachment->gate_index());
    const auto sub = static_cast<std::uint32_t>(attachment->sub_index());
    bool ok = true;

    // I1, after a crossing, on each vCPU.
    apps::Json closed = apps::Json::array();
    for (int cpu = 0; cpu < ::sysconf(_SC_NPROCESSORS_ONLN); ++cpu) {
        ok &= stay_on(cpu) && works();
        closed.push_back(sub_is_closed(*attachment));
        ok &= closed.back() == true && works();
    }
    apps::Json others = apps::Json::array();
    for (std::uint32_t index = 1; index < list_entries; ++index) {
        if (index != gate && index != sub && try_vmfunc(0, index) != SIGILL) {
            others.push_back(index);
        }
    }
    ok &= others.empty();
    const int out_of_range = try_vmfunc(0, list_entries);
    const int other_leaf = try_vmfunc(1, gate);
    ok &= out_of_range == SIGILL && other_leaf == SIGILL;
    ok &= works();

    const auto stats = attachment->stats();
    ok &= stats.has_value() && stats->aborts == 0;
    const auto detached = attachment->detach();
    const int after = try_vmfunc(0, gate);
    ok &= detached.has_value() && after == SIGILL;
    apps::print_result({{"probe", "vmfunc_attached"},
                        {"gate_index", gate},
                        {"sub_index", sub},
                        {"sub_closed", closed},
                        {"others_that_work", others},
                        {"out_of_range", name_of(out_of_range)},
                        {"leaf1", name_of(other_leaf)},
                        {"gate_after_detach", name_of(after)},
                        {"ok", ok}});
    return ok ? 0 : 1;
}

} // namespace probes
