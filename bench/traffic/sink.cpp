// SPDX-License-Identifier: Apache-2.0
#include "sink.hpp"

#include "frame.hpp"
#include "source.hpp"

#include <algorithm>
#include <rte_ethdev.h>
#include <rte_prefetch.h>

namespace traffic {
namespace {

constexpr std::uint16_t ahead = 8; // frames whose first line is on its way

} // namespace

void Sink::look_at(const rte_mbuf *mbuf)
{
    std::uint64_t sequence = 0;
    std::memcpy(&sequence, rte_pktmbuf_mtod_offset(mbuf, const std::byte *, sequence_at), 8);
    std::size_t first = line;
    bool good = true;
    for (const rte_mbuf *segment = mbuf; segment != nullptr; segment = segment->next) {
        const auto *data = rte_pktmbuf_mtod(segment, const std::byte *);
        good &= payload_is(data, segment->data_len, first, sequence);
        first = 0; // segments are whole words: every word of the payload is the same
    }
    counts_.wrong += good ? 0 : 1;
    phase_ = *rte_pktmbuf_mtod_offset(mbuf, const std::uint8_t *, phase_at);
}

std::uint32_t Sink::step()
{
    std::uint32_t sum = 0;
    for (const std::uint16_t id : ports_.ids()) {
        rte_mbuf *mbufs[max_burst];
        const std::uint16_t got = rte_eth_rx_burst(id, 0, mbufs, burst_);
        if (got == 0) {
            continue;
        }
        if (dirty_) {
            for (std::uint16_t i = 0; i < std::min(got, ahead); ++i) {
                rte_prefetch0(rte_pktmbuf_mtod(mbufs[i], void *));
            }
        }
        std::uint32_t ours = 0;
        for (std::uint16_t i = 0; i < got; ++i) {
            if (dirty_ && i + ahead < got) {
                rte_prefetch0(rte_pktmbuf_mtod(mbufs[i + ahead], void *));
            }
            // Announcements and what a kernel says on its own differ in size.
            if (mbufs[i]->pkt_len != size_ && size_ != any_size) {
                ++counts_.foreign;
                continue;
            }
            ++ours;
            if (dirty_) {
                look_at(mbufs[i]);
            }
        }
        counts_.frames += ours;
        rte_pktmbuf_free_bulk(mbufs, got);
        sum += ours;
    }
    return sum;
}

} // namespace traffic
