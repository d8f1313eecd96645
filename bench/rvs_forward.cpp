// SPDX-License-Identifier: Apache-2.0
//
// The forward path alone: RVIF_OP_TX bursts of 32 to a receiver that has buffers posted. Frames/s
// are frames delivered. Two settings:
//   Alone   sender and receiver are one thread: no cache line moves between CPUs
//   Pair    the receiver is a second thread that reads every line and posts the buffer again
#include "world.hpp"

#include <atomic>
#include <benchmark/benchmark.h>
#include <thread>

namespace {

using namespace rvs;
using namespace rvs::test;

constexpr std::uint32_t burst = 32;
constexpr std::uint32_t depth = 512;
constexpr std::uint32_t stride = 2112; // no power of two: cache sets

// The receiving side of one lane, as lean as a driver's.
class Receiver {
  public:
    Receiver(Guest &guest, std::int64_t source) : guest_{guest}, source_{source} {}

    void post_all()
    {
        while (posted_ - taken_ < depth)
            post();
    }
    // Takes what is there, reads its bytes, posts it again.
    std::uint32_t poll(bool read)
    {
        std::uint32_t n = 0;
        for (;; ++n) {
            const std::uint64_t entry = guest_.comp(source_, taken_);
            if ((entry & RVIF_PHASE) != guest_.phase(taken_) || n == burst)
                return n;
            if (read) {
                const std::uint8_t *data = guest_.memory().data() + offset(taken_);
                for (std::uint32_t i = 0; i < (entry & RVIF_COMP_LEN_MASK); i += 64)
                    benchmark::DoNotOptimize(sum_ += data[i]);
            }
            ++taken_;
            post();
        }
    }
    // Room for a burst, as far as the sender knows.
    bool room(std::uint32_t sent)
    {
        if (sent - known_ > depth - burst)
            known_ = done_.load(std::memory_order_acquire);
        return sent - known_ <= depth - burst;
    }
    void publish() { done_.store(taken_, std::memory_order_release); }

  private:
    [[nodiscard]] std::uint64_t offset(std::uint32_t i) const
    {
        return guest_.buffers_at() + std::uint64_t{i % depth} * stride;
    }
    void post()
    {
        guest_.post_raw(source_, posted_, static_cast<std::uint32_t>(offset(posted_) / 64));
        ++posted_;
    }

    Guest &guest_;
    std::int64_t source_;
    std::uint32_t posted_ = 0;
    std::uint32_t taken_ = 0;
    std::uint64_t sum_ = 0;
    alignas(128) std::atomic<std::uint32_t> done_{0};
    alignas(128) std::uint32_t known_ = 0; // the sender's
};

struct Bench {
    Bench(std::uint32_t size, std::uint32_t flows)
    {
        sender.join();
        receiver.join();
        lane.post_all();
        // Learn the receiver's addresses.
        for (std::uint32_t f = 0; f < flows; ++f)
            receiver.send(frame(broadcast, mac(1000 + f)));
        for (std::uint32_t i = 0; i < burst; ++i)
            sender.desc(i, {sender.stage(frame(mac(1000 + i % flows), mac(1), size)), size, 0});
    }
    [[nodiscard]] double delivered() const
    {
        return static_cast<double>(receiver.stats().frames.rx_frames);
    }

    World world{Limits{}};
    Guest sender{world, 0};
    Guest receiver{world, 1, {.depth = depth, .buf_len = 2048, .buffers = depth}};
    Receiver lane{receiver, 0};
};

void Alone(benchmark::State &state)
{
    Bench b{static_cast<std::uint32_t>(state.range(0)), static_cast<std::uint32_t>(state.range(1))};
    for (auto _ : state) {
        b.sender.transmit(burst);
        b.lane.poll(false);
    }
    state.counters["frames"] = benchmark::Counter(b.delivered(), benchmark::Counter::kIsRate);
}
BENCHMARK(Alone)->ArgNames({"size", "flows"})->ArgsProduct({{64, 512, 1518}, {1, 32}});

void Pair(benchmark::State &state)
{
    Bench b{static_cast<std::uint32_t>(state.range(0)), static_cast<std::uint32_t>(state.range(1))};
    std::atomic<bool> stop{false};
    std::thread receiver{[&] {
        std::uint32_t idle = 0;
        while (!stop.load(std::memory_order_relaxed)) {
            // Yields when idle: on a busy machine the other side may be waiting for this CPU.
            if (b.lane.poll(true) != 0) {
                b.lane.publish();
                idle = 0;
            } else if (++idle % 4096 == 0) {
                std::this_thread::yield();
            }
        }
    }};
    std::uint32_t sent = 0;
    for (auto _ : state) {
        for (std::uint32_t idle = 1; !b.lane.room(sent); ++idle) {
            if (idle % 4096 == 0)
                std::this_thread::yield();
        }
        b.sender.transmit(burst);
        sent += burst;
    }
    stop = true;
    receiver.join();
    const double seen = b.delivered();
    state.counters["frames"] = benchmark::Counter(seen, benchmark::Counter::kIsRate);
    state.counters["no_buffer"] = benchmark::Counter(
        static_cast<double>(b.receiver.drops(RVIF_DROP_NO_BUFFER)), benchmark::Counter::kIsRate);
}
BENCHMARK(Pair)
    ->ArgNames({"size", "flows"})
    ->ArgsProduct({{64, 512, 1518}, {1, 32}})
    ->UseRealTime();

} // namespace

BENCHMARK_MAIN();
