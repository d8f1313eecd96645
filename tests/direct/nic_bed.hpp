// SPDX-License-Identifier: Apache-2.0
// Two net_rvif ports of one process, and frames from port 0 to port 1.
#pragma once

#include "check.hpp"
#include "packets.hpp"

#include <array>
#include <cstdint>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <vector>

namespace direct {

using namespace rvs::test;

inline constexpr std::uint16_t depth = 256; // of a receive queue

// Before anything else; all mbufs come from this pool.
void create_pool();
// From now on from that one, of as many mbufs as it has; returns the one before.
rte_mempool *use_pool(rte_mempool *other);

std::array<std::uint8_t, 6> mac_of(std::uint16_t port);

struct Setup {
    std::uint64_t rx_offloads = 0;
    std::uint64_t tx_offloads = 0;
    std::uint16_t queues = 1;
    std::uint64_t rss_hf = 0;
    std::uint16_t mtu = 1500;
    bool deferred = false;
    std::uint16_t rx_depth = depth;
};

// All that comes before rte_eth_dev_start().
void set_up(std::uint16_t port, const Setup &setup);
void start(std::uint16_t port, const Setup &setup);
// Looks for new sources on all queues; what arrives is dropped.
void poll_all(std::uint16_t port);

// Port 0 sends with all offloads; port 1 is as told.
void start_both(const Setup &receiver);
// No mbuf is missing afterwards.
void stop_both();

// In segments of at most `segment` bytes.
rte_mbuf *make(const Bytes &bytes, std::size_t segment = 2000);
Bytes bytes_of(const rte_mbuf *mbuf);
Bytes to_port_1(Packet p);

// From port 0, prepared as rte_eth_tx_prepare() has it.
void transmit(rte_mbuf *mbuf);

struct Got {
    rte_mbuf *mbuf;
    std::uint16_t queue;
};
std::vector<Got> receive(std::uint16_t port = 1);
void drop(std::vector<Got> &got);

} // namespace direct
