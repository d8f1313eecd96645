// SPDX-License-Identifier: Apache-2.0
// Link state: up while the port is started, the switch can be reached, and the manager does not
// hold the port down.
#include "control.hpp"
#include "control_call.hpp"

#include <rte_alarm.h>

namespace rvif {
namespace {

constexpr std::uint64_t watch_interval_us = 500'000;

bool is_up(rte_eth_dev *dev)
{
    Port &port = port_of(dev);
    if (dev->data->dev_started == 0 || !port.backend->alive()) {
        return false;
    }
    const std::lock_guard lock{port.control};
    const auto address = port.addresses.address(port.status_area.get(), sizeof(rvif_sources));
    if (!address) {
        return false;
    }
    const CallResult result = control_call(*port.backend, RVIF_OP_SOURCES, *address);
    return result.ok() && port.status_area->link != 0 && port.backend->alive();
}

void watch(void *arg)
{
    auto *dev = static_cast<rte_eth_dev *>(arg);
    if (link_update(dev, 0) == 0) { // it has changed
        rte_eth_dev_callback_process(dev, RTE_ETH_EVENT_INTR_LSC, nullptr);
    }
    rte_eal_alarm_set(watch_interval_us, watch, dev);
}

} // namespace

int link_update(rte_eth_dev *dev, int)
{
    rte_eth_link link{};
    link.link_speed = RTE_ETH_SPEED_NUM_100G;
    link.link_duplex = RTE_ETH_LINK_FULL_DUPLEX;
    link.link_autoneg = RTE_ETH_LINK_FIXED;
    link.link_status = is_up(dev) ? RTE_ETH_LINK_UP : RTE_ETH_LINK_DOWN;
    return rte_eth_linkstatus_set(dev, &link);
}

void link_watch(rte_eth_dev *dev, bool on)
{
    rte_eal_alarm_cancel(watch, dev); // waits for one that is running
    if (on) {
        rte_eal_alarm_set(watch_interval_us, watch, dev);
    }
}

} // namespace rvif
