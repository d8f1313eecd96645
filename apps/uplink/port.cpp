// SPDX-License-Identifier: Apache-2.0
#include "port.hpp"

#include "offload.hpp"

#include <algorithm>
#include <rte_ethdev.h>
#include <string_view>
#include <vector>

namespace uplink {
namespace {

constexpr std::uint64_t rx_checksums = RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM;
constexpr std::uint64_t tx_checksums = RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM;
constexpr std::uint64_t tx_segments = RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
constexpr std::uint64_t tx_wanted =
    tx_checksums | tx_segments | RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_VLAN_INSERT;

std::string name_of(std::uint16_t id)
{
    char name[RTE_ETH_NAME_MAX_LEN] = "";
    rte_eth_dev_get_name_by_port(id, name);
    return name;
}

} // namespace

Abilities abilities(std::uint16_t id)
{
    rte_eth_dev_info info{};
    if (rte_eth_dev_info_get(id, &info) != 0) {
        return {};
    }
    const bool checksums = (info.tx_offload_capa & tx_checksums) == tx_checksums;
    // It compares a segment, Ethernet header and all, with the MTU: full ones are refused.
    const bool cuts_badly = std::string_view{info.driver_name} == "net_tap";
    return {.checksums = checksums,
            .segmentation =
                checksums && !cuts_badly && (info.tx_offload_capa & tx_segments) == tx_segments};
}

Port::Port(std::uint16_t id) : id_{id}, name_{name_of(id)} {}

elisa::Error Port::error(const char *what, int code) const
{
    return elisa::errno_error(code < 0 ? -code : code, name_ + ": " + what);
}

elisa::Result<std::unique_ptr<Port>> Port::open(std::uint16_t id, rte_mempool &pool,
                                                const PortOptions &options)
{
    std::unique_ptr<Port> port{new Port{id}};
    if (auto done = port->configure(pool, options); !done) {
        return done.error();
    }
    return port;
}

elisa::Result<void> Port::configure(rte_mempool &pool, const PortOptions &options)
{
    rte_eth_dev_info info{};
    if (const int bad = rte_eth_dev_info_get(id_, &info); bad != 0) {
        return error("what it can", bad);
    }
    rte_eth_conf conf{};
    conf.rxmode.mtu = options.mtu;
    if (options.leave_checksums) {
        conf.rxmode.offloads |= rx_checksums;
    }
    if (options.leave_segmentation) {
        conf.rxmode.offloads |= RTE_ETH_RX_OFFLOAD_TCP_LRO;
        conf.rxmode.max_lro_pkt_size = info.max_lro_pkt_size;
    }
    if ((info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER) != 0) {
        conf.rxmode.offloads |= RTE_ETH_RX_OFFLOAD_SCATTER;
    }
    conf.txmode.offloads = info.tx_offload_capa & tx_wanted;
    inserts_tags_ = (conf.txmode.offloads & RTE_ETH_TX_OFFLOAD_VLAN_INSERT) != 0;
    completes_ = options.leave_checksums;

    std::uint16_t rx_depth = options.depth;
    std::uint16_t tx_depth = options.depth;
    if (const int bad = rte_eth_dev_configure(id_, 1, 1, &conf); bad != 0) {
        return error("configure", bad);
    }
    if (const int bad = rte_eth_dev_adjust_nb_rx_tx_desc(id_, &rx_depth, &tx_depth); bad != 0) {
        return error("descriptors", bad);
    }
    rte_eth_rxconf rx = info.default_rxconf;
    rx.offloads = conf.rxmode.offloads;
    if (const int bad = rte_eth_rx_queue_setup(id_, 0, rx_depth, SOCKET_ID_ANY, &rx, &pool);
        bad != 0) {
        return error("receive queue", bad);
    }
    rte_eth_txconf tx = info.default_txconf;
    tx.offloads = conf.txmode.offloads;
    if (const int bad = rte_eth_tx_queue_setup(id_, 0, tx_depth, SOCKET_ID_ANY, &tx); bad != 0) {
        return error("transmit queue", bad);
    }
    // Not every driver takes it before it is configured.
    if (std::uint16_t mtu = 0; rte_eth_dev_get_mtu(id_, &mtu) == 0 && mtu != options.mtu) {
        if (const int bad = rte_eth_dev_set_mtu(id_, options.mtu); bad != 0) {
            return error("MTU", bad);
        }
    }
    if (const int bad = rte_eth_dev_start(id_); bad != 0) {
        return error("start", bad);
    }
    const int all =
        options.promiscuous ? rte_eth_promiscuous_enable(id_) : rte_eth_promiscuous_disable(id_);
    if (all != 0 && all != -ENOTSUP) {
        return error("promiscuous mode", all);
    }
    if (const int bad = rte_eth_allmulticast_enable(id_); bad != 0 && bad != -ENOTSUP) {
        return error("all-multicast mode", bad);
    }
    return {};
}

Port::~Port()
{
    rte_eth_dev_stop(id_);
    rte_eth_dev_close(id_);
}

std::uint16_t Port::receive(std::span<rte_mbuf *> room, Counters &counters)
{
    if (stopped_) {
        return 0;
    }
    const std::uint16_t got =
        rte_eth_rx_burst(id_, 0, room.data(), static_cast<std::uint16_t>(room.size()));
    std::uint64_t bytes = 0;
    std::uint16_t good = 0;
    for (std::uint16_t i = 0; i < got; ++i) {
        rte_mbuf *frame = room[i];
        bytes += frame->pkt_len;
        if (completes_ && !request_as_received(*frame)) {
            counters.drop(Drop::bad_offload);
            rte_pktmbuf_free(frame);
            continue;
        }
        room[good++] = frame;
    }
    counters.received.add(got);
    counters.received_bytes.add(bytes);
    return good;
}

bool Port::prepare(rte_mbuf *&frame) const noexcept
{
    return inserts_tags_ || insert_tag(frame);
}

void Port::send(std::span<rte_mbuf *> frames, Counters &counters)
{
    std::size_t ready = 0;
    for (rte_mbuf *frame : frames) {
        if (stopped_ || !prepare(frame)) {
            counters.drop(stopped_ ? Drop::link_down : Drop::bad_offload);
            rte_pktmbuf_free(frame);
        } else {
            frames[ready++] = frame;
        }
    }
    frames = frames.first(ready);
    while (!frames.empty()) {
        const auto count = static_cast<std::uint16_t>(frames.size());
        const std::uint16_t fit = rte_eth_tx_prepare(id_, 0, frames.data(), count);
        // They are the driver's as soon as they are sent.
        std::array<std::uint32_t, max_burst> lengths;
        for (std::uint16_t i = 0; i < fit; ++i) {
            lengths[i] = frames[i]->pkt_len;
        }
        std::uint16_t sent = 0;
        while (sent < fit) {
            const std::uint16_t more = rte_eth_tx_burst(id_, 0, frames.data() + sent,
                                                        static_cast<std::uint16_t>(fit - sent));
            if (more == 0) {
                break;
            }
            sent = static_cast<std::uint16_t>(sent + more);
        }
        std::uint64_t bytes = 0;
        for (std::uint16_t i = 0; i < sent; ++i) {
            bytes += lengths[i];
        }
        counters.sent.add(sent);
        counters.sent_bytes.add(bytes);
        counters.drop(Drop::no_room, static_cast<std::uint64_t>(fit - sent));
        rte_pktmbuf_free_bulk(frames.data() + sent, static_cast<unsigned>(fit - sent));
        if (fit < count) { // the driver says that it cannot do what frames[fit] asks for
            counters.drop(Drop::bad_offload);
            rte_pktmbuf_free(frames[fit]);
        }
        frames = frames.subspan(std::min<std::size_t>(std::size_t{fit} + 1, count));
    }
}

elisa::Result<bool> Port::link()
{
    rte_eth_link found{};
    if (const int bad = rte_eth_link_get_nowait(id_, &found); bad != 0) {
        return error("link", bad);
    }
    return found.link_status == RTE_ETH_LINK_UP;
}

elisa::Result<void> Port::hold_down(bool down)
{
    int done = down ? rte_eth_dev_set_link_down(id_) : rte_eth_dev_set_link_up(id_);
    if (done == -ENOTSUP) {
        done = down ? rte_eth_dev_stop(id_) : rte_eth_dev_start(id_);
        stopped_ = done == 0 ? down : stopped_;
    }
    if (done != 0) {
        return error(down ? "link down" : "link up", done);
    }
    return {};
}

rte_ether_addr Port::mac() const noexcept
{
    rte_ether_addr found{};
    rte_eth_macaddr_get(id_, &found);
    return found;
}

elisa::Result<void> Port::follow(const Settings &settings)
{
    if (const rte_ether_addr now = mac(); rte_is_same_ether_addr(&now, &settings.mac) == 0) {
        rte_ether_addr wanted = settings.mac;
        if (const int bad = rte_eth_dev_default_mac_addr_set(id_, &wanted); bad != 0) {
            return error("address", bad);
        }
    }
    if (std::uint16_t mtu = 0; rte_eth_dev_get_mtu(id_, &mtu) != 0 || mtu != settings.mtu) {
        if (const int bad = rte_eth_dev_set_mtu(id_, settings.mtu); bad != 0) {
            return error("MTU", bad);
        }
    }
    const int all =
        settings.promiscuous ? rte_eth_promiscuous_enable(id_) : rte_eth_promiscuous_disable(id_);
    if (all != 0) {
        return error("promiscuous mode", all);
    }
    const int groups = settings.allmulticast ? rte_eth_allmulticast_enable(id_)
                                             : rte_eth_allmulticast_disable(id_);
    if (groups != 0) {
        return error("all-multicast mode", groups);
    }
    return {};
}

// What DPDK counts itself, as far as it is not zero.
Json Port::details() const
{
    Json found = Json::object();
    const int count = rte_eth_xstats_get_names(id_, nullptr, 0);
    if (count <= 0) {
        return found;
    }
    std::vector<rte_eth_xstat_name> names(static_cast<std::size_t>(count));
    std::vector<rte_eth_xstat> values(names.size());
    if (rte_eth_xstats_get_names(id_, names.data(), static_cast<unsigned>(count)) != count ||
        rte_eth_xstats_get(id_, values.data(), static_cast<unsigned>(count)) != count) {
        return found;
    }
    for (const rte_eth_xstat &one : values) {
        if (one.value != 0 && one.id < names.size()) {
            found[names[one.id].name] = one.value;
        }
    }
    return found;
}

} // namespace uplink
