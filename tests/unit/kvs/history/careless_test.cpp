// SPDX-License-Identifier: Apache-2.0
// A guest that lets two of its CPUs put by one port at the same time, which it must not: it may
// spoil what it has put itself, and nothing else.
#include "core.hpp"
#include "fibers.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <vector>

namespace kvs::test {
namespace {

constexpr std::uint32_t callers = 2;
constexpr std::uint32_t puts = 12;

// Their requests lie side by side in one guest's memory, the value is common.
class Caller {
  public:
    Caller(const World &world, const Guest &guest, std::uint32_t number)
        : world_{world}, guest_{guest}, number_{number}
    {
    }
    void live(Random random) const
    {
        for (std::uint32_t n = 0; n < puts; ++n)
            put(random() % 8, random() % 3 == 0 ? 30'000 : random() % 400);
    }

  private:
    void put(std::uint32_t key, std::uint32_t length) const
    {
        const std::uint64_t request_at = 128 * number_;
        const std::uint64_t key_at = Guest::key_at + 64 * number_;
        std::uint8_t *const memory = guest_.memory().data();
        const std::string name = "mine" + std::to_string(key);
        std::memcpy(memory + key_at, name.data(), name.size());
        kvs_request request{};
        request.key = KVS_ADDR(0, key_at);
        request.value = KVS_ADDR(0, Guest::value_at);
        request.key_len = static_cast<std::uint32_t>(name.size());
        request.value_len = length;
        std::memcpy(memory + request_at, &request, sizeof(request));
        std::int64_t answer = KVS_MORE;
        for (int calls = 0; answer == KVS_MORE && calls < 50; ++calls)
            answer = world_.store->call(PortId{0}, KVS_OP_PUT | (calls == 0 ? 0u : KVS_RESUME),
                                        KVS_ADDR(0, request_at), number_);
    }

    const World &world_;
    const Guest &guest_;
    std::uint32_t number_;
};

TEST(KvsCareless, TwoPutsAtOnceByOnePortTouchNoOtherPortsMemory)
{
    World world{layout(2)};
    Guest guest{world, 0};
    Guest other{world, 1};
    // Things of all sizes that are alive and were read, so that the next puts have them moved.
    for (std::uint32_t n = 0; guest.stats().used_bytes < Layout::min_memory * 3 / 4; ++n) {
        const std::string key = "old" + std::to_string(n);
        guest.put(key, std::string(n % 3 == 0 ? 20'000 : 40 * (n % 9), 'o'));
        static_cast<void>(guest.get(key));
    }
    ASSERT_EQ(other.put("theirs", std::string(50'000, 't')), 0);
    auto &core = static_cast<Core &>(*world.store);
    const std::uint8_t *const theirs = core.at(core.logs[1].data);
    const std::size_t theirs_size = core.logs[1].lines * line;
    const std::vector<std::uint8_t> kept{world.memory.data(),
                                         world.memory.data() + world.memory.size()};
    const std::vector<std::uint8_t> untouched{theirs, theirs + theirs_size};
    std::uint64_t moved = 0;
    for (std::uint32_t seed = 1; seed <= 1500; ++seed) {
        std::memcpy(world.memory.data(), kept.data(), kept.size());
        Random random{seed};
        constexpr std::uint32_t switches[] = {5, 60, 600, 6000};
        Fibers fibers{seed};
        fibers.share(world.memory.data(), world.memory.size());
        fibers.allow(guest.memory().data(), guest.memory().size());
        std::vector<Caller> all;
        for (std::uint32_t c = 0; c < callers; ++c)
            all.emplace_back(world, guest, c);
        for (std::uint32_t c = 0; c < callers; ++c)
            fibers.add([&all, c, s = seed * 31 + c] { all[c].live(Random{s}); });
        fibers.run(switches[random() % 4], 0, 0);
        moved += guest.stats().moved_bytes;
        ASSERT_TRUE(std::equal(untouched.begin(), untouched.end(), theirs)) << "seed " << seed;
    }
    EXPECT_NE(moved, 0u);
}

} // namespace
} // namespace kvs::test
