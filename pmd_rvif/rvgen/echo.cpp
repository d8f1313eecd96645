// SPDX-License-Identifier: Apache-2.0
// Checks what comes and answers it with the addresses swapped, in the same buffer.
#include "engine.hpp"

#include <array>
#include <cstdio>
#include <rte_cycles.h>

namespace rvgen {
namespace {

constexpr std::size_t queue_depth = 4096; // power of two
constexpr std::uint64_t linger_ms = 300;  // after the last bye: its answer may have to be repeated

class Echo final : public Engine {
  public:
    explicit Echo(const Options &options) : Engine{options} {}
    ~Echo() override { drop_all(); }

    std::uint16_t take(rte_mempool *pool, rte_mbuf **pkts, std::uint16_t count) override;
    void give(rte_mbuf **pkts, std::uint16_t count) override;
    void drop_all() override;

  private:
    struct Peer {
        rte_ether_addr address{};
        std::uint16_t stream = 0;
        bool finished = false;
        Tally tally{};
        Tally closed{}; // of the flow that has ended
        bool is_closed = false;
        std::uint64_t echo_full = 0;
        Seen seen;
        NicCounters before;
    };

    Peer *peer_of(const rte_ether_addr &address, bool create);
    void answer(rte_mbuf *mbuf, std::uint64_t *lost);
    void hello(Peer &peer, const Header &header);
    void data(Peer &peer, const Parsed &frame, rte_mbuf *mbuf);
    void bye(Peer &peer, const Header &header, rte_mbuf *mbuf);
    void conclude();

