// SPDX-License-Identifier: Apache-2.0
#include "config.hpp"

#include <gtest/gtest.h>

namespace {

using kvs::parse_config;

TEST(KvsConfig, TheExampleIsGood)
{
    const auto config = kvs::load_config(KVS_TEST_CONFIG);
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->export_name, "kvs");
    EXPECT_EQ(config->keys, 65536u);
    ASSERT_EQ(config->guests.size(), 2u);
    EXPECT_EQ(config->guests[1].sessions, 2u);
    const auto guests = kvs::Guests::create(config->guests, 16);
    ASSERT_TRUE(guests) << guests.error().message;
    EXPECT_EQ(guests->layout().ports, 3u);
    EXPECT_EQ(guests->space(0), "web");
    EXPECT_EQ(guests->space(2), "web");
}

TEST(KvsConfig, DefaultsNeedOnlyALabel)
{
    const auto config = parse_config("[[guest]]\nlabel = 'x'\n", "f");
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_FALSE(config->export_name);
    EXPECT_FALSE(config->keys);
    EXPECT_EQ(config->guests[0].space, "x");
    EXPECT_EQ(config->guests[0].memory, 64u);
    EXPECT_EQ(config->guests[0].sessions, 1u);
}

TEST(KvsConfig, AFileMeansWhatTheCommandLineMeans)
{
    const auto config =
        parse_config("[[guest]]\nlabel = 'x'\nnamespace = 'y'\nmemory = 0\nsessions = 64\n", "f");
    ASSERT_TRUE(config) << config.error().message;
    const auto told = kvs::parse_guest("x,namespace=y,memory=0,sessions=64");
    ASSERT_TRUE(told) << told.error().message;
    EXPECT_EQ(config->guests[0].label, told->label);
    EXPECT_EQ(config->guests[0].space, told->space);
    EXPECT_EQ(config->guests[0].memory, told->memory);
    EXPECT_EQ(config->guests[0].sessions, told->sessions);
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

class KvsMistake : public testing::TestWithParam<Mistake> {};

TEST_P(KvsMistake, IsNamedWithItsLine)
{
    const auto config = parse_config(GetParam().text, "kvs.toml");
    ASSERT_FALSE(config);
    EXPECT_NE(config.error().message.find(GetParam().complaint), std::string::npos)
        << config.error().message;
}

INSTANTIATE_TEST_SUITE_P(
    Table, KvsMistake,
    testing::Values(
        Mistake{"Syntax", "[store]\nkeys = \n", "kvs.toml:2: "},
        Mistake{"UnknownTable", "[[guest]]\nlabel='a'\n[stoer]\n",
                "kvs.toml:3: top level: unknown key 'stoer': did you mean 'store'?"},
        Mistake{"UnknownKey", "[[guest]]\nlabel='a'\nmemmory=1\n",
                "kvs.toml:3: [[guest]]: unknown key 'memmory': did you mean 'memory'?"},
        Mistake{"KeyThatIsLikeNone", "[store]\ncolour = true\n",
                "kvs.toml:2: [store]: unknown key 'colour' (there are: export, keys)"},
        Mistake{"StoreIsNoTable", "store = 1\n", "kvs.toml:1: top level: 'store' must be a table"},
        Mistake{"GuestIsAString", "guest = ['a,namespace=x']\n",
                "kvs.toml:1: top level: 'guest' must be tables"},
        Mistake{"NoLabel", "[[guest]]\nmemory = 1\n", "'label' must be given"},
        Mistake{"LabelWithASlash", "[[guest]]\nlabel = 'a/b'\n", "kvs.toml:2: [[guest]]: 'label'"},
        Mistake{"EmptyNamespace", "[[guest]]\nlabel = 'a'\nnamespace = ''\n",
                "kvs.toml:3: [[guest]]: 'namespace' is empty"},
        Mistake{"TooMuchMemory", "[[guest]]\nlabel = 'a'\nmemory = 131073\n",
                "kvs.toml:3: [[guest]]: 'memory' must be a number from 0 to 131072"},
        Mistake{"NoSessions", "[[guest]]\nlabel = 'a'\nsessions = 0\n",
                "kvs.toml:3: [[guest]]: 'sessions' must be a number from 1 to 64"},
        Mistake{"FewKeys", "[store]\nkeys = 15\n",
                "kvs.toml:2: [store]: 'keys' must be a number from 16 to 2147483648"},
        Mistake{"ExportWithASlash", "[store]\nexport = 'a/b'\n", "kvs.toml:2: [store]: 'export'"}),
    [](const auto &mistake) { return std::string{mistake.param.name}; });

TEST(KvsGuests, ThatAreTooManyAreRefused)
{
    std::vector<kvs::GuestSpec> specs{{.label = "a", .space = "a", .sessions = 64}};
    EXPECT_TRUE(kvs::Guests::create(specs, 16));
    specs.push_back({.label = "b", .space = "a"});
    const auto guests = kvs::Guests::create(specs, 16);
    ASSERT_FALSE(guests);
    EXPECT_NE(guests.error().message.find("more than 64 sessions"), std::string::npos);
    EXPECT_FALSE(kvs::Guests::create({}, 16));
}

} // namespace
