// SPDX-License-Identifier: Apache-2.0
#include "config.hpp"

#include <gtest/gtest.h>

namespace {

using vmnet::parse_config;

TEST(VmnetConfig, TheExampleIsGood)
{
    const auto config = vmnet::load_config(ELISA_TEST_CONFIG);
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->export_name, "rvs");
    ASSERT_EQ(config->guests.size(), 2u);
    EXPECT_EQ(config->find("a")->mac, 0x0a0000000002u);
    EXPECT_EQ(config->find("b")->ports, 2u);
    EXPECT_EQ(config->find("b")->tx_queues, 4u);
    EXPECT_EQ(config->find("c"), nullptr);
}

TEST(VmnetConfig, DefaultsNeedOnlyALabel)
{
    const auto config = parse_config("[[guest]]\nlabel = 'x'\n", "f");
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->guests[0].ports, 1u);
    EXPECT_EQ(config->guests[0].mac, 0u);
}

struct Mistake {
    const char *name;
    const char *text;
    const char *complaint;
};

void PrintTo(const Mistake &mistake, std::ostream *out)
{
    *out << mistake.name;
}

class VmnetMistake : public testing::TestWithParam<Mistake> {};

TEST_P(VmnetMistake, IsNamedWithItsLine)
{
    const auto config = parse_config(GetParam().text, "vmnet.toml");
    ASSERT_FALSE(config);
    EXPECT_NE(config.error().message.find(GetParam().complaint), std::string::npos)
        << config.error().message;
}

INSTANTIATE_TEST_SUITE_P(
    Table, VmnetMistake,
    testing::Values(
        Mistake{"Empty", "", "vmnet.toml:1: nobody is admitted"},
        Mistake{"Syntax", "[switch]\nexport = \n", "vmnet.toml:2: "},
        Mistake{"UnknownTable", "[[guest]]\nlabel='a'\n[swich]\n",
                "vmnet.toml:3: top level: unknown key 'swich'"},
        Mistake{"UnknownKey", "[[guest]]\nlabel='a'\nmacc='x'\n",
                "vmnet.toml:3: [[guest]]: unknown key 'macc'"},
        Mistake{"SwitchIsNoTable", "switch = 1\n[[guest]]\nlabel='a'\n",
                "vmnet.toml:1: top level: 'switch' must be a table"},
        Mistake{"GuestIsNoArray", "[guest]\nlabel='a'\n", "'guest' must be tables"},
        Mistake{"GuestIsANumber", "guest = [1, 2]\n", "'guest' must be tables"},
        Mistake{"NoLabel", "[[guest]]\nports = 1\n", "'label' must be given"},
        Mistake{"LabelIsANumber", "[[guest]]\nlabel = 5\n",
                "vmnet.toml:2: [[guest]]: 'label' must be a string"},
        Mistake{"LabelTooLong", "[[guest]]\nlabel = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'\n",
                "vmnet.toml:2: [[guest]]: 'label' must be given: 1 to 31"},
        Mistake{"LabelWithASlash", "[[guest]]\nlabel = 'a/b'\n", "1 to 31 letters"},
        Mistake{"SameLabelTwice", "[[guest]]\nlabel='a'\n[[guest]]\nlabel='a'\n",
                "vmnet.toml:4: [[guest]]: 'label' names 'a' a second time"},
        Mistake{"MacIsShort", "[[guest]]\nlabel='a'\nmac='02:00'\n",
                "vmnet.toml:3: [[guest]]: 'mac' is not the address"},
        Mistake{"MacIsAGroup", "[[guest]]\nlabel='a'\nmac='01:00:5e:00:00:01'\n",
                "'mac' is not the address of one station"},
        Mistake{"MacIsZero", "[[guest]]\nlabel='a'\nmac='00:00:00:00:00:00'\n",
                "'mac' is not the address"},
        Mistake{"SameMacTwice",
                "[[guest]]\nlabel='a'\nmac='02:00:00:00:00:01'\n[[guest]]\nlabel='b'\nmac='02:00:"
                "00:00:00:01'\n",
                "vmnet.toml:6: [[guest]]: 'mac' is another guest's"},
        Mistake{"MacForTwoPorts", "[[guest]]\nlabel='a'\nports=2\nmac='02:00:00:00:00:01'\n",
                "belongs to one port"},
        Mistake{"NoPorts", "[[guest]]\nlabel='a'\nports=0\n",
                "vmnet.toml:3: [[guest]]: 'ports' must be a number from 1 to 64"},
        Mistake{"NegativePorts", "[[guest]]\nlabel='a'\nports=-1\n", "from 1 to 64"},
        Mistake{"TooManyQueues", "[[guest]]\nlabel='a'\ntx_queues=9\n", "from 1 to 8"},
        Mistake{"AgeOutOfRange", "[switch]\nfdb_age=1000\n[[guest]]\nlabel='a'\n",
                "vmnet.toml:2: [switch]: 'fdb_age' must be a number from 1 to 200"},
        Mistake{"HugeNumber", "[switch]\nfdb_entries=9223372036854775807\n[[guest]]\nlabel='a'\n",
                "'fdb_entries' must be a number"},
        Mistake{"ExportIsNoName", "[switch]\nexport='a b'\n[[guest]]\nlabel='a'\n",
                "vmnet.toml:2: [switch]: 'export' is not a name"}),
    [](const auto &each) { return each.param.name; });

TEST(Mac, IsReadAndWritten)
{
    EXPECT_EQ(vmnet::parse_mac("02:11:22:33:44:ff"), 0xff4433221102u);
    EXPECT_EQ(vmnet::format_mac(0xff4433221102u), "02:11:22:33:44:ff");
    for (const char *text :
         {"", "02:11:22:33:44:f", "02-11-22-33-44-ff", "02:11:22:33:44:fg", "02:11:22:33:44:fff",
          " 2:11:22:33:44:ff", "+2:11:22:33:44:ff", "02:11:22:33:44f:f"}) {
        EXPECT_FALSE(vmnet::parse_mac(text)) << text;
    }
}

} // namespace
