// SPDX-License-Identifier: Apache-2.0
// What an application expects of a NIC, through ethdev's API: two net_rvif ports of one process.
// usage: nic_test SOCKET EAL-ARGUMENTS, with two net_rvif ports.
#include "nic_cases.hpp"

#include <cstdio>
#include <rte_eal.h>

using namespace direct;

int main(int argc, char **argv)
{
    if (argc < 2) {
        std::fprintf(stderr, "usage: nic_test SOCKET EAL-ARGUMENTS\n");
        return 2;
    }
    socket_path = argv[1];
    argv[1] = argv[0];
    if (rte_eal_init(argc - 1, argv + 1) < 0 || rte_eth_dev_count_avail() != 2) {
        std::fprintf(stderr, "nic_test wants two net_rvif ports\n");
        return 2;
    }
    create_pool();
    for (const std::span<const Case> cases : {port_cases(), offload_cases()}) {
        for (const Case &one : cases) {
            current = one.name;
            rte_eth_stats_reset(0);
            rte_eth_stats_reset(1);
            one.run();
            std::printf("passed %s\n", one.name);
        }
    }
    for (std::uint16_t port = 0; port < 2; ++port) {
        CHECK_EQ(0, rte_eth_dev_close(port));
    }
    CHECK_EQ(0, rte_eal_cleanup());
    std::printf("all passed\n");
    return 0;
}
