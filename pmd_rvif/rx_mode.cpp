// SPDX-License-Identifier: Apache-2.0
// Promiscuous and all-multicast: what the switch floods to this port.
#include "control.hpp"

namespace rvif {
namespace {

int apply(rte_eth_dev *dev, bool promiscuous, bool allmulticast)
{
    std::string why;
    const std::uint64_t mode =
        (promiscuous ? RVIF_RX_MODE_PROMISC : 0u) | (allmulticast ? RVIF_RX_MODE_ALLMULTI : 0u);
    if (!call_ok(port_of(dev), "receive mode", why, RVIF_OP_RX_MODE, mode)) {
        RVIF_LOG(ERR, "%s: %s\n", dev->data->name, why.c_str());
        return -EIO;
    }
    return 0;
}

} // namespace

int promiscuous_enable(rte_eth_dev *dev)
{
    return apply(dev, true, dev->data->all_multicast != 0);
}

int promiscuous_disable(rte_eth_dev *dev)
{
    return apply(dev, false, dev->data->all_multicast != 0);
}

int allmulticast_enable(rte_eth_dev *dev)
{
    return apply(dev, dev->data->promiscuous != 0, true);
}

int allmulticast_disable(rte_eth_dev *dev)
{
    return apply(dev, dev->data->promiscuous != 0, false);
}

} // namespace rvif
