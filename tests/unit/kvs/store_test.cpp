// SPDX-License-Identifier: Apache-2.0
#include "world.hpp"

#include <gtest/gtest.h>
#include <map>

namespace kvs::test {
namespace {

std::string text(std::size_t length, std::uint32_t seed)
{
    Random random{seed};
    std::string all(length, '\0');
    for (char &c : all)
        c = static_cast<char>(random());
    return all;
}

struct Kvs : testing::Test {
    World world{layout(2)};
    Guest a{world, 0};
    Guest b{world, 1};
};

TEST_F(Kvs, WhatOneGuestPutsAnotherGets)
{
    EXPECT_EQ(a.put("key", "value"), 0);
    EXPECT_EQ(b.get("key"), "value");
    EXPECT_EQ(b.request().out_flags, 15u);
    EXPECT_EQ(b.request().out_len, 5u);
    EXPECT_EQ(b.request().out_version, a.request().out_version);
    EXPECT_EQ(a.get("kez"), std::nullopt);
    EXPECT_EQ(a.get("ke"), std::nullopt);
    EXPECT_EQ(a.get(std::string_view{"key\0", 4}), std::nullopt);
}

TEST_F(Kvs, EachLengthOfKeyAndValueIsKept)
{
    for (std::uint32_t n = 1; n <= KVS_MAX_KEY; ++n) {
        const std::string key = text(n, n);
        const std::string value = text(n % 131, n + 1000);
        ASSERT_EQ(a.put(key, value), 0) << n;
        ASSERT_EQ(b.get(key), value) << n;
        ASSERT_EQ(b.erase(key), 0);
    }
}

TEST_F(Kvs, ConditionsAreKept)
{
    EXPECT_EQ(a.put("k", "1", KVS_OP_REPLACE), -KVS_E_NOENT);
    EXPECT_EQ(a.put("k", "1", KVS_OP_CAS, 5), -KVS_E_NOENT);
    EXPECT_EQ(a.put("k", "1", KVS_OP_ADD), 0);
    EXPECT_EQ(b.put("k", "2", KVS_OP_ADD), -KVS_E_EXISTS);
    EXPECT_EQ(b.put("k", "3", KVS_OP_REPLACE), 0);
    EXPECT_EQ(a.get("k"), "3");
    const std::uint64_t version = a.request().out_version;
    EXPECT_EQ(b.put("k", "4", KVS_OP_CAS, version ^ 1), -KVS_E_CHANGED);
    EXPECT_EQ(b.put("k", "4", KVS_OP_CAS, version), 0);
    EXPECT_EQ(b.put("k", "5", KVS_OP_CAS, version), -KVS_E_CHANGED);
    EXPECT_EQ(b.erase("k", version), -KVS_E_CHANGED);
    EXPECT_EQ(a.get("k"), "4");
    EXPECT_EQ(b.erase("k", a.request().out_version), 0);
    EXPECT_EQ(b.erase("k"), -KVS_E_NOENT);
    EXPECT_EQ(b.stats().rejected[KVS_E_CHANGED], 3u);
}

TEST_F(Kvs, TimeEnds)
{
    world->tick(1000);
    EXPECT_EQ(a.put("k", "v", KVS_OP_PUT, 0, 500), 0);
    world->tick(1499);
    EXPECT_EQ(b.get("k"), "v");
    world->tick(1200); // never back
    EXPECT_EQ(b.stats().clock_ms, 1499u);
    world->tick(1500);
    EXPECT_EQ(b.get("k"), std::nullopt);
    EXPECT_EQ(b.put("k", "w", KVS_OP_REPLACE), -KVS_E_NOENT);
    EXPECT_EQ(b.put("k", "w", KVS_OP_ADD), 0);
    world->tick(1'000'000);
    EXPECT_EQ(a.get("k"), "w");
    EXPECT_EQ(b.stats().expired, 1u);
}

TEST(KvsSize, AMegabyteGoesInPieces)
{
    World world{layout(2, 8 << 20)};
    Guest a{world, 0};
    Guest b{world, 1};
    for (const std::size_t length : {std::size_t{KVS_PIECE}, std::size_t{KVS_PIECE} + 1,
                                     std::size_t{KVS_MAX_VALUE} - 5, std::size_t{KVS_MAX_VALUE}}) {
        const std::string value = text(length, static_cast<std::uint32_t>(length));
        ASSERT_EQ(a.put("big", value), 0);
        EXPECT_EQ(a.calls, (length + KVS_PIECE - 1) / KVS_PIECE);
        ASSERT_EQ(b.get("big"), value);
        EXPECT_EQ(b.calls, (length + KVS_PIECE - 1) / KVS_PIECE);
    }
}

TEST(KvsSize, WhatIsUnderWayIsNotSeenAndAnotherMayTakeItsPlace)
{
    World world{layout(2, 8 << 20)};
    Guest a{world, 0};
    Guest b{world, 1};
    ASSERT_EQ(a.put("big", "old"), 0);
    const std::string value = text(300'000, 1);
    a.stage("big", 300'000);
    std::memcpy(a.bytes(), value.data(), value.size());
    ASSERT_EQ(a.call(KVS_OP_PUT), KVS_MORE);
    EXPECT_EQ(b.get("big"), "old");
    ASSERT_EQ(a.put("other", "x"), 0); // ends it
    EXPECT_EQ(b.get("big"), "old");
    // A reader goes on with the value it began with.
    ASSERT_EQ(a.put("big", value), 0);
    b.stage("big", KVS_MAX_VALUE);
    ASSERT_EQ(b.call(KVS_OP_GET), KVS_MORE);
    ASSERT_EQ(a.put("big", text(300'000, 2)), 0);
    std::int64_t answer = KVS_MORE;
    while (answer == KVS_MORE)
        answer = b.call(KVS_OP_GET | KVS_RESUME);
    ASSERT_EQ(answer, 300'000);
    EXPECT_EQ(std::memcmp(b.bytes(), value.data(), value.size()), 0);
}

TEST(KvsSize, QuotaAndRoomAreTold)
{
    Layout made = layout(2);
    made.port[1].memory = 0;
    World world{made};
    Guest a{world, 0};
    Guest reader{world, 1};
    EXPECT_EQ(a.put("k", text(Layout::min_memory / 4, 1)), -KVS_E_QUOTA);
    EXPECT_EQ(a.put("k", text(Layout::min_memory / 4 - 100, 1)), 0);
    EXPECT_EQ(reader.get_into_room("k", 100), -KVS_E_ROOM);
    EXPECT_EQ(reader.request().out_len, Layout::min_memory / 4 - 100);
    EXPECT_EQ(reader.put("k", "v"), -KVS_E_RIGHTS);
    EXPECT_EQ(reader.erase("k"), -KVS_E_RIGHTS);
    EXPECT_EQ(reader.call(KVS_OP_FLUSH), -KVS_E_RIGHTS);
    EXPECT_TRUE(reader.get("k"));
}

// What is alive is a third of the memory: rewriting it for ever loses nothing.
TEST(KvsMemory, WhatIsAliveIsKeptWhileOthersAreReplaced)
{
    World world{layout(1, Layout::min_memory, 1024)};
    Guest a{world, 0};
    std::map<std::string, std::string> model;
    for (std::uint32_t i = 0; i < 100; ++i) {
        model["cold" + std::to_string(i)] = text(400, i);
        ASSERT_EQ(a.put("cold" + std::to_string(i), model["cold" + std::to_string(i)]), 0);
    }
    Random random{3};
    for (std::uint32_t i = 0; i < 20'000; ++i) {
        const std::string key = "hot" + std::to_string(random() % 50);
        model[key] = text(random() % 1000, i);
        ASSERT_EQ(a.put(key, model[key]), 0);
    }
    for (const auto &[key, value] : model)
        ASSERT_EQ(a.get(key), value) << key;
    EXPECT_EQ(a.stats().evicted, 0u);
    EXPECT_GT(a.stats().moved_bytes, 100'000u);
    EXPECT_GT(a.stats().bytes_in, 20 * Layout::min_memory);
}

// What does not fit is given up, the unread first, and another port's things are not touched.
TEST(KvsMemory, WhenItIsFullWhatWasReadIsKeptLonger)
{
    World world{layout(2, Layout::min_memory, 1 << 14)};
    Guest a{world, 0};
    Guest b{world, 1};
    ASSERT_EQ(b.put("b's own", "thing"), 0);
    for (std::uint32_t i = 0; i < 20; ++i)
        ASSERT_EQ(a.put("read" + std::to_string(i), text(300, i)), 0);
    for (std::uint32_t i = 0; i < 10'000; ++i) {
        ASSERT_EQ(a.put("new" + std::to_string(i), text(300, i)), 0);
        ASSERT_TRUE(a.get("read" + std::to_string(i % 20)) || i > 9990) << i;
    }
    EXPECT_GT(a.stats().evicted, 8'000u);
    EXPECT_LT(a.stats().evicted, 10'000u);
    EXPECT_EQ(b.get("b's own"), "thing");
    EXPECT_LE(a.stats().used_bytes, a.stats().memory_bytes);
    EXPECT_FALSE(a.get("new0"));
    EXPECT_TRUE(a.get("new9999"));
}

TEST(KvsMemory, AFullBucketDisplacesOne)
{
    World world{layout(1, Layout::min_memory, 16)};
    Guest a{world, 0};
    for (std::uint32_t i = 0; i < 400; ++i)
        ASSERT_EQ(a.put("k" + std::to_string(i), "v"), 0);
    std::uint32_t left = 0;
    for (std::uint32_t i = 0; i < 400; ++i)
        left += a.get("k" + std::to_string(i)) ? 1 : 0;
    EXPECT_EQ(left + a.stats().displaced, 400u);
    EXPECT_LE(left, 16u * 6);
    EXPECT_GT(left, 60u);
}

TEST(KvsSpaces, KeysOfOneAreNotThoseOfAnother)
{
    Layout made = layout(3);
    made.port[2].space = 1;
    made.keys[1] = 16;
    World world{made};
    Guest a{world, 0};
    Guest b{world, 1};
    Guest other{world, 2};
    ASSERT_EQ(a.put("k", "ours"), 0);
    EXPECT_EQ(other.get("k"), std::nullopt);
    ASSERT_EQ(other.put("k", "theirs"), 0);
    EXPECT_EQ(b.get("k"), "ours");
    EXPECT_EQ(b.call(KVS_OP_FLUSH), 0);
    EXPECT_EQ(a.get("k"), std::nullopt);
    EXPECT_EQ(other.get("k"), "theirs");
    ASSERT_EQ(a.put("k", "again"), 0);
    EXPECT_EQ(b.get("k"), "again");
}

TEST_F(Kvs, WhatAGuestPutOutlivesIt)
{
    ASSERT_EQ(a.put("k", "v"), 0);
    a.stage("half", 200'000);
    a.request().value_len = 50'000;
    a.leave();
    EXPECT_EQ(a.call(KVS_OP_INFO), -KVS_E_STATE);
    EXPECT_EQ(b.get("k"), "v");
    a.join();
    EXPECT_EQ(a.get("k"), "v");
    Store *const again = Store::open(world.memory.data(), world.memory.size());
    ASSERT_NE(again, nullptr);
    EXPECT_TRUE(again->is_of(layout(2)));
    EXPECT_FALSE(again->is_of(layout(3)));
    EXPECT_FALSE(again->is_of(layout(2, Layout::min_memory, 100)));
}

TEST_F(Kvs, ItDoesWhatAMapDoes)
{
    std::map<std::string, std::string> model;
    std::map<std::string, std::uint64_t> versions;
    Random random{11};
    for (std::uint32_t i = 0; i < 30'000; ++i) {
        Guest &guest = random() % 2 != 0 ? a : b;
        const std::string key = "key" + std::to_string(random() % 24);
        const std::string value = text(random() % 500, i);
        const bool there = model.contains(key);
        switch (random() % 6) {
        case 0:
            ASSERT_EQ(guest.put(key, value), 0);
            model[key] = value;
            versions[key] = guest.request().out_version;
            break;
        case 1:
            ASSERT_EQ(guest.put(key, value, KVS_OP_ADD), there ? -KVS_E_EXISTS : 0);
            if (!there) {
                model[key] = value;
                versions[key] = guest.request().out_version;
            }
            break;
        case 2: {
            const bool right = random() % 2 != 0;
            const std::uint64_t version = versions[key] ^ (right ? 0 : 1);
            const std::int64_t answer = guest.put(key, value, KVS_OP_CAS, version | 1ull << 63);
            ASSERT_EQ(answer, !there ? -KVS_E_NOENT : right ? 0 : -KVS_E_CHANGED);
            if (answer == 0) {
                model[key] = value;
                versions[key] = guest.request().out_version;
            }
            break;
        }
        case 3:
            ASSERT_EQ(guest.erase(key), there ? 0 : -KVS_E_NOENT);
            model.erase(key);
            break;
        default: {
            const auto got = guest.get(key);
            ASSERT_EQ(got.has_value(), there) << key << " at " << i;
            if (there) {
                ASSERT_EQ(*got, model[key]);
                ASSERT_EQ(guest.request().out_version, versions[key]);
            }
        }
        }
    }
    EXPECT_EQ(a.stats().evicted + b.stats().evicted + a.stats().displaced + b.stats().displaced,
              0u);
}

// ------------------------------------------------------------------ hostile requests

TEST_F(Kvs, MalformedRequestsAreRefusedAndCounted)
{
    const std::uint64_t end = a.memory().size();
    struct Case {
        const char *what;
        std::int64_t answer;
        std::uint64_t op;
        kvs_addr_t address;
        void (*spoil)(kvs_request &, std::uint64_t end);
    };
    const auto nothing = [](kvs_request &, std::uint64_t) {};
    const Case cases[] = {
        {"no such operation", -KVS_E_OP, 99, 0, nothing},
        {"an operation of more bits", -KVS_E_OP, KVS_OP_GET | 1ull << 40, 0, nothing},
        {"resumed what cannot be", -KVS_E_OP, KVS_OP_DELETE | KVS_RESUME, 0, nothing},
        {"request in no region", -KVS_E_ADDR, KVS_OP_GET, KVS_ADDR(1, 0), nothing},
        {"region out of range", -KVS_E_ADDR, KVS_OP_GET, KVS_ADDR(200, 0), nothing},
        {"request not aligned", -KVS_E_ADDR, KVS_OP_GET, 4, nothing},
        {"request over the end", -KVS_E_ADDR, KVS_OP_PUT, end - 56, nothing},
        {"request beyond", -KVS_E_ADDR, KVS_OP_DELETE, end + 8, nothing},
        {"request far beyond", -KVS_E_ADDR, KVS_OP_STATS, (1ull << 56) - 8, nothing},
        {"empty key", -KVS_E_KEY, KVS_OP_GET, 0,
         [](kvs_request &r, std::uint64_t) { r.key_len = 0; }},
        {"long key", -KVS_E_KEY, KVS_OP_PUT, 0,
         [](kvs_request &r, std::uint64_t) { r.key_len = KVS_MAX_KEY + 1; }},
        {"endless key", -KVS_E_KEY, KVS_OP_DELETE, 0,
         [](kvs_request &r, std::uint64_t) { r.key_len = ~0u; }},
        {"key over the end", -KVS_E_ADDR, KVS_OP_GET, 0,
         [](kvs_request &r, std::uint64_t e) { r.key = e - 2; }},
        {"key elsewhere", -KVS_E_ADDR, KVS_OP_PUT, 0,
         [](kvs_request &r, std::uint64_t) { r.key = KVS_ADDR(3, 0); }},
        {"long value", -KVS_E_VALUE, KVS_OP_PUT, 0,
         [](kvs_request &r, std::uint64_t) { r.value_len = KVS_MAX_VALUE + 1; }},
        {"endless value", -KVS_E_VALUE, KVS_OP_ADD, 0,
         [](kvs_request &r, std::uint64_t) { r.value_len = ~0u; }},
        {"value over the end", -KVS_E_ADDR, KVS_OP_PUT, 0,
         [](kvs_request &r, std::uint64_t e) { r.value = e - 3; }},
        {"value beyond by overflow", -KVS_E_ADDR, KVS_OP_PUT, 0,
         [](kvs_request &r, std::uint64_t) { r.value = (1ull << 56) - 1; }},
        {"room over the end", -KVS_E_ADDR, KVS_OP_GET, 0,
         [](kvs_request &r, std::uint64_t e) { r.value = e - 3; }},
        {"endless time", -KVS_E_TTL, KVS_OP_PUT, 0,
         [](kvs_request &r, std::uint64_t) { r.ttl_ms = KVS_MAX_TTL_MS + 1; }},
        {"little room for statistics", -KVS_E_VALUE, KVS_OP_STATS, 0, nothing},
    };
    ASSERT_EQ(b.put("key", "some value"), 0);
    for (const Case &c : cases) {
        a.stage("key", 10);
        c.spoil(a.request(), end);
        const std::uint64_t before = a.stats().rejected[-c.answer];
        EXPECT_EQ(a.call(c.op, c.address), c.answer) << c.what;
        EXPECT_EQ(a.stats().rejected[-c.answer], before + 1) << c.what;
    }
    EXPECT_EQ(b.get("key"), "some value");
}

TEST_F(Kvs, ARegionThatIsTakenAwayIsNotUsedAnyMore)
{
    a.stage("key", 200'000);
    a.request().value_len = 60'000;
    ASSERT_EQ(world->region_remove(PortId{0}, 0), Error::none);
    EXPECT_EQ(a.call(KVS_OP_PUT), -KVS_E_ADDR);
    EXPECT_EQ(world->region_add(PortId{0}, KVS_MAX_REGIONS, 4096, 4096), Error::arg);
    EXPECT_EQ(world->region_add(PortId{0}, 0, 4095, 4096), Error::arg);
    EXPECT_EQ(world->region_add(PortId{0}, 0, 4096, 1ull << 40), Error::arg);
    EXPECT_EQ(world->region_add(PortId{0}, 0, 0, 4096), Error::arg);
}

TEST(KvsLayout, UnsoundOnesAreRefused)
{
    EXPECT_EQ(Store::footprint(layout(0)), 0u);
    EXPECT_EQ(Store::footprint(layout(1, 4096)), 0u);
    Layout made = layout(1);
    made.port[0].space = KVS_MAX_PORTS;
    EXPECT_EQ(Store::footprint(made), 0u);
    made = layout(1);
    made.ports = KVS_MAX_PORTS + 1;
    EXPECT_EQ(Store::footprint(made), 0u);
    const Memory memory{Store::footprint(layout(1))};
    EXPECT_EQ(Store::create(memory.data(), memory.size() - 1, layout(1)), nullptr);
    EXPECT_EQ(Store::open(memory.data(), memory.size()), nullptr);
}

} // namespace
} // namespace kvs::test
