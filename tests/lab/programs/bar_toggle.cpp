// SPDX-License-Identifier: Apache-2.0
#include "elisa/guest.hpp"
#include "elisa/unique_fd.hpp"
#include "probes.hpp"
#include "program.hpp"

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <thread>

namespace probes {
namespace {

constexpr off_t command_register = 4;
constexpr std::uint16_t memory_space = 2;

// The configuration space of an ivshmem device (1af4:1110), whose BAR 2 is a memory slot of its
// own.
elisa::Result<elisa::UniqueFd> open_ivshmem()
{
    std::error_code error;
    for (const auto &entry : std::filesystem::directory_iterator{"/sys/bus/pci/devices", error}) {
        std::string vendor;
        std::string device;
        std::ifstream{entry.path() / "vendor"} >> vendor;
        std::ifstream{entry.path() / "device"} >> device;
        if (vendor == "0x1af4" && device == "0x1110") {
            const auto path = entry.path() / "config";
            elisa::UniqueFd fd{::open(path.c_str(), O_RDWR | O_CLOEXEC)};
            if (!fd) {
                return elisa::errno_error(errno, path.string());
            }
            return fd;
        }
    }
    return elisa::make_error(elisa::Errc::no_entry,
                             "no ivshmem device: start QEMU with -object memory-backend-ram,id=m,"
                             "size=1M,share=on -device ivshmem-plain,memdev=m");
}

bool set_memory_space(int config, bool on)
{
    std::uint16_t command = 0;
    if (::pread(config, &command, sizeof(command), command_register) != sizeof(command)) {
        return false;
    }
    command = static_cast<std::uint16_t>(on ? command | memory_space : command & ~memory_space);
    std::uint16_t after = 0;
    return ::pwrite(config, &command, sizeof(command), command_register) == sizeof(command) &&
           ::pread(config, &after, sizeof(after), command_register) == sizeof(after) &&
           after == command;
}

} // namespace

int bar_toggle(const BarToggle &options)
{
    const auto config = open_ivshmem();
    if (!config) {
        return apps::fail("lab-probe", config.error());
    }
    auto attachment = elisa::Attachment::attach(options.export_name);
    if (!attachment) {
        return apps::fail("lab-probe", attachment.error());
    }
    // Calls before, while and after: on the same vCPU, and where there are more, on another one
    // meanwhile.
    std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> failures{0};
    std::atomic<std::uint64_t> meanwhile{0};
    std::jthread other{[&] {
        while (!stop.load(std::memory_order_relaxed)) {
            const auto result = attachment->call(0, 3);
            failures += result.ok() && result.value == 3 ? 0 : 1;
            meanwhile.fetch_add(1, std::memory_order_relaxed);
        }
    }};
    std::uint64_t toggles = 0;
    for (std::uint64_t round = 0; round < options.rounds; ++round) {
        for (const bool on : {false, true}) {
            if (set_memory_space(config->get(), on)) {
                ++toggles;
            }
            for (std::uint64_t i = 0; i < options.crossings; ++i) {
                const auto result = attachment->call(0, i);
                failures += result.ok() && result.value == static_cast<std::int64_t>(i) ? 0 : 1;
            }
        }
    }
    stop = true;
    other.join();
    const bool ok = failures == 0 && toggles == 2 * options.rounds;
    apps::print_result({{"probe", "bar_toggle"},
                        {"toggles", toggles},
                        {"crossings", 2 * options.rounds * options.crossings + meanwhile},
                        {"failures", failures.load()},
                        {"ok", ok}});
    return ok ? 0 : 1;
}

} // namespace probes
