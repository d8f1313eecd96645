// SPDX-License-Identifier: Apache-2.0
// What stands before each frame of a TAP interface or packet socket of the kernel's that was asked
// for it (IFF_VNET_HDR, PACKET_VNET_HDR): struct virtio_net_hdr of the Virtual I/O Device
// specification, section 5.1.6, in the machine's byte order. <linux/virtio_net.h> is not C++.
#pragma once

#include <cstdint>

namespace uplink {

struct VnetHeader {
    static constexpr std::uint8_t needs_checksum = 1; // in flags

    enum Gso : std::uint8_t { none = 0, tcp_ipv4 = 1, tcp_ipv6 = 4, ecn = 0x80 };

    std::uint8_t flags = 0;
    std::uint8_t gso_type = none;
    std::uint16_t hdr_len = 0;  // Ethernet, IP and TCP headers
    std::uint16_t gso_size = 0; // payload of each segment
    // From csum_start to the end; goes to csum_start + csum_offset, where the pseudo header's sum
    // is.
    std::uint16_t csum_start = 0;
    std::uint16_t csum_offset = 0;
};
static_assert(sizeof(VnetHeader) == 10);

} // namespace uplink
