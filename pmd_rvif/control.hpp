// SPDX-License-Identifier: Apache-2.0
// Parts of the control path, by file. All are ethdev operations unless they say otherwise.
#pragma once

#include "port.hpp"

#include <ethdev_driver.h>
#include <memory>
#include <optional>
#include <rte_memory.h>
#include <string>

namespace rvif {

constexpr std::uint32_t frame_overhead = RTE_ETHER_HDR_LEN + 4; // and one VLAN tag

// ---- port.cpp
// One operation of the switch; `why` if it fails.
bool call_ok(Port &port, const char *what, std::string &why, std::uint64_t op, std::uint64_t a1 = 0,
             std::uint64_t a2 = 0, std::int64_t *value = nullptr);
// Where a thing of ours is in the regions; it was allocated before the memory was registered.
bool where(const Port &port, const void *memory, std::size_t bytes, rvif_addr_t &out,
           std::string &why);

// ---- regions.cpp
// The application gave memory back, or got some: EAL's callback. arg: the Port.
void memory_event(rte_mem_event event, const void *address, std::size_t length, void *arg);
// Registers EAL's memory as it is now; keeps what has not changed.
bool register_memory(Port &port, std::string &why);
void forget_memory(Port &port);
// The one region that all of a pool's buffers are in.
bool pool_region(const Port &port, rte_mempool *pool, std::uint32_t &region, std::string &why);
// The one run that all of a pool is in, or nullptr.
const AddressMap::Run *pool_run(const Port &port, rte_mempool *pool);

// ---- start.cpp
int dev_start(rte_eth_dev *dev);
int dev_stop(rte_eth_dev *dev);
bool set_mac(Port &port, const rte_ether_addr &address, std::string &why);
// The address that the switch's manager gave the port, if it gave one.
std::optional<rte_ether_addr> given_mac(Port &port);
bool mtu_fits(const Port &port, std::uint32_t mtu, std::string &why);

// ---- drain.cpp
// Asks the switch to stop until no call of a peer can be filling buffers of ours any more, and
// takes those back. If that cannot be had, the buffers stay where they are.
bool drain(Port &port, std::string &why);
// Buffers that a peer may still write to must not go back to their pool: better lost than written
// to in other hands.
void give_up(std::unique_ptr<RxQueue> &queue, const std::string &why);

// ---- queue_setup.cpp
int dev_configure(rte_eth_dev *dev);
int rx_setup(rte_eth_dev *dev, std::uint16_t index, std::uint16_t depth, unsigned socket,
             const rte_eth_rxconf *conf, rte_mempool *pool);
int tx_setup(rte_eth_dev *dev, std::uint16_t index, std::uint16_t depth, unsigned socket,
             const rte_eth_txconf *conf);
void rx_release(rte_eth_dev *dev, std::uint16_t index);
void tx_release(rte_eth_dev *dev, std::uint16_t index);
void rx_info(rte_eth_dev *dev, std::uint16_t index, rte_eth_rxq_info *out);
void tx_info(rte_eth_dev *dev, std::uint16_t index, rte_eth_txq_info *out);

// ---- attributes.cpp
int dev_info(rte_eth_dev *dev, rte_eth_dev_info *out);
int mtu_set(rte_eth_dev *dev, std::uint16_t mtu);
int mac_set(rte_eth_dev *dev, rte_ether_addr *mac);
int vlan_offload_set(rte_eth_dev *dev, int mask);
const std::uint32_t *packet_types(rte_eth_dev *dev);

// ---- rss.cpp
constexpr std::uint64_t rss_offloads =
    RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_L2_PAYLOAD;
int rss_configure(rte_eth_dev *dev);                // from dev_configure
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
