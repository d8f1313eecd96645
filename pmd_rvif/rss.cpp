// SPDX-License-Identifier: Apache-2.0
// How the switch spreads frames over the port's receive queues. The hash is the switch's own; it
// has no key.
#include "control.hpp"

namespace rvif {
namespace {

std::uint32_t types_of(std::uint64_t rss_hf)
{
    constexpr std::uint64_t l4 = RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP;
    std::uint32_t types = 0;
    types |= (rss_hf & RTE_ETH_RSS_IP & ~l4) != 0 ? RVIF_RSS_IP : 0;
    types |= (rss_hf & RTE_ETH_RSS_TCP) != 0 ? RVIF_RSS_TCP : 0;
    types |= (rss_hf & RTE_ETH_RSS_UDP) != 0 ? RVIF_RSS_UDP : 0;
    types |= (rss_hf & RTE_ETH_RSS_L2_PAYLOAD) != 0 ? RVIF_RSS_L2 : 0;
    return types;
}

std::uint64_t rss_hf_of(std::uint32_t types)
{
    std::uint64_t rss_hf = 0;
    rss_hf |= (types & RVIF_RSS_IP) != 0 ? RTE_ETH_RSS_IP : 0;
    rss_hf |= (types & RVIF_RSS_TCP) != 0 ? RTE_ETH_RSS_TCP : 0;
    rss_hf |= (types & RVIF_RSS_UDP) != 0 ? RTE_ETH_RSS_UDP : 0;
    rss_hf |= (types & RVIF_RSS_L2) != 0 ? RTE_ETH_RSS_L2_PAYLOAD : 0;
    return rss_hf;
}

// To the switch, if it is listening.
int apply_if_started(rte_eth_dev *dev)
{
    std::string why;
    if (dev->data->dev_started != 0 && !rss_apply(dev, why)) {
        RVIF_LOG(ERR, "%s: %s\n", dev->data->name, why.c_str());
        return -EIO;
    }
    return 0;
}

// Calls each(entry of ours, entry of the table) for those that the table means.
template <class Each>
int for_each_entry(rte_eth_dev *dev, rte_eth_rss_reta_entry64 *table, std::uint16_t size, Each each)
{
    if (size != RVIF_RETA_SIZE) {
        RVIF_LOG(ERR, "%s: a redirection table has %d entries, not %u\n", dev->data->name,
                 RVIF_RETA_SIZE, size);
        return -EINVAL;
    }
    Port &port = port_of(dev);
    for (std::uint16_t i = 0; i < size; ++i) {
        rte_eth_rss_reta_entry64 &group = table[i / RTE_ETH_RETA_GROUP_SIZE];
        const unsigned at = i % RTE_ETH_RETA_GROUP_SIZE;
        if ((group.mask >> at & 1) != 0) {
            each(port.rss.queue[i], group.reta[at]);
        }
    }
    return 0;
}

} // namespace

int rss_configure(rte_eth_dev *dev)
{
    Port &port = port_of(dev);
    const rte_eth_conf &conf = dev->data->dev_conf;
    const bool on = (conf.rxmode.mq_mode & RTE_ETH_MQ_RX_RSS_FLAG) != 0;
    port.rss.types = on ? types_of(conf.rx_adv_conf.rss_conf.rss_hf) : 0;
    for (std::uint32_t i = 0; i < RVIF_RETA_SIZE; ++i) {
        port.rss.queue[i] = static_cast<std::uint8_t>(
            dev->data->nb_rx_queues == 0 ? 0 : i % dev->data->nb_rx_queues);
    }
    return 0;
}

bool rss_apply(rte_eth_dev *dev, std::string &why)
{
    Port &port = port_of(dev);
    const std::lock_guard lock{port.control};
    rvif_addr_t address = 0;
    *port.rss_area = port.rss;
    return where(port, port.rss_area.get(), sizeof(rvif_rss), address, why) &&
           call_ok(port, "RSS", why, RVIF_OP_RSS, address);
}

int reta_update(rte_eth_dev *dev, rte_eth_rss_reta_entry64 *table, std::uint16_t size)
{
    bool sound = true;
    const int result = for_each_entry(dev, table, size, [&](std::uint8_t, std::uint16_t queue) {
        sound = sound && queue < dev->data->nb_rx_queues;
    });
    if (result != 0 || !sound) {
        return -EINVAL;
    }
    for_each_entry(dev, table, size, [](std::uint8_t &ours, std::uint16_t queue) {
        ours = static_cast<std::uint8_t>(queue);
    });
    return apply_if_started(dev);
}

int reta_query(rte_eth_dev *dev, rte_eth_rss_reta_entry64 *table, std::uint16_t size)
{
    return for_each_entry(dev, table, size,
                          [](std::uint8_t ours, std::uint16_t &queue) { queue = ours; });
}

int rss_hash_update(rte_eth_dev *dev, rte_eth_rss_conf *conf)
{
    if (conf->rss_key != nullptr && conf->rss_key_len != 0) {
        RVIF_LOG(ERR, "%s: the switch's hash has no key: leave it out\n", dev->data->name);
        return -ENOTSUP;
    }
    port_of(dev).rss.types = types_of(conf->rss_hf);
    return apply_if_started(dev);
}

int rss_hash_conf_get(rte_eth_dev *dev, rte_eth_rss_conf *conf)
{
    conf->rss_hf = rss_hf_of(port_of(dev).rss.types);
    conf->rss_key_len = 0;
    return 0;
}

} // namespace rvif
