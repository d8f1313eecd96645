// SPDX-License-Identifier: Apache-2.0
// Checksums between the kernel's words and DPDK's. Frames here are one or two mbufs of a test's
// own: nothing of it needs EAL.
#include "offload.hpp"

#include <array>
#include <cstring>
#include <gtest/gtest.h>
#include <numeric>
#include <rte_ether.h>
#include <rte_ip.h>
#include <vector>

namespace uplink {
namespace {

struct Shape {
    bool ipv6 = false;
    std::uint8_t protocol = IPPROTO_TCP;
    bool tagged = false;
    bool extended = false; // an IPv6 hop-by-hop header
    std::uint16_t fragment = 0;
    std::size_t payload = 501;
};

class Frame {
  public:
    explicit Frame(const Shape &shape, std::size_t first = 4096)
    {
        std::vector<std::uint8_t> b(12, 2);
        if (shape.tagged) {
            b.insert(b.end(), {0x81, 0, 0, 10});
        }
        const std::size_t l4_length = (shape.protocol == IPPROTO_TCP   ? 20u
                                       : shape.protocol == IPPROTO_UDP ? 8u
                                                                       : 12u) +
                                      shape.payload;
        const auto high = [](std::size_t n) { return static_cast<std::uint8_t>(n >> 8); };
        const auto low = [](std::size_t n) { return static_cast<std::uint8_t>(n); };
        if (shape.ipv6) {
            b.insert(b.end(), {0x86, 0xdd});
            ip_ = b.size();
            const std::size_t length = l4_length + (shape.extended ? 8 : 0);
            b.insert(b.end(), {0x60, 0, 0, 0, high(length), low(length),
                               shape.extended ? std::uint8_t{0} : shape.protocol, 64});
            for (std::uint8_t i = 0; i < 32; ++i) {
                b.push_back(static_cast<std::uint8_t>(i * 7 + 1));
            }
            if (shape.extended) {
                b.insert(b.end(), {shape.protocol, 0, 1, 4, 0, 0, 0, 0});
            }
        } else {
            b.insert(b.end(), {8, 0});
            ip_ = b.size();
            b.insert(b.end(), {0x45,
                               0,
                               high(20 + l4_length),
                               low(20 + l4_length),
                               0,
                               1,
                               high(shape.fragment),
                               low(shape.fragment),
                               64,
                               shape.protocol,
                               0,
                               0,
                               10,
                               9,
                               0,
                               1,
                               10,
                               9,
                               0,
                               2});
        }
        l4_ = b.size();
        if (shape.protocol == IPPROTO_TCP) {
            b.insert(b.end(),
                     {0, 80, 1, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x10, 1, 0, 0xde, 0xad, 0, 0});
        } else if (shape.protocol == IPPROTO_UDP) {
            b.insert(b.end(), {0, 53, 1, 0, high(l4_length), low(l4_length), 0xde, 0xad});
        } else {
            b.insert(b.end(), 12, 7);
        }
        for (std::size_t i = 0; i < shape.payload; ++i) {
            b.push_back(static_cast<std::uint8_t>(i * 31 + 5));
        }
        shape_ = shape;
        cut(b, std::min(first, b.size()));
    }

    rte_mbuf &mbuf() { return mbufs_[0]; }
    [[nodiscard]] std::uint16_t l4() const { return static_cast<std::uint16_t>(l4_); }
    [[nodiscard]] std::uint16_t checksum_at() const
    {
        return shape_.protocol == IPPROTO_TCP ? 16 : shape_.protocol == IPPROTO_UDP ? 6 : 8;
    }

    [[nodiscard]] std::vector<std::uint8_t> bytes() const
    {
        std::vector<std::uint8_t> all;
        for (const rte_mbuf *one = &mbufs_[0]; one != nullptr; one = one->next) {
            const auto *data = rte_pktmbuf_mtod(one, const std::uint8_t *);
            all.insert(all.end(), data, data + one->data_len);
        }
        return all;
    }

    // Bytes from `from` on and the pseudo header, as RFC 1071 says: all ones if the checksum is
    // right.
    [[nodiscard]] std::uint16_t sum(bool with_pseudo) const
    {
        const auto b = bytes();
        std::uint32_t total = 0;
        const auto add = [&](std::size_t from, std::size_t to) {
            for (std::size_t i = from; i < to; ++i) {
                total += (i - from) % 2 == 0 ? b[i] * 256u : b[i];
            }
        };
        add(l4_, b.size());
        if (with_pseudo) {
            total += pseudo();
        }
        while (total > 0xffff) {
            total = (total & 0xffff) + (total >> 16);
        }
        return static_cast<std::uint16_t>(total);
    }

    [[nodiscard]] std::uint32_t pseudo() const
    {
        const auto b = bytes();
        std::uint32_t total = static_cast<std::uint32_t>(b.size() - l4_) + shape_.protocol;
        const std::size_t from = ip_ + (shape_.ipv6 ? 8 : 12);
        for (std::size_t i = from; i < from + (shape_.ipv6 ? 32u : 8u); i += 2) {
            total += b[i] * 256u + b[i + 1];
        }
        while (total > 0xffff) {
            total = (total & 0xffff) + (total >> 16);
        }
        return total;
    }

