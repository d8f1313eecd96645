// SPDX-License-Identifier: Apache-2.0
// Checksums and segmentation that somebody left to somebody else: from what DPDK's rx path or the
// kernel says about a frame to a request of DPDK's tx path, and from that to what the kernel is
// told.
//
// A frame whose headers do not fit what is said about it is not sent on: all of these say false
// then.
#pragma once

#include "vnet_header.hpp"

#include <rte_mbuf.h>

namespace uplink {

// Of a port that was asked to leave checksums alone (rvif's rx checksum offloads and LRO).
[[nodiscard]] bool request_as_received(rte_mbuf &frame) noexcept;

// Of a frame of the kernel's. A checksum that no request can express (SCTP, in tunnels, ...) is
// computed here.
[[nodiscard]] bool request_as_header(rte_mbuf &frame, const VnetHeader &header) noexcept;

// For the kernel. Puts the pseudo header's sum into the frame, as the kernel wants it.
[[nodiscard]] bool header_as_requested(rte_mbuf &frame, VnetHeader &header) noexcept;

// A tag that is beside the frame (RTE_MBUF_F_TX_VLAN) goes into it.
[[nodiscard]] bool insert_tag(rte_mbuf *&frame) noexcept;

} // namespace uplink
