// SPDX-License-Identifier: Apache-2.0
#include "play.hpp"

#include "meet.hpp"
#include "sink.hpp"
#include "source.hpp"

#include <cstdio>
#include <rte_cycles.h>
#include <sstream>
#include <stdexcept>

namespace traffic {
namespace {

// Phases of load `n`, as frames carry them. 0: an announcement.
constexpr std::uint8_t warm(std::size_t n)
{
    return static_cast<std::uint8_t>(3 * n + 1);
}
constexpr std::uint8_t measured(std::size_t n)
{
    return static_cast<std::uint8_t>(3 * n + 2);
}
constexpr std::uint8_t over(std::size_t n)
{
    return static_cast<std::uint8_t>(3 * n + 3);
}
constexpr std::size_t most_cases = 80;
constexpr std::uint64_t patience_s = 120;
// Nothing comes after the last word, so it must not get lost, and a queue on the way may be full
// just then (a bridge drops what a back end without a CPU does not fetch). It is said again and
// again, too slowly to fill any queue, and for longer than anybody has no CPU; the sender cannot
// hear whether the receiver is still there.
constexpr unsigned goodbyes = 100;
constexpr unsigned goodbye_us = 20'000;
// More than any ring holds: the receiver cannot miss a phase, however long it had no CPU.
constexpr std::uint64_t least_frames = 2048;

// A step that got nothing done, if it was not interrupted: the CPU was free for something else.
class IdleTime {
  public:
    void add(std::uint64_t ticks)
    {
        if (ticks < preempted) {
            ticks_ += ticks;
        }
    }
    [[nodiscard]] std::uint64_t ticks() const { return ticks_; }

