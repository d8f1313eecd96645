// SPDX-License-Identifier: Apache-2.0
#include "capture.hpp"
#include "world.hpp"

#include <gtest/gtest.h>

namespace {

using rvs::test::frame;
using rvs::test::mac;

class VmnetCapture : public testing::Test {
  protected:
    VmnetCapture()
    {
        a_.join();
        b_.join();
        EXPECT_TRUE(capture_.start(a, own)) << "the capture does not start";
    }

    static constexpr rvs::PortId a{0}, own{2};
    rvs::test::World world_;
    rvs::test::Guest a_{world_, 0};
    rvs::test::Guest b_{world_, 1};
    rvs::test::Memory memory_{std::size_t{2} << 20};
    vmnet::Capture capture_{*world_,
                            {reinterpret_cast<std::byte *>(memory_.data()), memory_.size()}};
};

TEST_F(VmnetCapture, NobodyKeepsAnothersFramesWaitingByWhatItSendsMeanwhile)
{
    constexpr std::uint32_t unknown = 99;
    const auto flooded = [](std::uint32_t from) { return frame(mac(unknown), mac(from)); };
    a_.send(flooded(1));
    for (int i = 0; i < 3; ++i) {
        b_.send(flooded(2));
    }
    std::size_t of_a = 0;
    std::size_t of_b = 0;
    capture_.drain([&](const vmnet::Capture::Frame &captured) {
        EXPECT_EQ(captured.from == a, captured.sent);
        if (captured.sent) {
            EXPECT_EQ(of_b, 0u) << "the lane of the first source comes first";
            ++of_a;
            a_.send(flooded(1));
        } else {
            ++of_b;
        }
    });
    EXPECT_EQ(of_b, 3u);
    EXPECT_GE(of_a, 16u) << "a share of a lane";
    EXPECT_LE(of_a, 256u) << "the whole of a lane";
    EXPECT_EQ(capture_.lost(), 0u);
}

} // namespace
