// SPDX-License-Identifier: Apache-2.0
// traffic: the load of the benches. Ports are EAL's; commands come on standard input:
//
//   announce macs=N                          from every station of every port; -> done
//   load size= dirty= burst= flows= macs= warm_ms= ms=
//       -> running; with sinks: begin and end around `ms` of traffic; until stop, then stopped
//   ping size= warm_ms= ms=                  likewise; the end has the times
//   steady | mingle number= others=          see soak.hpp
//
// Ports named by --source send, those named by --sink receive; a process may have both, and then
// one thread serves them in turn. With --play there are no commands: see play.hpp.
#include "control.hpp"
#include "options.hpp"
#include "pingpong.hpp"
#include "play.hpp"
#include "ports.hpp"
#include "sink.hpp"
#include "soak.hpp"
#include "source.hpp"

#include <cstdio>
#include <memory>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <sched.h>
#include <stdexcept>

namespace traffic {
namespace {

// Warms up, opens a window, closes it.
class Window {
  public:
    Window(const Command &command)
        : warm_{ticks(command.get("warm_ms", 200, 0, 60'000))}, length_{ticks(command.get(
                                                                    "ms", 500, 1, 600'000))}
    {
    }
    enum class Event { none, begin, end };
    Event look(std::uint64_t now, bool traffic)
    {
        if (first_ == 0) {
            first_ = traffic ? now : 0;
        } else if (begin_ == 0 && now - first_ >= warm_) {
            begin_ = now;
            return Event::begin;
        } else if (begin_ != 0 && end_ == 0 && now - begin_ >= length_) {
            end_ = now;
            return Event::end;
        }
        return Event::none;
    }
    [[nodiscard]] double seconds() const
    {
        return static_cast<double>(end_ - begin_) / static_cast<double>(rte_get_tsc_hz());
    }

  private:
    static std::uint64_t ticks(std::uint64_t milliseconds)
    {
        return milliseconds * rte_get_tsc_hz() / 1000;
    }
    std::uint64_t warm_;
    std::uint64_t length_;
    std::uint64_t first_ = 0;
    std::uint64_t begin_ = 0;
    std::uint64_t end_ = 0;
};

class Program {
  public:
    Program(const Options &options)
        : sources_{options.sources, options.ports}, sinks_{options.sinks, options.ports},
          largest_{options.ports.largest}
    {
    }

    void play(const PlaySettings &settings)
    {
        sources_.wait_for_links(60'000);
        sinks_.wait_for_links(60'000);
        if (sources_.ids().empty()) {
            play_sink(sinks_, settings);
        } else {
            play_source(sources_, settings);
        }
    }

    void run()
    {
        Control control;
        sources_.wait_for_links(20'000);
        sinks_.wait_for_links(20'000);
        answer(R"({"event": "ready", "tsc_hz": %lu})", rte_get_tsc_hz());
        for (;;) {
            try {
                const std::optional<Command> command = control.next();
                if (!command) {
                    return;
                }
                serve(*command, control);
            } catch (const std::runtime_error &error) {
                answer(R"({"event": "error", "why": "%s"})", error.what());
            }
        }
    }

  private:
    void serve(const Command &command, const Control &control)
    {
        if (command.verb == "announce") {
            const auto macs = static_cast<unsigned>(command.get("macs", 2, 1, 65'536));
            sources_.drain();
            sinks_.drain();
            announce(sinks_, true, macs);
            announce(sources_, false, macs);
            answer(R"({"event": "done"})");
        } else if (command.verb == "load") {
            load(command, control);
        } else if (command.verb == "ping") {
            ping(command, control);
        } else if (command.verb == "steady" && !sources_.ids().empty()) {
            steady_source(sources_, control);
        } else if (command.verb == "steady") {
            steady_sink(sinks_, control);
        } else if (command.verb == "mingle" && !sources_.ids().empty()) {
            mingle(sources_, control, static_cast<unsigned>(command.get("number", 0, 0, 1u << 31)),
                   static_cast<unsigned>(command.get("others", 8, 1, 200)));
        } else {
            throw std::runtime_error{"no command " + command.verb};
        }
    }

    void load(const Command &command, const Control &control)
    {
        Load wanted;
        wanted.size = static_cast<std::uint32_t>(command.get("size", 64, min_size, largest_));
        wanted.dirty = command.get("dirty", 1, 0, 1) != 0;
        wanted.burst = static_cast<std::uint16_t>(command.get("burst", 32, 1, max_burst));
        wanted.flows = static_cast<unsigned>(command.get("flows", 1, 1, 65'536));
        wanted.macs = static_cast<unsigned>(command.get("macs", 2, 1, 65'536));
        Window window{command};
        Source source{sources_, wanted};
        Sink sink{sinks_, wanted.burst, wanted.size, wanted.dirty};
        sources_.drain();
        sinks_.drain();
        answer(R"({"event": "running"})");
        SinkCounts before;
        while (!control.stopped()) {
            source.step();
            const bool traffic = sink.step() != 0;
            switch (window.look(rte_rdtsc(), traffic)) {
            case Window::Event::begin:
                before = sink.counts();
                answer(R"({"event": "begin"})");
                break;
            case Window::Event::end: {
                const SinkCounts &after = sink.counts();
                answer(
                    R"({"event": "end", "frames": %lu, "seconds": %.6f, "wrong": %lu, "foreign": %lu})",
                    after.frames - before.frames, window.seconds(), after.wrong,
                    after.foreign - before.foreign);
                break;
            }
            case Window::Event::none:
                break;
            }
        }
        answer(R"({"event": "stopped", "sent": %lu, "refused": %lu, "received": %lu})",
               source.sent(), source.refused(), sink.counts().frames);
    }

    void ping(const Command &command, const Control &control)
    {
        const auto size = static_cast<std::uint32_t>(command.get("size", 64, min_size, largest_));
        Window window{command};
        std::unique_ptr<Ping> pinger;
        sources_.drain();
        sinks_.drain();
        if (!sources_.ids().empty()) {
            pinger = std::make_unique<Ping>(sources_, size);
        }
        answer(R"({"event": "running"})");
        while (!control.stopped()) {
            if (pinger != nullptr) {
                pinger->step();
                const Window::Event event = window.look(rte_rdtsc(), true);
                if (event == Window::Event::begin) {
                    pinger->forget();
                    answer(R"({"event": "begin"})");
                } else if (event == Window::Event::end) {
                    report(*pinger);
                }
            }
            if (!sinks_.ids().empty()) {
                pong(sinks_, size);
            }
        }
        answer(R"({"event": "stopped"})");
    }

    static void report(const Ping &pinger)
    {
        const std::vector<std::uint32_t> times = pinger.times();
        if (times.empty()) {
            throw std::runtime_error{"no answer ever came"};
        }
        const auto at = [&](std::size_t permille) {
            return times[std::min(times.size() - 1, times.size() * permille / 1000)];
        };
        answer(R"({"event": "end", "count": %zu, "lost": %lu, "p50": %u, "p99": %u, "p999": %u})",
               times.size(), pinger.lost(), at(500), at(990), at(999));
    }

    Ports sources_;
    Ports sinks_;
    std::uint64_t largest_;
};

} // namespace
} // namespace traffic

int main(int argc, char **argv)
{
    // Another program may share the terminal: a line is written in one piece.
    std::setvbuf(stdout, nullptr, _IOFBF, 1 << 16);
    const int used = rte_eal_init(argc, argv);
    if (used < 0) {
        std::fprintf(stderr, "traffic: EAL: %s\n", rte_strerror(rte_errno));
        return 1;
    }
    int status = 0;
    try {
        if (const auto options = traffic::parse_options(argc - used, argv + used, status)) {
            traffic::Program program{*options};
            if (options->play.cases.empty()) {
                program.run();
            } else {
                program.play(options->play);
            }
        }
    } catch (const std::exception &error) {
        std::fprintf(stderr, "traffic: %s\n", error.what());
        status = 1;
    }
    rte_eal_cleanup();
    return status;
}
