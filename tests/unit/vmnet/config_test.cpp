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
                "vmnet.toml:3: top level: unknown key 'swich': did you mean 'switch'?"},
        Mistake{"UnknownKey", "[[guest]]\nlabel='a'\nmacc='x'\n",
                "vmnet.toml:3: [[guest]]: unknown key 'macc': did you mean 'mac'?"},
        Mistake{"KeyThatIsLikeNone", "[log]\ncolour = true\n[[guest]]\nlabel='a'\n",
                "vmnet.toml:2: [log]: unknown key 'colour' (there are: level, format)"},
        Mistake{"LevelThatIsAlmostOne", "[log]\nlevel = 'warn1ng'\n[[guest]]\nlabel='a'\n",
                "vmnet.toml:2: [log]: 'level' does not know 'warn1ng': did you mean 'warning'?"},
        Mistake{"MetricsForEverybody", "[metrics]\nlisten = '0.0.0.0:9560'\n[[guest]]\nlabel='a'\n",
                "vmnet.toml:2: [metrics]: 'listen' must be \"127.0.0.1:PORT\""},
        Mistake{"MetricsWithoutAPort", "[metrics]\nlisten = '127.0.0.1'\n[[guest]]\nlabel='a'\n",
                "'listen' must be"},
        Mistake{"MetricsNowhere", "[metrics]\n[[guest]]\nlabel='a'\n", "'listen' must be given"},
        Mistake{"TooMuchForCaptures", "[switch]\ncapture_memory=1000\n[[guest]]\nlabel='a'\n",
                "'capture_memory' must be a number from 0 to 256"},
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
        Mistake{"VlanOnATrunk", "[[guest]]\nlabel='a'\nvlan=10\ntrunk=[20]\n",
                "vmnet.toml:3: [[guest]]: 'vlan' is of an access port"},
        Mistake{"NativeWithoutTrunk", "[[guest]]\nlabel='a'\nnative=10\n",
                "vmnet.toml:3: [[guest]]: 'native' is of a trunk"},
        Mistake{"VlanOutOfRange", "[[guest]]\nlabel='a'\nvlan=4095\n",
                "vmnet.toml:3: [[guest]]: 'vlan' must be a number from 1 to 4094"},
        Mistake{"TrunkIsEmpty", "[[guest]]\nlabel='a'\ntrunk=[]\n",
                "vmnet.toml:3: [[guest]]: 'trunk' must be a list of 1 to 4094 VLANs"},
        Mistake{"TrunkHasAWord", "[[guest]]\nlabel='a'\ntrunk=[10,\n'x']\n",
                "vmnet.toml:4: [[guest]]: 'trunk' has an element that is none of VLANs"},
        Mistake{"MacsHasAGroup", "[[guest]]\nlabel='a'\nmacs=['01:00:5e:00:00:01']\n",
                "vmnet.toml:3: [[guest]]: 'macs' has an element that is none of addresses"},
        Mistake{"TooManyMacs", "[[guest]]\nlabel='a'\nmacs=['a','b','c','d','e','f','g','h','i']\n",
                "'macs' must be a list of 1 to 8 addresses"},
        Mistake{"IsolatedIsANumber", "[[guest]]\nlabel='a'\nisolated=1\n",
                "vmnet.toml:3: [[guest]]: 'isolated' must be true or false"},
        Mistake{"BurstWithoutRate", "[[guest]]\nlabel='a'\nburst=10\n",
                "vmnet.toml:3: [[guest]]: 'burst' is of a rate"},
        Mistake{"MirrorToNobody", "[[guest]]\nlabel='a'\nmirror='tap'\n",
                "vmnet.toml:3: [[guest]]: 'mirror' 'tap' is no [[guest]] with capture = true"},
        Mistake{"MirrorToAnOrdinaryGuest",
                "[[guest]]\nlabel='a'\nmirror='b'\n[[guest]]\nlabel='b'\n",
                "vmnet.toml:3: [[guest]]: 'mirror' 'b' is no"},
        Mistake{"CaptureOfTwoPorts", "[[guest]]\nlabel='a'\nports=2\ncapture=true\n",
                "vmnet.toml:4: [[guest]]: 'capture' is of one port"},
        Mistake{"CaptureThatIsMirrored", "[[guest]]\nlabel='a'\ncapture=true\nmirror='a'\n",
                "makes no sense"},
        Mistake{"ClockIsAWord", "[switch]\ntsc_hz='fast'\n[[guest]]\nlabel='a'\n",
                "vmnet.toml:2: [switch]: 'tsc_hz' must be ticks a second"},
        Mistake{"ExportIsNoName", "[switch]\nexport='a b'\n[[guest]]\nlabel='a'\n",
                "vmnet.toml:2: [switch]: 'export' is not a name"}),
    [](const auto &each) { return each.param.name; });

