// SPDX-License-Identifier: Apache-2.0
// The bytes in docs/rvif-format.md are those that a switch and its guests leave in memory.
#include "../rvs/world.hpp"

#include <fstream>
#include <gtest/gtest.h>
#include <regex>
#include <sstream>

namespace rvs::test {
namespace {

struct Shown {
    std::string whose;
    std::uint64_t at;
    Bytes bytes;
    std::string line;
};

// "    receiver 0x000100  00 00 01 00 ...   what it is"
std::vector<Shown> shown_in(const char *file)
{
    const std::regex form{
        R"(    (sender|receiver) (0x[0-9a-f]{6})  ((?:[0-9a-f]{2} )*[0-9a-f]{2})   .*)"};
    std::ifstream in{file};
    std::vector<Shown> all;
    for (std::string line; std::getline(in, line);) {
        std::smatch parts;
        if (!std::regex_match(line, parts, form))
            continue;
        Shown one{parts[1], std::stoull(parts[2], nullptr, 16), {}, line};
        std::istringstream bytes{parts[3]};
        for (std::string byte; bytes >> byte;)
            one.bytes.push_back(static_cast<std::uint8_t>(std::stoul(byte, nullptr, 16)));
        all.push_back(one);
    }
    return all;
}

TEST(RvifFormat, ExampleIsWhatASwitchDoes)
{
    World world;
    GuestOptions takes_tags;
    takes_tags.rx_flags = RVIF_RXQ_VLAN;
    Guest receiver{world, 1, takes_tags};
    Guest sender{world, 0};
    receiver.join();
    sender.join();
    ASSERT_EQ(receiver.sources(), std::vector<std::uint32_t>{1});
    ASSERT_EQ(receiver.post(sender.source(), 4), 4u);

    const Bytes chain = frame(mac(2), mac(1), 3000);
    sender.desc(0, {sender.stage(frame(mac(2), mac(1), 64)), 64});
    sender.desc(1, {sender.stage({chain.begin(), chain.begin() + 2000}), 2000, RVIF_TX_MORE});
    sender.desc(2, {sender.stage({chain.begin() + 2000, chain.end()}), 1000});
    sender.desc(3, {sender.stage(frame(mac(2), mac(1), 100)), 100, RVIF_TX_VLAN, 0x200a});
    ASSERT_EQ(sender.transmit(4), 4);

    const auto lines = shown_in(ELISA_DOC_RVIF_FORMAT);
    EXPECT_GE(lines.size(), 21u) << "the example is not where it was";
    for (const Shown &one : lines) {
        const Memory &memory = (one.whose == "sender" ? sender : receiver).memory();
        ASSERT_LE(one.at + one.bytes.size(), memory.size());
        const std::uint8_t *const there = memory.data() + one.at;
        EXPECT_EQ(one.bytes, Bytes(there, there + one.bytes.size())) << one.line;
    }
}

} // namespace
} // namespace rvs::test
