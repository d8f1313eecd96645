// SPDX-License-Identifier: Apache-2.0
#include "eal.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <sched.h>
#include <string>

namespace uplink {

using elisa::Result;

namespace {

namespace fs = std::filesystem;

// A PCI address, with or without its domain; other devices are virtual ones.
bool is_pci(const std::string &device)
{
    unsigned numbers[4];
    char rest = ',';
    const char *text = device.c_str();
    return (std::sscanf(text, "%x:%x:%x.%x%c", &numbers[0], &numbers[1], &numbers[2], &numbers[3],
                        &rest) >= 4 ||
            std::sscanf(text, "%x:%x.%x%c", &numbers[0], &numbers[1], &numbers[2], &rest) >= 3) &&
           rest == ',';
}

std::string beside_program()
{
    std::error_code ignored;
    const fs::path self = fs::read_symlink("/proc/self/exe", ignored);
    const fs::path driver = self.parent_path().parent_path() / "lib/librte_net_rvif.so";
    return fs::exists(driver, ignored) ? driver.string() : std::string{};
}

// EAL counts its lcores from those that this process may run on.
int first_cpu()
{
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    if (::sched_getaffinity(0, sizeof(allowed), &allowed) == 0) {
        for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
            if (CPU_ISSET(cpu, &allowed)) {
                return cpu;
            }
        }
    }
    return 0;
}

std::vector<std::string> arguments(const Options &options)
{
    std::vector<std::string> all{"elisa-uplink", "--file-prefix", options.name};
    const auto add = [&](const char *option, std::string value) {
        all.emplace_back(option);
        all.push_back(std::move(value));
    };
    const auto given = [&](const char *option) {
        return std::any_of(options.eal.begin(), options.eal.end(),
                           [&](const std::string &one) { return one.starts_with(option); });
    };
    if (!given("-l") && !given("--lcores") && !given("-c")) {
        add("--lcores", "0@" + std::to_string(first_cpu()));
    }
    const std::string driver = options.driver.empty() ? beside_program() : options.driver;
    if (!driver.empty()) {
        add("-d", driver);
    }
    add("--vdev", "net_rvif0" + (options.rvif.empty() ? "" : "," + options.rvif));
    if (options.kind != Kind::port) {
        all.emplace_back("--no-pci");
    } else if (is_pci(options.other)) {
        add("-a", options.other);
    } else {
        all.emplace_back("--no-pci");
        add("--vdev", options.other);
    }
    all.insert(all.end(), options.eal.begin(), options.eal.end());
    return all;
}

} // namespace

Result<Eal> Eal::start(const Options &options)
{
    std::vector<std::string> all = arguments(options);
    std::vector<char *> argv;
    for (std::string &one : all) {
        argv.push_back(one.data());
    }
    argv.push_back(nullptr);
    if (rte_eal_init(static_cast<int>(argv.size()) - 1, argv.data()) < 0) {
        return elisa::errno_error(rte_errno,
                                  "DPDK's EAL does not start (it said why above; without "
                                  "hugepages give it: -- --no-huge -m 128)");
    }
    Eal eal;
    if (auto found = eal.find_ports(options); !found) {
        return found.error();
    }
    return eal;
}

Result<void> Eal::find_ports(const Options &options)
{
    bool have_rvif = false;
    for (std::uint16_t id = 0; id < RTE_MAX_ETHPORTS; ++id) {
        rte_eth_dev_info info{};
        if (rte_eth_dev_is_valid_port(id) == 0 || rte_eth_dev_info_get(id, &info) != 0) {
            continue;
        }
        if (!have_rvif && std::strcmp(info.driver_name, "net_rvif") == 0) {
            ports_.rvif = id;
            have_rvif = true;
        } else if (options.kind == Kind::port && !ports_.other) {
            ports_.other = id;
        } else {
            return elisa::make_error(
                elisa::Errc::invalid,
                "two ports are joined, but EAL has more: give it the device of "
                "--port and no other (-a, --no-pci)");
        }
    }
    if (!have_rvif) {
        return elisa::make_error(
            elisa::Errc::no_entry,
            "there is no port of the switch (net_rvif said why above; if it did "
            "not, its driver was not found: --driver PATH/librte_net_rvif.so)");
    }
    if (options.kind == Kind::port && !ports_.other) {
        return elisa::make_error(elisa::Errc::no_entry,
                                 "there is no DPDK port '" + options.other +
                                     "' (its driver said why above; a NIC has to be bound to "
                                     "vfio-pci: dpdk-devbind.py --status)");
    }
    return {};
}

Eal::~Eal()
{
    if (started_) {
        rte_eal_cleanup();
    }
}

Result<rte_mempool *> Eal::pool(const char *name, unsigned count)
{
    constexpr unsigned cache = 256;
    rte_mempool *made = rte_pktmbuf_pool_create(name, count, std::min(cache, count / 4), 0,
                                                RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
    if (made == nullptr) {
        return elisa::errno_error(rte_errno, std::to_string(count) +
                                                 " buffers of 2 KiB (more memory: -- -m MEGABYTES, "
                                                 "or hugepages; or fewer: --mbufs)");
    }
    return made;
}

} // namespace uplink
