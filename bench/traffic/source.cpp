// SPDX-License-Identifier: Apache-2.0
#include "source.hpp"

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <stdexcept>

namespace traffic {

Source::Source(const Ports &ports, const Load &load) : ports_{ports}, load_{load}
{
    for (const std::uint16_t id : ports.ids()) {
        Lane lane{};
        lane.port = id;
        lane.headers =
            headers(load.pair + static_cast<unsigned>(lanes_.size()), load.flows, load.macs);
        lanes_.push_back(std::move(lane));
    }
}

Source::~Source()
{
    for (Lane &lane : lanes_) {
        rte_pktmbuf_free_bulk(lane.mbufs + lane.at, static_cast<unsigned>(lane.count - lane.at));
    }
}

void Source::set_phase(std::uint8_t phase)
{
    for (Lane &lane : lanes_) {
        for (Header &header : lane.headers) {
            header.phase = phase;
        }
    }
}

bool Source::fill(Lane &lane)
{
    lane.at = 0;
    lane.count = 0;
    if (rte_pktmbuf_alloc_bulk(ports_.pool(), lane.mbufs, load_.burst) != 0) {
        return false;
    }
    const std::uint32_t size = load_.size;
    const Header *const headers = lane.headers.data();
    const std::size_t flows = lane.headers.size();
    std::size_t flow = lane.next_header;
    for (std::uint16_t i = 0; i < load_.burst; ++i) {
        rte_mbuf *mbuf = lane.mbufs[i];
        mbuf->data_len = static_cast<std::uint16_t>(size);
        mbuf->pkt_len = size;
        auto *frame = rte_pktmbuf_mtod(mbuf, std::byte *);
        std::memcpy(frame, headers + flow, sizeof(Header));
        flow = flow + 1 == flows ? 0 : flow + 1;
        if (load_.dirty) {
            write_payload(frame, size, lane.sequence + i);
        }
    }
    lane.next_header = flow;
    lane.sequence += load_.burst;
    lane.count = load_.burst;
    return true;
}

void Source::step()
{
    for (Lane &lane : lanes_) {
        if (lane.at == lane.count && !fill(lane)) {
            // Every buffer is in a ring: the call below, without frames, lets the driver reap.
            rte_eth_tx_burst(lane.port, 0, lane.mbufs, 0);
            ++refused_;
            continue;
        }
        if (load_.vmcall) {
            // KVM refuses any number from user space: an exit and back.
            std::uint64_t rax = 0;
            __asm__ volatile("vmcall" : "+a"(rax) : "b"(0), "c"(0), "d"(0), "S"(0) : "memory");
        }
        const auto left = static_cast<std::uint16_t>(lane.count - lane.at);
        const std::uint16_t took = rte_eth_tx_burst(lane.port, 0, lane.mbufs + lane.at, left);
        lane.at = static_cast<std::uint16_t>(lane.at + took);
        sent_ += took;
        refused_ += took == 0 ? 1 : 0;
    }
}

void announce(const Ports &ports, bool of_sink, unsigned macs, unsigned first)
{
    const unsigned half = macs < 2 ? 1 : macs / 2;
    unsigned number = first;
    for (const std::uint16_t id : ports.ids()) {
        for (unsigned mac = 0; mac < half; ++mac) {
            rte_mbuf *mbuf = rte_pktmbuf_alloc(ports.pool());
            if (mbuf == nullptr) {
                throw std::runtime_error{"no packet buffer for an announcement"};
            }
            Header header;
            header.to = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
            header.from = station(of_sink, number, mac);
            auto *frame = rte_pktmbuf_mtod(mbuf, std::byte *);
            mbuf->data_len = min_size;
            mbuf->pkt_len = min_size;
            std::memset(frame, 0, min_size);
            std::memcpy(frame, &header, sizeof(header));
            const std::uint64_t limit = rte_rdtsc() + rte_get_tsc_hz();
            while (rte_eth_tx_burst(id, 0, &mbuf, 1) == 0) {
                if (rte_rdtsc() > limit) {
                    rte_pktmbuf_free(mbuf);
                    throw std::runtime_error{"port " + std::to_string(id) +
                                             " takes no announcement for a second"};
                }
            }
            // Not faster than a receiver that has no one to empty its ring.
            if (mac % 32 == 31) {
                rte_delay_us_sleep(100);
            }
        }
        ++number;
    }
}

} // namespace traffic
