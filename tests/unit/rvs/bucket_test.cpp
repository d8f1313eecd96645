// SPDX-License-Identifier: Apache-2.0
// The bucket behind rate and storm limits, shared by a port's queues. Also built with the thread
// sanitizer.
#include "policy.hpp"

#include <atomic>
#include <gtest/gtest.h>
#include <thread>
#include <vector>

namespace rvs::test {
namespace {

constexpr std::uint64_t ticks_a_byte = 16;
constexpr std::uint64_t burst = 125'000; // 10 ms of 100 Mbit/s
constexpr std::uint64_t start = std::uint64_t{1} << 40;

struct RvsBucket : testing::Test {
    RvsBucket()
    {
        bucket.cost = ticks_a_byte << Bucket::cost_bits;
        bucket.tolerance = burst * ticks_a_byte;
    }
    Bucket bucket{};
};

TEST_F(RvsBucket, QueuesTogetherGetRateAndBurstAndNoMore)
{
    constexpr std::uint32_t large_queues = 7; // and one with small frames
    constexpr std::uint32_t rounds = 4;
    constexpr std::uint64_t a_round = 10'000; // bytes that are paid for meanwhile
    constexpr std::uint64_t small = 64;
    std::atomic<std::uint64_t> granted{0};
    const auto take = [&](std::uint64_t size, std::uint64_t now) {
        const bool taken = bucket.take(size, now);
        granted += taken ? size : 0;
        return taken;
    };
    for (std::uint32_t round = 0; round < rounds; ++round) {
        const std::uint64_t now = start + round * a_round * ticks_a_byte;
        std::atomic<std::uint32_t> running{large_queues};
        std::vector<std::thread> threads;
        for (std::uint32_t q = 0; q < large_queues; ++q) {
            threads.emplace_back([&] {
                for (int i = 0; i < 200'000; ++i)
                    take(RVIF_MAX_FRAME, now);
                --running;
            });
        }
        while (running != 0 || take(small, now))
            take(small, now);
        for (std::thread &thread : threads)
            thread.join();
        ASSERT_LE(granted, burst + round * a_round);
        ASSERT_GT(granted, burst + round * a_round - small);
    }
}

TEST_F(RvsBucket, ClockThatWentBackDoesNotLockAnybodyOut)
{
    EXPECT_TRUE(bucket.take(burst, start));
    EXPECT_FALSE(bucket.take(1, start));
    EXPECT_FALSE(bucket.take(1, start - burst * ticks_a_byte)) << "as far as CPUs may differ";
    EXPECT_TRUE(bucket.take(1, start / 2));
}

} // namespace
} // namespace rvs::test
