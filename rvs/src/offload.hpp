// SPDX-License-Identifier: Apache-2.0
// Checksums and TCP segmentation that a sender asked for: passed on to a receiver that takes them,
// done here for one that does not.
#ifndef RVS_OFFLOAD_HPP
#define RVS_OFFLOAD_HPP

#include "flow.hpp"
#include "frame.hpp"
#include "lanes.hpp"

#include <cstdint>

namespace rvs {

class Offload {
  public:
    static constexpr std::uint16_t requests = RVIF_TX_IP_CSUM | RVIF_TX_L4_CSUM | RVIF_TX_TSO;

    // False: the frame is not what its requests say (BAD_OFFLOAD).
    [[nodiscard]] bool take(const Frame &frame);

    // How many frames an RVIF_TX_TSO becomes for a receiver that does not take it whole.
    [[nodiscard]] std::uint32_t pieces() const
    {
        return (payload_ + frame_->segsz - 1) / frame_->segsz;
    }

    // To one receiver; may be repeated. The frame's segments are changed meanwhile and restored.
    // Returns how many frames it became.
    std::uint32_t deliver(OpenLane &lane, const Tagging &tagging, Notes notes, bool avx2);

  private:
    static void send(OpenLane &lane, const Tagging &tagging, const Headers &headers, Segment *slot,
                     std::uint32_t count, std::uint32_t payload_len, const Notes &notes, bool avx2);
    void set_ip_length(Headers &headers, std::uint32_t payload_len) const;
    void finish(Headers &headers, const Segment *payload, std::uint32_t count,
                std::uint32_t payload_len, bool l4) const;

    const Frame *frame_;
    Headers headers_; // just the headers
    Layers layers_;
    std::uint32_t payload_; // bytes behind them
};

} // namespace rvs

#endif // RVS_OFFLOAD_HPP
