// SPDX-License-Identifier: Apache-2.0
#include "pingpong.hpp"

#include "frame.hpp"

#include <algorithm>
#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <utility>

namespace traffic {
namespace {

constexpr std::size_t most_times = 8u << 20;

} // namespace

Ping::Ping(const Ports &ports, std::uint32_t size)
    : ports_{ports}, size_{size}, patience_{rte_get_tsc_hz() / 10}
{
    ticks_.reserve(most_times);
}

Ping::~Ping() = default;

void Ping::send()
{
    rte_mbuf *mbuf = rte_pktmbuf_alloc(ports_.pool());
    if (mbuf == nullptr) {
        return;
    }
    mbuf->data_len = static_cast<std::uint16_t>(size_);
    mbuf->pkt_len = size_;
    Header header;
    header.to = station(true, 0, 0);
    header.from = station(false, 0, 0);
    auto *frame = rte_pktmbuf_mtod(mbuf, std::byte *);
    std::memcpy(frame, &header, sizeof(header));
    write_payload(frame, size_, ++sequence_);
    sent_at_ = rte_rdtsc();
    if (rte_eth_tx_burst(ports_.ids().front(), 0, &mbuf, 1) == 0) {
        rte_pktmbuf_free(mbuf);
        sent_at_ = 0;
    }
}

void Ping::step()
{
    if (sent_at_ == 0) {
        send();
        return;
    }
    rte_mbuf *mbufs[4];
    const std::uint16_t got = rte_eth_rx_burst(ports_.ids().front(), 0, mbufs, 4);
    const std::uint64_t now = rte_rdtsc();
    for (std::uint16_t i = 0; i < got; ++i) {
        std::uint64_t sequence = 0;
        if (mbufs[i]->pkt_len == size_) {
            std::memcpy(&sequence, rte_pktmbuf_mtod_offset(mbufs[i], std::byte *, sequence_at), 8);
        }
        if (sequence == sequence_ && ticks_.size() < most_times) {
            ticks_.push_back(static_cast<std::uint32_t>(now - sent_at_));
            sent_at_ = 0;
        }
    }
    rte_pktmbuf_free_bulk(mbufs, got);
    if (sent_at_ != 0 && now - sent_at_ > patience_) {
        ++lost_;
        sent_at_ = 0;
    }
}

void Ping::forget()
{
    ticks_.clear();
    lost_ = 0;
}

std::vector<std::uint32_t> Ping::times() const
{
    std::vector<std::uint32_t> sorted = ticks_;
    std::sort(sorted.begin(), sorted.end());
    const double nanoseconds = 1e9 / static_cast<double>(rte_get_tsc_hz());
    for (std::uint32_t &time : sorted) {
        time = static_cast<std::uint32_t>(time * nanoseconds);
    }
    return sorted;
}

void pong(const Ports &ports, std::uint32_t size)
{
    rte_mbuf *mbufs[4];
    const std::uint16_t id = ports.ids().front();
    const std::uint16_t got = rte_eth_rx_burst(id, 0, mbufs, 4);
    std::uint16_t kept = 0;
    for (std::uint16_t i = 0; i < got; ++i) {
        if (mbufs[i]->pkt_len != size) {
            rte_pktmbuf_free(mbufs[i]);
            continue;
        }
        auto *ether = rte_pktmbuf_mtod(mbufs[i], rte_ether_hdr *);
        std::swap(ether->dst_addr, ether->src_addr);
        mbufs[kept++] = mbufs[i];
    }
    if (kept != 0) {
        const std::uint16_t sent = rte_eth_tx_burst(id, 0, mbufs, kept);
        rte_pktmbuf_free_bulk(mbufs + sent, static_cast<unsigned>(kept - sent));
    }
}

} // namespace traffic
