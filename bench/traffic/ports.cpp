// SPDX-License-Identifier: Apache-2.0
#include "ports.hpp"

#include <array>
#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <stdexcept>

namespace traffic {
namespace {

void check(int result, const std::string &what)
{
    if (result < 0) {
        throw std::runtime_error{what + ": " + rte_strerror(-result)};
    }
}

void configure(std::uint16_t id, const std::string &name, const PortSettings &settings,
               rte_mempool *pool)
{
    rte_eth_dev_info info;
    check(rte_eth_dev_info_get(id, &info), name);
    rte_eth_conf conf{};
    conf.txmode.offloads = info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
    check(rte_eth_dev_configure(id, 1, 1, &conf), name + ": configure");
    const auto mtu = static_cast<std::uint16_t>(settings.largest - RTE_ETHER_HDR_LEN);
    if (mtu > RTE_ETHER_MTU) {
        rte_eth_dev_set_mtu(id,
                            mtu); // some have no such thing and take what fits: frames will tell
    }
    check(rte_eth_rx_queue_setup(id, 0, settings.descriptors, 0, nullptr, pool),
          name + ": rx queue");
    check(rte_eth_tx_queue_setup(id, 0, settings.descriptors, 0, nullptr), name + ": tx queue");
    check(rte_eth_dev_start(id), name + ": start");
    rte_eth_promiscuous_enable(id); // not every driver has it, and then it needs none
}

} // namespace

Ports::Ports(const std::vector<std::string> &names, const PortSettings &settings)
{
    if (names.empty()) {
        return;
    }
    pool_ = rte_pktmbuf_pool_create(
        names.front().c_str(), settings.mbufs, 512, 0,
        static_cast<std::uint16_t>(settings.buffer + RTE_PKTMBUF_HEADROOM), SOCKET_ID_ANY);
    if (pool_ == nullptr) {
        throw std::runtime_error{std::string{"packet buffers: "} + rte_strerror(rte_errno)};
    }
    for (const std::string &name : names) {
        std::uint16_t id = 0;
        check(rte_eth_dev_get_port_by_name(name.c_str(), &id), "no port " + name);
        configure(id, name, settings, pool_);
        ids_.push_back(id);
    }
}

Ports::~Ports()
{
    for (const std::uint16_t id : ids_) {
        rte_eth_dev_stop(id);
        rte_eth_dev_close(id);
    }
}

void Ports::wait_for_links(std::uint64_t milliseconds) const
{
    const std::uint64_t limit = rte_rdtsc() + milliseconds * rte_get_tsc_hz() / 1000;
    for (const std::uint16_t id : ids_) {
        rte_eth_link link{};
        while (rte_eth_link_get_nowait(id, &link) == 0 && link.link_status == RTE_ETH_LINK_DOWN) {
            if (rte_rdtsc() > limit) {
                throw std::runtime_error{"port " + std::to_string(id) + ": no link after " +
                                         std::to_string(milliseconds) + " ms"};
            }
            std::array<rte_mbuf *, 32> early;
            rte_pktmbuf_free_bulk(early.data(),
                                  rte_eth_rx_burst(id, 0, early.data(), early.size()));
            rte_delay_us_sleep(1000);
        }
    }
}

void Ports::drain() const
{
    for (const std::uint16_t id : ids_) {
        std::array<rte_mbuf *, 32> late;
        // Bounded: somebody may still be sending.
        for (unsigned round = 0; round < 4096; ++round) {
            const std::uint16_t got = rte_eth_rx_burst(id, 0, late.data(), late.size());
            rte_pktmbuf_free_bulk(late.data(), got);
            if (got == 0 && round > 8) {
                break;
            }
        }
    }
}

} // namespace traffic
