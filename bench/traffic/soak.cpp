// SPDX-License-Identifier: Apache-2.0
#include "soak.hpp"

#include "frame.hpp"
#include "source.hpp"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <fcntl.h>
#include <random>
#include <rte_ethdev.h>
#include <stdexcept>
#include <unistd.h>

namespace traffic {
namespace {

constexpr std::uint64_t pace_ns = 100'000; // the steady source's
constexpr std::uint64_t announce_ns = 1'000'000'000;
constexpr std::uint64_t stall_ns = 10'000'000;

std::uint64_t now_ns()
{
    timespec time{};
    ::clock_gettime(CLOCK_MONOTONIC, &time);
    return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 +
           static_cast<std::uint64_t>(time.tv_nsec);
}

void sleep_ns(std::uint64_t ns)
{
    const timespec time{.tv_sec = 0, .tv_nsec = static_cast<long>(ns)};
    ::nanosleep(&time, nullptr);
}

// How long this thread has been waiting for a CPU in its life.
class RunqueueWait {
  public:
    RunqueueWait() : fd_{::open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC)}
    {
        if (fd_ < 0) {
            throw std::runtime_error{"/proc/thread-self/schedstat is not there: the kernel must "
                                     "have CONFIG_SCHED_INFO (or SCHEDSTATS)"};
        }
    }
    ~RunqueueWait() { ::close(fd_); }
    RunqueueWait(const RunqueueWait &) = delete;
    RunqueueWait &operator=(const RunqueueWait &) = delete;

    [[nodiscard]] std::uint64_t ns() const
    {
        char text[96] = {};
        unsigned long long ran = 0;
        unsigned long long waited = 0;
        if (::pread(fd_, text, sizeof(text) - 1, 0) <= 0 ||
            std::sscanf(text, "%llu %llu", &ran, &waited) != 2) {
            return 0;
        }
        return waited;
    }

  private:
    int fd_;
};

// The longest, and how many were too long.
struct Stalls {
    std::uint64_t worst_ns = 0;
    std::uint64_t count = 0;
    void add(std::uint64_t ns)
    {
        worst_ns = std::max(worst_ns, ns);
        count += ns > stall_ns ? 1 : 0;
    }
};

// Times calls, less what the scheduler took.
class CallClock {
  public:
    template <typename Call>
    auto operator()(Call &&call)
    {
        const std::uint64_t waited = wait_.ns();
        const std::uint64_t begin = now_ns();
        const auto result = call();
        const std::uint64_t spent = now_ns() - begin;
        if (spent > stall_ns / 10) { // else not worth a look
            const std::uint64_t away = wait_.ns() - waited;
            calls_.add(spent > away ? spent - away : 0);
            scheduler_.add(away);
        } else {
            calls_.add(spent);
        }
        return result;
    }
    [[nodiscard]] const Stalls &calls() const { return calls_; }
    [[nodiscard]] const Stalls &scheduler() const { return scheduler_; }

  private:
    RunqueueWait wait_;
    Stalls calls_;
    Stalls scheduler_;
};

// Behind the header of a steady frame.
struct SteadyNote {
    std::uint64_t sequence;
    std::uint64_t previous_returned; // when the call that sent sequence - 1 had returned
};
constexpr std::uint8_t steady_phase = 1;
constexpr std::uint32_t steady_size = 64;

rte_mbuf *steady_frame(const Ports &ports, const SteadyNote &note)
{
    rte_mbuf *mbuf = rte_pktmbuf_alloc(ports.pool());
    if (mbuf == nullptr) {
        return nullptr;
    }
    mbuf->data_len = steady_size;
    mbuf->pkt_len = steady_size;
    auto *frame = rte_pktmbuf_mtod(mbuf, std::byte *);
    std::memset(frame, 0, steady_size);
    Header header;
    header.to = station(true, 0, 0);
    header.from = station(false, 0, 0);
    header.phase = steady_phase;
    std::memcpy(frame, &header, sizeof(header));
    std::memcpy(frame + sequence_at, &note, sizeof(note));
    return mbuf;
}

} // namespace

void steady_source(const Ports &ports, const Control &control)
{
    const std::uint16_t id = ports.ids().front();
    CallClock clock;
    SteadyNote note{};
    std::uint64_t sent = 0;
    std::uint64_t received = 0;
    announce(ports, false, 2);
    ++sent;
    answer(R"({"event": "running"})");
    while (!control.stopped()) {
        rte_mbuf *mbuf = steady_frame(ports, note);
        if (mbuf != nullptr) {
            while (clock([&] { return rte_eth_tx_burst(id, 0, &mbuf, 1); }) == 0 &&
                   !control.stopped()) {
            }
            ++sent;
            note.previous_returned = now_ns();
            ++note.sequence;
        }
        rte_mbuf *others[32];
        const std::uint16_t got = clock([&] { return rte_eth_rx_burst(id, 0, others, 32); });
        rte_pktmbuf_free_bulk(others, got);
        received += got;
        sleep_ns(pace_ns);
    }
    answer(
        R"({"event": "stopped", "sent": %lu, "received": %lu, "steady": %lu, "worst_call_us": %lu, "stalled_calls": %lu, "worst_scheduler_us": %lu})",
        sent, received, note.sequence, clock.calls().worst_ns / 1000, clock.calls().count,
        clock.scheduler().worst_ns / 1000);
}

