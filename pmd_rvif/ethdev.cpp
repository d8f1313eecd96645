// SPDX-License-Identifier: Apache-2.0
// From --vdev to an Ethernet device, and its end.
#include "control.hpp"
#include "control_call.hpp"

#include <bus_vdev_driver.h>
#include <cstring>
#include <ethdev_vdev.h>
#include <rte_version.h>
#include <utility>

namespace rvif {
namespace {

int close(rte_eth_dev *dev)
{
    auto *holder = static_cast<Port **>(dev->data->dev_private);
    if (holder == nullptr || *holder == nullptr) {
        return 0;
    }
    if (dev->data->dev_started != 0) {
        dev_stop(dev);
    }
    const std::unique_ptr<Port> port{std::exchange(*holder, nullptr)};
    if (port->memory_events) {
        rte_mem_event_callback_unregister(port->config.device.c_str(), port.get());
    }
    if (std::string why; port->undrained && !drain(*port, why)) {
        for (auto &queue : port->rx) {
            if (queue != nullptr) {
                give_up(queue, why);
            }
        }
    }
    forget_memory(*port);
    return 0; // the rest goes with the Port, last of all the attachment
}

constinit const eth_dev_ops operations = [] {
    eth_dev_ops ops{};
    ops.dev_configure = dev_configure;
    ops.dev_start = dev_start;
    ops.dev_stop = dev_stop;
    ops.dev_close = close;
    ops.dev_infos_get = dev_info;
    ops.rx_queue_setup = rx_setup;
    ops.rx_queue_release = rx_release;
    ops.tx_queue_setup = tx_setup;
    ops.tx_queue_release = tx_release;
    ops.rxq_info_get = rx_info;
    ops.txq_info_get = tx_info;
    ops.link_update = link_update;
    ops.mtu_set = mtu_set;
    ops.mac_addr_set = mac_set;
    ops.promiscuous_enable = promiscuous_enable;
    ops.promiscuous_disable = promiscuous_disable;
    ops.allmulticast_enable = allmulticast_enable;
    ops.allmulticast_disable = allmulticast_disable;
    ops.vlan_offload_set = vlan_offload_set;
    ops.rx_queue_start = rx_queue_start;
    ops.rx_queue_stop = rx_queue_stop;
    ops.tx_queue_start = tx_queue_start;
    ops.tx_queue_stop = tx_queue_stop;
    ops.tx_done_cleanup = tx_done_cleanup;
    ops.reta_update = reta_update;
    ops.reta_query = reta_query;
    ops.rss_hash_update = rss_hash_update;
    ops.rss_hash_conf_get = rss_hash_conf_get;
    ops.dev_supported_ptypes_get = packet_types;
    ops.stats_get = stats_get;
    ops.stats_reset = stats_reset;
    ops.xstats_get = xstats_get;
    ops.xstats_get_names = xstats_names;
    ops.xstats_reset = stats_reset;
    return ops;
}();

int probe(rte_vdev_device *vdev)
{
    const char *name = rte_vdev_device_name(vdev);
    if (rte_eal_process_type() != RTE_PROC_PRIMARY) {
        RVIF_LOG(ERR,
                 "%s: a secondary process cannot use this port, its queues belong to the primary: "
                 "give the "
                 "process a --vdev net_rvif of its own and run it as a primary (--file-prefix)\n",
                 name);
        return -ENOTSUP;
    }
    if (std::strncmp(rte_version(), "DPDK 22.11.", 11) != 0) {
        RVIF_LOG(ERR,
                 "%s: built for DPDK 22.11 and loaded into %s: build the plugin against that one\n",
                 name, rte_version());
        return -ENOTSUP;
    }
    std::string why;
    std::optional<Config> config = parse_devargs(name, rte_vdev_device_args(vdev), why);
    if (!config) {
        RVIF_LOG(ERR, "%s: %s\n", name, why.c_str());
        return -EINVAL;
    }

    auto port = std::make_unique<Port>();
    port->config = *config;
    port->backend = config->backend == BackendKind::direct ? attach_direct(*config, why)
                                                           : attach_elisa(*config, why);
    if (port->backend == nullptr) {
        RVIF_LOG(ERR, "%s: %s\n", name, why.c_str());
        return -ENODEV;
    }
    const CallResult hello = control_call(*port->backend, RVIF_OP_INFO);
    if (!hello.ok()) {
        RVIF_LOG(ERR, "%s: the switch does not answer: %s\n", name,
                 call_error(*port, "info", hello).c_str());
        return -ENODEV;
    }
    if (const auto version = static_cast<unsigned>(hello.value >> 32); version != RVIF_VERSION) {
        RVIF_LOG(ERR,
                 "%s: the switch speaks rvif version %u, this driver %u: bring both to the same "
                 "release\n",
                 name, version, RVIF_VERSION);
        return -EPROTO;
    }

    rte_eth_dev *dev = rte_eth_vdev_allocate(vdev, sizeof(Port *));
    if (dev == nullptr) {
        RVIF_LOG(ERR, "%s: no room for another Ethernet device\n", name);
        return -ENOMEM;
    }
    const int node = vdev->device.numa_node;
    port->stats_area.reset(
        static_cast<rvif_port_stats *>(eal_alloc(sizeof(rvif_port_stats), node)));
    port->rss_area.reset(static_cast<rvif_rss *>(eal_alloc(sizeof(rvif_rss), node)));
    port->status_area.reset(static_cast<rvif_sources *>(eal_alloc(sizeof(rvif_sources), node)));
    dev->data->mac_addrs = static_cast<rte_ether_addr *>(eal_alloc(sizeof(rte_ether_addr), node));
    if (port->stats_area == nullptr || port->rss_area == nullptr || port->status_area == nullptr ||
        dev->data->mac_addrs == nullptr) {
        RVIF_LOG(ERR, "%s: EAL's heap is used up: give it more memory (-m)\n", name);
        rte_eth_dev_release_port(dev);
        return -ENOMEM;
    }
    if (config->mac) {
        dev->data->mac_addrs[0] = *config->mac;
    } else if (const auto given = given_mac(*port)) {
        dev->data->mac_addrs[0] = *given;
    } else {
        rte_eth_random_addr(dev->data->mac_addrs[0].addr_bytes);
    }
    port->dev = dev;
    port->memory_events =
        rte_mem_event_callback_register(port->config.device.c_str(), memory_event, port.get()) == 0;
    dev->data->dev_link.link_speed = RTE_ETH_SPEED_NUM_100G;
    dev->data->dev_link.link_duplex = RTE_ETH_LINK_FULL_DUPLEX;
    dev->data->dev_link.link_autoneg = RTE_ETH_LINK_FIXED;
    dev->data->dev_link.link_status = RTE_ETH_LINK_DOWN;
    dev->data->dev_flags |= RTE_ETH_DEV_AUTOFILL_QUEUE_XSTATS | RTE_ETH_DEV_INTR_LSC;
    dev->dev_ops = &operations;
    dev->rx_pkt_burst = rx_burst;
    dev->tx_pkt_burst = tx_burst;
    dev->tx_pkt_prepare = tx_prepare;
    dev->rx_queue_count = rx_queue_count;
    dev->rx_descriptor_status = rx_descriptor_status;
    dev->tx_descriptor_status = tx_descriptor_status;
    *static_cast<Port **>(dev->data->dev_private) = port.release();
    rte_eth_dev_probing_finish(dev);
    RVIF_LOG(NOTICE, "%s is port %u of the switch\n", name,
             static_cast<unsigned>(hello.value & 0xffffffff));
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

} // namespace
} // namespace rvif

// The macros of RTE_PMD_REGISTER_VDEV and RTE_LOG_REGISTER, which are C.
namespace {
[[gnu::constructor(65535)]] void register_net_rvif()
{
    rvif::log_type = rte_log_register_type_and_pick_level("pmd.net.rvif", RTE_LOG_NOTICE);
    rvif::driver.driver.name = "net_rvif";
    rte_vdev_register(&rvif::driver);
    rvif::telemetry_register();
}
} // namespace
