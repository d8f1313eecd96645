// SPDX-License-Identifier: Apache-2.0
// Sends on every port as fast as the port takes it.
#pragma once

#include "frame.hpp"
#include "ports.hpp"

#include <cstdint>
#include <vector>

namespace traffic {

inline constexpr std::size_t max_burst = 256;

struct Load {
    std::uint32_t size = 64;
    bool dirty = true;
    std::uint16_t burst = 32;
    unsigned flows = 1;
    unsigned macs = 2;
    unsigned pair = 0;   // number of the first port among all ports of its side
    bool vmcall = false; // before each burst, as if the host had to be asked to forward it; in a VM
};

class Source {
  public:
    Source(const Ports &ports, const Load &load);
    ~Source();
    Source(const Source &) = delete;
    Source &operator=(const Source &) = delete;

    // One burst at each port. What a port does not take is offered again.
    void step();
    void set_phase(std::uint8_t phase);

    [[nodiscard]] std::uint64_t sent() const { return sent_; }
    // Calls at which a port took nothing.
    [[nodiscard]] std::uint64_t refused() const { return refused_; }

  private:
    struct Lane {
        std::uint16_t port;
        std::vector<Header> headers;
        std::size_t next_header = 0;
        std::uint64_t sequence = 0;
        std::uint16_t count = 0; // mbufs made
        std::uint16_t at = 0;    // of them sent
        rte_mbuf *mbufs[max_burst];
    };
    bool fill(Lane &lane);

    const Ports &ports_;
    Load load_;
    std::vector<Lane> lanes_;
    std::uint64_t sent_ = 0;
    std::uint64_t refused_ = 0;
};

// A broadcast from each station, so that a switch knows where they are. `first` is the number of
// the first of `ports` on its side.
void announce(const Ports &ports, bool of_sink, unsigned macs, unsigned first = 0);

} // namespace traffic
