// SPDX-License-Identifier: Apache-2.0
#include "reload.hpp"
#include "world.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>

namespace {

using rvs::test::Guest;
using vmnet::ConfigSource;

class VmnetReload : public testing::Test {
  protected:
    VmnetReload()
    {
        char folder[] = "/tmp/elisa-reload-XXXXXX";
        folder_ = ::mkdtemp(folder);
    }
    ~VmnetReload() override { std::filesystem::remove_all(folder_); }
    VmnetReload(const VmnetReload &) = delete;
    VmnetReload &operator=(const VmnetReload &) = delete;

    [[nodiscard]] std::string file() const { return folder_ / "vmnet.toml"; }
    void write(const std::string &text) const { std::ofstream{file()} << text; }

    // At a port that was opened already.
    static void start(Guest &guest)
    {
        ASSERT_EQ(guest.add_region(), rvs::Error::none);
        guest.set_up();
        ASSERT_EQ(guest.call(RVIF_OP_START), 0);
    }

    rvs::test::World world_;
    vmnet::Journal journal_;

  private:
    std::filesystem::path folder_;
};

TEST_F(VmnetReload, LabelsOfTheCommandLineStayAdmitted)
{
    write("[[guest]]\nlabel = 'a'\n");
    const ConfigSource source{file(), {"web"}};
    auto config = vmnet::load_config(source);
    ASSERT_TRUE(config) << config.error().message;
    vmnet::Ports ports{*world_, *config, journal_};
    const auto port = ports.open(*config->find("web"), 0, "web");
    ASSERT_TRUE(port) << port.error().message;

    vmnet::Reloader reloader{source, ports, journal_};
    write("[[guest]]\nlabel = 'b'\n");
    const auto later = reloader.reload();
    ASSERT_TRUE(later) << later.error().message;
    EXPECT_EQ(*later, std::vector<std::string>{});
    EXPECT_TRUE(ports.find(*port)->up);
    EXPECT_NE(ports.config().find("web"), nullptr);
    EXPECT_NE(ports.config().find("b"), nullptr);
    EXPECT_EQ(ports.config().find("a"), nullptr);

    // What the file says of it counts.
    write("[[guest]]\nlabel = 'web'\nvlan = 7\n");
    ASSERT_TRUE(reloader.reload());
    EXPECT_EQ(ports.find(*port)->guest.native, 7u);
    EXPECT_EQ(ports.config().guests.size(), 1u);
}

// Who has the port of a mirror's target, and is another, sees nobody's frames.
TEST_F(VmnetReload, MirrorGoesToItsTargetAlone)
{
    write("[[guest]]\nlabel = 'a'\n");
    const ConfigSource source{file(), {}};
    vmnet::Ports ports{*world_, *vmnet::load_config(source), journal_};
    Guest peer{world_, 10};
    peer.join();
    Guest by_hand{world_, RVIF_MAX_PORTS - 1};
    rvs::PortOptions capture;
    capture.capture = true;
    capture.label = "capture";
    by_hand.join(capture);

    vmnet::Reloader reloader{source, ports, journal_};
    write("[[guest]]\nlabel = 'a'\nmirror = 'tap'\n[[guest]]\nlabel = 'tap'\ncapture = true\n");
    ASSERT_TRUE(reloader.reload());
    const auto port = ports.open(*ports.config().find("a"), 0, "a");
    ASSERT_TRUE(port) << port.error().message;
    Guest a{world_, vmnet::number(*port)};
    start(a);
    const auto seen = [&](Guest &target) {
        peer.post(a.source(), 1);
        target.post(a.source(), 1);
        EXPECT_EQ(a.send(rvs::test::frame(rvs::test::broadcast, rvs::test::mac(1))), 1);
        return target.receive_all(a.source()).size();
    };
    EXPECT_EQ(seen(by_hand), 0u);

    by_hand.leave();
    const auto there = ports.open(*ports.config().find("tap"), 0, "tap");
    ASSERT_TRUE(there) << there.error().message;
    Guest tap{world_, vmnet::number(*there)};
    start(tap);
    ASSERT_TRUE(reloader.reload());
    EXPECT_EQ(seen(tap), 1u);
}

// A successor holds down whom its file holds down, and whom it does not name; and lets nobody go
// whom an operator has held down.
TEST_F(VmnetReload, SuccessorHoldsDownWhomItsFileDoes)
{
    const char *const labels[] = {"named", "down", "gone", "held"};
    for (std::uint32_t i = 0; i < std::size(labels); ++i) {
        rvs::PortOptions options;
        options.label = labels[i];
        ASSERT_EQ(world_->port_open(rvs::PortId{i}, options), rvs::Error::none);
    }
    ASSERT_EQ(world_->port_link(rvs::PortId{3}, false), rvs::Error::none);
    write("[[guest]]\nlabel = 'named'\n[[guest]]\nlabel = 'down'\ndown = true\n"
          "[[guest]]\nlabel = 'held'\n");
    vmnet::Ports ports{*world_, *vmnet::load_config(ConfigSource{file(), {}}), journal_};
    for (std::uint32_t i = 0; i < std::size(labels); ++i) {
        ports.adopt(rvs::PortId{i}, labels[i]);
        rvs::PortInfo info;
        ASSERT_TRUE(world_->port_info(rvs::PortId{i}, info));
        EXPECT_EQ(info.link, i == 0) << labels[i];
        EXPECT_EQ(ports.find(rvs::PortId{i})->up, i == 0) << labels[i];
    }
}

TEST_F(VmnetReload, WithoutAFileItSaysThatThereIsNone)
{
    const ConfigSource source{.admit = {"web"}};
    vmnet::Ports ports{*world_, *vmnet::load_config(source), journal_};
    vmnet::Reloader reloader{source, ports, journal_};
    const auto later = reloader.reload();
    ASSERT_FALSE(later);
    EXPECT_NE(later.error().message.find("without --config"), std::string::npos);
    EXPECT_NE(ports.config().find("web"), nullptr);
}

} // namespace
