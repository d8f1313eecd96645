// SPDX-License-Identifier: Apache-2.0
#include "metrics.hpp"
#include "world.hpp"

#include <gtest/gtest.h>

namespace {

using vmnet::GuestConfig;
using vmnet::Ports;

vmnet::Config with_guests(std::initializer_list<const char *> labels)
{
    vmnet::Config config;
    for (const char *const label : labels) {
        config.guests.push_back({.label = label});
    }
    return config;
}

class Counters : public testing::Test {
  protected:
    Counters() { journal_.configure(vmnet::Level::error, vmnet::LogFormat::text); }

    // A port that is opened, sends a frame, and is closed.
    void round(const std::string &label)
    {
        const auto port = ports_.open({.label = label}, 0, label);
        ASSERT_TRUE(port) << port.error().message;
        ASSERT_EQ(vmnet::number(*port), 0u);
        ASSERT_EQ(guest_.add_region(), rvs::Error::none);
        guest_.set_up();
        guest_.call(RVIF_OP_START);
        guest_.send(rvs::test::frame(rvs::test::mac(2), rvs::test::mac(1)));
        ports_.close(*port, label);
    }
    // Frames that ports of the label have sent, as Prometheus sees it; nullopt: it sees none.
    std::optional<std::uint64_t> sent(const std::string &label)
    {
        const std::string text = vmnet::prometheus_text("direct", ports_, capture_);
        const std::string name = "elisa_sent_frames_total{label=\"" + label + "\"} ";
        const std::size_t at = text.find(name);
        return at != std::string::npos ? std::optional{std::stoull(text.substr(at + name.size()))}
                                       : std::nullopt;
    }

    rvs::test::World world_;
    rvs::test::Guest guest_{world_, 0};
    vmnet::Journal journal_;
    Ports ports_{*world_, with_guests({"a"}), journal_};
    vmnet::Capture capture_{*world_, {}};
};

TEST_F(Counters, NeverGoBackHoweverManyPortsWereClosed)
{
    for (std::uint64_t closed = 1; closed <= Ports::most_gone + 100; ++closed) {
        round("a");
        if (closed % 100 == 0 || closed > Ports::most_gone - 10) {
            ASSERT_EQ(sent("a"), closed);
        }
    }
    EXPECT_EQ(ports_.records().size(), Ports::most_gone);
}

TEST_F(Counters, OfALabelThatIsNotConfiguredEndWithItsLastRecord)
{
    round("7:x");
    round("7:x");
    for (std::size_t closed = 0; closed < Ports::most_gone - 1; ++closed) {
        round("a");
    }
    EXPECT_EQ(sent("7:x"), 2u) << "one of them is in no record any more";
    round("a");
    EXPECT_EQ(sent("7:x"), std::nullopt);
    EXPECT_EQ(sent("a"), Ports::most_gone);
}

} // namespace