TEST(VmnetConfig, PoliciesBecomeOptionsOfPorts)
{
    const auto config = parse_config(R"(
[switch]
tsc_hz = 2400000000
[[guest]]
label = "web"
vlan = 10
isolated = true
macs = ["02:00:00:00:00:01", "02:00:00:00:00:02"]
mac_limit = 4
rate = 1000
storm = 500
mirror = "tap"
[[guest]]
label = "router"
trunk = [10, 20]
native = 30
rate = 100
burst = 64
[[guest]]
label = "tap"
capture = true
)",
                                     "f");
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_TRUE(config->needs_clock());
    EXPECT_EQ(config->tsc_hz, 2400000000u);
    const rvs::PortOptions web = config->options(*config->find("web"));
    EXPECT_STREQ(web.label, "web");
    EXPECT_EQ(web.native_vlan, 10u);
    EXPECT_EQ(web.trunk_count, 0u);
    EXPECT_TRUE(web.isolated);
    EXPECT_TRUE(web.own_macs_only);
    EXPECT_EQ(web.macs[1], 0x020000000002u);
    EXPECT_EQ(web.macs[2], 0u);
    EXPECT_EQ(web.mac_limit, 4u);
    EXPECT_EQ(web.rate_bytes, 125'000'000u);
    EXPECT_EQ(web.rate_burst, 1'250'000u);
    EXPECT_EQ(web.storm_frames, 500u);
    EXPECT_EQ(web.mirror_to, rvs::PortId{63});
    EXPECT_FALSE(web.capture);
    const rvs::PortOptions router = config->options(*config->find("router"));
    EXPECT_EQ(router.native_vlan, 30u);
    ASSERT_EQ(router.trunk_count, 2u);
    EXPECT_EQ(router.trunk[1], 20u);
    EXPECT_EQ(router.rate_burst, 65536u);
    EXPECT_FALSE(router.own_macs_only);
    EXPECT_EQ(router.mirror_to, rvs::no_port);
    EXPECT_TRUE(config->options(*config->find("tap")).capture);
}

TEST(VmnetConfig, CapturesHaveTheirPortsAndOthersTheRest)
{
    std::string text;
    for (const char *label : {"a", "tap1", "b", "tap2"}) {
        text += std::string{"[[guest]]\nlabel = '"} + label + "'\n";
        text += label[0] == 't' ? "capture = true\n" : "ports = 64\n";
    }
    const auto config = parse_config(text, "f");
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_FALSE(config->needs_clock());
    EXPECT_EQ(config->free_port(*config->find("tap1"), 0), rvs::PortId{63});
    EXPECT_EQ(config->free_port(*config->find("tap2"), 0), rvs::PortId{62});
    EXPECT_EQ(config->free_port(*config->find("tap2"), 1ull << 62), std::nullopt);
    EXPECT_EQ(config->free_port(*config->find("a"), 0), rvs::PortId{0});
    EXPECT_EQ(config->free_port(*config->find("b"), 0x7), rvs::PortId{3});
    EXPECT_EQ(config->free_port(*config->find("b"), ~0ull >> 2), std::nullopt);
}

