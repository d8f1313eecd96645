// SPDX-License-Identifier: Apache-2.0
// Guests on threads of their own; built with TSan.
#include "world.hpp"

#include <gtest/gtest.h>
#include <memory>
#include <thread>
#include <vector>

namespace kvs::test {
namespace {

constexpr std::uint32_t threads = 3;

struct KvsConcurrent : testing::Test {
    KvsConcurrent()
    {
        for (std::uint32_t p = 0; p < threads; ++p)
            guests.push_back(std::make_unique<Guest>(world, p));
    }
    template <typename Body>
    void together(Body body)
    {
        std::vector<std::thread> all;
        for (std::uint32_t t = 0; t < threads; ++t)
            all.emplace_back([&, t] { body(*guests[t], t); });
        for (std::thread &thread : all)
            thread.join();
    }
    World world{layout(threads)};
    std::vector<std::unique_ptr<Guest>> guests;
};

TEST_F(KvsConcurrent, ACounterThatAllIncrementIsExact)
{
    constexpr std::uint64_t each = 2000;
    ASSERT_EQ(guests[0]->put("counter", "0"), 0);
    together([&](Guest &guest, std::uint32_t) {
        for (std::uint64_t n = 0; n < each;) {
            const auto seen = guest.get("counter");
            if (!seen)
                break;
            const std::string next = std::to_string(std::stoull(*seen) + 1);
            n += guest.put("counter", next, KVS_OP_CAS, guest.request().out_version) == 0 ? 1 : 0;
        }
    });
    EXPECT_EQ(guests[0]->get("counter"), std::to_string(threads * each));
}

// Values of up to some pieces, in memory that comes round all the time: what is read is one value,
// whole.
TEST_F(KvsConcurrent, ReadersOfMemoryThatComesRoundSeeWholeValues)
{
    std::vector<std::uint64_t> wrong(threads);
    std::vector<std::uint64_t> read(threads);
    together([&](Guest &guest, std::uint32_t self) {
        Random random{self + 1};
        for (std::uint32_t n = 0; n < 1500; ++n) {
            const std::uint32_t key = random() % 8;
            const std::string name = "key" + std::to_string(key);
            if (random() % 3 != 0) {
                const auto value = guest.get(name);
                read[self] += value ? 1 : 0;
                if (value && value->find_first_not_of(value->front()) != std::string::npos)
                    ++wrong[self];
            } else if (random() % 8 == 0) {
                guest.erase(name);
            } else {
                const std::size_t length = 1 + random() % (n % 16 == 0 ? 60'000 : 2000);
                guest.put(name, std::string(length, static_cast<char>('a' + random() % 26)));
            }
        }
    });
    for (std::uint32_t t = 0; t < threads; ++t) {
        EXPECT_EQ(wrong[t], 0u);
        EXPECT_GT(read[t], 100u);
    }
    EXPECT_GT(guests[0]->stats().bytes_in, 2 * Layout::min_memory);
}

} // namespace
} // namespace kvs::test