    std::array<rte_mbuf *, queue_depth> queue_{};
    std::uint32_t head_ = 0;
    std::uint32_t tail_ = 0;
    std::array<Peer, 16> peers_;
    std::size_t peer_count_ = 0;
    std::uint64_t stray_ = 0;
    bool began_ = false;
    std::uint64_t crossings_begin_ = 0;
    std::uint64_t ending_ = 0; // when the last bye came
    Tally total_{};
};

Echo::Peer *Echo::peer_of(const rte_ether_addr &address, bool create)
{
    for (std::size_t i = 0; i < peer_count_; ++i) {
        if (rte_is_same_ether_addr(&peers_[i].address, &address) != 0) {
            return &peers_[i];
        }
    }
    if (!create || peer_count_ == peers_.size()) {
        return nullptr;
    }
    peers_[peer_count_].address = address;
    return &peers_[peer_count_++];
}

void Echo::answer(rte_mbuf *mbuf, std::uint64_t *lost)
{
    swap_addresses(rte_pktmbuf_mtod(mbuf, std::byte *));
    if (head_ - tail_ == queue_depth) {
        if (lost != nullptr) {
            ++*lost;
        }
        rte_pktmbuf_free(mbuf);
        return;
    }
    queue_[head_++ % queue_depth] = mbuf;
}

void Echo::hello(Peer &peer, const Header &header)
{
    // Repeated until data comes: the last one counts.
    if (!began_) {
        began_ = true;
        mark("traffic-begin");
        crossings_begin_ = nic_counters().crossings;
    }
    peer.stream = header.stream;
    peer.finished = false;
    peer.is_closed = false;
    peer.tally = {};
    peer.echo_full = 0;
    peer.seen.reset(header.sequence);
    peer.before = nic_counters();
}

void Echo::data(Peer &peer, const Parsed &frame, rte_mbuf *mbuf)
{
    ++peer.tally.received;
    if (!frame.good || !peer.seen.in_range(frame.header.sequence)) {
        ++peer.tally.corrupted;
        rte_pktmbuf_free(mbuf);
        return;
    }
    ++(peer.seen.insert(frame.header.sequence) ? peer.tally.verified : peer.tally.duplicated);
    ++peer.tally.answered;
    answer(mbuf, &peer.echo_full);
}

void Echo::bye(Peer &peer, const Header &header, rte_mbuf *mbuf)
{
    if (!peer.is_closed) {
        peer.is_closed = true;
        peer.closed = peer.tally;
        options_.name.copy(peer.closed.name, sizeof(peer.closed.name) - 1);
        const NicCounters after = nic_counters();
        for (std::size_t kind = 0; kind < drop_kinds; ++kind) {
            peer.closed.drops[kind] = after.drops[kind] - peer.before.drops[kind];
        }
        peer.closed.drops[echo_full] = peer.echo_full;
        total_.received += peer.closed.received;
        total_.verified += peer.closed.verified;
        total_.corrupted += peer.closed.corrupted;
        total_.duplicated += peer.closed.duplicated;
        total_.answered += peer.closed.answered;
        peer.finished = (header.flags & last_flow) != 0;
        std::uint64_t finished = 0;
        for (std::size_t i = 0; i < peer_count_; ++i) {
            finished += peers_[i].finished;
        }
        if (finished >= options_.peers && ending_ == 0) {
            ending_ = rte_rdtsc();
        }
    }
    rte_mbuf *reply =
        compose(mbuf->pool, payload_at + sizeof(Tally), peer.address, Kind::bye_report,
                header.flags, header.stream, header.sequence, &peer.closed, sizeof(Tally));
    rte_pktmbuf_free(mbuf);
    if (reply != nullptr) {
        swap_addresses(rte_pktmbuf_mtod(reply, std::byte *)); // answer() swaps them back
        answer(reply, nullptr);
    }
}

void Echo::give(rte_mbuf **pkts, std::uint16_t count)
{
    for (std::uint16_t i = 0; i < count; ++i) {
        rte_mbuf *mbuf = pkts[i];
        const Parsed frame = parse(mbuf);
        const rte_ether_addr to = frame.ours ? destination_of(frame.bytes) : rte_ether_addr{};
        if (!frame.ours || rte_is_same_ether_addr(&to, &options_.mac) == 0 || done()) {
            ++stray_;
            rte_pktmbuf_free(mbuf);
            continue;
        }
        const bool is_hello = frame.good && frame.header.kind == Kind::hello;
        Peer *peer = peer_of(source_of(frame.bytes), is_hello);
        if (peer == nullptr || (!is_hello && (frame.header.stream != peer->stream && frame.good))) {
            ++stray_;
            rte_pktmbuf_free(mbuf);
        } else if (!frame.good) {
            data(*peer, frame, mbuf); // counts it as corrupted, whatever it was
        } else if (is_hello) {
            hello(*peer, frame.header);
            answer(mbuf, nullptr);
        } else if (frame.header.kind == Kind::data) {
            data(*peer, frame, mbuf);
        } else if (frame.header.kind == Kind::bye) {
            bye(*peer, frame.header, mbuf);
        } else {
            ++stray_;
            rte_pktmbuf_free(mbuf);
        }
    }
}

std::uint16_t Echo::take(rte_mempool *, rte_mbuf **pkts, std::uint16_t count)
{
    std::uint16_t got = 0;
    while (got < count && tail_ != head_) {
        pkts[got++] = queue_[tail_++ % queue_depth];
    }
    if (got == 0 && ending_ != 0 && !done() &&
        rte_rdtsc() - ending_ > linger_ms * rte_get_tsc_hz() / 1000) {
        conclude();
    }
    return got;
}

void Echo::drop_all()
{
    while (tail_ != head_) {
        rte_pktmbuf_free(queue_[tail_++ % queue_depth]);
    }
}

void Echo::conclude()
{
    const std::uint64_t crossings = nic_counters().crossings - crossings_begin_;
    mark("traffic-end");
    finish("{\"crossings\": " + std::to_string(crossings) + ", \"echo\": {\"name\": \"" +
           options_.name + "\", \"received\": " + std::to_string(total_.received) +
           ", \"verified\": " + std::to_string(total_.verified) +
           ", \"corrupted\": " + std::to_string(total_.corrupted) +
           ", \"duplicated\": " + std::to_string(total_.duplicated) + ", \"answered\": " +
           std::to_string(total_.answered) + ", \"stray\": " + std::to_string(stray_) + "}}");
}

} // namespace

std::unique_ptr<Engine> make_echo(const Options &options)
{
    return std::make_unique<Echo>(options);
}

} // namespace rvgen