TEST(VmnetConfig, LogMetricsAndCaptureAreRead)
{
    const auto config = parse_config(R"(
[switch]
capture_memory = 16
[log]
level = "debug"
format = "json"
[metrics]
listen = "unix:/run/elisa/metrics.sock"
[[guest]]
label = "a"
down = true
)",
                                     "f");
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->capture_mib, 16u);
    EXPECT_EQ(config->log_level, "debug");
    EXPECT_EQ(config->log_format, "json");
    EXPECT_EQ(config->metrics, "unix:/run/elisa/metrics.sock");
    EXPECT_TRUE(config->find("a")->down);
    EXPECT_EQ(parse_config("[[guest]]\nlabel='a'\n", "f")->capture_mib, std::nullopt);
}

TEST(VmnetConfig, SettingsOfAPortChangeAsInTheFile)
{
    const auto config =
        parse_config("[[guest]]\nlabel='a'\ntrunk=[10,20]\nnative=30\nrate=100\nburst=64\n"
                     "[[guest]]\nlabel='tap'\ncapture=true\n",
                     "f");
    ASSERT_TRUE(config) << config.error().message;
    const vmnet::GuestConfig &a = *config->find("a");
    auto changed = change_guest(
        *config, a, "vlan = 7\nmirror = 'tap'\nmacs = ['02:00:00:00:00:01']\n", {"rate"});
    ASSERT_TRUE(changed) << changed.error().message;
    EXPECT_EQ(changed->native, 7u);
    EXPECT_TRUE(changed->trunk.empty());
    EXPECT_EQ(changed->mirror, "tap");
    EXPECT_EQ(changed->macs.size(), 1u);
    EXPECT_EQ(changed->rate_mbit, 0u);
    EXPECT_EQ(changed->burst_kib, 0u);
    changed = change_guest(*config, *changed, "", {"vlan", "mirror", "macs"});
    ASSERT_TRUE(changed) << changed.error().message;
    EXPECT_EQ(changed->native, 0u);
    EXPECT_TRUE(changed->mirror.empty());
    EXPECT_TRUE(changed->macs.empty());
    changed = change_guest(*config, a, "isolated = true\n", {});
    ASSERT_TRUE(changed) << changed.error().message;
    EXPECT_EQ(changed->trunk.size(), 2u) << "stays";
    EXPECT_EQ(changed->rate_mbit, 100u);
}

TEST(VmnetConfig, SettingsThatMakeNoSenseAreNamed)
{
    const auto config = parse_config("[[guest]]\nlabel='a'\n", "f");
    ASSERT_TRUE(config);
    const auto complaint = [&](const char *set, const std::vector<std::string> &defaults) {
        const auto changed = change_guest(*config, *config->find("a"), set, defaults);
        return changed ? std::string{} : changed.error().message;
    };
    EXPECT_NE(complaint("vlam = 1\n", {}).find("did you mean 'vlan'?"), std::string::npos);
    EXPECT_NE(complaint("label = 'b'\n", {}).find("unknown key 'label'"), std::string::npos);
    EXPECT_NE(complaint("vlan = \n", {}).find("settings: "), std::string::npos);
    EXPECT_NE(complaint("mirror = 'x'\n", {}).find("capture = true"), std::string::npos);
    EXPECT_NE(complaint("", {"ports"}).find("'ports' cannot be changed"), std::string::npos);
}

TEST(VmnetConfig, TheManagersOwnCaptureTakesTheLastFreePort)
{
    const auto config =
        parse_config("[[guest]]\nlabel='a'\n[[guest]]\nlabel='t'\ncapture=true\n", "f");
    ASSERT_TRUE(config);
    EXPECT_EQ(config->capture_port(0), rvs::PortId{62}) << "63 is t's";
    EXPECT_EQ(config->capture_port(1ull << 62), rvs::PortId{61});
    EXPECT_EQ(config->capture_port(~0ull >> 1), std::nullopt);
}

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
