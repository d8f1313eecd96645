// SPDX-License-Identifier: Apache-2.0
// Parts of the control path, by file. All are ethdev operations unless they say otherwise.
#pragma once

#include "port.hpp"

#include <ethdev_driver.h>
#include <string>

namespace rvif {

// One operation of the switch; `why` if it fails.
bool call_ok(Port &port, const char *what, std::string &why, std::uint64_t op, std::uint64_t a1 = 0,
             std::uint64_t a2 = 0, std::int64_t *value = nullptr);
// Where a thing of ours is in the regions; it was allocated before the memory was registered.
bool where(const Port &port, const void *memory, std::size_t bytes, rvif_addr_t &out,
           std::string &why);

// ---- rss.cpp
constexpr std::uint64_t rss_offloads = RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP |
                                       RTE_ETH_RSS_L2_PAYLOAD;
int rss_configure(rte_eth_dev *dev);             // from dev_configure
bool rss_apply(rte_eth_dev *dev, std::string &why); // when the port starts
int reta_update(rte_eth_dev *dev, rte_eth_rss_reta_entry64 *table, std::uint16_t size);
int reta_query(rte_eth_dev *dev, rte_eth_rss_reta_entry64 *table, std::uint16_t size);
int rss_hash_update(rte_eth_dev *dev, rte_eth_rss_conf *conf);
int rss_hash_conf_get(rte_eth_dev *dev, rte_eth_rss_conf *conf);

// ---- rx_mode.cpp
int promiscuous_enable(rte_eth_dev *dev);
int promiscuous_disable(rte_eth_dev *dev);
int allmulticast_enable(rte_eth_dev *dev);
int allmulticast_disable(rte_eth_dev *dev);

// ---- link.cpp
int link_update(rte_eth_dev *dev, int wait);
// Watches for changes on behalf of an application that wants to hear of them.
void link_watch(rte_eth_dev *dev, bool on);

// ---- queues.cpp
int rx_queue_start(rte_eth_dev *dev, std::uint16_t index);
int rx_queue_stop(rte_eth_dev *dev, std::uint16_t index);
int tx_queue_start(rte_eth_dev *dev, std::uint16_t index);
int tx_queue_stop(rte_eth_dev *dev, std::uint16_t index);
std::uint32_t rx_queue_count(void *queue);
int rx_descriptor_status(void *queue, std::uint16_t offset);
int tx_descriptor_status(void *queue, std::uint16_t offset);
int tx_done_cleanup(void *queue, std::uint32_t count);

// ---- telemetry.cpp
void telemetry_register();

} // namespace rvif