    void put(std::uint16_t value)
    {
        auto *at = rte_pktmbuf_mtod_offset(&mbufs_[0], std::uint8_t *, l4_ + checksum_at());
        at[0] = static_cast<std::uint8_t>(value >> 8);
        at[1] = static_cast<std::uint8_t>(value);
    }

  private:
    void cut(const std::vector<std::uint8_t> &b, std::size_t first)
    {
        const std::array<std::size_t, 3> at{0, first, b.size()};
        const std::size_t pieces = first < b.size() ? 2 : 1;
        for (std::size_t i = 0; i < pieces; ++i) {
            std::memset(&mbufs_[i], 0, sizeof(rte_mbuf));
            rte_mbuf &one = mbufs_[i];
            one.buf_addr = memory_[i].data();
            one.buf_len = static_cast<std::uint16_t>(memory_[i].size());
            one.data_off = 64;
            one.refcnt = 1;
            one.nb_segs = 1;
            one.data_len = static_cast<std::uint16_t>(at[i + 1] - at[i]);
            std::memcpy(memory_[i].data() + one.data_off, b.data() + at[i], one.data_len);
        }
        mbufs_[0].nb_segs = static_cast<std::uint16_t>(pieces);
        mbufs_[0].next = pieces == 2 ? &mbufs_[1] : nullptr;
        mbufs_[0].pkt_len = static_cast<std::uint32_t>(b.size());
    }

