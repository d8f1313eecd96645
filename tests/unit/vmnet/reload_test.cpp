// SPDX-License-Identifier: Apache-2.0
#include "reload.hpp"
#include "world.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>

namespace {

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
