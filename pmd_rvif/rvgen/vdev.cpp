// SPDX-License-Identifier: Apache-2.0
// net_rvgen: a port whose wire is an Engine. One queue each way.
#include "engine.hpp"

#include <bus_vdev_driver.h>
#include <ethdev_driver.h>
#include <ethdev_vdev.h>
#include <rte_malloc.h>
#include <rte_spinlock.h>
#include <utility>

namespace rvgen {
namespace {

int log_type;
#define RVGEN_LOG(level, ...) rte_log(RTE_LOG_##level, ::rvgen::log_type, "net_rvgen: " __VA_ARGS__)

struct Port {
    Options options;
    std::unique_ptr<Engine> engine;
    rte_spinlock_t lock = RTE_SPINLOCK_INITIALIZER; // rx and tx may be on different CPUs
    rte_mempool *pool = nullptr;
    std::uint64_t taken = 0;
    std::uint64_t taken_bytes = 0;
    std::uint64_t given = 0;
    std::uint64_t given_bytes = 0;
};

Port &port_of(rte_eth_dev *dev)
{
    return **static_cast<Port **>(dev->data->dev_private);
}

std::uint16_t rx_burst(void *queue, rte_mbuf **pkts, std::uint16_t count)
{
    Port &port = *static_cast<Port *>(queue);
    rte_spinlock_lock(&port.lock);
    const std::uint16_t got = port.engine->take(port.pool, pkts, count);
    port.taken += got;
    for (std::uint16_t i = 0; i < got; ++i) {
        port.taken_bytes += pkts[i]->pkt_len;
    }
    rte_spinlock_unlock(&port.lock);
    return got;
}

std::uint16_t tx_burst(void *queue, rte_mbuf **pkts, std::uint16_t count)
{
    Port &port = *static_cast<Port *>(queue);
    rte_spinlock_lock(&port.lock);
    port.given += count;
    for (std::uint16_t i = 0; i < count; ++i) {
        port.given_bytes += pkts[i]->pkt_len;
    }
    port.engine->give(pkts, count);
    rte_spinlock_unlock(&port.lock);
    return count;
}

int configure(rte_eth_dev *)
{
    return 0;
}

int start(rte_eth_dev *dev)
{
    dev->data->dev_link.link_status = RTE_ETH_LINK_UP;
    dev->data->rx_queue_state[0] = RTE_ETH_QUEUE_STATE_STARTED;
    dev->data->tx_queue_state[0] = RTE_ETH_QUEUE_STATE_STARTED;
    return 0;
}

int stop(rte_eth_dev *dev)
{
    port_of(dev).engine->drop_all();
    dev->data->dev_link.link_status = RTE_ETH_LINK_DOWN;
    dev->data->rx_queue_state[0] = RTE_ETH_QUEUE_STATE_STOPPED;
    dev->data->tx_queue_state[0] = RTE_ETH_QUEUE_STATE_STOPPED;
    return 0;
}

int close(rte_eth_dev *dev)
{
    auto *holder = static_cast<Port **>(dev->data->dev_private);
    delete std::exchange(*holder, nullptr);
    return 0;
}

int rx_setup(rte_eth_dev *dev, std::uint16_t index, std::uint16_t, unsigned, const rte_eth_rxconf *,
             rte_mempool *pool)
{
    Port &port = port_of(dev);
    port.pool = pool;
    dev->data->rx_queues[index] = &port;
    return 0;
}

int tx_setup(rte_eth_dev *dev, std::uint16_t index, std::uint16_t, unsigned, const rte_eth_txconf *)
{
    dev->data->tx_queues[index] = &port_of(dev);
    return 0;
}

int info(rte_eth_dev *, rte_eth_dev_info *out)
{
    out->max_rx_queues = 1;
    out->max_tx_queues = 1;
    out->max_mac_addrs = 1;
    out->min_rx_bufsize = 0;
    out->max_rx_pktlen = max_size;
    out->rx_offload_capa = RTE_ETH_RX_OFFLOAD_SCATTER;
    out->tx_offload_capa = RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
    out->default_rxportconf = {.burst_size = 32, .ring_size = 256, .nb_queues = 1};
    out->default_txportconf = {.burst_size = 32, .ring_size = 256, .nb_queues = 1};
    return 0;
}

int link_update(rte_eth_dev *dev, int)
{
    rte_eth_link link{};
    link.link_speed = RTE_ETH_SPEED_NUM_100G;
    link.link_duplex = RTE_ETH_LINK_FULL_DUPLEX;
    link.link_autoneg = RTE_ETH_LINK_FIXED;
    link.link_status = dev->data->dev_started != 0 ? RTE_ETH_LINK_UP : RTE_ETH_LINK_DOWN;
    return rte_eth_linkstatus_set(dev, &link);
}

int stats_get(rte_eth_dev *dev, rte_eth_stats *out)
{
    const Port &port = port_of(dev);
    out->ipackets = port.taken;
    out->ibytes = port.taken_bytes;
    out->opackets = port.given;
    out->obytes = port.given_bytes;
    return 0;
}

int stats_reset(rte_eth_dev *dev)
{
    Port &port = port_of(dev);
    port.taken = port.taken_bytes = port.given = port.given_bytes = 0;
    return 0;
}

int accept(rte_eth_dev *)
{
    return 0;
}

int mtu_set(rte_eth_dev *, std::uint16_t)
{
    return 0;
}

constinit const eth_dev_ops operations = [] {
    eth_dev_ops ops{};
    ops.dev_configure = configure;
    ops.dev_start = start;
    ops.dev_stop = stop;
    ops.dev_close = close;
    ops.dev_infos_get = info;
    ops.rx_queue_setup = rx_setup;
    ops.tx_queue_setup = tx_setup;
    ops.link_update = link_update;
    ops.stats_get = stats_get;
    ops.stats_reset = stats_reset;
    ops.promiscuous_enable = accept;
    ops.promiscuous_disable = accept;
    ops.allmulticast_enable = accept;
    ops.allmulticast_disable = accept;
    ops.mtu_set = mtu_set;
    return ops;
}();

int probe(rte_vdev_device *vdev)
{
    const char *name = rte_vdev_device_name(vdev);
    if (rte_eal_process_type() != RTE_PROC_PRIMARY) {
        RVGEN_LOG(ERR, "%s: not in a secondary process\n", name);
        return -ENOTSUP;
    }
    std::string why;
    std::optional<Options> options = parse_options(name, rte_vdev_device_args(vdev), why);
    if (!options) {
        RVGEN_LOG(ERR, "%s: %s\n", name, why.c_str());
        return -EINVAL;
    }
    rte_eth_dev *dev = rte_eth_vdev_allocate(vdev, sizeof(Port *));
    if (dev == nullptr) {
        return -ENOMEM;
    }
    dev->data->mac_addrs =
        static_cast<rte_ether_addr *>(rte_zmalloc("rvgen", sizeof(rte_ether_addr), 0));
    if (dev->data->mac_addrs == nullptr) {
        rte_eth_dev_release_port(dev);
        return -ENOMEM;
    }
    dev->data->mac_addrs[0] = options->mac;
    auto port = std::make_unique<Port>();
    port->options = *options;
    port->engine = options->echo ? make_echo(*options) : make_generator(*options);
    *static_cast<Port **>(dev->data->dev_private) = port.release();
    dev->data->dev_link.link_speed = RTE_ETH_SPEED_NUM_100G;
    dev->data->dev_link.link_duplex = RTE_ETH_LINK_FULL_DUPLEX;
    dev->data->promiscuous = 1;
    dev->dev_ops = &operations;
    dev->rx_pkt_burst = rx_burst;
    dev->tx_pkt_burst = tx_burst;
    rte_eth_dev_probing_finish(dev);
    return 0;
}

int remove(rte_vdev_device *vdev)
{
    rte_eth_dev *dev = rte_eth_dev_allocated(rte_vdev_device_name(vdev));
    return dev == nullptr ? 0 : rte_eth_dev_close(dev->data->port_id);
}

constinit rte_vdev_driver driver = [] {
    rte_vdev_driver d{};
    d.probe = probe;
    d.remove = remove;
    return d;
}();

[[gnu::constructor]] void register_net_rvgen()
{
    log_type = rte_log_register_type_and_pick_level("pmd.net.rvgen", RTE_LOG_NOTICE);
    driver.driver.name = "net_rvgen";
    rte_vdev_register(&driver);
}

} // namespace
} // namespace rvgen
