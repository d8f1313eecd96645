// SPDX-License-Identifier: Apache-2.0
#include "meet.hpp"

#include "frame.hpp"
#include "source.hpp"

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <stdexcept>

namespace traffic {
namespace {

// Guests that boot one after the other on an emulated host take their time.
constexpr std::uint64_t patience_s = 120;
constexpr std::uint64_t between_announcements_ms = 100;
// Whoever is last is heard at once, and must hear the others before they fall silent.
constexpr std::uint64_t lingering_ms = 5 * between_announcements_ms;

class Heard {
  public:
    explicit Heard(unsigned pair, unsigned pairs) : all_{(std::uint64_t{1} << pairs) - 1}
    {
        sources_ = std::uint64_t{1} << pair;
    }
    void note(const Header &header)
    {
        if (!rte_is_broadcast_ether_addr(&header.to) ||
            header.ether_type != rte_cpu_to_be_16(0x88b5)) {
            return;
        }
        const unsigned pair = header.from.addr_bytes[3] % 64;
        (is_sink(header.from) ? sinks_ : sources_) |= std::uint64_t{1} << pair;
    }
    [[nodiscard]] bool everybody() const
    {
        return (sinks_ & all_) == all_ && (sources_ & all_) == all_;
    }

  private:
    std::uint64_t all_;
    std::uint64_t sinks_ = 0;
    std::uint64_t sources_ = 0;
};

} // namespace

void meet(const Ports &ports, unsigned pair, unsigned pairs)
{
    const std::uint64_t millisecond = rte_get_tsc_hz() / 1000;
    Heard heard{pair, pairs};
    std::uint64_t complete = 0;
    std::uint64_t announce_at = 0;
    const std::uint64_t limit = rte_rdtsc() + patience_s * 1000 * millisecond;
    for (;;) {
        const std::uint64_t now = rte_rdtsc();
        if (now >= announce_at) {
            announce(ports, false, 2, pair);
            announce_at = now + between_announcements_ms * millisecond;
        }
        for (const std::uint16_t id : ports.ids()) {
            rte_mbuf *mbufs[32];
            const std::uint16_t got = rte_eth_rx_burst(id, 0, mbufs, 32);
            for (std::uint16_t i = 0; i < got; ++i) {
                if (mbufs[i]->data_len >= sizeof(Header)) {
                    Header header;
                    std::memcpy(&header, rte_pktmbuf_mtod(mbufs[i], const void *), sizeof(header));
                    heard.note(header);
                }
            }
            rte_pktmbuf_free_bulk(mbufs, got);
        }
        if (complete == 0 && heard.everybody()) {
            complete = now;
        }
        if (complete != 0 && now - complete > lingering_ms * millisecond) {
            return;
        }
        if (now > limit) {
            throw std::runtime_error{"the other pairs have not all come"};
        }
        // The others need the CPU to boot.
        rte_delay_us_sleep(2000);
    }
}

} // namespace traffic
