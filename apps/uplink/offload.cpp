// SPDX-License-Identifier: Apache-2.0
#include "offload.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_net.h>
#include <rte_tcp.h>
#include <rte_udp.h>

namespace uplink {
namespace {

constexpr std::uint16_t tcp_checksum = offsetof(rte_tcp_hdr, cksum);
constexpr std::uint16_t udp_checksum = offsetof(rte_udp_hdr, dgram_cksum);
// With one tag. Whoever finds the headers again behind this program looks past one, too.
constexpr std::uint32_t longest_l2 = RTE_ETHER_HDR_LEN + RTE_VLAN_HLEN;

struct Headers {
    bool ipv4 = false;
    bool tcp = false; // or UDP
    std::uint32_t l2 = 0;
    std::uint32_t l3 = 0;
    std::uint32_t l4 = 0;

    [[nodiscard]] std::uint32_t start() const noexcept { return l2 + l3; }
    [[nodiscard]] std::uint16_t checksum_at() const noexcept
    {
        return tcp ? tcp_checksum : udp_checksum;
    }
};

// Those of a TCP or UDP packet that is no fragment, if they lie in the first segment.
std::optional<Headers> headers_of(const rte_mbuf &frame) noexcept
{
    rte_net_hdr_lens lens{};
    const std::uint32_t type =
        rte_net_get_ptype(&frame, &lens, RTE_PTYPE_L2_MASK | RTE_PTYPE_L3_MASK | RTE_PTYPE_L4_MASK);
    const std::uint32_t l4 = type & RTE_PTYPE_L4_MASK;
    const bool ipv4 = RTE_ETH_IS_IPV4_HDR(type);
    if ((!ipv4 && !RTE_ETH_IS_IPV6_HDR(type)) ||
        (l4 != RTE_PTYPE_L4_TCP && l4 != RTE_PTYPE_L4_UDP) || lens.l2_len > longest_l2 ||
        lens.l3_len < (ipv4 ? sizeof(rte_ipv4_hdr) : sizeof(rte_ipv6_hdr))) {
        return std::nullopt;
    }
    const Headers found{.ipv4 = ipv4,
                        .tcp = l4 == RTE_PTYPE_L4_TCP,
                        .l2 = lens.l2_len,
                        .l3 = lens.l3_len,
                        .l4 = lens.l4_len};
    const std::size_t least = found.tcp ? sizeof(rte_tcp_hdr) : sizeof(rte_udp_hdr);
    if (found.l4 < least || found.start() + found.l4 > frame.data_len) {
        return std::nullopt;
    }
    return found;
}

void request(rte_mbuf &frame, const Headers &headers, std::uint16_t segment) noexcept
{
    frame.l2_len = headers.l2 & 0x7f;
    frame.l3_len = headers.l3 & 0x1ff;
    frame.ol_flags |= headers.ipv4 ? RTE_MBUF_F_TX_IPV4 : RTE_MBUF_F_TX_IPV6;
    frame.ol_flags |= headers.tcp ? RTE_MBUF_F_TX_TCP_CKSUM : RTE_MBUF_F_TX_UDP_CKSUM;
    if (segment != 0) {
        frame.l4_len = headers.l4 & 0xff;
        frame.tso_segsz = segment;
        // Each segment has another length and identification in its IPv4 header.
        frame.ol_flags |=
            RTE_MBUF_F_TX_TCP_SEG | (headers.ipv4 ? RTE_MBUF_F_TX_IP_CKSUM : std::uint64_t{0});
    }
}

void store_checksum(rte_mbuf &frame, std::uint32_t at, std::uint16_t value) noexcept
{
    std::memcpy(rte_pktmbuf_mtod_offset(&frame, std::byte *, at), &value, sizeof(value));
}

// As skb_checksum_help(): the sum from start on, in which the field already holds the pseudo
// header's.
bool compute(rte_mbuf &frame, std::uint32_t start, std::uint32_t at) noexcept
{
    std::uint16_t sum = 0;
    if (at + sizeof(sum) > frame.data_len ||
        rte_raw_cksum_mbuf(&frame, start, frame.pkt_len - start, &sum) != 0) {
        return false;
    }
    const auto complement = static_cast<std::uint16_t>(~sum);
    store_checksum(frame, at, complement == 0 ? std::uint16_t{0xffff} : complement);
    return true;
}

std::uint16_t fold(std::uint32_t sum) noexcept
{
    sum = (sum >> 16) + (sum & 0xffff);
    sum += sum >> 16;
    return static_cast<std::uint16_t>(sum);
}

// Of the whole payload, also where it is to be cut: the kernel takes the difference away again.
std::uint16_t pseudo_sum(const rte_mbuf &frame, const Headers &headers) noexcept
{
    const auto *ip = rte_pktmbuf_mtod_offset(&frame, const std::byte *, headers.l2);
    std::uint32_t length = 0;
    std::uint32_t sum = 0;
    if (headers.ipv4) {
        rte_ipv4_hdr v4;
        std::memcpy(&v4, ip, sizeof(v4));
        length = rte_be_to_cpu_16(v4.total_length) - headers.l3;
        sum = rte_raw_cksum(&v4.src_addr, 2 * sizeof(v4.src_addr));
    } else {
        rte_ipv6_hdr v6;
        std::memcpy(&v6, ip, sizeof(v6));
        length =
            rte_be_to_cpu_16(v6.payload_len) + static_cast<std::uint32_t>(sizeof(v6)) - headers.l3;
        sum = rte_raw_cksum(&v6.src_addr, 2 * sizeof(v6.src_addr));
    }
    sum += rte_cpu_to_be_16(static_cast<std::uint16_t>(length));
    sum += rte_cpu_to_be_16(headers.tcp ? IPPROTO_TCP : IPPROTO_UDP);
    return fold(sum);
}

} // namespace

bool request_as_received(rte_mbuf &frame) noexcept
{
    const std::uint64_t said = frame.ol_flags;
    if ((said & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0) {
        frame.ol_flags |= RTE_MBUF_F_TX_VLAN;
    }
    const bool super = (said & RTE_MBUF_F_RX_LRO) != 0;
    if ((said & RTE_MBUF_F_RX_L4_CKSUM_MASK) != RTE_MBUF_F_RX_L4_CKSUM_NONE && !super) {
        return true;
    }
    const auto headers = headers_of(frame);
    if (!headers || (super && (!headers->tcp || frame.tso_segsz == 0))) {
        return false;
    }
    request(frame, *headers, super ? frame.tso_segsz : std::uint16_t{0});
    return true;
}

bool request_as_header(rte_mbuf &frame, const VnetHeader &header) noexcept
{
    const bool super = header.gso_type != VnetHeader::none;
    if ((header.flags & VnetHeader::needs_checksum) == 0) {
        return !super;
    }
    const std::uint32_t at = std::uint32_t{header.csum_start} + header.csum_offset;
    if (at + sizeof(std::uint16_t) > frame.pkt_len) {
        return false;
    }
    const auto headers = headers_of(frame);
    const bool plain = headers && headers->start() == header.csum_start &&
                       headers->checksum_at() == header.csum_offset;
    if (!super) {
        if (plain) {
            request(frame, *headers, 0);
            return true;
        }
        return compute(frame, header.csum_start, at);
    }
    const int wanted = plain && headers->ipv4 ? VnetHeader::tcp_ipv4 : VnetHeader::tcp_ipv6;
    if (!plain || !headers->tcp || header.gso_size == 0 ||
        (header.gso_type & ~VnetHeader::ecn) != wanted) {
        return false;
    }
    request(frame, *headers, header.gso_size);
    return true;
}

bool header_as_requested(rte_mbuf &frame, VnetHeader &header) noexcept
{
    header = {};
    const std::uint64_t l4 = frame.ol_flags & RTE_MBUF_F_TX_L4_MASK;
    if (l4 == 0) {
        return true;
    }
    const Headers headers{.ipv4 = (frame.ol_flags & RTE_MBUF_F_TX_IPV4) != 0,
                          .tcp = l4 == RTE_MBUF_F_TX_TCP_CKSUM,
                          .l2 = static_cast<std::uint32_t>(frame.l2_len),
                          .l3 = static_cast<std::uint32_t>(frame.l3_len),
                          .l4 = static_cast<std::uint32_t>(frame.l4_len)};
    header.flags = VnetHeader::needs_checksum;
    header.csum_start = static_cast<std::uint16_t>(headers.start());
    header.csum_offset = headers.checksum_at();
    if (headers.start() + headers.checksum_at() + sizeof(std::uint16_t) > frame.data_len) {
        return false;
    }
    store_checksum(frame, headers.start() + headers.checksum_at(), pseudo_sum(frame, headers));
    if ((frame.ol_flags & RTE_MBUF_F_TX_TCP_SEG) != 0) {
        const auto *tcp = rte_pktmbuf_mtod_offset(&frame, const rte_tcp_hdr *, headers.start());
        header.gso_type = headers.ipv4 ? VnetHeader::tcp_ipv4 : VnetHeader::tcp_ipv6;
        if ((tcp->tcp_flags & RTE_TCP_CWR_FLAG) != 0) {
            header.gso_type |= VnetHeader::ecn;
        }
        header.gso_size = frame.tso_segsz;
        header.hdr_len = static_cast<std::uint16_t>(headers.start() + headers.l4);
    }
    return true;
}

bool insert_tag(rte_mbuf *&frame) noexcept
{
    return (frame->ol_flags & RTE_MBUF_F_TX_VLAN) == 0 || rte_vlan_insert(&frame) == 0;
}

} // namespace uplink
