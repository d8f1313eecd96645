// SPDX-License-Identifier: Apache-2.0
// A guest changes its memory while the switch reads it (CVE-2020-14375; double fetches). The
// second thread flips one field between a good and a bad value all the time; whichever the
// switch saw, it must have used only that one. Regions lie between inaccessible pages, so that
// a stray access ends the test.
#include "world.hpp"

#include <atomic>
#include <chrono>
#include <gtest/gtest.h>
#include <thread>

namespace rvs::test {
namespace {

// Stores a and b by turns to a word of guest memory, from another thread.
class Flipper {
  public:
    Flipper(std::uint8_t *at, std::uint64_t a, std::uint64_t b)
        : thread_{[this, at, a, b] {
              auto *to = reinterpret_cast<std::uint64_t *>(at);
              // A varying rhythm meets every window sooner or later.
              for (std::uint32_t i = 0; !stop_.load(std::memory_order_relaxed); ++i) {
                  __atomic_store_n(to, i % 2 == 0 ? a : b, __ATOMIC_RELEASE);
                  for (std::uint32_t n = i % 61; n != 0; --n)
                      __builtin_ia32_pause();
              }
          }}
    {
    }
    ~Flipper()
    {
        stop_ = true;
        thread_.join();
    }
    Flipper(const Flipper &) = delete;
    Flipper &operator=(const Flipper &) = delete;

  private:
    std::atomic<bool> stop_{false};
    std::thread thread_;
};

template <typename Body>
void for_a_while(Body body)
{
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(400);
    while (std::chrono::steady_clock::now() < end && !testing::Test::HasFailure()) {
        for (int i = 0; i < 20; ++i)
            body();
    }
}

struct Race : testing::Test {
    Race()
    {
        sender.join();
        receiver.join();
    }
    void post() { receiver.post(sender.source(), 64); }
    std::vector<Bytes> take() { return receiver.receive_all(sender.source()); }
    std::uint8_t *desc_addr(std::uint32_t i)
    {
        return sender.memory().data() + Guest::descs_at + sizeof(rvif_tx_desc) * i;
    }
    std::uint8_t *desc_len_flags(std::uint32_t i) { return desc_addr(i) + 8; }

