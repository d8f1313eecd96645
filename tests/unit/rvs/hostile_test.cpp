// SPDX-License-Identifier: Apache-2.0
// What a guest may write where the switch reads, one row each. The classes are those of
// descriptor bugs that other switches and drivers had.
#include "world.hpp"

#include <functional>
#include <gtest/gtest.h>

namespace rvs::test {
namespace {

using Frames = std::vector<Bytes>;

std::string name_of(std::string text)
{
    for (char &c : text) {
        if (std::isalnum(static_cast<unsigned char>(c)) == 0)
            c = '_';
    }
    return text;
}

struct Scene {
    Scene()
    {
        sender.join();
        receiver.join();
        receiver.post(sender.source(), 16);
    }
    // Frames that arrived; and nothing but posted buffers and comp was written.
    Frames take() { return receiver.receive_all(sender.source()); }

    World world;
    Guest sender{world, 0};
    Guest receiver{world, 1};
};

// ------------------------------------------------------------ transmit descriptors

constexpr std::uint64_t top = 0x00ffffffffffffffull; // the largest offset

struct BadDescriptor {
    const char *what;
    std::function<Desc(const Guest &)> make;
    rvif_drop reason;
};

const BadDescriptor bad_descriptors[] = {
    {"range not wholly mapped (CVE-2018-1059)",
     [](const Guest &g) {
         return Desc{RVIF_ADDR(0ull, g.memory().size() - 63), 64, 0};
     },
     RVIF_DROP_BAD_RANGE},
    {"one byte beyond the end",
     [](const Guest &g) {
         return Desc{RVIF_ADDR(0ull, g.memory().size() - 1513), 1514, 0};
     },
     RVIF_DROP_BAD_RANGE},
    {"starts at the end",
     [](const Guest &g) {
         return Desc{RVIF_ADDR(0ull, g.memory().size()), 64, 0};
     },
     RVIF_DROP_BAD_RANGE},
    {"offset plus length overflows 56 bits (CVE-2020-10722)",
     [](const Guest &) {
         return Desc{RVIF_ADDR(0ull, top - 15), 64, 0};
     },
     RVIF_DROP_BAD_RANGE},
    {"largest offset",
     [](const Guest &) {
         return Desc{RVIF_ADDR(0ull, top), 1, 0};
     },
     RVIF_DROP_BAD_RANGE},
    {"offset that wraps a 64 bit sum with the base",
     [](const Guest &g) {
         return Desc{RVIF_ADDR(0ull, (0 - g.memory().base()) & top), 64, 0};
     },
     RVIF_DROP_BAD_RANGE},
    {"region never registered",
     [](const Guest &g) {
         return Desc{RVIF_ADDR(1ull, g.payload_at()), 64, 0};
     },
     RVIF_DROP_BAD_REGION},
    {"region beyond the table",
     [](const Guest &g) {
         return Desc{RVIF_ADDR(8ull, g.payload_at()), 64, 0};
     },
     RVIF_DROP_BAD_REGION},
    {"region 255",
     [](const Guest &g) {
         return Desc{RVIF_ADDR(255ull, g.payload_at()), 64, 0};
     },
     RVIF_DROP_BAD_REGION},
    {"region that an index truncated to 3 bits would accept (CVE-2020-10723)",
     [](const Guest &g) {
         return Desc{RVIF_ADDR(16ull, g.payload_at()), 64, 0};
     },
     RVIF_DROP_BAD_REGION},
    {"length of zero at a good address",
     [](const Guest &g) {
         return Desc{RVIF_ADDR(0ull, g.payload_at()), 0, 0};
     },
     RVIF_DROP_ZERO_LENGTH},
    {"length of zero skips no address check (CVE-2020-10725)",
     [](const Guest &) {
         return Desc{RVIF_ADDR(200ull, top), 0, 0};
     },
     RVIF_DROP_ZERO_LENGTH},
    {"offload flags that nobody negotiated (CVE-2024-11614)",
     [](const Guest &g) {
         return Desc{RVIF_ADDR(0ull, g.payload_at()), 64, 0x20};
     },
     RVIF_DROP_BAD_FLAGS},
    {"highest flag",
     [](const Guest &g) {
         return Desc{RVIF_ADDR(0ull, g.payload_at()), 64, 1u << 15};
     },
     RVIF_DROP_BAD_FLAGS},
    {"frame without a whole header (CVE-2020-14378)",
     [](const Guest &g) {
         return Desc{RVIF_ADDR(0ull, g.payload_at()), 13, 0};
     },
     RVIF_DROP_SHORT},
    {"frame of one byte",
     [](const Guest &g) {
         return Desc{RVIF_ADDR(0ull, g.payload_at()), 1, 0};
     },
     RVIF_DROP_SHORT},
};

class HostileDescriptor : public testing::TestWithParam<BadDescriptor> {};

TEST_P(HostileDescriptor, IsDroppedWithItsReasonAndTheNextFrameGoesThrough)
{
    Scene s;
    s.sender.stage(frame(mac(2), mac(1), 64, 5)); // what the bad ones point at is a good frame
    const Bytes good = frame(mac(2), mac(1), 100);
    s.sender.desc(0, GetParam().make(s.sender));
    s.sender.desc(1, {s.sender.stage(good), 100, 0});
    EXPECT_EQ(s.sender.transmit(2), 2);
    EXPECT_EQ(s.take(), Frames{good});
    const PortStats stats = s.sender.stats();
    for (std::uint32_t r = 0; r < RVIF_DROP_REASONS; ++r)
        EXPECT_EQ(stats.frames.drops[r],
                  r == static_cast<std::uint32_t>(GetParam().reason) ? 1u : 0u)
            << "reason " << r;
    EXPECT_EQ(stats.frames.tx_frames, 1u);
}

// The frames before it are for the same lane, so that the switch takes its shorter way for them;
// and what it points at, as far as it lies in the region, begins like them.
TEST_P(HostileDescriptor, IsDroppedInARunOfGoodFrames)
{
    Scene s;
    EXPECT_EQ(s.receiver.send(frame(broadcast, mac(2))), 1); // known, so that nothing is flooded
    const Bytes good = frame(mac(2), mac(1), 64);
    const Desc bad = GetParam().make(s.sender);
    const std::uint64_t offset = RVIF_ADDR_OFFSET(bad.addr);
    const rvif_addr_t staged = s.sender.stage(good);
    if (offset < s.sender.memory().size())
        std::memcpy(s.sender.memory().data() + offset, good.data(),
                    std::min<std::size_t>(good.size(), s.sender.memory().size() - offset));
    for (std::uint32_t i = 0; i < 6; ++i)
        s.sender.desc(i, i == 3 ? bad : Desc{staged, good.size()});
    EXPECT_EQ(s.sender.transmit(6), 6);
    EXPECT_EQ(s.take(), Frames(5, good));
    EXPECT_EQ(s.sender.drops(GetParam().reason), 1u);
}

TEST_P(HostileDescriptor, SpoilsTheWholeChainThatItIsIn)
{
    const bool short_one = GetParam().reason == RVIF_DROP_SHORT; // no fault of a segment
    for (const std::uint32_t place : {0u, 1u, 2u}) {
        if (short_one && place == 0)
            continue; // the header would be another
        Scene s;
        const Bytes part = frame(mac(2), mac(1), 64);
        const Bytes good = frame(mac(2), mac(1), 100);
        for (std::uint32_t i = 0; i < 3; ++i) {
            Desc d{s.sender.stage(part), 64, 0};
            if (i == place)
                d = GetParam().make(s.sender);
            if (i < 2)
                d.flags |= RVIF_TX_MORE;
            s.sender.desc(i, d);
        }
        s.sender.desc(3, {s.sender.stage(good), 100, 0});
        EXPECT_EQ(s.sender.transmit(4), 4);
        if (short_one) {
            EXPECT_EQ(s.take().size(), 2u);
        } else {
            EXPECT_EQ(s.take(), Frames{good}) << "bad one at " << place;
            EXPECT_EQ(s.sender.drops(GetParam().reason), 1u);
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Rvs, HostileDescriptor, testing::ValuesIn(bad_descriptors),
                         [](const auto &tested) { return name_of(tested.param.what); });

TEST(HostileChain, ThatNeverEndsIsDropped)
{
    Scene s;
    const Bytes part = frame(mac(2), mac(1), 64);
    for (std::uint32_t i = 0; i < 256; ++i)
        s.sender.desc(i, {s.sender.stage(part), 64, RVIF_TX_MORE});
    EXPECT_EQ(s.sender.transmit(256), 256);
    EXPECT_EQ(s.sender.drops(RVIF_DROP_BAD_CHAIN), 1u);
    EXPECT_TRUE(s.take().empty());
}

TEST(HostileChain, DoesNotRunIntoDescriptorsBehindTheCount)
{
    Scene s;
    const Bytes part = frame(mac(2), mac(1), 64);
    s.sender.desc(0, {s.sender.stage(part), 64, RVIF_TX_MORE});
    s.sender.desc(1, {s.sender.stage(part), 64, 0});
    EXPECT_EQ(s.sender.transmit(1), 1);
    EXPECT_EQ(s.sender.drops(RVIF_DROP_BAD_CHAIN), 1u);
    EXPECT_TRUE(s.take().empty());
}

TEST(HostileChain, WhoseSumIsTooBigIsDropped)
{
    Scene s;
    const rvif_addr_t at = s.sender.stage(Bytes(65535, 2));
    s.sender.desc(0, {at, 65535, RVIF_TX_MORE});
    s.sender.desc(1, {at, 1, 0});
    for (std::uint32_t i = 2; i < 256; ++i)
        s.sender.desc(i, {at, 65535, i < 255 ? RVIF_TX_MORE : 0});
    EXPECT_EQ(s.sender.transmit(2), 2);
    EXPECT_EQ(s.sender.transmit(256), 256); // 2 + 254: the second chain's sum is 16 MiB
    EXPECT_EQ(s.sender.drops(RVIF_DROP_TX_TOO_BIG), 3u);
    EXPECT_TRUE(s.take().empty());
}

TEST(HostileChain, OfHeaderBytesOnlyIsShort) // header split, CVE-2022-2132
{
    Scene s;
    const rvif_addr_t at = s.sender.stage(frame(mac(2), mac(1), 64));
    for (std::uint32_t i = 0; i < 13; ++i)
        s.sender.desc(i, {at + i, 1, i < 12 ? RVIF_TX_MORE : 0});
    EXPECT_EQ(s.sender.transmit(13), 13);
    EXPECT_EQ(s.sender.drops(RVIF_DROP_SHORT), 1u);
    EXPECT_TRUE(s.take().empty());
}

// ------------------------------------------------------------------ posted buffers

struct BadBuffer {
    const char *what;
    std::function<std::uint32_t(const Guest &)> unit;
};

std::uint32_t units(std::uint64_t bytes)
{
    return static_cast<std::uint32_t>(bytes / RVIF_BUF_UNIT);
}

const BadBuffer bad_buffers[] = {
    {"largest offset", [](const Guest &) { return RVIF_POSTED_MASK; }},
    {"starts at the end", [](const Guest &g) { return units(g.memory().size()); }},
    {"ends one unit behind the end (CVE-2018-1059)",
     [](const Guest &g) { return units(g.memory().size() - g.options().buf_len) + 1; }},
    {"last unit of the region", [](const Guest &g) { return units(g.memory().size()) - 1; }},
    {"offset that wraps 32 bits when scaled (CVE-2020-10722)",
     [](const Guest &) { return (1u << 26) + 1; }},
    {"reaches the page behind", [](const Guest &g) { return units(g.memory().size() + 4096); }},
};

class HostileBuffer : public testing::TestWithParam<BadBuffer> {};

TEST_P(HostileBuffer, IsNotWrittenToAndStandsUntilItIsReplaced)
{
    World world;
    Guest sender{world, 0};
    Guest receiver{world, 1};
    sender.join();
    receiver.join();
    receiver.post_raw(sender.source(), 0, GetParam().unit(receiver));
    const Bytes before = receiver.memory().snapshot();
    const Bytes f = frame(mac(2), mac(1), 1500);
    EXPECT_EQ(sender.send({f, f}), 2);
    EXPECT_TRUE(receiver.memory().snapshot() == before);
    EXPECT_EQ(receiver.drops(RVIF_DROP_RX_BAD_BUFFER), 2u);
    receiver.post(sender.source(), 1); // entry 0, again
    EXPECT_EQ(sender.send(f), 1);
    EXPECT_EQ(receiver.receive_all(sender.source()), Frames{f});
}

TEST_P(HostileBuffer, InTheMiddleOfARunStopsItThere)
{
    World world;
    Guest sender{world, 0};
    Guest receiver{world, 1};
    sender.join();
    receiver.join();
    EXPECT_EQ(receiver.send(frame(broadcast, mac(2))), 1);
    receiver.post(sender.source(), 6);
    receiver.post_raw(sender.source(), 3, GetParam().unit(receiver));
    const Bytes f = frame(mac(2), mac(1), 1500);
    EXPECT_EQ(sender.send(Frames(6, f)), 6);
    EXPECT_EQ(receiver.stats().frames.rx_frames, 3u);
    EXPECT_EQ(receiver.drops(RVIF_DROP_RX_BAD_BUFFER), 3u);
    EXPECT_EQ(receiver.receive_all(sender.source()), Frames(3, f));
}

TEST_P(HostileBuffer, InTheMiddleOfAJumboFrameStopsItBeforeAByteIsWritten)
{
    World world;
    Guest sender{world, 0};
    Guest receiver{world, 1};
    sender.join();
    receiver.join();
    receiver.post(sender.source(), 4);
    receiver.post_raw(sender.source(), 2, GetParam().unit(receiver));
    const Bytes before = receiver.memory().snapshot();
    EXPECT_EQ(sender.send(frame(mac(2), mac(1), 8000)), 1);
    EXPECT_TRUE(receiver.memory().snapshot() == before);
    EXPECT_EQ(receiver.drops(RVIF_DROP_RX_BAD_BUFFER), 1u);
}

INSTANTIATE_TEST_SUITE_P(Rvs, HostileBuffer, testing::ValuesIn(bad_buffers),
                         [](const auto &tested) { return name_of(tested.param.what); });

TEST(HostileReceiver, BufferThatEndsWithTheRegionIsFilledToItsLastByte)
{
    World world;
    Guest sender{world, 0};
    Guest receiver{world, 1};
    sender.join();
    receiver.join();
    const std::uint64_t last = receiver.memory().size() - receiver.options().buf_len;
    ASSERT_EQ(last % RVIF_BUF_UNIT, 0u);
    receiver.post_raw(sender.source(), 0, units(last));
    const Bytes f = frame(mac(2), mac(1), receiver.options().buf_len);
    EXPECT_EQ(sender.send(f), 1);
    EXPECT_EQ(receiver.drops(RVIF_DROP_RX_BAD_BUFFER), 0u);
    EXPECT_EQ(std::memcmp(receiver.memory().data() + last, f.data(), f.size()), 0);
}

TEST(HostileReceiver, BuffersOnTopOfItsOwnLanesHurtNobodyElse)
{
    Scene s;
    Guest third{s.world, 2};
    third.join();
    third.post(s.sender.source(), 16);
    for (std::uint32_t i = 16; i < 48; ++i)
        s.receiver.post_raw(s.sender.source(), i, units(Guest::lanes_at) + i);
    const Bytes f = frame(broadcast, mac(1), 1500);
    for (int i = 0; i < 16; ++i)
        EXPECT_EQ(s.sender.send({f, f, f}), 3);
    EXPECT_EQ(third.receive_all(s.sender.source()).size(), 16u);
}

TEST(HostileReceiver, LaneFullOfValidEntriesIsWalkedOncePerFrame) // ring index jump
{
    Scene s;
    // Every entry valid in both phases' turn: the receiver never stops posting.
    for (std::uint32_t round = 0; round < 10; ++round) {
        for (std::uint32_t i = 0; i < 64; ++i)
            s.receiver.post_raw(s.sender.source(), round * 64 + i, units(s.receiver.buffers_at()));
        const Bytes f = frame(mac(2), mac(1), 64);
        EXPECT_EQ(s.sender.send(std::vector<Bytes>(200, f)), 200);
    }
    const PortStats stats = s.receiver.stats();
    EXPECT_EQ(stats.frames.rx_frames, 640u);
    EXPECT_EQ(stats.frames.drops[RVIF_DROP_NO_BUFFER], 10u * 136);
}

// ------------------------------------------------------------------- queue set-up

struct BadRxSetup {
    const char *what;
    std::function<void(const Guest &, rvif_rx_setup &)> spoil;
    std::int64_t error;
};

const BadRxSetup bad_rx_setups[] = {
    {"depth 0", [](const Guest &, rvif_rx_setup &s) { s.depth = 0; }, RVIF_E_ARG},
    {"depth 1", [](const Guest &, rvif_rx_setup &s) { s.depth = 1; }, RVIF_E_ARG},
    {"depth 32", [](const Guest &, rvif_rx_setup &s) { s.depth = 32; }, RVIF_E_ARG},
    {"depth no power of two", [](const Guest &, rvif_rx_setup &s) { s.depth = 96; }, RVIF_E_ARG},
    {"depth 8192", [](const Guest &, rvif_rx_setup &s) { s.depth = 8192; }, RVIF_E_ARG},
    {"depth that is 64 when truncated (CVE-2020-10723)",
     [](const Guest &, rvif_rx_setup &s) { s.depth = 0x10040; }, RVIF_E_ARG},
    {"depth 2 to the 31st", [](const Guest &, rvif_rx_setup &s) { s.depth = 1u << 31; },
     RVIF_E_ARG},
    {"buf_len 0", [](const Guest &, rvif_rx_setup &s) { s.buf_len = 0; }, RVIF_E_ARG},
    {"buf_len less than a header", [](const Guest &, rvif_rx_setup &s) { s.buf_len = 15; },
     RVIF_E_ARG},
    {"buf_len 63", [](const Guest &, rvif_rx_setup &s) { s.buf_len = 63; }, RVIF_E_ARG},
    {"buf_len 65536", [](const Guest &, rvif_rx_setup &s) { s.buf_len = 65536; }, RVIF_E_ARG},
    {"buf_len largest", [](const Guest &, rvif_rx_setup &s) { s.buf_len = ~0u; }, RVIF_E_ARG},
    {"unknown flag", [](const Guest &, rvif_rx_setup &s) { s.flags = 1u << 31; }, RVIF_E_ARG},
    {"segmentation without its checksums",
     [](const Guest &, rvif_rx_setup &s) { s.flags = RVIF_RXQ_TSO; }, RVIF_E_ARG},
    {"buf_region not registered", [](const Guest &, rvif_rx_setup &s) { s.buf_region = 1; },
     RVIF_E_ADDR},
    {"buf_region beyond the table", [](const Guest &, rvif_rx_setup &s) { s.buf_region = 8; },
     RVIF_E_ADDR},
    {"buf_region largest", [](const Guest &, rvif_rx_setup &s) { s.buf_region = ~0u; },
     RVIF_E_ADDR},
    {"buf_region that is 0 when truncated to a byte",
     [](const Guest &, rvif_rx_setup &s) { s.buf_region = 256; }, RVIF_E_ADDR},
    {"lanes misaligned", [](const Guest &, rvif_rx_setup &s) { s.lanes += 64; }, RVIF_E_ADDR},
    {"lanes in no region", [](const Guest &, rvif_rx_setup &s) { s.lanes = RVIF_ADDR(3ull, 0); },
     RVIF_E_ADDR},
    {"last lane beyond the end (CVE-2018-1059)",
     [](const Guest &g, rvif_rx_setup &s) {
         s.lanes = RVIF_ADDR(0ull, g.memory().size() - g.lanes_len() + RVIF_LINE);
     },
     RVIF_E_ADDR},
    {"lanes at the largest offset (CVE-2020-10722)",
     [](const Guest &, rvif_rx_setup &s) { s.lanes = RVIF_ADDR(0ull, top - 127); }, RVIF_E_ADDR},
};

class HostileRxSetup : public testing::TestWithParam<BadRxSetup> {};

TEST_P(HostileRxSetup, IsRefused)
{
    World world;
    Guest guest{world, 0};
    guest.open();
    rvif_rx_setup setup = guest.rx_setup(0);
    GetParam().spoil(guest, setup);
    EXPECT_EQ(guest.setup_rx(0, setup), -GetParam().error);
    EXPECT_EQ(guest.setup_rx(0, guest.rx_setup(0)), 0);
}

INSTANTIATE_TEST_SUITE_P(Rvs, HostileRxSetup, testing::ValuesIn(bad_rx_setups),
                         [](const auto &tested) { return name_of(tested.param.what); });

TEST(HostileSetup, LanesThatJustFitAreTaken)
{
    World world;
    Guest guest{world, 0};
    guest.open();
    rvif_rx_setup setup = guest.rx_setup(0);
    setup.lanes = RVIF_ADDR(0ull, guest.memory().size() - guest.lanes_len());
    EXPECT_EQ(guest.setup_rx(0, setup), 0);
}

struct BadAddress {
    const char *what;
    std::function<rvif_addr_t(const Guest &)> address;
};

const BadAddress bad_addresses[] = {
    {"no region", [](const Guest &) { return RVIF_ADDR(5ull, 0); }},
    {"region beyond the table", [](const Guest &) { return RVIF_ADDR(64ull, 0); }},
    {"at the end", [](const Guest &g) { return RVIF_ADDR(0ull, g.memory().size()); }},
    {"its end beyond the end",
     [](const Guest &g) { return RVIF_ADDR(0ull, g.memory().size()) - 4; }},
    {"misaligned", [](const Guest &) { return RVIF_ADDR(0ull, 4ull); }},
    {"misaligned by one", [](const Guest &) { return RVIF_ADDR(0ull, 1ull); }},
    {"largest offset", [](const Guest &) { return RVIF_ADDR(0ull, top - 7); }},
    {"all ones", [](const Guest &) { return ~rvif_addr_t{0}; }},
};

class HostileAddress : public testing::TestWithParam<BadAddress> {};

TEST_P(HostileAddress, IsRefusedByEveryOperationThatTakesOne)
{
    World world;
    Guest guest{world, 0};
    guest.open();
    const rvif_addr_t at = GetParam().address(guest);
    EXPECT_EQ(guest.call(RVIF_OP_TX_SETUP, 0, at), -RVIF_E_ADDR);
    EXPECT_EQ(guest.call(RVIF_OP_RX_SETUP, 0, at), -RVIF_E_ADDR);
    EXPECT_EQ(guest.call(RVIF_OP_STATS, at), -RVIF_E_ADDR);
    EXPECT_EQ(guest.call(RVIF_OP_QUEUE_STATS, at), -RVIF_E_ADDR);
    EXPECT_EQ(guest.call(RVIF_OP_SOURCES, at), -RVIF_E_ADDR);
    EXPECT_EQ(guest.call(RVIF_OP_RSS, at), -RVIF_E_ADDR);
    guest.put(0, rvif_tx_setup{at, 0, 0}); // and as the address of the descriptors
    EXPECT_EQ(guest.call(RVIF_OP_TX_SETUP, 0, RVIF_ADDR(0ull, 0)), -RVIF_E_ADDR);
}

INSTANTIATE_TEST_SUITE_P(Rvs, HostileAddress, testing::ValuesIn(bad_addresses),
                         [](const auto &tested) { return name_of(tested.param.what); });

TEST(HostileSetup, DescriptorArrayMustFitWhole)
{
    World world;
    Guest guest{world, 0};
    guest.open();
    constexpr std::uint64_t need = sizeof(rvif_tx_desc) * RVIF_MAX_BURST;
    guest.put(0, rvif_tx_setup{RVIF_ADDR(0ull, guest.memory().size() - need + 16), 0, 0});
    EXPECT_EQ(guest.call(RVIF_OP_TX_SETUP, 0, RVIF_ADDR(0ull, 0)), -RVIF_E_ADDR);
    guest.put(0, rvif_tx_setup{RVIF_ADDR(0ull, guest.memory().size() - need + 8), 0, 0});
    EXPECT_EQ(guest.call(RVIF_OP_TX_SETUP, 0, RVIF_ADDR(0ull, 0)), -RVIF_E_ADDR);
    guest.put(0, rvif_tx_setup{RVIF_ADDR(0ull, guest.memory().size() - need), 0, 0});
    EXPECT_EQ(guest.call(RVIF_OP_TX_SETUP, 0, RVIF_ADDR(0ull, 0)), 0);
}

TEST(HostileCall, NumbersOutOfRangeAreRefused)
{
    Scene s;
    Guest &g = s.sender;
    EXPECT_EQ(g.call(RVIF_OPS), -RVIF_E_OP);
    EXPECT_EQ(g.call(~0ull), -RVIF_E_OP);
    EXPECT_EQ(g.call(1ull << 32 | RVIF_OP_TX), -RVIF_E_OP);
    for (const std::uint64_t queue : {8ull, 255ull, 1ull << 32, ~0ull, 1ull << 63}) {
        EXPECT_EQ(g.transmit(1, queue), -RVIF_E_QUEUE) << queue;
        EXPECT_EQ(g.call(RVIF_OP_TX_SETUP, queue, 0), -RVIF_E_QUEUE) << queue;
        EXPECT_EQ(g.call(RVIF_OP_RX_SETUP, queue, 0), -RVIF_E_QUEUE) << queue;
        EXPECT_EQ(g.call(RVIF_OP_QUEUE_STATS, 0, queue), -RVIF_E_QUEUE) << queue;
    }
    for (const std::uint64_t count : {257ull, 0x100000001ull, 1ull << 63, ~0ull})
        EXPECT_EQ(g.transmit(count), -RVIF_E_ARG) << count;
    EXPECT_EQ(g.transmit(1, 7), -RVIF_E_QUEUE); // not set up
    EXPECT_EQ(g.transmit(0), 0);
    EXPECT_EQ(s.world->call(PortId{64}, RVIF_OP_INFO, 0, 0, 0), -RVIF_E_STATE);
    EXPECT_EQ(s.world->call(PortId{~0u}, RVIF_OP_INFO, 0, 0, 0), -RVIF_E_STATE);
}

// Failed set-ups leave nothing behind that counts against a limit. (CVE-2019-14818)
TEST(HostileSetup, RefusedAndRepeatedSetUpsUseNothingUp)
{
    World world;
    Guest guest{world, 0};
    guest.open();
    for (int i = 0; i < 1000; ++i) {
        EXPECT_EQ(guest.call(RVIF_OP_TX_SETUP, 0, 4), -RVIF_E_ADDR);
        EXPECT_EQ(guest.setup_tx(0), 0);
        EXPECT_EQ(guest.setup_rx(0, guest.rx_setup(0)), 0);
        EXPECT_EQ(guest.call(RVIF_OP_START), 0);
        EXPECT_EQ(guest.call(RVIF_OP_STOP), 0);
    }
    for (int i = 0; i < 1000; ++i) {
        Guest other{world, 1};
        other.join();
        EXPECT_EQ(other.source(), 0);
        other.leave();
    }
}

} // namespace
} // namespace rvs::test
