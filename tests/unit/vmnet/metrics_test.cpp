// SPDX-License-Identifier: Apache-2.0
#include "metrics.hpp"
#include "stepped.hpp"
#include "world.hpp"

#include <cstdlib>
#include <filesystem>
#include <gtest/gtest.h>
#include <list>
#include <sys/socket.h>
#include <sys/un.h>

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

class VmnetCounters : public testing::Test {
  protected:
    VmnetCounters() { journal_.configure(vmnet::Level::error, vmnet::LogFormat::text); }

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
        return value("elisa_sent_frames_total{label=\"" + label + "\"} ");
    }
    std::optional<std::uint64_t> value(const std::string &name)
    {
        const std::string text = vmnet::prometheus_text("direct", ports_, capture_);
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

TEST_F(VmnetCounters, NeverGoBackHoweverManyPortsWereClosed)
{
    for (std::uint64_t closed = 1; closed <= Ports::most_gone + 100; ++closed) {
        round("a");
        if (closed % 100 == 0 || closed > Ports::most_gone - 10) {
            ASSERT_EQ(sent("a"), closed);
            ASSERT_EQ(value("elisa_queue_sent_frames_total{label=\"a\",queue=\"0\"} "), closed);
            ASSERT_EQ(value("elisa_queue_dropped_frames_total{label=\"a\",queue=\"0\",reason=\"no_"
                            "destination\"} "),
                      closed);
        }
    }
    EXPECT_EQ(ports_.records().size(), Ports::most_gone);
    EXPECT_EQ(value("elisa_queue_sent_frames_total{label=\"a\",queue=\"1\"} "), std::nullopt);
}

TEST_F(VmnetCounters, OfALabelThatIsNotConfiguredEndWithItsLastRecord)
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

// A port that closes under another's call: what that call counts at its end is somebody's.
TEST_F(VmnetCounters, HaveWhatCallsCountAfterAPortWasClosed)
{
    rvs::test::Guest receiver{world_, 1};
    const auto sender = ports_.open({.label = "sender"}, 0, "sender");
    ASSERT_TRUE(sender);
    ASSERT_EQ(guest_.add_region(), rvs::Error::none);
    guest_.set_up();
    guest_.call(RVIF_OP_START);
    const auto frame = rvs::test::frame(rvs::test::broadcast, rvs::test::mac(1));
    guest_.desc(0, {guest_.stage(frame), frame.size()});

    const auto received = [&] {
        return value("elisa_received_frames_total{label=\"receiver\"} ").value_or(0);
    };
    // Under ASan a call's instructions are many: some of them will do.
    std::uint32_t whole = 0;
    for (rvs::test::Stepped call{[&] { guest_.transmit(1); }}; call.alive(); ++whole) {
        call.step();
    }
    std::uint32_t late = 0;
    for (std::uint32_t after = 0; after < whole; after += whole / 20) {
        const auto port = ports_.open({.label = "receiver"}, 0, "receiver");
        ASSERT_TRUE(port);
        ASSERT_EQ(*port, receiver.id());
        ASSERT_EQ(receiver.add_region(), rvs::Error::none);
        receiver.set_up();
        receiver.call(RVIF_OP_START);
        receiver.post(guest_.source(), 1);
        std::uint64_t at_its_end = 0;
        {
            rvs::test::Stepped call{[&] { guest_.transmit(1); }};
            for (std::uint32_t i = 0; i < after && call.alive(); ++i) {
                call.step();
            }
            ports_.close(*port, "receiver");
            at_its_end = received();
            call.finish();
        }
        late += received() != at_its_end ? 1 : 0;
        rvs::PortStats stats;
        ASSERT_TRUE((*world_).port_stats(*sender, stats));
        ASSERT_EQ(received() + value("elisa_dropped_frames_total{label=\"receiver\",reason=\"not_"
                                     "ready\"} ")
                                   .value_or(0),
                  stats.copies)
            << "after " << after << " instructions";
    }
    EXPECT_GT(late, 0u) << "it was not closed under a call";
}

class Scraper {
  public:
    explicit Scraper(const std::string &path)
        : fd_{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)}
    {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.copy(address.sun_path, sizeof(address.sun_path) - 1);
        EXPECT_EQ(
            ::connect(fd_.get(), reinterpret_cast<const sockaddr *>(&address), sizeof(address)), 0);
    }
    void say(const std::string &text) const
    {
        EXPECT_EQ(::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL), std::ssize(text));
    }
    // What it has been sent. nullopt: the connection was closed without a word.
    [[nodiscard]] std::optional<std::string> heard() const
    {
        char some[65536];
        const ssize_t got = ::recv(fd_.get(), some, sizeof(some), 0);
        return got == 0 ? std::nullopt
                        : std::optional{std::string(some, got > 0 ? std::size_t(got) : 0)};
    }

  private:
    elisa::UniqueFd fd_;
};

class VmnetMetrics : public VmnetCounters {
  protected:
    VmnetMetrics()
    {
        char folder[] = "/tmp/elisa-metrics-XXXXXX";
        path_ = std::string{::mkdtemp(folder)} + "/metrics";
        auto listener = vmnet::control::Listener::open("unix:" + path_);
        EXPECT_TRUE(listener) << listener.error().message;
        metrics_.emplace(std::move(*listener), "direct", ports_, capture_);
    }
    ~VmnetMetrics() override
    {
        std::filesystem::remove_all(std::filesystem::path{path_}.parent_path());
    }
    VmnetMetrics(const VmnetMetrics &) = delete;
    VmnetMetrics &operator=(const VmnetMetrics &) = delete;

    std::string path_;
    std::optional<vmnet::Metrics> metrics_;
    const std::string request_ = "GET /metrics HTTP/1.1\r\n\r\n";
};

TEST_F(VmnetMetrics, WhoSaysNothingKeepsNobodyOut)
{
    std::list<Scraper> idle;
    for (std::size_t n = 0; n < vmnet::Metrics::most_requests; ++n) {
        idle.emplace_back(path_);
    }
    metrics_->work();
    for (int times = 0; times < 3; ++times) {
        const Scraper scraper{path_};
        metrics_->work();
        scraper.say(request_);
        metrics_->work();
        const auto answer = scraper.heard();
        ASSERT_TRUE(answer);
        EXPECT_TRUE(answer->starts_with("HTTP/1.1 200 OK")) << *answer;
    }
    EXPECT_EQ(idle.front().heard(), std::nullopt) << "the oldest made room";
    EXPECT_EQ(idle.back().heard(), "");
}

TEST_F(VmnetMetrics, WhoAsksAtOnceIsAnsweredHoweverManyComeWithHim)
{
    const Scraper scraper{path_};
    scraper.say(request_);
    std::list<Scraper> idle;
    for (std::size_t n = 0; n < vmnet::Metrics::most_requests; ++n) {
        idle.emplace_back(path_);
    }
    metrics_->work();
    EXPECT_TRUE(scraper.heard().value_or("").starts_with("HTTP/1.1 200 OK"));
}

TEST_F(VmnetMetrics, WhoTakesTooLongIsDropped)
{
    const auto begin = vmnet::Metrics::Clock::now();
    const Scraper slow{path_};
    slow.say("GET /metrics");
    metrics_->work(begin);
    metrics_->work(begin + vmnet::Metrics::patience - std::chrono::milliseconds{1});
    EXPECT_EQ(slow.heard(), "");
    metrics_->work(begin + vmnet::Metrics::patience);
    EXPECT_EQ(slow.heard(), std::nullopt);
}

} // namespace