  private:
    static constexpr std::uint64_t preempted = 4000;
    std::uint64_t ticks_ = 0;
};

void mark(std::size_t number, const char *what)
{
    std::printf("ELISA-MARK case-%zu-%s\n", number, what);
    std::fflush(stdout);
}

// After a mark KVM's counters are read, which costs the host instructions; they do not belong to
// the frames.
constexpr std::uint64_t settle_ms = 100;
// To print a mark takes long: the receiver is told before that a load is over, or it would wait
// for the sender and count that.
constexpr std::uint64_t ahead_ms = 50;

struct Snapshot {
    std::uint64_t ticks = 0;
    std::uint64_t frames = 0;
    std::uint64_t idle = 0;
};

// `marked`: the ticks between its marks.
std::string report(const PlayCase &load, std::uint64_t marked, const Snapshot &begin,
                   const Snapshot &end)
{
    std::ostringstream text;
    text << "{\"size\": " << load.size << ", \"burst\": " << load.burst
         << ", \"frames\": " << end.frames - begin.frames
         << ", \"ticks\": " << end.ticks - begin.ticks
         << ", \"idle_ticks\": " << end.idle - begin.idle << ", \"marked_ticks\": " << marked
         << "}";
    return text.str();
}

// A line for each load: of one that is longer than 4096 bytes a terminal makes pieces, with what
// other programs say in between.
void say_results(const char *key, const std::vector<std::string> &cases, std::uint64_t wrong)
{
    for (const std::string &one : cases) {
        std::printf("ELISA-RESULT {\"%s\": [%s], \"wrong\": %lu, \"tsc_hz\": %lu}\n", key,
                    one.c_str(), wrong, rte_get_tsc_hz());
        std::fflush(stdout);
    }
}

} // namespace

std::vector<PlayCase> parse_cases(const std::string &text, unsigned repeat)
{
    std::vector<PlayCase> cases;
    std::istringstream list{text};
    for (std::string item; std::getline(list, item, ',');) {
        unsigned size = 0;
        unsigned burst = 0;
        char rest = '\0';
        if (std::sscanf(item.c_str(), "%u:%u%c", &size, &burst, &rest) != 2 || size < min_size ||
            size > max_size || burst < 1 || burst > max_burst) {
            throw std::runtime_error{"'" + item + "': want SIZE:BURST, such as 64:32"};
        }
        cases.push_back({.size = size, .burst = static_cast<std::uint16_t>(burst)});
    }
    const std::size_t once = cases.size();
    if (once == 0 || once * repeat > most_cases) {
        throw std::runtime_error{"want 1 to " + std::to_string(most_cases) + " cases"};
    }
    for (std::size_t i = once; i < once * repeat; ++i) {
        cases.push_back(cases[i - once]);
    }
    return cases;
}

void play_source(const Ports &ports, const PlaySettings &settings)
{
    const std::uint64_t millisecond = rte_get_tsc_hz() / 1000;
    std::vector<std::string> cases;
    if (settings.pairs > 1) {
        meet(ports, settings.pair, settings.pairs);
    }
    for (std::size_t n = 0; n < settings.cases.size(); ++n) {
        const PlayCase &load = settings.cases[n];
        Source source{ports,
                      {.size = load.size,
                       .dirty = true,
                       .burst = load.burst,
                       .pair = settings.pair,
                       .vmcall = settings.vmcall}};
        IdleTime idle;
        const auto run = [&](std::uint8_t phase, std::uint64_t ms, std::uint64_t least) {
            source.set_phase(phase);
            const std::uint64_t begin = rte_rdtsc();
            const std::uint64_t limit = begin + ms * millisecond;
            const std::uint64_t enough = source.sent() + least;
            for (std::uint64_t now = begin; now < limit || source.sent() < enough;) {
                if (now - begin > patience_s * 1000 * millisecond) {
                    throw std::runtime_error{"nobody takes the frames"};
                }
                const std::uint64_t refused = source.refused();
                source.step();
                const std::uint64_t after = rte_rdtsc();
                if (source.refused() != refused) {
                    idle.add(after - now);
                }
                now = after;
            }
            return Snapshot{.ticks = rte_rdtsc(), .frames = source.sent(), .idle = idle.ticks()};
        };
        run(warm(n), settings.warm_ms, least_frames);
        const std::uint64_t marked = rte_rdtsc();
        mark(n, "begin");
        const Snapshot begin = run(measured(n), settle_ms, 0);
        const Snapshot end = run(measured(n), settings.ms, least_frames);
        const std::uint64_t between_marks = run(over(n), ahead_ms, 0).ticks - marked;
        mark(n, "end");
        if (n + 1 < settings.cases.size()) {
            run(over(n), settings.tail_ms, least_frames);
        } else {
            if (settings.pairs > 1) {
                run(over(n), settings.tail_ms, least_frames);
            }
            for (unsigned i = 0; i < goodbyes; ++i) {
                source.step();
                rte_delay_us_sleep(goodbye_us);
            }
        }
        cases.push_back(report(load, between_marks, begin, end));
        ports.drain();
    }
    say_results("source_cases", cases, 0);
}

void play_sink(const Ports &ports, const PlaySettings &settings)
{
    std::vector<std::string> cases;
    std::uint64_t wrong = 0;
    std::uint8_t phase = 0;
    std::uint64_t announce_at = 0;
    for (std::size_t n = 0; n < settings.cases.size(); ++n) {
        const PlayCase &load = settings.cases[n];
        // Polling with more than is sent costs nothing; with less, the ring would fill.
        Sink sink{ports, std::max<std::uint16_t>(load.burst, 32), Sink::any_size, true};
        IdleTime idle;
        Snapshot begin;
        std::uint64_t marked = 0;
        const std::uint64_t limit = rte_rdtsc() + patience_s * rte_get_tsc_hz();
        for (std::uint64_t now = rte_rdtsc(); phase < over(n);) {
            const bool got = sink.step() != 0;
            const std::uint64_t after = rte_rdtsc();
            if (!got) {
                idle.add(after - now);
                if (phase == 0 && after > announce_at) {
                    announce(ports, true, 2, settings.pair);
                    announce_at = after + rte_get_tsc_hz() / 10;
                }
                if (phase == 0 && settings.pairs > 1) {
                    rte_delay_us_sleep(1000); // others need the CPU to boot
                }
                if (after > limit) {
                    throw std::runtime_error{"nothing came for too long"};
                }
            }
            now = after;
            if (begin.ticks == 0 && marked != 0 &&
                now - marked > settle_ms * rte_get_tsc_hz() / 1000) {
                begin = {.ticks = now, .frames = sink.counts().frames, .idle = idle.ticks()};
            }
            if (sink.phase() <= phase) {
                continue;
            }
            phase = sink.phase();
            const Snapshot here{
                .ticks = rte_rdtsc(), .frames = sink.counts().frames, .idle = idle.ticks()};
            if (phase == measured(n)) {
                marked = here.ticks;
                mark(n, "begin");
            } else if (phase >= over(n)) {
                if (begin.ticks == 0) {
                    throw std::runtime_error{"no frame of a whole load arrived"};
                }
                mark(n, "end");
                cases.push_back(report(load, here.ticks - marked, begin, here));
            }
        }
        wrong += sink.counts().wrong;
    }
    say_results("sink_cases", cases, wrong);
}

} // namespace traffic