void steady_sink(const Ports &ports, const Control &control)
{
    const std::uint16_t id = ports.ids().front();
    CallClock clock;
    Stalls deliveries;
    std::uint64_t sent = 0;
    std::uint64_t received = 0;
    std::uint64_t expected = 0; // sequence number
    std::uint64_t lost = 0;
    std::uint64_t reordered = 0;
    std::uint64_t announce_at = 0;
    std::uint64_t poll = now_ns();
    bool full = false; // the last poll brought all that it asked for: more may have been there
    bool begun = false;
    // Of the last frame: the beginning of the poll before the one that had it.
    std::uint64_t missed_by = 0;
    answer(R"({"event": "running"})");
    while (!control.stopped()) {
        const std::uint64_t last_poll = poll;
        poll = now_ns();
        if (poll >= announce_at) { // switches forget
            announce(ports, true, 2);
            ++sent;
            announce_at = poll + announce_ns;
        }
        rte_mbuf *mbufs[32];
        const std::uint16_t got = clock([&] { return rte_eth_rx_burst(id, 0, mbufs, 32); });
        received += got;
        for (std::uint16_t i = 0; i < got; ++i) {
            const auto *frame = rte_pktmbuf_mtod(mbufs[i], const std::byte *);
            Header header;
            std::memcpy(&header, frame, sizeof(header));
            if (mbufs[i]->pkt_len != steady_size || header.phase != steady_phase) {
                continue;
            }
            SteadyNote note;
            std::memcpy(&note, frame + sequence_at, sizeof(note));
            if (begun && note.sequence < expected) {
                ++reordered;
                continue;
            }
            if (begun && note.sequence > expected) {
                lost += note.sequence - expected;
            } else if (begun && missed_by > note.previous_returned) {
                deliveries.add(missed_by - note.previous_returned);
            }
            begun = true;
            expected = note.sequence + 1;
            missed_by = full ? 0 : last_poll;
        }
        full = got == 32;
        rte_pktmbuf_free_bulk(mbufs, got);
        if (got == 0) {
            sleep_ns(pace_ns / 2);
        }
    }
    answer(
        R"({"event": "stopped", "sent": %lu, "received": %lu, "steady": %lu, "lost": %lu, "reordered": %lu, "worst_call_us": %lu, "stalled_calls": %lu, "worst_delivery_us": %lu, "stalled_deliveries": %lu, "worst_scheduler_us": %lu})",
        sent, received, expected, lost, reordered, clock.calls().worst_ns / 1000,
        clock.calls().count, deliveries.worst_ns / 1000, deliveries.count,
        clock.scheduler().worst_ns / 1000);
}

void mingle(const Ports &ports, const Control &control, unsigned number, unsigned others)
{
    const std::uint16_t id = ports.ids().front();
    std::mt19937 generator{number};
    const auto pick = [&](unsigned below) { return static_cast<unsigned>(generator() % below); };
    std::uint64_t sent = 0;
    std::uint64_t received = 0;
    answer(R"({"event": "running"})");
    while (!control.stopped()) {
        rte_mbuf *mbufs[64];
        const unsigned count = 1 + pick(64);
        unsigned made = 0;
        for (; made < count; ++made) {
            rte_mbuf *mbuf = rte_pktmbuf_alloc(ports.pool());
            if (mbuf == nullptr) {
                break;
            }
            const auto size = static_cast<std::uint16_t>(min_size + pick(1440));
            mbuf->data_len = size;
            mbuf->pkt_len = size;
            Header header;
            header.from = station(false, 1 + number % 200, 0);
            const unsigned whom = pick(others + 4);
            if (whom == 0) {
                header.to = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
            } else if (whom <= 2) {
                header.to = station(true, 0, 0); // the steady sink
            } else if (whom == 3) {
                header.to = station(false, 255, pick(65'536)); // nobody
            } else {
                header.to = station(false, 1 + pick(others), 0);
            }
            auto *frame = rte_pktmbuf_mtod(mbuf, std::byte *);
            std::memcpy(frame, &header, sizeof(header));
            write_payload(frame, size, sent);
            mbufs[made] = mbuf;
        }
        const std::uint16_t took = rte_eth_tx_burst(id, 0, mbufs, static_cast<std::uint16_t>(made));
        rte_pktmbuf_free_bulk(mbufs + took, made - took);
        sent += took;
        rte_mbuf *got[64];
        const std::uint16_t arrived = rte_eth_rx_burst(id, 0, got, 64);
        rte_pktmbuf_free_bulk(got, arrived);
        received += arrived;
        sleep_ns(pace_ns * (1 + pick(4)));
    }
    answer(R"({"event": "stopped", "sent": %lu, "received": %lu})", sent, received);
}

} // namespace traffic
