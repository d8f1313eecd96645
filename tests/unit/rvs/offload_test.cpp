// SPDX-License-Identifier: Apache-2.0
// Checksums and TCP segmentation: passed on to who takes them, done for who does not.
#include "net.hpp"
#include "packets.hpp"

#include <gtest/gtest.h>
#include <map>
#include <set>
#include <string>

namespace rvs::test {
namespace {

constexpr std::uint32_t checksums = RVIF_TX_IP_CSUM | RVIF_TX_L4_CSUM;

// Port 0 sends to mac(2) at port 1, which takes what flags say.
struct Pair {
    explicit Pair(std::uint32_t flags = 0, std::uint32_t buf_len = 2048)
    {
        net.add();
        net.add({}, {.buf_len = buf_len, .buffers = 400, .rx_flags = flags});
        net.introduce(1, 2);
    }
    Net net;
};

std::string name_of(const Packet &p)
{
    return std::string{p.v6 ? "Ip6" : "Ip4"} + (p.tcp ? "Tcp" : "Udp") + std::to_string(p.options) +
           "Options" + std::to_string(p.payload) + "Bytes" + std::to_string(p.padding) + "Padding";
}

class Checksums : public testing::TestWithParam<Packet> {};

TEST_P(Checksums, AreComputedForAReceiverThatDoesNotTakeThemUndone)
{
    const Bytes f = packet(GetParam());
    const std::uint32_t flags = GetParam().v6 ? RVIF_TX_L4_CSUM : checksums;
    Pair p;
    const auto got = p.net.send(0, f, flags);
    ASSERT_EQ(got.size(), 1u);
    const Bytes &g = got[0].frame;
    ASSERT_EQ(g.size(), f.size());
    EXPECT_TRUE(ip_checksum_right(g));
    EXPECT_TRUE(l4_checksum_right(g));
    EXPECT_EQ(got[0].notes, Received{});
    // Nothing else was changed.
    const Shape s{f};
    Bytes same = g;
    put16(same, s.l4 + (s.tcp ? 16 : 6), 0xbeef);
    if (!s.v6)
        put16(same, s.ip + 10, 0xdead);
    EXPECT_EQ(same, f);
}

TEST_P(Checksums, OfTcpAndUdpArePassedOnToAReceiverThatTakesThemUndone)
{
    const Bytes f = packet(GetParam());
    const std::uint32_t flags = GetParam().v6 ? RVIF_TX_L4_CSUM : checksums;
    Pair p{RVIF_RXQ_L4_NONE};
    const auto got = p.net.send(0, f, flags);
    ASSERT_EQ(got.size(), 1u);
    EXPECT_EQ(got[0].notes, (Received{RVIF_COMP_L4_NONE, 0, 0, 0}));
    EXPECT_TRUE(ip_checksum_right(got[0].frame));
    const Shape s{f};
    EXPECT_EQ(get16(got[0].frame, s.l4 + (s.tcp ? 16 : 6)), 0xbeefu) << "left alone";
    const auto plain = p.net.send(0, f);
    EXPECT_EQ(plain[0].frame, f) << "and nothing is done that nobody asked for";
    EXPECT_EQ(plain[0].notes, Received{});
}

TEST_P(Checksums, AreRightForAnyCutOfTheFrameIntoSegments)
{
    const Bytes f = packet(GetParam());
    const std::uint32_t flags = GetParam().v6 ? RVIF_TX_L4_CSUM : checksums;
    Pair p{0, 128}; // several buffers, too
    Random random{GetParam().payload + 1};
    for (int round = 0; round < 30; ++round) {
        std::uint32_t n = 0;
        for (std::size_t at = 0; at < f.size(); ++n) {
            const std::size_t len = std::min<std::size_t>(1 + random() % 97, f.size() - at);
            const Bytes part(f.begin() + static_cast<std::ptrdiff_t>(at),
                             f.begin() + static_cast<std::ptrdiff_t>(at + len));
            at += len;
            p.net[0].desc(n, {p.net[0].stage(part), len,
                              (n == 0 ? flags : 0) | (at < f.size() ? RVIF_TX_MORE : 0)});
        }
        ASSERT_EQ(p.net[0].transmit(n), n);
        const auto got = p.net.take();
        ASSERT_EQ(got.size(), 1u);
        EXPECT_TRUE(ip_checksum_right(got[0].frame));
        EXPECT_TRUE(l4_checksum_right(got[0].frame));
    }
}

INSTANTIATE_TEST_SUITE_P(
    Rvs, Checksums,
    testing::Values(Packet{}, Packet{.payload = 0}, Packet{.payload = 1}, Packet{.payload = 1471},
                    Packet{.options = 40}, Packet{.payload = 3, .padding = 15}, Packet{.tcp = true},
                    Packet{.tcp = true, .payload = 0},
                    Packet{.tcp = true, .options = 40, .payload = 333},
                    Packet{.tcp = true, .payload = 1, .padding = 5}, Packet{.v6 = true},
                    Packet{.v6 = true, .payload = 7}, Packet{.v6 = true, .tcp = true},
                    Packet{.v6 = true, .tcp = true, .options = 12, .payload = 1001}),
    [](const auto &tested) { return name_of(tested.param); });

TEST(UdpChecksum, ThatIsZeroIsStoredAsOnes)
{
    // Two payload bytes chosen so that the sum comes out as 0xffff, whose complement is 0.
    Packet q{.payload = 2};
    Bytes f = packet(q);
    const Shape s{f};
    put16(f, s.payload, 0);
    put16(f, s.l4 + 6, 0);
    const std::size_t at = s.ip + 12;
    const std::uint32_t sum = ones_sum(
        f, s.l4, s.end, ones_sum(f, at, at + 8) + 17 + static_cast<std::uint32_t>(s.end - s.l4));
    put16(f, s.payload, 0xffff - sum);
    Pair p;
    const auto got = p.net.send(0, f, RVIF_TX_L4_CSUM);
    ASSERT_EQ(got.size(), 1u);
    EXPECT_EQ(get16(got[0].frame, s.l4 + 6), 0xffffu);
}

// ------------------------------------------------------------------- segmentation

class Segmentation : public testing::TestWithParam<Packet> {};

TEST_P(Segmentation, CutsForAReceiverThatDoesNotTakeItWhole)
{
    const Bytes f = packet(GetParam());
    const Shape whole{f};
    for (const std::uint32_t segsz : {88u, 536u, 1448u, 9000u}) {
        Pair p;
        Guest &to = p.net[1];
        const auto got = p.net.send(0, f, RVIF_TX_TSO, 0, segsz);
        const std::uint32_t payload = GetParam().payload;
        const std::uint32_t want = (payload + segsz - 1) / segsz;
        if (want > 40) { // more than there are buffers for
            EXPECT_EQ(to.stats().frames.rx_frames + to.drops(RVIF_DROP_NO_BUFFER), want + 0u);
            continue;
        }
        ASSERT_EQ(got.size(), want) << segsz;
        EXPECT_EQ(p.net[0].stats().cuts, want - 1);
        EXPECT_EQ(p.net[0].stats().copies, 1u);
        Bytes stream;
        for (std::uint32_t i = 0; i < want; ++i) {
            const Bytes &g = got[i].frame;
            const Shape s{g};
            EXPECT_EQ(s.end, g.size());
            EXPECT_TRUE(ip_checksum_right(g)) << i;
            EXPECT_TRUE(l4_checksum_right(g)) << i;
            EXPECT_EQ(get32(g, s.l4 + 4), GetParam().sequence + i * segsz);
            const bool last = i + 1 == want;
            EXPECT_EQ(g[s.l4 + 13],
                      static_cast<std::uint8_t>(0x10 | (last ? 0x09 : 0) | (i == 0 ? 0x80 : 0)));
            if (!s.v6) {
                EXPECT_EQ(get16(g, s.ip + 4), 0x4321u + i);
            }
            EXPECT_EQ(s.payload, whole.payload) << "all headers, options too";
            stream.insert(stream.end(), g.begin() + static_cast<std::ptrdiff_t>(s.payload),
                          g.end());
        }
        EXPECT_EQ(stream, Bytes(f.begin() + static_cast<std::ptrdiff_t>(whole.payload), f.end()));
    }
}

TEST_P(Segmentation, IsLeftToAReceiverThatTakesIt)
{
    const Bytes f = packet(GetParam());
    Pair p{RVIF_RXQ_L4_NONE | RVIF_RXQ_TSO, 4096};
    const auto got = p.net.send(0, f, RVIF_TX_TSO, 0, 1448);
    ASSERT_EQ(got.size(), 1u);
    EXPECT_EQ(got[0].notes, (Received{RVIF_COMP_TSO | RVIF_COMP_L4_NONE, 0, 0, 1448}));
    EXPECT_TRUE(ip_checksum_right(got[0].frame));
    const Shape s{f};
    EXPECT_EQ(Bytes(got[0].frame.begin() + static_cast<std::ptrdiff_t>(s.l4), got[0].frame.end()),
              Bytes(f.begin() + static_cast<std::ptrdiff_t>(s.l4), f.end()));
    EXPECT_EQ(p.net[0].stats().cuts, 0u);
}

TEST_P(Segmentation, MayLeaveTheChecksumsOfItsSegmentsUndone)
{
    const Bytes f = packet(GetParam());
    Pair p{RVIF_RXQ_L4_NONE};
    const auto got = p.net.send(0, f, RVIF_TX_TSO, 0, 1448);
    ASSERT_GT(got.size(), 1u);
    for (const Out &o : got)
        EXPECT_EQ(o.notes, (Received{RVIF_COMP_L4_NONE, 0, 0, 0}));
}

INSTANTIATE_TEST_SUITE_P(
    Rvs, Segmentation,
    testing::Values(
        Packet{.tcp = true, .payload = 1449, .tcp_flags = 0x99},
        Packet{.tcp = true, .payload = 9000, .tcp_flags = 0x99},
        Packet{.tcp = true, .options = 12, .payload = 40000, .tcp_flags = 0x99},
        Packet{.v6 = true, .tcp = true, .options = 12, .payload = 20000, .tcp_flags = 0x99},
        Packet{.v6 = true, .tcp = true, .payload = 2896, .tcp_flags = 0x99}),
    [](const auto &tested) { return name_of(tested.param); });

TEST(Offload, GoesTogetherWithTags)
{
    Net net;
    PortOptions ten;
    ten.native_vlan = 10;
    const std::uint16_t list[] = {10};
    PortOptions trunk;
    trunk.trunk = list;
    trunk.trunk_count = 1;
    net.add(ten);   // 0
    net.add(ten);   // 1
    net.add(trunk); // 2
    net.add(trunk, {.buffers = 700, .rx_flags = RVIF_RXQ_VLAN | RVIF_RXQ_L4_NONE | RVIF_RXQ_TSO});
    const Bytes f = packet({.tcp = true, .payload = 3000, .to_mac = broadcast});
    const auto got = net.send(0, f, RVIF_TX_TSO, 0, 1400);
    ASSERT_EQ(got.size(), 3u + 3 + 1);
    for (const Out &o : got) {
        if (o.port == 3) {
            EXPECT_EQ(o.notes,
                      (Received{RVIF_COMP_VLAN | RVIF_COMP_TSO | RVIF_COMP_L4_NONE, 0, 10, 1400}));
            EXPECT_EQ(o.frame.size(), f.size());
            continue;
        }
        EXPECT_EQ(get16(o.frame, 12), o.port == 2 ? 0x8100u : 0x0800u);
        EXPECT_TRUE(ip_checksum_right(o.frame));
        EXPECT_TRUE(l4_checksum_right(o.frame));
    }
    const auto back = net.send(2, tagged(f, 10), RVIF_TX_TSO, 0, 1400);
    for (const Out &o : back) {
        if (o.port < 2) {
            EXPECT_EQ(get16(o.frame, 12), 0x0800u);
            EXPECT_TRUE(l4_checksum_right(o.frame));
        }
    }
    EXPECT_EQ(back.size(), 3u + 3 + 1);
}

// CVE-2024-11614: what an offload request leads to is checked against the frame.
struct BadRequest {
    const char *what;
    Bytes frame;
    std::uint32_t flags;
    std::uint32_t segsz;
};

Bytes changed(Bytes f, std::size_t at, std::uint8_t value)
{
    f[at] = value;
    return f;
}
Bytes cut(Bytes f, std::size_t size)
{
    f.resize(size);
    return f;
}

const Packet udp{};
const Packet tcp{.tcp = true};
const Packet udp6{.v6 = true};

const BadRequest bad_requests[] = {
    {"NotIp", frame(mac(2), mac(1), 100), RVIF_TX_L4_CSUM, 0},
    {"NotIpForItsHeader", frame(mac(2), mac(1), 100), RVIF_TX_IP_CSUM, 0},
    {"Ip6HasNoHeaderChecksum", packet(udp6), RVIF_TX_IP_CSUM, 0},
    {"HeaderOfFourWords", changed(packet(udp), 14, 0x44), RVIF_TX_IP_CSUM, 0},
    {"HeaderBeyondTheEnd", cut(changed(packet(udp), 14, 0x4f), 40), RVIF_TX_IP_CSUM, 0},
    {"Version5", changed(packet(udp), 14, 0x55), RVIF_TX_L4_CSUM, 0},
    {"Fragment", changed(packet(udp), 20, 0x20), RVIF_TX_L4_CSUM, 0},
    {"LaterFragment", changed(packet(udp), 21, 7), RVIF_TX_L4_CSUM, 0},
    {"Icmp", changed(packet(udp), 23, 1), RVIF_TX_L4_CSUM, 0},
    {"UdpHeaderCutOff", cut(packet(udp), 41), RVIF_TX_L4_CSUM, 0},
    {"TcpHeaderCutOff", cut(packet(tcp), 53), RVIF_TX_L4_CSUM, 0},
    {"TcpHeaderOfFourWords", changed(packet(tcp), 14 + 20 + 12, 0x40), RVIF_TX_L4_CSUM, 0},
    {"TcpHeaderBeyondTheEnd", cut(changed(packet(tcp), 14 + 20 + 12, 0xf0), 80), RVIF_TX_L4_CSUM,
     0},
    {"IpLengthBeyondTheFrame", changed(packet(udp), 16, 0x10), RVIF_TX_L4_CSUM, 0},
    {"IpLengthWithinTheHeaders", changed(packet(udp), 17, 27), RVIF_TX_L4_CSUM, 0},
    {"Ip6LengthBeyondTheFrame", changed(packet(udp6), 18, 0x10), RVIF_TX_L4_CSUM, 0},
    {"SegmentsOfNothing", packet(tcp), RVIF_TX_TSO, 0},
    {"SegmentsTooSmall", packet(tcp), RVIF_TX_TSO, 87},
    {"SegmentsOfUdp", packet(udp), RVIF_TX_TSO, 1000},
    {"NothingToCut", packet({.tcp = true, .payload = 0}), RVIF_TX_TSO, 1000},
    {"HeaderAlone", cut(packet(tcp), 14), RVIF_TX_L4_CSUM, 0},
};

class BadOffload : public testing::TestWithParam<BadRequest> {};

TEST_P(BadOffload, IsDroppedAndCounted)
{
    Pair p;
    EXPECT_TRUE(p.net.send(0, GetParam().frame, GetParam().flags, 0, GetParam().segsz).empty());
    EXPECT_EQ(p.net.drops(0, RVIF_DROP_BAD_OFFLOAD), 1u);
    EXPECT_EQ(p.net[0].stats().frames.tx_frames, 0u);
    if (GetParam().frame.size() > 14) {
        EXPECT_EQ(p.net.send(0, GetParam().frame).size(), 1u) << "nothing is wrong without";
    }
}

INSTANTIATE_TEST_SUITE_P(Rvs, BadOffload, testing::ValuesIn(bad_requests),
                         [](const auto &tested) { return tested.param.what; });

TEST(Offload, RequestsBelongToTheFirstDescriptor)
{
    Pair p;
    const Bytes f = packet(udp);
    p.net[0].desc(0, {p.net[0].stage(Bytes(f.begin(), f.begin() + 50)), 50, RVIF_TX_MORE});
    p.net[0].desc(1,
                  {p.net[0].stage(Bytes(f.begin() + 50, f.end())), f.size() - 50, RVIF_TX_L4_CSUM});
    EXPECT_EQ(p.net[0].transmit(2), 2);
    EXPECT_EQ(p.net.drops(0, RVIF_DROP_BAD_FLAGS), 1u);
    EXPECT_TRUE(p.net.take().empty());
}

// ------------------------------------------------------------------------ spreading

struct Spread : testing::Test {
    static constexpr std::uint32_t queues = 4;
    Spread()
    {
        net.add({}, {.tx_queues = 2, .buffers = 64});
        net.add({}, {.rx_queues = queues, .buffers = 700, .rx_flags = RVIF_RXQ_HASH});
        net.introduce(1, 2);
    }
    std::int64_t rss(std::uint32_t types, std::uint32_t stride = 1)
    {
        rvif_rss setup{types, 0, {}};
        for (std::uint32_t i = 0; i < RVIF_RETA_SIZE; ++i)
            setup.queue[i] = static_cast<std::uint8_t>(i * stride % queues);
        net[1].put(Guest::rss_at, setup);
        return net[1].call(RVIF_OP_RSS, RVIF_ADDR(0ull, Guest::rss_at));
    }
    // The queue and hash of one frame.
    std::pair<std::uint32_t, std::uint32_t> where(const Bytes &f, std::uint32_t tx_queue = 0)
    {
        EXPECT_EQ(net[0].send(f, tx_queue), 1);
        for (std::uint32_t q = 0; q < queues; ++q) {
            Bytes got;
            Received notes;
            if (net[1].receive(net[0].source(tx_queue), got, q, &notes)) {
                EXPECT_EQ(got, f);
                EXPECT_EQ(notes.flags, RVIF_COMP_HASH);
                net.post();
                return {q, notes.hash};
            }
        }
        ADD_FAILURE() << "it is in no queue";
        return {};
    }
    Net net;
};

TEST_F(Spread, FlowsKeepTheirQueueAndAreManyToAQueue)
{
    EXPECT_EQ(rss(RVIF_RSS_TYPES), 0);
    for (const bool v6 : {false, true}) {
        std::map<std::uint32_t, int> load;
        std::set<std::uint32_t> hashes;
        for (std::uint16_t port = 0; port < 400; ++port) {
            const Packet p{.v6 = v6, .tcp = port % 2 == 0, .from_port = port};
            const auto [queue, hash] = where(packet(p));
            EXPECT_EQ(queue, hash % RVIF_RETA_SIZE % queues);
            EXPECT_EQ(where(packet(p), port % 2), std::pair(queue, hash)) << "from any tx queue";
            Packet longer = p;
            longer.payload = 500;
            EXPECT_EQ(where(packet(longer)), std::pair(queue, hash));
            ++load[queue];
            hashes.insert(hash);
        }
        for (std::uint32_t q = 0; q < queues; ++q)
            EXPECT_GT(load[q], 60) << q;
        EXPECT_GT(hashes.size(), 390u);
    }
}

TEST_F(Spread, HashCoversWhatWasAskedForAndIsTheSameBothWays)
{
    const Bytes base = packet({.tcp = true});
    const Bytes port = packet({.tcp = true, .from_port = 77});
    const Bytes address = packet({.tcp = true, .from = 9});
    const Bytes reverse =
        packet({.tcp = true, .from = 2, .to = 1, .from_port = 2000, .to_port = 1000});
    EXPECT_EQ(rss(RVIF_RSS_TYPES), 0);
    EXPECT_NE(where(base).second, where(port).second);
    EXPECT_NE(where(base).second, where(address).second);
    EXPECT_EQ(where(base).second, where(reverse).second);
    EXPECT_EQ(rss(RVIF_RSS_IP), 0);
    EXPECT_EQ(where(base).second, where(port).second);
    EXPECT_NE(where(base).second, where(address).second);
    EXPECT_EQ(rss(RVIF_RSS_UDP), 0); // nothing for TCP
    EXPECT_EQ(where(base).second, 0u);
    EXPECT_EQ(where(address).second, 0u);
    EXPECT_EQ(where(frame(mac(2), mac(1))).second, 0u);
    EXPECT_EQ(rss(RVIF_RSS_L2), 0);
    EXPECT_NE(where(frame(mac(2), mac(1))).second, where(frame(mac(2), mac(3))).second);
}

TEST_F(Spread, TagsAndFragmentsBelongToTheFlowOfTheirAddresses)
{
    EXPECT_EQ(rss(RVIF_RSS_TYPES), 0);
    const Bytes base = packet({.tcp = true});
    EXPECT_EQ(where(tagged(base, 5)).second, where(base).second);
    EXPECT_EQ(where(changed(base, 20, 0x20)).second, where(changed(base, 21, 9)).second);
}

TEST_F(Spread, TableSaysTheQueue)
{
    EXPECT_EQ(rss(RVIF_RSS_TYPES, 0), 0); // all to queue 0
    for (std::uint16_t port = 0; port < 50; ++port)
        EXPECT_EQ(where(packet({.from_port = port})).first, 0u);
}

TEST_F(Spread, UnicastAndFloodOfAFlowArriveInOrder)
{
    EXPECT_EQ(rss(RVIF_RSS_TYPES), 0);
    std::vector<Bytes> sent;
    for (std::uint32_t i = 0; i < 30; ++i) {
        Packet p{.payload = 30 + i};
        p.to_mac = i % 3 == 0 ? broadcast : i % 3 == 1 ? mac(2) : mac(88);
        sent.push_back(packet(p));
    }
    EXPECT_EQ(net[0].send(sent), 30);
    std::vector<Bytes> got;
    for (std::uint32_t q = 0; q < queues; ++q) {
        const auto some = net[1].receive_all(net[0].source(), q);
        EXPECT_TRUE(some.empty() || got.empty()) << "in two queues";
        got.insert(got.end(), some.begin(), some.end());
    }
    EXPECT_EQ(got, sent);
}

TEST_F(Spread, BadTablesAreRefused)
{
    rvif_rss setup{RVIF_RSS_IP, 0, {}};
    const auto call = [&] {
        net[1].put(Guest::rss_at, setup);
        return net[1].call(RVIF_OP_RSS, RVIF_ADDR(0ull, Guest::rss_at));
    };
    setup.queue[127] = 8;
    EXPECT_EQ(call(), -RVIF_E_QUEUE);
    setup.queue[127] = 255;
    EXPECT_EQ(call(), -RVIF_E_QUEUE);
    setup.queue[127] = 7; // not set up: counted when a frame comes
    EXPECT_EQ(call(), 0);
    setup.types = 16;
    EXPECT_EQ(call(), -RVIF_E_ARG);
    setup = {0, 1, {}};
    EXPECT_EQ(call(), -RVIF_E_ARG);
}

TEST_F(Spread, QueueThatIsNotThereIsCounted)
{
    rvif_rss setup{RVIF_RSS_TYPES, 0, {}};
    for (std::uint8_t &q : setup.queue)
        q = 6;
    net[1].put(Guest::rss_at, setup);
    EXPECT_EQ(net[1].call(RVIF_OP_RSS, RVIF_ADDR(0ull, Guest::rss_at)), 0);
    EXPECT_TRUE(net.send(0, packet({})).empty());
    EXPECT_EQ(net.drops(1, RVIF_DROP_NOT_READY), 1u);
}

} // namespace
} // namespace rvs::test
