// SPDX-License-Identifier: Apache-2.0
// Sends flows, one after the other, and checks what comes back.
//
//   hello -> until it is answered: the way there and back is open, addresses are learned
//   data  -> at most `window` on their way
//   bye   -> until it is answered: an echo answers with what it counted
#include "engine.hpp"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <rte_cycles.h>

namespace rvgen {
namespace {

constexpr std::uint64_t repeat_ms = 20; // of hello and bye
constexpr unsigned bye_tries = 100;
constexpr std::size_t control_size = payload_at + sizeof(Tally);

std::string drops_json(const Drops &drops)
{
    std::string out = "{";
    for (std::size_t kind = 0; kind < drop_kinds; ++kind) {
        if (drops[kind] != 0) {
            out += std::string{out.size() > 1 ? ", " : ""} + "\"" + drop_name(kind) +
                   "\": " + std::to_string(drops[kind]);
        }
    }
    return out + "}";
}

class Generator final : public Engine {
  public:
    explicit Generator(const Options &options)
        : Engine{options}, ticks_per_ms_{std::max<std::uint64_t>(rte_get_tsc_hz() / 1000, 1)}
    {
    }

    std::uint16_t take(rte_mempool *pool, rte_mbuf **pkts, std::uint16_t count) override;
    void give(rte_mbuf **pkts, std::uint16_t count) override;

  private:
    enum class State { hello, data, bye };

    [[nodiscard]] const FlowOptions &flow() const { return options_.flows[stream_]; }
    [[nodiscard]] std::uint64_t now() const { return rte_rdtsc(); }
    [[nodiscard]] bool waited(std::uint64_t since, std::uint64_t ms) const
    {
        return now() - since > ms * ticks_per_ms_;
    }

    std::uint16_t take_control(rte_mempool *pool, rte_mbuf **pkts, Kind kind,
                               std::uint64_t sequence);
    std::uint16_t take_data(rte_mempool *pool, rte_mbuf **pkts, std::uint16_t count);
    void begin_data();
    void end_flow(const Tally *peer);
    void give_up(const char *why);
    void conclude(const char *error);

    std::uint64_t ticks_per_ms_;
    State state_ = State::hello;
    std::uint16_t stream_ = 0;
    bool began_ = false;
    std::uint64_t first_hello_ = 0;
    std::uint64_t last_control_ = 0;
    unsigned byes_ = 0;

    // of the flow
    std::uint64_t sent_ = 0;
    std::uint64_t received_ = 0; // all data frames of this flow that came back
    std::uint64_t verified_ = 0;
    std::uint64_t corrupted_ = 0;
    std::uint64_t duplicated_ = 0;
    // Of the frames before written_off_below_, so many have not come back; nobody waits for them.
    std::uint64_t written_off_ = 0;
    std::uint64_t written_off_below_ = 0;
    std::uint64_t progress_ = 0; // when something came back, or was sent, last
    std::uint64_t begin_ = 0;
    std::uint64_t end_ = 0;
    Seen seen_;
    NicCounters before_;
    NicCounters after_;

