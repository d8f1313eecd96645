// SPDX-License-Identifier: Apache-2.0
// An application whose memory grows and shrinks under its running ports. EAL must be able to get
// more: with hugepages, not with --no-huge and not with --legacy-mem.
// usage: memory_test SOCKET EAL-ARGUMENTS, with two net_rvif ports.
#include "nic_bed.hpp"

#include <cstdio>
#include <rte_dev.h>
#include <rte_eal.h>
#include <string>
#include <vector>

using namespace direct;

namespace {

std::string socket_path;

// More than EAL has left of what it has.
rte_mempool *grow(const char *name)
{
    rte_mempool *pool = rte_pktmbuf_pool_create(name, 16383, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
    CHECK(pool != nullptr);
    return pool;
}

// One frame from port 0 to port 1; how much of it was copied before the switch saw it.
std::uint64_t send_one(std::uint8_t seed)
{
    const std::uint64_t before = xstat(0, "tx_bounced_segments");
    const Bytes sent = frame(mac_of(1), mac_of(0), 900, seed);
    transmit(make(sent));
    auto got = receive();
    CHECK_EQ(1, got.size());
    CHECK(bytes_of(got[0].mbuf) == sent);
    drop(got);
    return xstat(0, "tx_bounced_segments") - before;
}

void memory_that_comes_while_ports_run_can_be_sent()
{
    start_both({});
    CHECK_EQ(0, send_one(1));
    rte_mempool *first = use_pool(grow("later"));
    CHECK_EQ(1, send_one(2)); // in no region: by way of one that is
    rte_mempool *later = use_pool(first);
    stop_both();
    use_pool(later);
    start_both({}); // receives there, too
    CHECK_EQ(0, send_one(3));
    stop_both();
    rte_mempool_free(use_pool(first));
}

void memory_that_goes_and_comes_back_is_not_mistaken_for_what_it_was()
{
    rte_mempool *brief = grow("brief");
    start_both({});
    rte_mempool *first = use_pool(brief);
    CHECK_EQ(0, send_one(4));
    // Its pages go, others come, most likely to the same addresses.
    rte_mempool_free(use_pool(first));
    CHECK_EQ(0, send_one(5));
    rte_mempool *again = grow("again");
    use_pool(again);
    for (int i = 0; i < 40; ++i) {
        send_one(static_cast<std::uint8_t>(6 + i));
    }
    use_pool(first);
    stop_both();
    use_pool(again);
    start_both({});
    CHECK_EQ(0, send_one(7));
    stop_both();
    rte_mempool_free(use_pool(first));
}

std::uint16_t port_named(const std::string &name)
{
    std::uint16_t port = 0;
    CHECK_EQ(0, rte_eth_dev_get_port_by_name(name.c_str(), &port));
    return port;
}

void receives(std::uint16_t port)
{
    poll_all(port);
    transmit(make(frame(mac_of(port), mac_of(0))));
    auto got = receive(port);
    CHECK_EQ(1, got.size());
    drop(got);
}

// Each port that is plugged in makes the memory grow and sees more of it than those before, of
// which each holds what it has seen. When that is too much, those are to be started again.
void many_ports_and_memory_that_grows_between_them()
{
    start_both({});
    std::vector<rte_mempool *> pools;
    std::vector<std::string> names;
    unsigned refused = 0;
    for (int i = 0; i < 12; ++i) {
        pools.push_back(grow(("more" + std::to_string(i)).c_str()));
        const std::string name = "net_rvif" + std::to_string(10 + i);
        const std::string arguments = "backend=direct,socket=" + socket_path;
        CHECK_EQ(0, rte_eal_hotplug_add("vdev", name.c_str(), arguments.c_str()));
        rte_mempool *const first = use_pool(pools.back());
        set_up(port_named(name), {});
        use_pool(first);
        if (rte_eth_dev_start(port_named(name)) != 0) {
            ++refused;
            for (const std::string &other : names) {
                CHECK_EQ(0, rte_eth_dev_stop(port_named(other)));
                CHECK_EQ(0, rte_eth_dev_start(port_named(other)));
            }
            CHECK_EQ(0, rte_eth_dev_start(port_named(name)));
        }
        names.push_back(name);
        for (const std::string &each : names) {
            receives(port_named(each));
        }
    }
    CHECK(refused != 0);
    for (const std::string &name : names) {
        CHECK_EQ(0, rte_eth_dev_stop(port_named(name)));
        CHECK_EQ(0, rte_eal_hotplug_remove("vdev", name.c_str()));
    }
    for (rte_mempool *pool : pools) {
        rte_mempool_free(pool);
    }
    stop_both();
}

constexpr Case cases[] = {
    CASE(memory_that_comes_while_ports_run_can_be_sent),
    CASE(memory_that_goes_and_comes_back_is_not_mistaken_for_what_it_was),
    CASE(many_ports_and_memory_that_grows_between_them),
};

} // namespace

int main(int argc, char **argv)
{
    if (argc < 2) {
        std::fprintf(stderr, "usage: memory_test SOCKET EAL-ARGUMENTS\n");
        return 2;
    }
    socket_path = argv[1];
    argv[1] = argv[0];
    if (rte_eal_init(argc - 1, argv + 1) < 0 || rte_eth_dev_count_avail() != 2) {
        std::fprintf(stderr, "memory_test wants two net_rvif ports\n");
        return 2;
    }
    create_pool();
    for (const Case &one : cases) {
        current = one.name;
        one.run();
        std::printf("passed %s\n", one.name);
    }
    for (std::uint16_t port = 0; port < 2; ++port) {
        CHECK_EQ(0, rte_eth_dev_close(port));
    }
    CHECK_EQ(0, rte_eal_cleanup());
    std::printf("all passed\n");
    return 0;
}