    Shape shape_;
    std::size_t ip_ = 0;
    std::size_t l4_ = 0;
    std::array<std::array<std::uint8_t, 4096>, 2> memory_{};
    std::array<rte_mbuf, 2> mbufs_{};
};

VnetHeader left_open(const Frame &frame)
{
    return {.flags = VnetHeader::needs_checksum,
            .csum_start = frame.l4(),
            .csum_offset = frame.checksum_at()};
}

const std::array<Shape, 7> usual{Shape{},
                                 Shape{.protocol = IPPROTO_UDP},
                                 Shape{.tagged = true},
                                 Shape{.ipv6 = true},
                                 Shape{.ipv6 = true, .protocol = IPPROTO_UDP, .tagged = true},
                                 Shape{.ipv6 = true, .extended = true},
                                 Shape{.payload = 0}};

TEST(UplinkOffload, WhatThePortLeftOpenTheKernelIsToldWithThePseudoHeadersSum)
{
    for (const Shape &shape : usual) {
        Frame frame{shape};
        frame.mbuf().ol_flags = RTE_MBUF_F_RX_L4_CKSUM_NONE;
        ASSERT_TRUE(request_as_received(frame.mbuf()));
        VnetHeader header;
        ASSERT_TRUE(header_as_requested(frame.mbuf(), header));
        EXPECT_EQ(VnetHeader::needs_checksum, header.flags);
        EXPECT_EQ(VnetHeader::none, header.gso_type);
        EXPECT_EQ(frame.l4(), header.csum_start);
        EXPECT_EQ(frame.checksum_at(), header.csum_offset);
        // What the kernel then does gives a good checksum.
        frame.put(static_cast<std::uint16_t>(~frame.sum(false)));
        EXPECT_EQ(0xffff, frame.sum(true));
    }
}

TEST(UplinkOffload, AFrameWithoutRequestsIsNotTouched)
{
    for (const std::uint64_t flags : {std::uint64_t{0}, std::uint64_t{RTE_MBUF_F_RX_L4_CKSUM_GOOD},
                                      std::uint64_t{RTE_MBUF_F_RX_L4_CKSUM_BAD}}) {
        Frame frame{Shape{}};
        const auto before = frame.bytes();
        frame.mbuf().ol_flags = flags;
        VnetHeader header{.flags = 9};
        ASSERT_TRUE(request_as_received(frame.mbuf()));
        ASSERT_TRUE(header_as_requested(frame.mbuf(), header));
        EXPECT_EQ(0, header.flags);
        EXPECT_EQ(before, frame.bytes());
    }
}

TEST(UplinkOffload, SuperFramesStayWhole)
{
    for (const bool ipv6 : {false, true}) {
        Frame frame{{.ipv6 = ipv6, .payload = 3000}, 1000};
        VnetHeader told = left_open(frame);
        told.gso_type = ipv6 ? VnetHeader::tcp_ipv6 : VnetHeader::tcp_ipv4;
        told.gso_size = 1448;
        ASSERT_TRUE(request_as_header(frame.mbuf(), told));
        EXPECT_NE(0u, frame.mbuf().ol_flags & RTE_MBUF_F_TX_TCP_SEG);
        EXPECT_EQ(!ipv6, (frame.mbuf().ol_flags & RTE_MBUF_F_TX_IP_CKSUM) != 0);
        EXPECT_EQ(1448, frame.mbuf().tso_segsz);
        // And on to another interface of the kernel's.
        VnetHeader header;
        ASSERT_TRUE(header_as_requested(frame.mbuf(), header));
        EXPECT_EQ(told.gso_type, header.gso_type);
        EXPECT_EQ(1448, header.gso_size);
        EXPECT_EQ(frame.l4() + 20, header.hdr_len);
    }
}

TEST(UplinkOffload, AChecksumThatNoRequestExpressesIsComputed)
{
    // Another protocol, and headers behind those that are found: the field holds what it begins
    // with.
    Frame frame{{.protocol = IPPROTO_DCCP, .payload = 1001}, 300};
    frame.put(0x1234);
    ASSERT_TRUE(request_as_header(frame.mbuf(), left_open(frame)));
    EXPECT_EQ(0u, frame.mbuf().ol_flags & RTE_MBUF_F_TX_L4_MASK);
    // Sum over all with the result is ~0 but for what the field had held (the pseudo header's, of a
    // kernel).
    const std::uint32_t all = frame.sum(false) + 0x1234u;
    EXPECT_EQ(0xffffu, (all & 0xffff) + (all >> 16));
}

TEST(UplinkOffload, AFragmentsHeaderIsNotTakenForOne)
{
    Frame frame{{.fragment = 0x2010}};
    frame.mbuf().ol_flags = RTE_MBUF_F_RX_L4_CKSUM_NONE;
    EXPECT_FALSE(request_as_received(frame.mbuf()));
}

TEST(UplinkOffload, WhatDoesNotFitTheFrameIsRefused)
{
    const Frame tcp{Shape{}};
    const auto with = [&](auto change) {
        VnetHeader header = left_open(tcp);
        header.gso_size = 1000;
        change(header);
        return header;
    };
    const std::vector<VnetHeader> wrong{
        with([](VnetHeader &h) { h.csum_start = 60000; }),
        with([](VnetHeader &h) { h.csum_offset = 0xffff; }),
        with([](VnetHeader &h) { h.csum_start = 0xffff, h.csum_offset = 0xffff; }),
        with([](VnetHeader &h) { h.gso_type = VnetHeader::tcp_ipv6; }),
        with([](VnetHeader &h) { h.gso_type = 3; }),
        with([](VnetHeader &h) { h.gso_type = 5; }),
        with([](VnetHeader &h) { h.gso_type = VnetHeader::tcp_ipv4, h.gso_size = 0; }),
        with([](VnetHeader &h) { h.gso_type = VnetHeader::tcp_ipv4, h.csum_start = 20; }),
        with([](VnetHeader &h) { h.gso_type = VnetHeader::tcp_ipv4, h.csum_offset = 6; }),
        with([](VnetHeader &h) { h.gso_type = VnetHeader::tcp_ipv4, h.flags = 0; })};
    for (std::size_t i = 0; i < wrong.size(); ++i) {
        Frame frame{Shape{}};
        EXPECT_FALSE(request_as_header(frame.mbuf(), wrong[i])) << i;
    }
    Frame udp{{.protocol = IPPROTO_UDP}};
    udp.mbuf().ol_flags = RTE_MBUF_F_RX_LRO;
    udp.mbuf().tso_segsz = 1000;
    EXPECT_FALSE(request_as_received(udp.mbuf()));
}

TEST(UplinkOffload, FramesThatEndAnywhereAreLookedAtNoFurther)
{
    for (const Shape &shape : usual) {
        const Frame whole{shape};
        for (std::uint16_t length = RTE_ETHER_HDR_LEN; length < whole.l4() + 20; ++length) {
            Frame frame{shape};
            const VnetHeader header = left_open(frame);
            frame.mbuf().data_len = length;
            frame.mbuf().pkt_len = length;
            frame.mbuf().ol_flags = RTE_MBUF_F_RX_L4_CKSUM_NONE;
            const bool has_headers = shape.protocol == IPPROTO_UDP && length >= whole.l4() + 8;
            EXPECT_EQ(has_headers, request_as_received(frame.mbuf())) << length;
            frame.mbuf().ol_flags = 0;
            if (length < header.csum_start + header.csum_offset + 2) {
                EXPECT_FALSE(request_as_header(frame.mbuf(), header)) << length;
            }
        }
    }
}

TEST(UplinkOffload, ATagBesideTheFrameGoesIntoItAndTheHeadersFollow)
{
    Frame frame{Shape{}};
    ASSERT_TRUE(request_as_header(frame.mbuf(), left_open(frame)));
    frame.mbuf().ol_flags |= RTE_MBUF_F_TX_VLAN;
    frame.mbuf().vlan_tci = 10;
    rte_mbuf *tagged = &frame.mbuf();
    ASSERT_TRUE(insert_tag(tagged));
    const auto bytes = frame.bytes();
    EXPECT_EQ((std::vector<std::uint8_t>{0x81, 0, 0, 10, 8, 0}),
              (std::vector<std::uint8_t>{bytes.begin() + 12, bytes.begin() + 18}));
    VnetHeader header;
    ASSERT_TRUE(header_as_requested(*tagged, header));
    EXPECT_EQ(frame.l4() + 4, header.csum_start);
}

} // namespace
} // namespace uplink