    // of the run
    std::uint64_t stray_ = 0;
    std::uint64_t delivered_ = 0;
    std::uint64_t run_begin_ = 0;
    std::uint64_t crossings_begin_ = 0;
    std::string flows_;
    std::string rates_;
};

std::uint16_t Generator::take(rte_mempool *pool, rte_mbuf **pkts, std::uint16_t count)
{
    if (done()) {
        return 0;
    }
    switch (state_) {
    case State::hello:
        if (first_hello_ == 0) {
            first_hello_ = now();
        } else if (waited(first_hello_, options_.start_ms)) {
            give_up("nobody answers");
            return 0;
        }
        return take_control(pool, pkts, Kind::hello, flow().count);
    case State::data:
        return take_data(pool, pkts, count);
    case State::bye:
        if (byes_ == bye_tries) {
            end_flow(nullptr);
            return 0;
        }
        return take_control(pool, pkts, Kind::bye, byes_);
    }
    return 0;
}

std::uint16_t Generator::take_control(rte_mempool *pool, rte_mbuf **pkts, Kind kind,
                                      std::uint64_t sequence)
{
    if (last_control_ != 0 && !waited(last_control_, repeat_ms)) {
        return 0;
    }
    const std::uint8_t flags =
        kind == Kind::bye && stream_ + 1u == options_.flows.size() ? last_flow : 0;
    pkts[0] =
        compose(pool, control_size, options_.peer, kind, flags, stream_, sequence, nullptr, 0);
    if (pkts[0] == nullptr) {
        return 0;
    }
    last_control_ = now();
    byes_ += kind == Kind::bye;
    return 1;
}

void Generator::begin_data()
{
    before_ = nic_counters();
    if (!began_) {
        began_ = true;
        mark("traffic-begin");
        crossings_begin_ = before_.crossings;
        run_begin_ = now();
    }
    state_ = State::data;
    sent_ = received_ = verified_ = corrupted_ = duplicated_ = 0;
    written_off_ = written_off_below_ = 0;
    seen_.reset(flow().count);
    begin_ = progress_ = now();
}

std::uint16_t Generator::take_data(rte_mempool *pool, rte_mbuf **pkts, std::uint16_t count)
{
    const std::uint64_t on_the_way = sent_ - verified_ - written_off_;
    const bool quiet = waited(progress_, options_.lost_ms);
    if (on_the_way > 0 && quiet) {
        written_off_ += on_the_way;
        written_off_below_ = sent_;
        progress_ = now();
    } else if (sent_ == flow().count && on_the_way == 0 && (written_off_ == 0 || quiet)) {
        end_ = now();
        after_ = nic_counters();
        state_ = State::bye;
        byes_ = 0;
        last_control_ = 0;
        return 0;
    }
    std::uint64_t want = std::min<std::uint64_t>(count, flow().count - sent_);
    want = std::min(want, options_.window - std::min(on_the_way, options_.window));
    std::uint16_t made = 0;
    while (made < want) {
        rte_mbuf *mbuf =
            compose(pool, flow().size, options_.peer, Kind::data, 0, stream_, sent_, nullptr, 0);
        if (mbuf == nullptr) {
            break;
        }
        pkts[made++] = mbuf;
        ++sent_;
    }
    if (made > 0) {
        progress_ = now();
    }
    return made;
}

void Generator::give(rte_mbuf **pkts, std::uint16_t count)
{
    for (std::uint16_t i = 0; i < count; ++i) {
        const Parsed frame = parse(pkts[i]);
        if (!frame.ours || done()) {
            ++stray_;
            continue;
        }
        const rte_ether_addr from = source_of(frame.bytes);
        const rte_ether_addr to = destination_of(frame.bytes);
        const bool addressed = rte_is_same_ether_addr(&to, &options_.mac) != 0 &&
                               rte_is_same_ether_addr(&from, &options_.peer) != 0;
        if (frame.header.kind == Kind::data && state_ == State::data && frame.good &&
            frame.header.stream == stream_ && seen_.in_range(frame.header.sequence)) {
            if (!addressed) {
                ++stray_; // flooded, or our own come back
                continue;
            }
            ++received_;
            progress_ = now();
            if (frame.size != flow().size) {
                ++corrupted_;
            } else if (seen_.insert(frame.header.sequence)) {
                ++verified_;
                // Given up too early: it is not lost but late.
                written_off_ -= frame.header.sequence < written_off_below_;
            } else {
                ++duplicated_;
            }
        } else if (!frame.good && state_ == State::data) {
            ++received_;
            ++corrupted_;
            progress_ = now();
        } else if (!frame.good || !addressed || frame.header.stream != stream_) {
            ++stray_;
        } else if (frame.header.kind == Kind::hello && state_ == State::hello) {
            begin_data();
        } else if (frame.header.kind == Kind::bye_report && state_ == State::bye) {
            Tally tally;
            std::memcpy(&tally, frame.bytes + payload_at, sizeof(tally));
            tally.name[sizeof(tally.name) - 1] = '\0';
            end_flow(&tally);
        } else if (frame.header.kind == Kind::bye && state_ == State::bye) {
            end_flow(nullptr); // somebody answers everything by swapping addresses
        }                      // else: answers to hellos and byes that were repeated
    }
    rte_pktmbuf_free_bulk(pkts, count);
}

void Generator::end_flow(const Tally *peer)
{
    const auto flow_json = [&](const std::string &from, const std::string &to, std::uint64_t sent,
                               std::uint64_t received, std::uint64_t verified,
                               std::uint64_t corrupted, std::uint64_t duplicated,
                               const Drops &drops) {
        flows_ += std::string{flows_.empty() ? "" : ", "} + "{\"from\": \"" + from +
                  "\", \"to\": \"" + to + "\", \"size\": " + std::to_string(flow().size) +
                  ", \"sent\": " + std::to_string(sent) +
                  ", \"received\": " + std::to_string(received) +
                  ", \"verified\": " + std::to_string(verified) +
                  ", \"corrupted\": " + std::to_string(corrupted) +
                  ", \"duplicated\": " + std::to_string(duplicated) +
                  ", \"drops\": " + drops_json(drops) + "}";
    };
    // Ours on the way there, ours on the way back.
    Drops there{};
    Drops back{};
    for (std::size_t kind = 0; kind < drop_kinds; ++kind) {
        (drop_of_receiver(kind) ? back : there)[kind] = after_.drops[kind] - before_.drops[kind];
    }
    if (peer != nullptr) {
        for (std::size_t kind = 0; kind < drop_kinds; ++kind) {
            (drop_of_receiver(kind) ? there : back)[kind] += peer->drops[kind];
        }
        flow_json(options_.name, peer->name, sent_, peer->received, peer->verified, peer->corrupted,
                  peer->duplicated, there);
        flow_json(peer->name, options_.name, peer->answered, received_, verified_, corrupted_,
                  duplicated_, back);
        delivered_ += peer->received + received_;
    } else {
        for (std::size_t kind = 0; kind < drop_kinds; ++kind) {
            there[kind] += back[kind];
        }
        flow_json(options_.name, options_.name, sent_, received_, verified_, corrupted_,
                  duplicated_, there);
        delivered_ += 2 * received_;
    }
    char rate[160];
    const double seconds =
        static_cast<double>(end_ - begin_) / static_cast<double>(rte_get_tsc_hz());
    std::snprintf(rate, sizeof(rate),
                  "%s{\"size\": %u, \"seconds\": %.6f, \"written_off\": %" PRIu64
                  ", \"hello_to_data_ms\": %" PRIu64 "}",
                  rates_.empty() ? "" : ", ", flow().size, seconds, written_off_,
                  (begin_ - first_hello_) / ticks_per_ms_);
    rates_ += rate;
    if (stream_ + 1u == options_.flows.size()) {
        conclude(nullptr);
        return;
    }
    ++stream_;
    state_ = State::hello;
    first_hello_ = 0;
    last_control_ = 0;
}

void Generator::give_up(const char *why)
{
    std::fprintf(stderr, "net_rvgen: %s: %s (flow %u of %zu frames)\n", options_.name.c_str(), why,
                 stream_, static_cast<std::size_t>(flow().count));
    conclude(why);
}

void Generator::conclude(const char *error)
{
    const std::uint64_t ticks = began_ ? now() - run_begin_ : 0;
    const std::uint64_t crossings = nic_counters().crossings - crossings_begin_;
    if (began_) {
        mark("traffic-end");
    }
    std::string json = "{\"flows\": [" + flows_ + "], \"crossings\": " + std::to_string(crossings) +
                       ", \"stray\": " + std::to_string(stray_) + ", \"runs\": [" + rates_ + "]";
    if (options_.tsc) {
        json += ", \"instructions\": " + std::to_string(ticks) +
                ", \"frames\": " + std::to_string(delivered_);
    }
    if (error != nullptr) {
        json += std::string{", \"error\": \""} + error + "\"";
    }
    finish(json + "}");
}

} // namespace

std::unique_ptr<Engine> make_generator(const Options &options)
{
    return std::make_unique<Generator>(options);
}

} // namespace rvgen