    World world;
    Guest sender{world, 0};
    Guest receiver{world, 1};
};

TEST_F(Race, AddressThatLeavesTheRegionAfterItsCheck)
{
    const Bytes f = frame(mac(2), mac(1), 256);
    const rvif_addr_t good = sender.stage(f);
    const rvif_addr_t bad = RVIF_ADDR(0ull, sender.memory().size() - 128);
    sender.desc(0, {good, 256, 0});
    std::uint64_t arrived = 0;
    {
        const Flipper flipper{desc_addr(0), good, bad};
        for_a_while([&] {
            post();
            ASSERT_EQ(sender.transmit(1), 1);
            for (const Bytes &got : take()) {
                ASSERT_EQ(got, f);
                ++arrived;
            }
        });
    }
    EXPECT_GT(arrived, 0u);
    EXPECT_GT(sender.drops(RVIF_DROP_BAD_RANGE), 0u);
}

TEST_F(Race, RegionThatChangesAfterItsCheck)
{
    const Bytes f = frame(mac(2), mac(1), 256);
    const rvif_addr_t good = sender.stage(f);
    const rvif_addr_t bad = good | RVIF_ADDR(7ull, 0);
    sender.desc(0, {good, 256, 0});
    {
        const Flipper flipper{desc_addr(0), good, bad};
        for_a_while([&] {
            post();
            ASSERT_EQ(sender.transmit(1), 1);
            for (const Bytes &got : take())
                ASSERT_EQ(got, f);
        });
    }
    EXPECT_GT(sender.drops(RVIF_DROP_BAD_REGION), 0u);
}

TEST_F(Race, LengthThatGrowsAfterItsCheck)
{
    // 64 bytes at the end of the region; anything longer is outside.
    const Bytes f = frame(mac(2), mac(1), 64);
    const std::uint64_t at = sender.memory().size() - 64;
    std::memcpy(sender.memory().data() + at, f.data(), 64);
    sender.desc(0, {RVIF_ADDR(0ull, at), 64, 0});
    std::uint64_t arrived = 0;
    {
        const Flipper flipper{desc_len_flags(0), 64, 60000};
        for_a_while([&] {
            post();
            ASSERT_EQ(sender.transmit(1), 1);
            for (const Bytes &got : take()) {
                ASSERT_EQ(got, f);
                ++arrived;
            }
        });
    }
    EXPECT_GT(arrived, 0u);
    EXPECT_GT(sender.drops(RVIF_DROP_BAD_RANGE), 0u);
}

TEST_F(Race, LengthThatOutgrowsTheReceiversBuffer)
{
    // Both lengths are fine for the sender; one needs one buffer and one five. What the receiver
    // sees must be one or the other, and nothing behind its buffers may change.
    const Bytes f = frame(mac(2), mac(1), 9000);
    sender.desc(0, {sender.stage(f), 100, 0});
    std::uint64_t short_ones = 0;
    std::uint64_t long_ones = 0;
    const std::uint32_t stride = 2048 + 64;
    for (std::uint32_t i = 0; i < receiver.options().buffers; ++i)
        std::memset(receiver.memory().data() + receiver.buffers_at() + i * stride + 2048, 0xc5, 64);
    {
        const Flipper flipper{desc_len_flags(0), 100, 9000};
        for_a_while([&] {
            post();
            ASSERT_EQ(sender.transmit(1), 1);
            for (const Bytes &got : take()) {
                ASSERT_TRUE(got.size() == 100 || got.size() == 9000) << got.size();
                ASSERT_TRUE(std::equal(got.begin(), got.end(), f.begin()));
                ++(got.size() == 100 ? short_ones : long_ones);
            }
        });
    }
    for (std::uint32_t i = 0; i < receiver.options().buffers; ++i) {
        for (std::uint32_t b = 0; b < 64; ++b)
            ASSERT_EQ(receiver.memory().data()[receiver.buffers_at() + i * stride + 2048 + b],
                      0xc5);
    }
    EXPECT_GT(short_ones, 0u);
    EXPECT_GT(long_ones, 0u);
}

TEST_F(Race, ChainThatEndsAndDoesNotEnd)
{
    const Bytes f = frame(mac(2), mac(1), 64);
    for (std::uint32_t i = 0; i < 4; ++i)
        sender.desc(i, {sender.stage(f), 64, i < 3 ? RVIF_TX_MORE : 0});
    {
        const Flipper flipper{desc_len_flags(1), 64, 64 | std::uint64_t{RVIF_TX_MORE} << 16};
        for_a_while([&] {
            post();
            ASSERT_EQ(sender.transmit(4), 4);
            std::size_t total = 0;
            for (const Bytes &got : take())
                total += got.size();
            ASSERT_EQ(total, 256u);
        });
    }
}

// The forwarding decision was taken for the header that is delivered.
TEST_F(Race, HeaderThatChangesAfterItsCheck)
{
    for (const bool chained : {false, true}) {
        const Bytes f = frame(mac(2), mac(1), 64);
        const rvif_addr_t at = sender.stage(f);
        if (chained) {
            sender.desc(0, {at, 32, RVIF_TX_MORE});
            sender.desc(1, {at + 32, 32, 0});
        } else {
            sender.desc(0, {at, 64, 0});
        }
        std::uint8_t *header = sender.memory().data() + RVIF_ADDR_OFFSET(at);
        std::uint64_t good = 0;
        std::memcpy(&good, header, 8);
        const std::uint64_t bad = good | 1ull << 48; // source 03:...: a group address
        const std::uint64_t refused = sender.drops(RVIF_DROP_BAD_SOURCE_MAC);
        {
            const Flipper flipper{header, good, bad};
            for_a_while([&] {
                post();
                ASSERT_GE(sender.transmit(chained ? 2 : 1), 1);
                for (const Bytes &got : take())
                    ASSERT_EQ(got[6], 2) << "a source that was refused got through";
            });
        }
        EXPECT_GT(sender.drops(RVIF_DROP_BAD_SOURCE_MAC), refused);
        std::memcpy(header, &good, 8);
    }
}

TEST_F(Race, PostedBufferThatLeavesTheRegionAfterItsCheck)
{
    // All entries of the lane are flipped in pairs, valid in this round and the next.
    const Bytes f = frame(mac(2), mac(1), 1500);
    const std::uint64_t buffer = receiver.buffers_at() / RVIF_BUF_UNIT;
    const std::uint64_t outside = receiver.memory().size() / RVIF_BUF_UNIT - 8;
    const std::uint64_t phase = RVIF_PHASE;
    const std::uint64_t good = (buffer | phase) << 32 | (buffer | phase);
    const std::uint64_t bad = (outside | phase) << 32 | (outside | phase);
    sender.desc(0, {sender.stage(f), 1500, 0});
    const Flipper flipper{receiver.memory().data() + receiver.posted_at(sender.source()), good,
                          bad};
    std::uint64_t filled = 0;
    std::uint64_t refused = 0;
    for_a_while([&] {
        // Two frames fill the two entries; then the lanes begin again.
        for (int i = 0; i < 6; ++i)
            ASSERT_EQ(sender.transmit(1), 1);
        const PortStats s = receiver.stats();
        filled = s.frames.rx_frames;
        refused = s.frames.drops[RVIF_DROP_RX_BAD_BUFFER];
        ASSERT_EQ(receiver.call(RVIF_OP_STOP), 0);
        ASSERT_EQ(receiver.setup_rx(0, receiver.rx_setup(0)), 0);
        ASSERT_EQ(receiver.call(RVIF_OP_START), 0);
    });
    EXPECT_GT(filled, 0u);
    EXPECT_GT(refused, 0u);
}

TEST_F(Race, SetUpThatChangesWhileItIsRead)
{
    Guest guest{world, 2};
    guest.open();
    ASSERT_GE(guest.setup_tx(0), 0);
    const rvif_rx_setup good = guest.rx_setup(0);
    rvif_rx_setup bad = good;
    // Passes with either length, but with the larger one lanes reach beyond the region.
    bad.depth = 4096;
    std::uint64_t words[2][3];
    std::memcpy(words[0], &good, sizeof good);
    std::memcpy(words[1], &bad, sizeof bad);
    guest.put(Guest::rx_setup_at, good);
    const Bytes f = frame(mac(9), mac(1), 64);
    sender.desc(0, {sender.stage(f), 64, 0});
    std::uint64_t taken = 0;
    std::uint64_t refused = 0;
    const Flipper flipper{guest.memory().data() + Guest::rx_setup_at + 8, words[0][1], words[1][1]};
    for_a_while([&] {
        const std::int64_t result =
            guest.call(RVIF_OP_RX_SETUP, 0, RVIF_ADDR(0ull, Guest::rx_setup_at));
        ASSERT_TRUE(result == 0 || result == -RVIF_E_ADDR) << result;
        ++(result == 0 ? taken : refused);
        ASSERT_EQ(guest.call(RVIF_OP_START), 0);
        ASSERT_EQ(sender.transmit(1), 1);
        ASSERT_EQ(guest.call(RVIF_OP_STOP), 0);
        ASSERT_GE(guest.call(RVIF_OP_TX_SETUP, 0, RVIF_ADDR(0ull, Guest::tx_setup_at)), 0);
    });
    EXPECT_GT(taken, 0u);
    EXPECT_GT(refused, 0u);
}

} // namespace
} // namespace rvs::test
